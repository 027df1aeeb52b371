package embedded

import (
	"sync"

	"github.com/micro/micro/v3/backend/events"
)

// hub wakes who waits for something to happen to a topic. The zero value is ready
// to use.
type hub struct {
	mu      sync.Mutex
	waiting map[events.Topic]map[chan struct{}]struct{}
}

// add begins to wake a waiter, which looks at the topic after this.
func (h *hub) add(t events.Topic) chan struct{} {
	w := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waiting == nil {
		h.waiting = map[events.Topic]map[chan struct{}]struct{}{}
	}
	if h.waiting[t] == nil {
		h.waiting[t] = map[chan struct{}]struct{}{}
	}
	h.waiting[t][w] = struct{}{}
	return w
}

// remove ends that.
func (h *hub) remove(t events.Topic, w chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.waiting[t], w)
	if len(h.waiting[t]) == 0 {
		delete(h.waiting, t)
	}
}

// wake tells those who wait for a topic. It never waits for one.
func (h *hub) wake(t events.Topic) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.waiting[t] {
		select {
		case w <- struct{}{}:
		default:
		}
	}
}
