package service

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/micro/micro/v3/service/testdata/greet"
)

// TestMain runs a service instead of the tests when TestSignal asks for it.
func TestMain(m *testing.M) {
	if os.Getenv("TEST_SERVICE") == "" {
		os.Exit(m.Run())
	}
	s := New(Name("signalled"), AfterStop(func() error {
		fmt.Println("after stop")
		return nil
	}))
	if err := errors.Join(s.Handle(new(Greeter)), s.Run()); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("clean")
	os.Exit(0)
}

func TestSignal(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("there are no signals to send")
	}
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), "TEST_SERVICE=1", "PORT=", "MICRO_ADDRESS=", "MICRO_SERVICE_ADDRESS=", "MICRO_SERVICE_NAME=")
			var out bytes.Buffer
			cmd.Stdout = &out
			stderr, err := cmd.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(stderr).ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			address := strings.Fields(strings.TrimPrefix(line, "signalled listens on "))[0]
			want := "signalled listens on " + address + " try: grpcurl -plaintext " + strings.TrimSuffix(address, ";") + " greet.Greeter/Hello\n"
			if line != want {
				t.Errorf("it says %q, want %q", line, want)
			}
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("it ended with %v", err)
			}
			if got, want := out.String(), "after stop\nclean\n"; got != want {
				t.Errorf("it wrote %q, want %q", got, want)
			}
		})
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	s, conn := start(t)(func(s *Service) error { return s.Handle(new(Greeter)) })
	c := healthv1.NewHealthClient(conn)
	for _, name := range []string{"", "greet.Greeter"} {
		rsp, err := c.Check(t.Context(), &healthv1.HealthCheckRequest{Service: name})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := rsp.GetStatus(), healthv1.HealthCheckResponse_SERVING; got != want {
			t.Errorf("Check(%q) = %v, want %v", name, got, want)
		}
	}
	if _, err := c.Check(t.Context(), &healthv1.HealthCheckRequest{Service: "greet.Clock"}); status.Code(err) != codes.NotFound {
		t.Errorf("Check of a service that is not here = %v, want code %v", err, codes.NotFound)
	}
	all, err := c.List(t.Context(), &healthv1.HealthListRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(all.GetStatuses()), 2; got != want {
		t.Errorf("List has %d entries, want %d: %v", got, want, all)
	}

	// Those who watch are told of the stop, and do not hold it up.
	watch := func(name string, first healthv1.HealthCheckResponse_ServingStatus) grpc.ServerStreamingClient[healthv1.HealthCheckResponse] {
		t.Helper()
		stream, err := c.Watch(t.Context(), &healthv1.HealthCheckRequest{Service: name})
		if err != nil {
			t.Fatal(err)
		}
		rsp, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if got := rsp.GetStatus(); got != first {
			t.Errorf("Watch(%q) begins with %v, want %v", name, got, first)
		}
		return stream
	}
	known := watch("greet.Greeter", healthv1.HealthCheckResponse_SERVING)
	unknown := watch("greet.Clock", healthv1.HealthCheckResponse_SERVICE_UNKNOWN)
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	rsp, err := known.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := rsp.GetStatus(), healthv1.HealthCheckResponse_NOT_SERVING; got != want {
		t.Errorf("Watch says %v when the service stops, want %v", got, want)
	}
	for _, stream := range []grpc.ServerStreamingClient[healthv1.HealthCheckResponse]{known, unknown} {
		if _, err := stream.Recv(); status.Code(err) != codes.Unavailable {
			t.Errorf("Watch ends with %v, want code %v", err, codes.Unavailable)
		}
	}
}

func TestReflection(t *testing.T) {
	t.Parallel()
	s, conn := start(t)(func(s *Service) error { return s.Handle(new(Greeter)) })
	stream, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}}); err != nil {
		t.Fatal(err)
	}
	rsp, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, service := range rsp.GetListServicesResponse().GetService() {
		names = append(names, service.GetName())
	}
	want := []string{"greet.Greeter", "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("services (-want +got):\n%s", diff)
	}
	if err := stream.Send(&reflectionv1.ServerReflectionRequest{
		MessageRequest: &reflectionv1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: "greet.Greeter"},
	}); err != nil {
		t.Fatal(err)
	}
	rsp, err = stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if got := len(rsp.GetFileDescriptorResponse().GetFileDescriptorProto()); got != 2 {
		t.Errorf("reflection gives %d files, want greet.proto and what it imports", got)
	}

	old, err := reflectionv1alpha.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	//nolint:staticcheck // old clients know this version only
	if err := old.Send(&reflectionv1alpha.ServerReflectionRequest{MessageRequest: &reflectionv1alpha.ServerReflectionRequest_ListServices{}}); err != nil {
		t.Fatal(err)
	}
	if _, err := old.Recv(); err != nil {
		t.Fatal(err)
	}

	// Neither stream holds up the stop.
	if err := s.Stop(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("reflection ends with %v, want code %v", err, codes.Unavailable)
	}
}

