// Command interop is grpc-go's own interop server, with reflection: the service that
// implementations of gRPC test each other with.
//
//	interop -ready FILE
package main

import (
	"context"
	"flag"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/reflection"
)

func main() {
	ready := flag.String("ready", "", "the file that gets the address")
	flag.Parse()
	// Also where whoever runs the tests ignores interrupts, as shells do in the background.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, *ready); err != nil {
		log.Fatal(err)
	}
}

func serve(ctx context.Context, ready string) error {
	lis, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	srv := grpc.NewServer()
	testgrpc.RegisterTestServiceServer(srv, interop.NewTestServer())
	reflection.Register(srv)
	if err := os.WriteFile(ready+".new", []byte(lis.Addr().String()), 0o600); err != nil {
		return err
	}
	if err := os.Rename(ready+".new", ready); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, srv.Stop)()
	return srv.Serve(lis)
}
