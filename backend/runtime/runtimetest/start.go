package runtimetest

import (
	"context"
	"net"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/micro/micro/v3/backend/runtime"
)

func testStart(t *testing.T, open Open) {
	t.Helper()
	t.Run("instance", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		before := time.Now()
		spec := f.spec("a", "listen", "wait")
		spec.Release = 7
		got := f.start(t, spec)
		want := runtime.Instance{ID: "a", Namespace: "micro", Service: "alpha", Release: 7, State: runtime.Running}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(runtime.Instance{}, "Address", "Started")); diff != "" {
			t.Errorf("instance (-want +got):\n%s", diff)
		}
		if got.Started.Before(before) || got.Started.After(time.Now()) {
			t.Errorf("started at %v, want a time after %v and before now", got.Started, before)
		}
		f.awaitLine(t, "a", "listening")
		dial(t, got.Address)
		if known := f.known(t)["a"]; !cmp.Equal(got, known) {
			t.Errorf("watch yields %+v, want %+v", known, got)
		}
	})

	t.Run("addresses differ", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		a := f.start(t, f.spec("a", "listen", "wait"))
		b := f.start(t, f.spec("b", "listen", "wait"))
		f.awaitLine(t, "a", "listening")
		f.awaitLine(t, "b", "listening")
		if a.Address == b.Address {
			t.Errorf("two instances have the address %s", a.Address)
		}
		dial(t, a.Address)
		dial(t, b.Address)
	})

	for _, tt := range []struct {
		name string
		args []string
		want runtime.Exit
	}{
		{"code 0", []string{"exit=0"}, runtime.Exit{}},
		{"code 3", []string{"exit=3"}, runtime.Exit{Code: 3}},
		{"code 255", []string{"exit=255"}, runtime.Exit{Code: 255}},
		{"end of program", []string{"out=done"}, runtime.Exit{}},
		{"killed", []string{"kill=9"}, runtime.Exit{Code: -1, Signal: "SIGKILL"}},
		{"terminated by itself", []string{"kill=15"}, runtime.Exit{Code: -1, Signal: "SIGTERM"}},
		{"hung up", []string{"kill=1"}, runtime.Exit{Code: -1, Signal: "SIGHUP"}},
		{"ends before its child", []string{"spawn=ignore;hang", "exit=4"}, runtime.Exit{Code: 4}},
	} {
		t.Run("exit/"+tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.want.Signal == "SIGHUP" && signal.Ignored(syscall.SIGHUP) {
				t.Skip("nohup: instances ignore SIGHUP, as everything that it starts")
			}
			f := newFixture(t, open)
			before := time.Now()
			got := f.run(t, f.spec("a", tt.args...)).Exit
			// Without a group of its own a kill is blamed on want of memory when there was any on the machine.
			if diff := cmp.Diff(tt.want, got, cmpopts.IgnoreFields(runtime.Exit{}, "At", "OutOfMemory")); diff != "" {
				t.Errorf("exit (-want +got):\n%s", diff)
			}
			if got.At.Before(before) || got.At.After(time.Now()) {
				t.Errorf("ended at %v, want a time after %v and before now", got.At, before)
			}
		})
	}

	t.Run("again after the end", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		f.run(t, f.spec("a", "out=first", "exit=1"))
		second := f.spec("a", "out=second", "wait")
		second.Release = 2
		got := f.start(t, second)
		if got.Release != 2 || got.State != runtime.Running || got.Exit != (runtime.Exit{}) {
			t.Errorf("the second start is %+v", got)
		}
		f.awaitLine(t, "a", "waiting")
		f.stop(t, "a")
		want := []string{"first", "second", "waiting", "got terminated"}
		if diff := cmp.Diff(want, f.output(t, "a")); diff != "" {
			t.Errorf("lines of both lives (-want +got):\n%s", diff)
		}
	})

	t.Run("running", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		first := f.start(t, f.spec("a", "wait"))
		_, err := f.Start(within(t), f.spec("a", "exit=1"))
		wantError(t, "start of a running instance", err, runtime.ErrRunning)
		if diff := cmp.Diff(first, f.known(t)["a"]); diff != "" {
			t.Errorf("the running instance has changed (-want +got):\n%s", diff)
		}
	})

	t.Run("while it is stopped", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		f.start(t, f.spec("a", "ignore", "hang"))
		f.awaitLine(t, "a", "hanging")
		ctx, kill := context.WithCancel(within(t))
		stopped := make(chan error, 1)
		go func() { stopped <- f.Stop(ctx, "a", time.Hour) }()
		started := make(chan error, 1)
		go func() {
			// Whether this comes before or after the stop, both are done in the end.
			_, err := f.Start(within(t), f.spec("a", "wait"))
			started <- err
		}()
		kill()
		if err := <-stopped; err != nil {
			t.Errorf("stop: %v", err)
		}
		if err := <-started; err != nil {
			wantError(t, "start", err, runtime.ErrRunning)
		}
	})

	t.Run("at once", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		const n = 4
		errs := make(chan error, n)
		for range n {
			go func() {
				_, err := f.Start(within(t), f.spec("a", "wait"))
				errs <- err
			}()
		}
		started := 0
		for range n {
			if err := <-errs; err == nil {
				started++
			} else {
				wantError(t, "start", err, runtime.ErrRunning)
			}
		}
		if started != 1 {
			t.Errorf("%d of %d starts of one instance started it, want 1", started, n)
		}
	})
}

// dial connects to an address where somebody must listen.
func dial(t *testing.T, address string) {
	t.Helper()
	var d net.Dialer
	c, err := d.DialContext(within(t), "tcp", address)
	if err != nil {
		t.Errorf("dial an instance: %v", err)
		return
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
