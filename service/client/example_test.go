package client_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/micro/micro/v3/service"
	"github.com/micro/micro/v3/service/client"
	"github.com/micro/micro/v3/service/testdata/greet"
)

// Greeter is another service, which this one calls.
type Greeter struct {
	greet.UnimplementedGreeterServer
}

func (Greeter) Hello(_ context.Context, req *greet.HelloRequest) (*greet.HelloResponse, error) {
	return &greet.HelloResponse{Text: "Hello " + req.GetName()}, nil
}

// The client that grpc-go's generator made calls a service by its name. A call that does
// no harm when it is made twice is made again when it fails.
func ExampleTo() {
	greeter := greet.NewGreeterClient(client.To("greeter", client.Idempotent(), client.WithRequestTimeout(time.Second)))
	rsp, err := greeter.Hello(context.Background(), &greet.HelloRequest{Name: "Alice"})
	if client.Refused(err) {
		log.Print("nothing has happened: ", err)
		return
	}
	fmt.Println(rsp.GetText())
}

// Without a server a service is called where it listens.
func ExampleWithAddress() {
	ctx := context.Background()
	srv := service.New(service.Name("greeter"), service.Address("127.0.0.1:0"))
	greet.RegisterGreeterServer(srv.Server(), Greeter{})
	if err := srv.Start(ctx); err != nil {
		log.Fatal(err)
	}
	defer func() {
		if err := srv.Stop(ctx); err != nil {
			log.Print(err)
		}
	}()
	greeter := greet.NewGreeterService("greeter", srv.Client())
	rsp, err := greeter.Hello(ctx, &greet.HelloRequest{Name: "Alice"}, client.WithAddress(srv.Address()))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(rsp.GetText())
	// Output: Hello Alice
}
