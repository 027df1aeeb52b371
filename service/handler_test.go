package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/micro/micro/v3/service/testdata/greet"
)

// Greeter has the forms that return their answer and take this package's
// streams.
type Greeter struct{}

func (Greeter) Hello(_ context.Context, req *greet.HelloRequest) (*greet.HelloResponse, error) {
	return hello(req)
}

func (Greeter) Count(_ context.Context, req *greet.HelloRequest, stream *ServerStream[greet.HelloResponse]) error {
	return count(req, stream)
}

func (Greeter) Gather(_ context.Context, stream *ClientStream[greet.HelloRequest, greet.HelloResponse]) error {
	return gather(stream)
}

func (Greeter) Chat(_ context.Context, stream *BidiStream[greet.HelloRequest, greet.HelloResponse]) error {
	return chat(stream)
}

// Close is exported and no endpoint.
func (Greeter) Close() error { return nil }

// Named has the form that fills its answer and takes gRPC's own streams. Its
// name is not that of the service.
type Named struct{}

func (*Named) Hello(_ context.Context, req *greet.HelloRequest, rsp *greet.HelloResponse) error {
	out, err := hello(req)
	if err == nil {
		rsp.Text = out.GetText()
	}
	return err
}

func (*Named) Count(_ context.Context, req *greet.HelloRequest, stream *grpc.GenericServerStream[greet.HelloRequest, greet.HelloResponse]) error {
	return count(req, stream)
}

func (*Named) Gather(_ context.Context, stream *grpc.GenericServerStream[greet.HelloRequest, greet.HelloResponse]) error {
	return gather(stream)
}

func (*Named) Chat(_ context.Context, stream *grpc.GenericServerStream[greet.HelloRequest, greet.HelloResponse]) error {
	return chat(stream)
}

// Open takes streams of any message.
type Open struct{ Named }

func (*Open) Count(_ context.Context, req *greet.HelloRequest, stream grpc.ServerStream) error {
	return count(req, &ServerStream[greet.HelloResponse]{stream})
}

func (*Open) Gather(_ context.Context, stream grpc.ServerStream) error {
	return gather(&ClientStream[greet.HelloRequest, greet.HelloResponse]{stream})
}

func (*Open) Chat(_ context.Context, stream interface {
	SendMsg(any) error
	RecvMsg(any) error
},
) error {
	for {
		req, rsp := new(greet.HelloRequest), new(greet.HelloResponse)
		if err := stream.RecvMsg(req); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		rsp.Text = "Hello " + req.GetName()
		if err := stream.SendMsg(rsp); err != nil {
			return err
		}
	}
}

// Generated implements what gRPC's generated code wants.
type Generated struct {
	greet.UnimplementedGreeterServer
}

func (Generated) Hello(_ context.Context, req *greet.HelloRequest) (*greet.HelloResponse, error) {
	return hello(req)
}

func (Generated) Count(req *greet.HelloRequest, stream grpc.ServerStreamingServer[greet.HelloResponse]) error {
	return count(req, stream)
}

func (Generated) Gather(stream grpc.ClientStreamingServer[greet.HelloRequest, greet.HelloResponse]) error {
	return gather(stream)
}

func (Generated) Chat(stream grpc.BidiStreamingServer[greet.HelloRequest, greet.HelloResponse]) error {
	return chat(stream)
}

// The four methods, once.

func hello(req *greet.HelloRequest) (*greet.HelloResponse, error) {
	switch req.GetName() {
	case "":
		return nil, status.Error(codes.InvalidArgument, "who?")
	case "plain":
		return nil, errors.New("a plain error")
	case "wrapped":
		return nil, fmt.Errorf("hello: %w", status.Error(codes.NotFound, "nobody"))
	case "late":
		return nil, context.DeadlineExceeded
	case "panic":
		panic("no more greetings")
	}
	return &greet.HelloResponse{Text: "Hello " + req.GetName()}, nil
}

func count(req *greet.HelloRequest, stream grpc.ServerStreamingServer[greet.HelloResponse]) error {
	if req.GetName() == "panic" {
		panic("no more greetings")
	}
	for i := range req.GetTimes() {
		if err := stream.Send(&greet.HelloResponse{Text: fmt.Sprintf("Hello %s %d", req.GetName(), i+1)}); err != nil {
			return err
		}
	}
	return nil
}

func gather(stream grpc.ClientStreamingServer[greet.HelloRequest, greet.HelloResponse]) error {
	var names []string
	for {
		req, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return stream.SendAndClose(&greet.HelloResponse{Text: "Hello " + strings.Join(names, " and ")})
		}
		if err != nil {
			return err
		}
		names = append(names, req.GetName())
	}
}

func chat(stream grpc.BidiStreamingServer[greet.HelloRequest, greet.HelloResponse]) error {
	for {
		req, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		rsp, err := hello(req)
		if err != nil {
			return err
		}
		if err := stream.Send(rsp); err != nil {
			return err
		}
	}
}

