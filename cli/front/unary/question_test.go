package unary

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// asked is a server that answers each message of a question with prefix and the
// message, and counts its calls.
type asked struct {
	address string
	calls   atomic.Int64
}

func serveAsked(t *testing.T, prefix string, fail error) *asked {
	t.Helper()
	l := listen(t)
	a := &asked{address: l.Addr().String()}
	srv := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
		method, _ := grpc.MethodFromServerStream(s)
		if method != "/t.T/Ask" {
			a.calls.Add(1)
		}
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
	return a
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
		name   string
		fail   error
		asks   [][]byte
		sum    []byte
		called bool
		want   error
	}{
		{"the same answers", nil, [][]byte{value([]byte("a")), value(long)}, sumOf(value([]byte("+a")), value(append([]byte("+"), long...))), true, nil},
		{"no answers to no messages", nil, nil, sumOf(), true, nil},
		{"another answer", nil, [][]byte{value([]byte("a"))}, sumOf(value([]byte("-a"))), false, ErrChanged},
		{"fewer answers", nil, [][]byte{value([]byte("a"))}, sumOf(value([]byte("+a")), value([]byte("+b"))), false, ErrChanged},
		{"an error after them", status.Error(codes.NotFound, "gone"), [][]byte{value([]byte("a"))}, sumOf(value([]byte("+a"))), false, ErrChanged},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := serveAsked(t, "+", tt.fail)
			c := &Call{
				Address: s.address, Path: "/t.T/Call", Message: value([]byte("hello")),
				Question: &Question{Path: "/t.T/Ask", Messages: tt.asks, Sum: tt.sum},
			}
			a, err := c.Do(t.Context())
			if !errors.Is(err, tt.want) {
				t.Fatalf("Do = %v, want %v", err, tt.want)
			}
			if called := s.calls.Load() > 0; called != tt.called {
				t.Errorf("called: %t, want %t", called, tt.called)
			}
			if err != nil && !IsUnsent(err) {
				t.Errorf("IsUnsent(%v) = false", err)
			}
			if err == nil && string(content(t, a.Message)) != "+hello" {
				t.Errorf("answer %q", content(t, a.Message))
			}
		})
	}
}

// Whatever goes wrong with the question, the call was not made.
func TestQuestionHostile(t *testing.T) {
	t.Parallel()
	c := &Call{Path: "/p", Message: []byte("m"), Question: &Question{Path: "/q", Messages: [][]byte{[]byte("q")}, Sum: sumOf([]byte("a"))}}
	whole := good()
	for n := range whole {
		_, err := c.exchange(&script{says: strings.NewReader(string(whole[:n]))})
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
		if _, err := c.exchange(&script{says: bytes.NewReader(says)}); !IsUnsent(err) {
			t.Errorf("%s: %v, which could have been sent", name, err)
		}
	}
}

// A question that is too large for one write is left to microd.
func TestQuestionTooLarge(t *testing.T) {
	t.Parallel()
	c := &Call{Address: "127.0.0.1:1", Path: "/p", Question: &Question{Path: "/q", Messages: [][]byte{make([]byte, MaxRequest+1)}}}
	if _, err := c.Do(t.Context()); !errors.Is(err, ErrTooLarge) {
		t.Errorf("Do = %v, want ErrTooLarge", err)
	}
}
