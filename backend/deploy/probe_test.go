package deploy_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/micro/micro/v3/backend/deploy"
	"github.com/micro/micro/v3/backend/runtime"
)

// TestProbe asks real servers for their health.
func TestProbe(t *testing.T) {
	t.Parallel()
	serve := func(t *testing.T, register func(*grpc.Server)) string {
		t.Helper()
		lis, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := grpc.NewServer()
		register(s)
		ended := make(chan error, 1)
		go func() { ended <- s.Serve(lis) }()
		t.Cleanup(func() {
			s.Stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
		return lis.Addr().String()
	}
	says := func(status healthv1.HealthCheckResponse_ServingStatus) func(*grpc.Server) {
		return func(s *grpc.Server) {
			h := health.NewServer()
			h.SetServingStatus("", status)
			h.SetServingStatus("shop.Shop", healthv1.HealthCheckResponse_SERVING)
			healthv1.RegisterHealthServer(s, h)
		}
	}
	ask := deploy.Check{Kind: deploy.CheckGRPC}
	for _, test := range []struct {
		name     string
		register func(*grpc.Server) // nil: nobody listens
		check    deploy.Check
		want     string // what the error holds; empty: healthy
	}{
		{"serving", says(healthv1.HealthCheckResponse_SERVING), ask, ""},
		{"not serving", says(healthv1.HealthCheckResponse_NOT_SERVING), ask, "its health is NOT_SERVING"},
		{"unknown", says(healthv1.HealthCheckResponse_UNKNOWN), ask, "its health is UNKNOWN"},
		{"one service", says(healthv1.HealthCheckResponse_NOT_SERVING), deploy.Check{Kind: deploy.CheckGRPC, Service: "shop.Shop"}, ""},
		{"unknown service", says(healthv1.HealthCheckResponse_SERVING), deploy.Check{Kind: deploy.CheckGRPC, Service: "x"}, `it knows no service "x"`},
		{"no health service", func(*grpc.Server) {}, ask, ""},
		{"hangs", func(s *grpc.Server) { healthv1.RegisterHealthServer(s, silent{}) }, ask, "deadline exceeded"},
		{"a command", nil, deploy.Check{Kind: deploy.CheckCommand, Command: []string{"is", "well"}}, "shop-1: is well"},
		{"a port", says(healthv1.HealthCheckResponse_NOT_SERVING), deploy.Check{Kind: deploy.CheckTCP}, ""},
		{"no port", nil, deploy.Check{Kind: deploy.CheckTCP}, "it does not accept connections on 127.0.0.1:1"},
		{"no HTTP", says(healthv1.HealthCheckResponse_SERVING), deploy.Check{Kind: deploy.CheckHTTP, Path: "/"}, "GET /: "},
		{"no page", nil, deploy.Check{Kind: deploy.CheckHTTP, Path: "/"}, "it does not accept connections on 127.0.0.1:1"},
		{"nothing", nil, deploy.Check{}, `there is no check ""`},
		{"nobody listens", nil, ask, "it does not accept connections on 127.0.0.1:1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			address := "127.0.0.1:1"
			if test.register != nil {
				address = serve(t, test.register)
			}
			timeout := 10 * time.Second
			if test.name == "hangs" {
				timeout = 50 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			err := deploy.ProbeInstance(ctx, runtime.Instance{ID: "shop-1", Address: address}, test.check)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// silent is a health service that gives no answer.
type silent struct {
	healthv1.UnimplementedHealthServer
}

func (silent) Check(ctx context.Context, _ *healthv1.HealthCheckRequest) (*healthv1.HealthCheckResponse, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestCannotBeStopped has an instance that is not well, and that the runtime could not
// stop before it is started again.
func TestCannotBeStopped(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		w.sim.behave("a", behaviour{sick: true})
		w.sim.failStop(errSim)
		w.apply("a", 1)
		w.pass(35 * time.Second)
		if s := w.status(); s.Phase != deploy.Crashed || s.Reason != "cannot be started: told to fail" {
			w.Errorf("got %s, %q", s.Phase, s.Reason)
		}
		w.sim.failStop(nil)
		w.sim.behave("a", behaviour{})
		w.pass(time.Minute)
		w.want("later", deploy.Running, releases(1, 1), releases(1, 1))
	})
}

// TestProbeOverHTTP asks a server for pages.
func TestProbeOverHTTP(t *testing.T) {
	t.Parallel()
	elsewhere := false
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		case "/elsewhere":
			elsewhere = true
		case "/endless":
			for {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		default:
			code, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
			w.WriteHeader(code)
		}
	}))
	t.Cleanup(s.Close)
	for path, want := range map[string]string{
		"/200": "", "/204?a=b": "", "/moved": "", "/399": "", "/endless": "",
		"/400": "GET /400: 400 Bad Request", "/503": "GET /503: 503 Service Unavailable",
	} {
		err := deploy.ProbeInstance(t.Context(), runtime.Instance{Address: s.Listener.Addr().String()}, deploy.Check{Kind: deploy.CheckHTTP, Path: path})
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
	if elsewhere {
		t.Error("a redirection was followed")
	}
}
