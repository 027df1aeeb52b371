// Package embedded runs instances as supervised processes of this machine, with
// all that they need and leave in one directory:
//
//	images/<digest>/     unpacked images
//	instances/<id>/      where an instance runs
//
// and what package supervisor keeps there, which has the instances' lives in its hands.
// An instance sees the machine's files and processes as other programs do, but neither
// the server's environment nor what the server keeps. How far that is so, and whether
// what it uses is bounded, depends on the system and on the rights of the server: see
// [Runtime.Describe]. Its whole family of processes ends with it, and with the server,
// however that ends.
package embedded

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/micro/micro/v3/backend/runtime"
	"github.com/micro/micro/v3/backend/runtime/supervisor"
	"github.com/micro/micro/v3/backend/runtime/sweep"
)

// Config says how to open a [Runtime].
type Config struct {
	// Dir is the directory that the runtime keeps everything in; it is made when
	// it is not there. Only one runtime uses it at a time.
	Dir string
	// OpenImage gives the images to start.
	OpenImage runtime.OpenImage
	// Logger hears of what has no other listener; nil: nobody does.
	Logger *slog.Logger

	// Private is a directory that no instance sees, but for what is its own there; it
	// contains Dir. Empty: Dir.
	Private string
	// Unconfined has instances run as the server's user and see what the server does.
	Unconfined bool

	// LogSize is how large a file of an instance's log grows; 0: 10 MiB.
	LogSize int64
	// LogFiles is how many files of an instance's log are kept; 0: 5.
	LogFiles int
	// LogAge is how old lines become, as long as the instance writes more; a tenth
	// of that may be added. 0: 30 days.
	LogAge time.Duration

	proc string // where Linux tells of this process; empty: /proc/self
}

// Runtime is a [runtime.Runtime] of processes.
type Runtime struct {
	*supervisor.Runtime

	engine *engine
}

var _ runtime.Runtime = (*Runtime)(nil)

// Open opens the runtime of a directory. It ends what a runtime of before, which
// was not closed, has left running.
func Open(ctx context.Context, c Config) (*Runtime, error) {
	if c.OpenImage == nil {
		return nil, fmt.Errorf("open runtime %q: want images", c.Dir)
	}
	r := &Runtime{}
	var err error
	r.Runtime, err = supervisor.Open(ctx, supervisor.Config{
		Dir:      c.Dir,
		Logger:   c.Logger,
		LogSize:  c.LogSize,
		LogFiles: c.LogFiles,
		LogAge:   c.LogAge,
	}, func(p supervisor.Place) (supervisor.Engine, error) {
		r.engine, err = openEngine(c, p)
		return r.engine, err
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// engine is a [supervisor.Engine] of processes.
type engine struct {
	id     string // of the directory, in all marks
	dir    string
	boot   string // of the machine; empty: unknown
	log    *slog.Logger
	images *images
	memory *supervisor.MemoryWatch
	cells  *cells
}

var _ supervisor.Engine = (*engine)(nil)

// openEngine ends what runs in the cells of before.
func openEngine(c Config, p supervisor.Place) (*engine, error) {
	e := &engine{id: p.ID, dir: p.Dir, boot: sweep.BootID(), log: p.Logger, memory: &supervisor.MemoryWatch{}}
	e.images = &images{
		dir:     filepath.Join(p.Dir, "images"),
		staging: p.Staging,
		open:    c.OpenImage,
		limits:  defaultLimits,
		boot:    e.boot,
		log:     e.log,
		uses:    map[string]*image{},
	}
	if err := os.MkdirAll(e.images.dir, 0o700); err != nil {
		return nil, err
	}
	private, err := filepath.Abs(cmp.Or(c.Private, p.Dir))
	if err != nil {
		return nil, err
	}
	e.cells, err = openCells(cellsConfig{id: p.ID, dir: p.Dir, private: private, confine: !c.Unconfined, proc: c.proc})
	return e, err
}

// Image implements [supervisor.Engine].
func (e *engine) Image(ctx context.Context, ref string) (supervisor.Image, error) {
	img, err := e.images.acquire(ctx, ref)
	if err != nil {
		return nil, err
	}
	return img, nil
}

// Adopt implements [supervisor.Engine].
func (e *engine) Adopt(key string) supervisor.Image {
	if img := e.images.adopt(key); img != nil {
		return img
	}
	return nil
}

// TakeOver implements [supervisor.Engine]: it ends what still runs.
func (e *engine) TakeOver(ctx context.Context, left []supervisor.Left) (map[string]supervisor.Process, error) {
	l := sweep.Leftover{Mark: sweep.MarkOf(e.id), Known: map[sweep.Process]bool{}, Groups: map[int]bool{}, Dir: e.dir}
	for _, in := range left {
		if p := readMark(in.Mark); p.PID != 0 && p.Boot != "" && p.Boot == e.boot {
			l.Known[p.Process] = true
			l.Groups[p.PID] = true
		}
	}
	killed, err := sweep.Kill(ctx, l)
	if err != nil {
		return nil, fmt.Errorf("end what still runs: %w", err)
	}
	if killed > 0 {
		e.log.Info("ended processes of a server that was not stopped", "processes", killed)
	}
	for _, in := range left {
		if err := home(in.Home).dropIdentity(); err != nil {
			e.log.Warn("the identity of an ended instance stays on the disk", "instance", in.ID, "err", err)
		}
	}
	return nil, e.images.clean()
}

// Forget implements [supervisor.Engine].
func (e *engine) Forget(id string) { e.cells.forget(home(filepath.Join(e.dir, "instances", id))) }

// Close implements [supervisor.Engine]. Nothing runs any more.
func (e *engine) Close() error { return e.cells.close() }

var _ runtime.Describer = (*Runtime)(nil)

// Describe implements [runtime.Describer].
func (r *Runtime) Describe() runtime.Description {
	d := r.engine.cells.describe()
	d.Kind = "processes of this machine"
	return d
}
