// Package servicetest runs a server inside a test, so that a service is tested with the
// configuration, the store and the events that it has where it runs in earnest:
//
//	func TestGreeting(t *testing.T) {
//		env := servicetest.Start(t)
//		env.SetConfig("greeting", "Hej")
//		greeter := pb.NewGreeterClient(env.Serve("greeter", new(handler.Greeter)))
//		rsp, err := greeter.Hello(t.Context(), &pb.HelloRequest{Name: "Alice"})
//		if err != nil || rsp.GetText() != "Hej Alice" {
//			t.Errorf("%v, %v", rsp, err)
//		}
//	}
//
// It is the server that `micro server` runs, with its data in memory, and nothing of
// what it does is left out or made up. Each test has one of its own, which is gone when
// the test ends. [Start] also makes it the server of this process, which functions such
// as config.Get use; tests that run at the same time take [New] and explicit clients.
package servicetest

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/micro/micro/v3/backend"
	"github.com/micro/micro/v3/backend/auth"
	"github.com/micro/micro/v3/backend/server"
	registryv1 "github.com/micro/micro/v3/proto/micro/registry/v1"
	"github.com/micro/micro/v3/service"
	"github.com/micro/micro/v3/service/client"
	"github.com/micro/micro/v3/service/config"
	"github.com/micro/micro/v3/service/internal/platform"
)

// Env is a server of a test, and what runs on it. Its methods fail the test when
// something goes wrong.
type Env struct {
	// Gateway and Proxy are where the server listens, as host:port.
	Gateway, Proxy string

	tb   testing.TB
	dir  string
	auth *auth.Auth

	ids atomic.Int64

	mu    sync.Mutex
	admin *grpc.ClientConn // made at first use
}

// Namespace is where everything happens.
const Namespace = auth.DefaultNamespace

// Start runs a server until the test ends, and makes it that of this process: the
// functions of packages config, store, events and the like use it, as a service of its
// namespace. A test that runs in parallel with others cannot have that, and panics; see
// [New].
func Start(tb testing.TB) *Env {
	tb.Helper()
	tb.Setenv("MICRO_PROXY", "") // panics in a test that runs in parallel
	e := New(tb)
	tb.Setenv("MICRO_PROXY", e.Proxy)
	tb.Cleanup(platform.Use(e.Conn("test")))
	return e
}

