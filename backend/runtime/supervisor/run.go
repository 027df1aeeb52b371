package supervisor

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/micro/micro/v3/backend/runtime"
)

// run is one life of an instance, from the start of its program until nothing
// of it is left.
type run struct {
	in      *instance
	release int64
	process Process
	ended   chan struct{} // closed when its program has ended, before what is left is
	gone    chan struct{} // closed when it has ended and everybody knows

	mu    sync.Mutex
	stops bool // it was asked to end
	kills bool // it was killed by us
}

// killTime is how long a run may take to be gone after it was killed.
const killTime = 30 * time.Second

// launch starts the program of an image for an instance, which the caller holds
// and which does not run. On success the instance has taken the image over.
func (r *Runtime) launch(ctx context.Context, in *instance, spec runtime.Spec, img Image) (info runtime.Instance, err error) {
	if err := os.MkdirAll(in.home, 0o700); err != nil {
		return info, err
	}
	port, err := r.ports.take(ctx)
	if err != nil {
		return info, err
	}
	info = runtime.Instance{
		ID:        in.id,
		Namespace: spec.Namespace,
		Service:   spec.Service,
		Release:   spec.Release,
		State:     runtime.Running,
		Address:   net.JoinHostPort(Host, strconv.Itoa(port)),
		Started:   time.Now(),
	}
	started, err := r.engine.Start(ctx, Start{
		Spec: spec, Home: in.home, Output: r.output(in, info.Release, info.Started), Of: img, Port: port,
	})
	if err != nil {
		r.ports.give(port)
		return runtime.Instance{}, err
	}
	for _, u := range started.Unmet {
		info.Unmet = addBounds(info.Unmet, u.Bounds)
	}
	rec := record{
		Release: info.Release,
		Image:   img.Key(),
		Address: info.Address,
		Started: info.Started,
		Unmet:   info.Unmet,
		Process: started.Mark,
	}
	if err := rec.write(in.record()); err != nil {
		// It runs; should this process die, the engine finds it all the same.
		r.log.Warn("what runs of an instance is not on record", "instance", in.id, "process", started.Process, "err", err)
	}
	current := newRun(in, info.Release, started.Process)
	current.say("%s release %d (%s)", runtime.Started, info.Release, started.Process)
	for _, u := range started.Unmet {
		current.say("%s: %s", u.What, u.Reason)
	}
	r.mu.Lock()
	old := in.image
	in.image, in.run = img, current
	r.set(in, info)
	r.mu.Unlock()
	if old != nil {
		old.Release()
	}
	r.waits.Go(func() { r.supervise(current, info, rec) })
	return info, nil
}

func newRun(in *instance, release int64, p Process) *run {
	return &run{in: in, release: release, process: p, ended: make(chan struct{}), gone: make(chan struct{})}
}

// addBounds adds the bounds of b to a, of which no two are of the same kind.
func addBounds(a, b runtime.Resources) runtime.Resources {
	return runtime.Resources{CPU: a.CPU + b.CPU, Memory: a.Memory + b.Memory, Processes: a.Processes + b.Processes}
}

// supervise waits for the end of a run and makes it known.
func (r *Runtime) supervise(current *run, info runtime.Instance, rec record) {
	in := current.in
	var at time.Time
	var stopped bool
	exit, ended := current.process.Wait(func() {
		at, stopped = time.Now(), current.stopped() // who asks from now on comes too late
		close(current.ended)
	})
	if !ended {
		in.log.Rest()
		return // it goes on, and the runtime is being closed
	}
	if exit.At.IsZero() {
		exit.At = at
	}
	exit.Stopped = stopped
	current.mu.Lock()
	killed := current.kills && exit.Signal == "SIGKILL"
	current.mu.Unlock()
	current.say("%s", describe(exit, killed))
	in.log.Rest()
	rec.Exit = &exit
	if err := rec.write(in.record()); err != nil {
		r.log.Warn("the end of an instance is not on record", "instance", in.id, "err", err)
	}
	if port, ok := portOf(info.Address); ok {
		r.ports.give(port)
	}
	info.State, info.Exit = runtime.Exited, exit
	r.mu.Lock()
	in.run = nil
	r.set(in, info)
	r.mu.Unlock()
	close(current.gone)
}

func (in *instance) record() string { return filepath.Join(in.home, "state.json") }

// describe says how a run ended, and whether this runtime killed it.
func describe(exit runtime.Exit, killed bool) string {
	switch {
	case killed:
		return fmt.Sprintf("killed by %s: it did not end when it was asked to", exit.Signal)
	case exit.OutOfMemory:
		return fmt.Sprintf("killed by %s: out of memory", exit.Signal)
	case exit.Signal != "":
		return "killed by " + exit.Signal
	default:
		return fmt.Sprintf("exited with code %d", exit.Code)
	}
}

// say writes a line of the runtime's own into the instance's log.
func (c *run) say(format string, args ...any) {
	c.in.log.Append(c.release, runtime.System, fmt.Appendf(nil, format, args...))
}

// stopped reports whether the run has been asked to end.
func (c *run) stopped() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stops
}

// stop asks the run to end, kills it after grace or when ctx ends, and returns
// when it is gone.
func (c *run) stop(ctx context.Context, grace time.Duration) error {
	c.mu.Lock()
	c.stops = true
	c.mu.Unlock()
	if err := c.process.Terminate(); err != nil {
		grace = 0
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-c.gone:
		return nil
	case <-timer.C:
	case <-ctx.Done():
	}
	c.mu.Lock()
	c.kills = true
	c.mu.Unlock()
	c.process.Kill()
	timer.Reset(killTime)
	select {
	case <-c.gone:
		return nil
	case <-timer.C:
		return fmt.Errorf("it does not end although it was killed (%s)", c.process)
	}
}
