package store

import (
	"context"
	"errors"
	"sync"
)

// Ending is what [Views] needs of what it keeps: a [View], or something made of one.
type Ending interface {
	Err() error // why it is not current any more; nil while it is
	Wait(ctx context.Context, revision int64) error
	Close() // may be called several times
}

// Views keeps a view for each of many names, such as those of namespaces. One is
// opened when it is asked for first, by one caller while the others wait, and
// again when it has ended by itself: nobody is shown what is not current.
//
// All methods are safe for concurrent use.
type Views[V Ending] struct {
	open func(ctx context.Context, name string) (V, error)

	mu     sync.Mutex
	byName map[string]*opening[V]
	closed bool
}

// opening is a view that is being opened, or was.
type opening[V Ending] struct {
	done chan struct{} // closed when view and err are set
	view V
	err  error
}

// NewViews returns an empty set of views, which open makes. The context that open is
// given is that of the caller who came first.
func NewViews[V Ending](open func(ctx context.Context, name string) (V, error)) *Views[V] {
	return &Views[V]{open: open, byName: map[string]*opening[V]{}}
}

// Get returns the view of a name. The error is that of opening it, which is tried
// anew by the next call, or [ErrClosed].
func (s *Views[V]) Get(ctx context.Context, name string) (V, error) {
	for {
		o, mine, err := s.opening(name)
		if err != nil {
			var none V
			return none, err
		}
		if mine {
			return s.fill(ctx, name, o)
		}
		select {
		case <-o.done:
		case <-ctx.Done():
			var none V
			return none, ctx.Err()
		}
		switch {
		case errors.Is(o.err, context.Canceled), errors.Is(o.err, context.DeadlineExceeded):
			// He who opened it did not wait for the end.
		case o.err != nil:
			return o.view, o.err
		case o.view.Err() != nil:
			s.forget(name, o)
			o.view.Close()
		default:
			return o.view, nil
		}
	}
}

// Wait returns when whoever gets the view of a name from now on sees what a
// transaction at the given revision changed there. It opens no view.
func (s *Views[V]) Wait(ctx context.Context, name string, revision int64) error {
	s.mu.Lock()
	o := s.byName[name]
	s.mu.Unlock()
	if o == nil {
		return nil // it will be read later
	}
	select {
	case <-o.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	if o.err != nil {
		return nil //nolint:nilerr // whoever tries again reads later
	}
	if err := o.view.Wait(ctx, revision); o.view.Err() == nil {
		return err
	}
	return nil // it has ended, and is not shown to anybody again
}

// Close closes the views. Get returns [ErrClosed] from now on.
func (s *Views[V]) Close() {
	s.mu.Lock()
	s.closed = true
	open := make([]*opening[V], 0, len(s.byName))
	for _, o := range s.byName {
		open = append(open, o)
	}
	clear(s.byName)
	s.mu.Unlock()
	for _, o := range open {
		if <-o.done; o.err == nil {
			o.view.Close()
		}
	}
}

// opening returns what there is of a name, made by the caller when mine is true.
func (s *Views[V]) opening(name string) (o *opening[V], mine bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, false, ErrClosed
	}
	if o := s.byName[name]; o != nil {
		return o, false, nil
	}
	o = &opening[V]{done: make(chan struct{})}
	s.byName[name] = o
	return o, true, nil
}

// fill opens a view for all who wait for it.
func (s *Views[V]) fill(ctx context.Context, name string, o *opening[V]) (V, error) {
	defer close(o.done)
	if o.view, o.err = s.open(ctx, name); o.err != nil {
		s.forget(name, o)
	}
	return o.view, o.err
}

// forget makes the next caller open a view anew.
func (s *Views[V]) forget(name string, o *opening[V]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byName[name] == o {
		delete(s.byName, name)
	}
}
