package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpcmetadata "google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/micro/micro/v3/service"
	"github.com/micro/micro/v3/service/auth"
	"github.com/micro/micro/v3/service/client"
	"github.com/micro/micro/v3/service/context/metadata"
	merrors "github.com/micro/micro/v3/service/errors"
	"github.com/micro/micro/v3/service/servicetest"
	"github.com/micro/micro/v3/service/testdata/greet"
)

// greeter answers with what it knows of the call.
type greeter struct {
	calls atomic.Int64
	next  greet.GreeterClient // called by "forward"; nil: nobody
}

func (g *greeter) Hello(ctx context.Context, req *greet.HelloRequest, rsp *greet.HelloResponse) error {
	g.calls.Add(1)
	switch req.GetName() {
	case "missing":
		return merrors.NotFound("greeter", "no %s", req.GetName())
	case "unavailable":
		return status.Error(codes.Unavailable, "not now")
	case "slow":
		<-ctx.Done()
		return ctx.Err()
	case "forward":
		out, err := g.next.Hello(ctx, &greet.HelloRequest{Name: "who"})
		rsp.Text = out.GetText()
		return err
	case "deadline":
		d, ok := ctx.Deadline()
		rsp.Text = strconv.FormatBool(ok && time.Until(d) < 11*time.Second)
		return nil
	case "who":
		rsp.Text = who(ctx)
		return nil
	}
	tenant, _ := metadata.Get(ctx, "X-Tenant")
	rsp.Text = "Hello " + req.GetName() + tenant
	return nil
}

// who says for whom a call is made and by whom, and what goes along with it.
func who(ctx context.Context) string {
	var b strings.Builder
	if a, ok := auth.AccountFromContext(ctx); ok {
		fmt.Fprint(&b, "for ", a.Type, " ", a.ID, " ", a.Scopes, " of ", a.Issuer)
	}
	if a, ok := auth.CallerFromContext(ctx); ok {
		fmt.Fprint(&b, ", by ", a.Type, " ", a.ID)
	}
	md, _ := grpcmetadata.FromIncomingContext(ctx)
	fmt.Fprint(&b, ", ", md.Get("x-request-id"), md.Get("traceparent"), md.Get("x-tenant"))
	return b.String()
}

func (g *greeter) Count(_ context.Context, req *greet.HelloRequest, stream greet.Greeter_CountStream) error {
	for i := range req.GetTimes() {
		if err := stream.Send(&greet.HelloResponse{Text: strconv.Itoa(int(i + 1))}); err != nil {
			return err
		}
	}
	return nil
}

func (g *greeter) Gather(_ context.Context, stream greet.Greeter_GatherStream) error {
	n := 0
	for {
		if _, err := stream.Recv(); errors.Is(err, io.EOF) {
			return stream.SendAndClose(&greet.HelloResponse{Text: strconv.Itoa(n)})
		} else if err != nil {
			return err
		}
		n++
	}
}

func (g *greeter) Chat(_ context.Context, stream greet.Greeter_ChatStream) error {
	for {
		req, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.Send(&greet.HelloResponse{Text: req.GetName()}); err != nil {
			return err
		}
	}
}

// serve runs a greeter under a name.
func serve(t *testing.T, env *servicetest.Env, name string, g *greeter) {
	t.Helper()
	s := service.New(service.Name(name), service.Address("127.0.0.1:0"))
	if err := greet.RegisterGreeterHandler(s.Server(), g); err != nil {
		t.Fatal(err)
	}
	env.Run(s)
}

