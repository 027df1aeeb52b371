package service_test

import (
	"context"
	"fmt"
	"log"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/micro/micro/v3/service"
	"github.com/micro/micro/v3/service/logger"
	"github.com/micro/micro/v3/service/testdata/greet"
)

// Greeter answers the calls of the service greet.Greeter:
//
//	service Greeter {
//	  rpc Hello(HelloRequest) returns (HelloResponse);
//	  rpc Count(HelloRequest) returns (stream HelloResponse);
//	  rpc Gather(stream HelloRequest) returns (HelloResponse);
//	  rpc Chat(stream HelloRequest) returns (stream HelloResponse);
//	}
type Greeter struct{}

func (Greeter) Hello(_ context.Context, req *greet.HelloRequest) (*greet.HelloResponse, error) {
	return &greet.HelloResponse{Text: "Hello " + req.GetName()}, nil
}

func (Greeter) Count(_ context.Context, req *greet.HelloRequest, stream *service.ServerStream[greet.HelloResponse]) error {
	for range req.GetTimes() {
		if err := stream.Send(&greet.HelloResponse{Text: "Hello " + req.GetName()}); err != nil {
			return err
		}
	}
	return nil
}

func (Greeter) Gather(_ context.Context, stream *service.ClientStream[greet.HelloRequest, greet.HelloResponse]) error {
	req, err := stream.Recv()
	if err != nil {
		return err
	}
	return stream.SendAndClose(&greet.HelloResponse{Text: "Hello " + req.GetName() + " and others"})
}

func (Greeter) Chat(_ context.Context, stream *service.BidiStream[greet.HelloRequest, greet.HelloResponse]) error {
	req, err := stream.Recv()
	if err != nil {
		return err
	}
	return stream.Send(&greet.HelloResponse{Text: "Hello " + req.GetName()})
}

// The main function of a service.
func Example() {
	srv := service.New(
		service.Name("greeter"),
	)
	if err := srv.Handle(new(Greeter)); err != nil {
		logger.Fatal(err)
	}
	if err := srv.Run(); err != nil {
		logger.Fatal(err)
	}
}

// A test of a service, or a program that contains one, starts it, calls it where
// it listens, and stops it.
func ExampleService_Start() {
	ctx := context.Background()
	srv := service.New(service.Name("greeter"), service.Address("127.0.0.1:0"))
	if err := srv.Handle(new(Greeter)); err != nil {
		log.Fatal(err)
	}
	if err := srv.Start(ctx); err != nil {
		log.Fatal(err)
	}
	defer func() {
		if err := srv.Stop(ctx); err != nil {
			log.Print(err)
		}
	}()

	conn, err := grpc.NewClient(srv.Address(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	rsp, err := greet.NewGreeterClient(conn).Hello(ctx, &greet.HelloRequest{Name: "Alice"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(rsp.GetText())
	// Output: Hello Alice
}

// A handler that lacks a method is an error, which says what is missing.
func ExampleService_Handle() {
	srv := service.New()
	fmt.Println(srv.Handle(struct{ Greeter }{}))
	fmt.Println(srv.Handle("a string"))
	// Output:
	// <nil>
	// handle string: it is no struct; pass one, as in new(T)
}

// What generated code registers can be used as well.
func ExampleService_Server() {
	srv := service.New(service.Name("greeter"))
	greet.RegisterGreeterServer(srv.Server(), greet.UnimplementedGreeterServer{})
	fmt.Println(srv.Name())
	// Output: greeter
}
