// Package embedded is the store driver that keeps its data in the server's own
// directory, next to the events driver, in the database of backend/embedded.
//
//	Txn ──▶ Committer ──▶ records, changes and deadlines in one batch, one fsync
//	Get, Range ◀── what is durable
//	Watch ◀── the index of changes, read again whenever the hub says so
//
// The index of changes holds every change with its value, oldest first, and is cut
// at its old end when it has too many entries or bytes. It is what a watch reads, and
// its newest part is in memory: there are no queues for watchers, and one that falls
// behind costs nobody anything.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	engine "github.com/micro/micro/v3/backend/embedded"
	"github.com/micro/micro/v3/backend/store"
)

// Options adjust a store. The zero value is good for a server.
type Options struct {
	// MaxChanges and MaxChangeBytes bound the index of changes: with more, the
	// oldest are dropped. 0: 100,000 and 64 MiB.
	MaxChanges     int64
	MaxChangeBytes int64
	// Now tells the time when the store is opened; nil: the machine's. Later the
	// time is that plus what has passed since, whatever the machine's clock does.
	Now func() time.Time
	// ReadOnly is for a database that was opened so: transactions that would change
	// something fail, and nothing expires.
	ReadOnly bool
}

// Store is a store in a database. It has the space [engine.Store] for itself.
type Store struct {
	db      *engine.DB
	options Options
	clock   clock

	commits *engine.Committer[group]
	tail    tail
	hub     hub
	reaper  *reaper
	trimmer *trimmer

	calls  gate
	closed sync.Once
	err    error // of Close

	// Only used by one write at a time.
	newest int64 // the revision given last
	total  int64 // the length of all changes that there ever were

	durable atomic.Int64          // the newest revision that is
	floor   atomic.Pointer[floor] // up to where changes are gone, or are about to be
}

var (
	_ store.Store        = (*Store)(nil)
	_ store.Checkpointer = (*Store)(nil)
)

// Open opens the store in a database, which it does not own: close the store first.
// A second store in the same database must not be opened before.
func Open(ctx context.Context, db *engine.DB, o Options) (*Store, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if o.MaxChanges <= 0 {
		o.MaxChanges = 100_000
	}
	if o.MaxChangeBytes <= 0 {
		o.MaxChangeBytes = 64 << 20
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Store{db: db, options: o, clock: newClock(o.Now()), calls: newGate()}
	if err := s.recover(); err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	// Whatever runs may call all of the others.
	s.reaper, s.trimmer = newReaper(s), newTrimmer(s)
	s.trimmer.note(s.newest, s.total)
	s.commits = engine.NewCommitter(db, s.visible, s.after)
	go func() {
		select {
		case <-s.calls.closed:
		case <-db.Failed():
		}
		s.hub.end()
	}()
	if !o.ReadOnly {
		s.reaper.start()
		s.trimmer.start()
	}
	return s, nil
}

// Close ends watches, waits for running calls and releases what the store holds.
// It must not be called from within a loop over [Store.Range] or [Store.Watch].
func (s *Store) Close() error {
	s.closed.Do(func() {
		s.calls.close()
		if !s.options.ReadOnly {
			s.reaper.stop()
			s.trimmer.stop()
		}
		s.calls.wait()
		if err := s.commits.Close(); err != nil {
			s.err = fmt.Errorf("close the store: %w", err)
		}
	})
	return s.err
}

// Checkpoint implements [store.Checkpointer]. The copy has what other drivers keep in
// the database as well.
func (s *Store) Checkpoint(ctx context.Context, dir string) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	return s.db.Checkpoint(ctx, dir)
}

// enter begins a call, and leave ends it.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !s.calls.enter() {
		return store.ErrClosed
	}
	if err := s.db.Err(); err != nil {
		s.calls.leave()
		return err
	}
	return nil
}

func (s *Store) leave() { s.calls.leave() }

// recover finds where the store was when it was closed, or ended.
func (s *Store) recover() error {
	f, err := s.readFloor()
	if err != nil {
		return err
	}
	s.floor.Store(&f)
	s.newest, s.total = f.revision, f.total

	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: changeKey(position{}), UpperBound: bound(kindChange)})
	if err != nil {
		return err
	}
	defer it.Close()
	if it.Last() {
		value, err := it.ValueAndErr()
		if err != nil {
			return s.db.IterError(it)
		}
		p, err := parsePosition(it.Key())
		if err != nil {
			return err
		}
		c, err := parseChange(it.Key(), value)
		if err != nil {
			return err
		}
		s.newest, s.total = p.revision, c.total
	}
	if err := s.db.IterError(it); err != nil {
		return err
	}
	s.durable.Store(s.newest)
	return nil
}

func (s *Store) readFloor() (floor, error) {
	v, closer, err := s.db.Get(floorKey())
	if errors.Is(err, engine.ErrNotFound) {
		return floor{}, nil
	}
	if err != nil {
		return floor{}, err
	}
	defer closer.Close()
	return parseFloor(v)
}
