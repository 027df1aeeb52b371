package embedded

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/micro/micro/v3/backend/store"
)

// hub wakes watches when something changed that is for them. It holds no changes:
// a watch finds them in the tail, or in the index when it did not come for a while.
//
// The zero value is ready to use.
type hub struct {
	mu       sync.Mutex
	watches  map[string]map[*watcher]struct{} // by prefix
	prefixes []int                            // the lengths of prefixes, in order
}

type watcher struct {
	prefix string
	wake   chan struct{}
	// first is the first revision for it since it last looked; 0: none.
	first atomic.Int64
}

// poke wakes the watch.
func (w *watcher) poke() {
	select {
	case w.wake <- struct{}{}:
	default: // it is about to look
	}
}

// add begins to wake a watch.
func (h *hub) add(prefix string) *watcher {
	w := &watcher{prefix: prefix, wake: make(chan struct{}, 1)}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.watches == nil {
		h.watches = map[string]map[*watcher]struct{}{}
	}
	if h.watches[prefix] == nil {
		h.watches[prefix] = map[*watcher]struct{}{}
		h.measure()
	}
	h.watches[prefix][w] = struct{}{}
	return w
}

// remove ends that.
func (h *hub) remove(w *watcher) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.watches[w.prefix], w)
	if len(h.watches[w.prefix]) == 0 {
		delete(h.watches, w.prefix)
		h.measure()
	}
}

func (h *hub) measure() {
	h.prefixes = h.prefixes[:0]
	for p := range h.watches {
		if i, found := slices.BinarySearch(h.prefixes, len(p)); !found {
			h.prefixes = slices.Insert(h.prefixes, i, len(p))
		}
	}
}

// wake tells the watches of changes, which come in order. It never waits for one.
func (h *hub) wake(changes []store.Change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range changes {
		for _, n := range h.prefixes {
			if n > len(c.Record.Key) {
				break
			}
			for w := range h.watches[c.Record.Key[:n]] {
				w.first.CompareAndSwap(0, c.Revision)
				w.poke()
			}
		}
	}
}

// end wakes all watches, since there is nothing more to come.
func (h *hub) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, watches := range h.watches {
		for w := range watches {
			w.poke()
		}
	}
}
