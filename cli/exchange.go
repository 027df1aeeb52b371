package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/dynamic"
	"github.com/micro/micro/v3/dynamic/wire"
	"github.com/micro/micro/v3/internal/fault"
)

// outgoing adds to the context of a call which service it is for, and what it was
// built from.
func outgoing(ctx context.Context, in front.Invocation, entry front.Entry, r *front.Request) context.Context {
	md, _ := metadata.FromOutgoingContext(ctx)
	md = md.Copy()
	if entry.Origin == nil {
		md.Set(front.KeyService, in.Service)
		md.Set(front.KeySchema, entry.Digest)
		md.Set(front.KeyTable, strconv.Itoa(wire.Version))
	}
	for _, h := range r.Headers {
		if h[0] == "authorization" {
			md.Set(h[0], h[1])
			continue
		}
		md.Append(h[0], h[1])
	}
	return metadata.NewOutgoingContext(ctx, md)
}

// send makes a call with the messages of a request, and prints every answer.
func (a *App) send(ctx context.Context, conn *grpc.ClientConn, in front.Invocation, entry front.Entry, m wire.Method, r *front.Request, messages [][]byte) error {
	return a.exchange(ctx, conn, in, entry, m, r, func(s grpc.ClientStream) error {
		for _, message := range messages {
			if err := a.sendMsg(s, message); err != nil {
				return err
			}
		}
		return nil
	})
}

// sendMsg sends a request that is not too large. grpc-go refuses such a one too, but
// ends the call before it says why.
func (a *App) sendMsg(s grpc.ClientStream, message []byte) error {
	if most := a.maxSize(); len(message) > most {
		return &Error{
			Message: fmt.Sprintf("the request has %d bytes, and a message may have %d; --max-size lets it have more", len(message), most),
			Exit:    ExitUsage,
		}
	}
	return s.SendMsg(&message)
}

// stream makes a call with the messages that standard input has, each sent as it
// comes. Somebody at a terminal is asked for them.
func (a *App) stream(ctx context.Context, conn *grpc.ClientConn, in front.Invocation, entry front.Entry, m wire.Method, r *front.Request, from front.Inputs) error {
	return a.exchange(ctx, conn, in, entry, m, r, func(s grpc.ClientStream) error {
		for message, err := range a.requests(in, m, r, from) {
			if err == nil {
				err = a.sendMsg(s, message)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// exchange makes a call of any kind: send writes the requests while the answers are
// printed as they come. It is made again as the options say, as long as no answer came
// and the requests are not those of standard input.
func (a *App) exchange(ctx context.Context, conn *grpc.ClientConn, in front.Invocation, entry front.Entry, m wire.Method, r *front.Request, send func(grpc.ClientStream) error) error {
	p, err := a.newPrinter(m, r)
	if err != nil {
		return err
	}
	ctx = outgoing(ctx, in, entry, r)
	if r.Timeout > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, r.Timeout)
		defer stop()
	}
	if a.observer != nil {
		ctx = observed(ctx)
	}
	if a.isAsking(r) {
		defer a.asking.end()
	}
	repeatable := !r.Stdin
	return a.retrying(ctx, r, func() (bool, error) {
		answered, said, err := a.attempt(ctx, conn, m, r, p, send)
		if call := asCallError(err, said, entry, m); call != nil {
			call.timeout = r.Timeout
			return repeatable && !answered, call
		}
		return repeatable && !answered, err
	})
}

// attempt makes a call once. It reports whether there was an answer, and whether the
// server said anything at all.
func (a *App) attempt(ctx context.Context, conn *grpc.ClientConn, m wire.Method, r *front.Request, p printer, send func(grpc.ClientStream) error) (answered, said bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	opts := []grpc.CallOption{
		grpc.ForceCodecV2(dynamic.BytesCodec{}),
		grpc.MaxCallRecvMsgSize(a.maxSize()), grpc.MaxCallSendMsgSize(a.maxSize()),
	}
	if r.Gzip {
		opts = append(opts, grpc.UseCompressor(gzip.Name))
	}
	desc := &grpc.StreamDesc{ClientStreams: m.ClientStreaming(), ServerStreams: m.ServerStreaming()}
	s, err := conn.NewStream(ctx, desc, m.Path(), opts...)
	if err != nil {
		return false, false, err
	}
	failed := make(chan error, 1)
	fault.Go(ctx, func() {
		err := send(s)
		if err == nil || errors.Is(err, io.EOF) {
			err = s.CloseSend()
		}
		if err != nil {
			failed <- err
			cancel()
		}
	})
	answered, told, err := a.answers(ctx, s, m, p)
	select {
	case err = <-failed: // a request could not be sent
	default:
	}
	if a.observer != nil {
		if a.slow != nil && a.slow.Slow() > 0 {
			fmt.Fprintf(a.Err, "%d messages went the slow way: compiled tables do not take them\n", a.slow.Slow())
		}
		a.observer.end(s.Trailer(), status.Convert(err))
	}
	if err != nil && isRefused(s) {
		if st := status.Convert(err); st.Code() == codes.FailedPrecondition && hasReason(st, "SCHEMA_CHANGED") {
			return answered, true, &staleError{err, told}
		}
	}
	header, _ := s.Header() // its error came with the answer
	return answered, len(header)+len(s.Trailer()) > 0, err
}

// isRefused reports whether the server passed nothing on.
func isRefused(s grpc.ClientStream) bool { return len(s.Trailer().Get(front.KeyRefused)) > 0 }

// answers prints the answers as they come, and reports whether there was one. What the
// server says beside a refusal is none, and returned.
func (a *App) answers(ctx context.Context, s grpc.ClientStream, m wire.Method, p printer) (answered bool, told []byte, err error) {
	for ; ; answered = true {
		var message []byte
		err := s.RecvMsg(&message)
		header, _ := s.Header() // its error came with the answer
		if !answered && a.observer != nil {
			a.observer.header(header)
		}
		if len(header.Get(front.KeyRefused)) > 0 {
			if err == nil {
				err = s.RecvMsg(&[]byte{})
			}
			_ = p.end() // there is no answer
			return answered, message, err
		}
		if errors.Is(err, io.EOF) {
			return answered, nil, p.end()
		} else if err != nil {
			_ = p.end() // what the call failed with is more
			return answered, nil, err
		}
		if a.observer != nil {
			a.observer.note(m.Output(), message)
		}
		show := func() error { return p.message(ctx, message) }
		if a.Terminal.Out {
			err = a.asking.between(show)
		} else {
			err = show()
		}
		if err != nil {
			return true, nil, err
		}
		if !m.ServerStreaming() {
			return true, nil, p.end()
		}
	}
}
