package unary

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2/hpack"
)

// What a stranger may send in the place of a gRPC server.

// wantCallError checks how a call has failed.
func wantCallError(t *testing.T, err error, code int, reason string) {
	t.Helper()
	var e *CallError
	if !errors.As(err, &e) {
		t.Errorf("error %v, want a CallError", err)
		return
	}
	if e.Code != code || !strings.Contains(e.Reason, reason) {
		t.Errorf("error %s: %q, want %s: %q", CodeName(e.Code), e.Reason, CodeName(code), reason)
	}
}

// script is a connection to a server that says what it says, whatever it is told.
type script struct {
	net.Conn // none
	says     io.Reader
	end      error // after that; io.EOF when nil
	heard    bytes.Buffer
	deaf     error // of writes
}

func (s *script) Read(b []byte) (int, error) {
	n, err := s.says.Read(b)
	if errors.Is(err, io.EOF) && s.end != nil {
		err = s.end
	}
	return n, err
}

func (s *script) Write(b []byte) (int, error) {
	if s.deaf != nil {
		return 0, s.deaf
	}
	return s.heard.Write(b)
}

// exchange makes a call of a server that says what is given.
func exchange(says ...[]byte) (*Answer, error) {
	return over(&script{says: bytes.NewReader(join(says...))})
}

// over makes a call over a connection.
func over(conn net.Conn) (*Answer, error) {
	return newConn(Server{}, conn).Do(context.Background(), &Call{})
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func frame(kind, flags byte, stream uint32, payload ...byte) []byte {
	return appendFrame(nil, kind, flags, stream, payload)
}

// settings are what a server begins with.
func settings() []byte { return frame(frameSettings, 0, 0) }

// block returns a header block of names and values.
func block(fields ...string) []byte {
	var b bytes.Buffer
	enc := hpack.NewEncoder(&b)
	for i := 0; i < len(fields); i += 2 {
		_ = enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1], Sensitive: true}) // to a buffer
	}
	return b.Bytes()
}

func header(flags byte, fields ...string) []byte {
	return frame(frameHeaders, flags|flagEndHeaders, streamID, block(fields...)...)
}

// begin and end are the header and the trailers of an answer that is right.
func begin() []byte { return header(0, ":status", "200", "content-type", "application/grpc") }

func end() []byte { return header(flagEndStream, "grpc-status", "0") }

func data(flags byte, payload ...byte) []byte { return frame(frameData, flags, streamID, payload...) }

// message is the frame of the message "hi".
func message() []byte { return []byte{0, 0, 0, 0, 2, 'h', 'i'} }

func good() []byte { return join(settings(), begin(), data(0, message()...), end()) }

