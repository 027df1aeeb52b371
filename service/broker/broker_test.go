package broker_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/micro/micro/v3/service/broker"
	"github.com/micro/micro/v3/service/servicetest"
)

// What is published after Subscribe has returned is handled, one at a time and in order,
// and nothing is after Unsubscribe.
func TestSubscribe(t *testing.T) {
	servicetest.Start(t)
	got := make(chan string, 10)
	s, err := broker.Subscribe("prices", func(m *broker.Message) error {
		got <- m.Header["currency"] + " " + string(m.Body)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if s.Topic() != "prices" || s.Options().Queue != "" {
		t.Errorf("the subscription is of %q, %q", s.Topic(), s.Options().Queue)
	}
	publish(t, "17.30", "17.35")
	for _, want := range []string{"EUR 17.30", "EUR 17.35"} {
		if g := <-got; g != want {
			t.Errorf("got %q, want %q", g, want)
		}
	}
	if err := s.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	later := make(chan string, 10)
	if _, err := broker.Subscribe("prices", func(m *broker.Message) error { later <- string(m.Body); return nil }); err != nil {
		t.Fatal(err)
	}
	publish(t, "17.40")
	<-later
	select {
	case g := <-got:
		t.Errorf("got %q after the end of the subscription", g)
	default:
	}
}

func publish(t *testing.T, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		if err := broker.Publish("prices", &broker.Message{Header: map[string]string{"currency": "EUR"}, Body: []byte(body)}); err != nil {
			t.Fatal(err)
		}
	}
}

// A handler that fails, or panics, is told of, and the next message is handled.
func TestHandleError(t *testing.T) {
	servicetest.Start(t)
	got := make(chan string, 10)
	handle := func(m *broker.Message) error {
		if string(m.Body) == "panic" {
			panic("no price")
		}
		return errors.New("no price: " + string(m.Body))
	}
	_, err := broker.Subscribe("prices", handle, broker.Queue("screens"), broker.HandleError(func(m *broker.Message, err error) {
		first, _, _ := strings.Cut(err.Error(), "\n")
		got <- string(m.Body) + ": " + first
	}))
	if err != nil {
		t.Fatal(err)
	}
	publish(t, "17.30", "panic", "17.40")
	for _, want := range []string{"17.30: no price: 17.30", "panic: the handler panicked: no price", "17.40: no price: 17.40"} {
		if g := <-got; g != want {
			t.Errorf("got %q, want %q", g, want)
		}
	}
}

// A subscription ends with its context.
func TestSubscribeContext(t *testing.T) {
	servicetest.Start(t)
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan string, 10)
	if _, err := broker.Subscribe("prices", func(m *broker.Message) error {
		got <- string(m.Body)
		cancel()
		return nil
	}, broker.SubscribeContext(ctx)); err != nil {
		t.Fatal(err)
	}
	publish(t, "17.30", "17.35")
	if g := <-got; g != "17.30" {
		t.Errorf("got %q", g)
	}
	if err := broker.Publish("prices", &broker.Message{}, broker.PublishContext(ctx)); status.Code(err) != codes.Canceled {
		t.Errorf("published after the end of its context: %v", err)
	}
}

// What the server refuses, it refuses at once, and says why.
func TestRefused(t *testing.T) {
	servicetest.Start(t)
	nothing := func(*broker.Message) error { return nil }
	if _, err := broker.Subscribe("../x", nothing); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), `subscribe to "../x"`) {
		t.Errorf("subscribed to a topic that cannot be: %v", err)
	}
	if _, err := broker.Subscribe("prices", nothing, broker.Queue("a b")); status.Code(err) != codes.InvalidArgument {
		t.Errorf("subscribed with a queue that cannot be: %v", err)
	}
	if err := broker.Publish("../x", &broker.Message{}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("published to a topic that cannot be: %v", err)
	}
}

// A message of protobuf, and anything else that JSON can say, comes back as it was.
func TestMessage(t *testing.T) {
	t.Parallel()
	m, err := broker.NewMessage(wrapperspb.Int64(1 << 60))
	if err != nil || string(m.Body) != `"1152921504606846976"` || m.Header["Content-Type"] != "application/json" {
		t.Fatalf("%s, %v, %v", m.Body, m.Header, err)
	}
	var v wrapperspb.Int64Value
	if err := m.Unmarshal(&v); err != nil || v.GetValue() != 1<<60 {
		t.Errorf("%v, %v", v.GetValue(), err)
	}
	type price struct{ Amount float64 }
	if m, err = broker.NewMessage(price{17.3}); err != nil {
		t.Fatal(err)
	}
	var p price
	if err := m.Unmarshal(&p); err != nil || p.Amount != 17.3 {
		t.Errorf("%v, %v", p, err)
	}
	if err := m.Unmarshal(&v); err == nil {
		t.Error("an object was read into a number")
	}
	if _, err := broker.NewMessage(make(chan int)); err == nil {
		t.Error("a message was made of a channel")
	}
}
