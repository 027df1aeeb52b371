package deploy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/micro/micro/v3/backend/runtime"
)

// prober makes checks of instances. What it returns is why an instance is not well, in
// words that follow on "it", nil when it is.
type prober struct {
	exec func(ctx context.Context, instance string, command []string) error
}

// probe asks an instance. ctx bounds how long the answer may take.
func (p prober) probe(ctx context.Context, in runtime.Instance, c Check) error {
	switch c.Kind {
	case CheckHTTP:
		return p.http(ctx, in.Address, c.Path)
	case CheckTCP:
		return p.tcp(ctx, in.Address)
	case CheckCommand:
		if p.exec == nil { // a release of a server that could
			return errors.New("cannot be asked by a command on this server's runtime")
		}
		return p.exec(ctx, in.ID, c.Command)
	case CheckGRPC:
		return p.grpc(ctx, in.Address, c.Service)
	default:
		return fmt.Errorf("there is no check %q", c.Kind)
	}
}

// ErrUnreachable is in the error of [Deployer.Ask] when an instance gave no answer at
// all.
var ErrUnreachable = errors.New("it cannot be reached")

// unreachableError is an [ErrUnreachable] that has no text but its own.
type unreachableError string

func (e unreachableError) Error() string { return string(e) }

func (e unreachableError) Is(target error) bool { return target == ErrUnreachable }

func unreachable(format string, args ...any) error {
	return unreachableError(fmt.Sprintf(format, args...))
}

// Ask makes the check of a probe of an instance, now and once, whether it should run or
// not, and returns why the instance is not well.
func (d *Deployer) Ask(ctx context.Context, id, address string, p Probe) error {
	return d.config.ask(ctx, runtime.Instance{ID: id, Address: address}, p.withDefaults())
}

// ask makes the check of a probe of an instance.
func (c *Config) ask(ctx context.Context, in runtime.Instance, p Probe) error {
	limited, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	err := c.Probe(limited, in, p.Check)
	if err != nil && ctx.Err() == nil && limited.Err() != nil {
		return unreachable("no answer within %s", p.Timeout)
	}
	return err
}

// probeBuffer is how much of a question or an answer is buffered, in bytes.
const probeBuffer = 1 << 10

// grpc asks for the health of a service. An instance without a health service is
// healthy when it speaks gRPC at all.
func (prober) grpc(ctx context.Context, address, service string) error {
	conn, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithNoProxy(), // for the world outside
		// Many are asked all the time, and answer with a few bytes.
		grpc.WithReadBufferSize(probeBuffer), grpc.WithWriteBufferSize(probeBuffer),
	)
	if err != nil {
		return err
	}
	defer conn.Close()
	// An instance that is told when the time is over ends the call itself then, and may be
	// the first of the two to do so.
	untold, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	rsp, err := healthv1.NewHealthClient(conn).Check(untold, &healthv1.HealthCheckRequest{Service: service})
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	switch status.Code(err) {
	case codes.OK:
		if rsp.GetStatus() == healthv1.HealthCheckResponse_SERVING {
			return nil
		}
		return fmt.Errorf("its health is %s", rsp.GetStatus())
	case codes.Unimplemented:
		return nil
	case codes.NotFound:
		return fmt.Errorf("it knows no service %q to ask the health of", service)
	case codes.Unavailable:
		return refusedError{address}
	default:
		return errors.New(status.Convert(err).Message())
	}
}

// refusedError is an [ErrUnreachable]: nobody listens on the address.
type refusedError struct{ address string }

func (e refusedError) Error() string { return "it does not accept connections on " + e.address }

func (e refusedError) Is(target error) bool { return target == ErrUnreachable }

// http asks for a page. Redirections are not followed: they may lead elsewhere.
func (prober) http(ctx context.Context, address, path string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "micro-probe")
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	rsp, err := client.Do(req)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return refusedError{address}
	}
	if err != nil {
		return fmt.Errorf("GET %s: %w", path, errors.Unwrap(err))
	}
	defer rsp.Body.Close()
	_, _ = io.CopyN(io.Discard, rsp.Body, 4<<10) // it is the status that counts
	if rsp.StatusCode < 200 || rsp.StatusCode > 399 {
		return fmt.Errorf("GET %s: %s", path, rsp.Status)
	}
	return nil
}

func (prober) tcp(ctx context.Context, address string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return refusedError{address}
	}
	if err != nil {
		return err
	}
	return conn.Close()
}
