package cli

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/dynamic"
	"github.com/micro/micro/v3/dynamic/wire"
)

// outgoing adds to the context of a call which service it is for, and what it was
// built from.
func outgoing(ctx context.Context, in front.Invocation, entry front.Entry, r *front.Request) context.Context {
	md, _ := metadata.FromOutgoingContext(ctx)
	md = md.Copy()
	if entry.Origin == nil {
		md.Set(front.KeyService, in.Service)
		md.Set(front.KeySchema, entry.Digest)
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
		for i := range messages {
			if err := s.SendMsg(&messages[i]); err != nil {
				return nil //nolint:nilerr // the answer says why
			}
		}
		return nil
	})
}

// stream makes a call with the messages that standard input has, each sent as it
// comes. Somebody at a terminal is asked for them.
func (a *App) stream(ctx context.Context, conn *grpc.ClientConn, in front.Invocation, entry front.Entry, m wire.Method, r *front.Request, from front.Inputs) error {
	return a.exchange(ctx, conn, in, entry, m, r, func(s grpc.ClientStream) error {
		for message, err := range a.requests(in, m, r, from) {
			if err != nil {
				return err
			}
			if err := s.SendMsg(&message); err != nil {
				return nil // the answer says why
			}
		}
		return nil
	})
}

// exchange makes a call of any kind: send writes the requests while the answers are
// printed as they come.
func (a *App) exchange(ctx context.Context, conn *grpc.ClientConn, in front.Invocation, entry front.Entry, m wire.Method, r *front.Request, send func(grpc.ClientStream) error) error {
	ctx, cancel := context.WithCancel(outgoing(ctx, in, entry, r))
	defer cancel()
	if r.Timeout > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, r.Timeout)
		defer stop()
	}
	desc := &grpc.StreamDesc{ClientStreams: m.ClientStreaming(), ServerStreams: m.ServerStreaming()}
	s, err := conn.NewStream(ctx, desc, m.Path(), grpc.ForceCodecV2(dynamic.BytesCodec{}))
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() {
		err := send(s)
		if err == nil || errors.Is(err, io.EOF) {
			err = s.CloseSend()
		}
		if err != nil {
			failed <- err
			cancel()
		}
	}()
	err = a.answers(s, m, r)
	select {
	case cause := <-failed:
		return cause // a request could not be sent
	default:
	}
	if r.Metadata {
		a.printMetadata(s)
	}
	if err != nil && isRefused(s) {
		if st := status.Convert(err); st.Code() == codes.FailedPrecondition && hasReason(st, "SCHEMA_CHANGED") {
			return &staleError{err}
		}
	}
	return err
}

// isRefused reports whether the server passed nothing on.
func isRefused(s grpc.ClientStream) bool { return len(s.Trailer().Get(front.KeyRefused)) > 0 }

func (a *App) answers(s grpc.ClientStream, m wire.Method, r *front.Request) error {
	format := r.Output
	if m.ServerStreaming() && format == front.FormatAuto {
		format = front.FormatJSON // a line each
	}
	for n := 0; ; n++ {
		var message []byte
		if err := s.RecvMsg(&message); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		out, err := m.Output().AppendJSON(nil, message, wire.EncodeOptions{})
		if err != nil {
			return &Error{Message: "the answer does not fit the schema: " + err.Error(), Exit: ExitError}
		}
		if format == front.FormatYAML {
			if n > 0 {
				fmt.Fprintln(a.Out, "---")
			}
			err = jsonToYAML(a.Out, out)
		} else {
			err = front.PrintJSON(a.Out, out, format)
		}
		if err != nil || !m.ServerStreaming() {
			return err
		}
	}
}

// printMetadata writes what came with an answer, in a stable order.
func (a *App) printMetadata(s grpc.ClientStream) {
	header, _ := s.Header() // its error came with the answer
	printMD(a.Err, "header", header)
	printMD(a.Err, "trailer", s.Trailer())
}

func printMD(w io.Writer, what string, md metadata.MD) {
	for _, k := range slices.Sorted(maps.Keys(md)) {
		for _, v := range md[k] {
			if strings.HasSuffix(k, "-bin") {
				v = base64.StdEncoding.EncodeToString([]byte(v))
			}
			fmt.Fprintf(w, "%s %s: %s\n", what, front.Line(k), front.Line(v))
		}
	}
}
