package unary

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// listen returns a listener that is closed with the test.
func listen(t *testing.T) net.Listener {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// handler answers a call of any method.
type handler func(ctx context.Context, method string, in []byte) ([]byte, error)

// serve runs a gRPC server on a listener until the end of the test.
func serve(t *testing.T, l net.Listener, h handler, options ...grpc.ServerOption) *grpc.Server {
	t.Helper()
	options = append(options, grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
		var in wrapperspb.BytesValue
		if err := s.RecvMsg(&in); err != nil {
			return err
		}
		method, _ := grpc.MethodFromServerStream(s)
		out, err := h(s.Context(), method, in.GetValue())
		if err != nil {
			return err
		}
		return s.SendMsg(wrapperspb.Bytes(out))
	}))
	server := grpc.NewServer(options...)
	t.Cleanup(server.Stop)
	go func() { _ = server.Serve(l) }()
	return server
}

// value returns the message that carries some bytes.
func value(b []byte) []byte {
	out, err := proto.Marshal(wrapperspb.Bytes(b))
	if err != nil {
		panic(err) // it cannot
	}
	return out
}

// content returns the bytes that a message carries.
func content(t *testing.T, message []byte) []byte {
	t.Helper()
	var v wrapperspb.BytesValue
	if err := proto.Unmarshal(message, &v); err != nil {
		t.Fatal(err)
	}
	return v.GetValue()
}

// do makes a call on a connection of its own.
func do(ctx context.Context, s Server, c *Call) (*Answer, error) {
	conn, err := Dial(ctx, s)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.Do(ctx, c)
}

// at returns the server that listens.
func at(l net.Listener) Server { return Server{Address: l.Addr().String()} }

func echo(_ context.Context, _ string, in []byte) ([]byte, error) { return in, nil }

