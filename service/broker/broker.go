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
//
// The package functions act as the service that runs, on the server that runs it, and take
// no context. service.NewEvent and service.Service.Subscribe do the same with messages that
// were generated from a .proto file.
package broker

import (
	"context"
	"encoding/json"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	eventsv1 "github.com/micro/micro/v3/proto/micro/events/v1"
	"github.com/micro/micro/v3/service/internal/again"
)

// Message is what is passed on.
type Message struct {
	Header map[string]string
	Body   []byte
}

// NewMessage returns a message with the JSON of v, which is a message of protobuf or
// anything that package encoding/json knows.
func NewMessage(v any) (*Message, error) {
	var body []byte
	var err error
	if m, ok := v.(proto.Message); ok {
		body, err = protojson.Marshal(m)
	} else {
		body, err = json.Marshal(v)
	}
	if err != nil {
		return nil, err
	}
	return &Message{Header: map[string]string{"Content-Type": "application/json"}, Body: body}, nil
}

// Unmarshal reads a body of JSON into v, which is a message of protobuf or a pointer to
// anything that package encoding/json knows.
func (m *Message) Unmarshal(v any) error {
	if to, ok := v.(proto.Message); ok {
		return protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(m.Body, to)
	}
	return json.Unmarshal(m.Body, v)
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

// Subscribe calls a handler with the messages of a topic, one at a time and in order,
// until ctx ends, and returns its error then. It goes on when the server was away or
// overloaded for a while, without what was published meanwhile; any other error ends it.
func (c *Client) Subscribe(ctx context.Context, topic string, handle func(ctx context.Context, m *Message), opts ...SubscribeOption) error {
	o := newOptions(opts)
	return again.Call(ctx, func() error {
		err := c.subscribe(ctx, topic, o, handle)
		if err != nil && again.Lost(err) {
			o.lost(err)
		}
		return err
	})
}

// subscribe handles the messages of one stream.
func (c *Client) subscribe(ctx context.Context, topic string, o *SubscribeOptions, handle func(ctx context.Context, m *Message)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.api.Subscribe(ctx, &eventsv1.SubscribeRequest{Topic: topic, Queue: o.Queue})
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
