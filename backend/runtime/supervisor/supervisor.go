// Package supervisor is what the drivers have in common that keep instances in a
// directory of this machine. It knows the instances and what became of them, also from
// one life to the next, tells those who watch, and keeps what they write:
//
//	instances/<id>/                     what an instance leaves, its record among it
//	logs/<namespace>/<service>/<id>/    what it wrote
//	staging/                            what is being made or removed
//
// What starts a program and ends it is the driver's: its [Engine]. Calls about one
// instance reach that one after the other.
package supervisor

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/micro/micro/v3/backend/runtime"
	"github.com/micro/micro/v3/backend/runtime/logfile"
	"github.com/micro/micro/v3/internal/filelock"
)

// Engine is what instances run on. Its methods are safe for concurrent use.
type Engine interface {
	// Image has the image of a reference ready to be started. The caller releases it.
	Image(ctx context.Context, ref string) (Image, error)
	// Adopt returns the image of a key if it is ready, nil otherwise. The caller
	// releases it.
	Adopt(key string) Image
	// Start starts a program. Nothing of it is left when that is not possible.
	Start(ctx context.Context, s Start) (Started, error)
	// TakeOver is called once, before any Start and after Adopt of all images that are
	// of use. It returns by their ids what goes on of the instances that had not ended
	// for all that is known, and what has ended meanwhile in a way that it knows. Of
	// the others it leaves nothing that runs, and no image that nobody has adopted.
	TakeOver(ctx context.Context, left []Left) (map[string]Process, error)
	// Forget drops what it keeps of an instance that is about to be no more.
	Forget(id string)
	// Close releases what it holds. What runs then goes on without this process, and
	// the Wait of each returns.
	Close() error
}

// Image is an image that can be started, as long as it is not released.
type Image interface {
	Key() string // by which Adopt finds it
	Release()
}

// Start is what to start.
type Start struct {
	runtime.Spec

	Home   string // the folder of the instance
	Output Output
	Of     Image
	Port   int // on [Host], where it has to serve
}

// Output is where what a program writes goes.
type Output struct {
	Log     *logfile.Log
	Release int64
	// Recent returns the last n lines since the program was started, of all streams.
	Recent func(ctx context.Context, n int) ([]runtime.Line, error)
}

// Started is what was started.
type Started struct {
	Process Process
	// Mark is what TakeOver has to know to find it again; JSON.
	Mark  json.RawMessage
	Unmet []Unmet
}

// Unmet is a bound that is not held.
type Unmet struct {
	What   string // "its memory is not bounded to 64 MiB", for example
	Reason string
	Bounds runtime.Resources // this one alone
}

// Process is a program that was started, with all that it starts in turn.
type Process interface {
	// String returns what people know it by: "pid 12".
	String() string
	// Terminate asks it to end, and Kill ends it. Neither does anything when Wait has
	// returned.
	Terminate() error
	Kill()
	// Wait has what it writes written into the log, and returns how it ended when
	// nothing of it runs any more, and its last line is in the log. It calls ended as
	// soon as the program itself has ended. It is called once. It returns false when the
	// program goes on, and the engine is closed.
	Wait(ended func()) (runtime.Exit, bool)
	// Exec runs a command beside it; see [runtime.Executor].
	Exec(ctx context.Context, c Command) (runtime.Result, error)
}

// Command is one to run in an instance.
type Command struct {
	Instance string // its id
	Image    Image  // its image, which stays until the command has ended; nil when it is not ready
	Args     []string
	Over     <-chan struct{} // closed when the instance's program has ended
}

// Left is an instance that had not ended for all that is known.
type Left struct {
	ID     string
	Home   string // its folder
	Output Output
	Mark   json.RawMessage // see [Started]; empty when it is not on record
}

// Config says how to open a [Runtime].
type Config struct {
	// Dir is the directory that everything is kept in; it is made when it is not there.
	// Only one runtime uses it at a time.
	Dir string
	// Outlive says that instances go on when the runtime is closed.
	Outlive bool
	// Logger hears of what has no other listener; nil: nobody does.
	Logger *slog.Logger

	LogSize  int64         // of a file of an instance's log; 0: 10 MiB
	LogFiles int           // of an instance's log; 0: 5
	LogAge   time.Duration // of old lines, as long as the instance writes more; 0: 30 days
}

// Place is what an engine is told of where it works.
type Place struct {
	ID      string // of the directory; nothing else has it
	Dir     string // without symbolic links
	Staging string // an empty folder in it
	Logger  *slog.Logger
}

// closeGrace is how long instances may take to end when the runtime is closed.
const closeGrace = 3 * time.Second

