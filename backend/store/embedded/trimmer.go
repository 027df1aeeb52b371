package embedded

import (
	"context"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	engine "github.com/micro/micro/v3/backend/embedded"
)

// fullChangeBytes is what the index of changes may have on a disk that is full. The rest of
// it is only of use to who goes on with a watch, and takes room that records need.
const fullChangeBytes = 4 << 20

// trimmer cuts the index of changes at its old end when it has become too long, and
// then by a tenth of what it may have, so that this is rare. When the disk is full it
// leaves little of it.
type trimmer struct {
	store  *Store
	cancel context.CancelFunc
	wake   chan struct{}
	done   chan struct{}

	newest atomic.Int64 // the newest revision in the index
	total  atomic.Int64 // see change, as of it
	full   atomic.Bool  // a write found no room, and nothing was cut since
}

func newTrimmer(s *Store) *trimmer {
	return &trimmer{store: s, wake: make(chan struct{}, 1), done: make(chan struct{})}
}

func (t *trimmer) start() {
	var ctx context.Context
	ctx, t.cancel = context.WithCancel(context.Background())
	go t.run(ctx)
}

func (t *trimmer) stop() {
	t.cancel()
	<-t.done
}

// note tells how far the index goes.
func (t *trimmer) note(newest, total int64) {
	if newest == 0 {
		return
	}
	t.newest.Store(newest)
	t.total.Store(total)
	f := t.store.floor.Load()
	if newest-f.revision <= t.store.options.MaxChanges && total-f.total <= t.store.options.MaxChangeBytes {
		return
	}
	t.kick()
}

// short is told that a write found no room.
func (t *trimmer) short() {
	if t.total.Load()-t.store.floor.Load().total <= fullChangeBytes {
		return
	}
	t.full.Store(true)
	t.kick()
}

func (t *trimmer) kick() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

func (t *trimmer) run(ctx context.Context) {
	defer close(t.done)
	for {
		select {
		case <-t.wake:
			// What fails is tried again at the next change.
			_ = t.trim(ctx)
		case <-ctx.Done():
			return
		}
	}
}

func (t *trimmer) trim(ctx context.Context) error {
	to, err := t.find()
	if err != nil {
		return err
	}
	s := t.store
	if to.revision <= s.floor.Load().revision {
		return nil
	}
	if err := s.db.Room(0); err != nil {
		return err
	}
	// Before it is done: who has seen the old floor has an iterator already.
	s.floor.Store(&to)
	return s.commits.Do(ctx, func(b *pebble.Batch, _, _ *group) (engine.Outcome, error) {
		// Neither can fail on a batch that has no index.
		_ = b.DeleteRange(changeKey(position{}), changeKey(position{revision: to.revision + 1}), nil)
		_ = b.Set(floorKey(), to.format(), nil)
		return engine.Written, nil
	})
}

// find returns up to where to cut: what is left then is nine tenths of what may be
// there, and the newest revision in any case.
func (t *trimmer) find() (floor, error) {
	s := t.store
	newest, total := t.newest.Load(), t.total.Load()
	keepChanges := s.options.MaxChanges - s.options.MaxChanges/10
	keepBytes := s.options.MaxChangeBytes - s.options.MaxChangeBytes/10
	if t.full.Swap(false) {
		keepBytes = min(keepBytes, fullChangeBytes)
	}
	to := *s.floor.Load()
	it, err := s.db.NewIter(&pebble.IterOptions{
		LowerBound: changeKey(position{revision: to.revision + 1}),
		UpperBound: changeKey(position{revision: newest}),
	})
	if err != nil {
		return to, err
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		p, err := parsePosition(it.Key())
		if err != nil {
			return to, err
		}
		v, err := it.ValueAndErr()
		if err != nil {
			return to, s.db.IterError(it)
		}
		c, err := parseChange(it.Key(), v)
		if err != nil {
			return to, err
		}
		if p.revision > to.revision && newest-to.revision <= keepChanges && total-to.total <= keepBytes {
			break // to is a whole transaction, and enough
		}
		to = floor{revision: p.revision, total: c.total}
	}
	return to, s.db.IterError(it)
}
