package embedded

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// reclaimPause is how long the reclaimer waits for more removals. What it starts takes some
// room at first, and who removes many things should come to the end of it before.
const reclaimPause = time.Second

// reclaimer gets back the room of what was removed while the disk is full. That takes room
// until the removal is in a table, with which Pebble merges the tables below; but a removal
// is small and would stay in memory until more is written, which a full disk does not take.
type reclaimer struct {
	db    *DB
	dirty atomic.Bool // there may be something in memory

	wake  chan struct{}
	quit  chan struct{}
	ended sync.WaitGroup
}

func newReclaimer(d *DB) *reclaimer {
	return &reclaimer{db: d, wake: make(chan struct{}, 1), quit: make(chan struct{})}
}

func (r *reclaimer) start() { r.ended.Go(r.run) }

// stop waits for what is under way.
func (r *reclaimer) stop() {
	close(r.quit)
	r.ended.Wait()
}

// wrote is told that something became durable.
func (r *reclaimer) wrote() {
	r.dirty.Store(true)
	if r.db.space.short() {
		r.short() // so it was a removal
	}
}

// short is told that there is too little room.
func (r *reclaimer) short() {
	if !r.dirty.Load() {
		return
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *reclaimer) run() {
	wake, pause := r.wake, (<-chan time.Time)(nil)
	for {
		select {
		case <-wake:
			wake, pause = nil, time.After(reclaimPause)
		case <-pause:
			wake, pause = r.wake, nil
			r.dirty.Store(false) // before: what is written meanwhile may not be in the table
			if r.db.flush() != nil {
				return // the database has stopped
			}
		case <-r.quit:
			return
		case <-r.db.Failed():
			return
		}
	}
}

// flush writes what Pebble has in memory to a table.
func (d *DB) flush() error {
	return d.halt.await(func() (err error) {
		// Pebble panics when a log cannot be written or closed.
		defer func() {
			if p := recover(); p != nil {
				err = d.halt.fail(fmt.Errorf("write %s: %v", d.dir, p))
			}
		}()
		return d.pebble.Flush()
	})
}
