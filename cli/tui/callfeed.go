package tui

import (
	"bytes"
	"context"
	"io"
	"strings"
	"sync"

	tea "charm.land/bubbletea/v2"
	"google.golang.org/grpc"

	"github.com/micro/micro/v3/internal/fault"
)

// answerMsg is a line that a call printed.
type answerMsg string

// callFeed makes a call once; the requests of a client stream come from a channel, until
// that is closed.
func callFeed(c *Calls, args []string, requests <-chan string) feed {
	return feed{name: "call", own: true, single: true, run: func(ctx context.Context, _ grpc.ClientConnInterface, emit func(tea.Msg)) error {
		out := &lineWriter{emit: emit}
		var in io.Reader = strings.NewReader("")
		if requests != nil {
			r, w := io.Pipe()
			defer r.Close()
			fault.Go(ctx, func() { pass(ctx, requests, w) })
			in = r
		}
		err := c.Call(ctx, args, in, out)
		out.end()
		return err
	}}
}

// pass writes requests as lines until they end, nobody reads them, or ctx is done.
func pass(ctx context.Context, requests <-chan string, w *io.PipeWriter) {
	for {
		select {
		case text, ok := <-requests:
			if !ok {
				_ = w.Close() // it has no error
				return
			}
			if _, err := io.WriteString(w, text+"\n"); err != nil {
				return
			}
		case <-ctx.Done():
			_ = w.CloseWithError(ctx.Err()) // it has no error
			return
		}
	}
}

// lineWriter hands over what is written to it, line by line. It is safe for concurrent
// use: answers and what is told of a call come from several.
type lineWriter struct {
	emit func(tea.Msg)

	mu   sync.Mutex
	rest []byte // a line without its end
}

// Write takes a part of what is written.
func (w *lineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rest = append(w.rest, p...)
	for {
		line, rest, ok := bytes.Cut(w.rest, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		w.emit(answerMsg(line))
		w.rest = rest
	}
}

// end hands over a line that has no end.
func (w *lineWriter) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.rest) > 0 {
		w.emit(answerMsg(w.rest))
		w.rest = nil
	}
}
