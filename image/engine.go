package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// ErrEngine is returned when there is no container engine, or it does not do what it
// was asked for.
var ErrEngine = errors.New("no usable container engine")

// Engine is a container engine of this machine. It is reached by its own command,
// which knows where it is and who the user is there.
type Engine struct {
	name    string // "docker" or "podman"
	program string
}

// FindEngine returns docker or podman, whichever answers first in this order. The error
// is [ErrEngine].
func FindEngine(ctx context.Context) (*Engine, error) {
	var why []string
	for _, name := range []string{"docker", "podman"} {
		program, err := exec.LookPath(name)
		if err != nil {
			why = append(why, name+" is not installed")
			continue
		}
		e := &Engine{name, program}
		limited, cancel := context.WithTimeout(ctx, 20*time.Second)
		err = e.run(limited, nil, nil, "version")
		cancel()
		if err == nil {
			return e, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		why = append(why, err.Error())
	}
	return nil, fmt.Errorf("%w: %s", ErrEngine, strings.Join(why, "; "))
}

// Name returns "docker" or "podman".
func (e *Engine) Name() string { return e.name }

// Load gives an image to the engine, which knows it as REPOSITORY:TAG afterwards. Of
// several platforms it takes that of this machine.
func (e *Engine) Load(ctx context.Context, i *Image, repository, tag string) error {
	r, w := io.Pipe()
	go func() { w.CloseWithError(i.WriteArchive(ctx, w, repository, tag)) }()
	return errors.Join(e.run(ctx, r, nil, "load"), r.Close())
}

// run runs a command of the engine. Each line of its
// standard error is reported; when it fails, the error is an [*EngineError] with the last
// of them.
func (e *Engine) run(ctx context.Context, in io.Reader, said func(line string), args ...string) error {
	var out bytes.Buffer
	errs := &lines{}
	cmd := exec.CommandContext(ctx, e.program, args...)
	cmd.Stdin = in
	cmd.Stdout = &limitedWriter{w: &out, left: maxOutput}
	cmd.Stderr = &teeLines{lines: errs, said: said}
	cmd.Env = append(os.Environ(), "BUILDKIT_PROGRESS=plain", "DOCKER_CLI_HINTS=false")
	cmd.WaitDelay = 2 * time.Second
	killGroup(cmd)
	err := cmd.Run()
	errs.flush()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	default:
		return &EngineError{Engine: e.name, Command: args[0], Lines: slices.Concat(tail(out.String()), errs.lines)}
	}
}

// tail returns the last lines of a text.
func tail(text string) []string {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil
	}
	all := strings.Split(text, "\n")
	return all[max(0, len(all)-20):]
}

// EngineError says what an engine said when it failed. It is an [ErrEngine].
type EngineError struct {
	Engine  string // "docker" or "podman"
	Command string // such as "build"
	Lines   []string
}

func (e *EngineError) Error() string {
	text := e.Engine + " " + e.Command + " failed"
	if n := len(e.Lines); n > 0 {
		text += ": " + e.Lines[n-1]
	}
	return text
}

// Is reports whether target is [ErrEngine].
func (e *EngineError) Is(target error) bool { return target == ErrEngine }

// teeLines keeps lines, and tells of them as they come.
type teeLines struct {
	*lines
	said func(string)
	rest []byte
}

func (t *teeLines) Write(p []byte) (int, error) {
	if t.said != nil {
		t.rest = append(t.rest, p...)
		for {
			line, rest, ok := bytes.Cut(t.rest, []byte("\n"))
			if !ok {
				break
			}
			t.said(strings.TrimRight(string(line), "\r"))
			t.rest = rest
		}
		if len(t.rest) > maxOutput {
			t.rest = nil
		}
	}
	return t.lines.Write(p)
}
