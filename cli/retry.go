package cli

import (
	"context"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/micro/micro/v3/cli/front"
)

// The pause before a call is made again: it grows, and no two clients keep step.
const (
	firstPause = 200 * time.Millisecond
	longest    = 10 * time.Second
)

// pause returns how long to wait before the n-th retry, n from 1. Chance is from 0 to 1.
func pause(n int, chance float64) time.Duration {
	d := firstPause
	for range n - 1 {
		if d = d * 8 / 5; d >= longest {
			d = longest
			break
		}
	}
	return time.Duration(float64(d) * (0.8 + 0.4*chance))
}

// retryPause reports whether a call that failed may be made again, and after how
// long: when no service has got it or it could not take it, which is what
// UNAVAILABLE means, or when the server asks for it.
func retryPause(err error, n int) (time.Duration, bool) {
	st, ok := status.FromError(err)
	if !ok || st.Code() != codes.Unavailable && st.Code() != codes.ResourceExhausted {
		return 0, false
	}
	if raw, err := proto.Marshal(st.Proto()); err == nil {
		if d, asked := front.RetryDelay(raw); asked {
			return max(d, time.Millisecond), true
		}
	}
	return pause(n, rand.Float64()), st.Code() == codes.Unavailable //nolint:gosec // it is no secret
}

// retrying calls f until it succeeds, fails for good, or has failed as often as r
// says. f reports false when it has done what cannot be done again. The last error is
// returned also when there is no time left to try again.
func (a *App) retrying(ctx context.Context, r *front.Request, f func() (repeatable bool, err error)) error {
	for n := 1; ; n++ {
		repeatable, err := f()
		if err == nil || !repeatable || n > r.Retries {
			return err
		}
		wait, ok := retryPause(err, n)
		if !ok {
			return err
		}
		if deadline, has := ctx.Deadline(); has && time.Until(deadline) <= wait {
			return err
		}
		if a.observer != nil {
			a.observer.retry(status.Convert(err).Message(), wait, n, r.Retries)
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return err
		}
	}
}
