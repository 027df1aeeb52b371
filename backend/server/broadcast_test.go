package server_test

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"

	eventsv1 "github.com/micro/micro/v3/proto/micro/events/v1"
	"github.com/micro/micro/v3/service/broker"
	"github.com/micro/micro/v3/service/events"
)

// broadcast broadcasts payloads to the topic "news" of the caller's namespace.
func (s *testServer) broadcast(t *testing.T, token string, payloads ...string) {
	t.Helper()
	req := &eventsv1.BroadcastRequest{Topic: "news"}
	for _, p := range payloads {
		req.Events = append(req.Events, &eventsv1.Event{Payload: []byte(p)})
	}
	if _, err := eventsv1.NewEventsClient(s.conn).Broadcast(as(t, token, ""), req); err != nil {
		t.Fatal(err)
	}
}

// subscribe returns a stream of a subscriber that is subscribed.
func (s *testServer) subscribe(ctx context.Context, t *testing.T, req *eventsv1.SubscribeRequest) eventsv1.Events_SubscribeClient {
	t.Helper()
	stream, err := eventsv1.NewEventsClient(s.conn).Subscribe(ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	if rsp, err := stream.Recv(); err != nil || len(rsp.GetEvents()) != 0 {
		t.Fatalf("it begins with %v, %v", rsp, err)
	}
	return stream
}

// hear returns the next n payloads.
func hear(t *testing.T, stream eventsv1.Events_SubscribeClient, n int) []string {
	t.Helper()
	var out []string
	for len(out) < n {
		rsp, err := stream.Recv()
		if err != nil || rsp.GetDropped() > 0 {
			t.Fatalf("after %q: %v, %v", out, rsp, err)
		}
		for _, e := range rsp.GetEvents() {
			out = append(out, string(e.GetPayload()))
		}
	}
	return out
}

// What is broadcast goes to who listens in the namespace, and nowhere else.
func TestBroadcast(t *testing.T) {
	t.Parallel()
	s := start(t)
	member, stranger := s.account(t, "bob"), s.stranger(t)
	one := s.subscribe(as(t, member, ""), t, &eventsv1.SubscribeRequest{Topic: "news"})
	other := s.subscribe(as(t, s.admin, ""), t, &eventsv1.SubscribeRequest{Topic: "news", Queue: "q"})
	theirs := s.subscribe(as(t, stranger, ""), t, &eventsv1.SubscribeRequest{Topic: "news"})
	s.publish(t, "news", "published")
	s.broadcast(t, s.admin, "a", "b")
	s.broadcast(t, stranger, "theirs")
	s.broadcast(t, s.admin, "c")
	for who, tt := range map[string]struct {
		stream eventsv1.Events_SubscribeClient
		want   []string
	}{
		"one": {one, []string{"a", "b", "c"}}, "another": {other, []string{"a", "b", "c"}}, "of another namespace": {theirs, []string{"theirs"}},
	} {
		if got := hear(t, tt.stream, len(tt.want)); !slices.Equal(got, tt.want) {
			t.Errorf("%s heard %q, want %q", who, got, tt.want)
		}
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if _, err := one.Recv(); reasonOf(err) != "SHUTTING_DOWN" {
		t.Errorf("with the end of the server: %v", err)
	}
}

// A subscriber that does not read is told how much it has missed; nobody waits for it.
func TestSlowSubscriber(t *testing.T) {
	t.Parallel()
	s := start(t)
	slow := s.subscribe(as(t, s.admin, ""), t, &eventsv1.SubscribeRequest{Topic: "news"})
	const all = 40
	for range all {
		s.broadcast(t, s.admin, strings.Repeat("x", 1<<20))
	}
	heard, dropped := 0, 0
	for heard+dropped < all {
		rsp, err := slow.Recv()
		if err != nil {
			t.Fatal(err)
		}
		heard += len(rsp.GetEvents())
		dropped += int(rsp.GetDropped())
	}
	if heard+dropped != all || dropped == 0 {
		t.Errorf("%d heard and %d dropped of %d", heard, dropped, all)
	}
}

// cutConns dials connections that a test can cut.
type cutConns struct {
	mu    sync.Mutex
	conns []net.Conn
}

func (c *cutConns) dial(ctx context.Context, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns = append(c.conns, conn)
	return conn, err
}

func (c *cutConns) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	c.conns = nil
}

// await returns what comes next, and fails when ctx ends first.
func await[T any](ctx context.Context, t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-ctx.Done():
		t.Fatal(context.Cause(ctx))
		panic("not reached")
	}
}

