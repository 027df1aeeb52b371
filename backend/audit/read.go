package audit

import (
	"context"
	"errors"
	"iter"
	"strings"
	"time"

	"github.com/micro/micro/v3/backend/store"
)

// Query selects calls of a log.
type Query struct {
	After   int64     // only those whose sequence comes after
	Since   time.Time // only those recorded then or later
	Account string    // ACCOUNT or NAMESPACE/ACCOUNT; empty: any
	Method  string    // Service.Method, or one of the two; empty: any
	First   int       // at most so many, the first ones; 0: all
	Last    int       // at most so many, the last ones; 0: all
	Follow  bool      // wait for more, until ctx ends
}

// matches reports whether an entry is one that is asked for.
func (q Query) matches(e Entry) bool {
	if e.Sequence <= q.After || e.Time.Before(q.Since) {
		return false
	}
	if q.Account != "" && q.Account != e.Account {
		if _, id, _ := strings.Cut(e.Account, "/"); id != q.Account {
			return false
		}
	}
	if q.Method != "" && !strings.EqualFold(q.Method, e.Method) {
		service, method, _ := strings.Cut(e.Method, ".")
		return strings.EqualFold(q.Method, service) || strings.EqualFold(q.Method, method)
	}
	return true
}

// Read yields an entry for each call: that which says how it has ended, and the one
// that it was begun with where nothing is known of its end: it is under way, or the
// server was killed. They come in the order of their sequences. One that follows yields
// calls when they have ended, and ends with the error of ctx or the store.
func (l *Log) Read(ctx context.Context, ns string, q Query) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		err := l.read(ctx, ns, q, func(e Entry) bool { return yield(e, nil) })
		if err != nil && !errors.Is(err, errEnough) {
			yield(Entry{}, err)
		}
	}
}

// errEnough says that the consumer has ended its loop.
var errEnough = errors.New("enough")

func (l *Log) read(ctx context.Context, ns string, q Query, each func(Entry) bool) error {
	n := 0
	yield := func(e Entry) bool {
		n++
		return each(e) && n != q.First
	}
	for {
		// What is recorded from here on the watch shows.
		revision, err := l.store.Txn(ctx, store.Txn{})
		if err != nil {
			return err
		}
		last, err := l.past(ctx, ns, q, yield)
		if err != nil || !q.Follow {
			return err
		}
		q.After, q.Last = max(q.After, last), 0
		err = l.follow(ctx, ns, revision, &q, yield)
		if !errors.Is(err, store.ErrCompacted) { // else it was too slow: it begins again where it was
			return err
		}
	}
}

// past yields what is there, and returns the last sequence that it has looked at.
func (l *Log) past(ctx context.Context, ns string, q Query, yield func(Entry) bool) (int64, error) {
	s, err := l.survey(ctx, ns, q)
	if err != nil {
		return 0, err
	}
	r := store.Prefix(entryPrefix(ns))
	r.Start, r.End = entryKey(ns, s.first), entryKey(ns, s.last)+"\x00"
	for rec, err := range l.store.Range(ctx, r) {
		if err != nil {
			return 0, err
		}
		e, err := decode(rec)
		if err != nil || !q.matches(e) || e.Kind == Begun && (q.Follow || s.ended[e.Sequence]) {
			continue // what cannot be read is for Verify to tell
		}
		if !yield(e) {
			return 0, errEnough
		}
	}
	return s.last, nil
}

// surveyed is what has to be known of the entries that a query is about before the
// first of them can be told.
type surveyed struct {
	first, last int64          // to look at
	ended       map[int64]bool // calls whose ends are among them
}

// survey goes from the newest entry back to the first one that a query asks for.
func (l *Log) survey(ctx context.Context, ns string, q Query) (surveyed, error) {
	s := surveyed{first: q.After + 1, ended: map[int64]bool{}}
	r := store.Prefix(entryPrefix(ns))
	r.Start, r.Reverse = entryKey(ns, q.After+1), true
	n := 0
	for rec, err := range l.store.Range(ctx, r) {
		if err != nil {
			return surveyed{}, err
		}
		s.last = max(s.last, sequenceOf(ns, rec.Key))
		e, err := decode(rec)
		if err != nil {
			continue
		}
		if e.Kind == Ended {
			s.ended[e.Of] = true
		}
		if !q.matches(e) || e.Kind == Begun && (q.Follow || s.ended[e.Sequence]) {
			continue
		}
		if n++; n == q.Last {
			s.first = e.Sequence
			break
		}
	}
	return s, nil
}

// follow yields what is recorded after a revision, and keeps in q where it is.
func (l *Log) follow(ctx context.Context, ns string, revision int64, q *Query, yield func(Entry) bool) error {
	for c, err := range l.store.Watch(ctx, entryPrefix(ns), max(revision, 1)) {
		if err != nil {
			return err
		}
		if c.Kind != store.KindPut {
			continue
		}
		e, err := decode(c.Record)
		if err != nil || e.Kind == Begun || !q.matches(e) {
			continue
		}
		if !yield(e) {
			return errEnough
		}
		q.After = e.Sequence
	}
	return ctx.Err()
}