func TestCall(t *testing.T) {
	t.Parallel()
	l := listen(t)
	var got metadata.MD
	var method string
	serve(t, l, func(ctx context.Context, m string, in []byte) ([]byte, error) {
		got, _ = metadata.FromIncomingContext(ctx)
		method = m
		if err := grpc.SetHeader(ctx, metadata.Pairs("a-header", "1", "a-header", "2", "raw-bin", "\x00\xff")); err != nil {
			return nil, err
		}
		return append([]byte("hello "), in...), grpc.SetTrailer(ctx, metadata.Pairs("a-trailer", "3"))
	})
	c := &Call{
		Path:     "/some.Service/Method",
		Metadata: []hpack.HeaderField{{Name: "micro-namespace", Value: "alice"}, {Name: "authorization", Value: "Bearer t", Sensitive: true}},
		Message:  value([]byte("Alice")),
	}
	a, err := do(t.Context(), at(l), c)
	if err != nil {
		t.Fatal(err)
	}
	if a.Code != 0 || string(content(t, a.Message)) != "hello Alice" {
		t.Errorf("answer = %+v", a)
	}
	if method != c.Path {
		t.Errorf("method = %q", method)
	}
	for name, want := range map[string]string{"a-header": "2", "a-trailer": "3", "raw-bin": "AP8"} {
		if strings.TrimRight(a.Metadata[name], "=") != want {
			t.Errorf("metadata %s = %q, want %q", name, a.Metadata[name], want)
		}
	}
	want := metadata.MD{
		":authority": {l.Addr().String()}, "content-type": {"application/grpc"}, "user-agent": {"micro"},
		"micro-namespace": {"alice"}, "authorization": {"Bearer t"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metadata of the request (-want +got):\n%s", diff)
	}
}

func TestCallStatus(t *testing.T) {
	t.Parallel()
	l := listen(t)
	const text = "100% wrong:\nnaïve\ttext %41 \u2028 \x7f"
	serve(t, l, func(ctx context.Context, method string, in []byte) ([]byte, error) {
		if method == "/t/late" { // headers first, not trailers alone
			if err := grpc.SendHeader(ctx, metadata.Pairs("early", "1")); err != nil {
				return nil, err
			}
		}
		s, err := status.New(codes.Code(in[0]), text).WithDetails(durationpb.New(time.Second))
		if err != nil {
			return nil, err
		}
		return nil, s.Err()
	})
	for _, path := range []string{"/t/at-once", "/t/late"} {
		for code := range 18 {
			if code == 0 {
				continue
			}
			c := &Call{Path: path, Message: value([]byte{byte(code)})}
			a, err := do(t.Context(), at(l), c)
			if err != nil {
				t.Fatal(err)
			}
			if a.Code != code || a.Text != text || a.Message != nil {
				t.Errorf("%s: status %d is %d %q, with message %q", path, code, a.Code, a.Text, a.Message)
			}
			if _, early := a.Metadata["early"]; early != (path == "/t/late") {
				t.Errorf("%s: metadata = %v", path, a.Metadata)
			}
			if !bytes.Contains(a.Details, []byte("google.protobuf.Duration")) {
				t.Errorf("%s: details = %q", path, a.Details)
			}
		}
	}
}

func TestCallSizes(t *testing.T) {
	t.Parallel()
	l := listen(t)
	serve(t, l, func(_ context.Context, method string, in []byte) ([]byte, error) {
		if n, ok := map[string]int{"/t/most": MaxAnswer - 5, "/t/more": MaxAnswer - 4}[method]; ok { // with 5 of the field
			return make([]byte, n), nil
		}
		return in, nil
	})
	for _, n := range []int{0, 1, maxFrame - 9, maxFrame - 8, maxFrame, MaxRequest / 2, MaxRequest - 4} {
		in := bytes.Repeat([]byte{'x'}, n)
		c := &Call{Path: "/t/echo", Message: value(in)}
		a, err := do(t.Context(), at(l), c)
		if err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		if a.Code != 0 || !bytes.Equal(content(t, a.Message), in) {
			t.Errorf("%d bytes came back as %d, status %d %s", n, len(a.Message), a.Code, a.Text)
		}
	}
	c := &Call{Path: "/t/echo", Message: make([]byte, MaxRequest+1)}
	if _, err := do(t.Context(), at(l), c); !errors.Is(err, ErrTooLarge) || !IsUnsent(err) {
		t.Errorf("a request that is too large: %v", err)
	}
	c = &Call{Path: "/t/most", Message: value(nil)}
	if a, err := do(t.Context(), at(l), c); err != nil || len(a.Message) != MaxAnswer {
		t.Errorf("the largest answer: %v", err)
	}
	c.Path = "/t/more"
	_, err := do(t.Context(), at(l), c)
	wantCallError(t, err, CodeResourceExhausted, "the answer has 67108865 bytes; at most 67108864 are taken")
}

func TestCallLargeHeaders(t *testing.T) {
	t.Parallel()
	l := listen(t)
	long := strings.Repeat("x", 40<<10) // continued in further frames, both ways
	serve(t, l, func(ctx context.Context, _ string, in []byte) ([]byte, error) {
		md, _ := metadata.FromIncomingContext(ctx)
		return in, grpc.SetTrailer(ctx, metadata.MD{"back": md.Get("forth")})
	})
	c := &Call{Path: "/t/echo", Message: value(nil), Metadata: []hpack.HeaderField{{Name: "forth", Value: long}}}
	a, err := do(t.Context(), at(l), c)
	if err != nil {
		t.Fatal(err)
	}
	if a.Metadata["back"] != long {
		t.Errorf("%d bytes came back", len(a.Metadata["back"]))
	}
}

func TestCallTimeout(t *testing.T) {
	t.Parallel()
	l := listen(t)
	left := make(chan time.Duration, 1)
	serve(t, l, func(ctx context.Context, _ string, _ []byte) ([]byte, error) {
		deadline, _ := ctx.Deadline()
		left <- time.Until(deadline)
		<-ctx.Done()
		return nil, status.FromContextError(ctx.Err()).Err()
	})
	const timeout = 150 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	a, err := do(ctx, at(l), &Call{Path: "/t/wait", Message: value(nil), Timeout: timeout})
	// Who comes first: the client's clock, the server's status, or its reset.
	reset, isReset := errors.AsType[*CallError](err)
	if !errors.Is(err, context.DeadlineExceeded) && (!isReset || reset.Code != CodeCanceled) && (err != nil || a.Code != CodeDeadlineExceeded) {
		t.Errorf("Do = %+v, %v", a, err)
	}
	if got := <-left; got <= 0 || got > timeout {
		t.Errorf("the server was given %s", got)
	}
}

func TestCallCanceled(t *testing.T) {
	t.Parallel()
	l := listen(t)
	called, gone := make(chan struct{}), make(chan struct{})
	serve(t, l, func(ctx context.Context, _ string, _ []byte) ([]byte, error) {
		close(called)
		<-ctx.Done()
		close(gone)
		return nil, ctx.Err()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-called
		cancel()
	}()
	c := &Call{Path: "/t/wait", Message: value(nil)}
	if a, err := do(ctx, at(l), c); !errors.Is(err, context.Canceled) || IsUnsent(err) {
		t.Fatalf("Do = %+v, %v", a, err)
	}
	<-gone // the server is told

	if a, err := do(ctx, at(l), c); !errors.Is(err, context.Canceled) {
		t.Errorf("Do with a context that has ended = %+v, %v", a, err)
	}
}

// A call that the server has taken goes on while the server stops.
func TestCallWhileServerStops(t *testing.T) {
	t.Parallel()
	l := listen(t)
	called, stopped := make(chan struct{}), make(chan struct{})
	server := serve(t, l, func(_ context.Context, _ string, in []byte) ([]byte, error) {
		close(called)
		return in, nil
	})
	go func() {
		defer close(stopped)
		select {
		case <-called:
		case <-t.Context().Done(): // the call has failed
		}
		server.GracefulStop()
	}()
	c := &Call{Path: "/t/echo", Message: value([]byte("x"))}
	if a, err := do(t.Context(), at(l), c); err != nil || a.Code != 0 {
		t.Fatalf("Do = %+v, %v", a, err)
	}
	<-stopped
	_, err := do(t.Context(), at(l), c)
	var connect *ConnectError
	if !errors.As(err, &connect) || !IsUnsent(err) || connect.Address != l.Addr().String() {
		t.Errorf("Do without a server: %v", err)
	}
}

func TestCallUnixSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "unix", path)
	if err != nil {
		t.Skip(err)
	}
	serve(t, l, echo)
	if a, err := do(t.Context(), Server{Address: "unix:" + path}, &Call{Path: "/t/echo", Message: value([]byte("x"))}); err != nil || a.Code != 0 {
		t.Errorf("Do = %+v, %v", a, err)
	}
}

