package server

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/micro/micro/v3/backend/metrics"
	"github.com/micro/micro/v3/backend/stats"
)

// observer counts the calls of the server's own methods. What is forwarded is counted
// by the proxy.
type observer struct {
	stats   *stats.Stats
	methods map[string]access
}

func (o *observer) begin(ctx context.Context, method string) (end func(error)) {
	if _, own := o.methods[method]; !own {
		return func(error) {}
	}
	// What is of no namespace, nobody can ask for but who runs the server.
	c := o.stats.Begin(ctx, stats.Target{Service: metrics.Own, Path: method, Schema: metrics.Own}, time.Now())
	return func(err error) { c.End(uint32(status.Code(err)), 1) }
}

func (o *observer) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	end := o.begin(ctx, info.FullMethod)
	rsp, err := next(ctx, req)
	end(err)
	return rsp, err
}

func (o *observer) stream(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	end := o.begin(s.Context(), info.FullMethod)
	err := next(srv, s)
	end(err)
	return err
}
