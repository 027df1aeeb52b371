package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/micro/micro/v3/backend/runtime"
	"github.com/micro/micro/v3/backend/runtime/logfile"
)

// run is one life of an instance, from the start of its program until nothing
// of it is left.
type run struct {
	in      *instance
	release int64
	process *process
	cell    *cell   // what runs in it
	program program // as it was started
	outputs sync.WaitGroup
	ended   chan struct{} // closed when its program has ended, before what is left is
	gone    chan struct{} // closed when it has ended and everybody knows
	// memoryKills is what the cell's function of that name returned before the start.
	memoryKills int64

	mu    sync.Mutex
	stops bool // it was asked to end
	kills bool // it was killed by us
}

// drainTime is how long the output of a run may take to end after its processes.
const drainTime = 2 * time.Second

// killTime is how long a run may take to be gone after it was killed.
const killTime = sweepTime + drainTime + 3*time.Second

// launch starts the program of an image for an instance, which the caller holds
// and which does not run. On success the instance has taken the image over.
func (r *Runtime) launch(ctx context.Context, in *instance, spec runtime.Spec, img *image) (info runtime.Instance, err error) {
	path, argv, err := img.command(spec.Args)
	if err != nil {
		return info, err
	}
	if err := in.home.prepare(spec.Identity); err != nil {
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
		Address:   net.JoinHostPort(host, strconv.Itoa(port)),
		Started:   time.Now(),
	}
	current := &run{in: in, release: spec.Release, ended: make(chan struct{}), gone: make(chan struct{})}
	if current.cell, err = r.cells.open(in.home, img, spec.Resources); err == nil {
		for _, u := range current.cell.unmet() {
			info.Unmet = addBounds(info.Unmet, u.bounds)
		}
		err = r.spawn(current, info, img, program{
			path: path,
			argv: argv,
			env:  environment(spec, img, in.home, port, markOf(r.id, in.id)),
			dir:  in.home.work(),
		})
	}
	if err != nil {
		r.ports.give(port)
		return runtime.Instance{}, errors.Join(err, in.home.dropIdentity())
	}
	return info, nil
}

// spawn starts a program and what supervises it, and makes it known. It closes the cell
// of the run when that is not possible.
func (r *Runtime) spawn(current *run, info runtime.Instance, img *image, p program) (err error) {
	in := current.in
	defer func() {
		if err != nil {
			err = errors.Join(err, current.cell.close())
		}
	}()
	outR, outW, err := os.Pipe()
	if err != nil {
		return err
	}
	defer outW.Close()
	errR, errW, err := os.Pipe()
	if err != nil {
		return errors.Join(err, outR.Close())
	}
	defer errW.Close()
	p.stdout, p.stderr = outW, errW
	current.memoryKills = current.cell.memoryKills()
	started, err := current.cell.start(p)
	if err != nil {
		return errors.Join(startError(err), outR.Close(), errR.Close())
	}
	current.process, current.program = started, p
	rec := record{
		Release: info.Release,
		Image:   img.digest,
		Address: info.Address,
		Started: info.Started,
		Boot:    r.boot,
		Process: identify(started.pid()),
	}
	if err := rec.write(in.home.state()); err != nil {
		// It runs; should this process die, the mark is enough to find it.
		r.log.Warn("the process of an instance is not on record", "instance", in.id, "pid", started.pid(), "err", err)
	}
	current.say("started release %d (pid %d)", info.Release, started.pid())
	for _, u := range current.cell.unmet() {
		current.say("%s: %s", u.what, u.reason)
	}
	r.mu.Lock()
	old := in.image
	in.image, in.run = img, current
	r.set(in, info)
	r.mu.Unlock()
	if old != nil {
		r.images.release(old)
	}
	for stream, from := range map[runtime.Stream]*os.File{runtime.Stdout: outR, runtime.Stderr: errR} {
		current.outputs.Go(func() {
			defer from.Close()
			logfile.ReadLines(from, in.log, info.Release, stream)
		})
	}
	go r.supervise(current, info, rec, outR, errR)
	return nil
}

// startError says who is to blame for a program that the system does not start.
func startError(err error) error {
	switch {
	case errors.Is(err, syscall.ENOEXEC), errors.Is(err, fs.ErrNotExist):
		return refuse("%w", err)
	case errors.Is(err, fs.ErrPermission):
		// Its mode has been looked at.
		return fmt.Errorf("%w (may programs be started from where the data directory is?)", err)
	default:
		return err
	}
}

// supervise waits for the end of a run, ends what it left behind, and makes that
// known after its last line is in the log.
func (r *Runtime) supervise(current *run, info runtime.Instance, rec record, outputs ...*os.File) {
	in := current.in
	var at time.Time
	var stopped bool
	exit := current.process.wait(func(session int) {
		at, stopped = time.Now(), current.stopped() // who asks from now on comes too late
		close(current.ended)
		// It may have started what has left its process group, and its session.
		all, err := current.cell.kill()
		if !all {
			_, sweepErr := sweep(context.Background(), leftover{mark: markOf(r.id, in.id), session: session})
			err = errors.Join(err, sweepErr)
		}
		if err != nil {
			r.log.Warn("an instance left processes behind", "instance", in.id, "err", err)
		}
	})
	exit.At, exit.Stopped = at, stopped
	current.mu.Lock()
	killed := current.kills && exit.Signal == "SIGKILL"
	current.mu.Unlock()
	exit.OutOfMemory = exit.Signal == "SIGKILL" && !killed && r.memory.took(current.memoryKills, current.cell.memoryKills())

	for _, from := range outputs {
		_ = from.SetReadDeadline(time.Now().Add(drainTime)) // it may have ended already
	}
	current.outputs.Wait()
	current.say("%s", describe(exit, killed))
	in.log.Rest()

	if err := in.home.dropIdentity(); err != nil {
		r.log.Warn("the identity of an ended instance stays on the disk", "instance", in.id, "err", err)
	}
	if err := current.cell.close(); err != nil {
		r.log.Warn("what held the processes of an instance stays", "instance", in.id, "err", err)
	}
	rec.Exit = &exit
	if err := rec.write(in.home.state()); err != nil {
		r.log.Warn("the end of an instance is not on record", "instance", in.id, "err", err)
	}
	_, port, _ := net.SplitHostPort(info.Address)
	if n, err := strconv.Atoi(port); err == nil {
		r.ports.give(n)
	}
	info.State, info.Exit = runtime.Exited, exit
	r.mu.Lock()
	in.run = nil
	r.set(in, info)
	r.mu.Unlock()
	close(current.gone)
}

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
	if err := c.process.terminate(); err != nil {
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
	c.process.kill()
	timer.Reset(killTime)
	select {
	case <-c.gone:
		return nil
	case <-timer.C:
		return fmt.Errorf("process %d does not end although it was killed", c.process.pid())
	}
}
