package fault

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
)

func causeFault() { panic("on purpose") }

// A panic ends the context of the watch, which has what it was and where; who waits for
// the goroutine goes on.
func TestWatch(t *testing.T) {
	t.Parallel()
	ctx, w := NewWatch(t.Context())
	var all sync.WaitGroup
	for range 3 {
		all.Go(Guard(context.WithoutCancel(ctx), causeFault))
	}
	all.Wait()
	<-w.Seen()
	<-ctx.Done()
	f, ok := errors.AsType[*Fault](w.Err())
	if !ok || f.Value != "on purpose" || !strings.Contains(string(f.Stack), "causeFault") {
		t.Errorf("got %v", w.Err())
	}
	if t.Context().Err() != nil {
		t.Error("more has ended")
	}
}

// What has no fault ends nothing, and an end is none.
func TestNoFault(t *testing.T) {
	t.Parallel()
	ctx, w := NewWatch(t.Context())
	done := make(chan struct{})
	Go(ctx, func() { close(done) })
	<-done
	if ctx.Err() != nil || w.Err() != nil {
		t.Errorf("got %v, %v", ctx.Err(), w.Err())
	}
	w.End()
	<-ctx.Done()
	if w.Err() != nil {
		t.Errorf("got %v", w.Err())
	}
}

// Where nobody watches, a panic is one.
func TestUnwatched(t *testing.T) {
	t.Parallel()
	defer func() {
		if r := recover(); r != "on purpose" {
			t.Errorf("got %v", r)
		}
	}()
	Guard(t.Context(), causeFault)()
}
