package docker

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	goruntime "runtime"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/micro/micro/v3/backend/runtime"
	"github.com/micro/micro/v3/backend/runtime/supervisor"
	"github.com/micro/micro/v3/backend/runtime/sweep"
)

// The API starts a command in a container and has no way to end it. So a command bears a
// mark that all it starts inherits, and this process ends who has it, where it sees the
// processes of containers and may do so: as root, or as the user whose engine it is.
// What clears its environment goes on until its container ends.

// command is one that runs in a container.
type command struct {
	*process

	mark sweep.Mark
	id   string // of the engine
	out  head
}

// Exec implements [supervisor.Process].
func (p *process) Exec(ctx context.Context, what supervisor.Command) (runtime.Result, error) {
	args, over := what.Args, what.Over
	img, _ := what.Image.(*image)
	if text := strings.Join(args, ""); len(args) == 0 || args[0] == "" || strings.ContainsRune(text, 0) || !utf8.ValidString(text) {
		return runtime.Result{}, fmt.Errorf("%w: it has no name, or what is no text", runtime.ErrCommand)
	}
	if err := p.checkStray(ctx); err != nil {
		return runtime.Result{}, err
	}
	program, err := p.find(ctx, img, args[0])
	if err != nil {
		return runtime.Result{}, p.unlessOver(ctx, over, err)
	}
	c := &command{process: p, mark: sweep.MarkOf(p.engine.id, what.Instance, rand.Text())}
	work, cancel := outlast(ctx)
	defer cancel()
	exit, err := c.run(work, append([]string{program}, args[1:]...), ctx.Done(), over)
	switch {
	case isClosed(over):
		return runtime.Result{}, runtime.ErrNotRunning
	case ctx.Err() != nil:
		return runtime.Result{}, ctx.Err()
	case err != nil || exit.Signal != "" || exit.Code >= notStarted: // it may have gone with the instance
		err = p.unlessOver(ctx, over, err)
	}
	return runtime.Result{Exit: exit, Output: c.out.kept()}, err
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// notStarted is the first code by which engines tell of what they could not start.
const notStarted = 125

// noticeTime is how long it may take until the end of a container is known.
const noticeTime = 500 * time.Millisecond

// unlessOver returns err unless the instance has ended: that is why, then.
func (p *process) unlessOver(ctx context.Context, over <-chan struct{}, err error) error {
	ctx, cancel := context.WithTimeout(ctx, noticeTime)
	defer cancel()
	if is, lookErr := p.engine.client.inspect(ctx, p.id); lookErr == nil && !is.Running || isNotFound(lookErr) {
		return runtime.ErrNotRunning
	}
	if errors.Is(err, runtime.ErrCommand) && !isRefusal(err) {
		return err
	}
	select {
	case <-over:
		return runtime.ErrNotRunning
	case <-ctx.Done():
		return err
	}
}

// find returns where in the container a command is.
func (p *process) find(ctx context.Context, img *image, name string) (string, error) {
	if img == nil {
		return "", errors.New("its image is not known any more")
	}
	found, err := img.program(ctx, p.id, name)
	return found, supervisor.NoCommand(err)
}

const (
	// drainTime is how long its output may take to end after it.
	drainTime = 2 * time.Second
	// longestLook is between looks at a command that runs.
	longestLook = 100 * time.Millisecond
)

// run runs a command until it ends, or has to because stop or over is closed, with all
// that it has started.
func (c *command) run(ctx context.Context, args []string, stop, over <-chan struct{}) (_ runtime.Exit, err error) {
	if c.id, err = c.engine.client.createExec(ctx, c.process.id, execSpec{
		Cmd: args, Env: []string{sweep.Variable + "=" + string(c.mark)}, AttachStdout: true, AttachStderr: true,
	}); err != nil {
		return runtime.Exit{}, err
	}
	streams, err := c.engine.client.startExec(ctx, c.id)
	if err != nil {
		return runtime.Exit{}, refusedCommand(err)
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		_ = frames(streams, &c.out, &c.out) // what there is
	}()
	code, err := c.attend(ctx, drained, stop, over)
	at := time.Now()
	c.sweep(ctx)
	wait, cancel := context.WithTimeout(ctx, drainTime)
	defer cancel()
	select {
	case <-drained:
	case <-wait.Done():
	}
	err = errors.Join(err, streams.Close())
	<-drained
	exit := exitOf(state{ExitCode: code})
	exit.At = at
	return exit, err
}

// refusedCommand returns what the engine says of a command that it could not start.
func refusedCommand(err error) error {
	if isRefusal(err) {
		return fmt.Errorf("%w: %w", runtime.ErrCommand, err)
	}
	return err
}

// attend returns the code with which a command has ended. One that has to end and does
// not until ctx ends is an error.
func (c *command) attend(ctx context.Context, drained, stop, over <-chan struct{}) (int, error) {
	for pause := time.Millisecond; ; pause = min(2*pause, longestLook) {
		is, err := c.engine.client.inspectExec(ctx, c.id)
		switch {
		case isNotFound(err):
			return 128 + 9, nil // it went with its container
		case ctx.Err() != nil:
			c.stray()
			return 0, ctx.Err()
		case err == nil && !is.Running && is.ExitCode != nil:
			return *is.ExitCode, nil
		case err == nil && !is.Running && drained == nil:
			return notStarted, nil
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-drained: // it is about to end
			drained, pause = nil, time.Millisecond
		case <-stop:
			stop, pause = nil, time.Millisecond
		case <-over:
			over, pause = nil, time.Millisecond
		case <-ctx.Done():
		}
		timer.Stop()
		if stop == nil {
			c.sweep(ctx)
		}
	}
}

// sweep ends what has the mark of the command.
func (c *command) sweep(ctx context.Context) {
	if _, err := sweep.Kill(ctx, sweep.Leftover{Mark: c.mark}); err != nil && ctx.Err() == nil {
		c.engine.log.Warn("a command left processes behind", "container", c.process.id, "err", err)
	}
}

// stray notes that the command goes on although it should not.
func (c *command) stray() {
	c.strayCommand.Store(&c.id)
	c.engine.log.Warn("a command goes on that this server may not end", "container", c.process.id)
}

// checkStray returns an error while a command goes on that should not: a container has
// one of them at most.
func (p *process) checkStray(ctx context.Context) error {
	id := p.strayCommand.Load()
	if id == nil {
		return nil
	}
	if is, err := p.engine.client.inspectExec(ctx, *id); err != nil && !isNotFound(err) {
		return err
	} else if err == nil && is.Running {
		return errors.New("a command that took too long is still running, and the server may not end it")
	}
	p.strayCommand.CompareAndSwap(id, nil)
	return nil
}

// head keeps the first bytes of what a command writes.
type head struct {
	mu    sync.Mutex
	bytes bytes.Buffer
}

func (h *head) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := h.bytes.Write(b[:min(len(b), runtime.MaxOutput-h.bytes.Len())])
	return len(b), err
}

