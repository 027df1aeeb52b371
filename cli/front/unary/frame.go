package unary

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"time"

	"golang.org/x/net/http2/hpack"
)

const (
	preface  = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	maxFrame = 16 << 10 // ours and, as long as we do not say otherwise, the server's
	streamID = 1        // of the first call; the next has two more
)

// Frame types and flags of RFC 9113, 6.
const (
	frameData         = 0x0
	frameHeaders      = 0x1
	framePriority     = 0x2
	frameRST          = 0x3
	frameSettings     = 0x4
	framePushPromise  = 0x5
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

// opening returns what a connection begins with: preface and settings.
func opening() []byte {
	b := []byte(preface)
	// Windows so large that no update is ever needed: the answer is bounded.
	b = appendFrame(b, frameSettings, 0, 0, []byte{
		0x0, 0x2, 0, 0, 0, 0, // no push
		0x0, 0x4, 0x7f, 0xff, 0xff, 0xff, // initial window
	})
	return appendFrame(b, frameWindowUpdate, 0, 0, binary.BigEndian.AppendUint32(nil, 1<<31-1-65535))
}

// requests makes the frames of one call after the other on a connection.
type requests struct {
	scheme, authority string
	opened            bool
	head              bytes.Buffer
	enc               *hpack.Encoder // the server's decoder remembers what went before
}

func newRequests(s Server) *requests {
	r := &requests{scheme: "http", authority: s.authority()}
	if s.TLS != nil {
		r.scheme = "https"
	}
	r.enc = hpack.NewEncoder(&r.head)
	return r
}

// next returns headers and messages of a call on a stream, which they end. The first
// has what a connection begins with before it.
func (r *requests) next(stream uint32, timeout time.Duration, path string, md []hpack.HeaderField, messages [][]byte) []byte {
	var b []byte
	if !r.opened {
		b, r.opened = opening(), true
	}
	b = appendFrames(b, stream, frameHeaders, frameContinuation, flagEndHeaders, r.headerBlock(timeout, path, md))
	var data []byte
	for _, m := range messages {
		data = append(data, 0) // not compressed
		data = binary.BigEndian.AppendUint32(data, uint32(len(m)))
		data = append(data, m...)
	}
	return appendFrames(b, stream, frameData, frameData, flagEndStream, data)
}

// headerBlock returns the compressed headers of a call.
func (r *requests) headerBlock(timeout time.Duration, path string, md []hpack.HeaderField) []byte {
	r.head.Reset()
	fields := []hpack.HeaderField{
		{Name: ":method", Value: "POST"},
		{Name: ":scheme", Value: r.scheme},
		{Name: ":path", Value: path},
		{Name: ":authority", Value: r.authority},
		{Name: "content-type", Value: "application/grpc"},
		{Name: "te", Value: "trailers"},
		{Name: "user-agent", Value: "micro"},
	}
	if timeout > 0 {
		fields = append(fields, hpack.HeaderField{Name: "grpc-timeout", Value: timeoutValue(timeout)})
	}
	for _, f := range append(fields, md...) {
		_ = r.enc.WriteField(f) // to a buffer
	}
	return r.head.Bytes()
}

// timeoutValue returns a duration as grpc-timeout has it: at most 8 digits and a
// unit. It is rounded up, by less than a thousandth: the caller gives up first.
func timeoutValue(d time.Duration) string {
	const most = 99_999_999
	for _, unit := range []struct {
		size time.Duration
		name string
	}{{time.Nanosecond, "n"}, {time.Microsecond, "u"}, {time.Millisecond, "m"}, {time.Second, "S"}, {time.Minute, "M"}} {
		n := d / unit.size
		if d%unit.size != 0 {
			n++
		}
		if n <= most {
			return strconv.FormatInt(int64(n), 10) + unit.name
		}
	}
	return strconv.FormatInt(int64(d/time.Hour), 10) + "H"
}

// appendFrames appends a payload in as many frames of a stream as it takes; the
// flag is that of the last one.
func appendFrames(b []byte, stream uint32, kind, next, flag byte, payload []byte) []byte {
	for {
		n := min(len(payload), maxFrame)
		if n == len(payload) {
			return appendFrame(b, kind, flag, stream, payload)
		}
		b = appendFrame(b, kind, 0, stream, payload[:n])
		kind, payload = next, payload[n:]
	}
}

func appendFrame(b []byte, kind, flags byte, stream uint32, payload []byte) []byte {
	n := len(payload)
	b = append(b, byte(n>>16), byte(n>>8), byte(n), kind, flags)
	b = binary.BigEndian.AppendUint32(b, stream)
	return append(b, payload...)
}