func TestAnswer(t *testing.T) {
	t.Parallel()
	goodbye := func(last uint32) []byte {
		return frame(frameGoAway, 0, 0, binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, last), 0)...)
	}
	whole := block(":status", "200", "content-type", "application/grpc+proto")
	for _, tt := range []struct {
		name string
		says []byte
	}{
		{"at once", good()},
		{"without padding", join(settings(), begin(), data(flagPadded, append([]byte{0}, message()...)...), end())},
		{"with padding", join(settings(), begin(), data(flagPadded, join([]byte{3}, message(), []byte("pad"))...), end())},
		{"a padded header with a priority", join(settings(),
			frame(frameHeaders, flagEndHeaders|flagPadded|flagPriority, streamID, join([]byte{2, 0, 0, 0, 0, 1}, whole, []byte{0, 0})...),
			data(0, message()...), end())},
		{"a byte at a time", join(settings(), begin(),
			data(0, 0), data(0), data(0, 0), data(0, 0, 0), data(0, 2), data(0, 'h'), data(0, 'i'), end())},
		{"a header in parts", join(settings(),
			frame(frameHeaders, 0, streamID, whole[:3]...), frame(frameContinuation, 0, streamID),
			frame(frameContinuation, 0, streamID, whole[3:9]...), frame(frameContinuation, flagEndHeaders, streamID, whole[9:]...),
			data(0, message()...), end())},
		{"trailers in parts", join(settings(), begin(), data(0, message()...),
			frame(frameHeaders, flagEndStream, streamID), frame(frameContinuation, flagEndHeaders, streamID, block("grpc-status", "0")...))},
		{"it goes on", join(settings(), header(0, ":status", "103", "link", "x"), header(0, ":status", "100"), begin(), data(0, message()...), end())},
		{"several settings", join(frame(frameSettings, 0, 0, 0, 1, 0, 0, 0, 0), frame(frameSettings, flagAck, 0), settings(), begin(), settings(),
			data(0, message()...), frame(frameSettings, 0, 0, 0, 4, 0, 0, 0, 1), end())},
		{"pings, priorities, windows, resets of other calls and what is not known", join(settings(),
			frame(framePing, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8), frame(framePing, flagAck, 0, 8, 7, 6, 5, 4, 3, 2, 1), frame(framePriority, 0, 3, 0, 0, 0, 0, 0),
			frame(frameWindowUpdate, 0, 0, 0, 0, 0, 1), frame(frameWindowUpdate, 0, streamID, 0, 0, 0, 1), frame(frameRST, 0, 3, 0, 0, 0, 8),
			begin(), frame(0xbe, 0xff, 7, 1, 2, 3), data(0, message()...), frame(0xff, 0, 0), end())},
		{"goodbye, after this call", join(settings(), goodbye(1<<31-1), begin(), goodbye(streamID), data(0, message()...), end())},
		{"more after the end", join(good(), []byte("and so on"))},
		{"a reset after the end", join(good(), frame(frameRST, 0, streamID, 0, 0, 0, 0))},
		{"a status in the header", join(settings(), header(0, ":status", "200", "content-type", "application/grpc;x=y", "grpc-status", "5"),
			data(0, message()...), end())},
		{"details that are none", join(settings(), begin(), data(0, message()...), header(flagEndStream, "grpc-status", "0", "grpc-status-details-bin", "%"))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a, err := exchange(tt.says)
			if err != nil {
				t.Fatal(err)
			}
			if a.Code != 0 || string(a.Message) != "hi" || a.Details != nil || a.Metadata["link"] != "" {
				t.Errorf("answer = %+v", a)
			}
		})
	}
}

