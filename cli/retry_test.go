package cli

import (
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

func TestPause(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		n      int
		chance float64
		want   time.Duration
	}{
		{1, 0.5, 200 * time.Millisecond},
		{1, 0, 160 * time.Millisecond},
		{1, 1, 240 * time.Millisecond},
		{2, 0.5, 320 * time.Millisecond},
		{100, 0.5, 10 * time.Second},
	} {
		if got := pause(test.n, test.chance).Round(time.Microsecond); got != test.want {
			t.Errorf("pause(%d, %v) = %s, want %s", test.n, test.chance, got, test.want)
		}
	}
}

func TestRetryPause(t *testing.T) {
	t.Parallel()
	asked := func(code codes.Code, delay time.Duration) error {
		st, err := status.New(code, "busy").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(delay)})
		if err != nil {
			t.Fatal(err)
		}
		return st.Err()
	}
	for _, test := range []struct {
		name string
		err  error
		want time.Duration // 0: any
		ok   bool
	}{
		{"unavailable", status.Error(codes.Unavailable, ""), 0, true},
		{"unavailable for a while", asked(codes.Unavailable, time.Hour), time.Hour, true},
		{"exhausted", status.Error(codes.ResourceExhausted, ""), 0, false},
		{"exhausted for a while", asked(codes.ResourceExhausted, time.Second), time.Second, true},
		{"another code, though asked", asked(codes.Internal, time.Second), 0, false},
		{"wrapped", &callError{err: status.Error(codes.Unavailable, "")}, 0, true},
		{"no status", usage("", "no"), 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, ok := retryPause(test.err, 1)
			if ok != test.ok || test.want != 0 && got != test.want {
				t.Errorf("retryPause = %s, %t; want %s, %t", got, ok, test.want, test.ok)
			}
		})
	}
}
