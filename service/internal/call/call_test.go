package call

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/metadata"
)

func incoming(ctx context.Context, pairs ...string) context.Context {
	return Incoming(metadata.NewIncomingContext(ctx, metadata.Pairs(pairs...)), "shop", "v1", "/acme.Shop/Buy")
}

func TestIncoming(t *testing.T) {
	t.Parallel()
	got := From(incoming(t.Context(),
		"micro-namespace", "acme", "micro-account", "cart-1", "micro-account-type", "service", "micro-scopes", "service",
		"micro-origin-account", "alice", "micro-origin-account-type", "user", "micro-origin-scopes", "staff,sales", "x-request-id", "r1"))
	want := &Call{
		Service: "shop", Version: "v1", Endpoint: "Shop.Buy", Namespace: "acme", RequestID: "r1",
		Caller: &Account{"cart-1", "service", []string{"service"}},
		Origin: &Account{"alice", "user", []string{"staff", "sales"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got.For() != got.Origin {
		t.Error("the call is for another than its origin")
	}

	nobody := From(incoming(t.Context()))
	if nobody.For() != nil || nobody.RequestID == "" {
		t.Errorf("of nobody: %+v", nobody)
	}
	if other := From(incoming(t.Context())); other.RequestID == nobody.RequestID {
		t.Error("two requests have one id")
	}
	if long := From(incoming(t.Context(), "x-request-id", strings.Repeat("x", 1000))); len(long.RequestID) > 100 {
		t.Error("an id of any length is taken")
	}
	if From(t.Context()) != nil {
		t.Error("there is a call where none is")
	}
}

// What goes along: the id of the request, and for whom.
func TestOutgoing(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		in   []string
		want []string
	}{
		{"by a user", []string{"x-request-id", "r1", "micro-account", "alice", "micro-account-type", "user", "micro-scopes", "a,b"}, []string{"r1", "alice", "user", "a,b"}},
		{"by a service, for a user", []string{"x-request-id", "r1", "micro-account", "cart-1", "micro-account-type", "service", "micro-origin-account", "alice", "micro-origin-account-type", "user"}, []string{"r1", "alice", "user"}},
		{"by a service, for itself", []string{"x-request-id", "r1", "micro-account", "cart-1", "micro-account-type", "service"}, []string{"r1", "cart-1", "service"}},
		{"by nobody", []string{"x-request-id", "r1"}, []string{"r1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			out, _ := metadata.FromOutgoingContext(Outgoing(incoming(t.Context(), tt.in...)))
			var got []string
			for _, k := range []string{"x-request-id", "micro-origin-account", "micro-origin-account-type", "micro-origin-scopes"} {
				got = append(got, out.Get(k)...)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if _, ok := metadata.FromOutgoingContext(Outgoing(t.Context())); ok {
		t.Error("something goes along with a call that is part of none")
	}
	by := metadata.AppendToOutgoingContext(incoming(t.Context(), "x-request-id", "r1"), "x-request-id", "own")
	if out, _ := metadata.FromOutgoingContext(Outgoing(by)); !cmp.Equal(out.Get("x-request-id"), []string{"own"}) {
		t.Errorf("an id that was set by hand is %q", out.Get("x-request-id"))
	}
}
