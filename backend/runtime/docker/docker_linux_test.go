package docker

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/micro/micro/v3/backend/runtime"
	"github.com/micro/micro/v3/backend/runtime/runtimetest"
	"github.com/micro/micro/v3/internal/podmantest"
)

func TestRuntime(t *testing.T) {
	t.Parallel()
	e := podmantest.Start(t)
	runtimetest.Test(t, func(t *testing.T, dir string, images runtime.OpenImage) runtime.Runtime {
		t.Helper()
		return mustOpen(t, Config{Dir: dir, Engine: e.Address, OpenImage: images})
	})
}

// mustOpen opens a runtime; whoever asks for it closes it.
func mustOpen(t *testing.T, c Config) *Runtime {
	t.Helper()
	r, err := Open(t.Context(), c)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return r
}

// program returns the configuration of a runtime with the suite's program in it.
func program(t *testing.T, e *podmantest.Engine) (c Config, image string) {
	t.Helper()
	images := &runtimetest.Images{}
	image = images.Add(runtimetest.ProgramImage(t))
	return Config{Dir: t.TempDir(), Engine: e.Address, OpenImage: images.Open}, image
}

func alphaSpec(id, image string, args ...string) runtime.Spec {
	return runtime.Spec{ID: id, Namespace: "micro", Service: "alpha", Release: 1, Image: image, Args: args}
}

func mustStart(t *testing.T, r *Runtime, spec runtime.Spec) runtime.Instance {
	t.Helper()
	in, err := r.Start(within(t), spec)
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	return in
}

// awaitOutput waits until an instance has written so many lines, and returns them.
func awaitOutput(t *testing.T, r *Runtime, id string, n int) []string {
	t.Helper()
	var found []string
	for line, err := range r.Logs(within(t), runtime.LogQuery{Namespace: "micro", Service: "alpha", Instance: id, Follow: true}) {
		if err != nil {
			t.Fatalf("wait for %d lines of %q: %v; there are %q", n, id, err, found)
		}
		if line.Stream == runtime.Stdout {
			found = append(found, line.Text)
		}
		if len(found) == n {
			break
		}
	}
	return found
}

// output returns what an instance has written.
func output(t *testing.T, r *Runtime, id string) []string {
	t.Helper()
	var found []string
	for line, err := range r.Logs(within(t), runtime.LogQuery{Namespace: "micro", Service: "alpha", Instance: id}) {
		if err != nil {
			t.Fatal(err)
		}
		if line.Stream == runtime.Stdout {
			found = append(found, line.Text)
		}
	}
	return found
}

// awaitState waits until an instance is in a state.
func awaitState(t *testing.T, r *Runtime, id string, want runtime.State) runtime.Instance {
	t.Helper()
	for event, err := range r.Watch(within(t)) {
		if err != nil {
			t.Fatalf("wait for state %d of %q: %v", want, id, err)
		}
		if event.Instance.ID == id && event.Instance.State == want {
			return event.Instance
		}
	}
	return runtime.Instance{}
}

