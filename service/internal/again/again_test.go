package again_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/micro/micro/v3/service/internal/again"
)

// TestCall has a server that is away, comes back for a while, and refuses in the end.
func TestCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		denied := status.Error(codes.PermissionDenied, "no")
		began := time.Now()
		var at []time.Duration
		err := again.Call(t.Context(), func() error {
			at = append(at, time.Since(began))
			switch len(at) {
			case 1:
				return status.Error(codes.Unavailable, "away")
			case 2:
				return io.EOF
			case 3:
				<-time.After(time.Minute) // it works
				return nil
			case 4:
				return status.Error(codes.ResourceExhausted, "the disk is full")
			default:
				return denied
			}
		})
		if !errors.Is(err, denied) {
			t.Errorf("%v, want %v", err, denied)
		}
		want := []time.Duration{0, 100 * time.Millisecond, 300 * time.Millisecond, time.Minute + 400*time.Millisecond, time.Minute + 600*time.Millisecond}
		for i := range want {
			if i >= len(at) || at[i] != want[i] {
				t.Fatalf("called after %v, want %v", at, want)
			}
		}
	})
}

// TestCallEnds ends with its context, in a pause and in the call.
func TestCallEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for name, f := range map[string]func(context.Context) error{
			"in a pause":  func(context.Context) error { return nil },
			"in the call": func(ctx context.Context) error { <-ctx.Done(); return status.FromContextError(ctx.Err()).Err() },
		} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			if err := again.Call(ctx, func() error { return f(ctx) }); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v, want %v", name, err, context.DeadlineExceeded)
			}
		}
	})
}