// The SDK's subscriber handles one message after the other, and subscribes again when
// its connection was cut. So does a consumer of no group, which misses nothing.
func TestClientsGoOn(t *testing.T) {
	t.Parallel()
	s := start(t)
	var cuts cutConns
	conn := dial(t, s.Proxy, grpc.WithContextDialer(cuts.dial))
	ctx, cancel := context.WithCancel(as(t, s.admin, "acme"))
	ready, heard := make(chan bool, 1), make(chan string, 10)
	ended := make(chan error, 2)
	go func() {
		ended <- broker.New(conn).Subscribe(ctx, "news", func(_ context.Context, m *broker.Message) {
			heard <- m.Header["by"] + ":" + string(m.Body)
		}, broker.Queue("q"), broker.Ready(func() { ready <- true }))
	}()
	say := func(text string) {
		t.Helper()
		m := &broker.Message{Header: map[string]string{"by": "us"}, Body: []byte(text)}
		if err := broker.New(s.conn).Publish(as(t, s.admin, "acme"), "news", m); err != nil {
			t.Fatal(err)
		}
	}
	await(ctx, t, ready)
	say("first")
	if got := await(ctx, t, heard); got != "us:first" {
		t.Errorf("heard %q", got)
	}
	cuts.cut()
	await(ctx, t, ready)
	say("second")
	if got := await(ctx, t, heard); got != "us:second" {
		t.Errorf("heard %q after the connection was cut", got)
	}

	consumed := make(chan string, 10)
	began := make(chan bool, 1)
	client := events.New(&beganConn{ClientConnInterface: conn, began: began})
	go func() {
		ended <- client.Consume(ctx, "orders", func(_ context.Context, e *events.Event) error {
			consumed <- string(e.Payload)
			return nil
		})
	}()
	await(ctx, t, began)
	cuts.cut()
	s.publish(t, "orders", "a", "b") // while nobody is connected, or soon
	for _, want := range []string{"a", "b"} {
		if got := await(ctx, t, consumed); got != want {
			t.Errorf("consumed %q, want %q", got, want)
		}
	}
	cancel()
	for range 2 {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("it ended with %v", err)
		}
	}
}

// beganConn tells when a stream has got its first response.
type beganConn struct {
	grpc.ClientConnInterface
	began chan bool
}

func (c *beganConn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	s, err := c.ClientConnInterface.NewStream(ctx, desc, method, opts...)
	return &beganStream{ClientStream: s, began: c.began}, err
}

type beganStream struct {
	grpc.ClientStream
	began chan bool
}

func (s *beganStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	select {
	case s.began <- err == nil:
	default:
	}
	return err
}

func TestBroadcastRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	member := s.account(t, "bob")
	client := eventsv1.NewEventsClient(s.conn)
	event := []*eventsv1.Event{{Payload: []byte("x")}}
	for _, tt := range []struct {
		name, token string
		subscribe   *eventsv1.SubscribeRequest
		broadcast   *eventsv1.BroadcastRequest
		want        string
	}{
		{name: "no topic", subscribe: &eventsv1.SubscribeRequest{}, want: "INVALID"},
		{name: "a topic elsewhere", subscribe: &eventsv1.SubscribeRequest{Topic: "../globex/news"}, want: "INVALID"},
		{name: "a bad queue", subscribe: &eventsv1.SubscribeRequest{Topic: "news", Queue: "\x00"}, want: "INVALID"},
		{name: "a long queue", subscribe: &eventsv1.SubscribeRequest{Topic: "news", Queue: strings.Repeat("q", 201)}, want: "TOO_LARGE"},
		{name: "a member", token: member, subscribe: &eventsv1.SubscribeRequest{Topic: "news"}, want: "OK"},
		{name: "a member who takes from others", token: member, subscribe: &eventsv1.SubscribeRequest{Topic: "news", Queue: "q"}, want: "DENIED"},
		{name: "nobody", token: "-", subscribe: &eventsv1.SubscribeRequest{Topic: "news"}, want: "NOT_LOGGED_IN"},
		{name: "to no topic", broadcast: &eventsv1.BroadcastRequest{Events: event}, want: "INVALID"},
		{name: "nothing", broadcast: &eventsv1.BroadcastRequest{Topic: "news"}, want: "INVALID"},
		{name: "too many", broadcast: &eventsv1.BroadcastRequest{Topic: "news", Events: slices.Repeat(event, 1001)}, want: "TOO_LARGE"},
		{name: "too much", broadcast: &eventsv1.BroadcastRequest{Topic: "news", Events: []*eventsv1.Event{{Payload: make([]byte, 1<<20+1)}}}, want: "TOO_LARGE"},
		{name: "to nobody", broadcast: &eventsv1.BroadcastRequest{Topic: "news", Events: event}, want: "OK"},
		{name: "by a member", token: member, broadcast: &eventsv1.BroadcastRequest{Topic: "news", Events: event}, want: "DENIED"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			token := tt.token
			switch token {
			case "":
				token = s.admin
			case "-":
				token = ""
			}
			ctx, cancel := context.WithCancel(as(t, token, "acme"))
			defer cancel()
			var err error
			if tt.broadcast != nil {
				_, err = client.Broadcast(ctx, tt.broadcast)
			} else {
				var stream eventsv1.Events_SubscribeClient
				if stream, err = client.Subscribe(ctx, tt.subscribe); err == nil {
					_, err = stream.Recv()
				}
			}
			if got := reasonOf(err); got != tt.want || errors.Is(err, io.EOF) {
				t.Errorf("%v, want %s", err, tt.want)
			}
		})
	}
}
