package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
)

// View is a copy in memory of the records below a prefix, decoded, and kept
// current by a watch. It is what a hot path reads instead of the store.
//
// A view is behind the store by as long as a watch takes; [View.Wait] makes it
// show what the caller itself wrote. All methods are safe for concurrent use.
type View[T any] struct {
	store  Store
	prefix string
	decode func(Record) (T, error)
	close  context.CancelFunc
	done   chan struct{}

	mu       sync.RWMutex
	records  map[string]T // by the key without the prefix
	revision int64        // everything up to here is in records
	changed  chan struct{}
	err      error // why the view ended

	generation atomic.Int64
}

// NewView reads the records below prefix and returns when they are in memory.
// A record that decode refuses makes the view fail: half a view would be wrong
// in silence. The view lives until [View.Close].
func NewView[T any](ctx context.Context, s Store, prefix string, decode func(Record) (T, error)) (*View[T], error) {
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	v := &View[T]{
		store:   s,
		prefix:  prefix,
		decode:  decode,
		close:   cancel,
		done:    make(chan struct{}),
		records: map[string]T{},
		changed: make(chan struct{}),
	}
	synced := make(chan struct{})
	go v.run(run, synced)
	select {
	case <-synced:
		return v, nil
	case <-v.done:
		cancel()
		return nil, v.Err()
	case <-ctx.Done():
		v.Close()
		return nil, ctx.Err()
	}
}

// Close ends the watch. What was read last stays readable.
func (v *View[T]) Close() {
	v.close()
	<-v.done
}

// Err returns why the view ended, nil while it is kept current.
func (v *View[T]) Err() error {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.err
}

// Done is closed when the view has ended.
func (v *View[T]) Done() <-chan struct{} { return v.done }

// Get returns the record of a key, which is given without the view's prefix.
func (v *View[T]) Get(key string) (T, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	t, ok := v.records[key]
	return t, ok
}

// Each calls f with every key, without the view's prefix, and its record, in no
// order, until f returns false. f must not call the view.
func (v *View[T]) Each(f func(key string, t T) bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	for k, t := range v.records {
		if !f(k, t) {
			return
		}
	}
}

// Generation changes whenever the view does.
func (v *View[T]) Generation() int64 { return v.generation.Load() }

// Changed returns a channel that is closed at the next change.
func (v *View[T]) Changed() <-chan struct{} {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.changed
}

// Wait returns when the view shows all that a transaction changed below the prefix,
// which has to be something. revision is that of the transaction.
func (v *View[T]) Wait(ctx context.Context, revision int64) error {
	for {
		v.mu.RLock()
		reached, changed, err := v.revision >= revision, v.changed, v.err
		v.mu.RUnlock()
		if reached {
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (v *View[T]) run(ctx context.Context, synced chan struct{}) {
	defer close(v.done)
	for {
		err := v.follow(ctx, &synced)
		if errors.Is(err, ErrCompacted) {
			continue // too far behind: begin again with what is there now
		}
		v.mu.Lock()
		v.err = fmt.Errorf("watch %s: %w", v.prefix, err)
		close(v.changed)
		v.changed = make(chan struct{})
		v.mu.Unlock()
		return
	}
}

// follow applies changes until the watch ends. What it reads first it collects
// in a map of its own, so that readers never see half of it.
func (v *View[T]) follow(ctx context.Context, synced *chan struct{}) error {
	fresh := map[string]T{}
	var newest int64
	caughtUp := false
	for c, err := range v.store.Watch(ctx, v.prefix, 0) {
		if err != nil {
			return err
		}
		newest = max(newest, c.Revision)
		reached := c.Revision
		if c.More {
			reached-- // the transaction is not whole yet
		}
		key := strings.TrimPrefix(c.Record.Key, v.prefix)
		var t T
		if c.Kind == KindPut {
			if t, err = v.decode(c.Record); err != nil {
				return fmt.Errorf("%s: %w", c.Record.Key, err)
			}
		}
		switch {
		case c.Kind == Synced:
			v.apply(newest, func() { v.records = fresh })
			caughtUp = true
			if *synced != nil {
				close(*synced)
				*synced = nil
			}
		case !caughtUp:
			fresh[key] = t
		case c.Kind == KindPut:
			v.apply(reached, func() { v.records[key] = t })
		default:
			v.apply(reached, func() { delete(v.records, key) })
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return ErrClosed
}

func (v *View[T]) apply(revision int64, change func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	change()
	v.revision = max(v.revision, revision)
	v.generation.Add(1)
	close(v.changed)
	v.changed = make(chan struct{})
}
