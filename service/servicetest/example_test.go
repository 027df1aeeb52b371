package servicetest_test

import (
	"testing"

	"github.com/micro/micro/v3/service/servicetest"
	"github.com/micro/micro/v3/service/store"
	"github.com/micro/micro/v3/service/testdata/greet"
)

// A service that uses the configuration and the store is called like any other, and the
// test looks at what it has kept.
func Example() {
	_ = func(t *testing.T) { // func TestGreeting(t *testing.T)
		env := servicetest.Start(t)
		env.SetConfig("greeting", "Hej")
		greeter := greet.NewGreeterClient(env.Serve("greeter", new(Greeter)))
		rsp, err := greeter.Hello(t.Context(), &greet.HelloRequest{Name: "Alice"})
		if err != nil || rsp.GetText() != "Hej Alice" {
			t.Errorf("%v, %v", rsp, err)
		}
		if records, err := store.Read("Alice"); err != nil || len(records) != 1 {
			t.Errorf("%v, %v", records, err)
		}
	}
}
