package server_test

import (
	"context"
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/protobuf/types/known/durationpb"

	registryv1 "github.com/micro/micro/v3/proto/micro/registry/v1"
	statsv1 "github.com/micro/micro/v3/proto/micro/stats/v1"
)

// numbers returns how many calls there were: of the service, of its endpoints, of its
// instances, and with each code.
func numbers(s *statsv1.Service) map[string]int64 {
	out := map[string]int64{"calls": s.GetFigures().GetCalls(), "failed": s.GetFigures().GetFailed()}
	for _, e := range s.GetEndpoints() {
		out["endpoint "+e.GetName()] = e.GetFigures().GetCalls()
	}
	for _, in := range s.GetInstances() {
		out["instance "+in.GetId()] = in.GetFigures().GetCalls()
	}
	maps.Copy(out, s.GetFigures().GetErrors())
	return out
}

// Calls are counted at the door, whichever way they come, for who is in the namespace.
func TestStats(t *testing.T) {
	t.Parallel()
	s := start(t)
	client := statsv1.NewStatsClient(s.conn)
	if _, err := client.Get(as(t, s.admin, ""), &statsv1.GetRequest{Service: "echo"}); reasonOf(err) != "NOT_FOUND" {
		t.Errorf("of what is not there: %v, want NOT_FOUND", err)
	}
	address := startEcho(t)
	for _, id := range []string{"a", "b"} {
		_, err := registryv1.NewRegistryClient(s.conn).Register(as(t, s.admin, ""), &registryv1.RegisterRequest{
			Instance: &registryv1.Instance{Service: "echo", Id: id, Address: address},
		})
		if err != nil {
			t.Fatal(err)
		}
		address = startEcho(t)
	}
	const direct, byHTTP, unknown = 20, 5, 3
	for range direct {
		if _, err := testpb.NewTestServiceClient(s.conn).UnaryCall(as(t, s.admin, ""), &testpb.SimpleRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	for range byHTTP {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Gateway+"/echo/TestService/EmptyCall", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Micro-Namespace", "acme")
		rsp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = rsp.Body.Close()
	}
	for range unknown {
		err := s.conn.Invoke(as(t, s.admin, ""), "/grpc.testing.TestService/MadeUp", &testpb.Empty{}, &testpb.Empty{})
		if got := reasonOf(err); got != "Unimplemented" {
			t.Fatalf("what there is not: %v", err)
		}
	}
	rsp, err := client.Get(as(t, s.admin, ""), &statsv1.GetRequest{Service: "echo", Points: true})
	if err != nil {
		t.Fatal(err)
	}
	echo := rsp.GetFrame().GetServices()[0]
	got := numbers(echo)
	if n := got["instance a"] + got["instance b"]; n != direct+byHTTP+unknown || got["instance a"] == n || got["instance b"] == n {
		t.Errorf("the instances had %d and %d calls, want %d together", got["instance a"], got["instance b"], direct+byHTTP+unknown)
	}
	delete(got, "instance a")
	delete(got, "instance b")
	want := map[string]int64{
		"calls": direct + byHTTP + unknown, "failed": byHTTP + unknown, "Unimplemented": byHTTP + unknown,
		"endpoint TestService.UnaryCall": direct, "endpoint TestService.EmptyCall": byHTTP, "endpoint ": unknown,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	f := echo.GetFigures()
	if f.GetRate() <= 0 || f.GetP50() == nil || f.GetP99().AsDuration() < f.GetP50().AsDuration() || f.GetTotalCalls() != f.GetCalls() {
		t.Errorf("the figures %v", f)
	}

	// Others see nothing of it.
	stranger := s.stranger(t)
	list, err := client.List(as(t, stranger, ""), &statsv1.ListRequest{})
	if err != nil || len(list.GetFrame().GetServices()) > 0 {
		t.Errorf("another namespace sees %v, %v", list, err)
	}
	if _, err := client.Get(as(t, stranger, ""), &statsv1.GetRequest{Service: "echo"}); reasonOf(err) != "NOT_FOUND" {
		t.Errorf("another namespace: %v, want NOT_FOUND", err)
	}
}

// A stream of frames begins with what there is and goes on; a service may come later.
func TestStatsWatch(t *testing.T) {
	t.Parallel()
	s := start(t)
	client := statsv1.NewStatsClient(s.conn)
	ctx, cancel := context.WithCancel(as(t, s.admin, ""))
	defer cancel()
	one, err := client.Watch(ctx, &statsv1.WatchRequest{Service: "echo"})
	if err != nil {
		t.Fatal(err)
	}
	all, err := client.Watch(ctx, &statsv1.WatchRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, stream := range []statsv1.Stats_WatchClient{one, all} {
		if rsp, err := stream.Recv(); err != nil || len(rsp.GetFrame().GetServices()) != 0 || rsp.GetFrame().GetTime() == nil {
			t.Fatalf("at first: %v, %v", rsp, err)
		}
	}
	s.runEcho(t)
	if _, err := testpb.NewTestServiceClient(s.conn).UnaryCall(as(t, s.admin, ""), &testpb.SimpleRequest{}); err != nil {
		t.Fatal(err)
	}
	for _, stream := range []statsv1.Stats_WatchClient{one, all} {
		for {
			rsp, err := stream.Recv()
			if err != nil {
				t.Fatal(err)
			}
			services := rsp.GetFrame().GetServices()
			if len(services) == 0 || services[0].GetFigures().GetTotalCalls() == 0 {
				continue
			}
			if detailed := len(services[0].GetEndpoints()) > 0; services[0].GetName() != "echo" || detailed != (stream == one) {
				t.Errorf("a frame %v", rsp)
			}
			break
		}
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	for {
		if _, err := one.Recv(); err != nil {
			if got := reasonOf(err); got != "SHUTTING_DOWN" {
				t.Errorf("with the end of the server: %v", err)
			}
			return
		}
	}
}

func TestStatsRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.runEcho(t)
	client := statsv1.NewStatsClient(s.conn)
	for _, tt := range []struct {
		name   string
		window time.Duration
		want   string
	}{
		{"none", 0, "INVALID"},
		{"negative", -time.Second, "INVALID"},
		{"longer than what is kept", 10*time.Minute + 1, "INVALID"},
		{"all that is kept", 10 * time.Minute, "OK"},
		{"a moment", 1, "OK"},
	} {
		window := durationpb.New(tt.window)
		_, err := client.Get(as(t, s.admin, ""), &statsv1.GetRequest{Service: "echo", Window: window})
		if got := reasonOf(err); got != tt.want {
			t.Errorf("%s: Get: %v, want %s", tt.name, err, tt.want)
		}
		_, err = client.List(as(t, s.admin, ""), &statsv1.ListRequest{Window: window})
		if got := reasonOf(err); got != tt.want {
			t.Errorf("%s: List: %v, want %s", tt.name, err, tt.want)
		}
		stream, err := client.Watch(as(t, s.admin, ""), &statsv1.WatchRequest{Window: window})
		if err == nil {
			_, err = stream.Recv()
		}
		if got := reasonOf(err); got != tt.want {
			t.Errorf("%s: Watch: %v, want %s", tt.name, err, tt.want)
		}
	}
	if _, err := client.Get(as(t, s.admin, ""), &statsv1.GetRequest{}); reasonOf(err) != "INVALID" {
		t.Errorf("of no service: %v, want INVALID", err)
	}
	if _, err := client.List(as(t, s.admin, ""), &statsv1.ListRequest{PageSize: -1}); reasonOf(err) != "INVALID" {
		t.Errorf("a page of -1: %v, want INVALID", err)
	}
}
