package proxy_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/micro/micro/v3/backend/auth"
	engine "github.com/micro/micro/v3/backend/embedded"
	"github.com/micro/micro/v3/backend/proxy"
	"github.com/micro/micro/v3/backend/registry"
	"github.com/micro/micro/v3/backend/stats"
	"github.com/micro/micro/v3/backend/store/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The one method that is called here, of the service "greeter" in the namespace
// "acme" unless a test says otherwise.
const (
	method   = "/greet.v1.Greeter/Hello"
	provides = "greet.v1.Greeter"
	password = "correct horse"
)

// rig is a door on a port, with what it needs.
type rig struct {
	proxy    *proxy.Proxy
	auth     *auth.Auth
	registry *registry.Registry
	stats    *stats.Stats
	conn     *grpc.ClientConn // to the door
	admin    string           // token of alice of acme
}

func start(t *testing.T) *rig {
	t.Helper()
	db, err := engine.Open(t.Context(), "data", engine.Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	st, err := embedded.Open(t.Context(), db, embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a, err := auth.Open(t.Context(), auth.Config{Store: st, MasterKey: make([]byte, auth.MasterKeySize)})
	if err != nil {
		t.Fatal(err)
	}
	reg := registry.New(st)
	counted := stats.New(stats.Config{Method: func(_ context.Context, _, schema, path string) (known, streams bool) {
		return schema == "sha256:1" && path == method, false
	}})
	p := proxy.New(proxy.Config{
		Auth:     a,
		Registry: reg,
		Stats:    counted,
		Logger:   slog.New(slog.DiscardHandler),
		Deployed: func(_ context.Context, ns, service string) bool { return ns == "acme" && service == "sleeping" },
		Desired: func(ns string) []string {
			if ns == "globex" {
				return []string{"greeter", "sleeping"}
			}
			return []string{"greeter"}
		},
	})
	t.Cleanup(func() {
		if err := errors.Join(p.Close(), reg.Close(), a.Close(), st.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	})
	session, err := a.Signup(t.Context(), "acme", "alice", password)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{proxy: p, auth: a, registry: reg, stats: counted, admin: session.Access}
	g := grpc.NewServer(
		grpc.ForceServerCodecV2(proxy.Codec()),
		grpc.UnknownServiceHandler(r.forward),
		grpc.MaxRecvMsgSize(64<<20),
		grpc.MaxSendMsgSize(64<<20),
	)
	r.conn = dial(t, serve(t, g))
	return r
}

// forward is what backend/server does with a call that is not its own.
func (r *rig) forward(_ any, in grpc.ServerStream) error {
	md, _ := metadata.FromIncomingContext(in.Context())
	first := func(key string) string {
		if v := md.Get(key); len(v) > 0 {
			return v[0]
		}
		return ""
	}
	path, _ := grpc.MethodFromServerStream(in)
	route, err := r.proxy.Admit(in.Context(), proxy.Call{
		Token:     strings.TrimPrefix(first("authorization"), "Bearer "),
		Namespace: first(proxy.KeyNamespace),
		Service:   first(proxy.KeyService),
		Path:      path,
		Schema:    first(proxy.KeySchema),
		Metadata:  md,
	})
	if err == nil {
		err = route.Forward(in)
	}
	if _, ok := status.FromError(err); !ok {
		err = status.Error(codes.Aborted, err.Error()) // which no instance here says
	}
	return err
}

func serve(t *testing.T, g *grpc.Server) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
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

func dial(t *testing.T, address string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(
		"passthrough:///"+address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{}), grpc.MaxCallRecvMsgSize(64<<20), grpc.MaxCallSendMsgSize(1<<30)),
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// instance is a running instance that answers every call as handle does.
type instance struct {
	id, address string
	server      *grpc.Server
	calls       atomic.Int64

	mu sync.Mutex
	md metadata.MD // of the last call
}

func startInstance(t *testing.T, id string, handle func(grpc.ServerStream) error) *instance {
	t.Helper()
	in := &instance{id: id}
	in.server = grpc.NewServer(
		grpc.ForceServerCodecV2(rawCodec{}),
		grpc.MaxRecvMsgSize(64<<20),
		grpc.WaitForHandlers(true),
		grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
			in.calls.Add(1)
			md, _ := metadata.FromIncomingContext(s.Context())
			in.mu.Lock()
			in.md = md
			in.mu.Unlock()
			return handle(s)
		}),
	)
	in.address = serve(t, in.server)
	return in
}

// seen returns the metadata of the last call.
func (in *instance) seen() metadata.MD {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.md
}

// register makes an address an instance of a service.
func (r *rig) register(t *testing.T, ns, service, id, address, schema string) {
	t.Helper()
	_, err := r.registry.Register(t.Context(), ns, registry.Instance{
		ID: id, Service: service, Address: address, Schema: schema, Provides: []string{provides},
	}, registry.MaxLease)
	if err != nil {
		t.Fatal(err)
	}
}

// startWith runs a door with one instance of the greeter behind it.
func startWith(t *testing.T, handle func(grpc.ServerStream) error) (*rig, *instance) {
	t.Helper()
	r := start(t)
	in := startInstance(t, "one", handle)
	r.register(t, "acme", "greeter", in.id, in.address, "")
	return r, in
}

// echo sends back each message that comes.
func echo(s grpc.ServerStream) error {
	for {
		var m []byte
		if err := s.RecvMsg(&m); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := s.SendMsg(&m); err != nil {
			return err
		}
	}
}

// in returns a context for calls in acme with pairs of metadata.
func in(t *testing.T, pairs ...string) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	md := metadata.Pairs(pairs...)
	if md.Get(proxy.KeyNamespace) == nil {
		md.Set(proxy.KeyNamespace, "acme")
	}
	return metadata.NewOutgoingContext(ctx, md)
}

// call makes a call with one message and returns the only answer.
func (r *rig) call(ctx context.Context, message string, options ...grpc.CallOption) (string, error) {
	req := []byte(message)
	var rsp []byte
	err := r.conn.Invoke(ctx, method, &req, &rsp, options...)
	return string(rsp), err
}

// rawCodec passes bytes through.
type rawCodec struct{}

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

func (rawCodec) Name() string { return "proto" }
