package server_test

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/micro/micro/v3/backend/server"
	"github.com/micro/micro/v3/backend/store"
	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
	registryv1 "github.com/micro/micro/v3/proto/micro/registry/v1"
	storev1 "github.com/micro/micro/v3/proto/micro/store/v1"
)

// stuckStore holds up whoever reads the record "stuck" of a namespace.
type stuckStore struct {
	store.Store
	inside atomic.Int64
	letGo  chan struct{}
}

func (s *stuckStore) Get(ctx context.Context, key string) (store.Record, error) {
	if strings.HasSuffix(key, "stuck") {
		s.inside.Add(1)
		defer s.inside.Add(-1)
		<-s.letGo
	}
	return s.Store.Get(ctx, key)
}

// eventually waits for what is going to be.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !is() {
		select {
		case <-deadline:
			t.Fatalf("%s is not, after 20 s", what)
		case <-time.After(time.Millisecond):
		}
	}
}

// overloaded checks that a call was refused at the door, with when to try again.
func overloaded(t *testing.T, what string, err error) {
	t.Helper()
	st := status.Convert(err)
	if st.Code() != codes.ResourceExhausted || reasonOf(err) != "OVERLOADED" {
		t.Errorf("%s: %v, want OVERLOADED", what, err)
		return
	}
	for _, d := range st.Details() {
		if r, ok := d.(*errdetails.RetryInfo); ok && r.GetRetryDelay().AsDuration() > 0 {
			return
		}
	}
	t.Errorf("%s: it does not say when to try again: %v", what, st.Details())
}

// One tenant takes all places that it gets: others get in all the same, until theirs are
// taken too, and when calls have ended there is room again.
func TestDoorSheds(t *testing.T) {
	t.Parallel()
	stuck := &stuckStore{letGo: make(chan struct{})}
	s := start(t, func(c *server.Config) {
		stuck.Store = c.Store
		c.Store, c.MaxCalls = stuck, 40
	})
	stranger := s.stranger(t)
	api := storev1.NewStoreClient(s.conn)
	// Whose a token is is known once it has been good.
	for ns, token := range map[string]string{"acme": s.admin, "globex": stranger} {
		if _, err := api.List(as(t, token, ns), &storev1.ListRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	ended := make(chan error, 200)
	calls := 0
	hold := func(token, ns string) {
		calls++
		go func() {
			_, err := api.Read(as(t, token, ns), &storev1.ReadRequest{Key: []byte("stuck")})
			ended <- err
		}()
	}
	for range 30 {
		hold(s.admin, "acme")
	}
	eventually(t, "acme inside with three quarters", func() bool { return stuck.inside.Load() == 30 })
	_, err := api.List(as(t, s.admin, "acme"), &storev1.ListRequest{})
	overloaded(t, "one more of acme", err)
	if _, err := api.List(as(t, stranger, "globex"), &storev1.ListRequest{}); err != nil {
		t.Errorf("a call of globex: %v", err)
	}
	for range 10 {
		hold(stranger, "globex")
	}
	eventually(t, "globex inside with the last quarter", func() bool { return stuck.inside.Load() == 40 })
	for name, call := range map[string]func() error{
		"acme":   func() error { _, err := api.List(as(t, s.admin, "acme"), &storev1.ListRequest{}); return err },
		"globex": func() error { _, err := api.List(as(t, stranger, "globex"), &storev1.ListRequest{}); return err },
		"nobody": func() error {
			_, err := authv1.NewAuthClient(s.conn).Login(as(t, "", ""), &authv1.LoginRequest{})
			return err
		},
		"somebody with a token of nobody": func() error {
			_, err := api.List(as(t, "xxx", "acme"), &storev1.ListRequest{})
			return err
		},
	} {
		overloaded(t, "when all places are taken: "+name, call())
	}
	// What is asked for all the time, and what is not a call of the server's own.
	if _, err := healthv1.NewHealthClient(s.conn).Check(as(t, "", ""), &healthv1.HealthCheckRequest{}); err != nil {
		t.Errorf("health: %v", err)
	}
	stream, err := api.Watch(as(t, s.admin, "acme"), &storev1.WatchRequest{})
	if err == nil {
		_, err = stream.Recv()
	}
	if err != nil {
		t.Errorf("a stream: %v", err)
	}
	close(stuck.letGo)
	for range calls {
		if err := <-ended; reasonOf(err) != "NOT_FOUND" {
			t.Errorf("a call that was inside: %v", err)
		}
	}
	eventually(t, "acme served again", func() bool {
		_, err := api.List(as(t, s.admin, "acme"), &storev1.ListRequest{})
		return err == nil
	})
}

// blockingEcho is a service whose calls do not end before they are told to.
type blockingEcho struct {
	testpb.UnimplementedTestServiceServer
	inside atomic.Int64
	letGo  chan struct{}
}

func (b *blockingEcho) UnaryCall(_ context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	b.inside.Add(1)
	defer b.inside.Add(-1)
	<-b.letGo
	return &testpb.SimpleResponse{}, nil
}

// Calls of services have places of their own, whether they come by gRPC or HTTP.
func TestDoorShedsServices(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *server.Config) { c.MaxStreams = 8 })
	echo := &blockingEcho{letGo: make(chan struct{})}
	address := serveEcho(t, func(g *grpc.Server) { testpb.RegisterTestServiceServer(g, echo) })
	_, err := registryv1.NewRegistryClient(s.conn).Register(as(t, s.admin, "acme"), &registryv1.RegisterRequest{
		Instance: &registryv1.Instance{Service: "echo", Address: address},
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 6)
	for range 6 {
		go func() {
			_, err := testpb.NewTestServiceClient(s.conn).UnaryCall(as(t, s.admin, "acme"), &testpb.SimpleRequest{})
			ended <- err
		}()
	}
	eventually(t, "six calls inside", func() bool { return echo.inside.Load() == 6 })
	_, err = testpb.NewTestServiceClient(s.conn).UnaryCall(as(t, s.admin, "acme"), &testpb.SimpleRequest{})
	overloaded(t, "a call of the service", err)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Gateway+"/echo/unaryCall", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.admin)
	req.Header.Set("Micro-Namespace", "acme")
	rsp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = rsp.Body.Close()
	if rsp.StatusCode != http.StatusTooManyRequests || rsp.Header.Get("Retry-After") != "1" {
		t.Errorf("by HTTP: %s, Retry-After %q", rsp.Status, rsp.Header.Get("Retry-After"))
	}
	if _, err := storev1.NewStoreClient(s.conn).List(as(t, s.admin, "acme"), &storev1.ListRequest{}); err != nil {
		t.Errorf("a call of the server's own: %v", err)
	}
	close(echo.letGo)
	for range 6 {
		if err := <-ended; err != nil {
			t.Errorf("a call that was inside: %v", err)
		}
	}
	eventually(t, "the service called again", func() bool {
		_, err := testpb.NewTestServiceClient(s.conn).UnaryCall(as(t, s.admin, "acme"), &testpb.SimpleRequest{})
		return err == nil
	})
}

