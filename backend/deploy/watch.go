package deploy

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/micro/micro/v3/backend/store"
)

// Event is what [Deployer.WatchAll] yields: one of the three.
type Event struct {
	Service *Service
	Removed string // the name of a service that is gone
	Synced  bool   // all services that there were have been yielded
}

// hub tells those who watch all services of a namespace which have changed.
type hub struct {
	mu       sync.Mutex
	watchers map[string]map[*watcher]bool // by namespace
}

// watcher is somebody who watches.
type watcher struct {
	wake chan struct{} // holds one token: there are names

	mu    sync.Mutex
	names map[string]bool // of services that have changed since it looked
}

func newHub() *hub { return &hub{watchers: map[string]map[*watcher]bool{}} }

// changed tells that a service has.
func (h *hub) changed(ns, name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.watchers[ns] {
		w.mu.Lock()
		w.names[name] = true
		w.mu.Unlock()
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// join adds a watcher; leave takes it out again.
func (h *hub) join(ns string) (w *watcher, leave func()) {
	w = &watcher{wake: make(chan struct{}, 1), names: map[string]bool{}}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.watchers[ns] == nil {
		h.watchers[ns] = map[*watcher]bool{}
	}
	h.watchers[ns][w] = true
	return w, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.watchers[ns], w)
		if len(h.watchers[ns]) == 0 {
			delete(h.watchers, ns)
		}
	}
}

// take returns what has changed since it was called last, ordered.
func (w *watcher) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	names := slices.Sorted(maps.Keys(w.names))
	clear(w.names)
	return names
}

// WatchAll calls f with each service of a namespace, ordered by name, then with one
// event that has Synced set, and then with each service that has changed or is gone,
// until ctx ends or f returns an error, which WatchAll returns. States in between may be
// left out when f is slow, never the last one. It returns [store.ErrClosed] when the
// Deployer is closed.
func (d *Deployer) WatchAll(ctx context.Context, ns string, f func(Event) error) error {
	w, leave := d.hub.join(ns)
	defer leave()
	services, err := d.Services(ctx, ns)
	if err != nil {
		return err
	}
	shown := map[string]bool{}
	for _, s := range services {
		shown[s.Name] = true
		if err := f(Event{Service: &s}); err != nil {
			return err
		}
	}
	if err := f(Event{Synced: true}); err != nil {
		return err
	}
	for {
		select {
		case <-w.wake:
		case <-ctx.Done():
			return ctx.Err()
		case <-d.ctx.Done():
			return store.ErrClosed
		}
		for _, name := range w.take() {
			s, err := d.Service(ctx, ns, name)
			e := Event{Service: &s}
			switch {
			case errors.Is(err, ErrNotFound) && !shown[name]:
				continue // it came and went
			case errors.Is(err, ErrNotFound):
				e = Event{Removed: name}
			case err != nil:
				return err
			}
			if shown[name] = true; e.Removed != "" {
				delete(shown, name)
			}
			if err := f(e); err != nil {
				return err
			}
		}
	}
}
