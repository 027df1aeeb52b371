package service

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/reflect/protodesc"

	"github.com/micro/micro/v3/service/client"
	merrors "github.com/micro/micro/v3/service/errors"
	"github.com/micro/micro/v3/service/server"
	"github.com/micro/micro/v3/service/testdata/greet"
)

// Micro3 is a handler as it is written for the code that Micro 3 generated.
type Micro3 struct{}

func (*Micro3) Hello(_ context.Context, req *greet.HelloRequest, rsp *greet.HelloResponse) error {
	if req.GetName() == "gone" {
		return merrors.NotFound("greeter", "%s is gone", req.GetName())
	}
	out, err := hello(req)
	rsp.Text = out.GetText()
	return err
}

func (*Micro3) Count(_ context.Context, req *greet.HelloRequest, stream greet.Greeter_CountStream) error {
	for i := range req.GetTimes() {
		if err := stream.Send(&greet.HelloResponse{Text: fmt.Sprintf("Hello %s %d", req.GetName(), i+1)}); err != nil {
			return err
		}
	}
	return stream.Close()
}

func (*Micro3) Gather(_ context.Context, stream greet.Greeter_GatherStream) error {
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

func (*Micro3) Chat(_ context.Context, stream greet.Greeter_ChatStream) error {
	for {
		req, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.Send(&greet.HelloResponse{Text: "Hello " + req.GetName()}); err != nil {
			return err
		}
	}
}

func TestMicro3(t *testing.T) {
	t.Parallel()
	_, conn := start(t)(func(s *Service) error { return greet.RegisterGreeterHandler(s.Server(), new(Micro3)) })
	c := greet.NewGreeterClient(conn)
	testGreeter(t, c)
	_, err := c.Hello(t.Context(), &greet.HelloRequest{Name: "gone"})
	if e := merrors.FromError(err); status.Code(err) != codes.NotFound || e.Id != "greeter" || e.Detail != "gone is gone" {
		t.Errorf("the error is %v", err)
	}
}

// Handled as it is, without the generated code, what takes its streams cannot be called.
func TestMicro3WithoutGeneratedCode(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	_, conn := start(t, Logger(slog.New(slog.NewTextHandler(&log, nil))))(func(s *Service) error { return s.Handle(new(Micro3)) })
	c := greet.NewGreeterClient(conn)
	if rsp, err := c.Hello(t.Context(), &greet.HelloRequest{Name: "Alice"}); err != nil || rsp.GetText() != "Hello Alice" {
		t.Errorf("%v, %v", rsp, err)
	}
	stream, err := c.Count(t.Context(), &greet.HelloRequest{Name: "Alice", Times: 1})
	if err != nil {
		t.Fatal(err)
	}
	const want = "register *service.Micro3 with the function that the generated code has for it"
	if _, err := stream.Recv(); status.Code(err) != codes.Unimplemented || !strings.Contains(err.Error(), want) {
		t.Errorf("a stream: %v, want %q", err, want)
	}
	if got := strings.Count(log.String(), want); got != 3 {
		t.Errorf("the log says it %d times, want 3 times:\n%s", got, log.String())
	}
}

// Wrappers are around every call, the first is the outermost; they see what is called,
// the messages and what comes along.
func TestWrapHandler(t *testing.T) {
	t.Parallel()
	for name, handle := range map[string]func(*Service) error{
		"a filled answer":   func(s *Service) error { return s.Handle(new(Named)) },
		"a returned answer": func(s *Service) error { return s.Handle(new(Greeter)) },
		"generated code": func(s *Service) error {
			greet.RegisterGreeterServer(s.Server(), Generated{})
			return nil
		},
		"generated code of Micro 3": func(s *Service) error { return greet.RegisterGreeterHandler(s.Server(), new(Micro3)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var seen []string
			outer := func(next server.HandlerFunc) server.HandlerFunc {
				return func(ctx context.Context, req server.Request, rsp any) error {
					if req.Header()["Stop"] != "" {
						return merrors.Forbidden("wrapper", "stop")
					}
					err := next(ctx, req, rsp)
					text := ""
					if m, ok := rsp.(*greet.HelloResponse); ok {
						text = m.GetText()
						m.Text += "!"
					}
					seen = append(seen, fmt.Sprint("outer ", req.Service(), " ", req.Endpoint(), " ", req.Method(), " ", req.Stream(), " ", text))
					return err
				}
			}
			inner := func(next server.HandlerFunc) server.HandlerFunc {
				return func(ctx context.Context, req server.Request, rsp any) error {
					seen = append(seen, "inner "+req.ContentType())
					if r, ok := req.Body().(*greet.HelloRequest); ok {
						r.Name += "a"
					}
					return next(ctx, req, rsp)
				}
			}
			_, conn := start(t, Name("greeter"), WrapHandler(outer, inner))(handle)
			c := greet.NewGreeterClient(conn)
			rsp, err := c.Hello(t.Context(), &greet.HelloRequest{Name: "Ev"})
			if err != nil || rsp.GetText() != "Hello Eva!" {
				t.Errorf("%v, %v", rsp, err)
			}
			stream, err := c.Count(t.Context(), &greet.HelloRequest{Name: "Bob", Times: 1})
			if err != nil {
				t.Fatal(err)
			}
			if got := receive(t, stream.Recv); !slices.Equal(got, []string{"Hello Bob 1"}) {
				t.Errorf("the stream has %q", got)
			}
			want := []string{
				"inner application/grpc+proto", "outer greeter Greeter.Hello Greeter.Hello false Hello Eva",
				"inner application/grpc+proto", "outer greeter Greeter.Count Greeter.Count true ",
			}
			if diff := cmp.Diff(want, seen); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			stopped := metadata.AppendToOutgoingContext(t.Context(), "stop", "yes")
			if _, err := c.Hello(stopped, &greet.HelloRequest{Name: "Eva"}); status.Code(err) != codes.PermissionDenied {
				t.Errorf("what a wrapper refuses: %v", err)
			}
		})
	}
}

// The server of Micro 3 knows the service.
func TestServerOptions(t *testing.T) {
	t.Parallel()
	s, _ := start(t, Name("greeter"), Version("v1"), Metadata(map[string]string{"team": "x"}))(func(s *Service) error { return nil })
	s.Init(Name("other"))
	o := s.Server().Options()
	if o.Name != "other" || o.Version != "v1" || o.Address != s.Address() || o.Metadata["team"] != "x" || !strings.HasPrefix(o.Id, "other-") {
		t.Errorf("the options are %+v", o)
	}
	if s.Server().String() != "grpc" || s.String() != "other" || s.Options().Version != "v1" {
		t.Errorf("they are called %s and %s", s.Server(), s)
	}
	h := s.Server().NewHandler(new(Greeter), server.InternalHandler(true), server.EndpointMetadata("Greeter.Hello", map[string]string{"a": "b"}))
	if h.Name() != "*service.Greeter" || !h.Options().Internal || h.Options().Metadata["Greeter.Hello"]["a"] != "b" || h.Handler() == nil {
		t.Errorf("the handler is %+v", h)
	}
}

// The client of a service is wrapped as the options say, the first is the outermost.
func TestWrapClient(t *testing.T) { //nolint:paralleltest // it changes client.DefaultClient
	var seen []string
	wrap := func(name string) client.Wrapper {
		return func(c client.Client) client.Client { return &wrapped{c, func() { seen = append(seen, name) }} }
	}
	answer := func(client.CallFunc) client.CallFunc {
		return func(_ context.Context, address string, req client.Request, rsp any, _ client.CallOptions) error {
			seen = append(seen, "call "+req.Service()+" "+req.Endpoint()+" "+address)
			rsp.(*greet.HelloResponse).Text = "wrapped"
			return nil
		}
	}
	s := New(environment(nil), WrapClient(wrap("first"), wrap("second")), WrapCall(answer))
	rsp, err := greet.NewGreeterService("greeter", s.Client()).Hello(t.Context(), &greet.HelloRequest{})
	if err != nil || rsp.GetText() != "wrapped" {
		t.Errorf("%v, %v", rsp, err)
	}
	if diff := cmp.Diff([]string{"first", "second", "call greeter Greeter.Hello "}, seen); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if client.DefaultClient != s.Client() {
		t.Error("the client of the program is another one")
	}
}

type wrapped struct {
	client.Client
	see func()
}

func (w *wrapped) Call(ctx context.Context, req client.Request, rsp any, opts ...client.CallOption) error {
	w.see()
	return w.Client.Call(ctx, req, rsp, opts...)
}

// oldRequest and oldResponse are messages as they were generated before 2020.
type oldRequest struct {
	Name string `protobuf:"bytes,1,opt,name=name,proto3"`
}

type oldResponse struct {
	Text string `protobuf:"bytes,1,opt,name=text,proto3"`
}

func (m *oldRequest) Reset()                    { *m = oldRequest{} }
func (m *oldRequest) String() string            { return m.Name }
func (*oldRequest) ProtoMessage()               {}
func (*oldRequest) Descriptor() ([]byte, []int) { return greetFile(), []int{0} }

func (m *oldResponse) Reset()                    { *m = oldResponse{} }
func (m *oldResponse) String() string            { return m.Text }
func (*oldResponse) ProtoMessage()               {}
func (*oldResponse) Descriptor() ([]byte, []int) { return greetFile(), []int{1} }

// greetFile is what generated code had of its .proto file.
func greetFile() []byte {
	b, err := proto.Marshal(protodesc.ToFileDescriptorProto(greet.File_service_testdata_greet_greet_proto))
	if err != nil {
		panic(err)
	}
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}

// old answers with old messages.
type old struct{ Named }

func (*old) Hello(_ context.Context, req *oldRequest, rsp *oldResponse) error {
	rsp.Text = "Hello " + req.Name
	return nil
}

func TestOldMessages(t *testing.T) {
	t.Parallel()
	var _ protoadapt.MessageV1 = new(oldRequest)
	_, conn := start(t)(func(s *Service) error { return s.Handle(new(old)) })
	testGreeter(t, greet.NewGreeterClient(conn))
}
