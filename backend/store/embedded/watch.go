package embedded

import (
	"bytes"
	"context"
	"iter"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"github.com/micro/micro/v3/backend/store"
)

// A watch reads the index of changes in parts, so that nothing of the engine is held
// while its consumer is at work.
const (
	partChanges = 256
	partBytes   = 256 << 10
)

// Watch implements [store.Store].
func (s *Store) Watch(ctx context.Context, prefix string, from int64) iter.Seq2[store.Change, error] {
	return func(yield func(store.Change, error) bool) {
		if err := s.watch(ctx, prefix, from, yield); err != nil {
			yield(store.Change{}, err)
		}
	}
}

// watch yields changes until something ends it. It returns nil when that was the
// consumer.
func (s *Store) watch(ctx context.Context, prefix string, from int64, yield func(store.Change, error) bool) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	// Before the first read, so that no change falls between that and the waiting.
	w := s.hub.add(prefix)
	defer s.hub.remove(w)
	// To wait for one thing costs half of what it costs to wait for one of four, and a
	// thousand watches do it at each change: so whatever ends a watch wakes it.
	defer context.AfterFunc(ctx, w.poke)()
	if err := s.interrupted(ctx); err != nil {
		return err // of which the hub may have told before
	}

	var upTo int64 // everything up to this revision has been shown
	var more bool  // the consumer goes on
	var err error
	if from > 0 {
		upTo, more, err = s.catchUp(ctx, prefix, from, yield)
	} else {
		upTo, more, err = s.list(ctx, prefix, yield)
	}
	if err != nil || !more {
		return err
	}
	if !yield(store.Change{Kind: store.Synced, Revision: upTo}, nil) {
		return nil
	}
	for {
		<-w.wake
		if err := s.interrupted(ctx); err != nil {
			return err
		}
		// Between what has been shown and the change that it was woken for there is
		// none for it: the hub tells of every one.
		start := max(upTo+1, w.first.Swap(0))
		if upTo, more, err = s.changes(ctx, prefix, start, s.durable.Load(), yield); err != nil || !more {
			return err
		}
	}
}

// list yields all records below prefix and returns the revision as of which.
func (s *Store) list(ctx context.Context, prefix string, yield func(store.Change, error) bool) (int64, bool, error) {
	it, err := s.commits.NewIter(&pebble.IterOptions{LowerBound: changeKey(position{}), UpperBound: bound(kindData)})
	if err != nil {
		return 0, false, err
	}
	defer it.Close()
	now := s.clock.now()
	revision := s.floor.Load().revision
	if it.SeekLT(bound(kindChange)) {
		p, err := parsePosition(it.Key())
		if err != nil {
			return 0, false, err
		}
		revision = p.revision
	}
	if err := s.db.IterError(it); err != nil {
		return 0, false, err
	}
	start := dataKey(prefix)
	for ok := it.SeekGE(start); ok && bytes.HasPrefix(it.Key(), start); ok = it.Next() {
		if err := s.interrupted(ctx); err != nil {
			return 0, false, err
		}
		rec, err := s.record(it, now, false)
		if err != nil {
			return 0, false, err
		}
		if rec.Key == "" {
			continue // expired
		}
		if !yield(store.Change{Kind: store.KindPut, Revision: rec.Revision, Record: rec}, nil) {
			return 0, false, nil
		}
	}
	return revision, true, s.db.IterError(it)
}

// catchUp yields the changes after from that are there now.
func (s *Store) catchUp(ctx context.Context, prefix string, from int64, yield func(store.Change, error) bool) (int64, bool, error) {
	durable := s.durable.Load()
	if from > durable || from < s.floor.Load().revision {
		return 0, false, store.ErrCompacted
	}
	return s.changes(ctx, prefix, from+1, durable, yield)
}

// changes yields the changes from revision start up to end, and returns end. more is
// false when the consumer has ended the loop.
func (s *Store) changes(ctx context.Context, prefix string, start, end int64, yield func(store.Change, error) bool) (upTo int64, more bool, err error) {
	next := position{revision: start}
	// A change is held back until the one after it tells whether that is of the
	// same transaction.
	var held store.Change
	for next.revision <= end {
		if err := s.interrupted(ctx); err != nil {
			return 0, false, err
		}
		var part []store.Change
		if part, next, err = s.part(prefix, next, end); err != nil {
			return 0, false, err
		}
		for _, c := range part {
			if held.More = held.Revision == c.Revision; held.Kind != 0 && !yield(held, nil) {
				return 0, false, nil
			}
			held = c
		}
	}
	if held.More = false; held.Kind != 0 && !yield(held, nil) {
		return 0, false, nil
	}
	return max(end, start-1), true, nil
}

// part reads some of the changes from start up to revision end, and returns where
// the next are.
func (s *Store) part(prefix string, start position, end int64) ([]store.Change, position, error) {
	if start.index == 0 && start.revision > s.floor.Load().revision {
		if part, ok := s.tail.part(prefix, start.revision, end); ok {
			return part, position{revision: end + 1}, nil
		}
	}
	it, err := s.db.NewIter(&pebble.IterOptions{
		LowerBound: changeKey(start),
		UpperBound: changeKey(position{revision: end + 1}),
	})
	if err != nil {
		return nil, start, err
	}
	defer it.Close()
	// Only now: what is cut off later the iterator still has.
	if start.revision <= s.floor.Load().revision {
		return nil, start, store.ErrCompacted
	}
	var part []store.Change
	size := 0
	for ok := it.First(); ok; ok = it.Next() {
		p, err := parsePosition(it.Key())
		if err != nil {
			return nil, start, err
		}
		v, err := it.ValueAndErr()
		if err != nil {
			return nil, start, s.db.IterError(it)
		}
		size += len(v)
		c, err := parseChange(it.Key(), v)
		if err != nil {
			return nil, start, err
		}
		if strings.HasPrefix(string(c.key), prefix) {
			part = append(part, c.export(p.revision))
		}
		if len(part) == partChanges || size >= partBytes {
			return part, position{p.revision, p.index + 1}, nil
		}
	}
	return part, position{revision: end + 1}, s.db.IterError(it)
}

// export returns the change as a watch yields it.
func (c *change) export(revision int64) store.Change {
	out := store.Change{
		Kind:     c.kind,
		Revision: revision,
		Record:   store.Record{Key: string(c.key), Revision: revision, Expires: wall(c.expires)},
	}
	if c.kind == store.KindPut {
		out.Record.Value = bytes.Clone(c.value)
	}
	return out
}
