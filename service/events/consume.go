package events

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc"

	eventsv1 "github.com/micro/micro/v3/proto/micro/events/v1"
	"github.com/micro/micro/v3/service/internal/again"
)

// Handler handles an event of a group. When it returns an error the event is
// delivered again after a while.
type Handler func(ctx context.Context, e *Event) error

// settleIn is how long to wait for the server to have noted what was settled last.
const settleIn = 5 * time.Second

// Consume calls a handler with the events of a topic, one at a time and in order,
// until ctx ends, and returns its error then. It goes on when the server was away or
// overloaded for a while, or its disk was full; any other error ends it. Run it several times for more at a time: those of
// a group share the events.
//
// Without [WithGroup] what the handler returns changes nothing, since nobody keeps
// what such a consumer has handled.
func (c *Client) Consume(ctx context.Context, topic string, handle Handler, opts ...ConsumeOption) error {
	o := newOptions(opts)
	read := &eventsv1.ReadRequest{Topic: topic, Follow: true, Offset: o.from, Since: o.since, Latest: o.from == 0 && o.since == nil}
	return again.Call(ctx, func() error {
		if o.group != "" {
			return c.consume(ctx, topic, o, handle)
		}
		return c.read(ctx, topic, read, func(e *Event) bool {
			_ = handle(ctx, e)
			return ctx.Err() == nil
		})
	})
}

// settler says on a stream what became of deliveries. One may send at a time.
type settler struct {
	mu     sync.Mutex
	stream grpc.BidiStreamingClient[eventsv1.ConsumeRequest, eventsv1.ConsumeResponse]
}

func (s *settler) settle(offset int64, ack bool) error {
	req := &eventsv1.ConsumeRequest{Ack: []int64{offset}}
	if !ack {
		req = &eventsv1.ConsumeRequest{Nack: []*eventsv1.Nack{{Offset: offset}}}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stream.Send(req)
}

func (s *settler) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.stream.CloseSend() // what it fails with, Recv tells
}

// consume consumes on one stream until that or ctx ends. The stream outlasts ctx, so
// that what was settled gets to the server.
func (c *Client) consume(ctx context.Context, topic string, o *options, handle Handler) error {
	streamCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stream, err := c.api.Consume(streamCtx)
	if err != nil {
		return err
	}
	s := &settler{stream: stream}
	_ = stream.Send(&eventsv1.ConsumeRequest{Topic: topic, Start: o.start()}) // what it fails with, Recv tells
	deliveries, ended := receive(streamCtx, stream)
	for ctx.Err() == nil {
		select {
		case d := <-deliveries:
			e := newEvent(topic, d.GetEvent())
			e.Attempt = int(d.GetAttempt())
			settle := func(ack bool) error { return s.settle(e.Offset, ack) }
			if o.manual {
				e.settle = settle
			}
			err := handle(ctx, e)
			if !o.manual || err != nil {
				_ = settle(err == nil) // it is delivered again when this is lost
			}
		case err := <-ended:
			return err
		case <-ctx.Done():
		}
	}
	s.close()
	late := time.NewTimer(settleIn)
	defer late.Stop()
	for {
		select {
		case <-deliveries: // it goes back to the group
		case <-ended: //nolint:errcheck // ctx is why it ended
			return ctx.Err()
		case <-late.C:
			return ctx.Err()
		}
	}
}

// receive hands out what comes on a stream, and then why it ended.
func receive(ctx context.Context, stream grpc.BidiStreamingClient[eventsv1.ConsumeRequest, eventsv1.ConsumeResponse]) (<-chan *eventsv1.Delivery, <-chan error) {
	deliveries, ended := make(chan *eventsv1.Delivery), make(chan error, 1)
	go func() {
		for {
			rsp, err := stream.Recv()
			if err != nil {
				ended <- err
				return
			}
			for _, d := range rsp.GetDeliveries() {
				select {
				case deliveries <- d:
				case <-ctx.Done():
				}
			}
		}
	}()
	return deliveries, ended
}
