package server

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/micro/micro/v3/backend/auth"
)

// A method that somebody adds and gives no access to is open to nobody.
func TestGuardRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	g := &guard{methods: methods()}
	const path = "/micro.auth.v1.Accounts/Impersonate"
	_, err := g.unary(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: path}, func(context.Context, any) (any, error) {
		t.Error("the handler of a call was asked")
		return nil, nil
	})
	if !errors.Is(err, auth.ErrDenied) {
		t.Errorf("call: %v, want %v", err, auth.ErrDenied)
	}
	err = g.stream(&accountsAPI{}, nil, &grpc.StreamServerInfo{FullMethod: path}, func(any, grpc.ServerStream) error {
		t.Error("the handler of a stream was asked")
		return nil
	})
	if !errors.Is(err, auth.ErrDenied) {
		t.Errorf("stream: %v, want %v", err, auth.ErrDenied)
	}
	forwarded := false
	err = g.stream(nil, nil, &grpc.StreamServerInfo{FullMethod: "/helloworld.Helloworld/Call"}, func(any, grpc.ServerStream) error {
		forwarded = true
		return nil
	})
	if err != nil || !forwarded {
		t.Errorf("a call that no API of the server answers: forwarded %v, %v", forwarded, err)
	}
}

// A fault in one request ends that request, and nothing else.
func TestPanicIsAnError(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := &statuses{logger: slog.New(slog.NewTextHandler(&log, nil))}
	_, err := s.unary(t.Context(), nil, nil, func(context.Context, any) (any, error) { panic("secret") })
	if status.Code(err) != codes.Internal || strings.Contains(err.Error(), "secret") {
		t.Errorf("call: %v", err)
	}
	if !strings.Contains(log.String(), "secret") {
		t.Errorf("the log does not have it: %s", log.String())
	}
	err = s.stream(nil, nil, nil, func(any, grpc.ServerStream) error { panic(errors.New("secret")) })
	if status.Code(err) != codes.Internal || strings.Contains(err.Error(), "secret") {
		t.Errorf("stream: %v", err)
	}
}

func TestIsLoopback(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"127.0.0.1:1":          true,
		"127.8.9.10:1":         true,
		"[::1]:1":              true,
		"[::ffff:127.0.0.1]:1": true,
		"localhost:1":          true,
		"0.0.0.0:1":            false,
		"[::]:1":               false,
		"10.0.0.1:1":           false,
		"[::ffff:10.0.0.1]:1":  false,
		"localhost.evil.com:1": false,
		"127.0.0.1":            false,
		"@":                    false,
		"":                     false,
	} {
		if got := isLoopback(address); got != want {
			t.Errorf("isLoopback(%q) = %v, want %v", address, got, want)
		}
	}
}