// Every kind of call gets there, by generated code of both kinds.
func TestCalls(t *testing.T) {
	t.Parallel()
	env := servicetest.New(t)
	serve(t, env, "greeter", new(greeter))
	c := greet.NewGreeterService("greeter", client.New(env.Conn("shop")))
	rsp, err := c.Hello(t.Context(), &greet.HelloRequest{Name: "Alice"})
	if err != nil || rsp.GetText() != "Hello Alice" {
		t.Fatalf("%v, %v", rsp, err)
	}
	down, err := c.Count(t.Context(), &greet.HelloRequest{Times: 3})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"1", "2", "3"}, receive(t, down.Recv)); diff != "" {
		t.Errorf("Count (-want +got):\n%s", diff)
	}
	if err := down.Close(); err != nil {
		t.Error(err)
	}
	up, err := c.Gather(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := up.Send(&greet.HelloRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	if rsp, err := up.CloseAndRecv(); err != nil || rsp.GetText() != "3" {
		t.Errorf("Gather: %v, %v", rsp, err)
	}
	both, err := c.Chat(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b"} {
		if err := both.Send(&greet.HelloRequest{Name: name}); err != nil {
			t.Fatal(err)
		}
		if rsp, err := both.Recv(); err != nil || rsp.GetText() != name {
			t.Errorf("Chat: %v, %v", rsp, err)
		}
	}
	if err := both.Close(); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, both.Recv); got != nil {
		t.Errorf("Chat goes on with %q", got)
	}
	grpcRsp, err := greet.NewGreeterClient(client.Through(env.Conn("shop"), "greeter")).Hello(t.Context(), &greet.HelloRequest{Name: "Bob"})
	if err != nil || grpcRsp.GetText() != "Hello Bob" {
		t.Errorf("by grpc-go's code: %v, %v", grpcRsp, err)
	}
}

