package blobs

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/micro/micro/v3/backend/store"
)

// quota bounds what the blobs of a namespace may have, with what is on its way. This
// process counts: it adds up what is there when it first has to know. Without a limit
// nothing is counted.
type quota struct {
	limit int64 // 0: none
	sum   func(ctx context.Context, ns string) (int64, error)

	mu   sync.Mutex
	used map[string]*usage
}

// usage is what a namespace has.
type usage struct {
	// changing is held to read by what changes the blobs that are there, and to
	// write while these are added up.
	changing sync.RWMutex

	mu     sync.Mutex
	known  bool
	there  int64 // bytes of the blobs, once that is known
	coming int64 // bytes of uploads
}

func (q *quota) of(ns string) *usage {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.used[ns] == nil {
		q.used[ns] = &usage{}
	}
	return q.used[ns]
}

// reserve takes room for bytes of an upload, or returns [ErrQuota].
func (q *quota) reserve(ctx context.Context, ns string, n int64) error {
	if q.limit == 0 {
		return nil
	}
	u := q.of(ns)
	for {
		u.mu.Lock()
		if u.known {
			break
		}
		u.mu.Unlock()
		if err := u.count(func() (int64, error) { return q.sum(ctx, ns) }); err != nil {
			return err
		}
	}
	defer u.mu.Unlock()
	if u.there+u.coming+n > q.limit {
		return fmt.Errorf("%w: they have %d bytes with what is on its way, and %d are allowed", ErrQuota, u.there+u.coming, q.limit)
	}
	u.coming += n
	return nil
}

// release gives back what was reserved for an upload that has come to its end.
func (q *quota) release(ns string, n int64) {
	if q.limit == 0 {
		return
	}
	u := q.of(ns)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.coming -= n
}

// change does what changes the blobs that are there by so many bytes.
func (q *quota) change(ns string, by int64, do func() error) error {
	if q.limit == 0 {
		return do()
	}
	u := q.of(ns)
	u.changing.RLock()
	defer u.changing.RUnlock()
	err := do()
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case err == nil:
		u.there += by
	case !errors.Is(err, store.ErrConflict):
		u.known = false // it may have been done
	}
	return err
}

// forget has what is there be added up again.
func (q *quota) forget(ns string) {
	if q.limit == 0 {
		return
	}
	u := q.of(ns)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.known = false
}

// count adds up what is there, unless that is known.
func (u *usage) count(sum func() (int64, error)) error {
	u.changing.Lock()
	defer u.changing.Unlock()
	u.mu.Lock()
	known := u.known
	u.mu.Unlock()
	if known {
		return nil
	}
	n, err := sum()
	if err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.there, u.known = n, true
	return nil
}

// sum returns how many bytes the blobs of a namespace have.
func (b *Blobs) sum(ctx context.Context, ns string) (int64, error) {
	var n int64
	for rec, err := range b.store.Range(ctx, store.Prefix(namePrefix(ns))) {
		if err != nil {
			return 0, err
		}
		m, err := decode(rec)
		if err != nil {
			return 0, err
		}
		n += m.Size
	}
	return n, nil
}
