package service

import (
	"context"
	"runtime/debug"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/micro/micro/v3/service/internal/call"
	"github.com/micro/micro/v3/service/internal/telemetry"
)

// reflectionServices are the two versions of gRPC's reflection.
var reflectionServices = []string{"grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"}

// standard reports whether a method is one that every service has.
func standard(path string) bool {
	return strings.HasPrefix(path, "/grpc.health.") || strings.HasPrefix(path, "/grpc.reflection.")
}

// guardUnary counts the calls in progress, and makes a panic the error of the
// call in which it happens.
func (s *Service) guardUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (rsp any, err error) {
	ctx, end := s.begin(ctx, info.FullMethod)
	defer func() { end(err) }()
	defer s.rescue(ctx, info.FullMethod, &err)
	return handler(ctx, req)
}

func (s *Service) guardStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	ctx, end := s.begin(stream.Context(), info.FullMethod)
	defer func() { end(err) }()
	defer s.rescue(ctx, info.FullMethod, &err)
	return handler(srv, &begun{stream, ctx})
}

// begun is a stream with the context that [Service.begin] made.
type begun struct {
	grpc.ServerStream
	ctx context.Context //nolint:containedctx // that of the call, which grpc.ServerStream hands out
}

func (s *begun) Context() context.Context { return s.ctx }

// begin begins a call: it is counted and recorded until what it returns is called. The
// context knows what is known of the call.
func (s *Service) begin(ctx context.Context, path string) (context.Context, func(error)) {
	if standard(path) {
		return ctx, func(error) {}
	}
	s.calls.Add(1)
	ctx = call.Incoming(telemetry.Extract(ctx), s.opts.Name, s.opts.Version, path)
	ctx, end := s.recorder.Start(ctx, path)
	return ctx, func(err error) {
		end(err)
		s.calls.Add(-1)
	}
}

// rescue is deferred: it makes a panic the error of its caller.
func (s *Service) rescue(ctx context.Context, path string, err *error) {
	if p := recover(); p != nil {
		s.log().ErrorContext(ctx, "a handler panicked", "endpoint", path, "panic", p, "stack", string(debug.Stack()))
		*err = status.Errorf(codes.Internal, "%s: the handler panicked", strings.TrimPrefix(path, "/"))
	}
}

// releaseStream ends streams of reflection when the service stops. Clients keep
// them open between questions, and the stop would wait for them in vain.
func (s *Service) releaseStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if !strings.HasPrefix(info.FullMethod, "/grpc.reflection.") {
		return handler(srv, stream)
	}
	done := make(chan error, 1)
	go func() { done <- handler(srv, stream) }()
	select {
	case err := <-done:
		return err
	case <-s.stopping:
		return errStopping
	}
}
