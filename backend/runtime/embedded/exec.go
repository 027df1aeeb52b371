package embedded

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/micro/micro/v3/backend/runtime"
)

var _ runtime.Executor = (*Runtime)(nil)

// Exec implements [runtime.Executor].
func (r *Runtime) Exec(ctx context.Context, id string, args []string) (runtime.Result, error) {
	var result runtime.Result
	err := r.call(ctx, func(ctx context.Context) (err error) {
		result, err = r.exec(ctx, id, args)
		return err
	})
	if err != nil {
		return runtime.Result{}, fmt.Errorf("run a command in instance %q: %w", id, err)
	}
	return result, nil
}

func (r *Runtime) exec(ctx context.Context, id string, args []string) (result runtime.Result, err error) {
	if len(args) == 0 || args[0] == "" || strings.ContainsRune(strings.Join(args, ""), 0) {
		return result, fmt.Errorf("%w: it has no name, or a zero byte", runtime.ErrCommand)
	}
	if err := ctx.Err(); err != nil {
		return result, err
	}
	current, img := r.use(id)
	if current == nil {
		return result, runtime.ErrNotRunning
	}
	defer r.images.release(img)
	p := current.program
	if p.path, err = img.find(args[0]); err != nil {
		return result, commandError(err)
	}
	m := markOf(r.id, id, rand.Text())
	p.argv, p.env = args, p.marked(m)
	out, in, err := os.Pipe()
	if err != nil {
		return result, err
	}
	defer out.Close()
	p.stdout, p.stderr = in, in
	started, err := current.cell.start(p)
	if closeErr := in.Close(); err != nil || closeErr != nil {
		return result, errors.Join(commandError(err), closeErr)
	}
	return r.attend(ctx, current, started, m, out)
}

// use returns what runs of an instance, and its image, which the caller releases;
// nil when nothing runs.
func (r *Runtime) use(id string) (*run, *image) {
	r.mu.Lock()
	defer r.mu.Unlock()
	in := r.instances[id]
	if in == nil || in.run == nil {
		return nil, nil
	}
	return in.run, r.images.adopt(in.image.digest)
}

// attend waits for the end of a command, and kills it when ctx or the instance
// ends first.
func (r *Runtime) attend(ctx context.Context, current *run, p *process, m mark, out *os.File) (runtime.Result, error) {
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
			_, err := sweep(context.Background(), leftover{mark: m, session: session})
			if err != nil {
				r.log.Warn("a command left processes behind", "instance", current.in.id, "err", err)
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
	case <-current.ended:
		why = runtime.ErrNotRunning
	}
	if why != nil {
		p.kill()
		exit = <-ended
	}
	select {
	case <-current.ended: // it may have been killed with it
		why = runtime.ErrNotRunning
	default:
	}
	_ = out.SetReadDeadline(time.Now().Add(drainTime)) // it may have ended already
	return runtime.Result{Exit: exit, Output: <-output}, why
}

// marked returns the program's environment with another mark.
func (p program) marked(m mark) []string {
	env := slices.Clone(p.env)
	for i, variable := range env {
		if strings.HasPrefix(variable, markVariable+"=") {
			env[i] = markVariable + "=" + string(m)
		}
	}
	return env
}

// commandError returns an error about a program as one about a command.
func commandError(err error) error {
	switch {
	case errors.Is(err, runtime.ErrImage):
		return fmt.Errorf("%w: %s", runtime.ErrCommand, strings.TrimPrefix(err.Error(), runtime.ErrImage.Error()+": "))
	case errors.Is(err, syscall.ENOEXEC), errors.Is(err, syscall.E2BIG), errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: %w", runtime.ErrCommand, err)
	default:
		return err
	}
}
