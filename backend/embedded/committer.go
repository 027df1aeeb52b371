package embedded

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// groupSize is how many bytes a group takes before writers wait for the next one.
const groupSize = 1 << 20

// gather is up to how many writes in the last two groups those who were just told
// may write again before the next fsync begins: they share it, instead of waiting
// for it and asking for another one. With more writers there is enough to do while
// an fsync runs.
const gather = 32

// Committer writes for one owner of keys. It collects what is written while an
// fsync runs into a group, which the next fsync makes durable as a whole: however
// many writers wait, the disk is never asked for more than it can do.
//
// T is what the owner notes about a group; its zero value is a group in which
// nothing was done yet. All methods are safe for concurrent use.
type Committer[T any] struct {
	db      *DB
	visible func(*T)
	after   func(*T)
	view    view

	mu   sync.Mutex
	next *group[T] // being filled
	prev *group[T] // being made durable, nil when none is

	kick  chan struct{} // next is not empty
	quit  chan struct{}
	ended chan struct{}
}

type group[T any] struct {
	batch  *pebble.Batch
	state  T
	writes atomic.Int32
	taken  chan struct{} // closed when it takes no more
	done   chan struct{} // closed when it is durable
}

// Outcome is what a write came to.
type Outcome uint8

// The outcomes of a write.
const (
	// Written means that the batch has it.
	Written Outcome = iota
	// Nothing means that nothing is to be written.
	Nothing
	// NothingBefore means the same, for a reason that is durable only with the
	// group before.
	NothingBefore
	// NothingHere means the same, for a reason that is durable only with this group.
	NothingHere
)

// NewCommitter returns the committer of an owner. Of each group, in order, visible
// is called at the moment when readers begin to see it, which they wait for: it
// must not block. Then the writers are told, and then after is called.
func NewCommitter[T any](db *DB, visible, after func(*T)) *Committer[T] {
	c := &Committer[T]{
		db:      db,
		visible: visible,
		after:   after,
		view:    view{db: db},
		kick:    make(chan struct{}, 1),
		quit:    make(chan struct{}),
		ended:   make(chan struct{}),
	}
	c.next = c.newGroup()
	go c.run()
	return c
}

// Close makes durable what was written and ends the committer. No call may run or
// come.
func (c *Committer[T]) Close() error {
	close(c.quit)
	select {
	case <-c.ended:
	case <-c.db.Failed():
	}
	return c.db.Err()
}

// Do makes one write, all of it or nothing. It calls write, one call at a time, in
// the order in which the writes will be durable; write adds to the batch and notes
// in here what it did, or does neither and returns another outcome than [Written].
// before is what was noted of the group that is not durable yet, nil when there is
// none. What was in the database before both is read with [DB.Get]; where a group
// has a note about it, the note is newer.
//
// Do returns when the write is durable; with the error of write, when that has
// become true; or with the context's error when ctx ends: what was written then
// will be durable all the same.
func (c *Committer[T]) Do(ctx context.Context, write func(b *pebble.Batch, here, before *T) (Outcome, error)) error {
	g, err := c.lock(ctx)
	if err != nil {
		return err
	}
	prev := c.prev
	outcome, result := func() (Outcome, error) {
		defer c.mu.Unlock()
		var before *T
		if prev != nil {
			before = &prev.state
		}
		return write(g.batch, &g.state, before)
	}()
	switch outcome {
	case Nothing:
		return result
	case NothingBefore:
		g = prev
	case Written:
		g.writes.Add(1)
		select {
		case c.kick <- struct{}{}:
		default:
		}
	case NothingHere:
	}
	if err := c.wait(ctx, g.done); err != nil {
		return err
	}
	return result
}

// lock returns the group that is being filled, with mu held, when it has room.
func (c *Committer[T]) lock(ctx context.Context) (*group[T], error) {
	for {
		if err := c.db.Err(); err != nil {
			return nil, err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		c.mu.Lock()
		g := c.next
		if g.batch.Len() < groupSize {
			return g, nil
		}
		c.mu.Unlock()
		if err := c.wait(ctx, g.taken); err != nil {
			return nil, err
		}
	}
}

func (c *Committer[T]) wait(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.db.Failed():
	}
	// It may have been durable before something else failed.
	select {
	case <-done:
		return nil
	default:
		return c.db.Err()
	}
}

func (c *Committer[T]) newGroup() *group[T] {
	return &group[T]{
		batch: c.db.pebble.NewBatch(),
		taken: make(chan struct{}),
		done:  make(chan struct{}),
	}
}

// run makes one group after the other durable.
func (c *Committer[T]) run() {
	defer close(c.ended)
	last, before := int32(0), int32(0) // how many writes were in the groups
	for {
		quit := false
		select {
		case <-c.kick:
			if last+before <= gather {
				runtime.Gosched()
			}
		case <-c.quit:
			quit = true
		}
		if g := c.take(); g != nil {
			if !c.commit(g) {
				return
			}
			last, before = g.writes.Load(), last
		}
		if quit {
			return
		}
	}
}

// take ends the group that is being filled, nil when it is empty.
func (c *Committer[T]) take() *group[T] {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.next.batch.Empty() {
		return nil
	}
	g := c.next
	c.prev, c.next = g, c.newGroup()
	close(g.taken)
	return g
}

// commit makes a group durable and visible, false when the database has stopped.
func (c *Committer[T]) commit(g *group[T]) bool {
	c.view.pin()
	if err := c.db.apply(g.batch); err != nil {
		return false // whose error is the database's, and what is seen stays as it is
	}
	c.view.unpin(func() { c.visible(&g.state) })
	c.mu.Lock()
	c.prev = nil
	c.mu.Unlock()
	close(g.done)
	c.after(&g.state)
	_ = g.batch.Close() // it only gives memory back
	return true
}