// However calls end, they leave.
func TestDoorIsLeft(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *server.Config) { c.MaxCalls, c.MaxStreams = 8, 8 })
	api := storev1.NewStoreClient(s.conn)
	for i := range 100 {
		ctx := as(t, s.admin, "acme")
		switch i % 6 {
		case 0:
			_, _ = api.List(ctx, &storev1.ListRequest{})
		case 1: // a message that is none
			_ = s.conn.Invoke(ctx, storev1.Store_Read_FullMethodName, &storev1.Record{Key: []byte("k"), Value: []byte{0xff}}, &storev1.ReadResponse{})
		case 2: // no such method, no such service, no path
			_ = s.conn.Invoke(ctx, "/micro.store.v1.Store/Nothing", &storev1.ReadRequest{}, &storev1.ReadResponse{})
			_ = s.conn.Invoke(ctx, "/x.Y/Z", &storev1.ReadRequest{}, &storev1.ReadResponse{})
			_ = s.conn.Invoke(ctx, "/x", &storev1.ReadRequest{}, &storev1.ReadResponse{})
		case 3: // given up
			ctx, cancel := context.WithCancel(ctx)
			stream, err := api.Watch(ctx, &storev1.WatchRequest{})
			if err == nil {
				_, _ = stream.Recv()
			}
			cancel()
		case 4: // without time
			ctx, cancel := context.WithTimeout(ctx, time.Nanosecond)
			_, _ = api.List(ctx, &storev1.ListRequest{})
			cancel()
		case 5: // a connection that ends
			conn := dial(t, s.Proxy)
			stream, err := storev1.NewStoreClient(conn).Watch(ctx, &storev1.WatchRequest{})
			if err == nil {
				_, _ = stream.Recv()
			}
			_ = conn.Close()
		}
		eventually(t, "room for a call and a stream", func() bool {
			ctx, cancel := context.WithCancel(as(t, s.admin, "acme"))
			defer cancel()
			_, err := api.List(ctx, &storev1.ListRequest{})
			stream, streamErr := api.Watch(ctx, &storev1.WatchRequest{})
			if streamErr == nil {
				_, streamErr = stream.Recv()
			}
			return err == nil && streamErr == nil
		})
	}
}
