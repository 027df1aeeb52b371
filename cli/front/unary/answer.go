package unary

import (
	"encoding/base64"
	"encoding/binary"
	"hash"
	"math"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http2/hpack"
)

// answer is the answer to a call as far as it is there: headers, data, trailers.
type answer struct {
	fields map[string]string // the last value of each
	size   int               // of all fields, unpacked

	status string // of HTTP, of the header that is being read
	headed bool   // the header is there; another is that of the trailers
	ended  bool
	data   []byte  // the frame of the message
	many   *digest // of a question: there may be more than one message, and nobody keeps them
}

// digest is the SHA-256 of messages, each after its length, as dynamic.Probe has it. It
// takes them as they come.
type digest struct {
	hash     hash.Hash
	prefix   []byte // of the message that comes next, as far as it is there
	left     uint64 // bytes of the message that is coming
	messages int
	size     int // bytes of all that came
}

// add takes a part of the messages' frames.
func (d *digest) add(p []byte) error {
	if d.size += len(p); d.size > MaxAnswer {
		return failed(CodeResourceExhausted, "the answers have more than %d bytes", MaxAnswer)
	}
	for len(p) > 0 {
		if d.left > 0 {
			n := min(d.left, uint64(len(p)))
			d.hash.Write(p[:n])
			p, d.left = p[n:], d.left-n
			continue
		}
		n := min(prefixSize-len(d.prefix), len(p))
		d.prefix, p = append(d.prefix, p[:n]...), p[n:]
		if len(d.prefix) < prefixSize {
			return nil
		}
		if d.prefix[0] != 0 {
			return failed(CodeInternal, "the server compressed the answer, which nobody asked for")
		}
		d.left = uint64(binary.BigEndian.Uint32(d.prefix[1:]))
		d.hash.Write(binary.LittleEndian.AppendUint64(nil, d.left))
		d.prefix, d.messages = d.prefix[:0], d.messages+1
	}
	return nil
}

// prefixSize is the size of what is before each message: whether it is compressed, and
// its length.
const prefixSize = 5

// beginHeader is told before the fields of a header.
func (a *answer) beginHeader() {
	a.status = ""
	if a.fields == nil {
		a.fields = map[string]string{}
	}
}

// onField takes a field of a header. What is too much is left out; tooLarge tells.
func (a *answer) onField(f hpack.HeaderField) {
	a.size += len(f.Name) + len(f.Value) + 32 // as HTTP/2 counts them
	switch {
	case a.tooLarge():
	case f.Name == ":status":
		a.status = f.Value
	case !strings.HasPrefix(f.Name, ":"):
		a.fields[f.Name] = f.Value
	}
}

func (a *answer) tooLarge() bool { return a.size > maxHeaders }

// endHeader is told after the fields of a header, with whether the stream ends there.
func (a *answer) endHeader(last bool) error {
	switch {
	case a.headed && !last:
		return broken("a header in the middle of the answer")
	case a.headed: // trailers
	case !last && strings.HasPrefix(a.status, "1") && len(a.status) == 3:
		clear(a.fields) // something on the way says that it goes on
		return nil
	case a.status != "200" || !isGRPC(a.fields["content-type"]):
		return httpError(a.status, a.fields["content-type"])
	}
	if !last {
		delete(a.fields, "grpc-status") // it counts in trailers
	}
	a.headed, a.ended = true, last
	return nil
}

// isGRPC reports whether a content type is that of gRPC.
func isGRPC(contentType string) bool {
	rest, ok := strings.CutPrefix(strings.ToLower(contentType), "application/grpc")
	return ok && (rest == "" || rest[0] == '+' || rest[0] == ';')
}

// httpError is the error of an answer that is not gRPC's: that of a proxy on the way,
// mostly. The codes are those that gRPC gives to the status.
func httpError(status, contentType string) error {
	code := CodeUnknown
	switch status {
	case "400":
		code = CodeInternal
	case "401":
		code = CodeUnauthenticated
	case "403":
		code = CodePermissionDenied
	case "404":
		code = CodeUnimplemented
	case "429", "502", "503", "504":
		code = CodeUnavailable
	}
	return failed(code, "this is no gRPC server: it answered with HTTP status %q and content type %q", status, contentType)
}

// onData takes a part of the answer's message.
func (a *answer) onData(p []byte, last bool) error {
	if !a.headed {
		return broken("data before the header")
	}
	a.ended = last
	if a.many != nil {
		return a.many.add(p)
	}
	a.data = append(a.data, p...)
	if len(a.data) < prefixSize {
		return nil
	}
	size := uint64(binary.BigEndian.Uint32(a.data[1:]))
	switch {
	case a.data[0] != 0:
		return failed(CodeInternal, "the server compressed the answer, which nobody asked for")
	case size > MaxAnswer:
		return failed(CodeResourceExhausted, "the answer has %d bytes; at most %d are taken", size, MaxAnswer)
	case uint64(len(a.data)-prefixSize) > size:
		return failed(CodeInternal, "the server sent more than one answer")
	}
	return nil
}

// finish reads the status out of the trailers and the message out of its frame.
func (a *answer) finish() (*Answer, error) {
	text, known := a.fields["grpc-status"]
	if !known {
		return nil, failed(CodeUnknown, "the server ended the call without a status")
	}
	code, err := strconv.ParseUint(text, 10, 32)
	if err != nil || code > math.MaxInt32 {
		return nil, failed(CodeUnknown, "the server ended the call with the status %q", text)
	}
	out := &Answer{
		Code:     int(code),
		Text:     percentDecode(a.fields["grpc-message"]),
		Details:  decodeBinary(a.fields["grpc-status-details-bin"]),
		Metadata: a.fields,
	}
	whole := len(a.data) >= prefixSize && uint64(binary.BigEndian.Uint32(a.data[1:])) <= uint64(len(a.data)-prefixSize)
	switch {
	case whole:
		out.Message = slices.Clip(a.data[prefixSize:])
	case code != 0:
	case len(a.data) == 0:
		return nil, failed(CodeInternal, "the server ended the call without an answer")
	default:
		return nil, failed(CodeInternal, "the server ended the call in the middle of the answer")
	}
	return out, nil
}

// sum returns the digest of n messages; nil when there are not n or the call failed.
func (a *answer) sum(n int) []byte {
	d := a.many
	if a.fields["grpc-status"] != "0" || d.messages != n || d.left > 0 || len(d.prefix) > 0 {
		return nil
	}
	return d.hash.Sum(nil)
}

// decodeBinary decodes the value of a -bin key, nil when it is none. Padding is
// optional (gRPC over HTTP2, Custom-Metadata).
func decodeBinary(s string) []byte {
	b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "="))
	if err != nil || len(b) == 0 {
		return nil
	}
	return b
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
