package embedded

import (
	"slices"
	"sync"
	"sync/atomic"
)

// hub wakes watches when something changed that is for them. It holds no changes:
// a watch that does not come for a while finds them in the index.
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
func (h *hub) wake(changes []notice) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range changes {
		for _, n := range h.prefixes {
			if n > len(c.key) {
				break
			}
			for w := range h.watches[c.key[:n]] {
				w.first.CompareAndSwap(0, c.revision)
				select {
				case w.wake <- struct{}{}:
				default:
				}
			}
		}
	}
}
