package registry_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/micro/micro/v3/service"
	"github.com/micro/micro/v3/service/registry"
	"github.com/micro/micro/v3/service/servicetest"
	"github.com/micro/micro/v3/service/testdata/greet"
)

func TestRead(t *testing.T) {
	env := servicetest.Start(t)
	if _, err := registry.GetService("greeter"); err != registry.ErrNotFound { //nolint:errorlint // as services compare it
		t.Errorf("of a service that is not there: %v", err)
	}
	changes := make(chan string)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		for c, err := range registry.New(env.Admin()).Watch(ctx) {
			if err != nil {
				ended <- err
				return
			}
			changes <- fmt.Sprint(c.Name, " ", len(c.Services))
		}
	}()
	srv := service.New(service.Name("greeter"), service.Version("test"), service.Address("127.0.0.1:0"))
	greet.RegisterGreeterServer(srv.Server(), greet.UnimplementedGreeterServer{})
	env.Run(srv)
	if got := <-changes; got != "greeter 1" {
		t.Errorf("the watch tells %q", got)
	}
	services, err := registry.ListServices()
	if err != nil || len(services) != 1 || services[0].Name != "greeter" || services[0].Version != "test" || len(services[0].Nodes) != 1 {
		t.Errorf("%+v, %v", services, err)
	}
	got, err := registry.GetService("greeter")
	if err != nil || len(got) != 1 || len(got[0].Nodes) != 1 || got[0].Nodes[0].Address == "" || got[0].Nodes[0].Id == "" {
		t.Fatalf("%+v, %v", got, err)
	}
	want := &registry.Endpoint{
		Name:     "Greeter.Count",
		Request:  &registry.Value{Name: "HelloRequest", Type: "greet.HelloRequest"},
		Response: &registry.Value{Name: "HelloResponse", Type: "greet.HelloResponse"},
		Metadata: map[string]string{"path": "/greet.Greeter/Count", "stream": "true"},
	}
	var count *registry.Endpoint
	for _, e := range got[0].Endpoints {
		if e.Name == want.Name {
			count = e
		}
	}
	if diff := cmp.Diff(want, count); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := registry.GetService("greeter", registry.GetDomain("elsewhere")); err == nil {
		t.Error("it is in another namespace")
	}
	if _, err := registry.ListServices(registry.ListDomain("elsewhere")); err == nil {
		t.Error("another namespace has services")
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) && err == nil {
		t.Errorf("the watch ends with %v", err)
	}
	if registry.DefaultRegistry.String() != "micro" {
		t.Error("the registry has another name")
	}
}
