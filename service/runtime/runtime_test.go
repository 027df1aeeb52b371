package runtime_test

import (
	"context"
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
	"github.com/micro/micro/v3/service/runtime"
	"github.com/micro/micro/v3/service/servicetest"
)

func TestNothingRuns(t *testing.T) {
	servicetest.Start(t)
	if services, err := runtime.Read(); err != nil || len(services) != 0 {
		t.Errorf("%v, %v", services, err)
	}
	if _, err := runtime.Read(runtime.ReadService("greeter")); err != runtime.ErrNotFound { //nolint:errorlint // as services compare it
		t.Errorf("of a service that is not there: %v", err)
	}
	if _, err := runtime.Read(runtime.ReadNamespace("elsewhere")); err == nil {
		t.Error("another namespace can be read")
	}
}

// told answers with one service in each phase.
type told struct {
	runtimev1.UnimplementedRuntimeServer
}

func services() (all []*runtimev1.Service) {
	for p := range runtimev1.Phase_name {
		all = append(all, &runtimev1.Service{
			Name:   runtimev1.Phase(p).String(),
			Spec:   &runtimev1.Spec{Image: "micro/x@sha256:1", Version: "v1", Source: &runtimev1.Source{Address: "github.com/x/y"}},
			Status: &runtimev1.Status{Phase: runtimev1.Phase(p), Release: 3, Reason: "because"},
		})
	}
	return all
}

func (told) List(context.Context, *runtimev1.ListRequest) (*runtimev1.ListResponse, error) {
	return &runtimev1.ListResponse{Services: services()}, nil
}

func (told) Get(_ context.Context, req *runtimev1.GetRequest) (*runtimev1.GetResponse, error) {
	for _, s := range services() {
		if s.GetName() == req.GetName() {
			return &runtimev1.GetResponse{Service: s}, nil
		}
	}
	return nil, status.Error(codes.NotFound, "no")
}

func TestRead(t *testing.T) {
	t.Parallel()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	runtimev1.RegisterRuntimeServer(s, told{})
	go func() { _ = s.Serve(l) }() // it ends by Stop
	defer s.Stop()
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := runtime.New(conn)
	all, err := c.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, s := range all {
		got[s.Name] = s.Status.String()
	}
	want := map[string]string{
		"PHASE_UNSPECIFIED": "unknown", "PHASE_PENDING": "pending", "PHASE_STARTING": "starting", "PHASE_RUNNING": "running",
		"PHASE_UNHEALTHY": "error", "PHASE_CRASHED": "error", "PHASE_STOPPING": "stopping", "PHASE_STOPPED": "stopped",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	one, err := c.Read(t.Context(), runtime.ReadService("PHASE_RUNNING"), runtime.ReadVersion("v1"))
	if err != nil || len(one) != 1 {
		t.Fatalf("%v, %v", one, err)
	}
	service := &runtime.Service{
		Name: "PHASE_RUNNING", Version: "v1", Source: "github.com/x/y", Status: runtime.Running,
		Metadata: map[string]string{"image": "micro/x@sha256:1", "instances": "1", "release": "3", "error": "because"},
	}
	if diff := cmp.Diff(service, one[0]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if none, err := c.Read(t.Context(), runtime.ReadVersion("v2")); err != nil || len(none) != 0 {
		t.Errorf("of another version: %v, %v", none, err)
	}
	if got := runtime.ServiceStatus(99).String(); got != "unknown" {
		t.Errorf("a status of no name is %q", got)
	}
}
