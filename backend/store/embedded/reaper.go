package embedded

import (
	"context"
	"encoding/binary"
	"math"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	engine "github.com/micro/micro/v3/backend/embedded"
	"github.com/micro/micro/v3/backend/store"
)

const (
	// reapPause is the least time between two rounds, so that many records that
	// expire one after the other share transactions.
	reapPause = 100 * time.Millisecond
	reapRetry = time.Second
	reapBatch = store.MaxOps
	// reapSlack is how late a deadline may come into the index without being late.
	reapSlack = time.Minute
)

// reaper deletes records that have expired. They cannot be seen any more; this is
// what gives their room back and tells watches.
type reaper struct {
	store  *Store
	cancel context.CancelFunc
	wake   chan struct{}
	done   chan struct{}
	// next is the deadline that it waits for; MaxInt64 while it does not know.
	next atomic.Int64
	// swept is up to where there were no deadlines left. It saves reading over
	// what was removed from the index.
	swept int64
	// late says that a deadline came into the index that may be before swept.
	late atomic.Bool
}

// due is an entry of the index of deadlines.
type due struct {
	deadline int64
	key      string
}

func newReaper(s *Store) *reaper {
	r := &reaper{store: s, wake: make(chan struct{}, 1), done: make(chan struct{})}
	r.next.Store(math.MaxInt64)
	return r
}

func (r *reaper) start() {
	var ctx context.Context
	ctx, r.cancel = context.WithCancel(context.Background())
	go r.run(ctx)
}

func (r *reaper) stop() {
	r.cancel()
	<-r.done
}

// note tells of a deadline; 0 is none.
func (r *reaper) note(deadline int64) {
	if deadline == 0 || deadline >= r.next.Load() {
		return
	}
	if deadline < r.store.clock.now()-int64(reapSlack)/2 {
		r.late.Store(true)
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *reaper) run(ctx context.Context) {
	defer close(r.done)
	for {
		r.next.Store(math.MaxInt64)
		next, err := r.reap(ctx)
		wait := time.Duration(math.MaxInt64)
		switch {
		case err != nil:
			// No room, or a record that cannot be read, or the end of it all.
			wait = reapRetry
		case next != 0:
			r.next.Store(next)
			wait = max(time.Duration(next-r.store.clock.now()), reapPause)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-r.wake:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil || r.store.db.Err() != nil {
			return
		}
	}
}

// reap deletes what has expired and returns the first deadline that is left, 0 when
// there is none. What it cannot delete does not keep it from the rest.
func (r *reaper) reap(ctx context.Context) (next int64, failed error) {
	if r.late.Swap(false) {
		r.swept = 0
	}
	now := r.store.clock.now()
	start := expiryKey(max(r.swept, 0), "")
	for {
		list, next, err := r.due(start, now)
		if err != nil {
			return 0, err
		}
		if len(list) == 0 {
			if failed == nil {
				r.swept = now - int64(reapSlack)
			}
			return next, failed
		}
		if err := r.store.db.Room(0); err != nil {
			return 0, err
		}
		err = r.store.commits.Do(ctx, func(b *pebble.Batch, here, before *group) (engine.Outcome, error) {
			w := r.store.write(b, here, before)
			err := w.expire(list)
			return w.outcome, err
		})
		if err != nil {
			failed = err
		}
		last := list[len(list)-1]
		start = append(expiryKey(last.deadline, last.key), 0)
	}
}

// due returns the first entries of the index from start up to now, or the first
// deadline later.
func (r *reaper) due(start []byte, now int64) (list []due, next int64, err error) {
	it, err := r.store.db.NewIter(&pebble.IterOptions{LowerBound: start, UpperBound: bound(kindExpiry)})
	if err != nil {
		return nil, 0, err
	}
	defer it.Close()
	for ok := it.First(); ok && len(list) < reapBatch; ok = it.Next() {
		k := it.Key()
		deadline := int64(binary.BigEndian.Uint64(k[2:expiryKeyLen]))
		if deadline > now {
			return list, deadline, nil
		}
		list = append(list, due{deadline: deadline, key: string(k[expiryKeyLen:])})
	}
	return list, 0, r.store.db.IterError(it)
}
