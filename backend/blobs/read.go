package blobs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
	"time"

	"github.com/micro/micro/v3/backend/store"
)

// Reader reads a blob as it was when it was opened. Use it from one goroutine, and
// call [Reader.Close] when done with it.
type Reader struct {
	Info Info
	// Offset and Length say which part of the content is read.
	Offset, Length int64

	blobs  *Blobs
	ns, id string
	part   int64 // the size of all parts but the last
	at     int64 // in the content
	sum    hash.Hash
}

// Read opens the content of a blob from an offset on, at most length bytes; 0: to the
// end. [ErrNotFound] when there is none, [ErrInvalid] when it is shorter than offset.
func (b *Blobs) Read(ctx context.Context, ns, name string, offset, length int64) (*Reader, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if offset < 0 || length < 0 {
		return nil, invalid("a negative offset or length")
	}
	m, err := b.find(ctx, ns, name)
	if err != nil {
		return nil, err
	}
	info, err := m.info(name)
	if err != nil {
		return nil, err
	}
	if offset > info.Size {
		return nil, invalid("the offset %d is behind the end: the blob has %d bytes", offset, info.Size)
	}
	if rest := info.Size - offset; length == 0 || length > rest {
		length = rest
	}
	r := &Reader{Info: info, Offset: offset, Length: length, blobs: b, ns: ns, id: m.Upload, part: m.Part, at: offset}
	if length == info.Size {
		r.sum = sha256.New()
	}
	b.pins.add(r.id)
	return r, nil
}

// Next returns the next piece of what is read, and [io.EOF] behind the last one; that
// comes only when a content that was read as a whole has the digest that it had when
// it was written, else the error is [ErrDamaged]. [ErrReplaced] when somebody has
// replaced the blob and this reader took too long.
func (r *Reader) Next(ctx context.Context) ([]byte, error) {
	end := r.Offset + r.Length
	if r.at == end {
		if r.sum != nil && !bytes.Equal(r.sum.Sum(nil), r.Info.SHA256) {
			return nil, fmt.Errorf("blob %q: %w: it has the SHA-256 %x, and was written with %x", r.Info.Name, ErrDamaged, r.sum.Sum(nil), r.Info.SHA256)
		}
		return nil, io.EOF
	}
	n := r.at / r.part
	rec, err := r.blobs.store.Get(ctx, partKey(r.ns, r.id, n))
	if errors.Is(err, store.ErrNotFound) {
		return nil, r.missing(ctx, n)
	}
	if err != nil {
		return nil, err
	}
	first := n * r.part
	if want := min(r.part, r.Info.Size-first); int64(len(rec.Value)) != want {
		return nil, fmt.Errorf("blob %q: %w: its part %d has %d bytes, and not %d", r.Info.Name, ErrDamaged, n, len(rec.Value), want)
	}
	piece := rec.Value[r.at-first : min(end-first, int64(len(rec.Value)))]
	r.at += int64(len(piece))
	if r.sum != nil {
		r.sum.Write(piece)
	}
	return piece, nil
}

// missing says why a part is not there.
func (r *Reader) missing(ctx context.Context, n int64) error {
	m, err := r.blobs.find(ctx, r.ns, r.Info.Name)
	switch {
	case errors.Is(err, ErrNotFound), err == nil && m.Upload != r.id:
		return ErrReplaced
	case err != nil:
		return err
	default:
		return fmt.Errorf("blob %q: %w: its part %d is missing", r.Info.Name, ErrDamaged, n)
	}
}

// Close ends the reading.
func (r *Reader) Close() {
	if r.blobs.pins.remove(r.id) {
		r.blobs.sweepSoon(looseKey(r.ns, r.id))
	}
}

// pinned is how long parts that no name stands for any more are kept for readers that
// have not come to their end.
const pinned = time.Hour

// pins are the uploads whose parts are being read.
type pins struct {
	mu   sync.Mutex
	uses map[string]*pin
}

type pin struct {
	readers int
	loose   time.Time // when a sweep has first seen it; zero: not yet
}

func (p *pins) add(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.uses[id] == nil {
		p.uses[id] = &pin{}
	}
	p.uses[id].readers++
}

// remove reports whether a sweep waits for this reader, which was the last.
func (p *pins) remove(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	use := p.uses[id]
	if use.readers--; use.readers > 0 {
		return false
	}
	delete(p.uses, id)
	return !use.loose.IsZero()
}

// keep reports whether loose parts are kept for somebody who reads them.
func (p *pins) keep(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	use := p.uses[id]
	if use == nil {
		return false
	}
	if use.loose.IsZero() {
		use.loose = time.Now()
	}
	return time.Since(use.loose) < pinned
}
