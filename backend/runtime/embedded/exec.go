package embedded

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/micro/micro/v3/backend/runtime"
	"github.com/micro/micro/v3/backend/runtime/supervisor"
	"github.com/micro/micro/v3/backend/runtime/sweep"
)

// Exec implements [supervisor.Process].
func (c *run) Exec(ctx context.Context, command supervisor.Command) (result runtime.Result, err error) {
	args := command.Args
	if len(args) == 0 || args[0] == "" || strings.ContainsRune(strings.Join(args, ""), 0) {
		return result, fmt.Errorf("%w: it has no name, or a zero byte", runtime.ErrCommand)
	}
	path, err := c.start.Of.(*image).find(args[0])
	if err != nil {
		return result, commandError(err)
	}
	m := sweep.MarkOf(c.engine.id, c.start.ID, rand.Text())
	p := c.program(path, args, m)
	out, in, err := os.Pipe()
	if err != nil {
		return result, err
	}
	defer out.Close()
	p.stdout, p.stderr = in, in
	started, err := c.cell.start(p)
	if closeErr := in.Close(); err != nil || closeErr != nil {
		return result, errors.Join(commandError(err), closeErr)
	}
	return c.attend(ctx, command.Over, started, m, out)
}

// attend waits for the end of a command, and kills it when ctx or the instance
// ends first.
func (c *run) attend(ctx context.Context, over <-chan struct{}, p *process, m sweep.Mark, out *os.File) (runtime.Result, error) {
	output := make(chan []byte, 1)
	go func() {
		kept, err := io.ReadAll(io.LimitReader(out, runtime.MaxOutput))
		if err == nil {
			_, _ = io.Copy(io.Discard, out) // who leaves it open has lost it
		}
		output <- kept
	}()
	ended := make(chan runtime.Exit, 1)
	go func() {
		exit := p.wait(func(session int) {
			_, err := sweep.Kill(context.Background(), sweep.Leftover{Mark: m, Session: session})
			if err != nil {
				c.engine.log.Warn("a command left processes behind", "instance", c.start.ID, "err", err)
			}
		})
		exit.At = time.Now()
		ended <- exit
	}()
	var why error
	var exit runtime.Exit
	select {
	case exit = <-ended:
	case <-ctx.Done():
		why = ctx.Err()
	case <-over:
		why = runtime.ErrNotRunning
	}
	if why != nil {
		p.kill()
		exit = <-ended
	}
	select {
	case <-over: // it may have been killed with it
		why = runtime.ErrNotRunning
	default:
	}
	_ = out.SetReadDeadline(time.Now().Add(drainTime)) // it may have ended already
	return runtime.Result{Exit: exit, Output: <-output}, why
}

// commandError returns an error about a program as one about a command.
func commandError(err error) error {
	switch {
	case errors.Is(err, runtime.ErrImage):
		return supervisor.NoCommand(err)
	case errors.Is(err, syscall.ENOEXEC), errors.Is(err, syscall.E2BIG), errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: %w", runtime.ErrCommand, err)
	default:
		return err
	}
}
