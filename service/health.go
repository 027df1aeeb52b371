package service

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// errStopping ends what would otherwise keep a service from stopping.
var errStopping = status.Error(codes.Unavailable, "the service is stopping")

// health answers grpc.health.v1: everything serves until the service stops.
//
// It ends the streams of those who watch when it has told them so. The health
// server of grpc-go leaves them open, and a stop would wait for them in vain.
type health struct {
	healthv1.UnimplementedHealthServer

	names    map[string]bool // of the gRPC services; empty is all of them
	stopping <-chan struct{}
}

func newHealth(services map[string]grpc.ServiceInfo, stopping <-chan struct{}) *health {
	h := &health{names: map[string]bool{"": true}, stopping: stopping}
	for name := range services {
		h.names[name] = true
	}
	return h
}

func (h *health) status() healthv1.HealthCheckResponse_ServingStatus {
	select {
	case <-h.stopping:
		return healthv1.HealthCheckResponse_NOT_SERVING
	default:
		return healthv1.HealthCheckResponse_SERVING
	}
}

func (h *health) Check(_ context.Context, req *healthv1.HealthCheckRequest) (*healthv1.HealthCheckResponse, error) {
	if !h.names[req.GetService()] {
		return nil, status.Errorf(codes.NotFound, "there is no service %q here", req.GetService())
	}
	return &healthv1.HealthCheckResponse{Status: h.status()}, nil
}

func (h *health) List(context.Context, *healthv1.HealthListRequest) (*healthv1.HealthListResponse, error) {
	all := make(map[string]*healthv1.HealthCheckResponse, len(h.names))
	for name := range h.names {
		all[name] = &healthv1.HealthCheckResponse{Status: h.status()}
	}
	return &healthv1.HealthListResponse{Statuses: all}, nil
}

func (h *health) Watch(req *healthv1.HealthCheckRequest, stream grpc.ServerStreamingServer[healthv1.HealthCheckResponse]) error {
	known := h.names[req.GetService()]
	now := healthv1.HealthCheckResponse_SERVICE_UNKNOWN
	if known {
		now = h.status()
	}
	if err := stream.Send(&healthv1.HealthCheckResponse{Status: now}); err != nil {
		return err
	}
	select {
	case <-stream.Context().Done():
		return status.FromContextError(stream.Context().Err()).Err()
	case <-h.stopping:
	}
	if known && now == healthv1.HealthCheckResponse_SERVING {
		if err := stream.Send(&healthv1.HealthCheckResponse{Status: healthv1.HealthCheckResponse_NOT_SERVING}); err != nil {
			return err
		}
	}
	return errStopping
}
