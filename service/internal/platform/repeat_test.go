package platform

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
)

// failing fails a number of calls, as the server that refuses them or as a service that
// has got them.
type failing struct {
	authv1.UnimplementedAuthServer
	calls  atomic.Int64
	fails  int64
	code   codes.Code
	refuse bool
}

func (f *failing) WhoAmI(ctx context.Context, _ *authv1.WhoAmIRequest) (*authv1.WhoAmIResponse, error) {
	if f.calls.Add(1) > f.fails {
		return &authv1.WhoAmIResponse{}, nil
	}
	if f.refuse {
		if err := grpc.SetTrailer(ctx, metadata.Pairs(keyRefused, "true")); err != nil {
			return nil, err
		}
	}
	return nil, status.Error(f.code, "no")
}

// at once is a pause of nothing.
func atOnce(context.Context, int) (time.Duration, error) { return 0, nil }

// serve serves f at an address, until the test ends.
func serve(t *testing.T, address string, f authv1.AuthServer) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	authv1.RegisterAuthServer(s, f)
	go func() { _ = s.Serve(l) }() // it ends by Stop
	t.Cleanup(s.Stop)
	return l.Addr().String()
}

func dial(t *testing.T, address string) *grpc.ClientConn {
	t.Helper()
	conn, err := Dial(func(name string) string { return map[string]string{"MICRO_PROXY": address}[name] })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// A call is made again when nobody has got it, and otherwise only when somebody says that
// it does no harm.
func TestRepeat(t *testing.T) {
	t.Parallel()
	stop := errors.New("enough")
	for _, tt := range []struct {
		name    string
		server  *failing
		policy  Policy
		want    codes.Code
		calls   int64
		refused bool
	}{
		{"refused for a while", &failing{fails: 3, code: codes.Unavailable, refuse: true}, Policy{Retries: 4}, codes.OK, 4, false},
		{"refused for too long", &failing{fails: 9, code: codes.Unavailable, refuse: true}, Policy{Retries: 2}, codes.Unavailable, 3, true},
		{"refused, and never again", &failing{fails: 9, code: codes.Unavailable, refuse: true}, Policy{Retries: -1}, codes.Unavailable, 1, true},
		{"refused for good", &failing{fails: 9, code: codes.NotFound, refuse: true}, Policy{Retries: 4}, codes.NotFound, 1, true},
		{"got by a service", &failing{fails: 9, code: codes.Unavailable}, Policy{Retries: 4}, codes.Unavailable, 1, false},
		{"got by a service, harmless", &failing{fails: 2, code: codes.Unavailable}, Policy{Retries: 4, Idempotent: true}, codes.OK, 3, false},
		{"harmless, and failed otherwise", &failing{fails: 2, code: codes.Internal}, Policy{Retries: 4, Idempotent: true}, codes.Internal, 1, false},
		{"as the caller says", &failing{fails: 2, code: codes.Internal}, Policy{Retries: 4, Again: func(context.Context, int, error) (bool, error) { return true, nil }}, codes.OK, 3, false},
		{"until the caller says", &failing{fails: 9, code: codes.Internal}, Policy{Retries: 9, Again: func(_ context.Context, retries int, _ error) (bool, error) {
			if retries == 2 {
				return false, stop
			}
			return true, nil
		}}, codes.Unknown, 3, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.policy.Pause = atOnce
			conn := dial(t, serve(t, "127.0.0.1:0", tt.server))
			_, err := authv1.NewAuthClient(conn).WhoAmI(t.Context(), &authv1.WhoAmIRequest{}, WithPolicy(tt.policy))
			if status.Code(err) != tt.want || tt.server.calls.Load() != tt.calls || Refused(err) != tt.refused {
				t.Errorf("%v after %d calls, refused %v; want %v after %d, %v", err, tt.server.calls.Load(), Refused(err), tt.want, tt.calls, tt.refused)
			}
		})
	}
}

// A call that has not left this process was got by nobody.
func TestServerComesLate(t *testing.T) {
	t.Parallel()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	conn := dial(t, address)
	server := &failing{}
	started := false
	_, err = authv1.NewAuthClient(conn).WhoAmI(t.Context(), &authv1.WhoAmIRequest{}, WithPolicy(Policy{Retries: 1000, Pause: func(context.Context, int) (time.Duration, error) {
		if !started {
			started = true
			serve(t, address, server)
		}
		return 50 * time.Millisecond, nil
	}}))
	if err != nil || !started || server.calls.Load() != 1 {
		t.Errorf("%v; the server was started %v, and called %d times", err, started, server.calls.Load())
	}
	rsp, err := authv1.NewAuthClient(dial(t, "127.0.0.1:1")).WhoAmI(t.Context(), &authv1.WhoAmIRequest{}, WithPolicy(Policy{Retries: 2, Pause: atOnce}))
	if !Refused(err) {
		t.Errorf("%v, %v; want a call that nobody has got", rsp, err)
	}
}

// What always fails is not asked for more and more.
func TestBudget(t *testing.T) {
	t.Parallel()
	server := &failing{fails: 1 << 40, code: codes.Unavailable, refuse: true}
	conn := dial(t, serve(t, "127.0.0.1:0", server))
	const calls = 100
	for range calls {
		_, err := authv1.NewAuthClient(conn).WhoAmI(t.Context(), &authv1.WhoAmIRequest{}, WithPolicy(Policy{Retries: 4, Pause: atOnce}))
		if status.Code(err) != codes.Unavailable {
			t.Fatal(err)
		}
	}
	if got, most := server.calls.Load(), int64(calls+calls/5+maxBudget); got > most || got <= calls {
		t.Errorf("%d calls were made %d times, want more than once and at most %d times", calls, got, most)
	}
}

// The pauses grow, are random, and end with the call.
func TestPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for retry, most := range map[int]time.Duration{1: firstPause, 2: 2 * firstPause, 4: 8 * firstPause, 30: lastPause} {
			seen := map[time.Duration]bool{}
			for range 20 {
				began := time.Now()
				if err := (Policy{}).pause(t.Context(), retry); err != nil {
					t.Fatal(err)
				}
				took := time.Since(began)
				if seen[took] = true; took > most {
					t.Errorf("the pause before retry %d took %s, want at most %s", retry, took, most)
				}
			}
			if len(seen) < 10 {
				t.Errorf("20 pauses took %d different times", len(seen))
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		err := Policy{Pause: func(context.Context, int) (time.Duration, error) { return time.Hour, nil }}.pause(ctx, 1)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a pause of an hour: %v", err)
		}
	})
}
