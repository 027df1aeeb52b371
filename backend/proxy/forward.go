package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/micro/micro/v3/backend/auth"
	"github.com/micro/micro/v3/backend/registry"
	"github.com/micro/micro/v3/backend/stats"
	"github.com/micro/micro/v3/backend/trace"
)

// anyStream is how a call is opened whose kind is not known: every kind of call
// is a stream with one or more messages each way.
var anyStream = &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}

// Stream is a call under way to an instance. Who reads its answers closes it.
type Stream struct {
	grpc.ClientStream
	conn     *conn
	instance string // its id

	call    stats.Call
	span    trace.Span
	answers int
	code    codes.Code // that it has ended with
}

// Open opens the call on an instance. Instances that cannot be reached are passed
// over, which nobody notices: they got nothing. [ErrNoInstance] when that is all of
// them. The stream ends with ctx; Close it when it has ended.
func (r *Route) Open(ctx context.Context) (*Stream, error) {
	md, span := r.proxy.config.Tracer.Call(ctx, r.metadata, r.Namespace, r.Service, r.Path)
	s, err := r.open(metadata.NewOutgoingContext(ctx, md))
	if err != nil {
		span.End(codes.Unavailable)
		return nil, err
	}
	span.To(s.instance, s.conn.address)
	s.span = span
	return s, nil
}

// open opens the call on one instance after the other.
func (r *Route) open(ctx context.Context) (*Stream, error) {
	began := time.Now()
	var tried []string
	var failure error
	for {
		c, in, err := r.pick(ctx, tried)
		if errors.Is(err, ErrNoInstance) {
			r.proxy.countRefused(ctx, r.Namespace, r.Service, r.Path, began)
			if failure != nil {
				err = fmt.Errorf("%w of %s in namespace %q can be reached: %s",
					ErrNoInstance, r.Service, r.Namespace, status.Convert(failure).Message())
			}
		}
		if err != nil {
			return nil, err
		}
		s, err := c.NewStream(ctx, anyStream, r.Path)
		if err == nil {
			t := stats.Target{Namespace: r.Namespace, Service: r.Service, Path: r.Path, Instance: in.ID, Schema: in.Schema}
			return &Stream{
				ClientStream: s,
				conn:         c,
				instance:     in.ID,
				call:         r.proxy.config.Stats.Begin(ctx, t, began),
				code:         codes.Canceled, // when it is closed before its end
			}, nil
		}
		c.done()
		if status.Code(err) != codes.Unavailable {
			return nil, err
		}
		c.eject()
		tried = append(tried, c.address)
		failure = err
	}
}

// pick chooses an instance and counts the call, as the pool does. One that was taken out
// of the registry since the call was resolved is passed over: what waits for its last
// call to end may not have seen this one. Those that came since then are taken too.
func (r *Route) pick(ctx context.Context, tried []string) (*conn, *registry.Instance, error) {
	for {
		c, in, err := r.proxy.pool.pick(r.instances, tried)
		if err != nil && !errors.Is(err, ErrNoInstance) || !r.changed() {
			return c, in, err
		}
		err = r.resolve(ctx)
		if c != nil {
			if err == nil && slices.ContainsFunc(r.instances, func(now registry.Instance) bool { return now.Address == c.address }) {
				return c, in, nil
			}
			c.done()
		}
		if err != nil {
			return nil, nil, err
		}
	}
}

// Close ends the accounting of the call. The stream must have ended, or its context
// be about to.
func (s *Stream) Close() {
	s.call.End(uint32(s.code), s.answers)
	s.span.End(s.code)
	s.conn.done()
}

// RecvMsg is that of [grpc.ClientStream].
func (s *Stream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	switch {
	case err == nil:
		s.answers++
	case errors.Is(err, io.EOF):
		s.code = codes.OK
	default:
		s.code = status.Code(err)
	}
	return err
}

// countRefused counts a call that has come to no instance, because there is none.
func (p *Proxy) countRefused(ctx context.Context, ns, service, path string, began time.Time) {
	c := p.config.Stats.Begin(ctx, stats.Target{Namespace: ns, Service: service, Path: path}, began)
	c.End(uint32(codes.Unavailable), 0)
}

// Send sends one message, which must not be changed any more: it may be on its way
// when Send has returned.
func (s *Stream) Send(message []byte) error {
	return s.SendMsg(&frame{mem.BufferSlice{mem.SliceBuffer(message)}})
}

// Recv appends the next message to buf, and returns io.EOF after the last one. A
// failed call returns its status as the error.
func (s *Stream) Recv(buf []byte) ([]byte, error) {
	var f frame
	if err := s.RecvMsg(&f); err != nil {
		return buf, err
	}
	for _, b := range f.data {
		buf = append(buf, b.ReadOnlyData()...)
	}
	f.data.Free()
	return buf, nil
}

