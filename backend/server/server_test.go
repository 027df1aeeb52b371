package server_test

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/micro/micro/v3/backend/auth"
	engine "github.com/micro/micro/v3/backend/embedded"
	eventsembedded "github.com/micro/micro/v3/backend/events/embedded"
	"github.com/micro/micro/v3/backend/proxy"
	"github.com/micro/micro/v3/backend/registry"
	"github.com/micro/micro/v3/backend/runtime"
	"github.com/micro/micro/v3/backend/server"
	"github.com/micro/micro/v3/backend/store/embedded"
	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
	registryv1 "github.com/micro/micro/v3/proto/micro/registry/v1"
)

// password is that of every account that a test makes.
const password = "correct horse"

// testServer is a running server with the namespace "acme", whose administrator
// is "alice".
type testServer struct {
	server.Addresses
	config server.Config
	conn   *grpc.ClientConn // to the proxy
	auth   *auth.Auth       // over the server's own store
	admin  string           // alice's access token
	stop   func() error     // stops the server, once, and returns what Run did

	// What prepare makes.
	echo    string // the digest of the image of echo
	foreign string // the address of an instance that is nobody's yet
	refresh string // the refresh token of another session of alice

	archive []byte // of acme

	invitation string // the id of one
}

// start runs a server in this process, with an empty store in memory and a
// runtime that starts nothing.
func start(t *testing.T, options ...func(*server.Config)) *testServer {
	t.Helper()
	db, err := engine.Open(t.Context(), "data", engine.Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	st, err := embedded.Open(t.Context(), db, embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ev, err := eventsembedded.Open(t.Context(), db, eventsembedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(ev.Close(), st.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	})
	s := &testServer{config: server.Config{
		DataDir: t.TempDir(),
		Gateway: "127.0.0.1:0",
		Proxy:   "127.0.0.1:0",
		Signup:  server.SignupOn,
		Store:   st,
		Events:  ev,
		OpenRuntime: func(context.Context, runtime.OpenImage) (runtime.Runtime, error) {
			return idleRuntime{}, nil
		},
		Logger: slog.New(slog.DiscardHandler),
	}}
	for _, o := range options {
		o(&s.config)
	}
	ready := make(chan server.Addresses, 1)
	s.config.Ready = func(a server.Addresses) { ready <- a }
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx, s.config) }()
	stopped := false
	s.stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-ended
	}
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	select {
	case s.Addresses = <-ready:
	case err := <-ended:
		stopped = true
		cancel()
		t.Fatalf("Run: %v", err)
	}
	s.conn = dial(t, s.Proxy)
	s.auth = s.openAuth(t)
	session, err := s.auth.Signup(t.Context(), "acme", "alice", password)
	if err != nil {
		t.Fatal(err)
	}
	s.admin = session.Access
	return s
}