// certificate returns that of a server on 127.0.0.1, and who trusts it.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return s.TLS.Certificates[0], pool
}

func TestCallTLS(t *testing.T) {
	t.Parallel()
	cert, pool := certificate(t)
	l := listen(t)
	serve(t, l, echo, grpc.Creds(credentials.NewServerTLSFromCert(&cert)))
	trusting := &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	c := &Call{Path: "/t/echo", Message: value(make([]byte, 50_000))}
	if a, err := do(t.Context(), Server{l.Addr().String(), trusting}, c); err != nil || a.Code != 0 {
		t.Errorf("Do = %+v, %v", a, err)
	}
	if len(trusting.NextProtos) != 0 || trusting.ServerName != "" {
		t.Error("Do has changed the caller's TLS settings")
	}

	for _, tt := range []struct {
		name, want string
		config     *tls.Config
		server     *tls.Config // nil: the gRPC server
	}{
		{name: "nobody trusts it", config: &tls.Config{MinVersion: tls.VersionTLS12}, want: "certificate"},
		{name: "another name", config: &tls.Config{RootCAs: pool, ServerName: "other.test", MinVersion: tls.VersionTLS12}, want: "other.test"},
		{
			name: "no ALPN", config: trusting, want: "the server does not speak HTTP/2",
			server: &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12},
		},
		{
			name: "HTTP/1 alone", config: trusting, want: "application protocol",
			server: &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			address := l.Addr().String()
			if tt.server != nil {
				l := tls.NewListener(listen(t), tt.server)
				go accept(l, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
				address = l.Addr().String()
			}
			_, err := do(context.WithoutCancel(t.Context()), Server{address, tt.config}, c)
			var connect *ConnectError
			if !errors.As(err, &connect) || !IsUnsent(err) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Do: %v", err)
			}
		})
	}
}

// accept gives each connection to serve, and closes it after that.
func accept(l net.Listener, serve func(net.Conn)) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		serve(conn)
		_ = conn.Close()
	}
}

// A call takes one round trip: the request is whole before the server has been
// heard, and nothing of what the client says after that is needed.
func TestCallOneRoundTrip(t *testing.T) {
	t.Parallel()
	far, near := listen(t), listen(t)
	called := make(chan struct{})
	serve(t, far, func(_ context.Context, _ string, in []byte) ([]byte, error) {
		close(called)
		return in, nil
	})
	go accept(near, func(client net.Conn) { relayOnce(t, client, far.Addr().String(), called) })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c := &Call{Path: "/t/echo", Message: value(bytes.Repeat([]byte{'x'}, MaxRequest-4))}
	a, err := do(ctx, at(near), c)
	if err != nil {
		t.Fatal(err)
	}
	if a.Code != 0 || !bytes.Equal(a.Message, c.Message) {
		t.Errorf("status %d %s, %d bytes", a.Code, a.Text, len(a.Message))
	}
}

// relayOnce passes on what the client says until the server was called, and only
// then what the server says.
func relayOnce(t *testing.T, client net.Conn, address string, called <-chan struct{}) {
	t.Helper()
	var d net.Dialer
	server, err := d.DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Error(err)
		return
	}
	defer server.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 64<<10)
		for {
			n, err := client.Read(b)
			select {
			case <-called: // too late
			default:
				_, _ = server.Write(b[:n]) // the call fails
			}
			if err != nil {
				return
			}
		}
	}()
	select {
	case <-called:
	case <-done: // the client has given up
		return
	}
	_, _ = io.Copy(client, server) // until the client has gone
	<-done
}

func TestCause(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]string{
		"": "",
		"dial tcp 127.0.0.1:1: connect: connection refused":                                                            "connection refused",
		`connection error: desc = "transport: Error while dialing: dial tcp 127.0.0.1:1: connect: connection refused"`: "connection refused",
		"name resolver error: produced zero addresses":                                                                 "no such host",
		`connection error: desc = "transport: authentication handshake failed: tls: \"x\""`:                            `tls: "x"`,
		"error reading from server: EOF":                                                                               "it closed the connection",
		`connection error: desc = "transport: Error while dialing: the proxy 127.0.0.1:1: it answered \"407 No\""`:     `the proxy 127.0.0.1:1: it answered "407 No"`,
		`connection error: desc = "transport: Error while dialing: the proxy p:1: dial tcp: connection refused"`:       "the proxy p:1: dial tcp: connection refused",
		`connection error: desc = cut off "`:                                                                           "cut off",
	} {
		if got := Cause(message); got != want {
			t.Errorf("Cause(%q) = %q, want %q", message, got, want)
		}
	}
}
