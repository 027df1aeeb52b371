// Package cli is the command tree of micro: one file for each noun. A command
// parses its flags and prints; the work is done by the packages that it calls.
package cli

import (
	"context"
	"io"
	"io/fs"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/dynamic"
	"github.com/micro/micro/v3/envs"
)

// App is everything that a command may touch. What costs something to get is a
// function, so that nothing is opened which is not used.
type App struct {
	In       io.Reader
	Out, Err io.Writer
	Getenv   func(string) string
	Now      func() time.Time
	Version  string
	// Executable is the path of this program; empty: nobody is told.
	Executable string
	// SDK is the source of the service framework.
	SDK fs.FS
	// Serve runs a server until ctx ends.
	Serve func(ctx context.Context, o ServeOptions) error
	// Restore puts a backup into the data directory of a server that does not run.
	Restore func(ctx context.Context, backup io.Reader, dir string, force bool) (Restored, error)
	// Check reads all of the data directory of a server that does not run.
	Check func(ctx context.Context, dir string) (CheckReport, error)

	Terminal Terminal

	// Set by the flags that every command has.
	env       string
	namespace string
	yes       bool
	confirmed string // the name of the protected environment that may be changed
	noColor   bool

	allowed bool // the command may change something where it acts

	made *madeCall // the call of a service that was made last

	plain bool // the server that was asked knows nothing of micro
	// slow is the schema of the call when tables do not take all of its messages.
	slow *dynamic.Schema

	// Set by the options of a call.
	via      front.Transport
	observer *observer // nil: nobody watches

	asking *dialogue // who is asked for the messages of a call; nil: nobody

	config *envs.Config
	conn   *grpc.ClientConn
	kept   *keptConns // where connections come from, and are left; nil: it has its own

	tokenMu sync.Mutex // of what is asked for by several at once: a token, the connection
}

// Terminal is what is known of the terminal, if there is one.
type Terminal struct {
	In, Out, Err bool // which of the three are a terminal
	// Foreground reports whether the terminal is this process's to read and to change;
	// nil: it is.
	Foreground func() bool
	// Size returns the width and height of the terminal; 80 and 24 when unknown.
	Size func() (width, height int)
	// Prompt is the terminal itself, to ask on: standard error may be elsewhere.
	// Nil when there is none.
	Prompt io.Writer
	// ReadPassword reads a line from standard input without showing it.
	ReadPassword func() (string, error)
}

// Interactive reports whether somebody can be asked.
func (a *App) Interactive() bool {
	return a.Terminal.In && a.Terminal.Prompt != nil && a.Getenv("CI") == "" && a.Getenv("TERM") != "dumb"
}

// width returns how wide what goes to standard output may be, 0 when that is no
// terminal.
func (a *App) width() int {
	if !a.Terminal.Out || a.Terminal.Size == nil {
		return 0
	}
	width, _ := a.Terminal.Size()
	return width
}

// color reports whether what goes to standard error may have colours and be
// rewritten in place.
func (a *App) color() bool {
	return a.Terminal.Err && a.mayColor()
}

// mayColor reports whether a terminal may have colours.
func (a *App) mayColor() bool {
	return !a.noColor && a.Getenv("NO_COLOR") == "" && a.Getenv("TERM") != "dumb"
}

// Dirs returns the directories of this user.
func (a *App) Dirs() (envs.Dirs, error) { return envs.FindDirs(a.Getenv) }

// Config returns the environments, read once.
func (a *App) Config() (*envs.Config, error) {
	if a.config != nil {
		return a.config, nil
	}
	dirs, err := a.Dirs()
	if err != nil {
		return nil, err
	}
	c, err := envs.Load(dirs)
	if err != nil {
		return nil, err
	}
	a.config = c
	return c, nil
}

// Env returns the environment that the command acts on: that of --env or
// MICRO_ENV, else the current one.
func (a *App) Env() (envs.Env, error) {
	c, err := a.Config()
	if err != nil {
		return envs.Env{}, err
	}
	name := a.env
	if name == "" {
		name = a.Getenv("MICRO_ENV")
	}
	return c.Get(name)
}

// Namespace returns the namespace that the command acts in: that of --namespace
// or MICRO_NAMESPACE, else the current one of the environment.
func (a *App) Namespace() (string, error) {
	if a.namespace != "" {
		return a.namespace, nil
	}
	if ns := a.Getenv("MICRO_NAMESPACE"); ns != "" {
		return ns, nil
	}
	e, err := a.Env()
	if err != nil {
		return "", err
	}
	if e.Namespace != "" {
		return e.Namespace, nil
	}
	return envs.DefaultNamespace, nil
}

// target returns the environment and the namespace that the command acts on.
func (a *App) target() (envs.Env, string, error) {
	e, err := a.Env()
	if err != nil {
		return envs.Env{}, "", err
	}
	ns, err := a.Namespace()
	return e, ns, err
}

func (a *App) keyring() envs.Keyring { return envs.Keyring{Getenv: a.Getenv} }

// close ends what was opened for the command.
func (a *App) close() {
	if a.conn != nil && !a.keeps() {
		_ = a.conn.Close() // nothing is under way on it
	}
}
