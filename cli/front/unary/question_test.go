package unary

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// serveAsked serves a method that answers each message of a question with prefix and
// the message.
func serveAsked(t *testing.T, prefix string, fail error) Server {
	t.Helper()
	l := listen(t)
	srv := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
		for {
			var in wrapperspb.BytesValue
			if err := s.RecvMsg(&in); errors.Is(err, io.EOF) {
				return fail
			} else if err != nil {
				return err
			}
			if err := s.SendMsg(wrapperspb.Bytes(append([]byte(prefix), in.GetValue()...))); err != nil {
				return err
			}
		}
	}))
	t.Cleanup(srv.Stop)
	go func() { _ = srv.Serve(l) }()
	return at(l)
}

// sumOf returns the sum of answers, as dynamic.Probe has it.
func sumOf(answers ...[]byte) []byte {
	h := sha256.New()
	for _, a := range answers {
		h.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(a))))
		h.Write(a)
	}
	return h.Sum(nil)
}

func TestQuestion(t *testing.T) {
	t.Parallel()
	long := bytes.Repeat([]byte{'x'}, 3*maxFrame)
	for _, tt := range []struct {
		name string
		fail error
		asks [][]byte
		sum  []byte
		want error
	}{
		{"the same answers", nil, [][]byte{value([]byte("a")), value(long)}, sumOf(value([]byte("+a")), value(append([]byte("+"), long...))), nil},
		{"no answers to no messages", nil, nil, sumOf(), nil},
		{"another answer", nil, [][]byte{value([]byte("a"))}, sumOf(value([]byte("-a"))), ErrChanged},
		{"fewer answers", nil, [][]byte{value([]byte("a"))}, sumOf(value([]byte("+a")), value([]byte("+b"))), ErrChanged},
		{"an error after them", status.Error(codes.NotFound, "gone"), [][]byte{value([]byte("a"))}, sumOf(value([]byte("+a"))), ErrChanged},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := serveAsked(t, "+", tt.fail)
			conn, err := Dial(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			err = conn.Ask(t.Context(), &Question{Path: "/t.T/Ask", Messages: tt.asks, Sum: tt.sum})
			if !errors.Is(err, tt.want) {
				t.Fatalf("Ask = %v, want %v", err, tt.want)
			}
			if err != nil {
				if !IsUnsent(err) {
					t.Errorf("IsUnsent(%v) = false", err)
				}
				return
			}
			for _, text := range []string{"hello", "again"} {
				a, err := conn.Do(t.Context(), &Call{Path: "/t.T/Call", Message: value([]byte(text))})
				if err != nil || string(content(t, a.Message)) != "+"+text {
					t.Errorf("answer %+v, %v", a, err)
				}
			}
		})
	}
}

// Whatever goes wrong with the question, the call was not made.
func TestQuestionHostile(t *testing.T) {
	t.Parallel()
	q := &Question{Path: "/q", Messages: [][]byte{[]byte("q")}, Sum: sumOf([]byte("a"))}
	whole := good()
	for n := range whole {
		err := newConn(Server{}, &script{says: bytes.NewReader(whole[:n])}).Ask(t.Context(), q)
		if !IsUnsent(err) {
			t.Fatalf("cut after %d bytes: %v, which could have been sent", n, err)
		}
	}
	for name, says := range map[string][]byte{
		"half a message":    join(settings(), begin(), data(0, 0, 0, 0, 0, 9, 'a'), end()),
		"too many":          join(settings(), begin(), data(0, message()...), data(0, message()...), end()),
		"compressed":        join(settings(), begin(), data(0, 1, 0, 0, 0, 1, 'a'), end()),
		"a reset":           join(settings(), frame(frameRST, 0, streamID, 0, 0, 0, 8)),
		"goodbye":           join(settings(), frame(frameGoAway, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)),
		"the answer of two": join(settings(), frame(frameHeaders, flagEndHeaders, 3, block(":status", "200")...)),
	} {
		if err := newConn(Server{}, &script{says: bytes.NewReader(says)}).Ask(t.Context(), q); !IsUnsent(err) {
			t.Errorf("%s: %v, which could have been sent", name, err)
		}
	}
}

// What is too large to be sent without hearing the server is left to microd, whatever
// was sent before it.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	s := &script{says: bytes.NewReader(good())}
	conn := newConn(Server{}, s)
	if err := conn.Ask(t.Context(), &Question{Path: "/q", Messages: [][]byte{make([]byte, MaxRequest/2), make([]byte, MaxRequest)}}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("Ask = %v, want %v", err, ErrTooLarge)
	}
	if s.heard.Len() > 0 {
		t.Error("something was sent")
	}
	conn = newConn(Server{}, s)
	if _, err := conn.Do(t.Context(), &Call{Message: make([]byte, MaxRequest/2+1)}); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Do(t.Context(), &Call{Message: make([]byte, MaxRequest/2)}); !errors.Is(err, ErrTooLarge) || !IsUnsent(err) {
		t.Errorf("Do = %v, want %v", err, ErrTooLarge)
	}
}

// A goodbye that leaves the call before alone holds for the next one.
func TestGoodbyeBetweenCalls(t *testing.T) {
	t.Parallel()
	goodbye := frame(frameGoAway, 0, 0, 0, 0, 0, streamID, 0, 0, 0, 0)
	conn := newConn(Server{}, &script{says: bytes.NewReader(join(settings(), begin(), goodbye, data(0, message()...), end()))})
	if _, err := conn.Do(t.Context(), &Call{}); err != nil {
		t.Fatal(err)
	}
	_, err := conn.Do(t.Context(), &Call{})
	wantCallError(t, err, CodeUnavailable, "takes no more calls")
	if !IsUnsent(err) {
		t.Errorf("IsUnsent(%v) = false", err)
	}
}

// The message beside a failure is there for who knows what it is.
func TestMessageOfFailure(t *testing.T) {
	t.Parallel()
	a, err := exchange(settings(), begin(), data(0, message()...), header(flagEndStream, "grpc-status", "9"))
	if err != nil || a.Code != 9 || string(a.Message) != "hi" {
		t.Errorf("answer %+v, %v", a, err)
	}
	a, err = exchange(settings(), begin(), data(0, message()[:6]...), header(flagEndStream, "grpc-status", "9"))
	if err != nil || a.Code != 9 || a.Message != nil {
		t.Errorf("answer %+v, %v, want no message", a, err)
	}
}
