package unary

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"

	"golang.org/x/net/http2/hpack"
)

const (
	// maxHeaders bounds all headers and trailers of an answer: their frames, and
	// what they unpack to.
	maxHeaders = 1 << 20
	// maxIdle bounds the frames of an answer that bring it no further: pings,
	// settings, empty data. A server that keeps a connection alive sends a few an
	// hour.
	maxIdle = 10_000
	// tlsAlert begins what a TLS server answers to what is not TLS.
	tlsAlert = 0x15
)

// reader takes the frames of the answer.
type reader struct {
	conn    net.Conn
	buf     *bufio.Reader
	payload []byte // of the frame that is looked at, which nobody keeps
	headers *hpack.Decoder
	stream  uint32 // of the call that is waited for
	greeted bool   // the server's first frame was there
	inBlock bool   // a header goes on in the next frame
	block   []byte // of header frames that go on
	end     bool   // the header is the last thing of the stream
	size    int    // of all header frames
	idle    int
	last    uint32 // the last stream that the server takes
	answer  answer
}

func newReader(conn net.Conn) *reader {
	r := &reader{conn: conn, last: 1<<31 - 1, buf: bufio.NewReaderSize(conn, 2*maxFrame), headers: hpack.NewDecoder(4096, nil)}
	r.headers.SetMaxStringLength(maxHeaders)
	r.headers.SetEmitFunc(r.answer.onField)
	return r
}

// next makes the reader wait for the answer to the next call, which may have many
// messages, and returns the stream of that.
func (r *reader) next(many bool) (stream uint32, err error) {
	if r.stream == 0 {
		r.stream = streamID
	} else {
		r.stream += 2
	}
	r.answer = answer{}
	if many {
		r.answer.many = &digest{hash: sha256.New()}
	}
	if r.stream > r.last {
		err = &CallError{Code: CodeUnavailable, Reason: "the server takes no more calls", Unprocessed: true}
	}
	return r.stream, err
}

// frame reads one frame and acts on it.
func (r *reader) frame() error {
	if !r.greeted {
		if err := r.greeting(); err != nil {
			return err
		}
	}
	var h [9]byte
	if err := r.read(h[:]); err != nil {
		return err
	}
	size := int(h[0])<<16 | int(h[1])<<8 | int(h[2])
	kind, flags := h[3], h[4]
	stream := binary.BigEndian.Uint32(h[5:]) & (1<<31 - 1)
	if size > maxFrame {
		return failed(CodeInternal, "the server sent a frame of %d bytes", size)
	}
	if cap(r.payload) < size {
		r.payload = make([]byte, size)
	}
	p := r.payload[:size]
	if err := r.read(p); err != nil {
		return err
	}
	if r.inBlock && (kind != frameContinuation || stream != r.stream) {
		return broken("another frame between those of a header")
	}
	switch kind {
	case frameData:
		return r.onData(stream, flags, p)
	case frameHeaders:
		return r.onHeaders(stream, flags, p)
	case frameContinuation:
		if !r.inBlock {
			return broken("a continuation of nothing")
		}
		return r.onBlock(flags, p)
	case framePushPromise:
		return broken("a push, which nobody asked for")
	case frameRST:
		return r.onReset(stream, p)
	case frameGoAway:
		return r.onGoAway(p)
	case frameSettings, framePing:
		return r.onEcho(kind, flags, stream, p)
	default: // priorities, window updates and frames of extensions
		return r.onIdle()
	}
}

func (r *reader) read(b []byte) error {
	_, err := io.ReadFull(r.buf, b)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded): // the end of the context
		return err
	case !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		return failed(CodeUnavailable, "the connection broke before the answer was there: %s", Cause(err.Error()))
	case !r.greeted:
		return failed(CodeUnavailable, "the server closed the connection without an answer")
	default:
		return failed(CodeUnavailable, "the server closed the connection in the middle of the answer")
	}
}

// greeting looks whether the server begins as one of HTTP/2 does, with its settings,
// and says what it speaks instead as far as the first bytes tell.
func (r *reader) greeting() error {
	first, _ := r.buf.Peek(greetingSize) // the error comes again when they are read
	if reason := Greeting(first); reason != "" {
		return failed(CodeUnavailable, "%s", reason)
	}
	r.greeted = len(first) == greetingSize
	return nil
}

// greetingSize is how many bytes tell whether a server speaks HTTP/2: the header of a
// frame.
const greetingSize = 9

// Greeting returns what is wrong with the first bytes of a server, as far as those that
// came tell, and nothing when they are how one of HTTP/2 begins.
func Greeting(first []byte) string {
	switch {
	case len(first) >= 5 && string(first[:5]) == "HTTP/":
		return "this is no gRPC server: it speaks HTTP/1"
	case len(first) >= 2 && first[0] == tlsAlert && first[1] == 3:
		return "the server wants TLS: an address with tls:// uses it"
	case len(first) >= greetingSize && (first[0] != 0 || string(first[3:greetingSize]) != "\x04\x00\x00\x00\x00\x00"):
		return "the server does not speak HTTP/2"
	}
	return ""
}

// broken is the error of a server that does not keep to HTTP/2.
func broken(what string) error { return failed(CodeInternal, "the server sent %s", what) }

