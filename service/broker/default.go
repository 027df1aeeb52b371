package broker

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/micro/micro/v3/service/internal/platform"
	"github.com/micro/micro/v3/service/logger"
)

// timeout bounds what has no context.
const timeout = 10 * time.Second

// Default returns the client that the functions of this package use: of the server that
// runs the service, as the service.
func Default() (*Client, error) {
	conn, err := platform.Conn()
	if err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	return New(conn), nil
}

// Broker publishes and subscribes without a context, as Micro 3 had it.
type Broker interface {
	// Publish is [Client.Publish].
	Publish(topic string, m *Message, opts ...PublishOption) error
	// Subscribe calls a handler with the messages of a topic, one at a time and in
	// order, from when it returns until Unsubscribe is called.
	Subscribe(topic string, h Handler, opts ...SubscribeOption) (Subscriber, error)
	// String returns what it is, "micro".
	String() string
}

// Handler handles a message. Nobody gets the message again when it fails.
type Handler func(m *Message) error

// Subscriber is a subscription.
type Subscriber interface {
	// Options returns what the options have set.
	Options() SubscribeOptions
	// Topic returns the topic.
	Topic() string
	// Unsubscribe ends the subscription. A message that is handled meanwhile is the last.
	Unsubscribe() error
}

// DefaultBroker is what [Publish] and [Subscribe] use: the client of [Default]. Tests may
// put another in its place.
var DefaultBroker Broker = standard{} //nolint:gochecknoglobals // the name that services use

// Publish passes a message on to who is subscribed to a topic; see [Client.Publish].
func Publish(topic string, m *Message, opts ...PublishOption) error {
	return DefaultBroker.Publish(topic, m, opts...)
}

// Subscribe calls a handler with the messages of a topic, one at a time and in order, until
// Unsubscribe is called. It returns when the server has the subscription, or cannot be
// reached for the time being: then it begins later. It ends when the server refuses it,
// which the log says.
func Subscribe(topic string, h Handler, opts ...SubscribeOption) (Subscriber, error) {
	return DefaultBroker.Subscribe(topic, h, opts...)
}

// standard is the broker of the server that runs the service.
type standard struct{}

func (standard) String() string { return "micro" }

func (standard) Publish(topic string, m *Message, opts ...PublishOption) error {
	c, err := Default()
	if err != nil {
		return err
	}
	var o PublishOptions
	for _, opt := range opts {
		opt(&o)
	}
	ctx := o.Context
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return c.Publish(ctx, topic, m)
}

func (standard) Subscribe(topic string, h Handler, opts ...SubscribeOption) (Subscriber, error) {
	c, err := Default()
	if err != nil {
		return nil, err
	}
	s := &subscription{topic: topic, handler: h, options: newOptions(opts)}
	ctx := s.options.Context
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, s.cancel = context.WithCancel(ctx)
	first, ended := make(chan error, 1), make(chan error, 1)
	tell := func(err error) {
		select {
		case first <- err:
		default: // it is not the first time
		}
	}
	opts = append(opts, func(o *SubscribeOptions) {
		o.ready = func() {
			tell(nil)
			s.options.ready()
		}
		o.lost = tell
	})
	go func() { ended <- c.Subscribe(ctx, topic, s.handle, opts...) }()
	wait := time.NewTimer(timeout)
	defer wait.Stop()
	select {
	case err = <-first:
	case err := <-ended:
		s.cancel()
		return nil, fmt.Errorf("subscribe to %q: %w", topic, err)
	case <-wait.C:
		err = context.DeadlineExceeded
	}
	if err != nil {
		logger.Default().Warn("a subscription waits for the server", "topic", topic, "err", err)
	}
	go func() {
		err := <-ended
		if ctx.Err() == nil {
			logger.Default().Error("a subscription ended", "topic", topic, "err", err)
		}
	}()
	return s, nil
}

// subscription is a [Subscriber].
type subscription struct {
	topic   string
	handler Handler
	options *SubscribeOptions
	cancel  context.CancelFunc
}

func (s *subscription) Options() SubscribeOptions { return *s.options }
func (s *subscription) Topic() string             { return s.topic }

func (s *subscription) Unsubscribe() error {
	s.cancel()
	return nil
}

// handle handles a message.
func (s *subscription) handle(ctx context.Context, m *Message) {
	err := s.call(m)
	switch {
	case err == nil:
	case s.options.ErrorHandler != nil:
		s.options.ErrorHandler(m, err)
	default:
		logger.Default().WarnContext(ctx, "a message was not handled", "topic", s.topic, "err", err)
	}
}

// call calls the handler. A panic is an error of that message.
func (s *subscription) call(m *Message) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the handler panicked: %v\n%s", p, debug.Stack())
		}
	}()
	return s.handler(m)
}
