package blobs

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/micro/micro/v3/backend/store"
)

const (
	// sweepEvery is how often uploads are looked for that ended without a word.
	sweepEvery = time.Minute
	// sweepParts is how many parts are removed at once: to remove a record the store
	// reads it, and others wait meanwhile.
	sweepParts = 128
)

// sweeper removes loose parts: those that it is told of at once, and from time to time
// all that there are.
type sweeper struct {
	stop context.CancelFunc
	done sync.WaitGroup
	wake chan struct{}

	mu   sync.Mutex
	keys []string // told, and not swept yet
}

// sweepSoon tells of loose parts.
func (b *Blobs) sweepSoon(looseKey string) {
	s := &b.sweeper
	s.mu.Lock()
	s.keys = append(s.keys, looseKey)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// told returns what was told since it was last asked.
func (s *sweeper) told() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := s.keys
	s.keys = nil
	return keys
}

func (b *Blobs) sweepAlways(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	last := ""
	for err := b.sweepAll(ctx); ; {
		switch {
		case ctx.Err() != nil || errors.Is(err, store.ErrClosed):
			return
		case err == nil:
			last = ""
		case err.Error() != last:
			last = err.Error()
			b.log.Warn("parts of blobs that are gone could not be removed; it is tried again", "err", err)
		}
		select {
		case <-tick.C:
			err = b.sweepAll(ctx)
		case <-b.sweeper.wake:
			err = b.sweep(ctx, b.sweeper.told())
		case <-ctx.Done():
		}
	}
}

// sweepAll removes all parts that are of no blob, no upload and no reader.
func (b *Blobs) sweepAll(ctx context.Context) error {
	r := store.Prefix(loosePrefix())
	r.Limit = store.MaxOps
	var failed error
	for {
		var keys []string
		for rec, err := range b.store.Range(ctx, r) {
			if err != nil {
				return err
			}
			keys = append(keys, rec.Key)
		}
		if len(keys) == 0 {
			return failed
		}
		failed = cmp.Or(b.sweep(ctx, keys), failed)
		r.Start = keys[len(keys)-1] + "\x00"
	}
}

// sweep removes the parts that keys say to be loose.
func (b *Blobs) sweep(ctx context.Context, looseKeys []string) error {
	var failed error
	for _, key := range looseKeys {
		failed = cmp.Or(b.remove(ctx, key), failed)
	}
	return failed
}

// remove removes the parts that a key says to be loose, unless somebody needs them.
func (b *Blobs) remove(ctx context.Context, looseKey string) error {
	ns, id, _ := strings.Cut(strings.TrimPrefix(looseKey, loosePrefix()), "/")
	if b.pins.keep(id) {
		return nil
	}
	// Whatever adds to an upload needs the first of these records, and what makes a blob
	// of it removes both at once. So nothing comes any more of one that is gone and has
	// loose parts afterwards; asked in the other order, it may just have become a blob.
	if found, err := b.exists(ctx, uploadKey(ns, id)); err != nil || found {
		return err
	}
	if found, err := b.exists(ctx, looseKey); err != nil || !found {
		return err
	}
	return b.removeAll(ctx, partPrefix(ns, id), store.Delete(looseKey))
}

func (b *Blobs) exists(ctx context.Context, key string) (bool, error) {
	_, err := b.store.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// removeAll removes all records below a prefix, and does what comes last with the last
// of them.
func (b *Blobs) removeAll(ctx context.Context, prefix string, last ...store.Op) error {
	r := store.Prefix(prefix)
	r.Limit, r.KeysOnly = sweepParts, true
	for {
		var t store.Txn
		for rec, err := range b.store.Range(ctx, r) {
			if err != nil {
				return err
			}
			t.Do = append(t.Do, store.Delete(rec.Key))
			r.Start = rec.Key + "\x00"
		}
		end := len(t.Do) < sweepParts
		if end {
			t.Do = append(t.Do, last...)
		}
		if len(t.Do) > 0 {
			if _, err := b.store.Txn(ctx, t); err != nil {
				return err
			}
		}
		if end {
			return nil
		}
	}
}

// Purge removes all blobs of a namespace, with what is being uploaded. Who reads them
// is not waited for.
func (b *Blobs) Purge(ctx context.Context, ns string) error {
	err := b.removeAll(ctx, ns+"/blob/")
	b.quota.forget(ns)
	return err
}