// Clock is the second service of the same package.
type Clock struct{ resets chan struct{} }

func (c *Clock) Reset(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	c.resets <- struct{}{}
	return &emptypb.Empty{}, nil
}

func TestForms(t *testing.T) {
	t.Parallel()
	for name, handle := range map[string]func(*Service) error{
		"returned answer and own streams": func(s *Service) error { return s.Handle(Greeter{}) },
		"pointer to the same":             func(s *Service) error { return s.Handle(new(Greeter)) },
		"filled answer and gRPC streams":  func(s *Service) error { return s.Handle(new(Named)) },
		"streams of any message":          func(s *Service) error { return s.Handle(new(Open)) },
		"generated registration": func(s *Service) error {
			greet.RegisterGreeterServer(s.Server(), Generated{})
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, conn := start(t)(handle)
			testGreeter(t, greet.NewGreeterClient(conn))
		})
	}
}

// testGreeter makes calls of all four kinds.
func testGreeter(t *testing.T, c greet.GreeterClient) {
	t.Helper()
	ctx := t.Context()
	rsp, err := c.Hello(ctx, &greet.HelloRequest{Name: "Alice"})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := rsp.GetText(), "Hello Alice"; got != want {
		t.Errorf("Hello = %q, want %q", got, want)
	}

	down, err := c.Count(ctx, &greet.HelloRequest{Name: "Bob", Times: 2})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"Hello Bob 1", "Hello Bob 2"}, receive(t, down.Recv)); diff != "" {
		t.Errorf("Count (-want +got):\n%s", diff)
	}

	up, err := c.Gather(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Alice", "Bob"} {
		if err := up.Send(&greet.HelloRequest{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	rsp, err = up.CloseAndRecv()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := rsp.GetText(), "Hello Alice and Bob"; got != want {
		t.Errorf("Gather = %q, want %q", got, want)
	}

	both, err := c.Chat(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Alice", "Bob"} {
		if err := both.Send(&greet.HelloRequest{Name: name}); err != nil {
			t.Fatal(err)
		}
		rsp, err := both.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if got, want := rsp.GetText(), "Hello "+name; got != want {
			t.Errorf("Chat = %q, want %q", got, want)
		}
	}
	if err := both.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, both.Recv); got != nil {
		t.Errorf("Chat goes on with %q", got)
	}
}

// receive reads a stream to its end.
func receive(t *testing.T, recv func() (*greet.HelloResponse, error)) []string {
	t.Helper()
	var texts []string
	for {
		rsp, err := recv()
		if errors.Is(err, io.EOF) {
			return texts
		}
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, rsp.GetText())
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	_, conn := start(t)(func(s *Service) error { return s.Handle(new(Named)) })
	c := greet.NewGreeterClient(conn)
	for name, want := range map[string]*status.Status{
		"":        status.New(codes.InvalidArgument, "who?"),
		"plain":   status.New(codes.Unknown, "a plain error"),
		"wrapped": status.New(codes.NotFound, "hello: rpc error: code = NotFound desc = nobody"),
		"late":    status.New(codes.DeadlineExceeded, "context deadline exceeded"),
		"panic":   status.New(codes.Internal, "greet.Greeter/Hello: the handler panicked"),
	} {
		_, err := c.Hello(t.Context(), &greet.HelloRequest{Name: name})
		if got := status.Convert(err); got.Code() != want.Code() || got.Message() != want.Message() {
			t.Errorf("Hello(%q) = %v, want %v", name, got, want)
		}
	}
	stream, err := c.Count(t.Context(), &greet.HelloRequest{Name: "panic"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); status.Code(err) != codes.Internal {
		t.Errorf("Count of a handler that panics = %v, want code %v", err, codes.Internal)
	}
	// The service lives on.
	testGreeter(t, c)
}

// A method that the service lacks is told of, and keeps nobody from the others.
func TestMethodThatTheServiceLacks(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	_, conn := start(t, Logger(slog.New(slog.NewTextHandler(&log, nil))))(func(s *Service) error { return s.Handle(new(typo)) })
	testGreeter(t, greet.NewGreeterClient(conn))
	if want := "greet.Greeter has no method Helo: nobody can call that of *service.typo"; !strings.Contains(log.String(), want) {
		t.Errorf("the log says %q, want %q", log.String(), want)
	}
}

func TestTwoStructs(t *testing.T) {
	t.Parallel()
	clock := &Clock{resets: make(chan struct{}, 1)}
	_, conn := start(t)(func(s *Service) error { return errors.Join(s.Handle(clock), s.Handle(new(Greeter))) })
	testGreeter(t, greet.NewGreeterClient(conn))
	if _, err := greet.NewClockClient(conn).Reset(t.Context(), &emptypb.Empty{}); err != nil {
		t.Fatal(err)
	}
	<-clock.resets
}

// Handlers that lack something.
type (
	empty      struct{}
	noEndpoint struct{}
	pointer    struct{}
	wrongForm  struct{ Named }
	typo       struct{ Greeter }
	partial    struct{}
	stranger   struct{}
	ambiguous  struct{}
	nothing    struct{}
)

func (noEndpoint) Hello(string) string { return "" }

func (*pointer) Hello(context.Context, *greet.HelloRequest) (*greet.HelloResponse, error) {
	return nil, nil //nolint:nilnil // it is not called
}

func (*wrongForm) Hello(context.Context, *greet.HelloRequest) *greet.HelloResponse { return nil }

func (*wrongForm) Count(*greet.HelloRequest, grpc.ServerStreamingServer[greet.HelloResponse]) error {
	return nil
}

func (*typo) Helo(context.Context, *greet.HelloRequest) (*greet.HelloResponse, error) {
	return nil, nil //nolint:nilnil // it is not called
}

func (*partial) Hello(context.Context, *greet.HelloRequest) (*greet.HelloResponse, error) {
	return nil, nil //nolint:nilnil // it is not called
}

func (*stranger) Vanish(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	return nil, nil //nolint:nilnil // it is not called
}

func (*nothing) Wave(context.Context, *greet.HelloRequest) (*greet.HelloResponse, error) {
	return nil, nil //nolint:nilnil // it is not called
}

func (*ambiguous) ServerReflectionInfo(context.Context, grpc.ServerStream) error { return nil }

func TestHandleErrors(t *testing.T) {
	t.Parallel()
	const pkg = "github.com/micro/micro/v3/service/testdata/greet."
	for name, tc := range map[string]struct {
		handler any
		want    []string // the lines of the error
	}{
		"nil":         {nil, []string{"handle nil: it is nil; pass a struct, as in new(T)"}},
		"nil pointer": {(*Greeter)(nil), []string{"handle *service.Greeter: it is nil; pass a struct, as in new(T)"}},
		"no struct":   {func() {}, []string{"handle func(): it is no struct; pass one, as in new(T)"}},
		"no method": {empty{}, []string{
			"handle service.empty: it has no method that can answer a call, as M(context.Context, *Req) (*Rsp, error) would; it has no exported method",
		}},
		"no endpoint": {noEndpoint{}, []string{
			"handle service.noEndpoint: it has no method that can answer a call, as M(context.Context, *Req) (*Rsp, error) would; it has Hello(string) string",
		}},
		"value of a type with pointer methods": {pointer{}, []string{
			"handle service.pointer: it has no method that can answer a call, as M(context.Context, *Req) (*Rsp, error) would; its methods have a pointer receiver: pass a pointer",
		}},
		"other forms": {&wrongForm{}, []string{
			"handle *service.wrongForm: greet.Greeter wants Hello(context.Context, *greet.HelloRequest) (*greet.HelloResponse, error); it has Hello(context.Context, *greet.HelloRequest) *greet.HelloResponse",
			"greet.Greeter wants Count(context.Context, *greet.HelloRequest, *service.ServerStream[greet.HelloResponse]) error; it has Count(*greet.HelloRequest, grpc.ServerStreamingServer[" + pkg + "HelloResponse]) error, whose stream only generated code can make: register it by the generated function and Server",
		}},
		"methods missing": {&partial{}, []string{
			"handle *service.partial: greet.Greeter wants Count(context.Context, *greet.HelloRequest, *service.ServerStream[greet.HelloResponse]) error; it has no such method",
			"greet.Greeter wants Gather(context.Context, *service.ClientStream[greet.HelloRequest, greet.HelloResponse]) error; it has no such method",
			"greet.Greeter wants Chat(context.Context, *service.BidiStream[greet.HelloRequest, greet.HelloResponse]) error; it has no such method",
		}},
		"no service for its messages": {&stranger{}, []string{
			"handle *service.stranger: there is no gRPC service with a method Vanish for its messages in the .proto files of this program",
		}},
		"two services that fit": {&ambiguous{}, []string{
			"handle *service.ambiguous: its methods are those of more than one gRPC service, grpc.reflection.v1.ServerReflection, grpc.reflection.v1alpha.ServerReflection; give it the name of the one that is meant",
		}},
		"nothing alike": {&nothing{}, []string{
			"handle *service.nothing: it is none of the gRPC services of its messages, greet.Clock, greet.Greeter; give it the name of the one that is meant",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := New(environment(nil), Address("127.0.0.1:0"))
			err := s.Handle(tc.handler)
			if diff := cmp.Diff(tc.want, lines(err)); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			if got := s.Run(); got == nil || got.Error() != err.Error() {
				t.Errorf("Run = %v, want the error of Handle", got)
			}
		})
	}
}

func lines(err error) []string {
	if err == nil {
		return nil
	}
	return strings.Split(err.Error(), "\n")
}
