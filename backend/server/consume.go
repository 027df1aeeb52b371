package server

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/micro/micro/v3/backend/events"
	eventsv1 "github.com/micro/micro/v3/proto/micro/events/v1"
)

// consumer is one stream of Consume: one goroutine delivers, another one settles.
type consumer struct {
	events  events.Groups
	group   events.Group
	fetch   events.Fetch
	autoAck bool
	limit   int

	mu    sync.Mutex
	out   map[int64]outstanding // what was delivered and is not settled
	freed chan struct{}         // something was settled
}

// outstanding is a delivery with when it counts as failed.
type outstanding struct {
	events.Delivery
	until time.Time
}

// Consume implements the consuming of a group.
func (e *eventsAPI) Consume(stream grpc.BidiStreamingServer[eventsv1.ConsumeRequest, eventsv1.ConsumeResponse]) error {
	req, err := stream.Recv()
	if errors.Is(err, io.EOF) {
		return invalid("no request")
	}
	if err != nil {
		return err
	}
	c, err := e.consumer(stream.Context(), req)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(stream.Context())
	defer cancel(nil)
	// It ends when the stream does: with the caller, or with the return from here.
	go func() {
		for {
			req, err := stream.Recv()
			if err == nil {
				err = c.settle(ctx, req)
			}
			if err != nil {
				cancel(err)
				return
			}
		}
	}()
	err = c.deliver(ctx, stream)
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	enough := errors.Is(err, io.EOF)
	c.release(context.WithoutCancel(ctx), !enough && !errors.Is(err, errStopping))
	if enough {
		return nil
	}
	return err
}

func (e *eventsAPI) consumer(ctx context.Context, req *eventsv1.ConsumeRequest) (*consumer, error) {
	in := req.GetStart()
	if in == nil {
		return nil, invalid("the first request has no start")
	}
	c := &consumer{
		events: e.events,
		group:  events.Group{Topic: topicOf(ctx, req.GetTopic()), Name: in.GetGroup()},
		fetch: events.Fetch{
			AckWait:       in.GetAckWait().AsDuration(),
			MaxDeliveries: int(in.GetMaxDeliveries()),
			From:          in.GetOffset(),
			Since:         timeOf(in.GetSince()),
		},
		autoAck: in.GetAutoAck(),
		limit:   int(in.GetMaxInFlight()),
		out:     map[int64]outstanding{},
		freed:   make(chan struct{}, 1),
	}
	if c.limit == 0 {
		c.limit = 100
	}
	if c.fetch.AckWait == 0 {
		c.fetch.AckWait = 30 * time.Second
	}
	if c.limit < 0 || c.limit > events.MaxInFlight {
		return nil, invalid("%d deliveries in flight, which is not from 1 to %d", c.limit, events.MaxInFlight)
	}
	if err := c.group.Check(); err != nil {
		return nil, err
	}
	return c, c.fetch.Check(c.group.Topic)
}

// deliver sends what there is, as long as not too much is under way.
func (c *consumer) deliver(ctx context.Context, stream grpc.BidiStreamingServer[eventsv1.ConsumeRequest, eventsv1.ConsumeResponse]) error {
	for {
		room, err := c.room(ctx)
		if err != nil {
			return err
		}
		f := c.fetch
		f.Limit = room
		list, err := c.events.Fetch(ctx, c.group, f)
		if err != nil {
			return err
		}
		delivered := make([]events.Event, len(list))
		for i, d := range list {
			delivered[i] = d.Event
		}
		messages := eventMessages(delivered)
		rsp := &eventsv1.ConsumeResponse{}
		var offsets []int64
		c.mu.Lock()
		for i, d := range list {
			rsp.Deliveries = append(rsp.Deliveries, &eventsv1.Delivery{Event: messages[i], Attempt: int32(d.Attempt)})
			offsets = append(offsets, d.Offset)
			d.Payload, d.Metadata = nil, nil // to settle it they are not needed
			c.out[d.Offset] = outstanding{d, time.Now().Add(f.AckWait)}
		}
		c.mu.Unlock()
		if err := stream.Send(rsp); err != nil {
			return err
		}
		if c.autoAck {
			if err := c.settle(ctx, &eventsv1.ConsumeRequest{Ack: offsets}); err != nil {
				return err
			}
		}
	}
}

// room waits until there is some for a delivery, and returns for how many. What was
// not settled in time takes none: it is delivered again, to whomever.
func (c *consumer) room(ctx context.Context) (int, error) {
	for {
		c.mu.Lock()
		if len(c.out) >= c.limit {
			maps.DeleteFunc(c.out, func(_ int64, o outstanding) bool { return !time.Now().Before(o.until) })
		}
		room, wait := c.limit-len(c.out), c.fetch.AckWait
		for _, o := range c.out {
			wait = min(wait, time.Until(o.until))
		}
		c.mu.Unlock()
		if room > 0 {
			return room, nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-c.freed:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		if err := ctx.Err(); err != nil {
			return 0, err
		}
	}
}

// settle does what a request says.
func (c *consumer) settle(ctx context.Context, req *eventsv1.ConsumeRequest) error {
	if req.GetStart() != nil || req.GetTopic() != "" {
		return invalid("only the first request says what to consume")
	}
	if n := len(req.GetAck()) + len(req.GetNack()); n > events.MaxInFlight {
		return invalid("%d deliveries settled at once, the most is %d", n, events.MaxInFlight)
	}
	if len(req.GetAck()) > 0 {
		if err := c.events.Ack(ctx, c.group, req.GetAck()); err != nil {
			return err
		}
		for _, o := range req.GetAck() {
			c.take(o)
		}
	}
	var list []events.Nack
	for _, n := range req.GetNack() {
		d, there := c.take(n.GetOffset())
		if !there {
			continue
		}
		delay := backoff(d.Attempt)
		if n.GetDelay() != nil {
			delay = n.GetDelay().AsDuration()
		}
		list = append(list, events.Nack{Delivery: d, Delay: delay})
	}
	if len(list) == 0 {
		return nil
	}
	return c.events.Nack(ctx, c.group, list)
}

// take forgets a delivery, and reports whether it was known.
func (c *consumer) take(offset int64) (events.Delivery, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o, there := c.out[offset]
	delete(c.out, offset)
	select {
	case c.freed <- struct{}{}:
	default:
	}
	return o.Delivery, there
}

// release gives back what was not settled. Of a consumer that was cut off the oldest
// counts as delivered: it may be what ended it. The others waited behind that.
func (c *consumer) release(ctx context.Context, cutOff bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	offsets := slices.Sorted(maps.Keys(c.out))
	if cutOff && len(offsets) > 0 {
		// What fails is delivered again after the wait for an ack; so below.
		_ = c.events.Nack(ctx, c.group, []events.Nack{{Delivery: c.out[offsets[0]].Delivery}})
		offsets = offsets[1:]
	}
	var list []events.Delivery
	for _, o := range offsets {
		list = append(list, c.out[o].Delivery)
	}
	_ = c.events.Release(ctx, c.group, list)
}
