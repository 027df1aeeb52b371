package broker

import "context"

// SubscribeOption says how to subscribe.
type SubscribeOption func(*SubscribeOptions)

// SubscribeOptions are what the options of a subscription have set.
type SubscribeOptions struct {
	Queue string
	// ErrorHandler is called with a message whose [Handler] failed; nil: the log says so.
	ErrorHandler ErrorHandler
	// Context ends the subscription of [Subscribe]; nil: nothing but Unsubscribe does.
	Context context.Context //nolint:containedctx // the name that services use

	ready   func()
	dropped func(n int64)
	lost    func(err error) // called when the server is away, before another attempt
}

// ErrorHandler is called with a message that could not be handled, and why.
type ErrorHandler func(m *Message, err error)

func newOptions(opts []SubscribeOption) *SubscribeOptions {
	o := &SubscribeOptions{ready: func() {}, dropped: func(int64) {}, lost: func(error) {}}
	for _, opt := range opts {
		opt(o)
	}
	return o
}

// Queue makes subscribers of the same name share what is published: each message goes
// to one of them.
func Queue(name string) SubscribeOption { return func(o *SubscribeOptions) { o.Queue = name } }

// Ready calls f whenever the server has the subscription: what is published from then
// on is handled.
func Ready(f func()) SubscribeOption { return func(o *SubscribeOptions) { o.ready = f } }

// Dropped calls f with how many messages were dropped because the handler was too slow
// for them: more than 1,000 or 8 MiB waited. It is called between two messages.
func Dropped(f func(n int64)) SubscribeOption { return func(o *SubscribeOptions) { o.dropped = f } }

// HandleError calls f with each message whose [Handler] failed.
func HandleError(f ErrorHandler) SubscribeOption {
	return func(o *SubscribeOptions) { o.ErrorHandler = f }
}

// SubscribeContext ends the subscription of [Subscribe] with ctx.
func SubscribeContext(ctx context.Context) SubscribeOption {
	return func(o *SubscribeOptions) { o.Context = ctx }
}

// PublishOption says how [Publish] publishes.
type PublishOption func(*PublishOptions)

// PublishOptions are what the options of [Publish] have set.
type PublishOptions struct {
	// Context is what the call is part of; nil: nothing, and it has 10 s.
	Context context.Context //nolint:containedctx // the name that services use
}

// PublishContext publishes as a part of what ctx is for, and no longer than that lasts.
func PublishContext(ctx context.Context) PublishOption {
	return func(o *PublishOptions) { o.Context = ctx }
}