func receive(t *testing.T, recv func() (*greet.HelloResponse, error)) (texts []string) {
	t.Helper()
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

// The errors are those of package errors.
func TestErrors(t *testing.T) {
	t.Parallel()
	env := servicetest.New(t)
	g := new(greeter)
	serve(t, env, "greeter", g)
	c := client.New(env.Conn("shop"))
	for _, tt := range []struct {
		service, name string
		timeout       time.Duration
		code          int32
		id            string
		calls         int64
	}{
		{"greeter", "missing", 0, 404, "greeter", 1},
		{"greeter", "unavailable", 0, 503, "", 1},
		{"greeter", "slow", 50 * time.Millisecond, 408, "", -1}, // it may not even have begun
		{"nobody", "x", 0, 404, "micro", 0},
	} {
		g.calls.Store(0)
		_, err := greet.NewGreeterService(tt.service, c).Hello(t.Context(), &greet.HelloRequest{Name: tt.name}, client.WithRequestTimeout(tt.timeout))
		e, ok := err.(*merrors.Error) //nolint:errorlint // as services written for Micro 3 do
		if !ok || e.Code != tt.code || e.Id != tt.id || tt.calls >= 0 && g.calls.Load() != tt.calls {
			t.Errorf("%s of %s: %v after %d calls, want %d of %q after %d", tt.name, tt.service, err, g.calls.Load(), tt.code, tt.id, tt.calls)
		}
		if tt.service == "nobody" && !client.Refused(err) {
			t.Error("a call that no service has got is not known to be one")
		}
	}
	for _, endpoint := range []string{"Hello", "Greeter.", ".Hello", "a.b.c"} {
		err := c.Call(t.Context(), c.NewRequest("greeter", endpoint, new(greet.HelloRequest)), new(greet.HelloResponse))
		if e := merrors.FromError(err); e == nil || e.Code != 400 {
			t.Errorf("the endpoint %q: %v", endpoint, err)
		}
		if _, err := c.Stream(t.Context(), c.NewRequest("greeter", endpoint, new(greet.HelloRequest))); err == nil {
			t.Errorf("a stream of the endpoint %q is opened", endpoint)
		}
	}
}

// Whoever stands at the beginning of a call is known at its end, with the request and
// the trace that it is part of; who is between is known as well.
func TestWhatGoesAlong(t *testing.T) {
	t.Parallel()
	env := servicetest.New(t)
	last := new(greeter)
	serve(t, env, "last", last)
	middle := &greeter{next: greet.NewGreeterClient(client.Through(env.Conn("middle"), "last"))}
	serve(t, env, "middle", middle)

	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	ctx := grpcmetadata.AppendToOutgoingContext(t.Context(), "x-request-id", "r1", "traceparent", trace)
	for name, tt := range map[string]struct {
		conn grpc.ClientConnInterface
		call string
		want string
	}{
		"a user":               {env.User("alice", "sales"), "last", "for user alice [sales] of micro, by user alice, [r1] [" + trace + "] []"},
		"a user, by a service": {env.User("alice", "sales"), "middle", "for user alice [sales] of micro, by service middle, [r1] [" + trace + "] []"},
		"a service":            {env.Conn("cron"), "middle", "for service cron [service] of micro, by service middle, [r1] [" + trace + "] []"},
		"nobody, by a service": {env.Nobody(), "middle", ", by service middle, [r1] [" + trace + "] []"},
	} {
		request := "who"
		if tt.call == "middle" {
			request = "forward"
		}
		rsp, err := greet.NewGreeterClient(client.Through(tt.conn, tt.call)).Hello(ctx, &greet.HelloRequest{Name: request})
		want := tt.want
		if name == "nobody, by a service" {
			want = "for service middle [service] of micro" + tt.want
		}
		if err != nil || rsp.GetText() != want {
			t.Errorf("%s: %q, %v; want %q", name, rsp.GetText(), err, want)
		}
	}

	// The deadline goes along too, and there is one by default.
	rsp, err := greet.NewGreeterClient(client.Through(env.Admin(), "last")).Hello(t.Context(), &greet.HelloRequest{Name: "deadline"})
	if err != nil || rsp.GetText() != "true" {
		t.Errorf("the deadline: %v, %v", rsp, err)
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := greet.NewGreeterClient(client.Through(env.Admin(), "last")).Hello(short, &greet.HelloRequest{Name: "slow"}); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("after the deadline: %v", err)
	}
}

// The metadata of a context goes along with calls as Micro 3 makes them.
func TestMetadata(t *testing.T) {
	t.Parallel()
	env := servicetest.New(t)
	serve(t, env, "greeter", new(greeter))
	c := greet.NewGreeterService("greeter", client.New(env.Conn("shop")))
	ctx := metadata.NewContext(t.Context(), metadata.Metadata{
		"X-Tenant": " of acme", "Authorization": "Bearer stolen", "Micro-Account": "admin", "Content-Type": "text/html", "Grpc-Timeout": "1n",
	})
	rsp, err := c.Hello(ctx, &greet.HelloRequest{Name: "Alice"})
	if err != nil || rsp.GetText() != "Hello Alice of acme" {
		t.Errorf("%v, %v", rsp, err)
	}
	rsp, err = c.Hello(ctx, &greet.HelloRequest{Name: "who"})
	if err != nil || !strings.Contains(rsp.GetText(), "by service shop") {
		t.Errorf("%v, %v", rsp, err)
	}
	elsewhere := metadata.Set(t.Context(), "Micro-Namespace", "elsewhere")
	if _, err := c.Hello(elsewhere, &greet.HelloRequest{Name: "Alice"}); err == nil {
		t.Error("a call in another namespace finds the service of this one")
	}
}

// An instance that is there too late is called all the same; one that is gone is not
// noticed while there are others.
func TestRestart(t *testing.T) {
	t.Parallel()
	env := servicetest.New(t)
	calls := 0
	err := client.New(env.Conn("shop")).Call(t.Context(), client.NewRequest("late", "Greeter.Hello", &greet.HelloRequest{Name: "Alice"}), new(greet.HelloResponse),
		client.WithRetry(func(context.Context, client.Request, int, error) (bool, error) { return true, nil }),
		client.WithBackoff(func(_ context.Context, req client.Request, retry int) (time.Duration, error) {
			if calls = retry; retry == 2 && req.Service() == "late" {
				serve(t, env, "late", new(greeter))
			}
			return 0, nil
		}))
	if err != nil || calls != 2 {
		t.Errorf("%v after %d calls", err, calls)
	}
}

func TestRetries(t *testing.T) {
	t.Parallel()
	env := servicetest.New(t)
	g := new(greeter)
	serve(t, env, "greeter", g)
	at := client.WithBackoff(func(context.Context, client.Request, int) (time.Duration, error) { return 0, nil })
	c := client.New(env.Conn("shop"), client.Retries(2), client.Backoff(func(context.Context, client.Request, int) (time.Duration, error) { return 0, nil }))
	for name, tt := range map[string]struct {
		request string
		opts    []client.CallOption
		calls   int64
	}{
		"as it is":                {"unavailable", nil, 1},
		"harmless":                {"unavailable", []client.CallOption{client.Idempotent()}, 3},
		"harmless, but once":      {"unavailable", []client.CallOption{client.Idempotent(), client.WithRetries(0)}, 1},
		"always":                  {"missing", []client.CallOption{client.WithRetry(client.RetryAlways), client.WithRetries(4)}, 5},
		"never":                   {"unavailable", []client.CallOption{client.Idempotent(), client.WithRetry(client.RetryNever)}, 1},
		"what the service failed": {"unavailable", []client.CallOption{client.WithRetry(client.RetryOnError), at}, 3},
		"what it did not":         {"missing", []client.CallOption{client.WithRetry(client.RetryOnError)}, 1},
		"what did not get there":  {"unavailable", []client.CallOption{client.WithRetry(client.RetryOnConnectFailure)}, 1},
	} {
		g.calls.Store(0)
		if _, err := greet.NewGreeterService("greeter", c).Hello(t.Context(), &greet.HelloRequest{Name: tt.request}, tt.opts...); err == nil {
			t.Errorf("%s: no error", name)
		}
		if got := g.calls.Load(); got != tt.calls {
			t.Errorf("%s: %d calls, want %d", name, got, tt.calls)
		}
	}
	if c.Options().CallOptions.Retries != 2 || c.String() != "grpc" {
		t.Errorf("the client is %+v", c.Options())
	}
}

// A service can be called where it listens, without the server between.
func TestWithAddress(t *testing.T) {
	t.Parallel()
	s := service.New(service.Name("alone"), service.Address("127.0.0.1:0"))
	if err := greet.RegisterGreeterHandler(s.Server(), new(greeter)); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}()
	c := greet.NewGreeterService("whatever", client.New(nil))
	for range 2 {
		rsp, err := c.Hello(t.Context(), &greet.HelloRequest{Name: "who"}, client.WithAddress(s.Address()))
		if err != nil || !strings.HasPrefix(rsp.GetText(), ", [") {
			t.Errorf("%v, %v", rsp, err)
		}
	}
	stream, err := c.Count(t.Context(), &greet.HelloRequest{Times: 2}, client.WithAddress(s.Address()), client.WithStreamTimeout(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if got := receive(t, stream.Recv); len(got) != 2 {
		t.Errorf("the stream has %q", got)
	}
}

// What is no message is JSON, by the schema of the service.
func TestJSON(t *testing.T) {
	t.Parallel()
	env := servicetest.New(t)
	serve(t, env, "greeter", new(greeter))
	c := client.New(env.Conn("shop"))
	var rsp struct {
		Text string `json:"text"`
	}
	for _, body := range []any{map[string]any{"name": "Alice"}, &greet.HelloRequest{Name: "Alice"}, struct {
		Name string `json:"name"`
	}{"Alice"}} {
		rsp.Text = ""
		if err := c.Call(t.Context(), c.NewRequest("greeter", "Greeter.Hello", body), &rsp); err != nil || rsp.Text != "Hello Alice" {
			t.Errorf("%T: %+v, %v", body, rsp, err)
		}
	}
	message := new(greet.HelloResponse)
	err := c.Call(t.Context(), c.NewRequest("greeter", "Greeter.Hello", map[string]any{"name": "Bob"}, client.WithContentType("application/json")), message)
	if err != nil || message.GetText() != "Hello Bob" {
		t.Errorf("into a message: %v, %v", message, err)
	}
	for name, tt := range map[string]struct {
		service, endpoint string
		body              any
		code              int32
	}{
		"no such service":  {"nobody", "Greeter.Hello", nil, 404},
		"no such endpoint": {"greeter", "Greeter.Bye", nil, 501},
		"no such field":    {"greeter", "Greeter.Hello", map[string]any{"nam": "x"}, 400},
		"no JSON":          {"greeter", "Greeter.Hello", make(chan int), 400},
		"no endpoint":      {"greeter", "Hello", nil, 400},
		"an error":         {"greeter", "Greeter.Hello", map[string]any{"name": "missing"}, 404},
	} {
		err := c.Call(t.Context(), c.NewRequest(tt.service, tt.endpoint, tt.body), &rsp)
		if e := merrors.FromError(err); e == nil || e.Code != tt.code {
			t.Errorf("%s: %v, want %d", name, err, tt.code)
		}
	}
	if err := c.Call(t.Context(), c.NewRequest("greeter", "Greeter.Hello", nil), &rsp); err != nil || rsp.Text != "Hello " {
		t.Errorf("an empty request: %+v, %v", rsp, err)
	}
}
