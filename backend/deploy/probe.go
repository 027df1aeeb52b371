package deploy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// ErrUnreachable is in the error of [Check] when an instance gave no answer at all.
var ErrUnreachable = errors.New("it cannot be reached")

// unreachableError is an [ErrUnreachable] that has no text but its own.
type unreachableError string

func (e unreachableError) Error() string { return string(e) }

func (e unreachableError) Is(target error) bool { return target == ErrUnreachable }

// maxFailures is how many failures of a probe can be waited for.
const maxFailures = 1000

// Probe says how to find out whether an instance is healthy. Zero values mean
// the defaults.
type Probe struct {
	Service  string        `json:"service,omitempty"`  // what to ask for; empty: the whole server
	Period   time.Duration `json:"period,omitempty"`   // between two probes
	Timeout  time.Duration `json:"timeout,omitempty"`  // for an answer
	Startup  time.Duration `json:"startup,omitempty"`  // until the first good answer
	Failures int           `json:"failures,omitempty"` // in a row make a healthy instance unhealthy
}

func (p Probe) withDefaults() Probe {
	if p.Period == 0 {
		p.Period = 5 * time.Second
	}
	if p.Timeout == 0 {
		p.Timeout = time.Second
	}
	if p.Startup == 0 {
		p.Startup = 30 * time.Second
	}
	if p.Failures == 0 {
		p.Failures = 3
	}
	return p
}

// Check asks an instance over a connection of its own, until ctx ends, and returns nil
// when it says that it serves. One without a health service is healthy when it speaks
// gRPC at all.
func Check(ctx context.Context, address string, p Probe) error {
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	rsp, err := healthv1.NewHealthClient(conn).Check(ctx, &healthv1.HealthCheckRequest{Service: p.Service})
	switch status.Code(err) {
	case codes.OK:
		if rsp.GetStatus() == healthv1.HealthCheckResponse_SERVING {
			return nil
		}
		return fmt.Errorf("its health is %s", rsp.GetStatus())
	case codes.Unimplemented:
		return nil
	case codes.NotFound:
		return fmt.Errorf("it knows no service %q to ask the health of", p.Service)
	case codes.DeadlineExceeded:
		return unreachableError(fmt.Sprintf("no answer within %s", p.withDefaults().Timeout))
	case codes.Unavailable:
		return unreachableError("it does not accept connections on " + address)
	default:
		return errors.New(status.Convert(err).Message())
	}
}
