package server

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener of connections in memory, which a bubble of synctest can wait
// for.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once

	mu   sync.Mutex
	errs []error // that Accept returns first
}

func newPipes(errs ...error) *pipes {
	return &pipes{conns: make(chan net.Conn), closed: make(chan struct{}), errs: errs}
}

func (p *pipes) Accept() (net.Conn, error) {
	p.mu.Lock()
	if len(p.errs) > 0 {
		err := p.errs[0]
		p.errs = p.errs[1:]
		p.mu.Unlock()
		return nil, err
	}
	p.mu.Unlock()
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// dial returns the client's side of a new connection.
func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.conns <- server
	return client
}

// accepted is what came out of a branch.
type accepted struct {
	branch string
	conn   net.Conn
}

// startMux runs a mux over a listener and returns what its branches accept.
func startMux(t *testing.T, l net.Listener, config *tls.Config) <-chan accepted {
	t.Helper()
	m := newMux(l, config)
	out := make(chan accepted)
	var wg sync.WaitGroup
	for name, b := range map[string]*branch{"grpc": m.grpc, "http": m.http} {
		wg.Go(func() {
			for {
				c, err := b.Accept()
				if err != nil {
					return
				}
				out <- accepted{name, c}
			}
		})
	}
	wg.Go(func() {
		if err := m.serve(); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	return out
}

// What a client says first decides, in however many pieces it comes, and nothing of
// it is lost.
func TestMuxTellsProtocolsApart(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, first, want string }{
		{"HTTP/2", http2Preface + "frames", "grpc"},
		{"GET", "GET / HTTP/1.1\r\n\r\n", "http"},
		{"POST, which begins like PRI", "POST / HTTP/1.1\r\n\r\n", "http"},
		{"a method that begins like the preface", "PRI / HTTP/1.1\r\n\r\n", "http"},
		{"a preface that goes wrong at the end", http2Preface[:len(http2Preface)-1] + "x", "http"},
		{"one byte", "x", "http"},
		{"noise", "\x00\xff\x16\x03", "http"},
	} {
		for _, piece := range []int{1, 3, 1000} {
			synctest.Test(t, func(t *testing.T) {
				l := newPipes()
				out := startMux(t, l, nil)
				c := l.dial()
				taken := make(chan struct{})
				go func() {
					for rest := []byte(tt.first); len(rest) > 0; {
						n := min(piece, len(rest))
						if _, err := c.Write(rest[:n]); err != nil {
							return
						}
						rest = rest[n:]
					}
					<-taken // a pipe that is closed takes no deadline
					_ = c.Close()
				}()
				got := <-out
				close(taken)
				if got.branch != tt.want {
					t.Errorf("%s in pieces of %d: %s, want %s", tt.name, piece, got.branch, tt.want)
				}
				all, err := io.ReadAll(got.conn)
				if err != nil || !bytes.Equal(all, []byte(tt.first)) {
					t.Errorf("%s in pieces of %d: %q, %v; want %q", tt.name, piece, all, err, tt.first)
				}
				_ = got.conn.Close()
			})
		}
	}
}

// A client that says nothing, or half of something, is cut off after a while and holds
// up nobody meanwhile.
func TestMuxCutsOffWhoSaysNothing(t *testing.T) {
	t.Parallel()
	for _, config := range []*tls.Config{nil, serverTLS(t)} {
		synctest.Test(t, func(t *testing.T) {
			l := newPipes()
			out := startMux(t, l, config)
			began := time.Now()
			var wg sync.WaitGroup
			for i := range 200 {
				c := l.dial()
				if i%2 == 1 && config == nil {
					if _, err := c.Write([]byte(http2Preface[:i%len(http2Preface)])); err != nil {
						t.Error(err)
					}
				}
				wg.Go(func() {
					_, err := io.Copy(io.Discard, c)
					if took := time.Since(began); err != nil || took != handshakeTimeout {
						t.Errorf("cut off after %s: %v, want after %s", took, err, handshakeTimeout)
					}
					_ = c.Close()
				})
			}
			if config == nil {
				c := l.dial()
				go func() { _, _ = c.Write([]byte("GET")) }()
				got := <-out
				if took := time.Since(began); took != 0 {
					t.Errorf("one that speaks had to wait for %s", took)
				}
				_ = got.conn.Close()
				_ = c.Close()
			}
			wg.Wait()
		})
	}
}

// A machine that is out of file descriptors for a moment is no reason to stop for
// ever.
func TestMuxSurvivesWhatPasses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tooMany := &net.OpError{Op: "accept", Net: "tcp", Err: syscall.EMFILE}
		l := newPipes(tooMany, tooMany, tooMany, &net.OpError{Op: "accept", Net: "tcp", Err: syscall.ECONNABORTED})
		out := startMux(t, l, nil)
		c := l.dial()
		go func() { _, _ = c.Write([]byte("GET")) }()
		_ = (<-out).conn.Close()
		_ = c.Close()
	})
}

