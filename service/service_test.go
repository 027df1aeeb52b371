package service

import (
	"context"
	"io"
	"log/slog"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// environment replaces the environment.
func environment(vars map[string]string) Option {
	return func(o *Options) {
		o.getenv = func(name string) string { return vars[name] }
		o.announce = io.Discard
		o.logger = slog.New(slog.DiscardHandler)
	}
}

// start returns a function that starts a service on a free port, which is
// stopped when the test ends, and connects to it.
func start(t *testing.T, opts ...Option) func(handle func(*Service) error) (*Service, *grpc.ClientConn) {
	t.Helper()
	return func(handle func(*Service) error) (*Service, *grpc.ClientConn) {
		t.Helper()
		s := New(append([]Option{environment(nil)}, opts...)...)
		if err := handle(s); err != nil {
			t.Fatal(err)
		}
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		conn, err := grpc.NewClient(s.Address(), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := conn.Close(); err != nil {
				t.Error(err)
			}
			if err := s.Stop(context.WithoutCancel(t.Context())); err != nil {
				t.Error(err)
			}
		})
		return s, conn
	}
}
