package tui

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/micro/micro/v3/dynamic/wire"
)

// Calls is what forms call with, as commands do. It is safe for concurrent use.
type Calls struct {
	// Services lists what can be called.
	Services func(ctx context.Context) ([]string, error)
	// Schema returns what a service speaks.
	Schema func(ctx context.Context, service string) (*wire.Table, error)
	// Draft returns the call that arguments of "micro call" mean, without making it.
	Draft func(ctx context.Context, args []string) (*Draft, error)
	// Call does what "micro call" does with arguments, and requests for its standard
	// input. What it fails with is a [Failure].
	Call func(ctx context.Context, args []string, requests io.Reader, out io.Writer) error
	// Past lists the calls that can be made again, the newest first.
	Past func() ([]PastCall, error)
	// ReadFile reads what a value names as @FILE.
	ReadFile func(name string) ([]byte, error)
	// Languages are what a call can be written in; see --as.
	Languages []string
}

// Form is what the program begins with, when it fills in calls: a call, the choice of an
// endpoint of a service, or that of a service.
type Form struct {
	Service string
	Draft   *Draft
	// Options are arguments that every call has, Headers and Timeout what the first form
	// has for them.
	Options []string
	Headers []string
	Timeout string
	// Where are the flags that said where commands act.
	Where []string
}

// Draft is a call that is not made yet.
type Draft struct {
	Service string // as arguments name it
	Table   *wire.Table
	Method  wire.Method
	JSON    []byte   // the request; nil: nothing is set
	Headers []string // NAME:VALUE
	Timeout string
	Options []string // other arguments
}

// PastCall is a call of the history.
type PastCall struct {
	Number            int
	Time              time.Time
	Took              time.Duration
	Environment       string
	Status            string
	Service, Endpoint string
	Line              string   // as it is shown
	Args              []string // of "micro call"
	Hidden            []string // flags whose values were not kept
	Cut               bool     // the arguments were not kept
}

// Failure is what a call ended with.
type Failure struct {
	Code, Message, Hint string
	Lines               []string  // what the server says besides
	Fields              []Problem // what of it is about single fields
}

// Problem is what is wrong with a field, by the name that leads to it, with dots.
type Problem struct{ Field, Text string }

// text says what happened.
func (f *Failure) text() string {
	if f.Code == "" {
		return f.Message
	}
	return f.Code + ": " + f.Message
}

// Error returns what happened, in one line.
func (f *Failure) Error() string {
	text := f.text()
	if f.Hint != "" {
		text += "; hint: " + f.Hint
	}
	return text
}

// firstForm returns the screens that the program begins with.
func (m *Model) firstForm() []screen {
	c, f := m.session.Calls, m.config.Form
	stack := []screen{newServicePick(c)}
	switch {
	case f.Draft != nil && m.session.Environment == m.config.Session.Environment && m.session.Namespace == m.config.Session.Namespace:
		stack = append(stack, newDraftScreen(m, f.Draft))
	case f.Service != "":
		stack = append(stack, newEndpointPick(c, f.Service))
	}
	return stack
}

// openPast shows the history.
func (m *Model) openPast() tea.Cmd {
	past := m.session.Calls.Past
	return m.later(func(context.Context) tea.Msg {
		all, err := past()
		return laterMsg{func(m *Model) tea.Cmd {
			if err != nil {
				m.say(bad, m.config.Explain(err))
				return nil
			}
			m.choose(newPastPick(all))
			return nil
		}}
	})
}

// draft opens the form of an earlier call. What was secret in it is not there any more.
func (m *Model) draft(p PastCall) tea.Cmd {
	if p.Cut {
		m.say(warn, fmt.Sprintf("call %d was too long to be kept with its arguments", p.Number))
		return nil
	}
	calls := m.session.Calls
	return m.later(func(ctx context.Context) tea.Msg {
		d, err := calls.Draft(ctx, p.Args)
		return laterMsg{func(m *Model) tea.Cmd {
			if m.session.Calls != calls {
				return nil // somebody went elsewhere meanwhile
			}
			if err != nil {
				m.say(bad, m.config.Explain(err))
				return nil
			}
			m.push(newDraftScreen(m, d))
			if len(p.Hidden) > 0 {
				m.say(warn, "secrets are not kept; give them again: "+strings.Join(p.Hidden, ", "))
			}
			return nil
		}}
	})
}

// tookText is how long a call took.
func tookText(d time.Duration) string {
	if d < time.Millisecond {
		return "<1ms"
	}
	return d.Round(time.Millisecond).String()
}

// readFile reads a file beside the model.
func (m *Model) readFile(name string, then func(m *Model, content []byte, err error)) tea.Cmd {
	read := m.session.Calls.ReadFile
	return m.later(func(context.Context) tea.Msg {
		content, err := read(name)
		return laterMsg{func(m *Model) tea.Cmd {
			then(m, content, err)
			return nil
		}}
	})
}
