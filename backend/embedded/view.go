package embedded

import (
	"io"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// view lets readers see what is durable and nothing else. Pebble shows a batch from
// the moment when it is applied, before its fsync; so a snapshot from before is
// kept for that time and read instead.
//
// Nobody waits for an fsync here, and while nothing is being written a read costs
// two loads more than Pebble's own.
type view struct {
	db *DB
	// generation is odd from before a batch is applied until it is durable.
	generation atomic.Uint64

	mu     sync.Mutex
	before *snapshot // of that time, nil when generation is even
}

// snapshot is closed when the last of its users has released it.
type snapshot struct {
	*pebble.Snapshot
	users int // guarded by view.mu
}

// pin keeps what can be seen as it is.
func (v *view) pin() {
	s := &snapshot{Snapshot: v.db.pebble.NewSnapshot(), users: 1}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.before = s
	v.generation.Add(1)
}

// unpin lets everything be seen that was applied, and calls f in the same moment.
func (v *view) unpin(f func()) {
	v.mu.Lock()
	s := v.before
	f()
	v.before = nil
	v.generation.Add(1)
	v.mu.Unlock()
	v.release(s)
}

// acquire returns the snapshot to read from, nil when there is none any more.
func (v *view) acquire() *snapshot {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.before != nil {
		v.before.users++
	}
	return v.before
}

func (v *view) release(s *snapshot) {
	v.mu.Lock()
	s.users--
	last := s.users == 0
	v.mu.Unlock()
	if last {
		// It only fails when it is closed twice.
		_ = s.Close()
	}
}

// Get returns the durable value of a key. The caller closes what comes with the
// value, which is valid until then.
func (c *Committer[T]) Get(key []byte) ([]byte, io.Closer, error) {
	v := &c.view
	for {
		if g := v.generation.Load(); g%2 == 0 {
			value, closer, err := v.db.pebble.Get(key)
			if v.generation.Load() == g {
				return value, closer, v.db.wrap(err)
			}
			if err == nil {
				// Something was applied meanwhile: this may be a part of it.
				_ = closer.Close()
			}
		}
		if s := v.acquire(); s != nil {
			defer v.release(s)
			value, closer, err := s.Get(key)
			return value, closer, v.db.wrap(err)
		}
	}
}

// NewIter returns an iterator over what is durable, all as of one moment that is
// not before the call. The caller closes it, and hands its error to [DB.IterError].
func (c *Committer[T]) NewIter(o *pebble.IterOptions) (*pebble.Iterator, error) {
	v := &c.view
	for {
		if g := v.generation.Load(); g%2 == 0 {
			it, err := v.db.pebble.NewIter(o)
			if err != nil {
				return nil, v.db.wrap(err)
			}
			if v.generation.Load() == g {
				return it, nil
			}
			_ = it.Close() // as in Get
		}
		if s := v.acquire(); s != nil {
			// An iterator outlives the snapshot that it was made of.
			defer v.release(s)
			it, err := s.NewIter(o)
			return it, v.db.wrap(err)
		}
	}
}
