package cli

import (
	"bytes"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/cli/tui"
	"github.com/micro/micro/v3/envs"
	registryv1 "github.com/micro/micro/v3/proto/micro/registry/v1"
)

// countingListener counts the connections that it accepted.
type countingListener struct {
	net.Listener

	accepted atomic.Int32
}

func (l *countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.accepted.Add(1)
	}
	return conn, err
}

// serveEcho serves echo until it is stopped.
func serveEcho(t *testing.T, lis net.Listener) (counted *countingListener, stop func()) {
	t.Helper()
	srv := &echoServer{}
	srv.speak(echoSchema(t, "name"))
	g := grpc.NewServer(grpc.UnknownServiceHandler(srv.handle))
	registryv1.RegisterRegistryServer(g, srv)
	counted = &countingListener{Listener: lis}
	go func() { _ = g.Serve(counted) }() // until it is stopped
	t.Cleanup(g.Stop)
	return counted, g.Stop
}

// TestFormConnections makes calls as a form does: there is one connection for all that it
// asks for, until the server is lost or the calls go elsewhere.
func TestFormConnections(t *testing.T) {
	t.Parallel()
	first := listen(t)
	address := first.Addr().String()
	server, stop := serveEcho(t, first)
	app, _, _ := testApp(t, "MICRO_ENV=far")
	setAddress := func(address string) {
		t.Helper()
		err := app.updateEnvs(func(c *envs.Config) error {
			return c.Put(envs.Env{Name: "far", Address: address})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	setAddress(address)
	app.kept = &keptConns{}
	defer app.kept.close()
	session := tui.Session{Environment: "far", Namespace: "micro"}
	calls := app.calls(session, front.Parse(nil).Options(app.Getenv))
	call := func(args ...string) error {
		var out bytes.Buffer
		err := calls.Call(t.Context(), append([]string{"echo", "--name=x"}, args...), strings.NewReader(""), &out)
		if err == nil && out.String() != `{"name": "x"}`+"\n" && len(args) == 0 {
			t.Errorf("the answer is %q", &out)
		}
		return err
	}
	three := func(server *countingListener, want int32) {
		t.Helper()
		for range 3 {
			if err := call(); err != nil {
				t.Fatal(err)
			}
		}
		if got := server.accepted.Load(); got != want {
			t.Errorf("the server has seen %d connections, want %d", got, want)
		}
	}
	if _, err := calls.Services(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := calls.Schema(t.Context(), "echo"); err != nil {
		t.Fatal(err)
	}
	three(server, 1)

	if err := call("-v"); err != nil { // which tells how it is made
		t.Fatal(err)
	}
	three(server, 2)

	stop()
	if err := call(); err == nil {
		t.Error("a call of a server that is away succeeds")
	}
	lis, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Skipf("somebody else has the address now: %v", err)
	}
	server, _ = serveEcho(t, lis)
	three(server, 1)

	other, _ := serveEcho(t, listen(t))
	setAddress(other.Addr().String())
	three(other, 1)
	if got := server.accepted.Load(); got != 1 {
		t.Errorf("the server before has seen %d connections", got)
	}
}
