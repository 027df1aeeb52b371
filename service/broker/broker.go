// Package broker passes messages on to who listens at that moment.
//
//	err := client.Publish(ctx, "prices", &broker.Message{Body: []byte("17.30")})
//
//	err := client.Subscribe(ctx, "prices", func(ctx context.Context, m *broker.Message) {
//		show(m.Body)
//	})
//
// Nothing is kept: a message goes to who is subscribed when it is published, and to
// nobody later. What must not be lost is published by package events, which is a log;
// the topics of the two have nothing to do with each other, but for their namespace.
package broker

import (
	"context"
	"fmt"

	"google.golang.org/grpc"

	eventsv1 "github.com/micro/micro/v3/proto/micro/events/v1"
	"github.com/micro/micro/v3/service/internal/again"
)

// Message is what is passed on.
type Message struct {
	Header map[string]string
	Body   []byte
}

// Client publishes and subscribes on one connection. It is safe for concurrent use.
type Client struct{ api eventsv1.EventsClient }

// New returns a client of the server at the other end of a connection. Who calls, and
// in which namespace, is the connection's business.
func New(conn grpc.ClientConnInterface) *Client {
	return &Client{api: eventsv1.NewEventsClient(conn)}
}

// Publish passes a message on to who is subscribed to a topic. It does not wait for
// them, and it is no error when there is nobody.
func (c *Client) Publish(ctx context.Context, topic string, m *Message) error {
	e := &eventsv1.Event{Metadata: m.Header, Payload: m.Body}
	if _, err := c.api.Broadcast(ctx, &eventsv1.BroadcastRequest{Topic: topic, Events: []*eventsv1.Event{e}}); err != nil {
		return fmt.Errorf("publish to %q: %w", topic, err)
	}
	return nil
}

// SubscribeOption says how to subscribe; see [Client.Subscribe].
type SubscribeOption func(*options)

type options struct {
	queue   string
	ready   func()
	dropped func(n int64)
}

// Queue makes subscribers of the same name share what is published: each message goes
// to one of them.
func Queue(name string) SubscribeOption { return func(o *options) { o.queue = name } }

// Ready calls f whenever the server has the subscription: what is published from then
// on is handled.
func Ready(f func()) SubscribeOption { return func(o *options) { o.ready = f } }

// Dropped calls f with how many messages were dropped because the handler was too slow
// for them: more than 1,000 or 8 MiB waited. It is called between two messages.
func Dropped(f func(n int64)) SubscribeOption { return func(o *options) { o.dropped = f } }

// Subscribe calls a handler with the messages of a topic, one at a time and in order,
// until ctx ends, and returns its error then. It goes on when the server was away for a
// while, without what was published meanwhile; any other error ends it.
func (c *Client) Subscribe(ctx context.Context, topic string, handle func(ctx context.Context, m *Message), opts ...SubscribeOption) error {
	o := options{ready: func() {}, dropped: func(int64) {}}
	for _, opt := range opts {
		opt(&o)
	}
	return again.Call(ctx, func() error { return c.subscribe(ctx, topic, &o, handle) })
}

// subscribe handles the messages of one stream.
func (c *Client) subscribe(ctx context.Context, topic string, o *options, handle func(ctx context.Context, m *Message)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.api.Subscribe(ctx, &eventsv1.SubscribeRequest{Topic: topic, Queue: o.queue})
	if err != nil {
		return err
	}
	for begun := false; ; begun = true {
		rsp, err := stream.Recv()
		if err != nil {
			return err
		}
		if !begun {
			o.ready()
		}
		if n := rsp.GetDropped(); n > 0 {
			o.dropped(n)
		}
		for _, e := range rsp.GetEvents() {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			handle(ctx, &Message{Header: e.GetMetadata(), Body: e.GetPayload()})
		}
	}
}
