// Package events publishes events to topics and consumes them.
//
//	err := events.Publish("orders", Order{ID: 17})
//
//	err := client.Consume(ctx, "orders", func(ctx context.Context, e *events.Event) error {
//		var o Order
//		return e.Unmarshal(&o)
//	}, events.WithGroup("billing"))
//
// A topic is a durable log: what was published survives a crash when Publish returns.
// The consumers of a group share its events; each one is handed out again until
// somebody has handled it. The topics are those of the service's own namespace.
//
// The package functions act as the service that runs, on the server that runs it; a
// [Client] does the same on a connection that the caller chooses.
package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	eventsv1 "github.com/micro/micro/v3/proto/micro/events/v1"
)

// Event is what was published.
type Event struct {
	// ID is unique in the namespace, and says where the event is: TOPIC:OFFSET.
	ID    string
	Topic string
	// Offset is its place in the topic, from 1 and without gaps.
	Offset int64
	// Timestamp is when it was published, by the server's clock.
	Timestamp time.Time
	// Key is empty, or what it has in common with events that it is in order with.
	Key      string
	Metadata map[string]string
	Payload  []byte
	// Attempt is the how-manieth delivery to the group this is, from 1.
	Attempt int

	settle func(ack bool) error
}

// Unmarshal reads a payload of JSON into v, which is a message of protobuf or a
// pointer to anything that package encoding/json knows.
func (e *Event) Unmarshal(v any) error {
	if m, ok := v.(proto.Message); ok {
		return protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(e.Payload, m)
	}
	return json.Unmarshal(e.Payload, v)
}

// Ack says that the event was handled: it is not delivered to its group again. It is
// for consumers with [WithAutoAck] false; for all others it does nothing.
func (e *Event) Ack() error { return e.settled(true) }

// Nack gives the event back to its group, to be delivered again after a while. It is
// for the same consumers as [Event.Ack].
func (e *Event) Nack() error { return e.settled(false) }

func (e *Event) settled(ack bool) error {
	if e.settle == nil {
		return nil
	}
	return e.settle(ack)
}

func newEvent(topic string, in *eventsv1.Event) *Event {
	return &Event{
		ID:        topic + ":" + strconv.FormatInt(in.GetOffset(), 10),
		Topic:     topic,
		Offset:    in.GetOffset(),
		Timestamp: in.GetTime().AsTime(),
		Key:       in.GetKey(),
		Metadata:  in.GetMetadata(),
		Payload:   in.GetPayload(),
		Attempt:   1,
	}
}

// Client publishes and consumes on one connection. It is safe for concurrent use.
type Client struct{ api eventsv1.EventsClient }

// New returns a client of the server at the other end of a connection. Who calls, and
// in which namespace, is the connection's business.
func New(conn grpc.ClientConnInterface) *Client {
	return &Client{api: eventsv1.NewEventsClient(conn)}
}

// Publish publishes an event and returns its offset. The payload is msg if that is a
// []byte, and else the JSON of it.
func (c *Client) Publish(ctx context.Context, topic string, msg any, opts ...PublishOption) (int64, error) {
	payload, err := encode(msg)
	if err != nil {
		return 0, fmt.Errorf("publish to %q: %w", topic, err)
	}
	e := &eventsv1.Event{Payload: payload}
	for _, o := range opts {
		o(e)
	}
	rsp, err := c.api.Publish(ctx, &eventsv1.PublishRequest{Topic: topic, Events: []*eventsv1.Event{e}})
	if err != nil {
		return 0, fmt.Errorf("publish to %q: %w", topic, err)
	}
	return rsp.GetOffset(), nil
}

func encode(msg any) ([]byte, error) {
	switch m := msg.(type) {
	case []byte:
		return m, nil
	case proto.Message:
		return protojson.Marshal(m)
	default:
		return json.Marshal(m)
	}
}

// Read yields the events of a topic that are there, from the oldest or [WithOffset]
// or [WithFrom] on. An error is yielded last.
func (c *Client) Read(ctx context.Context, topic string, opts ...ConsumeOption) iter.Seq2[*Event, error] {
	return func(yield func(*Event, error) bool) {
		o := newOptions(opts)
		err := c.read(ctx, topic, &eventsv1.ReadRequest{Topic: topic, Offset: o.from, Since: o.since}, func(e *Event) bool { return yield(e, nil) })
		if err != nil && !errors.Is(err, errEnough) {
			yield(nil, err)
		}
	}
}

// errEnough ends a read whose consumer has enough.
var errEnough = errors.New("enough")

// read calls f with events until it returns false.
func (c *Client) read(ctx context.Context, topic string, req *eventsv1.ReadRequest, f func(*Event) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.api.Read(ctx, req)
	if err != nil {
		return err
	}
	for {
		rsp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		// What follows a break in the connection begins here, or behind the last event.
		if next := rsp.GetNextOffset(); next > 0 {
			req.Offset, req.Latest = next, false
		}
		for _, e := range rsp.GetEvents() {
			req.Offset, req.Latest, req.Since = e.GetOffset()+1, false, nil
			if !f(newEvent(topic, e)) {
				return errEnough
			}
		}
	}
}
