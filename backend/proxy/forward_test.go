package proxy_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/micro/micro/v3/backend/proxy"
)

// Every kind of call arrives as it was sent, on both sides, byte for byte: the
// messages are no protobuf at all.
func TestForwardsBytes(t *testing.T) {
	t.Parallel()
	random := rand.NewChaCha8([32]byte{1})
	noise := func(n int) []byte {
		b := make([]byte, n)
		_, _ = random.Read(b)
		return b
	}
	r, _ := startWith(t, func(s grpc.ServerStream) error {
		// One count of answers first, then what came, as it came.
		var all [][]byte
		for {
			var m []byte
			err := s.RecvMsg(&m)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return err
			}
			all = append(all, m)
		}
		for _, m := range all {
			if err := s.SendMsg(&m); err != nil {
				return err
			}
		}
		return nil
	})
	for _, tt := range []struct {
		name     string
		messages [][]byte
		options  []grpc.CallOption
	}{
		{"nothing", nil, nil},
		{"an empty message", [][]byte{{}}, nil},
		{"one", [][]byte{noise(100)}, nil},
		{"several with empty ones among them", [][]byte{noise(1), {}, noise(70_000), {}, noise(3)}, nil},
		{"many", func() (all [][]byte) {
			for range 500 {
				all = append(all, noise(300))
			}
			return all
		}(), nil},
		{"a large one", [][]byte{noise(20 << 20)}, nil},
		{"compressed", [][]byte{bytes.Repeat([]byte("a"), 1<<20), noise(100)}, []grpc.CallOption{grpc.UseCompressor(gzip.Name)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, err := r.conn.NewStream(in(t), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method, tt.options...)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range tt.messages {
				if err := s.SendMsg(&m); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.CloseSend(); err != nil {
				t.Fatal(err)
			}
			var got [][]byte
			for {
				var m []byte
				err := s.RecvMsg(&m)
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, m)
			}
			if len(got) != len(tt.messages) {
				t.Fatalf("%d answers, want %d", len(got), len(tt.messages))
			}
			for i := range got {
				if !bytes.Equal(got[i], tt.messages[i]) {
					t.Errorf("answer %d of %d bytes is not the message of %d bytes", i, len(got[i]), len(tt.messages[i]))
				}
			}
		})
	}
}

// The sides of a call speak when they like.
func TestForwardsAsItComes(t *testing.T) {
	t.Parallel()
	r, _ := startWith(t, echo)
	s, err := r.conn.NewStream(in(t), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		m := fmt.Appendf(nil, "message %d", i)
		if err := s.SendMsg(&m); err != nil {
			t.Fatal(err)
		}
		var got []byte
		if err := s.RecvMsg(&got); err != nil || !bytes.Equal(got, m) {
			t.Fatalf("%q, %v; want %q", got, err, m)
		}
	}
	if err := s.CloseSend(); err != nil {
		t.Fatal(err)
	}
	var m []byte
	if err := s.RecvMsg(&m); !errors.Is(err, io.EOF) {
		t.Errorf("the end: %v, want %v", err, io.EOF)
	}
}

