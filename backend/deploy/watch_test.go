package deploy_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/micro/micro/v3/backend/deploy"
	"github.com/micro/micro/v3/backend/store"
)

// TestWatchAll has somebody see all services of a namespace come, change and go.
func TestWatchAll(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		run := func(namespace, name string) {
			t.Helper()
			if _, err := w.d.Apply(w.Context(), namespace, name, deploy.Order{Spec: deploy.Spec{Image: "a"}}, ""); err != nil {
				t.Fatal(err)
			}
			w.settle()
		}
		run(ns, "b")
		run(ns, "a")
		run("globex", "c")
		var mu sync.Mutex
		var seen []string
		last := map[string]deploy.Phase{}
		ended := make(chan error, 1)
		ctx, cancel := context.WithCancel(w.Context())
		go func() {
			ended <- w.d.WatchAll(ctx, ns, func(e deploy.Event) error {
				mu.Lock()
				defer mu.Unlock()
				switch {
				case e.Synced:
					seen = append(seen, "synced")
				case e.Removed != "":
					seen = append(seen, "-"+e.Removed)
					delete(last, e.Removed)
				default:
					seen = append(seen, e.Service.Name)
					last[e.Service.Name] = e.Service.Phase
				}
				return nil
			})
		}()
		w.settle()
		check := func(what string, prefix string, want map[string]deploy.Phase) {
			t.Helper()
			mu.Lock()
			defer mu.Unlock()
			if got := strings.Join(seen, " "); !strings.HasPrefix(got, prefix) {
				t.Errorf("%s: seen was %q, want %q", what, got, prefix)
			}
			if diff := cmp.Diff(want, last); diff != "" {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
			seen = nil
		}
		check("at first", "a b synced", map[string]deploy.Phase{"a": deploy.Running, "b": deploy.Running})
		run("globex", "d")
		check("of another namespace", "", map[string]deploy.Phase{"a": deploy.Running, "b": deploy.Running})
		run(ns, "e")
		w.sim.behave("a", behaviour{sick: true})
		w.pass(16 * time.Second)
		check("one came, and all are ill", "e", map[string]deploy.Phase{"a": deploy.Unhealthy, "b": deploy.Unhealthy, "e": deploy.Unhealthy})
		if _, err := w.d.Delete(w.Context(), ns, "b", ""); err != nil {
			t.Fatal(err)
		}
		w.settle()
		mu.Lock()
		if got := seen[len(seen)-1]; got != "-b" {
			t.Errorf("seen was %q last, want that b is gone", got)
		}
		mu.Unlock()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("it ended with %v", err)
		}
		if err := w.d.WatchAll(w.Context(), ns, func(deploy.Event) error { return errSim }); !errors.Is(err, errSim) {
			t.Errorf("of somebody who wants no more: %v", err)
		}
		go func() { ended <- w.d.WatchAll(w.Context(), ns, func(deploy.Event) error { return nil }) }()
		w.settle()
		w.shut()
		if err := <-ended; !errors.Is(err, store.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

// TestWatchStarting tells watchers why an instance that starts is not healthy yet.
func TestWatchStarting(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		w.sim.behave("a", behaviour{ready: time.Hour})
		w.apply("a", 1)
		var mu sync.Mutex
		var last deploy.Service
		ctx, cancel := context.WithCancel(w.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- w.d.Watch(ctx, ns, "shop", func(s deploy.Service) error {
				mu.Lock()
				defer mu.Unlock()
				last = s
				return nil
			})
		}()
		w.pass(3 * time.Second)
		w.sim.behave("a", behaviour{sick: true})
		w.pass(time.Second)
		mu.Lock()
		if len(last.Instances) != 1 || last.Instances[0].Phase != deploy.Starting || last.Instances[0].Reason != "its health is NOT_SERVING" {
			t.Errorf("seen last was %+v", last.Instances)
		}
		mu.Unlock()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}