func TestAnswerErrors(t *testing.T) {
	t.Parallel()
	trailers := func(fields ...string) []byte {
		return join(settings(), begin(), data(0, message()...), header(flagEndStream, fields...))
	}
	first := func(fields ...string) []byte { return join(settings(), header(0, fields...)) }
	sent := func(payload ...byte) []byte { return join(settings(), begin(), data(0, payload...), end()) }
	reset := func(code byte) []byte { return join(settings(), frame(frameRST, 0, streamID, 0, 0, 0, code)) }
	for _, tt := range []struct {
		name   string
		says   []byte
		code   int
		reason string
	}{
		{"nothing", nil, CodeUnavailable, "closed the connection without an answer"},
		{"a little", []byte{0, 0}, CodeUnavailable, "closed the connection without an answer"},
		{"HTTP/1", []byte("HTTP/1.1 400 Bad Request\r\n\r\n"), CodeUnavailable, "it speaks HTTP/1"},
		{"a little of HTTP/1", []byte("HTTP/"), CodeUnavailable, "it speaks HTTP/1"},
		{"TLS", []byte{0x15, 3, 1, 0, 2, 2, 0x46}, CodeUnavailable, "wants TLS"},
		{"another protocol", []byte("SSH-2.0-OpenSSH_9.6\r\n"), CodeUnavailable, "does not speak HTTP/2"},
		{"zeros", make([]byte, 1000), CodeUnavailable, "does not speak HTTP/2"},
		{"no settings", begin(), CodeUnavailable, "does not speak HTTP/2"},
		{"settings of a stream", frame(frameSettings, 0, 1), CodeUnavailable, "does not speak HTTP/2"},
		{"settings for settings", frame(frameSettings, flagAck, 0), CodeUnavailable, "does not speak HTTP/2"},
		{"settings alone", settings(), CodeUnavailable, "in the middle"},
		{"half settings", join(settings(), frame(frameSettings, 0, 0, 1, 2, 3)), CodeInternal, "broken settings"},
		{"half a ping", join(settings(), frame(framePing, 0, 0, 1, 2, 3)), CodeInternal, "broken ping"},
		{"a ping of a stream", join(settings(), frame(framePing, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8)), CodeInternal, "broken ping"},
		{"a frame that is too large", join(settings(), []byte{0, 0x40, 1, 0, 0, 0, 0, 0, 1}, make([]byte, 1<<14+1)), CodeInternal, "a frame of 16385 bytes"},
		{"the largest frame", join(settings(), []byte{0xff, 0xff, 0xff, 0xbe, 0, 0, 0, 0, 1}), CodeInternal, "a frame of 16777215 bytes"},

		{"half a header", join(settings(), frame(frameHeaders, 0, streamID, 0x88), settings()), CodeInternal, "another frame between"},
		{"a header within a header", join(settings(), frame(frameHeaders, 0, streamID, 0x88), begin()), CodeInternal, "another frame between"},
		{"the continuation of another call", join(settings(), frame(frameHeaders, 0, streamID, 0x88), frame(frameContinuation, flagEndHeaders, 3)), CodeInternal, "another frame between"},
		{"a continuation of nothing", join(settings(), frame(frameContinuation, flagEndHeaders, streamID)), CodeInternal, "a continuation of nothing"},
		{"a continuation after the end", join(settings(), begin(), frame(frameContinuation, flagEndHeaders, streamID)), CodeInternal, "a continuation of nothing"},
		{"a header of another call", join(settings(), frame(frameHeaders, flagEndHeaders, 3, 0x88)), CodeInternal, "a call that was not made"},
		{"a header with too much padding", join(settings(), frame(frameHeaders, flagEndHeaders|flagPadded, streamID, 1)), CodeInternal, "more padding than bytes"},
		{"a header without its padding", join(settings(), frame(frameHeaders, flagEndHeaders|flagPadded, streamID)), CodeInternal, "more padding than bytes"},
		{"a header without its priority", join(settings(), frame(frameHeaders, flagEndHeaders|flagPriority, streamID, 0, 0, 0, 0)), CodeInternal, "a broken header"},
		{"a field that is not there", join(settings(), frame(frameHeaders, flagEndHeaders, streamID, 0xff, 0x80, 0x80, 0x01)), CodeInternal, "cannot be decoded"},
		{"a field that is cut off", join(settings(), frame(frameHeaders, flagEndHeaders, streamID, 0x40, 0x0a, 'x')), CodeInternal, "cannot be decoded"},
		{"a name of Huffman's that is none", join(settings(), frame(frameHeaders, flagEndHeaders, streamID, 0x40, 0x84, 0xff, 0xff, 0xff, 0xff, 0)), CodeInternal, "cannot be decoded"},
		{"a string without end", join(settings(), frame(frameHeaders, flagEndHeaders, streamID, 0x40, 0x7f, 0xff, 0xff, 0xff, 0x7f)), CodeInternal, "cannot be decoded"},
		{"a table that grows", join(settings(), frame(frameHeaders, flagEndHeaders, streamID, 0x3f, 0xff, 0xff, 0xff, 0x7f)), CodeInternal, "cannot be decoded"},
		{"a push", join(settings(), frame(framePushPromise, flagEndHeaders, streamID, 0, 0, 0, 2)), CodeInternal, "a push"},

		{"no status of HTTP", first("content-type", "application/grpc"), CodeUnknown, `HTTP status ""`},
		{"it goes on and ends", join(settings(), header(flagEndStream, ":status", "100")), CodeUnknown, `HTTP status "100"`},
		{"a page", first(":status", "200", "content-type", "text/html"), CodeUnknown, `no gRPC server: it answered with HTTP status "200" and content type "text/html"`},
		{"no content type", first(":status", "200"), CodeUnknown, "no gRPC server"},
		{"nearly the content type", first(":status", "200", "content-type", "application/grpc-web"), CodeUnknown, "no gRPC server"},
		{"HTTP 400", first(":status", "400"), CodeInternal, "no gRPC server"},
		{"HTTP 401", first(":status", "401"), CodeUnauthenticated, "no gRPC server"},
		{"HTTP 403", first(":status", "403"), CodePermissionDenied, "no gRPC server"},
		{"HTTP 404", first(":status", "404", "content-type", "application/grpc", "grpc-status", "0"), CodeUnimplemented, "no gRPC server"},
		{"HTTP 429", first(":status", "429"), CodeUnavailable, "no gRPC server"},
		{"HTTP 502", first(":status", "502"), CodeUnavailable, "no gRPC server"},
		{"HTTP 503", first(":status", "503"), CodeUnavailable, "no gRPC server"},
		{"HTTP 504", first(":status", "504"), CodeUnavailable, "no gRPC server"},
		{"HTTP 500", first(":status", "500"), CodeUnknown, "no gRPC server"},

		{"no trailers", join(settings(), begin(), data(flagEndStream, message()...)), CodeUnknown, "without a status"},
		{"no trailers, but a status before", join(settings(), header(0, ":status", "200", "content-type", "application/grpc", "grpc-status", "0"),
			data(flagEndStream, message()...)), CodeUnknown, "without a status"},
		{"trailers without a status", trailers("a", "b"), CodeUnknown, "without a status"},
		{"a header in the middle", join(settings(), begin(), begin()), CodeInternal, "a header in the middle"},
		{"a status that is no number", trailers("grpc-status", "zero"), CodeUnknown, `the status "zero"`},
		{"an empty status", trailers("grpc-status", ""), CodeUnknown, `the status ""`},
		{"a status below zero", trailers("grpc-status", "-1"), CodeUnknown, `the status "-1"`},
		{"a status without end", trailers("grpc-status", "99999999999999999999"), CodeUnknown, "the status"},
		{"a status that overflows", trailers("grpc-status", "2147483648"), CodeUnknown, "the status"},
		{"no message", join(settings(), begin(), end()), CodeInternal, "without an answer"},
		{"trailers alone, and well", join(settings(), header(flagEndStream, ":status", "200", "content-type", "application/grpc", "grpc-status", "0")), CodeInternal, "without an answer"},

		{"data first", join(settings(), data(0, message()...)), CodeInternal, "data before the header"},
		{"data of another call", join(settings(), begin(), frame(frameData, 0, 3, message()...)), CodeInternal, "a call that was not made"},
		{"data with too much padding", join(settings(), begin(), data(flagPadded, 4, 1, 2, 3)), CodeInternal, "more padding than bytes"},
		{"a part of the prefix", sent(0, 0, 0), CodeInternal, "in the middle of the answer"},
		{"a part of the message", sent(0, 0, 0, 0, 2, 'h'), CodeInternal, "in the middle of the answer"},
		{"two messages", sent(join(message(), message())...), CodeInternal, "more than one answer"},
		{"a byte more", sent(join(message(), []byte{0})...), CodeInternal, "more than one answer"},
		{"a compressed message", sent(1, 0, 0, 0, 2, 'h', 'i'), CodeInternal, "compressed the answer"},
		{"a message that is said to be huge", sent(0, 0xff, 0xff, 0xff, 0xff), CodeResourceExhausted, "4294967295 bytes"},

		{"a reset for nothing", reset(0), CodeInternal, "reset the call (HTTP/2: no error)"},
		{"refused", reset(7), CodeUnavailable, "refused stream"},
		{"canceled", reset(8), CodeCanceled, "cancel"},
		{"calm", reset(11), CodeResourceExhausted, "enhance your calm"},
		{"insecure", reset(12), CodePermissionDenied, "inadequate security"},
		{"a reset with a code of its own", reset(200), CodeInternal, "an unknown error"},
		{"half a reset", join(settings(), frame(frameRST, 0, streamID, 0, 0)), CodeInternal, "a broken reset"},
		{"goodbye, before this call", join(settings(), frame(frameGoAway, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11)), CodeUnavailable, "takes no more calls (HTTP/2: enhance your calm)"},
		{"half a goodbye", join(settings(), frame(frameGoAway, 0, 0, 0, 0, 0)), CodeInternal, "a broken goodbye"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a, err := exchange(tt.says)
			if a != nil {
				t.Errorf("answer = %+v", a)
			}
			wantCallError(t, err, tt.code, tt.reason)
			unsent := tt.name == "refused" || tt.name == "goodbye, before this call"
			if IsUnsent(err) != unsent {
				t.Errorf("IsUnsent = %t", !unsent)
			}
		})
	}
}