func TestForwardsMetadata(t *testing.T) {
	t.Parallel()
	r, instance := startWith(t, func(s grpc.ServerStream) error {
		if err := s.SendHeader(metadata.Pairs("x-header", "one", "x-header", "two", "x-raw-bin", "\x00\xff", "micro-account", "root")); err != nil {
			return err
		}
		s.SetTrailer(metadata.Pairs("x-trailer", "end", "x-raw-bin", "\xff\x00", proxy.KeyRefused, "true"))
		return echo(s)
	})
	var header, trailer metadata.MD
	_, err := r.call(in(
		t,
		"x-id", "one", "x-id", "two", "x-raw-bin", "\x00\xff\x80", "traceparent", "00-1-2-03",
		"authorization", "Bearer "+r.admin, "cookie", "session=secret",
		"micro-account", "root", "micro-account-type", "service", "micro-scopes", "everything", "micro-scopes-bin", "x",
		"micro-service", "greeter", "micro-anything", "x",
	), "hello", grpc.Header(&header), grpc.Trailer(&trailer))
	if err != nil {
		t.Fatal(err)
	}
	seen := instance.seen().Copy()
	for _, k := range []string{":authority", "content-type", "user-agent", "grpc-accept-encoding"} {
		delete(seen, k) // of the hop
	}
	if diff := cmp.Diff(metadata.MD{
		"x-id":               {"one", "two"},
		"x-raw-bin":          {"\x00\xff\x80"},
		"traceparent":        {"00-1-2-03"},
		"micro-namespace":    {"acme"},
		"micro-account":      {"alice"},
		"micro-account-type": {"user"},
		"micro-scopes":       {"admin"},
	}, seen); diff != "" {
		t.Errorf("metadata of the instance (-want +got):\n%s", diff)
	}
	delete(header, "content-type")
	if diff := cmp.Diff(metadata.MD{"x-header": {"one", "two"}, "x-raw-bin": {"\x00\xff"}}, header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(metadata.MD{"x-trailer": {"end"}, "x-raw-bin": {"\xff\x00"}}, trailer); diff != "" {
		t.Errorf("trailer (-want +got):\n%s", diff)
	}
}

// A service says for whom it makes a call, and nobody else does.
func TestForwardsOrigin(t *testing.T) {
	t.Parallel()
	r, instance := startWith(t, echo)
	token := func(ns string) string {
		t.Helper()
		if ns != "acme" {
			if _, err := r.auth.Signup(t.Context(), ns, "alice", password); err != nil {
				t.Fatal(err)
			}
		}
		refresh, err := r.auth.Identify(t.Context(), ns, "shop", "shop-"+ns)
		if err != nil {
			t.Fatal(err)
		}
		session, err := r.auth.Refresh(t.Context(), refresh)
		if err != nil {
			t.Fatal(err)
		}
		return session.Access
	}
	for name, tt := range map[string]struct {
		token string
		want  []string
	}{
		"a service":                      {token("acme"), []string{"bob", "user", "staff,sales"}},
		"a service of another namespace": {token("globex"), nil},
		"a user":                         {r.admin, nil},
		"nobody":                         {"", nil},
	} {
		md := []string{"micro-origin-account", "bob", "micro-origin-account-type", "user", "micro-origin-scopes", "staff,sales", "micro-origin-other", "x"}
		if tt.token != "" {
			md = append(md, "authorization", "Bearer "+tt.token)
		}
		if _, err := r.call(in(t, md...), "hello"); err != nil {
			t.Fatal(err)
		}
		seen := instance.seen()
		var got []string
		for _, k := range []string{proxy.KeyOrigin, proxy.KeyOriginType, proxy.KeyOriginScopes, "micro-origin-other"} {
			got = append(got, seen.Get(k)...)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("of %s (-want +got):\n%s", name, diff)
		}
	}
}

// A status passes with its details, once, whether or not there was an answer before.
func TestForwardsStatus(t *testing.T) {
	t.Parallel()
	want, err := status.New(codes.DataLoss, "lost: ä\n").WithDetails(
		&errdetails.ErrorInfo{Reason: "LOST", Domain: "greeter"},
		&errdetails.RetryInfo{},
	)
	if err != nil {
		t.Fatal(err)
	}
	for _, answers := range []int{0, 1} {
		r, _ := startWith(t, func(s grpc.ServerStream) error {
			for range answers {
				m := []byte("x")
				if err := s.SendMsg(&m); err != nil {
					return err
				}
			}
			return want.Err()
		})
		var trailer metadata.MD
		_, err := r.call(in(t), "", grpc.Trailer(&trailer))
		if got := status.Convert(err); !proto.Equal(got.Proto(), want.Proto()) {
			t.Errorf("after %d answers: %v, want %v", answers, got.Proto(), want.Proto())
		}
		if n := len(trailer.Get("grpc-status-details-bin")); n > 1 {
			t.Errorf("after %d answers: the details come %d times", answers, n)
		}
		if trailer.Get(proxy.KeyRefused) != nil {
			t.Errorf("after %d answers: what the instance said was told as a refusal", answers)
		}
	}
}

// The instance knows by when the caller wants its answer, and is told when the caller
// does not want it any more.
func TestForwardsDeadlineAndCancellation(t *testing.T) {
	t.Parallel()
	deadlines := make(chan time.Time, 1)
	ended := make(chan error, 1)
	r, _ := startWith(t, func(s grpc.ServerStream) error {
		d, _ := s.Context().Deadline()
		deadlines <- d
		<-s.Context().Done()
		ended <- s.Context().Err()
		return s.Context().Err()
	})
	ctx, cancel := context.WithTimeout(in(t), 10*time.Second)
	defer cancel()
	failed := make(chan error, 1)
	go func() {
		_, err := r.call(ctx, "")
		failed <- err
	}()
	mine, _ := ctx.Deadline()
	if d := <-deadlines; d.Sub(mine).Abs() > 2*time.Second {
		t.Errorf("the deadline of the instance %v is not about that of the caller, %v", d, mine)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the instance: %v, want %v", err, context.Canceled)
	}
	if err := <-failed; status.Code(err) != codes.Canceled {
		t.Errorf("the caller: %v, want %v", err, codes.Canceled)
	}

	ctx, cancel = context.WithTimeout(in(t), 50*time.Millisecond)
	defer cancel()
	if _, err := r.call(ctx, ""); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("the caller, late: %v, want %v", err, codes.DeadlineExceeded)
	}
	<-deadlines
	if err := <-ended; err == nil {
		t.Error("the instance was not told of the deadline")
	}
}

// A message that is too large is told as such, and not as a caller who has gone.
func TestMessageTooLarge(t *testing.T) {
	t.Parallel()
	r, _ := startWith(t, echo)
	_, err := r.call(in(t), string(make([]byte, 64<<20+1)))
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("%v, want %v", err, codes.ResourceExhausted)
	}
}

