package client

import (
	"context"
	"fmt"
	"maps"
	"net/textproto"
	"strings"
	"unicode/utf8"

	"google.golang.org/grpc/metadata"

	"github.com/micro/micro/v3/service/broker"
	"github.com/micro/micro/v3/service/internal/call"
	"github.com/micro/micro/v3/service/internal/telemetry"
)

// Message is what is published to who is subscribed to a topic at that moment: see package
// broker.
type Message interface {
	// Topic returns the topic.
	Topic() string
	// Payload returns what is published: a message, or what else JSON can say.
	Payload() any
	// ContentType returns how it is written, "application/json".
	ContentType() string
}

// NewMessage returns a message for [Client.Publish].
func NewMessage(topic string, payload any, opts ...MessageOption) Message {
	m := &message{topic: topic, payload: payload, options: MessageOptions{ContentType: "application/json"}}
	for _, o := range opts {
		o(&m.options)
	}
	return m
}

// MessageOption says something of a message.
type MessageOption func(*MessageOptions)

// MessageOptions are what the options of a message have set.
type MessageOptions struct {
	ContentType string
}

// WithMessageContentType says how the payload is written. It changes nothing but what
// subscribers are told when the payload is a []byte.
func WithMessageContentType(ct string) MessageOption {
	return func(o *MessageOptions) { o.ContentType = ct }
}

type message struct {
	topic   string
	payload any
	options MessageOptions
}

func (m *message) Topic() string       { return m.topic }
func (m *message) Payload() any        { return m.payload }
func (m *message) ContentType() string { return m.options.ContentType }

// PublishOption says how a message is published.
type PublishOption func(*PublishOptions)

// PublishOptions are what the options of [Client.Publish] have set: there are none yet.
type PublishOptions struct{}

// Publish is [Client.Publish] of the [DefaultClient].
func Publish(ctx context.Context, m Message, opts ...PublishOption) error {
	return DefaultClient.Publish(ctx, m, opts...)
}

func (*client) NewMessage(topic string, payload any, opts ...MessageOption) Message {
	return NewMessage(topic, payload, opts...)
}

func (c *client) Publish(ctx context.Context, m Message, _ ...PublishOption) error {
	out := &broker.Message{Header: map[string]string{"Content-Type": m.ContentType()}}
	if body, ok := m.Payload().([]byte); ok {
		out.Body = body
	} else {
		encoded, err := broker.NewMessage(m.Payload())
		if err != nil {
			return asError(fmt.Errorf("publish to %q: %w", m.Topic(), err))
		}
		out = encoded
	}
	maps.Copy(out.Header, passedOn(ctx))
	if c.conn != nil {
		ctx, cancel := c.opts.CallOptions.limited(ctx)
		defer cancel()
		return asError(broker.New(c.conn).Publish(ctx, m.Topic(), out))
	}
	return asError(broker.DefaultBroker.Publish(m.Topic(), out, broker.PublishContext(ctx)))
}

// passedOn returns what goes along with a message: what goes along with a call, but for
// whom that is made, since whoever publishes could say anything.
func passedOn(ctx context.Context) map[string]string {
	ctx = metadata.NewOutgoingContext(ctx, metadata.MD{})
	md, _ := metadata.FromOutgoingContext(call.Outgoing(telemetry.Inject(forward(ctx))))
	header := make(map[string]string, len(md))
	for name, values := range md {
		if !strings.HasPrefix(name, "micro-") && !strings.HasSuffix(name, "-bin") && utf8.ValidString(values[0]) {
			header[textproto.CanonicalMIMEHeaderKey(name)] = values[0]
		}
	}
	return header
}
