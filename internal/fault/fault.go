// Package fault brings a panic of any goroutine to whoever can end the program in order: a
// terminal that was taken has to be given back first.
//
//	ctx, w := fault.NewWatch(ctx) ──▶ fault.Go(ctx, f) ──panic──▶ ctx ends, w.Err() has it
//
// It is not for going on after a panic.
package fault

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
)

// Fault is a panic.
type Fault struct {
	Value any    // what was panicked with
	Stack []byte // where
}

func (f *Fault) Error() string { return fmt.Sprintf("micro has a fault: %v", f.Value) }

// Watch is told of the first panic of what is guarded with its context. Its methods are
// safe for concurrent use.
type Watch struct {
	end   context.CancelFunc
	once  sync.Once
	seen  chan struct{}
	fault *Fault // after seen is closed
}

type watchKey struct{}

// NewWatch returns a watch and its context, which ends with the first panic, or when
// [Watch.End] is called. A watch of ctx is told of nothing that this one is told of.
func NewWatch(ctx context.Context) (context.Context, *Watch) {
	ctx, cancel := context.WithCancel(ctx)
	w := &Watch{end: cancel, seen: make(chan struct{})}
	return context.WithValue(ctx, watchKey{}, w), w
}

// End ends the context.
func (w *Watch) End() { w.end() }

// Seen is closed after a panic. What waited for the goroutine that it was in may wait for
// ever.
func (w *Watch) Seen() <-chan struct{} { return w.seen }

// Err returns the first panic as a [*Fault], or nil.
func (w *Watch) Err() error {
	select {
	case <-w.seen:
		return w.fault
	default:
		return nil
	}
}

// Guard returns f, which instead of panicking returns after the watch of ctx was told.
// Where nobody watches, it is f itself, and a panic ends the process as always.
func Guard(ctx context.Context, f func()) func() {
	w, ok := ctx.Value(watchKey{}).(*Watch)
	if !ok {
		return f
	}
	return func() {
		defer func() {
			if r := recover(); r != nil {
				stack := debug.Stack()
				w.once.Do(func() {
					w.fault = &Fault{Value: r, Stack: stack}
					close(w.seen)
					w.end()
				})
			}
		}()
		f()
	}
}

// Go runs f in a goroutine of its own, guarded.
func Go(ctx context.Context, f func()) { go Guard(ctx, f)() }
