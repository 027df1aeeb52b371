package front

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2/hpack"
)

// This file is a gRPC client for one unary call on a connection of its own: what
// a command needs, and no more. It sends the request together with the preface,
// before it has heard the server (RFC 9113, 3.4), so a call takes one round trip
// after the connection. What it does not do, microd does with grpc-go.

const (
	// maxRequest is what may be sent before the server's first window update, in
	// one connection window with the frames' own prefix.
	maxRequest = 60 << 10
	maxAnswer  = 64 << 20
	maxFrame   = 16 << 10 // ours and, as long as we do not say otherwise, the server's
	maxHeaders = 1 << 20
	streamID   = 1
)

// Frame types and flags of RFC 9113, 6.
const (
	frameData         = 0x0
	frameHeaders      = 0x1
	frameRST          = 0x3
	frameSettings     = 0x4
	framePing         = 0x6
	frameGoAway       = 0x7
	frameWindowUpdate = 0x8
	frameContinuation = 0x9

	flagEndStream  = 0x1
	flagAck        = 0x1
	flagEndHeaders = 0x4
	flagPadded     = 0x8
	flagPriority   = 0x20
)

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// Call is one unary call.
type Call struct {
	Address  string      // host:port
	TLS      *tls.Config // nil: in clear
	Path     string      // /package.Service/Method
	Metadata []hpack.HeaderField
	Message  []byte
	Timeout  time.Duration // 0: none
}

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

// Do makes the call. The error is a [ConnectError] when nothing was sent, else what
// broke the connection; a call that the server refused is an answer.
func (c *Call) Do(ctx context.Context) (*Answer, error) {
	if len(c.Message) > maxRequest {
		return nil, ErrTooLarge
	}
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.Timeout)
		defer cancel()
	}
	conn, err := c.connect(ctx)
	if err != nil {
		return nil, &ConnectError{Address: c.Address, Err: err}
	}
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

func (c *Call) connect(ctx context.Context) (net.Conn, error) {
	d := net.Dialer{Timeout: 10 * time.Second}
	conn, err := d.DialContext(ctx, "tcp", c.Address)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) && op.Err != nil {
			err = op.Err
		}
		return nil, err
	}
	if c.TLS == nil {
		return conn, nil
	}
	config := c.TLS.Clone()
	config.NextProtos = []string{"h2"}
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(c.Address)
	}
	t := tls.Client(conn, config)
	if err := t.HandshakeContext(ctx); err != nil {
		_ = conn.Close() // the handshake says what is wrong
		return nil, err
	}
	if t.ConnectionState().NegotiatedProtocol != "h2" {
		_ = conn.Close()
		return nil, errors.New("the server does not speak HTTP/2")
	}
	return t, nil
}

// exchange writes the request and reads until the stream has ended.
func (c *Call) exchange(conn net.Conn) (*Answer, error) {
	if _, err := conn.Write(c.request()); err != nil {
		return nil, err
	}
	r := &reader{conn: conn, headers: hpack.NewDecoder(4096, nil), answer: &Answer{Metadata: map[string]string{}}}
	r.headers.SetMaxStringLength(maxHeaders)
	for !r.ended {
		if err := r.frame(); err != nil {
			return nil, err
		}
	}
	return r.finish()
}

