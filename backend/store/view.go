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
// show what the caller itself wrote. What a transaction changed it shows at once.
// All methods are safe for concurrent use.
type View[T any] struct {
	store   Store
	prefix  string
	decode  func(Record) (T, error)
	observe func([]Delta[T])
	close   context.CancelFunc
	done    chan struct{}

	mu       sync.RWMutex
	records  map[string]entry[T] // by the key without the prefix
	revision int64               // everything up to here is in records
	changed  chan struct{}
	err      error // why the view ended

	generation atomic.Int64
}

type entry[T any] struct {
	value    T
	revision int64
}

// Delta is a change of one record of a view.
type Delta[T any] struct {
	Key     string // without the view's prefix
	Was, Is *T     // nil: not there
}

// NewView reads the records below prefix and returns when they are in memory.
// A record that decode refuses makes the view fail: half a view would be wrong
// in silence. The view lives until [View.Close].
func NewView[T any](ctx context.Context, s Store, prefix string, decode func(Record) (T, error)) (*View[T], error) {
	return NewObservedView(ctx, s, prefix, decode, nil)
}

// NewObservedView is [NewView] with a function that is called with all that is
// read first, and then with what each transaction changed, before anybody can see
// it. Calls come one after the other. observe must not call the view, which waits
// for it, and must not keep the slice.
func NewObservedView[T any](
	ctx context.Context, s Store, prefix string, decode func(Record) (T, error), observe func([]Delta[T]),
) (*View[T], error) {
	run, cancel := context.WithCancel(context.Background())
	v := &View[T]{
		store:   s,
		prefix:  prefix,
		decode:  decode,
		observe: observe,
		close:   cancel,
		done:    make(chan struct{}),
		records: map[string]entry[T]{},
		changed: make(chan struct{}),
	}
	synced := make(chan struct{})
	go v.run(run, sync.OnceFunc(func() { close(synced) }))
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
	e, ok := v.records[key]
	return e.value, ok
}

// Each calls f with every key, without the view's prefix, and its record, in no
// order, until f returns false. f must not call the view.
func (v *View[T]) Each(f func(key string, t T) bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	for k, e := range v.records {
		if !f(k, e.value) {
			return
		}
	}
}

// Generation changes whenever the view does.
func (v *View[T]) Generation() int64 { return v.generation.Load() }

// Changed returns a channel that is closed at the next change, and when the view
// ends.
func (v *View[T]) Changed() <-chan struct{} {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.changed
}

// Wait returns when the view shows all that a transaction changed below the prefix,
// which has to be something. revision is that of the transaction. It returns why
// the view ended when that comes first.
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

func (v *View[T]) run(ctx context.Context, synced func()) {
	defer close(v.done)
	for {
		err := v.follow(ctx, synced)
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
func (v *View[T]) follow(ctx context.Context, synced func()) error {
	fresh := map[string]entry[T]{}
	var newest int64
	var deltas []Delta[T] // of a transaction that is not whole yet
	for c, err := range v.store.Watch(ctx, v.prefix, 0) {
		if err != nil {
			return err
		}
		newest = max(newest, c.Revision)
		if c.Kind == Synced {
			v.replace(fresh, newest)
			fresh = nil
			synced()
			continue
		}
		d := Delta[T]{Key: strings.TrimPrefix(c.Record.Key, v.prefix)}
		if c.Kind == KindPut {
			t, err := v.decode(c.Record)
			if err != nil {
				return fmt.Errorf("%s: %w", c.Record.Key, err)
			}
			d.Is = &t
		}
		switch {
		case fresh != nil: // what is there: puts alone
			fresh[d.Key] = entry[T]{*d.Is, c.Revision}
		case c.More:
			deltas = append(deltas, d)
		default:
			v.apply(append(deltas, d), c.Revision)
			deltas = nil
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return ErrClosed
}

// replace makes fresh, which was read as of revision, what the view shows.
func (v *View[T]) replace(fresh map[string]entry[T], revision int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var deltas []Delta[T]
	if v.observe != nil {
		deltas = differences(v.records, fresh)
	}
	v.records = fresh
	v.advance(deltas, revision)
}

// differences returns what has changed between two states of a view.
func differences[T any](was, is map[string]entry[T]) []Delta[T] {
	var deltas []Delta[T]
	for key, e := range is {
		old, had := was[key]
		switch {
		case !had:
			deltas = append(deltas, Delta[T]{Key: key, Is: &e.value})
		case old.revision != e.revision:
			deltas = append(deltas, Delta[T]{Key: key, Was: &old.value, Is: &e.value})
		}
	}
	for key, e := range was {
		if _, there := is[key]; !there {
			deltas = append(deltas, Delta[T]{Key: key, Was: &e.value})
		}
	}
	return deltas
}

// apply makes the changes of a transaction.
func (v *View[T]) apply(deltas []Delta[T], revision int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := range deltas {
		d := &deltas[i]
		if old, had := v.records[d.Key]; had {
			d.Was = &old.value
		}
		if d.Is == nil {
			delete(v.records, d.Key)
		} else {
			v.records[d.Key] = entry[T]{*d.Is, revision}
		}
	}
	v.advance(deltas, revision)
}

// advance tells of a change that was made. v.mu is held.
func (v *View[T]) advance(deltas []Delta[T], revision int64) {
	if v.observe != nil && len(deltas) > 0 {
		v.observe(deltas)
	}
	v.revision = max(v.revision, revision)
	v.generation.Add(1)
	close(v.changed)
	v.changed = make(chan struct{})
}
