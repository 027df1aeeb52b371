package server_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
	eventsv1 "github.com/micro/micro/v3/proto/micro/events/v1"
	"github.com/micro/micro/v3/service/events"
)

// publish publishes payloads to a topic of acme.
func (s *testServer) publish(t *testing.T, topic string, payloads ...string) {
	t.Helper()
	for _, p := range payloads {
		if _, err := events.New(s.conn).Publish(as(t, s.admin, "acme"), topic, []byte(p)); err != nil {
			t.Fatal(err)
		}
	}
}

// consume opens a stream of a group of the topic "orders".
func (s *testServer) consume(ctx context.Context, t *testing.T, start *eventsv1.ConsumeStart) eventsv1.Events_ConsumeClient {
	t.Helper()
	stream, err := eventsv1.NewEventsClient(s.conn).Consume(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&eventsv1.ConsumeRequest{Topic: "orders", Start: start}); err != nil {
		t.Fatal(err)
	}
	return stream
}

// next returns the next deliveries of a stream, as PAYLOAD#ATTEMPT.
func next(t *testing.T, stream eventsv1.Events_ConsumeClient) []string {
	t.Helper()
	rsp, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, d := range rsp.GetDeliveries() {
		out = append(out, fmt.Sprintf("%s#%d", d.GetEvent().GetPayload(), d.GetAttempt()))
	}
	return out
}

