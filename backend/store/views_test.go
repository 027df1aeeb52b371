package store_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/micro/micro/v3/backend/store"
	"github.com/micro/micro/v3/backend/store/embedded"
)

// views returns a set of views of the records below NAME/, and how many were opened.
func views(t *testing.T, s store.Store) (*store.Views[*store.View[string]], *atomic.Int64) {
	t.Helper()
	opened := &atomic.Int64{}
	v := store.NewViews(func(ctx context.Context, name string) (*store.View[string], error) {
		opened.Add(1)
		return store.NewView(ctx, s, name+"/", text)
	})
	t.Cleanup(v.Close)
	return v, opened
}

func TestViewsOpenOnce(t *testing.T) {
	t.Parallel()
	s := open(t, embedded.Options{})
	commit(t, s, put("one/a", "1"), put("two/a", "2"))
	all, opened := views(t, s)
	var wg sync.WaitGroup
	for range 16 {
		for name, want := range map[string]string{"one": "1", "two": "2"} {
			wg.Go(func() {
				v, err := all.Get(t.Context(), name)
				if err != nil {
					t.Error(err)
					return
				}
				if got, _ := v.Get("a"); got != want {
					t.Errorf("%s/a is %q, want %q", name, got, want)
				}
			})
		}
	}
	wg.Wait()
	if got := opened.Load(); got != 2 {
		t.Errorf("opened %d views, want 2", got)
	}
}

// TestViewsOpenAgain has a view end by itself: nobody gets it any more.
func TestViewsOpenAgain(t *testing.T) {
	t.Parallel()
	s := open(t, embedded.Options{})
	all, opened := views(t, s)
	v, err := all.Get(t.Context(), "one")
	if err != nil {
		t.Fatal(err)
	}
	rev := commit(t, s, put("one/a", "bad"))
	<-v.Done()
	if err := all.Wait(t.Context(), "one", rev); err != nil {
		t.Errorf("waiting for a view that has ended: %v", err)
	}
	if _, err := all.Get(t.Context(), "one"); !errors.Is(err, errDecode) {
		t.Errorf("while the record is bad: %v, want %v", err, errDecode)
	}
	commit(t, s, put("one/a", "good"))
	again, err := all.Get(t.Context(), "one")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"a": "good"}, content(again)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := opened.Load(); got != 3 {
		t.Errorf("opened %d times, want 3", got)
	}
}

// TestViewsOpenForOthers has the caller give up for whom a view is being opened.
func TestViewsOpenForOthers(t *testing.T) {
	t.Parallel()
	s := open(t, embedded.Options{})
	var opened atomic.Int64
	begun := make(chan struct{})
	all := store.NewViews(func(ctx context.Context, name string) (*store.View[string], error) {
		if opened.Add(1) == 1 {
			close(begun)
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return store.NewView(ctx, s, name, text)
	})
	defer all.Close()
	ctx, cancel := context.WithCancel(t.Context())
	first, second := make(chan error), make(chan error)
	go func() {
		_, err := all.Get(ctx, "one")
		first <- err
	}()
	<-begun
	go func() {
		_, err := all.Get(t.Context(), "one")
		second <- err
	}()
	// One that does not wait for long.
	short, stop := context.WithCancel(t.Context())
	stop()
	if _, err := all.Get(short, "one"); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that gave up: %v, want %v", err, context.Canceled)
	}
	if err := all.Wait(short, "one", 1); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting without waiting: %v, want %v", err, context.Canceled)
	}
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("the caller that gave up: %v, want %v", err, context.Canceled)
	}
	if err := <-second; err != nil {
		t.Errorf("the other one: %v", err)
	}
}

func TestViewsWait(t *testing.T) {
	t.Parallel()
	s := open(t, embedded.Options{})
	all, opened := views(t, s)
	if err := all.Wait(t.Context(), "one", 1000); err != nil {
		t.Errorf("waiting for what nobody has opened: %v", err)
	}
	if got := opened.Load(); got != 0 {
		t.Errorf("opened %d views, want none", got)
	}
	v, err := all.Get(t.Context(), "one")
	if err != nil {
		t.Fatal(err)
	}
	rev := commit(t, s, put("one/a", "1"))
	if err := all.Wait(t.Context(), "one", rev); err != nil {
		t.Fatal(err)
	}
	if got, _ := v.Get("a"); got != "1" {
		t.Errorf("got %q, want 1", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := all.Wait(ctx, "one", rev+1); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting in vain: %v, want %v", err, context.Canceled)
	}
}

func TestViewsClose(t *testing.T) {
	t.Parallel()
	s := open(t, embedded.Options{})
	all, _ := views(t, s)
	v, err := all.Get(t.Context(), "one")
	if err != nil {
		t.Fatal(err)
	}
	all.Close()
	<-v.Done()
	if _, err := all.Get(t.Context(), "one"); !errors.Is(err, store.ErrClosed) {
		t.Errorf("got %v, want %v", err, store.ErrClosed)
	}
	all.Close()
}
