package server_test

import (
	"context"
	"log"
	"log/slog"
	"time"

	"github.com/micro/micro/v3/service"
	"github.com/micro/micro/v3/service/server"
)

// A wrapper around the handlers of a service says how long each call takes.
func ExampleHandlerWrapper() {
	timed := func(next server.HandlerFunc) server.HandlerFunc {
		return func(ctx context.Context, req server.Request, rsp any) error {
			began := time.Now()
			err := next(ctx, req, rsp)
			slog.InfoContext(ctx, "called", "endpoint", req.Endpoint(), "took", time.Since(began))
			return err
		}
	}
	srv := service.New(service.Name("greeter"), service.WrapHandler(timed))
	if err := srv.Run(); err != nil {
		log.Fatal(err)
	}
}
