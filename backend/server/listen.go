package server

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

// The first bytes of a client that speaks HTTP/2 without an upgrade (RFC 9113, 3.4).
const http2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// handshakeTimeout bounds how long a new connection may stay silent.
const handshakeTimeout = 10 * time.Second

// mux shares one port between gRPC and HTTP/1.1: what begins like HTTP/2 is
// handed to one listener, everything else to the other. Under TLS a client that
// offers nothing but h2 is taken for gRPC; browsers and registry clients offer
// http/1.1 as well and get it.
type mux struct {
	net.Listener
	tls        *tls.Config // nil: in clear
	grpc, http *branch

	mu    sync.Mutex
	fresh map[net.Conn]struct{} // not yet known to be one or the other
}

// newMux returns the two branches of a listener. Closing both closes it.
func newMux(l net.Listener, config *tls.Config) *mux {
	m := &mux{Listener: l, fresh: map[net.Conn]struct{}{}}
	m.grpc, m.http = newBranch(l.Addr()), newBranch(l.Addr())
	if config != nil {
		m.tls = config.Clone()
		m.tls.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			c := config.Clone()
			c.NextProtos = []string{"h2"}
			if len(hello.SupportedProtos) == 0 || slices.Contains(hello.SupportedProtos, "http/1.1") {
				c.NextProtos = []string{"http/1.1"}
			}
			return c, nil
		}
	}
	return m
}

// serve accepts connections until the listener is closed, and returns when each of
// them is a branch's or closed.
func (m *mux) serve() error {
	var wg sync.WaitGroup
	defer wg.Wait()
	defer m.cutOff()
	defer m.grpc.Close()
	defer m.http.Close()
	for pause := time.Duration(0); ; {
		c, err := m.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case passes(err): // as net/http does
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			time.Sleep(pause)
			continue
		case err != nil:
			return err
		}
		pause = 0
		m.mu.Lock()
		m.fresh[c] = struct{}{}
		m.mu.Unlock()
		wg.Go(func() {
			b, conn := m.classify(c)
			m.mu.Lock()
			delete(m.fresh, c)
			m.mu.Unlock()
			if b == nil || !b.offer(conn) {
				_ = c.Close()
			}
		})
	}
}

// passes reports whether an error of Accept is one of the moment, such as too many
// open files.
func passes(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Temporary() //nolint:staticcheck // vague elsewhere; of Accept it says just this
}

// cutOff closes the connections that nobody has yet.
func (m *mux) cutOff() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for c := range m.fresh {
		_ = c.Close()
	}
}

// classify finds out which branch a connection is for; nil when it is for none.
func (m *mux) classify(c net.Conn) (*branch, net.Conn) {
	if err := c.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return nil, nil
	}
	conn := c
	if m.tls != nil {
		t := tls.Server(c, m.tls)
		if err := t.HandshakeContext(context.Background()); err != nil {
			answerInClear(err)
			return nil, nil
		}
		if err := c.SetDeadline(time.Time{}); err != nil {
			return nil, nil
		}
		if t.ConnectionState().NegotiatedProtocol == "h2" {
			return m.grpc, t
		}
		return m.http, t
	}
	r := bufio.NewReaderSize(conn, 4<<10)
	isHTTP2 := true
	for n := 1; n <= len(http2Preface); n++ {
		b, err := r.Peek(n)
		if err != nil {
			return nil, nil
		}
		if b[n-1] != http2Preface[n-1] {
			isHTTP2 = false
			break
		}
	}
	if err := c.SetDeadline(time.Time{}); err != nil {
		return nil, nil
	}
	conn = &peekedConn{Conn: c, r: r}
	if isHTTP2 {
		return m.grpc, conn
	}
	return m.http, conn
}

// answerInClear tells a client that does not speak TLS what is wanted, in a form that it
// may understand.
func answerInClear(err error) {
	e, ok := errors.AsType[tls.RecordHeaderError](err)
	if !ok || e.Conn == nil {
		return
	}
	answer := "\x15\x03\x01\x00\x02\x02\x46" // the alert that this is no TLS of a version that is known
	switch string(e.RecordHeader[:4]) {
	case "GET ", "HEAD", "POST", "PUT ", "PATC", "DELE", "OPTI":
		answer = "HTTP/1.0 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\nthis port speaks HTTPS\n"
	}
	_, _ = io.WriteString(e.Conn, answer) // whoever it is may have gone
}

// peekedConn is a connection of which some bytes were read already.
type peekedConn struct {
	net.Conn
	r *bufio.Reader // nil when it is used up
}

func (c *peekedConn) Read(p []byte) (int, error) {
	if c.r == nil {
		return c.Conn.Read(p)
	}
	n, err := c.r.Read(p[:min(len(p), max(1, c.r.Buffered()))])
	if c.r.Buffered() == 0 {
		c.r = nil
	}
	return n, err
}

// CloseWrite tells the client that nothing more comes, while what it sends is still
// read: how net/http makes sure that an answer arrives that was given before the end
// of the request.
func (c *peekedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// branch is a listener that is given its connections.
type branch struct {
	addr   net.Addr
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newBranch(a net.Addr) *branch {
	return &branch{addr: a, conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (b *branch) offer(c net.Conn) bool {
	select {
	case b.conns <- c:
		return true
	case <-b.closed:
		return false
	}
}

func (b *branch) Accept() (net.Conn, error) {
	select {
	case c := <-b.conns:
		return c, nil
	case <-b.closed:
		return nil, net.ErrClosed
	}
}

func (b *branch) Close() error {
	b.once.Do(func() { close(b.closed) })
	return nil
}

func (b *branch) Addr() net.Addr { return b.addr }

var (
	_ net.Listener = (*branch)(nil)
	_ io.Reader    = (*peekedConn)(nil)
)
