package server

import "context"

// Subscriber is a function, or a struct with methods, that gets what is published to a
// topic: see package broker.
type Subscriber struct {
	topic   string
	value   any
	options SubscriberOptions
}

// NewSubscriber returns a subscriber.
func NewSubscriber(topic string, v any, opts ...SubscriberOption) Subscriber {
	s := Subscriber{topic: topic, value: v}
	for _, o := range opts {
		o(&s.options)
	}
	return s
}

// Topic returns the topic.
func (s Subscriber) Topic() string { return s.topic }

// Subscriber returns the function, or the struct.
func (s Subscriber) Subscriber() any { return s.value }

// Options returns what was said of it.
func (s Subscriber) Options() SubscriberOptions { return s.options }

// SubscriberOptions are what is said of a subscriber.
type SubscriberOptions struct {
	// Queue is what those have in common who share messages; empty: each instance of
	// a service gets all of them.
	Queue string
	// Internal subscribers are not for messages of other services. It is for rules to
	// see to that.
	Internal bool
}

// SubscriberOption says something of a subscriber.
type SubscriberOption func(*SubscriberOptions)

// SubscriberQueue makes those share messages who name the same queue: each message goes
// to one of them.
func SubscriberQueue(name string) SubscriberOption {
	return func(o *SubscriberOptions) { o.Queue = name }
}

// InternalSubscriber marks a subscriber as not being for messages of other services.
func InternalSubscriber(b bool) SubscriberOption {
	return func(o *SubscriberOptions) { o.Internal = b }
}

// SubscriberFunc handles a message. The context is that of a call: with the metadata, the
// id of the request and the trace that came along.
type SubscriberFunc func(ctx context.Context, m Message) error

// SubscriberWrapper does something around the handling of each message.
type SubscriberWrapper func(SubscriberFunc) SubscriberFunc

// Message is what was published.
type Message interface {
	// Topic returns the topic.
	Topic() string
	// Payload returns the message as the subscriber takes it.
	Payload() any
	// ContentType returns how it came, for example "application/json".
	ContentType() string
	// Header returns what came along.
	Header() map[string]string
	// Body returns what came.
	Body() []byte
}
