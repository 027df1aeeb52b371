// Package unary is a gRPC client for unary calls, one after the other, on a connection
// of its own: what a command needs, and no more. It sends the first request together
// with the preface, before it has heard the server (RFC 9113, 3.4), so a call takes one
// round trip after the connection. What it does not do, microd does with grpc-go.
//
//	unary.go   connect, call, ask
//	frame.go   the bytes of the request
//	reader.go  the frames of the answer
//	answer.go  headers and data to status and message
//
// The server is a stranger. Whatever it sends is read in bounded memory, and as
// long as it makes no progress in a bounded number of frames; how long it may be
// silent is for the context to say.
package unary

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"golang.org/x/net/http2/hpack"
)

const (
	// MaxRequest is what may be sent on a connection before the server's first window
	// update, with the messages' own prefixes.
	MaxRequest = 60 << 10
	// MaxAnswer bounds the message of an answer, as it does in microd.
	MaxAnswer = 64 << 20
	// connectTimeout bounds connection and TLS handshake.
	connectTimeout = 10 * time.Second
)

// Server is where calls go.
type Server struct {
	Address string      // host:port, or unix:PATH
	TLS     *tls.Config // nil: in clear
}

// Call is one unary call.
type Call struct {
	Path     string // /package.Service/Method
	Metadata []hpack.HeaderField
	Message  []byte
	Timeout  time.Duration // told to the server; 0: none
}

// Question is asked of a server of which it has to be known that it did not change.
type Question struct {
	Path     string // of a method that answers each message with one
	Metadata []hpack.HeaderField
	Messages [][]byte
	Sum      []byte // of the answers; see dynamic.Probe
}

// ErrChanged means that a question has another answer now.
var ErrChanged = errors.New("the server is not what it was")

// Answer is what a call ended with. Code is 0 when it succeeded.
type Answer struct {
	Code     int
	Text     string
	Details  []byte            // a serialized google.rpc.Status, or nil
	Message  []byte            // nil when the call failed before there was one
	Metadata map[string]string // of the headers and trailers, the last value of each
}

// ErrTooLarge means that a request is larger than this client sends.
var ErrTooLarge = errors.New("the request is too large for this transport")

// ConnectError says why a server could not be reached.
type ConnectError struct {
	Address string
	Err     error
}

func (e *ConnectError) Error() string { return fmt.Sprintf("connect to %s: %s", e.Address, e.Err) }

func (e *ConnectError) Unwrap() error { return e.Err }

// CallError says why a call ended without an answer.
type CallError struct {
	Code   int // of gRPC, that stands for it
	Reason string
	// Unprocessed tells that the server has certainly not acted on the call.
	Unprocessed bool
}

func (e *CallError) Error() string { return e.Reason }

func failed(code int, format string, args ...any) error {
	return &CallError{Code: code, Reason: fmt.Sprintf(format, args...)}
}

// IsUnsent reports whether an error means that no service has got the call.
func IsUnsent(err error) bool {
	var connect *ConnectError
	var call *CallError
	return errors.Is(err, ErrTooLarge) || errors.Is(err, ErrChanged) || errors.As(err, &connect) || errors.As(err, &call) && call.Unprocessed
}

// Conn is a connection on which one call is made after the other. After an error no
// more can be made. It is not safe for concurrent use.
type Conn struct {
	server   Server
	conn     net.Conn
	requests *requests
	reader   *reader
	sent     int // bytes of messages
}

// Dial connects to a server. The error is that of ctx or a [ConnectError].
func Dial(ctx context.Context, s Server) (*Conn, error) {
	conn, err := s.connect(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, &ConnectError{Address: s.Address, Err: err}
	}
	return newConn(s, conn), nil
}

func newConn(s Server, conn net.Conn) *Conn {
	return &Conn{server: s, conn: conn, requests: newRequests(s), reader: newReader(conn)}
}

// Close ends the connection, and with it what is under way.
func (c *Conn) Close() error { return c.conn.Close() }

// Do makes a call. One that the server refused is an answer. The error is
// [ErrTooLarge], that of ctx, or else a [CallError].
func (c *Conn) Do(ctx context.Context, call *Call) (*Answer, error) {
	if err := c.exchange(ctx, false, call.Timeout, call.Path, call.Metadata, call.Message); err != nil {
		return nil, err
	}
	return c.reader.answer.finish()
}

// Ask asks a question, and returns nil when its answer is still the same. Other errors
// than [ErrChanged] are those of [Conn.Do], as of a call that has not been made yet.
func (c *Conn) Ask(ctx context.Context, q *Question) error {
	if err := c.exchange(ctx, true, 0, q.Path, q.Metadata, q.Messages...); err != nil {
		if e, ok := errors.AsType[*CallError](err); ok {
			e.Unprocessed = true
		}
		return err
	}
	if !bytes.Equal(c.reader.answer.sum(len(q.Messages)), q.Sum) {
		return ErrChanged
	}
	return nil
}

// exchange sends messages, and reads the answer to them.
func (c *Conn) exchange(ctx context.Context, many bool, timeout time.Duration, path string, md []hpack.HeaderField, messages ...[]byte) error {
	for _, m := range messages {
		c.sent += len(m)
	}
	if c.sent > MaxRequest {
		return ErrTooLarge
	}
	// The end of ctx ends what the connection is waiting for.
	stop := context.AfterFunc(ctx, func() { _ = c.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	stream, err := c.reader.next(many)
	if err == nil {
		err = c.reader.exchange(c.requests.next(stream, timeout, path, md, messages))
	}
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// connect returns a connection over which HTTP/2 can be spoken.
func (s Server) connect(ctx context.Context) (*connection, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	network, address := "tcp", s.Address
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", path
	}
	var d net.Dialer
	raw, err := d.DialContext(ctx, network, address)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) && op.Err != nil {
			err = op.Err
		}
		return nil, err
	}
	if s.TLS == nil {
		return &connection{Conn: raw, raw: raw}, nil
	}
	config := s.TLS.Clone()
	config.NextProtos = []string{"h2"}
	if config.ServerName == "" {
		config.ServerName = s.authority()
		if host, _, err := net.SplitHostPort(config.ServerName); err == nil {
			config.ServerName = host
		}
	}
	t := tls.Client(raw, config)
	if err := t.HandshakeContext(ctx); err != nil {
		_ = raw.Close() // the handshake says what is wrong
		return nil, err
	}
	if t.ConnectionState().NegotiatedProtocol != "h2" {
		_ = raw.Close()
		return nil, errors.New("the server does not speak HTTP/2")
	}
	return &connection{Conn: t, raw: raw}, nil
}

// authority returns the name of the server. A path is none that servers take.
func (s Server) authority() string {
	if strings.HasPrefix(s.Address, "unix:") {
		return "localhost"
	}
	return s.Address
}

// connection is a connection that ends at once: TLS would wait for a server that
// does not read, to tell it goodbye.
type connection struct {
	net.Conn
	raw net.Conn
}

func (c *connection) Close() error { return c.raw.Close() }

// exchange writes a request and reads until the stream has ended.
func (r *reader) exchange(request []byte) error {
	_, writeErr := r.conn.Write(request)
	// A server that does not want the request may say why before it hangs up.
	for !r.answer.ended {
		if err := r.frame(); err != nil {
			if writeErr != nil {
				return failed(CodeUnavailable, "send the request: %s", writeErr)
			}
			return err
		}
	}
	return nil
}