// Runtime is a [runtime.Runtime] of what an [Engine] starts.
type Runtime struct {
	dir     string
	outlive bool
	log     *slog.Logger
	lock    *os.File
	logs    *logfile.Logs
	ports   *ports
	engine  Engine

	cancel chan struct{}  // closed when Close begins
	closed chan struct{}  // closed when Close has ended all instances
	calls  sync.WaitGroup // of Start and Remove
	waits  sync.WaitGroup // for the ends of runs

	mu        sync.Mutex
	closing   bool
	instances map[string]*instance
	watchers  map[*watcher]struct{}
}

var _ runtime.Runtime = (*Runtime)(nil)

// Open opens the runtime of a directory with the engine that open returns.
func Open(ctx context.Context, c Config, open func(Place) (Engine, error)) (*Runtime, error) {
	r, err := openDir(ctx, c, open)
	if err != nil {
		return nil, fmt.Errorf("open runtime %q: %w", c.Dir, err)
	}
	return r, nil
}

func openDir(ctx context.Context, c Config, open func(Place) (Engine, error)) (_ *Runtime, err error) {
	if c.Dir == "" {
		return nil, errors.New("want a directory")
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
		outlive:   c.Outlive,
		log:       c.Logger,
		lock:      lock,
		ports:     &ports{used: map[int]bool{}},
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
	id, err := readID(filepath.Join(dir, "id"))
	if err != nil {
		return nil, err
	}
	if r.logs, err = logfile.Open(filepath.Join(dir, "logs"), c.LogSize, c.LogFiles, c.LogAge); err != nil {
		return nil, err
	}
	staging := r.staging()
	if err := errors.Join(os.RemoveAll(staging), os.Mkdir(staging, 0o700)); err != nil {
		return nil, err
	}
	if r.engine, err = open(Place{ID: id, Dir: dir, Staging: staging, Logger: r.log}); err != nil {
		return nil, err
	}
	if err := r.inherit(ctx); err != nil {
		err = errors.Join(err, r.engine.Close())
		r.waits.Wait()
		return nil, err
	}
	return r, nil
}

func (r *Runtime) staging() string { return filepath.Join(r.dir, "staging") }

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
	for _, sub := range []string{"instances", "logs"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return "", err
		}
	}
	return dir, nil
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

// TrashName returns a name in staging that nothing has.
func TrashName(staging string) string {
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

// output returns where a program writes to that is started now, or was then.
func (r *Runtime) output(in *instance, release int64, started time.Time) Output {
	return Output{in.log, release, func(ctx context.Context, n int) ([]runtime.Line, error) {
		q := runtime.LogQuery{Namespace: in.service.Namespace, Service: in.service.Name, Instance: in.id, Since: started, Tail: n}
		var lines []runtime.Line
		for line, err := range r.logs.Read(ctx, q, r.closed) {
			if err != nil {
				return nil, err
			}
			lines = append(lines, line)
		}
		return lines, nil
	}}
}

// Logs implements [runtime.Runtime].
func (r *Runtime) Logs(ctx context.Context, q runtime.LogQuery) iter.Seq2[runtime.Line, error] {
	return r.logs.Read(ctx, q, r.closed)
}

var _ runtime.Executor = (*Runtime)(nil)

// Exec implements [runtime.Executor].
func (r *Runtime) Exec(ctx context.Context, id string, args []string) (runtime.Result, error) {
	var result runtime.Result
	err := r.call(ctx, func(ctx context.Context) (err error) {
		if err := ctx.Err(); err != nil {
			return err
		}
		r.mu.Lock()
		in := r.instances[id]
		if in == nil || in.run == nil {
			r.mu.Unlock()
			return runtime.ErrNotRunning
		}
		current := in.run
		var img Image
		if in.image != nil {
			img = r.engine.Adopt(in.image.Key())
		}
		r.mu.Unlock()
		if img != nil {
			defer img.Release()
		}
		result, err = current.process.Exec(ctx, Command{Instance: id, Image: img, Args: args, Over: current.ended})
		return err
	})
	if err != nil {
		return runtime.Result{}, fmt.Errorf("run a command in instance %q: %w", id, err)
	}
	return result, nil
}

// NoCommand returns why an image has no program as why it has no such command.
func NoCommand(err error) error {
	if !errors.Is(err, runtime.ErrImage) {
		return err
	}
	return fmt.Errorf("%w: %s", runtime.ErrCommand, strings.TrimPrefix(err.Error(), runtime.ErrImage.Error()+": "))
}

// Running returns what runs, each as it was started.
func (r *Runtime) Running() map[Process]runtime.Instance {
	r.mu.Lock()
	defer r.mu.Unlock()
	found := map[Process]runtime.Instance{}
	for _, in := range r.instances {
		if in.run != nil {
			found[in.run.process] = in.info
		}
	}
	return found
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

	var err error
	if !r.outlive {
		err = r.stopAll(closeGrace)
	}
	if err == nil {
		err = r.engine.Close()
		r.waits.Wait()
	}
	close(r.closed)
	if err != nil {
		return fmt.Errorf("close runtime %q: %w", r.dir, err)
	}
	return filelock.Unlock(r.lock)
}
