package layout

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Check reads the whole layout and calls damaged for each file that is not what it must
// be, by its path below the layout's directory: a blob with another digest, a manifest
// that is none, something that a manifest needs and that is not there. It returns how
// many blobs it has read, and how many bytes, and an error when it could not go on.
func (l *Layout) Check(ctx context.Context, damaged func(file string, err error)) (blobs int, bytes int64, err error) {
	for _, algorithm := range []string{"sha256", "sha512"} {
		entries, err := os.ReadDir(l.blobs(algorithm))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return blobs, bytes, err
		}
		for _, e := range entries {
			if err := ctx.Err(); err != nil {
				return blobs, bytes, err
			}
			name := filepath.Join("blobs", algorithm, e.Name())
			n, err := l.checkBlob(v1.Hash{Algorithm: algorithm, Hex: e.Name()})
			if err != nil {
				damaged(name, err)
			}
			blobs++
			bytes += n
		}
	}
	index, err := l.index()
	if err != nil {
		damaged("index.json", err)
		return blobs, bytes, nil
	}
	for _, m := range index.Manifests {
		l.checkManifest(m, damaged)
	}
	return blobs, bytes, nil
}

// checkManifest looks for what a manifest of the index needs.
func (l *Layout) checkManifest(m v1.Descriptor, damaged func(file string, err error)) {
	if !supported(m.Digest) {
		damaged("index.json", fmt.Errorf("%w: it names one without a digest", ErrInvalid))
		return
	}
	data, err := l.ReadBlob(m.Digest, MaxManifest)
	if errors.Is(err, ErrDigest) {
		return // told already
	}
	var doc *document
	if err == nil {
		doc, err = parse(data, m.MediaType)
	}
	if err != nil {
		damaged("index.json", fmt.Errorf("manifest %s: %w", m.Digest, err))
		return
	}
	needed := doc.Layers
	if doc.Config != nil {
		needed = append([]v1.Descriptor{*doc.Config}, needed...)
	}
	for _, d := range needed {
		if _, err := l.Size(d.Digest); err != nil && d.MediaType.IsDistributable() {
			damaged(filepath.Join("blobs", d.Digest.Algorithm, d.Digest.Hex), fmt.Errorf("the manifest %s needs it: %w", m.Digest, err))
		}
	}
}

// checkBlob compares the content of a blob with its digest.
func (l *Layout) checkBlob(d v1.Hash) (int64, error) {
	if _, err := ParseDigest(d.String()); err != nil {
		return 0, err
	}
	f, _, err := l.Blob(d)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	sum := newHash(d)
	n, err := io.Copy(sum, f)
	if err == nil && !sumIs(d, sum) {
		err = ErrDigest
	}
	return n, err
}