// slow answers when it is let.
type slow struct {
	begun, answer chan struct{}
}

func (s *slow) Reset(ctx context.Context, _ *emptypb.Empty) (*emptypb.Empty, error) {
	close(s.begun)
	select {
	case <-s.answer:
		return &emptypb.Empty{}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func TestStopWaitsForCalls(t *testing.T) {
	t.Parallel()
	h := &slow{begun: make(chan struct{}), answer: make(chan struct{})}
	stopping := make(chan struct{})
	s, conn := start(t, BeforeStop(func() error {
		close(stopping)
		return nil
	}))(func(s *Service) error { return s.Handle(h) })
	called := make(chan error, 1)
	go func() {
		_, err := greet.NewClockClient(conn).Reset(t.Context(), &emptypb.Empty{})
		called <- err
	}()
	<-h.begun
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop(t.Context()) }()
	<-stopping
	<-s.stopping
	select {
	case err := <-stopped:
		t.Fatalf("Stop returned %v while a call was in progress", err)
	default:
	}
	close(h.answer)
	if err := <-called; err != nil {
		t.Errorf("the call in progress ended with %v", err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Stop = %v", err)
	}
	if _, err := greet.NewClockClient(conn).Reset(t.Context(), &emptypb.Empty{}); status.Code(err) != codes.Unavailable {
		t.Errorf("a call after the stop = %v, want code %v", err, codes.Unavailable)
	}
}

func TestStopCutsOff(t *testing.T) {
	t.Parallel()
	h := &slow{begun: make(chan struct{}), answer: make(chan struct{})}
	s := New(environment(nil), StopTimeout(time.Millisecond), HandleSignal(false))
	if err := s.Handle(h); err != nil {
		t.Fatal(err)
	}
	started := make(chan struct{})
	AfterStart(func() error { close(started); return nil })(&s.opts)
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- s.RunContext(ctx) }()
	<-started
	conn, err := grpc.NewClient(s.Address(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	called := make(chan error, 1)
	go func() {
		_, err := greet.NewClockClient(conn).Reset(t.Context(), &emptypb.Empty{})
		called <- err
	}()
	<-h.begun
	stop()
	if got, want := fmt.Sprint(<-ran), "stop: calls in progress that were cut off: 1"; got != want {
		t.Errorf("Run = %q, want %q", got, want)
	}
	if err := <-called; status.Code(err) != codes.Unavailable {
		t.Errorf("the call that was cut off = %v, want code %v", err, codes.Unavailable)
	}
}

func TestHooks(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for name, tc := range map[string]struct {
		fails []string
		want  []string // the hooks that are called
		err   string
	}{
		"all well":           {nil, []string{"before start", "after start", "before stop", "after stop"}, "<nil>"},
		"before start fails": {[]string{"before start"}, []string{"before start"}, "before start: broken"},
		"after start fails":  {[]string{"after start"}, []string{"before start", "after start", "before stop", "after stop"}, "after start: broken"},
		"both stops fail":    {[]string{"before stop", "after stop"}, []string{"before start", "after start", "before stop", "after stop"}, "broken\nbroken"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var called []string
			hook := func(name string) func() error {
				return func() error {
					called = append(called, name)
					if strings.Contains(strings.Join(tc.fails, " "), name) {
						return broken
					}
					return nil
				}
			}
			ctx, stop := context.WithCancel(t.Context())
			s := New(environment(nil), HandleSignal(false),
				BeforeStart(hook("before start")), AfterStart(hook("after start")),
				AfterStart(func() error { stop(); return nil }),
				BeforeStop(hook("before stop")), AfterStop(hook("after stop")))
			defer stop()
			if got := fmt.Sprint(s.RunContext(ctx)); got != tc.err {
				t.Errorf("Run = %q, want %q", got, tc.err)
			}
			if diff := cmp.Diff(tc.want, called); diff != "" {
				t.Errorf("hooks (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLifeCycle(t *testing.T) {
	t.Parallel()
	s := New(environment(nil))
	if err := s.Stop(t.Context()); err != nil {
		t.Errorf("Stop before Start = %v", err)
	}
	if got := s.Address(); got != "" {
		t.Errorf("Address before Start = %q", got)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(s.Start(t.Context())), "start: the service is running"; got != want {
		t.Errorf("second Start = %q, want %q", got, want)
	}
	if got, want := fmt.Sprint(s.Handle(new(Greeter))), "handle *service.Greeter: the service is running"; got != want {
		t.Errorf("Handle after Start = %q, want %q", got, want)
	}
	for range 2 {
		if err := s.Stop(t.Context()); err != nil {
			t.Errorf("Stop = %v", err)
		}
	}
	if got, want := fmt.Sprint(s.Run()), "start: the service is stopping, or has stopped"; got != want {
		t.Errorf("Run after Stop = %q, want %q", got, want)
	}
}

func TestServeFails(t *testing.T) {
	t.Parallel()
	s := New(environment(nil), HandleSignal(false), AfterStart(func() error { return nil }))
	AfterStart(func() error { return s.listener.Close() })(&s.opts)
	if err := s.RunContext(t.Context()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Run of a service that loses its listener = %v, want %v", err, net.ErrClosed)
	}
}

func TestRegisterErrors(t *testing.T) {
	t.Parallel()
	s := New(environment(nil))
	if err := s.Handle(new(Greeter)); err != nil {
		t.Fatal(err)
	}
	twice := s.Handle(new(Named))
	if got, want := fmt.Sprint(twice), "handle greet.Greeter: it is handled already"; got != want {
		t.Errorf("second Handle = %q, want %q", got, want)
	}
	s.Server().RegisterService(&greet.Clock_ServiceDesc, new(Greeter))
	want := []string{twice.Error(), "register greet.Clock: *service.Greeter does not implement greet.ClockServer"}
	if diff := cmp.Diff(want, lines(s.Start(t.Context()))); diff != "" {
		t.Errorf("Start (-want +got):\n%s", diff)
	}
}

func TestStandardServicesOfOwn(t *testing.T) {
	t.Parallel()
	_, conn := start(t)(func(s *Service) error {
		healthv1.RegisterHealthServer(s.Server(), healthv1.UnimplementedHealthServer{})
		reflectionv1.RegisterServerReflectionServer(s.Server(), reflectionv1.UnimplementedServerReflectionServer{})
		return nil
	})
	if _, err := healthv1.NewHealthClient(conn).Check(t.Context(), &healthv1.HealthCheckRequest{}); status.Code(err) != codes.Unimplemented {
		t.Errorf("Check = %v, want that of the program's own server", err)
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	env := map[string]string{"MICRO_SERVICE_NAME": "given", "MICRO_SERVICE_VERSION": "v2"}
	md := map[string]string{"team": "greetings"}
	s := New(environment(env), Name("own"), Version("v1"), Metadata(md))
	if got, want := s.Name()+" "+s.Version(), "given v2"; got != want {
		t.Errorf("the platform's name and version = %q, want %q", got, want)
	}
	s = New(environment(nil), Name("own"), Version("v1"), Metadata(md))
	if got, want := s.Name()+" "+s.Version(), "own v1"; got != want {
		t.Errorf("the program's name and version = %q, want %q", got, want)
	}
	md["team"] = "other"
	if got, want := s.Metadata()["team"], "greetings"; got != want {
		t.Errorf("Metadata = %q, want the copy %q", got, want)
	}
	if got, want := New(environment(nil)).Name(), "service.test"; got != want {
		t.Errorf("name of a service without one = %q, want %q", got, want)
	}
}

func TestResolveAddress(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		explicit string
		env      map[string]string
		want     string // address and source, or the error
	}{
		"nothing":        {"", nil, "127.0.0.1:0 from "},
		"option":         {":9000", map[string]string{"MICRO_SERVICE_ADDRESS": "127.0.0.1:1"}, ":9000 from the option Address"},
		"platform":       {":9000", map[string]string{"MICRO_ADDRESS": "127.0.0.1:1", "PORT": "2"}, "127.0.0.1:1 from MICRO_ADDRESS"},
		"environment":    {"", map[string]string{"MICRO_SERVICE_ADDRESS": "[::1]:3", "PORT": "2"}, "[::1]:3 from MICRO_SERVICE_ADDRESS"},
		"port":           {"", map[string]string{"PORT": "8080"}, ":8080 from PORT"},
		"no port":        {"localhost", nil, `the option Address is "localhost": it must be host:port with a port from 0 to 65535`},
		"port by name":   {"", map[string]string{"MICRO_ADDRESS": ":http"}, `MICRO_ADDRESS is ":http": it must be host:port with a port from 0 to 65535`},
		"port too large": {"", map[string]string{"PORT": "65536"}, `PORT is "65536": it must be a number from 0 to 65535`},
		"negative port":  {"", map[string]string{"PORT": "-1"}, `PORT is "-1": it must be a number from 0 to 65535`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, source, err := resolveAddress(tc.explicit, func(name string) string { return tc.env[name] })
			got := address + " from " + source
			if err != nil {
				got = err.Error()
			}
			if got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestAddressTaken(t *testing.T) {
	t.Parallel()
	lis, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	taken := lis.Addr().String()
	err = New(environment(map[string]string{"MICRO_ADDRESS": taken})).Run()
	if err == nil || !strings.Contains(err.Error(), taken) || !strings.Contains(err.Error(), "(the address is from MICRO_ADDRESS)") {
		t.Errorf("Run = %v, want an error that names the address and where it is from", err)
	}
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("Run = %v, want %v", err, syscall.EADDRINUSE)
	}
}
