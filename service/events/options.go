package events

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	eventsv1 "github.com/micro/micro/v3/proto/micro/events/v1"
)

// PublishOption adds something to an event; see [Client.Publish].
type PublishOption func(*eventsv1.Event)

// WithMetadata sends metadata along with an event.
func WithMetadata(m map[string]string) PublishOption {
	return func(e *eventsv1.Event) { e.Metadata = m }
}

// WithKey gives an event a key: a group has events of the same key delivered one
// after the other, in order.
func WithKey(key string) PublishOption { return func(e *eventsv1.Event) { e.Key = key } }

// ConsumeOption says what to consume, and how; see [Client.Consume].
type ConsumeOption func(*options)

type options struct {
	ctx       context.Context //nolint:containedctx // WithContext hands it on
	group     string
	from      int64
	since     *timestamppb.Timestamp
	manual    bool
	wait      time.Duration
	retries   int32
	maxFlight int32
}

func newOptions(opts []ConsumeOption) *options {
	o := &options{maxFlight: 16}
	for _, opt := range opts {
		opt(o)
	}
	return o
}

func (o *options) start() *eventsv1.ConsumeStart {
	s := &eventsv1.ConsumeStart{Group: o.group, Offset: o.from, Since: o.since, MaxDeliveries: o.retries, MaxInFlight: o.maxFlight}
	if o.wait > 0 {
		s.AckWait = durationpb.New(o.wait)
	}
	return s
}

// WithGroup makes the consumer one of a group, whose consumers share the events. A
// group begins with the oldest event and goes on where it was. Without a group the
// consumer gets everything that is published while it consumes.
func WithGroup(name string) ConsumeOption { return func(o *options) { o.group = name } }

// WithOffset begins with what was published at that time or later. A group that is
// there already goes on where it is.
func WithOffset(t time.Time) ConsumeOption {
	return func(o *options) { o.since = timestamppb.New(t) }
}

// WithFrom is [WithOffset] by the place in the topic.
func WithFrom(offset int64) ConsumeOption { return func(o *options) { o.from = offset } }

// WithAutoAck says whether an event counts as handled without a word of the consumer:
// of [Consume] when it was received, of [Client.Consume] when the handler returned
// nil. Without it the consumer calls [Event.Ack] or [Event.Nack] within the wait, else
// the event is delivered again. It is on unless turned off; a wait of 0 is 30 s.
func WithAutoAck(on bool, wait time.Duration) ConsumeOption {
	return func(o *options) { o.manual, o.wait = !on, wait }
}

// WithRetryLimit moves an event to the topic TOPIC.dead that was delivered to the
// group once and then so many times again in vain.
func WithRetryLimit(n int) ConsumeOption { return func(o *options) { o.retries = int32(n) + 1 } }

// WithContext ends a consumer that has no other context, that of [Consume].
func WithContext(ctx context.Context) ConsumeOption { return func(o *options) { o.ctx = ctx } }

// WithMaxInFlight bounds how many events the consumer holds that are not settled; 16
// unless said.
func WithMaxInFlight(n int) ConsumeOption { return func(o *options) { o.maxFlight = int32(n) } }
