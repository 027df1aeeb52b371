package service

import (
	"context"
	"runtime/debug"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
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
	defer s.count(info.FullMethod)()
	defer s.rescue(ctx, info.FullMethod, &err)
	return handler(ctx, req)
}

func (s *Service) guardStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	defer s.count(info.FullMethod)()
	defer s.rescue(stream.Context(), info.FullMethod, &err)
	return handler(srv, stream)
}

// count counts a call until what it returns is called.
func (s *Service) count(path string) (done func()) {
	if standard(path) {
		return func() {}
	}
	s.calls.Add(1)
	return func() { s.calls.Add(-1) }
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
