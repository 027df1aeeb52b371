package supervisor

import (
	"context"
	"iter"
	"sync"

	"github.com/micro/micro/v3/backend/runtime"
)

// watcher keeps for one consumer the states that it has not seen: the newest of
// each instance, so that a slow one costs no more than a fast one.
type watcher struct {
	mu     sync.Mutex
	states map[string]runtime.Instance
	order  []string // of the instances in states, by their oldest unseen change
	wake   chan struct{}
}

func newWatcher() *watcher {
	return &watcher{states: map[string]runtime.Instance{}, wake: make(chan struct{}, 1)}
}

// put adds a state.
func (w *watcher) put(in runtime.Instance) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.states[in.ID]; !ok {
		w.order = append(w.order, in.ID)
	}
	w.states[in.ID] = in
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// take returns the oldest state that was not taken, false when there is none.
func (w *watcher) take() (runtime.Instance, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.order) == 0 {
		w.order = nil // not the whole history's array
		return runtime.Instance{}, false
	}
	id := w.order[0]
	w.order = w.order[1:]
	in := w.states[id]
	delete(w.states, id)
	return in, true
}

// Watch implements [runtime.Runtime].
func (r *Runtime) Watch(ctx context.Context) iter.Seq2[runtime.Event, error] {
	return func(yield func(runtime.Event, error) bool) {
		w, there, err := r.watch()
		if err != nil {
			yield(runtime.Event{}, err)
			return
		}
		defer r.unwatch(w)
		for range there {
			if in, ok := w.take(); ok && !yield(runtime.Event{Instance: in}, nil) {
				return
			}
		}
		if !yield(runtime.Event{Synced: true}, nil) {
			return
		}
		for {
			select {
			case <-w.wake:
				err = ctx.Err()
			case <-ctx.Done():
				err = ctx.Err()
			case <-r.closed:
				err = runtime.ErrClosed
			}
			if ctx.Err() == nil && !w.yield(yield) {
				return
			}
			if err != nil {
				yield(runtime.Event{}, err)
				return
			}
		}
	}
}

// yield yields all states that there are, and reports whether to go on.
func (w *watcher) yield(yield func(runtime.Event, error) bool) bool {
	for {
		in, ok := w.take()
		if !ok {
			return true
		}
		if !yield(runtime.Event{Instance: in}, nil) {
			return false
		}
	}
}

// watch adds a watcher that begins with all instances that there are, and returns
// how many these are.
func (r *Runtime) watch() (w *watcher, there int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closing {
		return nil, 0, runtime.ErrClosed
	}
	w = newWatcher()
	for _, in := range r.instances {
		if in.info.State != 0 {
			w.put(in.info)
		}
	}
	r.watchers[w] = struct{}{}
	return w, len(w.order), nil
}

func (r *Runtime) unwatch(w *watcher) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.watchers, w)
}

// set makes a state known. The caller holds r.mu, which gives all watchers the
// same order.
func (r *Runtime) set(in *instance, info runtime.Instance) {
	in.info = info
	for w := range r.watchers {
		w.put(info)
	}
}
