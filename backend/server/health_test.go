package server_test

import (
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	registryv1 "github.com/micro/micro/v3/proto/micro/registry/v1"
)

// startHealth runs an instance that says how it is, and returns its address and what
// ends it.
func startHealth(t *testing.T, is healthv1.HealthCheckResponse_ServingStatus) (address string, stop func()) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	h := health.NewServer()
	h.SetServingStatus("", is)
	healthv1.RegisterHealthServer(g, h)
	done := make(chan error, 1)
	go func() { done <- g.Serve(l) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		g.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return l.Addr().String(), stop
}

func TestHealth(t *testing.T) {
	t.Parallel()
	s := start(t)
	client := registryv1.NewRegistryClient(s.conn)
	register := func(service, id, address string) {
		t.Helper()
		_, err := client.Register(as(t, s.admin, ""), &registryv1.RegisterRequest{
			Instance: &registryv1.Instance{Service: service, Id: id, Address: address, Version: "v1"},
			Lease:    longLease(),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	well, _ := startHealth(t, healthv1.HealthCheckResponse_SERVING)
	ill, _ := startHealth(t, healthv1.HealthCheckResponse_NOT_SERVING)
	gone, stop := startHealth(t, healthv1.HealthCheckResponse_SERVING)
	register("shop", "a", well)
	register("shop", "b", ill)
	register("shop", "c", gone)
	register("echo", "d", startEcho(t)) // has no health to ask for
	stop()

	ask := func(service string) map[string]string {
		t.Helper()
		rsp, err := client.Health(as(t, s.admin, ""), &registryv1.HealthRequest{Service: service})
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, in := range rsp.GetInstances() {
			took := ""
			if in.GetTook() != nil {
				took = " in time"
			}
			if in.GetAddress() == "" || in.GetSince() == nil || in.GetVersion() != "v1" {
				t.Errorf("of an instance it is not told where, since when or what it is: %v", in)
			}
			got[in.GetService()+"/"+in.GetId()] = in.GetHealth().String() + took
		}
		return got
	}
	shop := map[string]string{
		"shop/a": "HEALTH_SERVING in time", "shop/b": "HEALTH_NOT_SERVING in time", "shop/c": "HEALTH_UNREACHABLE",
	}
	if diff := cmp.Diff(shop, ask("shop")); diff != "" {
		t.Errorf("shop (-want +got):\n%s", diff)
	}
	shop["echo/d"] = "HEALTH_SERVING in time"
	if diff := cmp.Diff(shop, ask("")); diff != "" {
		t.Errorf("all (-want +got):\n%s", diff)
	}
	_, err := client.Health(as(t, s.admin, ""), &registryv1.HealthRequest{Service: "nothing"})
	if got := reasonOf(err); got != "NOT_FOUND" {
		t.Errorf("of what is not there: %v, want NOT_FOUND", err)
	}
	rsp, err := client.Health(as(t, s.stranger(t), ""), &registryv1.HealthRequest{})
	if err != nil || len(rsp.GetInstances()) > 0 {
		t.Errorf("another namespace sees %v, %v", rsp, err)
	}
}

func TestServicePages(t *testing.T) {
	t.Parallel()
	s := start(t)
	client := registryv1.NewRegistryClient(s.conn)
	address := startEcho(t)
	want := []string{"a", "b", "c", "d", "e"}
	for _, name := range want {
		_, err := client.Register(as(t, s.admin, ""), &registryv1.RegisterRequest{Instance: &registryv1.Instance{Service: name, Address: address}, Lease: longLease()})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, size := range []int32{0, 1, 2, 5, 1000} {
		var got []string
		for token := ""; ; {
			rsp, err := client.List(as(t, s.admin, ""), &registryv1.ListRequest{PageSize: size, PageToken: token})
			if err != nil {
				t.Fatal(err)
			}
			for _, svc := range rsp.GetServices() {
				got = append(got, svc.GetName())
			}
			if token = rsp.GetNextPageToken(); token == "" {
				break
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("in pages of %d (-want +got):\n%s", size, diff)
		}
	}
	if _, err := client.List(as(t, s.admin, ""), &registryv1.ListRequest{PageSize: -1}); reasonOf(err) != "INVALID" {
		t.Errorf("a page of -1: %v, want INVALID", err)
	}
}
