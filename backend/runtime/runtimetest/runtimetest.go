// Package runtimetest is the definition of a [runtime.Runtime]: what the suite
// does not check is not promised.
package runtimetest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/micro/micro/v3/backend/runtime"
)

// Open opens a runtime that takes its images from images. What dir stands for
// outlives the runtime: to open the same dir again is to open the same runtime
// again. The suite closes it.
type Open func(t *testing.T, dir string, images runtime.OpenImage) runtime.Runtime

// Test tests a driver. Tests run in parallel, each with a runtime of its own.
func Test(t *testing.T, open Open) {
	t.Helper()
	for _, group := range []struct {
		name  string
		tests func(t *testing.T, open Open)
	}{
		{"start", testStart},
		{"refusal", testRefusal},
		{"environment", testEnvironment},
		{"stop", testStop},
		{"remove", testRemove},
		{"watch", testWatch},
		{"logs", testLogs},
		{"query", testQuery},
		{"follow", testFollow},
		{"life", testLife},
		{"usage", testUsage},
		{"exec", testExec},
		{"bounds", testBounds},
	} {
		t.Run(group.name, func(t *testing.T) {
			t.Parallel()
			group.tests(t, open)
		})
	}
}

// timeout bounds whatever a test waits for.
const timeout = 2 * time.Minute

// fixture is a runtime with an image in it.
type fixture struct {
	runtime.Runtime
	dir    string
	images *Images
	image  string // the reference of the program's
}

// newFixture opens a new runtime, which is closed with the test.
func newFixture(t *testing.T, open Open) *fixture {
	t.Helper()
	f := &fixture{dir: t.TempDir(), images: &Images{}}
	f.image = f.images.Add(ProgramImage(t))
	f.Runtime = open(t, f.dir, f.images.Open)
	t.Cleanup(func() {
		f.endAll(t)
		if err := f.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return f
}

// endAll ends what still runs: it may outlive the runtime, and take the processors from
// the tests that follow.
func (f *fixture) endAll(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	for event, err := range f.Watch(ctx) {
		if errors.Is(err, runtime.ErrClosed) || event.Synced {
			return
		}
		if err == nil && event.Instance.State == runtime.Running {
			err = f.Stop(ctx, event.Instance.ID, 0)
		}
		if err != nil {
			t.Errorf("end what still runs: %v", err)
		}
	}
}

// spec returns a specification of an instance of service "alpha" in namespace
// "micro" that does what args say.
func (f *fixture) spec(id string, args ...string) runtime.Spec {
	return runtime.Spec{ID: id, Namespace: "micro", Service: "alpha", Release: 1, Image: f.image, Args: args}
}

// start starts an instance that must start.
func (f *fixture) start(t *testing.T, spec runtime.Spec) runtime.Instance {
	t.Helper()
	in, err := f.Start(within(t), spec)
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	return in
}

// run starts an instance and returns how it ended.
func (f *fixture) run(t *testing.T, spec runtime.Spec) runtime.Instance {
	t.Helper()
	f.start(t, spec)
	return f.awaitExit(t, spec.ID)
}

// stop stops an instance.
func (f *fixture) stop(t *testing.T, id string) {
	t.Helper()
	if err := f.Stop(within(t), id, timeout); err != nil {
		t.Fatalf("stop: %v", err)
	}
}

// awaitExit waits until an instance has ended.
func (f *fixture) awaitExit(t *testing.T, id string) runtime.Instance {
	t.Helper()
	for event, err := range f.Watch(within(t)) {
		if err != nil {
			t.Fatalf("watch for the end of instance %q: %v", id, err)
		}
		if event.Instance.ID == id && event.Instance.State == runtime.Exited {
			return event.Instance
		}
	}
	t.Fatalf("watch ended")
	return runtime.Instance{}
}

// known returns the instances that there are, by id.
func (f *fixture) known(t *testing.T) map[string]runtime.Instance {
	t.Helper()
	found := map[string]runtime.Instance{}
	for event, err := range f.Watch(within(t)) {
		if err != nil {
			t.Fatalf("watch: %v", err)
		}
		if event.Synced {
			break
		}
		found[event.Instance.ID] = event.Instance
	}
	return found
}

// query selects all lines of the fixture's service.
func query() runtime.LogQuery { return runtime.LogQuery{Namespace: "micro", Service: "alpha"} }

// lines returns what a query yields.
func (f *fixture) lines(t *testing.T, q runtime.LogQuery) []runtime.Line {
	t.Helper()
	var lines []runtime.Line
	for line, err := range f.Logs(within(t), q) {
		if err != nil {
			t.Fatalf("logs: %v", err)
		}
		lines = append(lines, line)
	}
	return lines
}

// output returns what an instance wrote to its standard output.
func (f *fixture) output(t *testing.T, id string) []string {
	t.Helper()
	q := query()
	q.Instance = id
	return texts(f.lines(t, q), runtime.Stdout)
}

func texts(lines []runtime.Line, streams ...runtime.Stream) []string {
	var found []string
	for _, line := range lines {
		if slices.Contains(streams, line.Stream) {
			found = append(found, line.Text)
		}
	}
	return found
}

// awaitLine waits for a line of an instance's program.
func (f *fixture) awaitLine(t *testing.T, id, text string) {
	t.Helper()
	q := query()
	q.Instance, q.Follow = id, true
	for line, err := range f.Logs(within(t), q) {
		if err != nil {
			t.Fatalf("wait for %q of instance %q: %v", text, id, err)
		}
		if line.Stream != runtime.System && line.Text == text {
			return
		}
	}
	t.Fatalf("logs ended")
}

// within returns a context that bounds a test's step.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), timeout, errors.New("the test waited too long"))
	t.Cleanup(cancel)
	return ctx
}

func equateEmpty() cmp.Option { return cmpopts.EquateEmpty() }

// without returns the lines that do not begin with a prefix.
func without(lines []string, prefix string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return strings.HasPrefix(l, prefix) })
}

func sorted(lines []string) []string { return slices.Sorted(slices.Values(lines)) }
