// Package embedded runs instances as supervised processes of this machine, with
// all that they need and leave in one directory:
//
//	images/<digest>/                          unpacked images
//	instances/<id>/                           where an instance runs
//	logs/<namespace>/<service>/<id>/          what it wrote
//	staging/                                  what is being made or removed
//
// An instance sees the machine's files and processes as other programs do, but neither
// the server's environment nor what the server keeps. How far that is so, and whether
// what it uses is bounded, depends on the system and on the rights of the server: see
// [Runtime.Describe]. Its whole family of processes ends with it, and with the server,
// however that ends.
package embedded

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/micro/micro/v3/backend/runtime"
	"github.com/micro/micro/v3/backend/runtime/logfile"
	"github.com/micro/micro/v3/internal/filelock"
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

// closeGrace is how long instances may take to end when the runtime is closed.
const closeGrace = 3 * time.Second

// Runtime is a [runtime.Runtime] of processes.
type Runtime struct {
	dir    string
	id     string // of the directory, in all marks
	boot   string
	log    *slog.Logger
	lock   *os.File
	images *images
	logs   *logfile.Logs
	ports  *ports
	memory *memoryWatch
	cells  *cells

	cancel chan struct{}  // closed when Close begins
	closed chan struct{}  // closed when Close has ended all instances
	calls  sync.WaitGroup // of Start and Remove

	mu        sync.Mutex
	closing   bool
	instances map[string]*instance
	watchers  map[*watcher]struct{}
}

var _ runtime.Runtime = (*Runtime)(nil)

// Open opens the runtime of a directory. It ends what a runtime of before, which
// was not closed, has left running.
func Open(ctx context.Context, c Config) (*Runtime, error) {
	r, err := open(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("open runtime %q: %w", c.Dir, err)
	}
	return r, nil
}

func open(ctx context.Context, c Config) (_ *Runtime, err error) {
	if c.Dir == "" || c.OpenImage == nil {
		return nil, errors.New("want a directory and images")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	dir, err := makeDirs(c.Dir)
	if err != nil {
		return nil, err
	}
	lock, err := filelock.Lock(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, filelock.Unlock(lock))
		}
	}()
	r := &Runtime{
		dir:       dir,
		boot:      bootID(),
		log:       c.Logger,
		lock:      lock,
		ports:     &ports{used: map[int]bool{}},
		memory:    &memoryWatch{},
		cancel:    make(chan struct{}),
		closed:    make(chan struct{}),
		instances: map[string]*instance{},
		watchers:  map[*watcher]struct{}{},
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	if c.LogSize <= 0 {
		c.LogSize = 10 << 20
	}
	if c.LogFiles <= 0 {
		c.LogFiles = 5
	}
	if c.LogAge <= 0 {
		c.LogAge = 30 * 24 * time.Hour
	}
	r.images = &images{
		dir:     filepath.Join(dir, "images"),
		staging: filepath.Join(dir, "staging"),
		open:    c.OpenImage,
		limits:  defaultLimits,
		boot:    r.boot,
		log:     r.log,
		uses:    map[string]*image{},
	}
	if r.id, err = readID(filepath.Join(dir, "id")); err != nil {
		return nil, err
	}
	if r.logs, err = logfile.Open(filepath.Join(dir, "logs"), c.LogSize, c.LogFiles, c.LogAge); err != nil {
		return nil, err
	}
	if c.Private, err = filepath.Abs(cmp.Or(c.Private, dir)); err != nil {
		return nil, err
	}
	if err := r.inherit(ctx, cellsConfig{id: r.id, dir: dir, private: c.Private, confine: !c.Unconfined, proc: c.proc}); err != nil {
		return nil, err
	}
	return r, nil
}

// makeDirs makes the directories and returns the path of the outer one without
// symbolic links.
func makeDirs(name string) (string, error) {
	if err := os.MkdirAll(name, 0o700); err != nil {
		return "", err
	}
	dir, err := filepath.Abs(name)
	if err != nil {
		return "", err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", err
	}
	for _, sub := range []string{"images", "instances", "logs"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// folders calls do with the name of each folder in dir.
func folders(dir string, do func(name string) error) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		if err := do(e.Name()); err != nil {
			return err
		}
	}
	return nil
}

// readID returns the id of a directory, which it gets when it has none.
func readID(name string) (string, error) {
	id, err := os.ReadFile(name)
	if err == nil && len(id) == len(rand.Text()) {
		return string(id), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	text := rand.Text()
	next := name + ".next"
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		return "", err
	}
	return text, os.Rename(next, name)
}

// trashName returns a name in staging that nothing has.
func trashName(staging string) string {
	return filepath.Join(staging, "trash-"+rand.Text())
}

// call makes a call that Close waits for. Its context ends with ctx, and when
// Close begins; its error is [runtime.ErrClosed] then.
func (r *Runtime) call(ctx context.Context, do func(context.Context) error) error {
	r.mu.Lock()
	if r.closing {
		r.mu.Unlock()
		return runtime.ErrClosed
	}
	r.calls.Add(1)
	r.mu.Unlock()
	defer r.calls.Done()

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-r.cancel:
			cancel(runtime.ErrClosed)
		case <-ctx.Done():
		}
	}()
	err := do(ctx)
	if errors.Is(err, context.Canceled) && errors.Is(context.Cause(ctx), runtime.ErrClosed) {
		return runtime.ErrClosed
	}
	return err
}

// Logs implements [runtime.Runtime].
func (r *Runtime) Logs(ctx context.Context, q runtime.LogQuery) iter.Seq2[runtime.Line, error] {
	return r.logs.Read(ctx, q, r.closed)
}

// Close implements [runtime.Runtime]. To close a closed runtime is no error.
func (r *Runtime) Close() error {
	r.mu.Lock()
	if r.closing {
		r.mu.Unlock()
		<-r.closed
		return nil
	}
	r.closing = true
	close(r.cancel)
	r.mu.Unlock()
	r.calls.Wait()

	err := r.stopAll(closeGrace)
	close(r.closed)
	if err != nil {
		return fmt.Errorf("close runtime %q: %w", r.dir, err)
	}
	return errors.Join(r.cells.close(), filelock.Unlock(r.lock))
}

var _ runtime.Describer = (*Runtime)(nil)

// Describe implements [runtime.Describer].
func (r *Runtime) Describe() runtime.Description {
	d := r.cells.describe()
	d.Kind = "processes of this machine"
	return d
}