// request returns all bytes of the request: preface, settings, headers and message.
func (c *Call) request() []byte {
	var head bytes.Buffer
	enc := hpack.NewEncoder(&head)
	scheme := "http"
	if c.TLS != nil {
		scheme = "https"
	}
	for _, f := range []hpack.HeaderField{
		{Name: ":method", Value: "POST"},
		{Name: ":scheme", Value: scheme},
		{Name: ":path", Value: c.Path},
		{Name: ":authority", Value: c.Address},
		{Name: "content-type", Value: "application/grpc"},
		{Name: "te", Value: "trailers"},
		{Name: "user-agent", Value: "micro"},
	} {
		_ = enc.WriteField(f) // to a buffer
	}
	if c.Timeout > 0 {
		_ = enc.WriteField(hpack.HeaderField{Name: "grpc-timeout", Value: strconv.FormatInt(max(1, c.Timeout.Milliseconds()), 10) + "m"})
	}
	for _, f := range c.Metadata {
		_ = enc.WriteField(f)
	}

	b := make([]byte, 0, len(preface)+head.Len()+len(c.Message)+128)
	b = append(b, preface...)
	// Windows so large that no update is ever needed: the answer is bounded.
	b = appendFrame(b, frameSettings, 0, 0, []byte{
		0x0, 0x2, 0, 0, 0, 0, // no push
		0x0, 0x4, 0x7f, 0xff, 0xff, 0xff, // initial window
	})
	b = appendFrame(b, frameWindowUpdate, 0, 0, binary.BigEndian.AppendUint32(nil, 1<<31-1-65535))
	rest := head.Bytes()
	for kind := byte(frameHeaders); ; kind = frameContinuation {
		n := min(len(rest), maxFrame)
		var flags byte
		if n == len(rest) {
			flags = flagEndHeaders
		}
		b = appendFrame(b, kind, flags, streamID, rest[:n])
		if rest = rest[n:]; len(rest) == 0 {
			break
		}
	}
	message := make([]byte, 0, 5+len(c.Message))
	message = append(message, 0) // not compressed
	message = binary.BigEndian.AppendUint32(message, uint32(len(c.Message)))
	message = append(message, c.Message...)
	for {
		n := min(len(message), maxFrame)
		var flags byte
		if n == len(message) {
			flags = flagEndStream
		}
		b = appendFrame(b, frameData, flags, streamID, message[:n])
		if message = message[n:]; len(message) == 0 {
			return b
		}
	}
}

func appendFrame(b []byte, kind, flags byte, stream uint32, payload []byte) []byte {
	n := len(payload)
	b = append(b, byte(n>>16), byte(n>>8), byte(n), kind, flags)
	b = binary.BigEndian.AppendUint32(b, stream)
	return append(b, payload...)
}

// reader takes the frames of the answer.
type reader struct {
	conn    net.Conn
	buf     []byte // read and not used yet
	headers *hpack.Decoder
	block   []byte // of header frames that go on
	flags   byte   // of the first of them
	inBlock bool
	answer  *Answer
	status  string // of HTTP
	kind    string // the content type
	data    []byte
	ended   bool
}

// next returns the next n bytes, which are valid until the next call.
func (r *reader) next(n int) ([]byte, error) {
	for len(r.buf) < n {
		chunk := make([]byte, max(8<<10, n-len(r.buf)))
		m, err := r.conn.Read(chunk)
		r.buf = append(r.buf, chunk[:m]...)
		if err != nil && len(r.buf) < n {
			if errors.Is(err, io.EOF) {
				err = errors.New("the server closed the connection in the middle of the answer")
			}
			return nil, err
		}
	}
	b := r.buf[:n:n]
	r.buf = r.buf[n:]
	return b, nil
}

func (r *reader) frame() error {
	h, err := r.next(9)
	if err != nil {
		return err
	}
	size := int(h[0])<<16 | int(h[1])<<8 | int(h[2])
	kind, flags := h[3], h[4]
	stream := binary.BigEndian.Uint32(h[5:]) & (1<<31 - 1)
	if size > maxFrame {
		return fmt.Errorf("the server sent a frame of %d bytes", size)
	}
	p, err := r.next(size)
	if err != nil {
		return err
	}
	if r.inBlock && (kind != frameContinuation || stream != streamID) {
		return errors.New("the server sent another frame between those of a header")
	}
	switch kind {
	case frameData:
		return r.onData(stream, flags, p)
	case frameHeaders:
		return r.onHeaders(stream, flags, p)
	case frameContinuation:
		if !r.inBlock {
			return errors.New("the server sent a continuation of nothing")
		}
		return r.onBlock(flags, p)
	case frameSettings:
		if flags&flagAck == 0 {
			return r.write(appendFrame(nil, frameSettings, flagAck, 0, nil))
		}
	case framePing:
		if flags&flagAck == 0 {
			return r.write(appendFrame(nil, framePing, flagAck, 0, p))
		}
	case frameRST:
		if stream == streamID && len(p) == 4 {
			return fmt.Errorf("the server reset the call (HTTP/2 error %d)", binary.BigEndian.Uint32(p))
		}
	case frameGoAway:
		if len(p) < 8 {
			return errors.New("the server sent a broken GOAWAY")
		}
		if binary.BigEndian.Uint32(p)&(1<<31-1) < streamID {
			return fmt.Errorf("the server takes no more calls (HTTP/2 error %d)", binary.BigEndian.Uint32(p[4:]))
		}
	}
	return nil // window updates and frames of extensions
}

