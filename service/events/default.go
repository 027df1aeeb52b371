package events

import (
	"cmp"
	"context"
	"time"

	"github.com/micro/micro/v3/service/internal/platform"
	"github.com/micro/micro/v3/service/logger"
)

// Default returns the client that the functions of this package use: of the server that
// runs the service, as the service.
func Default() (*Client, error) {
	conn, err := platform.Conn()
	if err != nil {
		return nil, err
	}
	return New(conn), nil
}

// Stream publishes and consumes without a context, as Micro 3 had it.
type Stream interface {
	Publish(topic string, msg any, opts ...PublishOption) error
	Consume(topic string, opts ...ConsumeOption) (<-chan Event, error)
}

// DefaultStream is what [Publish] and [Consume] use: the client of [Default]. Tests may
// put another in its place.
var DefaultStream Stream = standard{} //nolint:gochecknoglobals // the name that services use

// Publish publishes an event as this service does; see [Client.Publish]. It gives up after
// 10 s.
func Publish(topic string, msg any, opts ...PublishOption) error {
	return DefaultStream.Publish(topic, msg, opts...)
}

// Consume returns the events of a topic as this service gets them; see
// [Client.Consume] for the options. The channel is closed when they end, which they
// do only with the context of [WithContext], or when the server refuses to send them; the
// log says why.
func Consume(topic string, opts ...ConsumeOption) (<-chan Event, error) {
	return DefaultStream.Consume(topic, opts...)
}

// ReadOption says which events [Read] returns.
type ReadOption func(*readOptions)

type readOptions struct{ limit, offset uint }

// ReadLimit returns at most so many events; 250 unless said.
func ReadLimit(n uint) ReadOption { return func(o *readOptions) { o.limit = n } }

// ReadOffset leaves so many events out at the beginning.
func ReadOffset(n uint) ReadOption { return func(o *readOptions) { o.offset = n } }

// Read returns events of a topic that are there, from the oldest on; see [Client.Read]. It
// gives up after 10 s.
func Read(topic string, opts ...ReadOption) ([]*Event, error) {
	c, err := Default()
	if err != nil {
		return nil, err
	}
	var o readOptions
	for _, opt := range opts {
		opt(&o)
	}
	limit := cmp.Or(o.limit, 250)
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	var events []*Event
	for e, err := range c.Read(ctx, topic) {
		if err != nil {
			return nil, err
		}
		if o.offset > 0 {
			o.offset--
			continue
		}
		events = append(events, e)
		if uint(len(events)) == limit {
			break
		}
	}
	return events, nil
}

// timeout bounds what has no context.
const timeout = 10 * time.Second

// standard is the events of the server that runs the service.
type standard struct{}

func (standard) Publish(topic string, msg any, opts ...PublishOption) error {
	c, err := Default()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	_, err = c.Publish(ctx, topic, msg, opts...)
	return err
}

func (standard) Consume(topic string, opts ...ConsumeOption) (<-chan Event, error) {
	c, err := Default()
	if err != nil {
		return nil, err
	}
	ctx := newOptions(opts).ctx
	if ctx == nil {
		ctx = context.Background()
	}
	out := make(chan Event)
	go func() {
		defer close(out)
		err := c.Consume(ctx, topic, func(_ context.Context, e *Event) error {
			select {
			case out <- *e:
				return nil
			case <-ctx.Done():
				return ctx.Err() // nobody takes it any more
			}
		}, opts...)
		if ctx.Err() == nil {
			logger.Default().Error("consuming ended", "topic", topic, "err", err)
		}
	}()
	return out, nil
}