// TestTakeOver checks what the next server finds of containers that went on, ended and
// were removed without one.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	e := podmantest.Start(t)
	client := clientOf(t, e.Address)
	config, image := program(t, e)
	r := mustOpen(t, config)
	args := []string{"out=one", "wait", "out=two", "wait", "exit=5"}
	ids := []string{"on", "ended", "removed"}
	before := map[string]runtime.Instance{}
	containers := map[string]string{}
	for _, id := range ids {
		before[id] = mustStart(t, r, alphaSpec(id, image, args...))
		awaitOutput(t, r, id, 2)
	}
	for p, in := range r.Running() {
		c, _ := p.(*process)
		containers[in.ID] = c.id
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}

	// Without a server.
	ctx := within(t)
	terminate := func(id string) {
		if err := client.kill(ctx, containers[id], "SIGTERM"); err != nil {
			t.Fatal(err)
		}
	}
	terminate("on")
	await(t, "it to end", func(ctx context.Context) bool {
		is, err := client.inspect(ctx, containers["ended"])
		if err == nil && is.Running {
			terminate("ended") // twice: it waits twice
		}
		return err == nil && !is.Running
	})
	if err := client.remove(ctx, containers["removed"]); err != nil {
		t.Fatal(err)
	}
	stray, err := client.create(ctx, "stray", containerSpec{Image: "localhost/micro-x", Labels: map[string]string{runtimeLabel: r.engine.id}})
	if err == nil {
		t.Fatalf("there is an image that is not there: %q", stray)
	}
	stray, err = client.create(ctx, "stray", containerSpec{Image: r.engine.images.name + ":" + imageOf(t, client, r), Labels: map[string]string{runtimeLabel: r.engine.id}})
	if err != nil {
		t.Fatal(err)
	}

	r = mustOpen(t, config)
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	if got := awaitState(t, r, "on", runtime.Running); !cmp.Equal(got, before["on"]) {
		t.Errorf("the one that runs is %+v, want %+v", got, before["on"])
	}
	want := []string{"one", "waiting", "got terminated", "two", "waiting"}
	if diff := cmp.Diff(want, awaitOutput(t, r, "on", len(want))); diff != "" {
		t.Errorf("what it wrote (-want +got):\n%s", diff)
	}
	ended := awaitState(t, r, "ended", runtime.Exited)
	if ended.Exit.Code != 5 || ended.Exit.Signal != "" || ended.Exit.Stopped {
		t.Errorf("the one that has ended is %+v", ended)
	}
	want = append(want, "got terminated")
	if diff := cmp.Diff(want, output(t, r, "ended")); diff != "" {
		t.Errorf("what that wrote (-want +got):\n%s", diff)
	}
	if got := awaitState(t, r, "removed", runtime.Exited).Exit; got.Signal != "SIGKILL" {
		t.Errorf("the one that was removed has ended with %+v", got)
	}
	if _, err := client.inspect(ctx, stray); !isNotFound(err) {
		t.Errorf("a container that belongs to nobody is there still: %v", err)
	}
	if err := r.Stop(ctx, "on", time.Minute); err != nil {
		t.Fatal(err)
	}
	if got := awaitState(t, r, "on", runtime.Exited).Exit; got.Code != 5 || !got.Stopped {
		t.Errorf("it was stopped and ended with %+v", got)
	}
	if diff := cmp.Diff(want, output(t, r, "on")); diff != "" {
		t.Errorf("all that it wrote (-want +got):\n%s", diff)
	}
}

// imageOf returns the digest of the one image that a runtime has in the engine.
func imageOf(t *testing.T, c *client, r *Runtime) string {
	t.Helper()
	refs, err := c.listImages(within(t), r.engine.images.name)
	if err != nil || len(refs) != 1 {
		t.Fatalf("images: %q, %v; want one", refs, err)
	}
	return refs[0][len(r.engine.images.name)+1:]
}

// TestEngineEnds checks that an engine that is killed and comes back takes nothing with
// it, neither an instance nor a line.
func TestEngineEnds(t *testing.T) {
	t.Parallel()
	e := podmantest.Start(t)
	config, image := program(t, e)
	r := mustOpen(t, config)
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	in := mustStart(t, r, alphaSpec("a", image, "listen", "out=one", "wait", "out=two", "wait", "exit=0"))
	awaitOutput(t, r, "a", 3)
	e.Kill()
	if _, err := r.Start(within(t), alphaSpec("b", image, "hang")); err == nil {
		t.Errorf("an instance was started without an engine")
	}
	if got := awaitState(t, r, "a", runtime.Running); !cmp.Equal(got, in) {
		t.Errorf("it is %+v, want %+v", got, in)
	}
	e.Run(t)
	client := clientOf(t, e.Address)
	for p := range r.Running() {
		c, _ := p.(*process)
		if err := client.kill(within(t), c.id, "SIGTERM"); err != nil {
			t.Fatal(err)
		}
	}
	awaitOutput(t, r, "a", 6)
	if err := r.Stop(within(t), "a", time.Minute); err != nil {
		t.Fatal(err)
	}
	if got := awaitState(t, r, "a", runtime.Exited).Exit; got.Code != 0 || got.Signal != "" || !got.Stopped {
		t.Errorf("it ended with %+v", got)
	}
	got := output(t, r, "a")
	if want := []string{"listening", "one", "waiting", "got terminated", "two", "waiting", "got terminated"}; !slices.Equal(got, want) {
		t.Errorf("it wrote %q, want %q", got, want)
	}
	mustStart(t, r, alphaSpec("b", image, "hang"))
	if err := r.Stop(within(t), "b", 0); err != nil {
		t.Error(err)
	}
}
