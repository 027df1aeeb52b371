package image

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/version"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// ErrGo is returned when there is no go command that can build the source.
var ErrGo = errors.New("no usable Go")

// oldestGo is the first version that fetches the toolchain a go.mod asks for.
const oldestGo = "go1.21"

// tools is the user's go command with its settings.
type tools struct {
	program  string
	environ  []string          // of the command, without settings that change what is built
	settings map[string]string // of the directory that is built
}

// kept are the settings of the user that a build takes: where modules come
// from, and where things are cached.
func kept() []string {
	return []string{
		"GOCACHE", "GOCACHEPROG", "GOMODCACHE", "GOPATH",
		"GOPROXY", "GONOPROXY", "GOPRIVATE", "GOSUMDB", "GONOSUMDB", "GOINSECURE", "GOAUTH", "GOVCS", "GOTOOLCHAIN",
	}
}

// neutral are settings that a user may have in the environment and that would
// change what is built. An empty one has its default.
func neutral() []string {
	return []string{
		"GOFLAGS", "GO111MODULE", "GOEXPERIMENT", "GOFIPS140",
		"GO386", "GOAMD64", "GOARM", "GOARM64", "GOMIPS", "GOMIPS64", "GOPPC64", "GORISCV64", "GOWASM",
	}
}

// findTools returns the go command for a directory. The error is [ErrGo].
func findTools(ctx context.Context, dir string, o BuildOptions) (*tools, error) {
	name := o.Go
	if name == "" {
		name = "go"
	}
	program, err := exec.LookPath(name)
	if err != nil {
		return nil, fmt.Errorf("%w: %q is not installed (https://go.dev/dl)", ErrGo, name)
	}
	t := &tools{program: program, environ: o.Env}
	if o.Env == nil {
		t.environ = os.Environ()
	}
	names := append(kept(), "GOVERSION", "GOMOD", "GOWORK")
	out, err := t.run(ctx, command{dir: dir, args: append([]string{"env", "-json"}, names...)})
	var failed *exitError
	if errors.As(err, &failed) {
		// A workspace that is broken is none that a program can need.
		out, err = t.run(ctx, command{dir: dir, args: append([]string{"env", "-json"}, names...), env: []string{"GOWORK=off"}})
	}
	if err != nil {
		if errors.As(err, &failed) {
			return nil, fmt.Errorf("%w: %s", ErrGo, strings.Join(failed.lines, "; "))
		}
		return nil, err
	}
	if err := json.Unmarshal(out, &t.settings); err != nil {
		return nil, fmt.Errorf("%w: %s env: %w", ErrGo, name, err)
	}
	if v := t.settings["GOVERSION"]; version.IsValid(v) && version.Compare(v, oldestGo) < 0 {
		return nil, fmt.Errorf("%w: it is %s, %s or newer is needed (https://go.dev/dl)", ErrGo, v, oldestGo)
	}
	t.environ = slices.Clone(t.environ)
	for _, name := range neutral() {
		t.environ = append(t.environ, name+"=")
	}
	for _, name := range kept() {
		t.environ = append(t.environ, name+"="+t.settings[name])
	}
	t.environ = append(t.environ, "GOENV=off", "GOWORK=off")
	if !slices.ContainsFunc(t.environ, func(v string) bool { return strings.HasPrefix(v, "GOGC=") }) {
		// A compiler is gone before it needs its garbage collected. The limit is
		// for the one that is not.
		t.environ = append(t.environ, "GOGC=off", "GOMEMLIMIT=1GiB")
	}
	return t, nil
}

// modRoot returns the directory with the go.mod, empty when there is none.
func (t *tools) modRoot() string {
	if mod := t.settings["GOMOD"]; mod != "" && mod != os.DevNull {
		return filepath.Dir(mod)
	}
	return ""
}

// command is a run of the go command.
type command struct {
	dir      string
	args     []string
	env      []string // over that of the tools
	progress func(Event)
	said     func(line string) // is told what a command that went well has said; nil: nobody
}

// exitError is the failure of a command that ran.
type exitError struct {
	lines []string // of its standard error, without those about its progress
}

func (e *exitError) Error() string { return strings.Join(e.lines, "\n") }

// run runs a command until it ends, and returns its standard output. When ctx
// ends, the command and all that it started is killed.
func (t *tools) run(ctx context.Context, c command) ([]byte, error) {
	var out bytes.Buffer
	errs := &lines{progress: c.progress}
	cmd := exec.CommandContext(ctx, t.program, c.args...)
	cmd.Dir = c.dir
	cmd.Env = append(slices.Clone(t.environ), c.env...)
	cmd.Stdout = &limitedWriter{w: &out, left: maxOutput}
	cmd.Stderr = errs
	cmd.WaitDelay = 2 * time.Second
	killGroup(cmd)
	err := cmd.Run()
	errs.flush()
	var exited *exec.ExitError
	switch {
	case err == nil:
		if c.said != nil {
			for _, line := range errs.lines {
				c.said(line)
			}
		}
		return out.Bytes(), nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.As(err, &exited):
		if len(errs.lines) == 0 {
			errs.lines = []string{err.Error()}
		}
		return nil, &exitError{errs.lines}
	default:
		return nil, fmt.Errorf("%w: %w", ErrGo, err)
	}
}

// maxOutput is how much of what a command writes is kept.
const maxOutput = 1 << 20

type limitedWriter struct {
	w    io.Writer
	left int
}

func (l *limitedWriter) Write(p []byte) (int, error) {
	n := min(len(p), l.left)
	l.left -= n
	_, err := l.w.Write(p[:n])
	return len(p), err
}

// lines keeps the lines that a command writes, and tells of those about its
// progress.
type lines struct {
	progress func(Event)
	lines    []string
	rest     []byte
	size     int
}

func (l *lines) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		i := bytes.IndexByte(l.rest, '\n')
		if i < 0 {
			break
		}
		l.line(string(l.rest[:i]))
		l.rest = l.rest[i+1:]
	}
	if len(l.rest) > maxOutput { // a line without an end
		l.flush()
	}
	return len(p), nil
}

func (l *lines) line(text string) {
	text = strings.TrimRight(text, "\r")
	if message, ok := strings.CutPrefix(text, "go: "); ok {
		for _, verb := range []string{"downloading ", "extracting ", "finding ", "found "} {
			if strings.HasPrefix(message, verb) {
				report(l.progress, Event{Stage: Building, Message: message})
				return
			}
		}
	}
	if l.size += len(text); l.size <= maxOutput {
		l.lines = append(l.lines, text)
	}
}

func (l *lines) flush() {
	if len(l.rest) > 0 {
		l.line(string(l.rest))
		l.rest = nil
	}
}
