package cli

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/envs"
	registryv1 "github.com/micro/micro/v3/proto/micro/registry/v1"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	lis, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lis.Close() })
	return lis
}

// serveProxy runs an HTTP proxy that answers as serve does, for each connection, and
// returns its address.
func serveProxy(t *testing.T, serve func(conn net.Conn, req *http.Request)) string {
	t.Helper()
	lis := listen(t)
	go func() {
		for {
			conn, err := lis.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				req, err := http.ReadRequest(bufio.NewReader(conn))
				if err == nil {
					serve(conn, req)
				}
			}()
		}
	}()
	return lis.Addr().String()
}

// TestVia calls a server whose name only the proxy knows.
func TestVia(t *testing.T) {
	t.Parallel()
	srv := &echoServer{}
	srv.speak(echoSchema(t, "name"))
	g := grpc.NewServer(grpc.UnknownServiceHandler(srv.handle))
	registryv1.RegisterRegistryServer(g, srv)
	lis := listen(t)
	go func() { _ = g.Serve(lis) }() // until it is stopped
	t.Cleanup(g.Stop)
	asked := make(chan *http.Request, 10)
	proxy := serveProxy(t, func(conn net.Conn, req *http.Request) {
		asked <- req
		var d net.Dialer
		server, err := d.DialContext(context.WithoutCancel(req.Context()), "tcp", lis.Addr().String())
		if err != nil {
			return
		}
		defer server.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n")
		go func() { _, _ = io.Copy(server, conn) }()
		_, _ = io.Copy(conn, server)
	})
	app, stdout, stderr := testApp(t, "MICRO_ENV=far")
	if err := app.updateEnvs(func(c *envs.Config) error { return c.Add(envs.Env{Name: "far", Address: "server.invalid:80"}) }); err != nil {
		t.Fatal(err)
	}
	if exit := Main(t.Context(), app, strings.Fields("echo --name=x --via http://me:secret@"+proxy)); exit != ExitOK || stdout.String() != `{"name": "x"}`+"\n" {
		t.Fatalf("exit code %d, %s%s", exit, stdout, stderr)
	}
	req := <-asked
	if req.Method != http.MethodConnect || req.Host != "server.invalid:80" {
		t.Errorf("the proxy was asked for %s %s", req.Method, req.Host)
	}
	if got, want := req.Header.Get("Proxy-Authorization"), "Basic bWU6c2VjcmV0"; got != want {
		t.Errorf("Proxy-Authorization %q, want %q", got, want)
	}
}

// TestTunnelRefused asks proxies that give no tunnel.
func TestTunnelRefused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		answer string
		want   string
	}{
		{"who are you", "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", `no tunnel to a.example:1: it answered "407 Proxy Authentication Required"`},
		{"no HTTP", "SSH-2.0-x\r\n", "malformed HTTP"},
		{"nothing", "", "EOF"},
		{"cut off", "HTTP/1.1 200 OK\r\nA: b", "EOF"},
		{"without end", "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: "+strings.Repeat("b", 1000)+"\r\n", 100) + "\r\n", "it says too much"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			proxy := serveProxy(t, func(conn net.Conn, _ *http.Request) { _, _ = io.WriteString(conn, test.answer) })
			_, err := tunnel(proxy, nil)(t.Context(), "a.example:1")
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "the proxy "+proxy) {
				t.Errorf("got %v, want …%s", err, test.want)
			}
		})
	}
	t.Run("silence", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		proxy := serveProxy(t, func(net.Conn, *http.Request) {
			cancel()
			<-t.Context().Done()
		})
		if _, err := tunnel(proxy, url.User("x"))(ctx, "a.example:1"); err == nil {
			t.Error("a tunnel of silence")
		}
	})
	t.Run("what comes with the answer is the server's", func(t *testing.T) {
		t.Parallel()
		proxy := serveProxy(t, func(conn net.Conn, _ *http.Request) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\nhello")
		})
		conn, err := tunnel(proxy, nil)(t.Context(), "a.example:1")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if b, err := io.ReadAll(conn); string(b) != "hello" || err != nil {
			t.Errorf("read %q, %v", b, err)
		}
	})
}

// TestWaitReady waits for a server that never comes, and is interrupted.
func TestWaitReady(t *testing.T) {
	t.Parallel()
	lis := listen(t)
	address := lis.Addr().String()
	_ = lis.Close() // nobody is there
	app, _, _ := testApp(t, "MICRO_ENV=gone")
	if err := app.updateEnvs(func(c *envs.Config) error { return c.Add(envs.Env{Name: "gone", Address: address}) }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(app.close)
	app.via = front.Transport{WaitReady: true}
	var e *Error
	if err := app.waitReady(t.Context(), 10*time.Millisecond); !errors.As(err, &e) || e.Exit != ExitUnreachable {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := app.waitReady(ctx, time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that it was interrupted", err)
	}
}
