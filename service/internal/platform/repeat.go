package platform

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
)

// Policy says when a call that has failed is made again.
//
// One that no service has got is made again in any case: the server could not be
// reached, or has told that it forwarded nothing, since no instance of the service ran.
// One that a service may have got is made again only when somebody who knows says so.
type Policy struct {
	// Retries is how many times a call is made again at most; negative: never.
	Retries int
	// Idempotent says that to make the call twice does no harm: it is made again
	// whenever it failed as UNAVAILABLE.
	Idempotent bool
	// Again decides in the place of these rules, if it is set.
	Again func(ctx context.Context, retries int, err error) (bool, error)
	// Pause says how long to wait before a call is made again, the how-manieth time
	// from 1 on; a random time that doubles if it is nil.
	Pause func(ctx context.Context, retry int) (time.Duration, error)
}

// DefaultRetries is how many times a call is made again that says nothing of it.
const DefaultRetries = 4

type policyOption struct {
	grpc.EmptyCallOption
	policy Policy
}

// WithPolicy says when a call is made again.
func WithPolicy(p Policy) grpc.CallOption { return policyOption{policy: p} }

func policyOf(opts []grpc.CallOption) Policy {
	p := Policy{Retries: DefaultRetries}
	for _, o := range opts {
		if o, ok := o.(policyOption); ok {
			p = o.policy
		}
	}
	return p
}

// again reports whether a call is to be made again that failed with err.
func (p Policy) again(ctx context.Context, retries int, err error) (bool, error) {
	switch {
	case retries >= p.Retries:
		return false, nil
	case p.Again != nil:
		return p.Again(ctx, retries, err)
	default:
		return status.Code(err) == codes.Unavailable && (p.Idempotent || Refused(err)), nil
	}
}

// The pauses between attempts: random, so that those who failed together do not come
// back together, up to twice as long each time.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 2 * time.Second
)

func (p Policy) pause(ctx context.Context, retry int) error {
	limit := min(firstPause<<(retry-1), lastPause)
	d := rand.N(limit) //nolint:gosec // nothing to guess
	if p.Pause != nil {
		var err error
		if d, err = p.Pause(ctx, retry); err != nil {
			return err
		}
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// repeater makes calls again, within a budget: what fails for everybody would fail all
// the more if everybody asked several times.
type repeater struct {
	mu     sync.Mutex
	budget float64 // of calls that may be made again
}

const (
	maxBudget    = 20
	budgetOfCall = 0.2 // so at most one call in five is one that is made again
)

func newRepeater() *repeater { return &repeater{budget: maxBudget} }

func (r *repeater) earn() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.budget = min(r.budget+budgetOfCall, maxBudget)
}

func (r *repeater) spend() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.budget < 1 {
		return false
	}
	r.budget--
	return true
}

// refusedError is an error of a call that no service has got.
type refusedError struct{ err error }

func (e *refusedError) Error() string              { return e.err.Error() }
func (e *refusedError) Unwrap() error              { return e.err }
func (e *refusedError) GRPCStatus() *status.Status { return status.Convert(e.err) }

// Refused reports whether no service has got anything of a call that failed.
func Refused(err error) bool {
	_, ok := errors.AsType[*refusedError](err)
	return ok
}

// keyRefused is in the trailer of a call that the server has not forwarded.
const keyRefused = "micro-refused"

// sent is set when something of a call has left this process.
type sent struct{ atomic.Bool }

type sentKey struct{}

// sentWatch notes which calls have left this process.
type sentWatch struct{}

func (sentWatch) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (sentWatch) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (sentWatch) HandleConn(context.Context, stats.ConnStats)                       {}

func (sentWatch) HandleRPC(ctx context.Context, s stats.RPCStats) {
	if _, ok := s.(*stats.OutHeader); ok {
		if mark, ok := ctx.Value(sentKey{}).(*sent); ok {
			mark.Store(true)
		}
	}
}

func (r *repeater) unary(ctx context.Context, path string, req, rsp any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	var trailer metadata.MD
	return r.repeat(ctx, policyOf(opts), func(ctx context.Context) (bool, error) {
		trailer = nil
		err := invoke(ctx, path, req, rsp, cc, append(slices.Clip(opts), grpc.Trailer(&trailer))...)
		return len(trailer.Get(keyRefused)) == 0, err
	})
}

// stream repeats the opening of a stream. What is refused later is known only when
// something was sent already, and is the caller's to repeat.
func (r *repeater) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, path string, open grpc.Streamer, opts ...grpc.CallOption) (s grpc.ClientStream, err error) {
	err = r.repeat(ctx, policyOf(opts), func(ctx context.Context) (bool, error) {
		s, err = open(ctx, desc, cc, path, opts...)
		return true, err
	})
	return s, err
}

// repeat makes a call until it is well, or is not to be made again. The attempt reports
// whether a service may have got it, as far as it knows.
func (r *repeater) repeat(ctx context.Context, p Policy, attempt func(context.Context) (got bool, err error)) error {
	r.earn()
	for retries := 0; ; retries++ {
		mark := new(sent)
		got, err := attempt(context.WithValue(ctx, sentKey{}, mark))
		if err == nil {
			return nil
		}
		if !got || !mark.Load() {
			err = &refusedError{err}
		}
		if ctx.Err() != nil {
			return err
		}
		again, stop := p.again(ctx, retries, err)
		if stop != nil {
			return stop
		}
		if !again || !r.spend() || p.pause(ctx, retries+1) != nil {
			return err
		}
	}
}
