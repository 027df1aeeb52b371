package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"sync"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/dynamic/request"
	"github.com/micro/micro/v3/dynamic/wire"
)

// requests yields the wire form of the messages of a client stream as they come:
// from standard input, or from somebody who is asked for each.
func (a *App) requests(in front.Invocation, m wire.Method, r *front.Request, from front.Inputs) iter.Seq2[[]byte, error] {
	if a.isAsking(r) {
		return a.prompted(m, r, from.Stdin)
	}
	return func(yield func([]byte, error) bool) {
		n := 0
		for msg, err := range r.Stream(m, from) {
			n++
			if err != nil {
				yield(nil, asError(flagError(in, err)))
				return
			}
			b, err := a.encodeOne(m.Input(), msg)
			if err != nil {
				yield(nil, &Error{Message: fmt.Sprintf("message %d of standard input: %s", n, err), Hint: in.HelpCommand(), Exit: ExitUsage})
				return
			}
			if !yield(b, nil) {
				return
			}
		}
	}
}

// isAsking reports whether somebody at a terminal is asked for the messages of a
// request, and prepares for it.
func (a *App) isAsking(r *front.Request) bool {
	if !r.Stdin || r.Named || !a.Interactive() {
		return false
	}
	if a.asking == nil {
		a.asking = &dialogue{tty: a.Terminal.Prompt}
	}
	return true
}

// asError makes an error one that ends a call and is told as it is.
func asError(err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Message: err.Error(), Exit: ExitError}
}

// prompted asks for a message on each line, until an empty one or the end of input.
// What is no such message is said, and asked for again.
func (a *App) prompted(m wire.Method, r *front.Request, typed io.Reader) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		name := request.ShortName(m.Input().Name())
		q := a.asking
		q.tell(fmt.Sprintf("One %s as JSON on each line; an empty line ends it.", name))
		lines := bufio.NewReader(typed)
		for {
			q.show(name + "> ")
			line, err := lines.ReadString('\n')
			line = strings.TrimSpace(line)
			if err != nil && line == "" {
				q.end()
				return
			}
			q.hide()
			if line == "" {
				return
			}
			msg, completeErr := r.Complete(m.Input(), front.Message{JSON: []byte(line)})
			var b []byte
			if completeErr == nil {
				b, completeErr = a.encodeOne(m.Input(), msg)
			}
			if completeErr != nil {
				q.tell("this " + strings.TrimPrefix(completeErr.Error(), "this "))
				continue
			}
			if !yield(b, nil) {
				return
			}
		}
	}
}

// dialogue is a prompt at a terminal, which answers of a call may come in between of. It
// is safe for concurrent use; a nil one is never shown.
type dialogue struct {
	tty io.Writer

	mu     sync.Mutex
	prompt string // that is on the screen, with what is typed behind it; empty: none
}

// tell writes a line.
func (q *dialogue) tell(line string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	fmt.Fprintln(q.tty, front.Line(line))
}

// show writes the prompt.
func (q *dialogue) show(prompt string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.prompt = prompt
	fmt.Fprint(q.tty, front.Line(prompt))
}

// hide notes that the prompt has been answered.
func (q *dialogue) hide() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.prompt = ""
}

// between does something that writes to the screen, above the prompt.
func (q *dialogue) between(write func() error) error {
	if q == nil {
		return write()
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.prompt == "" {
		return write()
	}
	fmt.Fprint(q.tty, "\r\x1b[K")
	err := write()
	fmt.Fprint(q.tty, front.Line(q.prompt))
	return err
}

// end leaves the line of a prompt that was not answered.
func (q *dialogue) end() {
	if q == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.prompt != "" {
		q.prompt = ""
		fmt.Fprintln(q.tty)
	}
}
