package blobs

import (
	"context"
	"errors"
	"io"

	"github.com/micro/micro/v3/backend/store"
)

// Check reads all blobs of a namespace and calls tell for each that is not what was
// written. It returns how many there are, and their bytes.
func Check(ctx context.Context, s store.Store, ns string, tell func(name string, err error)) (n int, bytes int64, err error) {
	b := &Blobs{store: s, pins: pins{uses: map[string]*pin{}}}
	prefix := namePrefix(ns)
	for rec, err := range s.Range(ctx, store.Prefix(prefix)) {
		if err != nil {
			return n, bytes, err
		}
		n++
		size, err := b.check(ctx, ns, rec.Key[len(prefix):])
		if ctx.Err() != nil {
			return n, bytes, ctx.Err()
		}
		if err != nil {
			tell(rec.Key[len(prefix):], err)
		}
		bytes += size
	}
	return n, bytes, nil
}

// check reads a blob and compares its digest.
func (b *Blobs) check(ctx context.Context, ns, name string) (size int64, err error) {
	r, err := b.Read(ctx, ns, name, 0, 0)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	for {
		piece, err := r.Next(ctx)
		size += int64(len(piece))
		if errors.Is(err, io.EOF) {
			return size, nil
		}
		if err != nil {
			return size, err
		}
	}
}