// RecvOnly appends the only answer of a call to buf, once the call has ended well. No
// answer is an error of the service's, and so are several.
func (s *Stream) RecvOnly(buf []byte) ([]byte, error) {
	answer, err := s.Recv(buf)
	if errors.Is(err, io.EOF) {
		return buf, status.Error(codes.Internal, "the service ended the call without an answer")
	}
	if err != nil {
		return buf, err
	}
	// Read on to the end: the status may still be a failure.
	if _, err := s.Recv(nil); err == nil {
		return buf, status.Error(codes.Internal, "the service gave several answers to a call that has one")
	} else if !errors.Is(err, io.EOF) {
		return buf, err
	}
	return answer, nil
}

// Unary sends one message, which must not be changed any more, and appends the only
// answer to buf. header and trailer are what came with it, also with an error.
func (r *Route) Unary(ctx context.Context, message, buf []byte) (answer []byte, header, trailer metadata.MD, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := r.Open(ctx)
	if err != nil {
		return buf, nil, nil, err
	}
	defer s.Close()
	// An error of Send is io.EOF; what it is comes with Recv.
	if err := s.Send(message); err == nil {
		_ = s.CloseSend() // never fails
	} else if !errors.Is(err, io.EOF) {
		return buf, nil, nil, err
	}
	answer, err = s.RecvOnly(buf)
	header, _ = s.Header() // its error came with the answer
	return answer, header, s.Trailer(), err
}

// Forward passes a call of any kind between its caller and an instance, until it has
// ended on both sides.
func (r *Route) Forward(in grpc.ServerStream) error {
	ctx, cancel := context.WithCancelCause(in.Context())
	defer cancel(nil)
	defer r.Follow(ctx, cancel)()
	out, err := r.Open(ctx)
	if err != nil {
		in.SetTrailer(metadata.Pairs(KeyRefused, "true"))
		return err
	}
	defer out.Close()
	go func() {
		if err := copyRequests(out, in); err != nil {
			cancel(nil)
		}
	}()
	err = copyAnswers(in, out)
	in.SetTrailer(incoming(out.Trailer()))
	if why := Taken(ctx); why != nil {
		return why
	}
	return err
}

// followAfter is how long a call goes on before it is looked whether its caller may
// still make it. Most have ended by then.
const followAfter = 500 * time.Millisecond

// takenError says that what a call was allowed by was taken away while it went on.
type takenError struct{ error }

func (e takenError) Unwrap() error { return e.error }

// Follow cancels a call that goes on when its caller may not make it any more: with the
// reason, which [Taken] returns. The function that it returns ends that.
func (r *Route) Follow(ctx context.Context, cancel context.CancelCauseFunc) (stop func() bool) {
	return time.AfterFunc(followAfter, func() {
		a := r.proxy.config.Auth
		err := a.Follow(ctx, r.token, r.Namespace, func(ctx context.Context, id auth.Identity) error {
			grpcService, method, err := SplitPath(r.Path)
			if err != nil {
				return err
			}
			return a.Authorize(ctx, id, r.Namespace, auth.Resource{Type: "service", Name: r.Service, Endpoint: Endpoint(grpcService, method)})
		})
		if ctx.Err() == nil {
			cancel(takenError{err})
		}
	}).Stop
}

// Taken returns why the call with a context was ended by [Route.Follow], nil when it was
// not.
func Taken(ctx context.Context) error {
	if taken, ok := errors.AsType[takenError](context.Cause(ctx)); ok {
		return taken.error
	}
	return nil
}

// copyRequests returns when the caller has no more to say, or the instance does
// not listen any more, which the answers tell of. An error is the caller's.
func copyRequests(out *Stream, in grpc.ServerStream) error {
	for {
		var f frame
		if err := in.RecvMsg(&f); errors.Is(err, io.EOF) {
			return out.CloseSend()
		} else if err != nil {
			return err
		}
		err := out.SendMsg(&f)
		f.data.Free()
		if err != nil {
			return nil //nolint:nilerr // the answers tell
		}
	}
}

func copyAnswers(in grpc.ServerStream, out *Stream) error {
	if header, err := out.Header(); err == nil && header != nil {
		if err := in.SendHeader(incoming(header)); err != nil {
			return err
		}
	}
	for {
		var f frame
		if err := out.RecvMsg(&f); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		err := in.SendMsg(&f)
		f.data.Free()
		if err != nil {
			return err
		}
	}
}