// New runs a server until the test ends. Any number can run at the same time.
func New(tb testing.TB) *Env {
	tb.Helper()
	e := &Env{tb: tb, dir: tb.TempDir()}
	logger := slog.New(slog.NewTextHandler(output{tb}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	b, err := backend.Open(tb.Context(), backend.Config{
		DataDir: e.dir, Store: "embedded:", Events: "embedded:", Runtime: "embedded:", Memory: true,
		Logger: logger,
		Fatal:  func(err error) { panic(err) },
	})
	e.must(err)
	ctx, stop := context.WithCancel(context.WithoutCancel(tb.Context()))
	ready, ended := make(chan server.Addresses, 1), make(chan error, 1)
	go func() {
		ended <- server.Run(ctx, server.Config{
			DataDir: e.dir, Gateway: "127.0.0.1:0", Proxy: "127.0.0.1:0",
			Store: b.Store, Events: b.Events, OpenRuntime: b.OpenRuntime,
			Logger: logger,
			Ready:  func(a server.Addresses) { ready <- a },
		})
	}()
	tb.Cleanup(func() {
		stop()
		if err := errors.Join(<-ended, b.Close()); err != nil {
			tb.Errorf("the server: %v", err)
		}
	})
	select {
	case a := <-ready:
		e.Gateway, e.Proxy = a.Gateway, a.Proxy
	case err := <-ended:
		ended <- err
		tb.Fatalf("start the server: %v", err)
	}
	key, err := os.ReadFile(filepath.Join(e.dir, "master.key"))
	e.must(err)
	e.auth, err = auth.Open(tb.Context(), auth.Config{Store: b.Store, MasterKey: key})
	e.must(err)
	tb.Cleanup(func() {
		if err := e.auth.Close(); err != nil {
			tb.Error(err)
		}
	})
	return e
}

// Conn returns a connection to the server whose calls are made as a service, as the
// connection of a service is: explicit clients take it.
func (e *Env) Conn(service string) grpc.ClientConnInterface {
	e.tb.Helper()
	id := e.id(service)
	identity, err := e.auth.Identify(e.tb.Context(), Namespace, service, id)
	e.must(err)
	file := filepath.Join(e.dir, id+".identity")
	e.must(os.WriteFile(file, []byte(identity), 0o600))
	return e.dial(map[string]string{"MICRO_IDENTITY_FILE": file})
}

// Admin returns a connection whose calls are made as the administrator of the namespace.
func (e *Env) Admin() grpc.ClientConnInterface {
	e.tb.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.admin == nil {
		e.admin = e.as(auth.InitialAccount, auth.ScopeAdmin)
	}
	return e.admin
}

// User returns a connection whose calls are made as a user with scopes. The account is
// made when there is none of that name yet.
func (e *Env) User(name string, scopes ...string) grpc.ClientConnInterface {
	e.tb.Helper()
	_, err := e.auth.CreateAccount(e.tb.Context(), auth.Account{ID: name, Namespace: Namespace, Scopes: scopes}, "password of "+name)
	if !errors.Is(err, auth.ErrExists) {
		e.must(err)
	}
	return e.as(name, scopes...)
}

// Nobody returns a connection whose calls are made by nobody who is known.
func (e *Env) Nobody() grpc.ClientConnInterface { return e.dial(nil) }

// as returns a connection of an account, by an API token of it.
func (e *Env) as(name string, scopes ...string) *grpc.ClientConn {
	e.tb.Helper()
	caller := auth.Identity{ID: name, Namespace: Namespace, Type: auth.User, Scopes: scopes}
	_, token, err := e.auth.CreateAPIToken(e.tb.Context(), caller, auth.APIToken{Name: e.id("token"), Scopes: scopes})
	e.must(err)
	return e.dial(map[string]string{"MICRO_TOKEN": token})
}

func (e *Env) dial(vars map[string]string) *grpc.ClientConn {
	e.tb.Helper()
	conn, err := platform.Dial(func(name string) string {
		if name == "MICRO_PROXY" {
			return e.Proxy
		}
		return vars[name]
	})
	e.must(err)
	e.tb.Cleanup(func() { _ = conn.Close() }) // nothing is under way on it
	return conn
}

// Serve runs a service with handlers until the test ends, and returns a connection to it
// through the server, as the administrator. See [service.Service.Handle] for what a
// handler is.
func (e *Env) Serve(name string, handlers ...any) *client.Conn {
	e.tb.Helper()
	s := service.New(
		service.Name(name), service.Version("test"), service.Address("127.0.0.1:0"),
		service.Logger(slog.New(slog.NewTextHandler(output{e.tb}, nil))),
	)
	for _, h := range handlers {
		e.must(s.Handle(h))
	}
	return e.Run(s)
}

// Run is [Env.Serve] of a service that the test has made.
func (e *Env) Run(s *service.Service) *client.Conn {
	e.tb.Helper()
	e.must(s.Start(e.tb.Context()))
	e.tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(e.tb.Context()), 5*time.Second)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			e.tb.Errorf("stop %s: %v", s.Name(), err)
		}
	})
	_, err := registryv1.NewRegistryClient(e.Conn(s.Name())).Register(e.tb.Context(), &registryv1.RegisterRequest{
		Instance: &registryv1.Instance{Service: s.Name(), Version: s.Version(), Address: s.Address()},
		Lease:    durationpb.New(5 * time.Minute),
	})
	e.must(err)
	return client.Through(e.Admin(), s.Name())
}

// SetConfig puts a value into the configuration, in place of what was there and below.
func (e *Env) SetConfig(path string, value any, opts ...config.Option) {
	e.tb.Helper()
	_, err := config.New(e.Admin()).Set(e.tb.Context(), path, value, opts...)
	e.must(err)
}

// id returns an id that nothing else has here.
func (e *Env) id(prefix string) string {
	return prefix + "-" + strconv.FormatInt(e.ids.Add(1), 10)
}

func (e *Env) must(err error) {
	e.tb.Helper()
	if err != nil {
		e.tb.Fatal(err)
	}
}

// output writes lines to the log of a test.
type output struct{ tb testing.TB }

func (o output) Write(p []byte) (int, error) {
	o.tb.Helper()
	o.tb.Log(strings.TrimSuffix(string(p), "\n"))
	return len(p), nil
}
