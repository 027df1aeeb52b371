package cli

import (
	"context"
	"io"
	"sync"
	"sync/atomic"

	"github.com/micro/micro/v3/internal/fault"
)

// maxKept bounds how much of standard input is kept for another try.
const maxKept = 64 << 20

// input is standard input that can be read from its beginning again: a call that was
// refused because of an old schema is made again with the same requests.
type input struct {
	r io.Reader

	mu   sync.Mutex // held while r is read: a try that is over may still wait there
	kept []byte     // what r gave so far
	err  error      // that r ended with

	over atomic.Bool // it was more than is kept
}

// reader returns a reader of all of the input, false when the beginning is not kept
// any more. The readers before it must not be used any longer, but one of them may
// still wait for more; nothing that comes then is lost.
func (in *input) reader() (io.Reader, bool) {
	return &inputReader{in: in}, !in.over.Load()
}

type inputReader struct {
	in  *input
	pos int // in what is kept
}

// Read reads what is kept, and then more.
func (r *inputReader) Read(p []byte) (int, error) {
	in := r.in
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case len(p) == 0:
		return 0, nil
	case r.pos < len(in.kept):
		n := copy(p, in.kept[r.pos:])
		r.pos += n
		return n, nil
	case in.err != nil:
		return 0, in.err
	}
	n, err := in.r.Read(p)
	in.err = err
	if in.over.Load() || len(in.kept)+n > maxKept {
		in.over.Store(true)
		in.kept = nil
		return n, err
	}
	in.kept = append(in.kept, p[:n]...)
	r.pos += n
	return n, err
}

// interruptibleInput returns r so that reading ends with ctx: standard input may not give
// anything for long, and Ctrl-C has to end a command that waits for it.
func interruptibleInput(ctx context.Context, r io.Reader) io.Reader {
	return &interruptibleReader{ctx: ctx, r: r}
}

type interruptibleReader struct {
	ctx context.Context //nolint:containedctx // that of the command, which reads by an interface that has none
	r   io.Reader
	buf []byte
}

// Read reads once; what a read brings that was given up is lost.
func (i *interruptibleReader) Read(p []byte) (int, error) {
	if len(i.buf) < len(p) {
		i.buf = make([]byte, len(p))
	}
	type result struct {
		n   int
		err error
	}
	done := make(chan result, 1)
	buf := i.buf[:len(p)]
	fault.Go(i.ctx, func() {
		n, err := i.r.Read(buf)
		done <- result{n, err}
	})
	select {
	case res := <-done:
		return copy(p, buf[:res.n]), res.err
	case <-i.ctx.Done():
		i.buf = nil // it may still be written to
		return 0, i.ctx.Err()
	}
}
