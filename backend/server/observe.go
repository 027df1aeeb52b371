package server

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/micro/micro/v3/backend/metrics"
	"github.com/micro/micro/v3/backend/proxy"
	"github.com/micro/micro/v3/backend/stats"
	"github.com/micro/micro/v3/backend/trace"
	"github.com/micro/micro/v3/dynamic"
)

// observer counts the calls of the server's own methods, and traces them and those that
// are forwarded. The latter the proxy counts.
type observer struct {
	stats   *stats.Stats
	tracer  *trace.Tracer
	methods map[string]access
}

// observed is a call under way.
type observed struct {
	own  bool
	call stats.Call
	span trace.Span
}

func (o *observer) begin(ctx context.Context, method string) (context.Context, observed) {
	var c observed
	if _, c.own = o.methods[method]; c.own {
		// What is of no namespace, nobody can ask for but who runs the server.
		c.call = o.stats.Begin(ctx, stats.Target{Service: metrics.Own, Path: method, Schema: metrics.Own}, time.Now())
	}
	if o.tracer == nil {
		return ctx, c
	}
	if service, _, err := proxy.SplitPath(method); err == nil && !dynamic.Plumbing(protoreflect.FullName(service)) {
		md, _ := metadata.FromIncomingContext(ctx)
		ctx, c.span = o.tracer.Serve(ctx, md, method)
	}
	return ctx, c
}

func (c *observed) end(err error) {
	code := status.Code(err)
	c.span.End(code)
	if c.own {
		c.call.End(uint32(code), 1)
	}
}

func (o *observer) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	ctx, c := o.begin(ctx, info.FullMethod)
	rsp, err := next(ctx, req)
	c.end(err)
	return rsp, err
}

func (o *observer) stream(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	ctx, c := o.begin(s.Context(), info.FullMethod)
	if o.tracer != nil {
		s = &tracedStream{ServerStream: s, ctx: ctx}
	}
	err := next(srv, s)
	c.end(err)
	return err
}

// tracedStream is a call whose context has its span.
type tracedStream struct {
	grpc.ServerStream
	ctx context.Context //nolint:containedctx // that of the call, which grpc.ServerStream hands out
}

func (s *tracedStream) Context() context.Context { return s.ctx }
