package generator

import (
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	kitchenv1 "github.com/micro/micro/v3/generator/testdata/kitchen/proto"
)

// TestGRPC calls what was generated for every kind of method. That the code is
// what the generator gives now is tested in internal/gen.
func TestGRPC(t *testing.T) {
	t.Parallel()
	lis, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	kitchenv1.RegisterKitchenServer(server, struct {
		kitchenv1.UnimplementedKitchenServer
	}{})
	go func() { _ = server.Serve(lis) }() // until it is stopped
	defer server.Stop()
	conn, err := grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := kitchenv1.NewKitchenClient(conn)
	for name, call := range map[string]func() error{
		"Cook": func() error {
			_, err := c.Cook(t.Context(), &kitchenv1.Order{})
			return err
		},
		"Serve": func() error {
			stream, err := c.Serve(t.Context(), &kitchenv1.Order{})
			if err != nil {
				return err
			}
			_, err = stream.Recv()
			return err
		},
		"Wash": func() error {
			stream, err := c.Wash(t.Context()) //nolint:staticcheck // that it is deprecated is part of the test
			if err != nil {
				return err
			}
			_, err = stream.CloseAndRecv()
			return err
		},
		"Chat": func() error {
			stream, err := c.Chat(t.Context())
			if err != nil {
				return err
			}
			_, err = stream.Recv()
			return err
		},
		"close_down": func() error {
			_, err := c.CloseDown(t.Context(), &emptypb.Empty{}) //nolint:staticcheck // that it is deprecated is part of the test
			return err
		},
	} {
		got := status.Convert(call())
		if want := "method " + name + " not implemented"; got.Code() != codes.Unimplemented || got.Message() != want {
			t.Errorf("%s = %v, want code %v and %q", name, got, codes.Unimplemented, want)
		}
	}
}

// A nil pointer to what answers Unimplemented shows when it is registered, and
// not when it is called.
func TestRegisterNil(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("registering a nil pointer does not panic")
		}
	}()
	kitchenv1.RegisterKitchenServer(grpc.NewServer(), struct {
		*kitchenv1.UnimplementedKitchenServer
	}{})
}
