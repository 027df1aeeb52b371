package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/micro/micro/v3/backend/runtime"
	"github.com/micro/micro/v3/backend/runtime/logfile"
	"github.com/micro/micro/v3/backend/runtime/supervisor"
	"github.com/micro/micro/v3/backend/runtime/sweep"
)

// run is a [supervisor.Process]: a program that was started with its cell and its
// outputs.
type run struct {
	engine  *engine
	start   supervisor.Start
	process *process
	cell    *cell // what runs in it
	outputs map[runtime.Stream]*os.File
	killed  atomic.Bool // by us
	// memoryKills is what the cell's function of that name returned before the start.
	memoryKills int64
}

var _ supervisor.Process = (*run)(nil)

// drainTime is how long the output of a run may take to end after its processes.
const drainTime = 2 * time.Second

// processMark is what is kept of a process to know it again: see [supervisor.Started].
type processMark struct {
	sweep.Process

	Boot string `json:"boot"` // of the machine when it was started
}

// readMark returns what is kept, an empty mark when that cannot be read.
func readMark(text json.RawMessage) processMark {
	var m processMark
	if len(text) == 0 || json.Unmarshal(text, &m) != nil {
		return processMark{}
	}
	return m
}

// Start implements [supervisor.Engine].
func (e *engine) Start(_ context.Context, s supervisor.Start) (_ supervisor.Started, err error) {
	img, h := s.Of.(*image), home(s.Home)
	path, argv, err := img.command(s.Args)
	if err != nil {
		return supervisor.Started{}, err
	}
	if err := h.prepare(s.Identity); err != nil {
		return supervisor.Started{}, err
	}
	current := &run{engine: e, start: s}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.dropIdentity())
		}
	}()
	if current.cell, err = e.cells.open(h, img, s.Resources); err != nil {
		return supervisor.Started{}, err
	}
	err = current.spawn(current.program(path, argv, sweep.MarkOf(e.id, s.ID)))
	if err != nil {
		return supervisor.Started{}, errors.Join(err, current.cell.close())
	}
	mark, err := json.Marshal(processMark{sweep.Identify(current.process.pid()), e.boot})
	if err != nil {
		return supervisor.Started{}, err // it is plain data
	}
	return supervisor.Started{Process: current, Mark: mark, Unmet: current.cell.unmet()}, nil
}

// program returns a program of the image as the instance starts it, with a mark.
func (c *run) program(path string, argv []string, m sweep.Mark) program {
	img, h := c.start.Of.(*image), home(c.start.Home)
	return program{path: path, argv: argv, env: environment(c.start.Spec, img, h, c.start.Port, m), dir: h.work()}
}

// spawn starts a program in the cell of the run.
func (c *run) spawn(p program) error {
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
	c.memoryKills = c.cell.memoryKills()
	started, err := c.cell.start(p)
	if err != nil {
		return errors.Join(startError(err), outR.Close(), errR.Close())
	}
	c.process = started
	c.outputs = map[runtime.Stream]*os.File{runtime.Stdout: outR, runtime.Stderr: errR}
	return nil
}

// startError says who is to blame for a program that the system does not start.
func startError(err error) error {
	switch {
	case errors.Is(err, syscall.ENOEXEC), errors.Is(err, fs.ErrNotExist):
		return supervisor.Refuse("%w", err)
	case errors.Is(err, fs.ErrPermission):
		// Its mode has been looked at.
		return fmt.Errorf("%w (may programs be started from where the data directory is?)", err)
	default:
		return err
	}
}

// String implements [supervisor.Process].
func (c *run) String() string { return fmt.Sprintf("pid %d", c.process.pid()) }

// Terminate implements [supervisor.Process].
func (c *run) Terminate() error { return c.process.terminate() }

// Kill implements [supervisor.Process].
func (c *run) Kill() {
	c.killed.Store(true)
	c.process.kill()
}

// Wait implements [supervisor.Process]. It ends what the program left behind.
func (c *run) Wait(ended func()) (runtime.Exit, bool) {
	id, log := c.start.ID, c.engine.log
	var outputs sync.WaitGroup
	for stream, from := range c.outputs {
		outputs.Go(func() {
			defer from.Close()
			logfile.ReadLines(from, c.start.Output.Log, c.start.Release, stream)
		})
	}
	exit := c.process.wait(func(session int) {
		ended()
		// It may have started what has left its process group, and its session.
		all, err := c.cell.kill()
		if !all {
			_, sweepErr := sweep.Kill(context.Background(), sweep.Leftover{Mark: sweep.MarkOf(c.engine.id, id), Session: session})
			err = errors.Join(err, sweepErr)
		}
		if err != nil {
			log.Warn("an instance left processes behind", "instance", id, "err", err)
		}
	})
	exit.OutOfMemory = exit.Signal == "SIGKILL" && !c.killed.Load() && c.engine.memory.Took(c.memoryKills, c.cell.memoryKills())
	for _, from := range c.outputs {
		_ = from.SetReadDeadline(time.Now().Add(drainTime)) // it may have ended already
	}
	outputs.Wait()
	if err := home(c.start.Home).dropIdentity(); err != nil {
		log.Warn("the identity of an ended instance stays on the disk", "instance", id, "err", err)
	}
	if err := c.cell.close(); err != nil {
		log.Warn("what held the processes of an instance stays", "instance", id, "err", err)
	}
	return exit, true
}