// A connection that ends at any byte of an answer is an error, and so is one that
// breaks there.
func TestAnswerCutOff(t *testing.T) {
	t.Parallel()
	whole := join(good()[:9], begin(), frame(framePing, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8), data(flagPadded, join([]byte{2}, message(), []byte{0, 0})...), end())
	for n := range whole {
		_, err := exchange(whole[:n])
		wantCallError(t, err, CodeUnavailable, "the server closed the connection")
		broken := &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
		_, err = over(&script{says: bytes.NewReader(whole[:n]), end: broken})
		wantCallError(t, err, CodeUnavailable, "connection reset by peer")
		if t.Failed() {
			t.Fatalf("after %d bytes", n)
		}
	}
	if _, err := exchange(whole); err != nil {
		t.Error(err)
	}
}

// endless repeats something for ever, and counts.
type endless struct {
	again, rest []byte
	count       int
}

func (e *endless) Read(b []byte) (int, error) {
	if len(e.rest) == 0 {
		e.rest = e.again
		e.count++
	}
	n := copy(b, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

// A server that never comes to an end does not keep the client for ever.
func TestAnswerWithoutEnd(t *testing.T) {
	t.Parallel()
	// A field of 4000 bytes that is then named again by a byte each time.
	bomb := append([]byte{0x40, 1, 'x', 0x7f, 0xa1, 0x1e}, make([]byte, 4000)...)
	bomb = append(bomb, bytes.Repeat([]byte{0xbe}, maxFrame-len(bomb))...)
	for _, tt := range []struct {
		name        string
		first, then []byte
		code        int
		most        int // repetitions
	}{
		{"pings", settings(), frame(framePing, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8), CodeUnavailable, 2 * maxIdle},
		{"answers to pings", settings(), frame(framePing, flagAck, 0, 1, 2, 3, 4, 5, 6, 7, 8), CodeUnavailable, 2 * maxIdle},
		{"settings", nil, settings(), CodeUnavailable, 2 * maxIdle},
		{"windows", settings(), frame(frameWindowUpdate, 0, 0, 0, 0, 0, 1), CodeUnavailable, 2 * maxIdle},
		{"what is not known", settings(), frame(0x77, 0, 0, make([]byte, maxFrame)...), CodeUnavailable, 2 * maxIdle},
		{"resets of other calls", settings(), frame(frameRST, 0, 3, 0, 0, 0, 0), CodeUnavailable, 2 * maxIdle},
		{"goodbyes", settings(), frame(frameGoAway, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0), CodeUnavailable, 2 * maxIdle},
		{"empty data", join(settings(), begin()), data(0), CodeUnavailable, 2 * maxIdle},
		{"padding", join(settings(), begin()), data(flagPadded, append([]byte{255}, make([]byte, 255)...)...), CodeUnavailable, 2 * maxIdle},
		{"headers that go on", settings(), header(0, ":status", "100"), CodeResourceExhausted, maxHeaders},
		{"a header without end", join(settings(), frame(frameHeaders, 0, streamID)), frame(frameContinuation, 0, streamID, block("a", "b")...), CodeResourceExhausted, maxHeaders},
		{"a header without content", join(settings(), frame(frameHeaders, 0, streamID)), frame(frameContinuation, 0, streamID), CodeResourceExhausted, maxHeaders},
		{"a bomb", settings(), frame(frameHeaders, flagEndHeaders, streamID, bomb...), CodeResourceExhausted, 64},
		{"a bomb in parts", join(settings(), frame(frameHeaders, 0, streamID, bomb...)), frame(frameContinuation, 0, streamID, bytes.Repeat([]byte{0xbe}, maxFrame)...), CodeResourceExhausted, 128},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			forever := &endless{again: tt.then}
			a, err := over(&script{says: io.MultiReader(bytes.NewReader(tt.first), forever)})
			if a != nil {
				t.Errorf("answer = %+v", a)
			}
			wantCallError(t, err, tt.code, "")
			if forever.count > tt.most {
				t.Errorf("it was read %d times", forever.count)
			}
		})
	}
}

