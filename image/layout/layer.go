package layout

import (
	"compress/gzip"
	"errors"
	"fmt"
	"hash"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"
)

// maxWindow is the most memory that the decompression of a layer may take. The
// format allows to ask for any amount.
const maxWindow = 128 << 20

type compression uint8

const (
	uncompressed compression = iota + 1
	gzipped
	zstandard
)

func compressionOf(t types.MediaType) (compression, bool) {
	switch t {
	case types.OCIUncompressedLayer, types.OCIUncompressedRestrictedLayer, types.DockerUncompressedLayer:
		return uncompressed, true
	case types.OCILayer, types.OCIRestrictedLayer, types.DockerLayer, types.DockerForeignLayer:
		return gzipped, true
	case types.OCILayerZStd:
		return zstandard, true
	default:
		return 0, false
	}
}

// openLayer opens a layer as [Layer.Open] says.
func (l *Layout) openLayer(layer v1.Descriptor, diffID v1.Hash, limit int64) (io.ReadCloser, error) {
	f, _, err := l.Blob(layer.Digest)
	if err != nil {
		return nil, err
	}
	r := &layerReader{want: diffID, left: limit, sum: newHash(diffID), close: f.Close}
	c, _ := compressionOf(layer.MediaType)
	switch c {
	case gzipped:
		z, err := gzip.NewReader(f)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("layer %s: %w", layer.Digest, err), f.Close())
		}
		r.r = z
	case zstandard:
		z, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("layer %s: %w", layer.Digest, err), f.Close())
		}
		r.r = z
		r.close = func() error { z.Close(); return f.Close() }
	default:
		r.r = f
	}
	return r, nil
}

// layerReader reads a layer's uncompressed content up to a limit, and checks
// its digest where it ends.
type layerReader struct {
	r     io.Reader
	want  v1.Hash
	left  int64
	sum   hash.Hash
	close func() error
}

func (r *layerReader) Read(p []byte) (int, error) {
	// One byte more than is left tells a layer that ends there from one that
	// goes on.
	if int64(len(p)) > r.left+1 {
		p = p[:r.left+1]
	}
	n, err := r.r.Read(p)
	if int64(n) > r.left {
		return 0, fmt.Errorf("layer %s: %w", r.want, ErrTooLarge)
	}
	r.left -= int64(n)
	r.sum.Write(p[:n])
	switch {
	case err == nil:
		return n, nil
	case !errors.Is(err, io.EOF):
		return n, fmt.Errorf("layer %s: %w", r.want, err)
	case !sumIs(r.want, r.sum):
		return n, fmt.Errorf("layer %s: %w", r.want, ErrDigest)
	default:
		return n, io.EOF
	}
}

func (r *layerReader) Close() error { return r.close() }
