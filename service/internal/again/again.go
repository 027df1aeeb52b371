// Package again makes a call that lasts, such as a subscription, once more when the
// connection to the server was lost.
package again

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// How long to wait before another attempt, at first and at most.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
)

// Call calls f again and again until ctx ends, and returns its error then. It goes on
// when f returns nil or an error that passes, with pauses that grow; any other error of f
// it returns.
func Call(ctx context.Context, f func() error) error {
	pause := firstPause
	for {
		began := time.Now()
		err := f()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil && !Lost(err) {
			return err
		}
		if time.Since(began) > lastPause {
			pause = firstPause
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
		pause = min(2*pause, lastPause)
	}
}

// Lost reports whether an error is one that passes: the server is away, or stops, or has
// too much to do, or no room on its disk.
func Lost(err error) bool {
	if errors.Is(err, io.EOF) {
		return true
	}
	code := status.Code(err)
	return code == codes.Unavailable || code == codes.ResourceExhausted
}