// What a server says that does not listen counts.
func TestAnswerOfTheDeaf(t *testing.T) {
	t.Parallel()
	gone := &net.OpError{Op: "write", Net: "tcp", Err: os.NewSyscallError("write", syscall.EPIPE)}
	refusal := join(settings(), header(flagEndStream, ":status", "200", "content-type", "application/grpc", "grpc-status", "8", "grpc-message", "busy"))
	a, err := over(&script{says: bytes.NewReader(refusal), deaf: gone})
	if err != nil || a.Code != 8 || a.Text != "busy" {
		t.Errorf("exchange = %+v, %v", a, err)
	}
	_, err = over(&script{says: strings.NewReader(""), deaf: gone})
	wantCallError(t, err, CodeUnavailable, "send the request: write tcp: write: broken pipe")
}

// The client answers settings and pings.
func TestAnswerHeard(t *testing.T) {
	t.Parallel()
	c := &Call{Path: "/p", Message: []byte("m")}
	s := &script{says: bytes.NewReader(join(settings(), frame(framePing, 0, 0, []byte("12345678")...), good()))}
	if _, err := newConn(Server{}, s).Do(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	got := bytes.TrimPrefix(s.heard.Bytes(), newRequests(Server{}).next(streamID, 0, c.Path, nil, [][]byte{c.Message}))
	ack := frame(frameSettings, flagAck, 0)
	if want := join(ack, frame(framePing, flagAck, 0, []byte("12345678")...), ack); !bytes.Equal(got, want) {
		t.Errorf("the client said %x, want %x", got, want)
	}
}

// How long a server may be silent is for the context to say, in whatever the call is.
func TestSlowServer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		serve func(conn net.Conn)
	}{
		{"does not read", func(net.Conn) {}},
		{"says nothing", func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }},
		{"says a byte a second", func(conn net.Conn) {
			go func() { _, _ = io.Copy(io.Discard, conn) }()
			for _, c := range good() {
				<-time.After(time.Second)
				if _, err := conn.Write([]byte{c}); err != nil {
					return
				}
			}
		}},
		{"pings", func(conn net.Conn) {
			go func() { _, _ = io.Copy(io.Discard, conn) }()
			for say := settings(); ; say = frame(framePing, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8) {
				<-time.After(time.Second)
				if _, err := conn.Write(say); err != nil {
					return
				}
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				near, far := net.Pipe()
				defer far.Close()
				served := make(chan struct{})
				go func() {
					defer close(served)
					tt.serve(far)
				}()
				const patience = 10*time.Second + time.Millisecond
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				begun := time.Now()
				conn := newConn(Server{}, near)
				a, err := conn.Do(ctx, &Call{})
				if !errors.Is(err, context.DeadlineExceeded) || a != nil {
					t.Errorf("Do = %+v, %v", a, err)
				}
				_ = conn.Close() // the server hears of it
				if took := time.Since(begun); took != patience {
					t.Errorf("it took %s", took)
				}
				<-served
			})
		})
	}
}

