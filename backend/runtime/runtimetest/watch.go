package runtimetest

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/micro/micro/v3/backend/runtime"
)

// watcher is a watch of which a test takes one event after the other.
type watcher struct {
	next func() (runtime.Event, error, bool)
}

func (f *fixture) watch(t *testing.T, ctx context.Context) watcher {
	t.Helper()
	next, stop := iter.Pull2(f.Watch(ctx))
	t.Cleanup(stop)
	return watcher{next}
}

// event returns the next event in short: "a 1" for instance a in state 1, and
// "synced".
func (w watcher) event(t *testing.T) string {
	t.Helper()
	event, err, ok := w.next()
	switch {
	case err != nil || !ok:
		t.Fatalf("watch: %v", err)
		return ""
	case event.Synced:
		return "synced"
	default:
		return fmt.Sprintf("%s %d", event.Instance.ID, event.Instance.State)
	}
}

func testWatch(t *testing.T, open Open) {
	t.Helper()
	t.Run("nothing", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		if got := f.watch(t, within(t)).event(t); got != "synced" {
			t.Errorf("first event: got %q, want synced", got)
		}
	})

	t.Run("changes", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		f.start(t, f.spec("a", "wait", "exit=0"))
		f.awaitLine(t, "a", "waiting")
		f.run(t, f.spec("b"))
		w := f.watch(t, within(t))
		there := []string{w.event(t), w.event(t)}
		slices.Sort(there)
		got := append(there, w.event(t))
		f.stop(t, "a")
		got = append(got, w.event(t))
		f.start(t, f.spec("c", "wait"))
		got = append(got, w.event(t))
		if err := f.Remove(within(t), "b"); err != nil {
			t.Fatal(err)
		}
		got = append(got, w.event(t))
		want := []string{"a 1", "b 2", "synced", "a 2", "c 1", "b 3"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})

	t.Run("slow consumers", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		f.start(t, f.spec("a", "wait"))
		watchers := []watcher{f.watch(t, within(t)), f.watch(t, within(t))}
		for _, w := range watchers {
			if got := []string{w.event(t), w.event(t)}; !cmp.Equal(got, []string{"a 1", "synced"}) {
				t.Fatalf("first events: got %q", got)
			}
		}
		const lives = 5
		f.stop(t, "a")
		for i := range lives {
			spec := f.spec("a", "exit="+strconv.Itoa(i))
			spec.Release = int64(i)
			f.run(t, spec)
		}
		f.run(t, f.spec("b", "exit=0"))
		for _, w := range watchers {
			last := map[string]runtime.Instance{}
			events := 0
			for last["b"].State != runtime.Exited || last["a"].Exit.Code != lives-1 {
				event, err, _ := w.next()
				if err != nil {
					t.Fatalf("watch: %v; seen last: %+v", err, slices.Collect(maps.Values(last)))
				}
				last[event.Instance.ID] = event.Instance
				events++
			}
			if events > 2*(lives+2) {
				t.Errorf("%d events, more than there were changes", events)
			}
		}
	})

	t.Run("context ends", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		ctx, cancel := context.WithCancel(within(t))
		w := f.watch(t, ctx)
		w.event(t)
		cancel()
		_, err, _ := w.next()
		wantError(t, "watch", err, context.Canceled)
		if _, _, ok := w.next(); ok {
			t.Errorf("watch goes on after its error")
		}
	})
}
