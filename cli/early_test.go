package cli

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// A call is made before anything was heard from the server, and the calls after it go
// on as ever, with and without TLS.
func TestEarlyOneRoundTrip(t *testing.T) {
	t.Parallel()
	web := httptest.NewTLSServer(nil) // for its certificate
	defer web.Close()
	pool := x509.NewCertPool()
	pool.AddCert(web.Certificate())
	for name, tt := range map[string]struct {
		server []grpc.ServerOption
		creds  credentials.TransportCredentials
	}{
		"in clear": {nil, insecure.NewCredentials()},
		"over TLS": {
			[]grpc.ServerOption{grpc.Creds(credentials.NewServerTLSFromCert(&web.TLS.Certificates[0]))},
			credentials.NewTLS(&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			called := make(chan struct{}, 10)
			tt.server = append(tt.server, grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
				called <- struct{}{}
				return next(ctx, req)
			}))
			srv := grpc.NewServer(tt.server...)
			healthv1.RegisterHealthServer(srv, health.NewServer())
			l := listenLocal(t)
			go func() { _ = srv.Serve(l) }()
			t.Cleanup(srv.Stop)
			// The server is heard when it was called, and not before.
			deaf := &deafCreds{TransportCredentials: tt.creds, until: called}
			conn, err := grpc.NewClient("passthrough:///"+l.Addr().String(), grpc.WithTransportCredentials(earlyCreds{deaf}))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			for range 5 {
				if _, err := healthv1.NewHealthClient(conn).Check(t.Context(), &healthv1.HealthCheckRequest{}); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func listenLocal(t *testing.T) net.Listener {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// deafCreds makes connections from which nothing is read until a value comes.
type deafCreds struct {
	credentials.TransportCredentials

	until <-chan struct{}
}

func (c *deafCreds) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := c.TransportCredentials.ClientHandshake(ctx, authority, raw)
	return &deafConn{Conn: conn, until: c.until}, info, err
}

func (c *deafCreds) Clone() credentials.TransportCredentials { return c }

type deafConn struct {
	net.Conn

	until <-chan struct{}
	heard bool
}

func (c *deafConn) Read(p []byte) (int, error) {
	if !c.heard {
		<-c.until
		c.heard = true
	}
	return c.Conn.Read(p)
}

// The server gets what grpc-go says, but for its first acknowledgement of settings,
// however that is cut into pieces.
func TestEarlyAcknowledgement(t *testing.T) {
	t.Parallel()
	var said, want bytes.Buffer
	said.WriteString(http2.ClientPreface)
	f := http2.NewFramer(&said, nil)
	write := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	write(f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20}))
	write(f.WriteWindowUpdate(0, 1<<20))
	write(f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x88}, EndHeaders: true}))
	write(f.WriteData(1, true, bytes.Repeat(settingsFrame(http2.FlagSettingsAck), 100))) // within a frame it is none
	want.Write(said.Bytes())
	write(f.WriteSettingsAck())
	rest := said.Len()
	write(f.WriteSettingsAck())
	write(f.WriteData(3, true, []byte("x")))
	want.Write(said.Bytes()[rest:])

	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // it is a test
		got := &sink{}
		c := newEarlyConn(got)
		for p := said.Bytes(); len(p) > 0; {
			n := 1 + r.IntN(min(len(p), 1+int(seed)))
			if written, err := c.Write(p[:n]); written != n || err != nil {
				t.Fatalf("Write = %d, %v, want %d", written, err, n)
			}
			p = p[n:]
		}
		if !bytes.Equal(got.Bytes(), want.Bytes()) {
			t.Fatalf("seed %d: the server got\n%x, want\n%x", seed, got.Bytes(), want.Bytes())
		}
	}
}

// sink is a connection that keeps what is written.
type sink struct {
	net.Conn // none
	bytes.Buffer
}

func (s *sink) Write(p []byte) (int, error) { return s.Buffer.Write(p) }

func (s *sink) Read(p []byte) (int, error) { return s.Buffer.Read(p) }

// A server that is none, or hangs up, is told as the front tells it.
func TestEarlyStrangers(t *testing.T) {
	t.Parallel()
	for says, want := range map[string]string{
		"HTTP/1.1 400 Bad Request\r\n\r\n": "it speaks HTTP/1",
		"\x15\x03\x01\x00\x02\x02\x46":     "the server wants TLS: an address with tls:// uses it",
		"SSH-2.0-OpenSSH_9.6\r\n":          "the server does not speak HTTP/2",
		"":                                 "EOF",
		"\x00\x00":                         "EOF",
	} {
		l := listenLocal(t)
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = io.WriteString(conn, says)
				_ = conn.(*net.TCPConn).CloseWrite()
				_, _ = io.Copy(io.Discard, conn) // what is closed unread is reset, and says nothing
				_ = conn.Close()
			}
		}()
		conn, err := grpc.NewClient("passthrough:///"+l.Addr().String(), grpc.WithTransportCredentials(earlyCreds{insecure.NewCredentials()}))
		if err != nil {
			t.Fatal(err)
		}
		_, err = healthv1.NewHealthClient(conn).Check(t.Context(), &healthv1.HealthCheckRequest{})
		if st := status.Convert(err); st.Code() != codes.Unavailable || !strings.Contains(st.Message(), want) && says != "" {
			t.Errorf("%q: %v, want %q", says, err, want)
		}
		_ = conn.Close()
	}
}

// A server that says nothing is not waited for without end, as long as the first thing
// is missing; later it may be silent.
func TestEarlySilence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer near.Close()
		defer far.Close()
		conn, _, err := earlyCreds{insecure.NewCredentials()}.ClientHandshake(t.Context(), "", near)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 100)
		if n, err := conn.Read(b); err != nil || !bytes.Equal(b[:n], settingsFrame(0)) {
			t.Errorf("Read = %x, %v; want settings", b[:n], err)
		}
		begun := time.Now()
		if _, err := conn.Read(b); err == nil || !strings.Contains(err.Error(), "has said nothing for 10s") {
			t.Errorf("Read = %v", err)
		}
		if took := time.Since(begun); took != connectTimeout {
			t.Errorf("it took %s", took)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer near.Close()
		conn, _, err := earlyCreds{insecure.NewCredentials()}.ClientHandshake(t.Context(), "", near)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			_, _ = far.Write(settingsFrame(0))
			<-time.After(time.Hour)
			_, _ = far.Write([]byte("x"))
			_ = far.Close()
		}()
		got, err := io.ReadAll(conn)
		if want := string(settingsFrame(0)) + string(settingsFrame(0)) + "x"; string(got) != want || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read %x, %v; want %x", got, err, want)
		}
	})
}
