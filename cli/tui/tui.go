// Package tui is what micro shows on a whole terminal: one model with a stack of
// screens, which the state of a server is fed to.
//
//	feeds ──messages──▶ Model.Update ──▶ screens ──lines──▶ Model.View
//	keys  ─────────────────▲
//
// House rules. Update asks nobody for anything and View changes nothing: whatever takes
// time is a feed or a command, runs beside the model, and comes back as a message. A
// key is looked up in one key map, which is the footer, the help page and the
// documentation as well, and screens are told the action that it stands for. Whatever
// comes from a server or a service goes through [Config.Line] or [Config.Colored]
// before it is a part of a frame. A frame has exactly as many lines as the terminal,
// none wider than it. What a program begins in a goroutine is guarded by package fault:
// a panic there ends the program, which gives the terminal back.
package tui

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"google.golang.org/grpc"

	"github.com/micro/micro/v3/internal/fault"
)

// Config is what a program is made of.
type Config struct {
	In  io.Reader
	Out io.Writer
	// Environ has the variables that say what the terminal can do.
	Environ []string
	Now     func() time.Time
	// Theme is "light", "dark" or "none"; empty: as the terminal's background is.
	Theme string
	// Times says when lines were written, without being asked to.
	Times bool
	// ReadOnly keeps the program from changing anything, for good.
	ReadOnly bool
	// Session is what is shown first.
	Session Session
	// Connect returns the session of an environment and namespace; an empty namespace
	// is the one of the environment.
	Connect func(env, namespace string) (Session, error)
	// Environments lists the environments that there are.
	Environments func() ([]Environment, error)
	// Line returns text as a part of one line that does nothing to a terminal, and
	// Colored the same with its colours left.
	Line, Colored func(string) string
	// Explain says what an error is, for people.
	Explain func(error) string
	// Form makes the program one that fills in calls; nil: it is the dashboard.
	Form *Form
}

// Session is an environment and a namespace to work in.
type Session struct {
	Environment, Address, Namespace string
	// Protected: nothing is changed before somebody allowed it.
	Protected bool
	// Dial returns the connection, and the context that calls on it are made with. It
	// is safe for concurrent use.
	Dial func(ctx context.Context) (context.Context, grpc.ClientConnInterface, error)
	// Run runs a micro command and returns what it wrote.
	Run func(ctx context.Context, args []string) (string, error)
	// Calls is what forms call with; the dashboard has none.
	Calls *Calls
	// Close ends what the session holds.
	Close func()
}

// Environment is a line of the list of environments.
type Environment struct {
	Name, Address, Account, Namespace, Description string
	Protected                                      bool
}

// framesPerSecond is how often the screen is drawn at most.
const framesPerSecond = 30

// ErrInterrupted is returned when somebody pressed Ctrl-C.
var ErrInterrupted = errors.New("interrupted")

// Run shows the dashboard, or forms, until somebody quits, and gives the terminal back as
// it was.
func Run(ctx context.Context, c Config) error {
	ctx, watch := fault.NewWatch(ctx)
	m := newModel(&c)
	p := newProgram(ctx, m)
	var feeds sync.WaitGroup
	m.launch = func(f feed, id int, s *Session, stop <-chan struct{}) {
		feeds.Go(fault.Guard(ctx, func() {
			dial := s.Dial
			if f.own {
				dial = func(ctx context.Context) (context.Context, grpc.ClientConnInterface, error) { return ctx, nil, nil }
			}
			follow(ctx, f, id, dial, p.Send, stop)
		}))
	}
	m.later = func(do func(ctx context.Context) tea.Msg) tea.Cmd {
		return func() (msg tea.Msg) {
			fault.Guard(ctx, func() { msg = do(ctx) })()
			return msg
		}
	}
	m.run = func(s *Session, args []string) tea.Cmd {
		return m.later(func(ctx context.Context) tea.Msg {
			out, err := s.Run(ctx, args)
			return ranMsg{args: args, out: out, err: err}
		})
	}
	err := programError(ctx, run(p, c.Out))
	watch.End()
	awaitAll(&feeds, watch)
	m.session.close()
	if fault := watch.Err(); fault != nil {
		return fault
	}
	return err
}

// awaitAll waits for goroutines, but not when one of them had a fault that others may wait
// for.
func awaitAll(all *sync.WaitGroup, watch *fault.Watch) {
	ended := make(chan struct{})
	go func() {
		all.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-watch.Seen():
	}
}

// newProgram returns the program of a model, which ends with ctx.
func newProgram(ctx context.Context, m *Model) *tea.Program {
	c := m.config
	return tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(c.In), tea.WithOutput(c.Out), tea.WithEnvironment(c.Environ),
		tea.WithFPS(framesPerSecond), tea.WithoutSignalHandler())
}

// run runs a program, and gives the terminal back as it was.
func run(p *tea.Program, out io.Writer) error {
	_, err := p.Run()
	// A program that is ended between two frames may leave the cursor hidden, when the one
	// before had one.
	_, _ = io.WriteString(out, ansi.ShowCursor) // a terminal that is gone needs none
	return err
}

// programError returns what the end of a program means.
func programError(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, tea.ErrInterrupted):
		return ErrInterrupted
	case errors.Is(err, tea.ErrProgramPanic):
		return errors.New("the screen has a fault, and had to end")
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return context.Canceled
	default:
		return err
	}
}

func (s *Session) close() {
	if s.Close != nil {
		s.Close()
	}
}