func TestTimeoutValue(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		1:                          "1n",
		99_999_999:                 "99999999n",
		100_000_000:                "100000u",
		100_000_001:                "100001u",
		time.Second:                "1000000u",
		5 * time.Minute:            "300000m",
		100_000 * time.Second:      "100000S",
		100_000_000 * time.Second:  "1666667M",
		99_999_999*time.Minute + 1: "1666666H",
		time.Duration(1<<63 - 1):   "2562047H",
		24 * time.Hour:             "86400000m",
	} {
		if got := timeoutValue(d); got != want {
			t.Errorf("timeoutValue(%s) = %s, want %s", d, got, want)
		}
	}
}

func TestPercentDecode(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "", "plain": "plain", "a%20b": "a b", "%E2%82%ac": "€", "%": "%", "%4": "%4", "%4g": "%4g", "%%41": "%A", "100%": "100%", "%+1": "%+1", "%00": "\x00",
	} {
		if got := percentDecode(in); got != want {
			t.Errorf("percentDecode(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(good())
	f.Add(join(settings(), frame(frameRST, 0, streamID, 0, 0, 0, 8)))
	f.Add(join(settings(), frame(frameHeaders, 0, streamID, 0x88), frame(frameContinuation, flagEndHeaders, streamID)))
	f.Add(join(settings(), begin(), data(flagPadded, append([]byte{1}, message()...)...), end()))
	f.Add([]byte("HTTP/1.1 200 OK\r\n\r\n"))
	f.Fuzz(func(t *testing.T, says []byte) {
		for _, says := range [][]byte{says, join(settings(), says), join(settings(), begin(), says)} {
			a, err := exchange(says)
			var e *CallError
			switch {
			case err == nil && (a.Code != 0) != (a.Message == nil):
				t.Errorf("answer = %+v", a)
			case err != nil && (!errors.As(err, &e) || e.Code <= 0 || e.Reason == "" || a != nil):
				t.Errorf("exchange = %+v, %v", a, err)
			}
		}
	})
}