// One that does not pass ends it.
func TestMuxReportsWhatDoesNotPass(t *testing.T) {
	t.Parallel()
	want := errors.New("the port is gone")
	m := newMux(newPipes(want), nil)
	if err := m.serve(); !errors.Is(err, want) {
		t.Errorf("serve: %v, want %v", err, want)
	}
	for _, b := range []*branch{m.grpc, m.http} {
		if _, err := b.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("accept: %v, want %v", err, net.ErrClosed)
		}
	}
}

// When serve has returned nothing is left: connections that nobody took are closed.
func TestMuxLeavesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		m := newMux(l, nil)
		served := make(chan error)
		go func() { served <- m.serve() }()
		silent, ready := l.dial(), l.dial()
		if _, err := ready.Write([]byte("GET")); err != nil { // and nobody accepts it
			t.Fatal(err)
		}
		synctest.Wait()
		_ = l.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
		for name, c := range map[string]net.Conn{"silent": silent, "ready": ready} {
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Errorf("the %s connection: %v, want %v", name, err, io.EOF)
			}
		}
	})
}

// Under TLS what a client offers decides.
func TestMuxTLS(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	out := startMux(t, l, serverTLS(t))
	for _, tt := range []struct {
		name     string
		offers   []string
		want     string // empty: no connection
		protocol string
	}{
		{"gRPC", []string{"h2"}, "grpc", "h2"},
		{"gRPC of C++", []string{"grpc-exp", "h2"}, "grpc", "h2"},
		{"a browser", []string{"h2", "http/1.1"}, "http", "http/1.1"},
		{"one that is old", nil, "http", ""},
		{"HTTP/1.1", []string{"http/1.1"}, "http", "http/1.1"},
		{"something else", []string{"smtp"}, "", ""},
	} {
		type dialed struct {
			conn *tls.Conn
			err  error
		}
		client := make(chan dialed, 1)
		go func() {
			d := &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, NextProtos: tt.offers}}
			c, err := d.DialContext(context.Background(), "tcp", l.Addr().String())
			if err != nil {
				client <- dialed{nil, err}
				return
			}
			client <- dialed{c.(*tls.Conn), nil}
		}()
		if tt.want == "" {
			if c := <-client; c.err == nil {
				t.Errorf("%s: it was let in", tt.name)
			}
			continue
		}
		got, c := <-out, <-client
		if c.err != nil {
			t.Fatalf("%s: %v", tt.name, c.err)
		}
		if p := c.conn.ConnectionState().NegotiatedProtocol; got.branch != tt.want || p != tt.protocol {
			t.Errorf("%s: %s speaking %q, want %s speaking %q", tt.name, got.branch, p, tt.want, tt.protocol)
		}
		_ = c.conn.Close()
		_ = got.conn.Close()
	}
	// Who does not speak TLS is cut off.
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(http2Preface)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, c); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Error(err)
	}
}

// serverTLS returns a configuration with a certificate of its own.
func serverTLS(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "test"},
		NotBefore:    time.Unix(0, 0),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}
