package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/dynamic/request"
	"github.com/micro/micro/v3/dynamic/wire"
)

// requests yields the wire form of the messages of a client stream as they come:
// from standard input, or from somebody who is asked for each.
func (a *App) requests(in front.Invocation, m wire.Method, r *front.Request, from front.Inputs) iter.Seq2[[]byte, error] {
	if a.Interactive() && !r.Named {
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
				yield(nil, &Error{Message: fmt.Sprintf("message %d of standard input: %s", n, err), Hint: helpHint(in), Exit: ExitUsage})
				return
			}
			if !yield(b, nil) {
				return
			}
		}
	}
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
		tty := a.Terminal.Prompt
		name := request.ShortName(m.Input().Name())
		fmt.Fprintf(tty, "One %s as JSON on each line; an empty line ends it.\n", name)
		lines := bufio.NewReader(typed)
		for {
			fmt.Fprintf(tty, "%s> ", name)
			line, err := lines.ReadString('\n')
			line = strings.TrimSpace(line)
			if err != nil && line == "" {
				fmt.Fprintln(tty)
				return
			}
			if line == "" {
				return
			}
			msg, completeErr := r.Complete(m.Input(), front.Message{JSON: []byte(line)})
			var b []byte
			if completeErr == nil {
				b, completeErr = a.encodeOne(m.Input(), msg)
			}
			if completeErr != nil {
				fmt.Fprintln(tty, front.Line("this "+strings.TrimPrefix(completeErr.Error(), "this ")))
				continue
			}
			if !yield(b, nil) {
				return
			}
		}
	}
}