// onIdle counts a frame that brings the answer no further.
func (r *reader) onIdle() error {
	if r.idle++; r.idle > maxIdle {
		return failed(CodeUnavailable, "the server sent %d frames that do not belong to the answer", r.idle)
	}
	return nil
}

// unpad cuts padding off a frame's payload.
func unpad(flags byte, p []byte) ([]byte, error) {
	if flags&flagPadded == 0 {
		return p, nil
	}
	if len(p) == 0 || int(p[0]) >= len(p) {
		return nil, broken("a frame with more padding than bytes")
	}
	return p[1 : len(p)-int(p[0])], nil
}

func (r *reader) onData(stream uint32, flags byte, p []byte) error {
	if stream != r.stream {
		return broken("data of a call that was not made")
	}
	p, err := unpad(flags, p)
	if err != nil {
		return err
	}
	if len(p) == 0 {
		if err := r.onIdle(); err != nil {
			return err
		}
	}
	return r.answer.onData(p, flags&flagEndStream != 0)
}

func (r *reader) onHeaders(stream uint32, flags byte, p []byte) error {
	if stream != r.stream {
		return broken("a header of a call that was not made")
	}
	p, err := unpad(flags, p)
	if err != nil {
		return err
	}
	if flags&flagPriority != 0 {
		if len(p) < 5 {
			return broken("a broken header")
		}
		p = p[5:]
	}
	r.inBlock, r.end, r.block = true, flags&flagEndStream != 0, r.block[:0]
	return r.onBlock(flags, p)
}

// onBlock adds a part of a header, and decodes it when it is whole.
func (r *reader) onBlock(flags byte, p []byte) error {
	// A little for each frame, so that empty ones come to an end too.
	if r.size += len(p) + 16; r.size > maxHeaders {
		return failed(CodeResourceExhausted, "the server sent headers of more than %d bytes", maxHeaders)
	}
	r.block = append(r.block, p...)
	if flags&flagEndHeaders == 0 {
		return nil
	}
	r.inBlock = false
	r.answer.beginHeader()
	_, err := r.headers.Write(r.block)
	if err == nil {
		err = r.headers.Close()
	}
	if r.answer.tooLarge() {
		return failed(CodeResourceExhausted, "the server sent headers that unpack to more than %d bytes", maxHeaders)
	}
	if err != nil {
		return failed(CodeInternal, "the server sent a header that cannot be decoded: %s", err)
	}
	return r.answer.endHeader(r.end)
}

// onEcho answers settings and pings.
func (r *reader) onEcho(kind, flags byte, stream uint32, p []byte) error {
	if stream != 0 || kind == framePing && len(p) != 8 || kind == frameSettings && len(p)%6 != 0 {
		return broken("broken settings or a broken ping")
	}
	if err := r.onIdle(); err != nil || flags&flagAck != 0 {
		return err
	}
	if kind == frameSettings {
		p = nil // none of them concerns what is sent already
	}
	if _, err := r.conn.Write(appendFrame(nil, kind, flagAck, 0, p)); err != nil {
		return r.onUnheard(err)
	}
	return nil
}

// onUnheard passes over that the server does not read any more: what it has sent
// may be the whole answer. The end of the context is told from that.
func (r *reader) onUnheard(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return nil
}

// HTTP/2 error codes that mean something else than a broken call (RFC 9113, 7).
const (
	resetRefused     = 0x7
	resetCancel      = 0x8
	resetCalm        = 0xb
	resetInsecure    = 0xc
	resetHTTP1Wanted = 0xd
)

func (r *reader) onReset(stream uint32, p []byte) error {
	if stream != r.stream {
		return r.onIdle()
	}
	if len(p) != 4 {
		return broken("a broken reset")
	}
	cause := binary.BigEndian.Uint32(p)
	e := &CallError{Code: CodeInternal}
	switch cause {
	case resetRefused, resetHTTP1Wanted:
		e.Code, e.Unprocessed = CodeUnavailable, true
	case resetCancel:
		e.Code = CodeCanceled
	case resetCalm:
		e.Code = CodeResourceExhausted
	case resetInsecure:
		e.Code = CodePermissionDenied
	}
	e.Reason = "the server reset the call (HTTP/2: " + resetName(cause) + ")"
	return e
}

// onGoAway ends a call that the server will not take. One that it has taken goes
// on.
func (r *reader) onGoAway(p []byte) error {
	if len(p) < 8 {
		return broken("a broken goodbye")
	}
	if r.last = min(r.last, binary.BigEndian.Uint32(p)&(1<<31-1)); r.last >= r.stream {
		return r.onIdle()
	}
	return &CallError{
		Code:        CodeUnavailable,
		Reason:      "the server takes no more calls (HTTP/2: " + resetName(binary.BigEndian.Uint32(p[4:])) + ")",
		Unprocessed: true,
	}
}

// resetName returns the name of an HTTP/2 error code.
func resetName(code uint32) string {
	names := [...]string{
		"no error", "protocol error", "internal error", "flow control error", "settings timeout", "stream closed",
		"frame size error", "refused stream", "cancel", "compression error", "connect error", "enhance your calm",
		"inadequate security", "HTTP/1.1 required",
	}
	if uint64(code) < uint64(len(names)) {
		return names[code]
	}
	return "an unknown error"
}
