package servicetest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
	"github.com/micro/micro/v3/service"
	"github.com/micro/micro/v3/service/auth"
	"github.com/micro/micro/v3/service/config"
	"github.com/micro/micro/v3/service/events"
	"github.com/micro/micro/v3/service/servicetest"
	"github.com/micro/micro/v3/service/store"
	"github.com/micro/micro/v3/service/testdata/greet"
)

// Greeter greets as the configuration says, keeps whom it greeted, and tells of it.
type Greeter struct {
	greet.UnimplementedGreeterServer
}

func (*Greeter) Hello(ctx context.Context, req *greet.HelloRequest) (*greet.HelloResponse, error) {
	greeting, err := config.Get("greeting")
	if err != nil {
		return nil, err
	}
	caller := "nobody"
	if a, ok := auth.AccountFromContext(ctx); ok {
		caller = a.ID
	}
	if err := store.Write(store.NewRecord(req.GetName(), caller)); err != nil {
		return nil, err
	}
	if err := events.Publish("greetings", req.GetName()); err != nil {
		return nil, err
	}
	return &greet.HelloResponse{Text: greeting.String("Hello") + " " + req.GetName()}, nil
}

// greeter is a service with it.
func greeter() *service.Service {
	s := service.New(service.Name("greeter"), service.Address("127.0.0.1:0"))
	greet.RegisterGreeterServer(s.Server(), new(Greeter))
	return s
}

// A service is called through the server, and has all that the server gives.
func TestStart(t *testing.T) {
	env := servicetest.Start(t)
	env.SetConfig("greeting", "Hej")
	rsp, err := greet.NewGreeterClient(env.Run(greeter())).Hello(t.Context(), &greet.HelloRequest{Name: "Alice"})
	if err != nil || rsp.GetText() != "Hej Alice" {
		t.Fatalf("%v, %v", rsp, err)
	}
	records, err := store.Read("Alice")
	if err != nil || string(records[0].Value) != `"admin"` {
		t.Errorf("the store has %v, %v", records, err)
	}
	if all, err := events.Read("greetings"); err != nil || len(all) != 1 || string(all[0].Payload) != `"Alice"` {
		t.Errorf("the events are %v, %v", all, err)
	}
	// What is kept is in the table of the service.
	kept, err := store.New(env.Admin()).Table("greeter").Get(t.Context(), "Alice")
	if err != nil || string(kept.Value) != `"admin"` {
		t.Errorf("the table has %v, %v", kept, err)
	}
}

// The next test knows nothing of what was before.
func TestStartAgain(t *testing.T) {
	env := servicetest.Start(t)
	rsp, err := greet.NewGreeterClient(env.Run(greeter())).Hello(t.Context(), &greet.HelloRequest{Name: "Bob"})
	if err != nil || rsp.GetText() != "Hello Bob" {
		t.Errorf("%v, %v", rsp, err)
	}
	if _, err := store.Read("Alice"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("what the test before has written: %v", err)
	}
}

// A test that runs at the same time as others cannot have the functions of the process.
func TestStartInParallel(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("Start in a parallel test does not panic")
		}
	}()
	servicetest.Start(t)
}

// Whoever calls is who the test says.
func TestWhoCalls(t *testing.T) {
	t.Parallel()
	env := servicetest.New(t)
	for name, tt := range map[string]struct {
		conn grpc.ClientConnInterface
		want string
	}{
		"the administrator": {env.Admin(), "ACCOUNT_TYPE_USER admin [admin]"},
		"a user":            {env.User("alice", "sales"), "ACCOUNT_TYPE_USER alice [sales]"},
		"the same again":    {env.User("alice", "sales"), "ACCOUNT_TYPE_USER alice [sales]"},
		"a service":         {env.Conn("shop"), "ACCOUNT_TYPE_SERVICE shop [service]"},
		"nobody":            {env.Nobody(), "Unauthenticated"},
	} {
		rsp, err := authv1.NewAuthClient(tt.conn).WhoAmI(t.Context(), &authv1.WhoAmIRequest{})
		a := rsp.GetAccount()
		got := fmt.Sprint(a.GetType(), " ", a.GetId(), " ", a.GetScopes())
		if err != nil {
			got = status.Code(err).String()
		}
		if !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s is %q, want %q", name, got, tt.want)
		}
	}
}

// BenchmarkNew is what a server costs a test.
func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		tb := &once{TB: b}
		servicetest.New(tb)
		b.StopTimer()
		tb.end()
		b.StartTimer()
	}
}

// once is a test that ends before its benchmark does.
type once struct {
	testing.TB
	cleanups []func()
}

func (o *once) Cleanup(f func()) { o.cleanups = append(o.cleanups, f) }

func (o *once) end() {
	for _, f := range slices.Backward(o.cleanups) {
		f()
	}
}
