package runtimetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/micro/micro/v3/backend/runtime"
)

const mib = 1 << 20

// held starts an instance whose bounds must be held. The test is skipped where this
// machine does not let the driver do so, which it has to say.
func (f *fixture) held(t *testing.T, spec runtime.Spec) runtime.Instance {
	t.Helper()
	in := f.start(t, spec)
	if in.Unmet == (runtime.Resources{}) {
		return in
	}
	said := texts(f.lines(t, query()), runtime.System)
	if text := strings.Join(said, "\n"); !strings.Contains(text, "not bounded") {
		t.Errorf("%+v is not held, and the log says %q", in.Unmet, text)
	}
	t.Skipf("not held here: %q", said)
	return in
}

// testBounds is about what an instance may use of the machine.
func testBounds(t *testing.T, open Open) {
	t.Helper()
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		f.start(t, f.spec("neighbour", "wait", "exit=0"))
		spec := f.spec("a", "alloc=1024", "hang")
		spec.Resources.Memory = 64 * mib
		f.held(t, spec)
		exit := f.awaitExit(t, "a").Exit
		want := runtime.Exit{Code: -1, Signal: "SIGKILL", OutOfMemory: true}
		if diff := cmp.Diff(want, exit, cmpopts.IgnoreFields(runtime.Exit{}, "At")); diff != "" {
			t.Errorf("exit (-want +got):\n%s", diff)
		}
		if last := f.last(t, "a"); !strings.Contains(last, "memory") {
			t.Errorf("the last line is %q, and does not say that it had no more memory", last)
		}
		if f.known(t)["neighbour"].State != runtime.Running {
			t.Errorf("its neighbour has ended too")
		}
	})

	t.Run("enough memory", func(t *testing.T) {
		t.Parallel()
		var exit runtime.Exit
		for range 3 { // a driver may blame a kill for want of memory elsewhere on the machine, but not each time
			f := newFixture(t, open)
			spec := f.spec("a", "alloc=32", "kill=9")
			spec.Resources.Memory = 256 * mib
			f.held(t, spec)
			if exit = f.awaitExit(t, "a").Exit; exit.Signal == "SIGKILL" && !exit.OutOfMemory {
				return
			}
		}
		t.Errorf("it has killed itself, and ended with %+v", exit)
	})

	t.Run("processes", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		spec := f.spec("a", "many=200")
		spec.Resources.Processes = 50
		f.held(t, spec)
		// A program in Go ends when it cannot have a thread.
		if exit := f.awaitExit(t, "a").Exit; exit.Code == 0 {
			t.Errorf("it could start all that it wanted")
		}
		most := 0
		for _, line := range f.output(t, "a") {
			var n int
			if _, err := fmt.Sscanf(line, "started %d", &n); err == nil {
				most = max(most, n)
			}
		}
		if most == 0 || most >= 50 {
			t.Errorf("it has started %d processes, want some and less than 50", most)
		}
	})

	t.Run("fork bomb", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		spec := f.spec("bomb", "bomb")
		spec.Resources.Processes, spec.Resources.CPU = 64, 200
		f.held(t, spec)
		for i := range 3 {
			id := fmt.Sprint("a", i)
			f.start(t, f.spec(id, "listen", "out=here", "wait"))
			f.awaitLine(t, id, "here")
		}
		if err := f.Stop(within(t), "bomb", 0); err != nil {
			t.Errorf("stop: %v", err)
		}
	})

	t.Run("processors", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		meter, ok := f.Runtime.(runtime.Meter)
		if !ok {
			t.Skip("it does not tell what is used")
		}
		spec := f.spec("a", "burn", "burn", "hang")
		spec.Resources.CPU = 100
		in := f.held(t, spec)
		ctx := within(t)
		for {
			list, err := meter.Usage(ctx)
			elapsed := time.Since(in.Started)
			if err != nil {
				t.Fatal(err)
			}
			// What a period lets through may be used at once.
			if most := elapsed/10 + 200*time.Millisecond; len(list) == 1 && list[0].CPU > most {
				t.Fatalf("it has used %s in %s, want at most %s", list[0].CPU, elapsed, most)
			}
			if elapsed > 3*time.Second {
				if len(list) != 1 || list[0].CPU == 0 {
					t.Errorf("it has used %v", list)
				}
				return
			}
			select {
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
				t.Fatal(ctx.Err())
			}
		}
	})

	t.Run("commands", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		e, ok := f.Runtime.(runtime.Executor)
		if !ok {
			t.Skip("it runs no commands")
		}
		spec := f.spec("a", "wait")
		spec.Resources.Memory = 64 * mib
		f.held(t, spec)
		result, err := e.Exec(within(t), "a", []string{"/app/" + programName, "alloc=1024"})
		if err == nil && result.Exit.Signal != "SIGKILL" {
			t.Errorf("a command could use more than the instance may: %+v", result)
		}
	})
}

// last returns the last line of the runtime's own about an instance.
func (f *fixture) last(t *testing.T, id string) string {
	t.Helper()
	q := query()
	q.Instance = id
	said := texts(f.lines(t, q), runtime.System)
	if len(said) == 0 {
		return ""
	}
	return said[len(said)-1]
}
