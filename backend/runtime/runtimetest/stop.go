package runtimetest

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/micro/micro/v3/backend/runtime"
)

func testStop(t *testing.T, open Open) {
	t.Helper()
	for _, tt := range []struct {
		name  string
		args  []string
		ready string
		grace time.Duration
		want  runtime.Exit
	}{
		{"ends by itself", []string{"wait", "exit=0"}, "waiting", timeout, runtime.Exit{Stopped: true}},
		{"ends by itself with a code", []string{"wait", "exit=5"}, "waiting", timeout, runtime.Exit{Code: 5, Stopped: true}},
		{"ends by the signal", []string{"hang"}, "hanging", timeout, runtime.Exit{Code: -1, Signal: "SIGTERM", Stopped: true}},
		{"killed after grace", []string{"ignore", "hang"}, "hanging", 50 * time.Millisecond, runtime.Exit{Code: -1, Signal: "SIGKILL", Stopped: true}},
		{"killed without grace", []string{"ignore", "hang"}, "hanging", 0, runtime.Exit{Code: -1, Signal: "SIGKILL", Stopped: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, open)
			f.start(t, f.spec("a", tt.args...))
			f.awaitLine(t, "a", tt.ready)
			if err := f.Stop(within(t), "a", tt.grace); err != nil {
				t.Fatalf("stop: %v", err)
			}
			got := f.known(t)["a"]
			if got.State != runtime.Exited {
				t.Errorf("state after stop: got %d, want %d", got.State, runtime.Exited)
			}
			if diff := cmp.Diff(tt.want, got.Exit, cmpopts.IgnoreFields(runtime.Exit{}, "At")); diff != "" {
				t.Errorf("exit (-want +got):\n%s", diff)
			}
		})
	}

	t.Run("context ends", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		f.start(t, f.spec("a", "ignore", "hang"))
		f.awaitLine(t, "a", "hanging")
		ctx, cancel := context.WithCancel(within(t))
		cancel()
		if err := f.Stop(ctx, "a", time.Hour); err != nil {
			t.Errorf("stop: %v", err)
		}
		if got := f.known(t)["a"]; got.Exit.Signal != "SIGKILL" {
			t.Errorf("it was not killed: %+v", got)
		}
	})

	t.Run("the less patient decides", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		f.start(t, f.spec("a", "ignore", "hang"))
		f.awaitLine(t, "a", "hanging")
		patient := make(chan error, 1)
		go func() { patient <- f.Stop(within(t), "a", time.Hour) }()
		if err := f.Stop(within(t), "a", 0); err != nil {
			t.Errorf("stop: %v", err)
		}
		if err := <-patient; err != nil {
			t.Errorf("patient stop: %v", err)
		}
	})

	t.Run("with all that it started", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		f.start(t, f.spec("a", "spawn=ignore;out=child;hang", "spawn=spawn=ignore;hang", "wait", "exit=0"))
		f.awaitLine(t, "a", "child")
		f.awaitLine(t, "a", "waiting")
		f.stop(t, "a")
		lines := f.lines(t, query())
		if last := lines[len(lines)-1]; last.Stream != runtime.System {
			t.Errorf("the last line is %+v, want the runtime's own", last)
		}
	})

	t.Run("not running", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		for _, id := range []string{"unknown", "", "../a", "\x00"} {
			if err := f.Stop(within(t), id, time.Hour); err != nil {
				t.Errorf("stop of %q: %v", id, err)
			}
		}
		want := f.run(t, f.spec("a", "exit=2"))
		f.stop(t, "a")
		if diff := cmp.Diff(want, f.known(t)["a"]); diff != "" {
			t.Errorf("stop changed an instance that had ended (-want +got):\n%s", diff)
		}
	})
}

func testRemove(t *testing.T, open Open) {
	t.Helper()
	t.Run("running", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		want := f.start(t, f.spec("a", "wait"))
		wantError(t, "remove", f.Remove(within(t), "a"), runtime.ErrRunning)
		if diff := cmp.Diff(want, f.known(t)["a"]); diff != "" {
			t.Errorf("the instance has changed (-want +got):\n%s", diff)
		}
	})

	t.Run("ended", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		f.run(t, f.spec("a", "out=gone"))
		f.run(t, f.spec("b", "out=stays"))
		if err := f.Remove(within(t), "a"); err != nil {
			t.Fatalf("remove: %v", err)
		}
		if known := f.known(t); len(known) != 1 || known["b"].ID != "b" {
			t.Errorf("there are %+v, want b alone", known)
		}
		got := texts(f.lines(t, query()), runtime.Stdout)
		if diff := cmp.Diff([]string{"stays"}, got); diff != "" {
			t.Errorf("lines (-want +got):\n%s", diff)
		}
	})

	t.Run("and started again", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		f.run(t, f.spec("a", "out=old"))
		if err := f.Remove(within(t), "a"); err != nil {
			t.Fatalf("remove: %v", err)
		}
		spec := f.spec("a", "out=new")
		spec.Namespace = "other" // it is free again for anybody
		f.run(t, spec)
		q := query()
		q.Namespace = "other"
		if got := texts(f.lines(t, q), runtime.Stdout); !cmp.Equal(got, []string{"new"}) {
			t.Errorf("it wrote %q", got)
		}
	})

	t.Run("unknown", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		for _, id := range []string{"unknown", "", ".", "..", "../a", "/"} {
			if err := f.Remove(within(t), id); err != nil {
				t.Errorf("remove of %q: %v", id, err)
			}
		}
	})
}