func (r *reader) write(b []byte) error {
	_, err := r.conn.Write(b)
	return err
}

// unpad cuts padding off a frame's payload.
func unpad(flags byte, p []byte) ([]byte, error) {
	if flags&flagPadded == 0 {
		return p, nil
	}
	if len(p) == 0 || int(p[0]) >= len(p) {
		return nil, errors.New("the server sent a frame with more padding than bytes")
	}
	return p[1 : len(p)-int(p[0])], nil
}

func (r *reader) onData(stream uint32, flags byte, p []byte) error {
	if stream != streamID {
		return nil
	}
	p, err := unpad(flags, p)
	if err != nil {
		return err
	}
	if len(r.data)+len(p) > maxAnswer {
		return fmt.Errorf("the answer is larger than %d bytes", maxAnswer)
	}
	r.data = append(r.data, p...)
	r.ended = flags&flagEndStream != 0
	return nil
}

func (r *reader) onHeaders(stream uint32, flags byte, p []byte) error {
	if stream != streamID {
		return nil
	}
	p, err := unpad(flags, p)
	if err != nil {
		return err
	}
	if flags&flagPriority != 0 {
		if len(p) < 5 {
			return errors.New("the server sent a broken header")
		}
		p = p[5:]
	}
	r.inBlock, r.flags, r.block = true, flags, r.block[:0]
	return r.onBlock(flags, p)
}

// onBlock adds a part of a header, and decodes it when it is whole.
func (r *reader) onBlock(flags byte, p []byte) error {
	if len(r.block)+len(p) > maxHeaders {
		return fmt.Errorf("the server sent a header of more than %d bytes", maxHeaders)
	}
	r.block = append(r.block, p...)
	if flags&flagEndHeaders == 0 {
		return nil
	}
	r.inBlock = false
	fields, err := r.headers.DecodeFull(r.block)
	if err != nil {
		return fmt.Errorf("the server sent a header that cannot be decoded: %w", err)
	}
	for _, f := range fields {
		switch f.Name {
		case ":status":
			r.status = f.Value
		case "content-type":
			r.kind = f.Value
		default:
			r.answer.Metadata[f.Name] = f.Value
		}
	}
	r.ended = r.flags&flagEndStream != 0
	return nil
}

// finish reads the status out of the trailers and the message out of its frame.
func (r *reader) finish() (*Answer, error) {
	a := r.answer
	code, known := a.Metadata["grpc-status"]
	if !known {
		if r.status != "200" || !strings.HasPrefix(r.kind, "application/grpc") {
			return nil, fmt.Errorf("this is no gRPC server: it answered with HTTP status %s and content type %q", r.status, r.kind)
		}
		return nil, errors.New("the server ended the call without a status")
	}
	var err error
	if a.Code, err = strconv.Atoi(code); err != nil || a.Code < 0 {
		return nil, fmt.Errorf("the server ended the call with the status %q", code)
	}
	a.Text = percentDecode(a.Metadata["grpc-message"])
	if d := a.Metadata["grpc-status-details-bin"]; d != "" {
		// Padding is optional (gRPC over HTTP2, Custom-Metadata).
		if b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(d, "=")); err == nil {
			a.Details = b
		}
	}
	if a.Code != 0 {
		return a, nil
	}
	if len(r.data) < 5 {
		return nil, errors.New("the server ended the call without an answer")
	}
	size := binary.BigEndian.Uint32(r.data[1:])
	switch {
	case r.data[0] != 0:
		return nil, errors.New("the server compressed the answer without being asked to")
	case uint64(size) != uint64(len(r.data)-5):
		return nil, errors.New("the server sent more or less than one answer")
	}
	a.Message = r.data[5:]
	return a, nil
}

// percentDecode decodes grpc-message; what is not well-formed stays as it is.
func percentDecode(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if v, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(v))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
