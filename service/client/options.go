package client

import (
	"cmp"
	"context"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"

	"github.com/micro/micro/v3/service/errors"
	"github.com/micro/micro/v3/service/internal/platform"
)

// DefaultRequestTimeout is how long a call has that says nothing of it.
const DefaultRequestTimeout = 10 * time.Second

// CallOption sets something of a call.
type CallOption func(*CallOptions)

// CallOptions are what the options of a call have set.
type CallOptions struct {
	// Address is who to call without the server between, as host:port: any of them.
	Address []string
	// RequestTimeout is how long a call has; 0: until the deadline of its context,
	// or [DefaultRequestTimeout] without one.
	RequestTimeout time.Duration
	// StreamTimeout is how long a call of many messages has; 0: as long as its
	// context.
	StreamTimeout time.Duration
	// Retries is how many times a call is made again at most; 0: 4 times, negative:
	// never.
	Retries int
	// Idempotent says that to make the call twice does no harm.
	Idempotent bool
	// Retry decides whether a call is made again that failed; nil: as the package
	// says.
	Retry RetryFunc
	// Backoff says how long to wait before; nil: a random time that doubles.
	Backoff BackoffFunc
	// CallWrappers are around the call, the first is the outermost.
	CallWrappers []CallWrapper
	// DialTimeout changes nothing: the connection is there already.
	DialTimeout time.Duration
	// AuthToken changes nothing: every call is made as the service.
	AuthToken bool
}

func newCallOptions(o CallOptions, opts []CallOption) CallOptions {
	for _, opt := range opts {
		opt(&o)
	}
	return o
}

// CallFunc makes a call: at an address, or for the empty one through the server.
type CallFunc func(ctx context.Context, address string, req Request, rsp any, opts CallOptions) error

// CallWrapper does something around a call.
type CallWrapper func(CallFunc) CallFunc

// Wrapper makes another client of a client.
type Wrapper func(Client) Client

// RetryFunc reports whether a call that failed is to be made again. The retry is how many
// times that was done already. An error ends it at once, in the place of that of the call.
type RetryFunc func(ctx context.Context, req Request, retry int, err error) (bool, error)

// BackoffFunc returns how long to wait before a call is made again, the how-manieth time
// from 1 on.
type BackoffFunc func(ctx context.Context, req Request, retry int) (time.Duration, error)

// WithAddress calls who listens at an address, without the server between; of several
// any one. The call says nothing of who makes it.
func WithAddress(addresses ...string) CallOption {
	return func(o *CallOptions) { o.Address = addresses }
}

// WithAuthToken makes a call as the service, which every call is.
func WithAuthToken() CallOption { return func(o *CallOptions) { o.AuthToken = true } }

// WithRequestTimeout says how long a call has at most, with all attempts. The deadline of
// its context counts where it is earlier.
func WithRequestTimeout(d time.Duration) CallOption {
	return func(o *CallOptions) { o.RequestTimeout = d }
}

// WithStreamTimeout says how long a call of many messages has at most.
func WithStreamTimeout(d time.Duration) CallOption {
	return func(o *CallOptions) { o.StreamTimeout = d }
}

// WithDialTimeout changes nothing: the connection to the server is there already, and
// [WithRequestTimeout] says how long all of a call may take.
func WithDialTimeout(d time.Duration) CallOption { return func(o *CallOptions) { o.DialTimeout = d } }

// WithRetries says how many times a call is made again at most.
func WithRetries(n int) CallOption {
	return func(o *CallOptions) {
		if o.Retries = n; n == 0 {
			o.Retries = -1
		}
	}
}

// WithRetry decides otherwise than the package which calls are made again. Whoever lets
// a call be made again that a service may have got knows that it does no harm.
func WithRetry(f RetryFunc) CallOption { return func(o *CallOptions) { o.Retry = f } }

// WithBackoff says how long to wait before a call is made again.
func WithBackoff(f BackoffFunc) CallOption { return func(o *CallOptions) { o.Backoff = f } }

// WithCallWrapper adds wrappers around a call.
func WithCallWrapper(w ...CallWrapper) CallOption {
	return func(o *CallOptions) { o.CallWrappers = append(o.CallWrappers, w...) }
}

// Idempotent says that to make a call twice does no harm: it is made again whenever it
// failed as UNAVAILABLE, though a service may have got it.
func Idempotent() CallOption { return func(o *CallOptions) { o.Idempotent = true } }

// RetryNever makes no call again.
func RetryNever(context.Context, Request, int, error) (bool, error) { return false, nil }

// RetryAlways makes every call again that failed.
func RetryAlways(_ context.Context, _ Request, _ int, err error) (bool, error) {
	return err != nil, nil
}

// RetryOnError makes a call again that the service has failed at or took too long for.
func RetryOnError(_ context.Context, _ Request, _ int, err error) (bool, error) {
	if err == nil {
		return false, nil
	}
	code := errors.FromError(err).Code
	return code == 408 || code >= 500, nil
}

// RetryOnConnectFailure makes a call again that no service has got, as every call is
// without a [WithRetry].
func RetryOnConnectFailure(_ context.Context, _ Request, _ int, err error) (bool, error) {
	return Refused(err), nil
}

// address returns one of the addresses, empty when there is none.
func (o CallOptions) address() string {
	if len(o.Address) == 0 {
		return ""
	}
	return o.Address[rand.IntN(len(o.Address))] //nolint:gosec // nothing to guess
}

// limited returns a context that ends with the time that a call has.
func (o CallOptions) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	_, bounded := ctx.Deadline()
	switch {
	case o.RequestTimeout > 0:
		return context.WithTimeout(ctx, o.RequestTimeout)
	case bounded:
		return ctx, func() {}
	default:
		return context.WithTimeout(ctx, DefaultRequestTimeout)
	}
}

// policy tells the connection when to make a call again.
func (o CallOptions) policy(req Request) grpc.CallOption {
	p := platform.Policy{Retries: cmp.Or(o.Retries, platform.DefaultRetries), Idempotent: o.Idempotent}
	if o.Retry != nil {
		p.Again = func(ctx context.Context, retry int, err error) (bool, error) { return o.Retry(ctx, req, retry, err) }
	}
	if o.Backoff != nil {
		p.Pause = func(ctx context.Context, retry int) (time.Duration, error) { return o.Backoff(ctx, req, retry) }
	}
	return platform.WithPolicy(p)
}

// Option sets something for all calls of a client.
type Option func(*Options)

// Options are what the options of a client have set.
type Options struct {
	// CallOptions are those of every call, which may set others.
	CallOptions CallOptions
}

func each(opts ...CallOption) Option {
	return func(o *Options) { o.CallOptions = newCallOptions(o.CallOptions, opts) }
}

// RequestTimeout is [WithRequestTimeout] for all calls.
func RequestTimeout(d time.Duration) Option { return each(WithRequestTimeout(d)) }

// StreamTimeout is [WithStreamTimeout] for all calls.
func StreamTimeout(d time.Duration) Option { return each(WithStreamTimeout(d)) }

// Retries is [WithRetries] for all calls.
func Retries(n int) Option { return each(WithRetries(n)) }

// Retry is [WithRetry] for all calls.
func Retry(f RetryFunc) Option { return each(WithRetry(f)) }

// Backoff is [WithBackoff] for all calls.
func Backoff(f BackoffFunc) Option { return each(WithBackoff(f)) }

// WrapCall is [WithCallWrapper] for all calls.
func WrapCall(w ...CallWrapper) Option { return each(WithCallWrapper(w...)) }
