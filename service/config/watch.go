package config

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	configv1 "github.com/micro/micro/v3/proto/micro/config/v1"
)

// Pauses between attempts to reach the server again.
const (
	minPause = 100 * time.Millisecond
	maxPause = 5 * time.Second
)

// Watch yields the value at a path as it is, and then as it is after each change, until
// the loop ends. A value that does not exist is the zero T. A nil client is [Default].
//
//	for limits, err := range config.Watch[Limits](ctx, nil, "limits") {
//		if err != nil {
//			logger.Error(err)
//			continue
//		}
//		current.Store(&limits)
//	}
//
// When the server cannot be reached the watch tries again by itself, and goes on
// where it was: no change is missed or comes twice, as long as the server keeps them;
// after more than 256, and when the server has another configuration than before, it
// begins again with the value as it is. Each value is a whole, so there is nothing to do
// then.
//
// A value that does not fit T is yielded as an error with the zero T, and the watch goes
// on. Other errors come last: that of ctx when it ends, and what no other attempt
// could help, such as a right that is missing.
func Watch[T any](ctx context.Context, c *Client, path string, opts ...Option) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		for v, err := range c.watch(ctx, path, opts) {
			if err != nil {
				yield(zero, fmt.Errorf("config: watch %q: %w", path, err))
				return
			}
			var t T
			if v.json != nil {
				err = json.Unmarshal(v.json, &t)
			}
			if err != nil {
				t, err = zero, fmt.Errorf("config: watch %q: revision %d: %w", path, v.revision, err)
			}
			if !yield(t, err) {
				return
			}
		}
	}
}

// watch yields values across connections; an error is the last.
func (c *Client) watch(ctx context.Context, path string, opts []Option) iter.Seq2[Value, error] {
	return func(yield func(Value, error) bool) {
		if c == nil {
			var err error
			if c, err = Default(); err != nil {
				yield(Value{}, err)
				return
			}
		}
		req := &configv1.WatchRequest{Path: path, Secrets: apply(opts).secret}
		pause := minPause
		for {
			more, err := c.follow(ctx, req, func(v Value) bool {
				pause = minPause
				return yield(v, nil)
			})
			switch {
			case !more:
				return
			case ctx.Err() != nil:
				yield(Value{}, ctx.Err())
				return
			case !transient(err):
				yield(Value{}, err)
				return
			}
			// Not all at once, when many lost the same server.
			select {
			case <-time.After(pause/2 + rand.N(pause/2)):
			case <-ctx.Done():
			}
			pause = min(2*pause, maxPause)
		}
	}
}

// follow yields the values of one stream, and keeps in req where it is. It reports
// false when no more are wanted.
func (c *Client) follow(ctx context.Context, req *configv1.WatchRequest, yield func(Value) bool) (more bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.api.Watch(ctx, req)
	if err != nil {
		return true, err
	}
	for {
		rsp, err := stream.Recv()
		if err != nil {
			return true, err
		}
		req.FromRevision = &rsp.Revision
		v := Value{revision: rsp.GetRevision()}
		if rsp.Json != nil {
			v.json = []byte(rsp.GetJson())
		}
		if !yield(v) {
			return false, nil
		}
	}
}

// transient reports whether another attempt may help: a stream that ends is one.
func transient(err error) bool {
	switch status.Code(err) {
	case codes.InvalidArgument, codes.PermissionDenied, codes.Unauthenticated, codes.Unimplemented, codes.NotFound:
		return false
	default:
		return true
	}
}