// openAuth opens the accounts of the server beside it, to make what its API does
// not make.
func (s *testServer) openAuth(t *testing.T) *auth.Auth {
	t.Helper()
	key, err := os.ReadFile(filepath.Join(s.config.DataDir, "master.key"))
	if err != nil {
		t.Fatal(err)
	}
	a, err := auth.Open(t.Context(), auth.Config{Store: s.config.Store, MasterKey: key})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

// account makes an account of acme and returns its access token.
func (s *testServer) account(t *testing.T, id string, scopes ...string) string {
	t.Helper()
	return s.session(t, id, scopes...).Access
}

// session makes an account of acme and logs it in.
func (s *testServer) session(t *testing.T, id string, scopes ...string) auth.Session {
	t.Helper()
	if _, err := s.auth.CreateAccount(t.Context(), auth.Account{Namespace: "acme", ID: id, Scopes: scopes}, password); err != nil {
		t.Fatal(err)
	}
	session, err := s.auth.Login(t.Context(), "acme", id, password, auth.Client{})
	if err != nil {
		t.Fatal(err)
	}
	return session
}

// login returns an access token of an account of acme.
func (s *testServer) login(t *testing.T, id, password string) string {
	t.Helper()
	session, err := s.auth.Login(t.Context(), "acme", id, password, auth.Client{})
	if err != nil {
		t.Fatal(err)
	}
	return session.Access
}

// stranger makes the namespace "globex" and returns its administrator's token.
func (s *testServer) stranger(t *testing.T) string {
	t.Helper()
	session, err := s.auth.Signup(t.Context(), "globex", "alice", password)
	if err != nil {
		t.Fatal(err)
	}
	return session.Access
}

// instance gives an instance of a service of acme an identity, and returns the
// token that it refreshes with and an access token.
func (s *testServer) instance(t *testing.T, service string) (refresh, access string) {
	t.Helper()
	refresh, err := s.auth.Identify(t.Context(), "acme", service, service+"-1")
	if err != nil {
		t.Fatal(err)
	}
	session, err := s.auth.Refresh(t.Context(), refresh)
	if err != nil {
		t.Fatal(err)
	}
	return refresh, session.Access
}

// rule makes a rule of acme.
func (s *testServer) rule(t *testing.T, rule *authv1.Rule) {
	t.Helper()
	_, err := authv1.NewRulesClient(s.conn).Create(as(t, s.admin, "acme"), &authv1.CreateRuleRequest{Rule: rule})
	if err != nil {
		t.Fatal(err)
	}
}

// runEcho runs an instance of the service echo of acme, for longer than any test.
func (s *testServer) runEcho(t *testing.T) {
	t.Helper()
	_, err := registryv1.NewRegistryClient(s.conn).Register(as(t, s.admin, "acme"), &registryv1.RegisterRequest{
		Instance: &registryv1.Instance{Service: "echo", Address: startEcho(t)},
		Lease:    longLease(),
	})
	if err != nil {
		t.Fatal(err)
	}
}

// longLease is a lease that outlasts a test on a machine with much else to do: nobody
// renews it.
func longLease() *durationpb.Duration { return durationpb.New(registry.MaxLease) }

// as returns a context for calls with a token in a namespace; both may be empty.
func as(t *testing.T, token, namespace string) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	if token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	if namespace != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, proxy.KeyNamespace, namespace)
	}
	return ctx
}

func dial(t *testing.T, address string, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	options = append([]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}, options...)
	conn, err := grpc.NewClient("passthrough:///"+address, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// reasonOf returns the reason that the server gave for an error, or its code.
func reasonOf(err error) string {
	st := status.Convert(err)
	if st.Code() == codes.OK {
		return "OK"
	}
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return st.Code().String()
}

// echo is a service that answers with what it got.
type echo struct {
	testpb.UnimplementedTestServiceServer
}

func (echo) UnaryCall(_ context.Context, req *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	return &testpb.SimpleResponse{Payload: req.GetPayload()}, nil
}

// StreamingOutputCall answers once, and then waits for the end of the call.
func (echo) StreamingOutputCall(_ *testpb.StreamingOutputCallRequest, out grpc.ServerStreamingServer[testpb.StreamingOutputCallResponse]) error {
	if err := out.Send(&testpb.StreamingOutputCallResponse{}); err != nil {
		return err
	}
	<-out.Context().Done()
	return out.Context().Err()
}

// startEcho runs an instance of a service and returns its address.
func startEcho(t *testing.T) string {
	t.Helper()
	return serveEcho(t, func(g *grpc.Server) { testpb.RegisterTestServiceServer(g, echo{}) })
}

// serveEcho runs an instance of a service that is registered by a function.
func serveEcho(t *testing.T, register func(*grpc.Server)) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	register(g)
	reflection.Register(g)
	done := make(chan error, 1)
	go func() { done <- g.Serve(l) }()
	t.Cleanup(func() {
		g.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// idleRuntime has nothing and starts nothing.
type idleRuntime struct{}

var _ runtime.Runtime = idleRuntime{}

func (idleRuntime) Start(context.Context, runtime.Spec) (runtime.Instance, error) {
	return runtime.Instance{}, runtime.ErrNotFound
}

func (idleRuntime) Stop(context.Context, string, time.Duration) error { return nil }

func (idleRuntime) Remove(context.Context, string) error { return nil }

func (idleRuntime) Watch(ctx context.Context) iter.Seq2[runtime.Event, error] {
	return func(yield func(runtime.Event, error) bool) {
		if !yield(runtime.Event{Synced: true}, nil) {
			return
		}
		<-ctx.Done()
		yield(runtime.Event{}, ctx.Err())
	}
}

func (idleRuntime) Logs(ctx context.Context, q runtime.LogQuery) iter.Seq2[runtime.Line, error] {
	return func(yield func(runtime.Line, error) bool) {
		if q.Follow && yield(runtime.Line{Text: "idle"}, nil) {
			<-ctx.Done()
			yield(runtime.Line{}, ctx.Err())
		}
	}
}

func (idleRuntime) Close() error { return nil }
