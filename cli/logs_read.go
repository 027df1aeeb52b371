package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/micro/micro/v3/cli/resume"
	"github.com/micro/micro/v3/internal/fault"
	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
)

// logReader reads the lines of services: those that there are in the order of time,
// and then those that come as they come.
type logReader struct {
	app *App
	req *runtimev1.LogsRequest // without a name
	// print writes a line, and flush what was written so far.
	print func(*runtimev1.LogLine) error
	flush func() error
	// begun is called when all lines that there are have been written; may be nil.
	begun func()
	notes io.Writer // what is said of the server goes there
	all   bool      // follow the services that come as well

	services []*serviceReader

	mu   sync.Mutex // of what follows, while several services are followed
	lost bool       // the server is away, and that was said
}

// serviceReader is where a reader is in the lines of one service.
type serviceReader struct {
	name  string
	place *resume.Place
}

func (r *logReader) add(name string) {
	r.services = append(r.services, &serviceReader{name: name, place: resume.At(r.req.GetSince())})
}

// read shows the lines that there are, and follows if that was asked for. It returns
// how many there were.
func (r *logReader) read(ctx context.Context) (int, error) {
	shown, err := r.past(ctx)
	if flushErr := r.flush(); err == nil {
		err = flushErr
	}
	if err != nil || !r.req.GetFollow() {
		return shown, err
	}
	if r.begun != nil {
		r.begun()
	}
	if r.all {
		return shown, r.followAll(ctx)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := make(chan error, len(r.services))
	for _, s := range r.services {
		fault.Go(ctx, func() { failed <- r.follow(ctx, s) })
	}
	var first error
	for range r.services {
		if err := <-failed; err != nil && first == nil {
			first = err
			cancel() // the others end with that
		}
	}
	return shown, first
}

// past shows the lines that there are, merged by time.
func (r *logReader) past(ctx context.Context) (shown int, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var heads []*lineStream
	for _, s := range r.services {
		h, err := r.open(ctx, s, r.req.GetTail(), false)
		if err != nil {
			return 0, err
		}
		heads = append(heads, h)
	}
	var held []*runtimev1.LogLine
	for n := int(r.req.GetTail()); ; {
		var next *lineStream
		for _, h := range heads {
			if err := h.fill(); err != nil {
				return 0, err
			}
			if l := h.line(); l != nil && (next == nil || l.GetTime().AsTime().Before(next.line().GetTime().AsTime())) {
				next = h
			}
		}
		switch {
		case next == nil:
			held = held[max(0, len(held)-n):]
			return shown + len(held), r.showLast(held)
		case n == 0:
			shown++
			next.service.place.Keep(next.line())
			if err := r.print(next.line()); err != nil {
				return shown, err
			}
		default: // each stream has as many as are wanted of all
			if held = append(held, next.line()); len(held) == 2*n {
				held = slices.Delete(held, 0, n)
			}
			next.service.place.Keep(next.line())
		}
		next.lines = next.lines[1:]
	}
}

// showLast shows the last of the lines that there are. Those before are not shown when
// the lines that come are asked for.
func (r *logReader) showLast(held []*runtimev1.LogLine) error {
	if len(held) == 0 {
		return nil
	}
	if len(held) >= int(r.req.GetTail()) { // else there are none before
		for _, s := range r.services {
			s.place.From(held[0].GetTime())
		}
	}
	for _, l := range held {
		if err := r.print(l); err != nil {
			return err
		}
	}
	return nil
}

// follow shows the lines of a service that come, until ctx ends. While the server is
// away it tries again.
func (r *logReader) follow(ctx context.Context, s *serviceReader) error {
	return r.again(ctx, func(ctx context.Context) (bool, error) { return r.followOnce(ctx, s) })
}

// again does something once more whenever it fails because the server is away; once also
// reports whether it began, as the server being there again does.
func (r *logReader) again(ctx context.Context, once func(ctx context.Context) (began bool, err error)) error {
	for n := 1; ; n++ {
		began, err := once(ctx)
		if err == nil || ctx.Err() != nil || status.Code(err) != codes.Unavailable {
			return err
		}
		if began {
			n = 1
		}
		r.tell(true)
		if err := r.wait(ctx, n); err != nil {
			return err
		}
	}
}

// wait waits before a server that is away is asked for the nth time.
func (r *logReader) wait(ctx context.Context, n int) error {
	select {
	case <-time.After(pause(min(n, 4), rand.Float64())): //nolint:gosec // it is no secret
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// followOnce follows until the stream ends, and reports whether it began.
func (r *logReader) followOnce(ctx context.Context, s *serviceReader) (began bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	h, err := r.open(ctx, s, 0, true)
	if err != nil {
		return false, err
	}
	if _, err := h.stream.Header(); err != nil {
		return false, err
	}
	r.tell(false)
	s.place.Begin()
	for {
		if err := h.fill(); err != nil || h.line() == nil {
			return true, err
		}
		if err := r.showNew(s, h.lines); err != nil {
			return true, err
		}
		h.lines = nil
	}
}

// showNew shows those of some lines that are not known.
func (r *logReader) showNew(s *serviceReader, lines []*runtimev1.LogLine) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range s.place.Fresh(lines) {
		if err := r.print(l); err != nil {
			return err
		}
	}
	return r.flush()
}

// open asks for the lines of a service.
func (r *logReader) open(ctx context.Context, s *serviceReader, tail int32, follow bool) (*lineStream, error) {
	ctx, client, err := r.runtime(ctx)
	if err != nil {
		return nil, err
	}
	req := proto.CloneOf(r.req)
	req.Name, req.Since, req.Tail, req.Follow = s.name, s.place.Since(), tail, follow
	stream, err := client.Logs(ctx, req)
	return &lineStream{service: s, stream: stream}, err
}

// runtime returns a client of the runtime.
func (r *logReader) runtime(ctx context.Context) (context.Context, runtimev1.RuntimeClient, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ctx, conn, err := r.app.connFor(ctx)
	if err != nil {
		return nil, nil, err
	}
	return ctx, runtimev1.NewRuntimeClient(conn), nil
}

// tell says that the server is away, and that it is there again.
func (r *logReader) tell(lost bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case lost && !r.lost:
		fmt.Fprintln(r.notes, "the server is away; waiting for it")
	case !lost && r.lost:
		fmt.Fprintln(r.notes, "the server is there again")
	}
	r.lost = lost
}

// lineStream is a stream of the lines of a service.
type lineStream struct {
	service *serviceReader
	stream  grpc.ServerStreamingClient[runtimev1.LogsResponse]
	lines   []*runtimev1.LogLine // that came and were not taken
	ended   bool
}

// fill waits for lines when there are none, or for the end.
func (h *lineStream) fill() error {
	for len(h.lines) == 0 && !h.ended {
		rsp, err := h.stream.Recv()
		if errors.Is(err, io.EOF) {
			h.ended = true
			return nil
		}
		if err != nil {
			return err
		}
		h.lines = rsp.GetLines()
	}
	return nil
}

// line returns the next line, nil at the end.
func (h *lineStream) line() *runtimev1.LogLine {
	if len(h.lines) == 0 {
		return nil
	}
	return h.lines[0]
}