// What a consumer leaves goes to another one, at once, and counts if it may have ended
// the consumer; what it gives back is
// delivered again, and in the end goes to the dead letters.
func TestConsume(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.publish(t, "orders", "a", "b", "c")
	begin := &eventsv1.ConsumeStart{Group: "g", MaxInFlight: 2, AckWait: durationpb.New(time.Hour), MaxDeliveries: 3}

	ctx, cancel := context.WithCancel(as(t, s.admin, "acme"))
	first := s.consume(ctx, t, begin)
	if got := next(t, first); !slices.Equal(got, []string{"a#1", "b#1"}) {
		t.Fatalf("the first consumer got %v", got)
	}
	if err := first.Send(&eventsv1.ConsumeRequest{Ack: []int64{1}}); err != nil {
		t.Fatal(err)
	}
	if got := next(t, first); !slices.Equal(got, []string{"c#1"}) {
		t.Fatalf("with room for one more it got %v", got)
	}
	cancel()

	second := s.consume(as(t, s.admin, "acme"), t, begin)
	got := next(t, second)
	for len(got) < 2 { // both come back one after the other
		got = append(got, next(t, second)...)
	}
	if slices.Sort(got); !slices.Equal(got, []string{"b#2", "c#1"}) {
		t.Fatalf("the second consumer got %v", got)
	}
	now := durationpb.New(0)
	if err := second.Send(&eventsv1.ConsumeRequest{Ack: []int64{3}, Nack: []*eventsv1.Nack{{Offset: 2, Delay: now}}}); err != nil {
		t.Fatal(err)
	}
	if got := next(t, second); !slices.Equal(got, []string{"b#3"}) {
		t.Fatalf("what was given back came as %v", got)
	}
	if err := second.Send(&eventsv1.ConsumeRequest{Nack: []*eventsv1.Nack{{Offset: 2, Delay: now}}}); err != nil {
		t.Fatal(err)
	}
	dead, err := eventsv1.NewEventsClient(s.conn).Read(as(t, s.admin, "acme"), &eventsv1.ReadRequest{Topic: "orders.dead", Follow: true, Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	rsp, err := dead.Recv()
	if err != nil || len(rsp.GetEvents()) != 1 || string(rsp.GetEvents()[0].GetPayload()) != "b" {
		t.Fatalf("%v, %v", rsp, err)
	}
	groups, err := eventsv1.NewEventsClient(s.conn).ListGroups(as(t, s.admin, "acme"), &eventsv1.ListGroupsRequest{Topic: "orders"})
	if err != nil || groups.GetGroups()[0].GetCommittedOffset() != 3 || groups.GetGroups()[0].GetLag() != 0 {
		t.Errorf("%v, %v", groups, err)
	}
}

// A consumer whose deliveries nobody settles is not stuck with them.
func TestConsumeAfterTheWait(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.publish(t, "orders", "a")
	stream := s.consume(as(t, s.admin, "acme"), t, &eventsv1.ConsumeStart{Group: "g", MaxInFlight: 1, AckWait: durationpb.New(20 * time.Millisecond)})
	for i := 1; i <= 3; i++ {
		if got, want := next(t, stream), fmt.Sprintf("a#%d", i); got[0] != want {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}

func TestConsumeRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	good := &eventsv1.ConsumeStart{Group: "g"}
	for _, tt := range []struct {
		name string
		reqs []*eventsv1.ConsumeRequest
		want string
	}{
		{"no start", []*eventsv1.ConsumeRequest{{Topic: "orders"}}, "INVALID"},
		{"no group", []*eventsv1.ConsumeRequest{{Topic: "orders", Start: &eventsv1.ConsumeStart{}}}, "INVALID"},
		{"no topic", []*eventsv1.ConsumeRequest{{Start: good}}, "INVALID"},
		{"a topic elsewhere", []*eventsv1.ConsumeRequest{{Topic: "../globex/orders", Start: good}}, "INVALID"},
		{"a long name", []*eventsv1.ConsumeRequest{{Topic: strings.Repeat("a", 201), Start: good}}, "TOO_LARGE"},
		{"too much in flight", []*eventsv1.ConsumeRequest{{Topic: "orders", Start: &eventsv1.ConsumeStart{Group: "g", MaxInFlight: 1001}}}, "INVALID"},
		{"below zero", []*eventsv1.ConsumeRequest{{Topic: "orders", Start: &eventsv1.ConsumeStart{Group: "g", Offset: -1}}}, "INVALID"},
		{"a long wait", []*eventsv1.ConsumeRequest{{Topic: "orders", Start: &eventsv1.ConsumeStart{Group: "g", AckWait: durationpb.New(2 * time.Hour)}}}, "INVALID"},
		{"two starts", []*eventsv1.ConsumeRequest{{Topic: "orders", Start: good}, {Topic: "others", Start: good}}, "INVALID"},
		{"too many acks", []*eventsv1.ConsumeRequest{{Topic: "orders", Start: good}, {Ack: make([]int64, 1001)}}, "INVALID"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			stream, err := eventsv1.NewEventsClient(s.conn).Consume(as(t, s.admin, "acme"))
			if err != nil {
				t.Fatal(err)
			}
			for _, req := range tt.reqs {
				_ = stream.Send(req)
			}
			_ = stream.CloseSend()
			_, err = stream.Recv()
			if got := reasonOf(err); got != tt.want {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
}

// Of two namespaces with the same names each has its own.
func TestEventsOfOthers(t *testing.T) {
	t.Parallel()
	s := start(t)
	stranger := s.stranger(t)
	s.publish(t, "orders", "ours")
	client := eventsv1.NewEventsClient(s.conn)
	list, err := client.ListTopics(as(t, stranger, "globex"), &eventsv1.ListTopicsRequest{})
	if err != nil || len(list.GetTopics()) != 0 {
		t.Errorf("globex sees %v, %v", list, err)
	}
	for e, err := range events.New(s.conn).Read(as(t, stranger, "globex"), "orders") {
		if e != nil || reasonOf(err) != "NOT_FOUND" {
			t.Errorf("globex reads %v, %v", e, err)
		}
	}
	for e, err := range events.New(s.conn).Read(as(t, stranger, "acme"), "orders") {
		if e != nil || reasonOf(err) != "NOT_LOGGED_IN" {
			t.Errorf("a stranger reads %v, %v", e, err)
		}
	}
	// A rule for one topic opens no other one.
	s.rule(t, &authv1.Rule{Id: "orders", Scope: "clerk", Resource: "events:orders:*", Access: authv1.Access_ACCESS_GRANTED})
	clerk := s.account(t, "clerk", "clerk")
	for topic, want := range map[string]string{"orders": "OK", "others": "DENIED", "orders.dead": "DENIED"} {
		_, err := client.Publish(as(t, clerk, "acme"), &eventsv1.PublishRequest{Topic: topic, Events: []*eventsv1.Event{{}}})
		if got := reasonOf(err); got != want {
			t.Errorf("a clerk of orders publishes to %s: %v, want %v", topic, err, want)
		}
	}
}

func TestTopicPages(t *testing.T) {
	t.Parallel()
	s := start(t)
	want := []string{"a", "b", "c", "d", "e"}
	for _, name := range want {
		s.publish(t, name, "x")
	}
	var got []string
	for token := ""; ; {
		rsp, err := eventsv1.NewEventsClient(s.conn).ListTopics(as(t, s.admin, "acme"), &eventsv1.ListTopicsRequest{PageSize: 2, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range rsp.GetTopics() {
			got = append(got, p.GetName())
		}
		if token = rsp.GetNextPageToken(); token == "" {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if _, err := eventsv1.NewEventsClient(s.conn).ListTopics(as(t, s.admin, "acme"), &eventsv1.ListTopicsRequest{PageSize: -1}); reasonOf(err) != "INVALID" {
		t.Errorf("a page of -1: %v", err)
	}
}

// The SDK's consumer settles what its handler returns, and ends with its context.
func TestConsumeWithHandler(t *testing.T) {
	t.Parallel()
	s := start(t)
	client := events.New(s.conn)
	for i := range 3 {
		if _, err := client.Publish(as(t, s.admin, "acme"), "orders", map[string]int{"id": i}, events.WithKey("k"), events.WithMetadata(map[string]string{"a": "b"})); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(as(t, s.admin, "acme"))
	var got []string
	err := client.Consume(ctx, "orders", func(_ context.Context, e *events.Event) error {
		var order struct{ ID int }
		if err := e.Unmarshal(&order); err != nil {
			t.Error(err)
		}
		got = append(got, fmt.Sprintf("%s %d #%d", e.ID, order.ID, e.Attempt))
		if order.ID == 1 && e.Attempt == 1 {
			return errors.New("not now")
		}
		if order.ID == 2 {
			cancel()
		}
		return nil
	}, events.WithGroup("g"))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	// A key is in order, even when one is delivered again.
	want := []string{"orders:1 0 #1", "orders:2 1 #1", "orders:2 1 #2", "orders:3 2 #1"}
	if !slices.Equal(got, want) {
		t.Errorf("handled %q, want %q", got, want)
	}
	groups, err := eventsv1.NewEventsClient(s.conn).ListGroups(as(t, s.admin, "acme"), &eventsv1.ListGroupsRequest{Topic: "orders"})
	if err != nil || groups.GetGroups()[0].GetCommittedOffset() != 3 {
		t.Errorf("%v, %v", groups, err)
	}
}

// Who waits for events does not hold up a server that stops.
func TestStopWithConsumers(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.publish(t, "orders", "a")
	stream := s.consume(as(t, s.admin, "acme"), t, &eventsv1.ConsumeStart{Group: "g"})
	next(t, stream)
	follow, err := eventsv1.NewEventsClient(s.conn).Read(as(t, s.admin, "acme"), &eventsv1.ReadRequest{Topic: "orders", Follow: true, Latest: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := follow.Recv(); err != nil {
		t.Fatal(err)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	for _, err := range []error{second(stream.Recv()), second(follow.Recv())} {
		if got := reasonOf(err); got != "SHUTTING_DOWN" {
			t.Errorf("%v, want SHUTTING_DOWN", err)
		}
	}
}

// Large events come in messages that any client takes: gRPC's own limit is 4 MiB.
func TestLargeEvents(t *testing.T) {
	t.Parallel()
	s := start(t)
	client := eventsv1.NewEventsClient(s.conn)
	for range 9 {
		_, err := client.Publish(as(t, s.admin, "acme"), &eventsv1.PublishRequest{Topic: "orders", Events: []*eventsv1.Event{{Payload: make([]byte, 1<<20)}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	read, err := client.Read(as(t, s.admin, "acme"), &eventsv1.ReadRequest{Topic: "orders"})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for n < 9 {
		rsp, err := read.Recv()
		if err != nil {
			t.Fatalf("after %d events: %v", n, err)
		}
		n += len(rsp.GetEvents())
	}
	consume := s.consume(as(t, s.admin, "acme"), t, &eventsv1.ConsumeStart{Group: "g"})
	for n = 0; n < 9; {
		n += len(next(t, consume))
	}
}

func second[T any](_ T, err error) error { return err }