func (h *head) kept() []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	return bytes.Clone(h.bytes.Bytes())
}

// endsCommands reports whether this process sees the processes of containers and may end
// them.
func (e *engine) endsCommands() bool {
	return goruntime.GOOS == "linux" && (os.Geteuid() == 0 || strings.HasPrefix(e.about, "Podman"))
}

// execSpec is what a command is made of, in the API's words.
type execSpec struct {
	Cmd          []string
	Env          []string // beside the container's
	AttachStdout bool
	AttachStderr bool
}

// execState is what the engine says of a command.
type execState struct {
	Running  bool
	ExitCode *int // Docker has none of what has not ended
}

func (c *client) createExec(ctx context.Context, container string, spec execSpec) (id string, err error) {
	var made struct {
		ID string `json:"Id"`
	}
	err = c.call(ctx, http.MethodPost, "/containers/"+url.PathEscape(container)+"/exec", nil, spec, &made)
	return made.ID, err
}

// startExec starts a command and returns its streams, as frames: see [frames]. The
// caller closes them.
func (c *client) startExec(ctx context.Context, id string) (io.ReadCloser, error) {
	return c.hijack(ctx, "/exec/"+url.PathEscape(id)+"/start", []byte(`{"Detach":false,"Tty":false}`))
}

func (c *client) inspectExec(ctx context.Context, id string) (execState, error) {
	var is execState
	err := c.call(ctx, http.MethodGet, "/exec/"+url.PathEscape(id)+"/json", nil, nil, &is)
	return is, err
}