// An instance that goes away in the middle is an error of the call, which is not made
// again somewhere else: who knows how much of it was done.
func TestInstanceDiesUnderACall(t *testing.T) {
	t.Parallel()
	began := make(chan struct{}, 2)
	handle := func(s grpc.ServerStream) error {
		began <- struct{}{}
		<-s.Context().Done()
		return s.Context().Err()
	}
	r, one := startWith(t, handle)
	two := startInstance(t, "two", handle)
	r.register(t, "acme", "greeter", two.id, two.address, "")
	failed := make(chan error, 1)
	var trailer metadata.MD
	go func() {
		_, err := r.call(in(t), "", grpc.Trailer(&trailer))
		failed <- err
	}()
	<-began
	for _, i := range []*instance{one, two} {
		if i.calls.Load() > 0 {
			i.server.Stop()
		}
	}
	if err := <-failed; status.Code(err) != codes.Unavailable {
		t.Errorf("%v, want %v", err, codes.Unavailable)
	}
	if n := one.calls.Load() + two.calls.Load(); n != 1 {
		t.Errorf("the call was made %d times", n)
	}
	if trailer.Get(proxy.KeyRefused) != nil {
		t.Error("the call was told to be refused, though an instance had got it")
	}
}

func TestUnary(t *testing.T) {
	t.Parallel()
	r, _ := startWith(t, func(s grpc.ServerStream) error {
		var m []byte
		if err := s.RecvMsg(&m); err != nil {
			return err
		}
		if err := s.SendHeader(metadata.Pairs("x-header", "h")); err != nil {
			return err
		}
		s.SetTrailer(metadata.Pairs("x-trailer", "t"))
		answers := map[string]int{"none": 0, "two": 2}
		n, ok := answers[string(m)]
		if !ok {
			n = 1
		}
		for range n {
			if err := s.SendMsg(&m); err != nil {
				return err
			}
		}
		if string(m) == "late" {
			return status.Error(codes.Aborted, "late")
		}
		return nil
	})
	for message, want := range map[string]codes.Code{"hello": codes.OK, "none": codes.Internal, "two": codes.Internal, "late": codes.Aborted} {
		route, err := r.proxy.Admit(t.Context(), proxy.Call{Namespace: "acme", Service: "greeter", Path: method})
		if err != nil {
			t.Fatal(err)
		}
		answer, header, trailer, err := route.Unary(t.Context(), []byte(message), []byte("> "))
		if status.Code(err) != want {
			t.Errorf("%s: %v, want %v", message, err, want)
		}
		text := "> "
		if want == codes.OK {
			text += message
		}
		if string(answer) != text || header.Get("x-header") == nil {
			t.Errorf("%s: %q with header %v, want %q", message, answer, header, text)
		}
		if message != "two" && trailer.Get("x-trailer") == nil {
			t.Errorf("%s: trailer %v", message, trailer)
		}
	}
}

// A call that was admitted before an instance was taken out goes to the one that came
// in its place: what waited for the last call to the other could not know of this one.
func TestInstanceIsReplacedUnderACall(t *testing.T) {
	t.Parallel()
	r := start(t)
	old := startInstance(t, "old", say("old"))
	r.register(t, "acme", "greeter", "old", old.address, "")
	admit := func() *proxy.Route {
		t.Helper()
		route, err := r.proxy.Admit(t.Context(), proxy.Call{Namespace: "acme", Service: "greeter", Path: method})
		if err != nil {
			t.Fatal(err)
		}
		return route
	}
	unary := func(route *proxy.Route) (string, error) {
		answer, _, _, err := route.Unary(t.Context(), nil, nil)
		return string(answer), err
	}
	before, late := admit(), admit()
	if got, err := unary(admit()); err != nil || got != "old" {
		t.Fatalf("%q, %v", got, err)
	}
	r.register(t, "acme", "greeter", "new", startInstance(t, "new", say("new")).address, "")
	if err := r.registry.Deregister(t.Context(), "acme", "greeter", "old", ""); err != nil {
		t.Fatal(err)
	}
	if err := r.proxy.Drain(t.Context(), old.address); err != nil {
		t.Fatal(err)
	}
	// The old one still answers, and is not asked.
	if got, err := unary(before); err != nil || got != "new" {
		t.Errorf("%q, %v, want that the new one is called", got, err)
	}
	if err := r.registry.Deregister(t.Context(), "acme", "greeter", "new", ""); err != nil {
		t.Fatal(err)
	}
	if got, err := unary(late); !errors.Is(err, proxy.ErrNoService) && !errors.Is(err, proxy.ErrNoInstance) {
		t.Errorf("%q, %v, want that there is none", got, err)
	}
}

// A call whose only instance cannot be reached takes the one that has come meanwhile.
func TestInstanceComesUnderACall(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.register(t, "acme", "greeter", "dead", dead(0), "")
	route, err := r.proxy.Admit(t.Context(), proxy.Call{Namespace: "acme", Service: "greeter", Path: method})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.registry.Deregister(t.Context(), "acme", "greeter", "dead", ""); err != nil {
		t.Fatal(err)
	}
	r.register(t, "acme", "greeter", "well", startInstance(t, "well", say("well")).address, "")
	if answer, _, _, err := route.Unary(t.Context(), nil, nil); err != nil || string(answer) != "well" {
		t.Errorf("%q, %v", answer, err)
	}
}
