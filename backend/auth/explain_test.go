package auth_test

import (
	"errors"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/micro/micro/v3/backend/auth"
)

func TestExplain(t *testing.T) {
	t.Parallel()
	a := openAuth(t, auth.Config{Store: openStore(t)})
	alice := verify(t, a, signup(t, a))
	closed := auth.Rule{ID: "closed", Resource: "service:billing:*", Deny: true}
	wantErr(t, "rule", a.CreateRule(t.Context(), "acme", closed), nil)
	var call, manage auth.Rule
	for _, r := range auth.InitialRules() {
		switch r.ID {
		case "call":
			call = r
		case "manage":
			manage = r
		}
	}
	pay := auth.Resource{Type: "service", Name: "billing", Endpoint: "Billing.Pay"}
	got, err := a.Explain(t.Context(), alice, "acme", pay)
	wantErr(t, "explain", err, nil)
	want := auth.Decision{
		Rule:   &closed,
		Reason: `the rule "closed" denies it to everybody`,
		Passed: []auth.Passed{
			{call, `the rule "closed" denies, which wins among rules of the same priority`},
			{manage, `the rule "closed" denies, which wins among rules of the same priority`},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("why alice may not pay (-want +got):\n%s", diff)
	}
	got, err = a.Explain(t.Context(), auth.Identity{}, "acme", auth.Resource{Type: "runtime", Name: "x", Endpoint: "Runtime.Apply"})
	wantErr(t, "explain", err, nil)
	want = auth.Decision{
		Reason: "no rule applies, and what no rule grants is denied",
		Passed: []auth.Passed{{manage, `it is for accounts with the scope "admin"`}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("why nobody may run (-want +got):\n%s", diff)
	}
	_, err = a.Explain(t.Context(), alice, "nowhere", pay)
	wantErr(t, "no namespace", err, auth.ErrNotFound)
}

// What Explain says is what Authorize does, whatever the rules.
func TestExplainTellsTheTruth(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	a := openAuth(t, auth.Config{Store: openStore(t)})
	signup(t, a)
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	for i := range 300 {
		wantErr(t, "rule", a.CreateRule(t.Context(), "acme", auth.Rule{
			ID:       strconv.Itoa(i),
			Scope:    pick("", "*", "a", "b"),
			Resource: pick("service", "*") + ":" + pick("x", "y", "*") + ":" + pick("X.A", "*", "read"),
			Deny:     r.IntN(2) == 0,
			Priority: r.Int32N(3) - 1,
		}), nil)
		caller := auth.Identity{ID: "bob", Namespace: pick("acme", "globex"), Scopes: []string{pick("a", "b", "c")}}
		res := auth.Resource{Type: pick("service", "runtime"), Name: pick("x", "y", "z"), Endpoint: pick("X.A", "X.B"), Class: pick("", "read")}
		d, err := a.Explain(t.Context(), caller, "acme", res)
		wantErr(t, "explain", err, nil)
		err = a.Authorize(t.Context(), caller, "acme", res)
		if err != nil && !errors.Is(err, auth.ErrDenied) && !errors.Is(err, auth.ErrAnonymous) {
			t.Fatal(err)
		}
		if d.Allowed != (err == nil) {
			t.Fatalf("%v calls %v: explained as %+v, and decided as %v", caller, res, d, err)
		}
	}
}
