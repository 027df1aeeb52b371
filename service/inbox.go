package service

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync"

	"google.golang.org/grpc/metadata"

	"github.com/micro/micro/v3/service/broker"
	"github.com/micro/micro/v3/service/internal/call"
	"github.com/micro/micro/v3/service/internal/telemetry"
	"github.com/micro/micro/v3/service/server"
)

// inbox is where the messages of a service come in.
type inbox struct {
	subscribers   []*subscriber // fixed once the service is started
	subscriptions []broker.Subscriber

	ctx    context.Context //nolint:containedctx // that of all messages, which cut ends
	cut    context.CancelFunc
	open   sync.RWMutex // read: while a message is handled
	closed bool         // nothing is handled any more
}

// subscribe begins all subscriptions.
func (s *Service) subscribe() error {
	in := &s.inbox
	errs := make([]error, len(in.subscribers))
	subscriptions := make([]broker.Subscriber, len(in.subscribers))
	var wg sync.WaitGroup
	for i, sub := range in.subscribers {
		wg.Go(func() {
			handle := func(m *broker.Message) error {
				s.receive(sub, m)
				return nil
			}
			var opts []broker.SubscribeOption
			if sub.queue != "" {
				opts = append(opts, broker.Queue(sub.queue))
			}
			subscriptions[i], errs[i] = broker.DefaultBroker.Subscribe(sub.topic, handle, opts...)
		})
	}
	wg.Wait()
	for i, err := range errs {
		if err == nil {
			in.subscriptions = append(in.subscriptions, subscriptions[i])
		}
	}
	return errors.Join(errs...)
}

// close ends all subscriptions and waits for messages that are handled.
func (in *inbox) close() error {
	var errs []error
	for _, sub := range in.subscriptions {
		errs = append(errs, sub.Unsubscribe())
	}
	in.open.Lock() // waits for what is handled
	in.closed = true
	in.open.Unlock()
	return errors.Join(errs...)
}

// receive hands a message to all receivers of a subscriber.
func (s *Service) receive(sub *subscriber, m *broker.Message) {
	s.inbox.open.RLock()
	defer s.inbox.open.RUnlock()
	if s.inbox.closed {
		return
	}
	s.calls.Add(1)
	defer s.calls.Add(-1)
	md := make(metadata.MD, len(m.Header))
	for name, value := range m.Header {
		// Whoever publishes could say anything of himself.
		if name = strings.ToLower(name); !strings.HasPrefix(name, "micro-") {
			md.Set(name, value)
		}
	}
	ctx := telemetry.Extract(metadata.NewIncomingContext(s.inbox.ctx, md))
	for _, r := range sub.receivers {
		s.handOver(call.Message(ctx, s.opts.Name, s.opts.Version, sub.topic), sub, r, m)
	}
}

// handOver hands a message to a receiver, through the wrappers of [WrapSubscriber].
func (s *Service) handOver(ctx context.Context, sub *subscriber, r receiver, m *broker.Message) {
	ctx, end := telemetry.Process(ctx, sub.topic)
	err := func() (err error) {
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("the handler panicked: %v\n%s", p, debug.Stack())
			}
		}()
		payload, err := r.payload(m)
		if err != nil {
			return fmt.Errorf("it is no %v: %w", r.takes, err)
		}
		f := server.SubscriberFunc(func(ctx context.Context, m server.Message) error { return r.call(ctx, m.Payload()) })
		for _, wrap := range slices.Backward(s.opts.wrapSubscriber) {
			f = wrap(f)
		}
		return f(ctx, &received{sub.topic, payload, m})
	}()
	if err != nil {
		s.log().ErrorContext(ctx, "a message was not handled", "topic", sub.topic, "err", err)
	}
	end(err)
}

// received is a [server.Message].
type received struct {
	topic   string
	payload any
	message *broker.Message
}

func (m *received) Topic() string             { return m.topic }
func (m *received) Payload() any              { return m.payload }
func (m *received) Header() map[string]string { return m.message.Header }
func (m *received) Body() []byte              { return m.message.Body }

func (m *received) ContentType() string {
	for name, value := range m.message.Header {
		if strings.EqualFold(name, "Content-Type") {
			return value
		}
	}
	return ""
}

var _ server.Message = (*received)(nil)
