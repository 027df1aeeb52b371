package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// blob is content with its digest. It is head, then the first fileSize bytes of
// file, then tail, and is not put together before somebody reads it.
type blob struct {
	mediaType  types.MediaType
	head, tail []byte
	file       io.ReaderAt // nil: there is none
	fileSize   int64
	digest     v1.Hash
}

// newBlob reads the content once, for its digest.
func newBlob(b blob) (*blob, error) {
	sum := sha256.New()
	if _, err := io.Copy(sum, b.open()); err != nil {
		return nil, err
	}
	b.digest = v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum.Sum(nil))}
	return &b, nil
}

func (b *blob) open() io.Reader {
	if b.file == nil {
		return bytes.NewReader(b.head)
	}
	return io.MultiReader(bytes.NewReader(b.head), io.NewSectionReader(b.file, 0, b.fileSize), bytes.NewReader(b.tail))
}

func (b *blob) length() int64 { return int64(len(b.head)+len(b.tail)) + b.fileSize }

func (b *blob) descriptor() v1.Descriptor {
	return v1.Descriptor{MediaType: b.mediaType, Digest: b.digest, Size: b.length()}
}

// The methods below make a blob a [v1.Layer]. It is stored as it is: to compress
// it would take longer than to send it over any network but a slow one.

var _ v1.Layer = (*blob)(nil)

// Digest returns the digest of the blob.
func (b *blob) Digest() (v1.Hash, error) { return b.digest, nil }

// DiffID returns the digest of the uncompressed layer, which is the same.
func (b *blob) DiffID() (v1.Hash, error) { return b.digest, nil }

// Compressed opens the blob.
func (b *blob) Compressed() (io.ReadCloser, error) { return io.NopCloser(b.open()), nil }

// Uncompressed opens the blob.
func (b *blob) Uncompressed() (io.ReadCloser, error) { return b.Compressed() }

// Size returns the length of the blob.
func (b *blob) Size() (int64, error) { return b.length(), nil }

// MediaType returns the type of the blob.
func (b *blob) MediaType() (types.MediaType, error) { return b.mediaType, nil }

// tarEntry is a file or a folder, whose name then ends in "/", of a layer.
type tarEntry struct {
	name    string
	mode    int64
	content string
}

// archive writes entries of root's as a tar stream without an end.
func archive(w *tar.Writer, entries []tarEntry, at time.Time) error {
	for _, e := range entries {
		if err := w.WriteHeader(header(e.name, e.mode, int64(len(e.content)), at)); err != nil {
			return err
		}
		if _, err := io.WriteString(w, e.content); err != nil {
			return err
		}
	}
	return nil
}

// header returns the header of an entry of root's, in the oldest format, which
// is the same on every machine.
func header(name string, mode, size int64, at time.Time) *tar.Header {
	h := &tar.Header{
		Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: size,
		ModTime: at, Format: tar.FormatUSTAR,
	}
	if name[len(name)-1] == '/' {
		h.Typeflag = tar.TypeDir
	}
	return h
}

// programLayer returns the layer with the program in the folder app.
func programLayer(name string, program *os.File, at time.Time) (*blob, error) {
	info, err := program.Stat()
	if err != nil {
		return nil, err
	}
	size := info.Size()
	if size >= 8<<30 {
		return nil, fmt.Errorf("a program of %d bytes: %w", size, ErrTooLarge)
	}
	var head bytes.Buffer
	w := tar.NewWriter(&head)
	err = archive(w, []tarEntry{{name: "app/", mode: 0o755}}, at)
	err = errors.Join(err, w.WriteHeader(header("app/"+name, 0o755, size, at)))
	if err != nil {
		return nil, err
	}
	// The stream ends with the padding of the last file and two empty blocks.
	tail := make([]byte, (512-size%512)%512+1024)
	return newBlob(blob{mediaType: types.OCIUncompressedLayer, head: head.Bytes(), file: program, fileSize: size, tail: tail})
}
