package embedded

import (
	"bytes"
	"context"
	"errors"
	"iter"

	"github.com/cockroachdb/pebble/v2"

	engine "github.com/micro/micro/v3/backend/embedded"
	"github.com/micro/micro/v3/backend/store"
)

// Get implements [store.Store].
func (s *Store) Get(ctx context.Context, key string) (store.Record, error) {
	if err := s.enter(ctx); err != nil {
		return store.Record{}, err
	}
	defer s.leave()
	if err := store.CheckKey(key); err != nil {
		return store.Record{}, err
	}
	k := dataKey(key)
	v, closer, err := s.commits.Get(k)
	if errors.Is(err, engine.ErrNotFound) {
		return store.Record{}, store.ErrNotFound
	}
	if err != nil {
		return store.Record{}, err
	}
	defer closer.Close()
	m, value, err := parseData(k, v)
	if err != nil {
		return store.Record{}, err
	}
	if m.expired(s.clock.now()) {
		return store.Record{}, store.ErrNotFound
	}
	return store.Record{Key: key, Value: bytes.Clone(value), Revision: m.revision, Expires: wall(m.expires)}, nil
}

// Range implements [store.Store].
func (s *Store) Range(ctx context.Context, r store.Range) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		if err := s.scan(ctx, r, yield); err != nil {
			yield(store.Record{}, err)
		}
	}
}

// scan yields the records of r. It returns nil when the consumer has ended the loop.
func (s *Store) scan(ctx context.Context, r store.Range, yield func(store.Record, error) bool) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	if r.End != "" && r.End <= r.Start {
		return nil
	}
	o := &pebble.IterOptions{LowerBound: dataKey(r.Start), UpperBound: bound(kindData)}
	if r.End != "" {
		o.UpperBound = dataKey(r.End)
	}
	it, err := s.commits.NewIter(o)
	if err != nil {
		return err
	}
	defer it.Close()
	now := s.clock.now()
	first, next := it.First, it.Next
	if r.Reverse {
		first, next = it.Last, it.Prev
	}
	n := 0
	for ok := first(); ok; ok = next() {
		if err := s.interrupted(ctx); err != nil {
			return err
		}
		rec, err := s.record(it, now, r.KeysOnly)
		if err != nil {
			return err
		}
		if rec.Key == "" {
			continue // expired
		}
		if !yield(rec, nil) {
			return nil
		}
		if n++; n == r.Limit {
			return nil
		}
	}
	return s.db.IterError(it)
}

// record returns the record that an iterator is at, without a key when it has expired.
func (s *Store) record(it *pebble.Iterator, now int64, keyOnly bool) (store.Record, error) {
	v, err := it.ValueAndErr()
	if err != nil {
		return store.Record{}, s.db.IterError(it)
	}
	k := it.Key()
	if keyOnly {
		m, err := parseMeta(k, v)
		if err != nil || m.expired(now) {
			return store.Record{}, err
		}
		return store.Record{Key: string(k[2:]), Revision: m.revision, Expires: wall(m.expires)}, nil
	}
	m, value, err := parseData(k, v)
	if err != nil || m.expired(now) {
		return store.Record{}, err
	}
	return store.Record{Key: string(k[2:]), Value: bytes.Clone(value), Revision: m.revision, Expires: wall(m.expires)}, nil
}

// interrupted returns why a call that goes on for long should end now.
func (s *Store) interrupted(ctx context.Context) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case s.calls.isClosed():
		return store.ErrClosed
	}
	return s.db.Err()
}
