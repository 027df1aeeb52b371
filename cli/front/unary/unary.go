// Package unary is a gRPC client for one unary call on a connection of its own, perhaps
// after a question: what a command needs, and no more. It sends the request together
// with the preface, before it has heard the server (RFC 9113, 3.4), so a call takes one
// round trip after the connection. What it does not do, microd does with grpc-go.
//
//	unary.go   the call: connect, write, read, time
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
	// MaxRequest is what may be sent before the server's first window update, in
	// one connection window with the frames' own prefix.
	MaxRequest = 60 << 10
	// MaxAnswer bounds the message of an answer, as it does in microd.
	MaxAnswer = 64 << 20
	// connectTimeout bounds connection and TLS handshake.
	connectTimeout = 10 * time.Second
)

// Call is one unary call.
type Call struct {
	Address  string      // host:port, or unix:PATH
	TLS      *tls.Config // nil: in clear
	Path     string      // /package.Service/Method
	Metadata []hpack.HeaderField
	Message  []byte
	Timeout  time.Duration // 0: none
	// Question is asked before the call is made, which it is only when the answer is
	// what it was. Nil: none.
	Question *Question
}

// Question is asked of a server of which it has to be known that it did not change.
type Question struct {
	Path     string // of a method that answers each message with one
	Messages [][]byte
	Sum      []byte // of the answers; see dynamic.Probe
}

// ErrChanged means that a question has another answer now, and that the call was not
// made.
var ErrChanged = errors.New("the server is not what it was")

// Answer is what a call ended with. Code is 0 when it succeeded.
type Answer struct {
	Code     int
	Text     string
	Details  []byte // a serialized google.rpc.Status, or nil
	Message  []byte
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

// IsUnsent reports whether the error of a call means that no service has got it.
func IsUnsent(err error) bool {
	var connect *ConnectError
	var call *CallError
	return errors.Is(err, ErrTooLarge) || errors.Is(err, ErrChanged) || errors.As(err, &connect) || errors.As(err, &call) && call.Unprocessed
}

// Do makes the call. A call that the server refused is an answer. The error is
// [ErrTooLarge], [ErrChanged], a [ConnectError] when nothing was sent, that of ctx, which
// [Call.Timeout] ends too, or else a [CallError].
func (c *Call) Do(ctx context.Context) (*Answer, error) {
	size := len(c.Message)
	if c.Question != nil {
		for _, m := range c.Question.Messages {
			size += len(m)
		}
	}
	if size > MaxRequest {
		return nil, ErrTooLarge
	}
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.Timeout)
		defer cancel()
	}
	conn, err := c.connect(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, &ConnectError{Address: c.Address, Err: err}
	}
	return c.over(ctx, conn)
}

// over makes the call over a connection, which it closes.
func (c *Call) over(ctx context.Context, conn net.Conn) (*Answer, error) {
	defer conn.Close()
	// The end of ctx ends what the connection is waiting for.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	a, err := c.exchange(conn)
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return a, err
}

// connect returns a connection over which HTTP/2 can be spoken.
func (c *Call) connect(ctx context.Context) (*connection, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	network, address := "tcp", c.Address
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
	if c.TLS == nil {
		return &connection{Conn: raw, raw: raw}, nil
	}
	config := c.TLS.Clone()
	config.NextProtos = []string{"h2"}
	if config.ServerName == "" {
		config.ServerName = c.authority()
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
func (c *Call) authority() string {
	if strings.HasPrefix(c.Address, "unix:") {
		return "localhost"
	}
	return c.Address
}

// connection is a connection that ends at once: TLS would wait for a server that
// does not read, to tell it goodbye.
type connection struct {
	net.Conn
	raw net.Conn
}

func (c *connection) Close() error { return c.raw.Close() }

// exchange asks the question, if there is one, and makes the call.
func (c *Call) exchange(conn net.Conn) (*Answer, error) {
	out, w, r := opening(), newRequests(c), newReader(conn)
	if q := c.Question; q != nil {
		r.answer.many = true
		if err := r.exchange(w.append(out, r.stream, q.Path, q.Messages...)); err != nil {
			return nil, unprocessed(err)
		}
		if !bytes.Equal(r.answer.sum(len(q.Messages)), q.Sum) {
			return nil, ErrChanged
		}
		r.next()
		out = nil
	}
	if err := r.exchange(w.append(out, r.stream, c.Path, c.Message)); err != nil {
		return nil, err
	}
	return r.answer.finish()
}

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

// unprocessed marks an error that came before the call.
func unprocessed(err error) error {
	if e, ok := errors.AsType[*CallError](err); ok {
		e.Unprocessed = true
	}
	return err
}
