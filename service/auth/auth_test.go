package auth_test

import (
	"errors"
	"testing"
	"time"

	"github.com/micro/micro/v3/service/auth"
	"github.com/micro/micro/v3/service/auth/client"
	"github.com/micro/micro/v3/service/servicetest"
)

func TestAccounts(t *testing.T) {
	t.Parallel()
	env := servicetest.New(t)
	admin := auth.New(env.Admin())
	made, err := admin.Generate(t.Context(), "bob", auth.WithScopes("sales"), auth.WithName("Bob"), auth.WithType("customer"), auth.WithMetadata(map[string]string{"a": "b"}))
	if err != nil || made.ID != "bob" || made.Name != "Bob" || made.Type != "customer" || len(made.Secret) < 20 || made.Metadata["a"] != "b" || made.Issuer != servicetest.Namespace {
		t.Fatalf("%+v, %v", made, err)
	}
	if !made.HasScope("sales") || made.HasScope("admin") {
		t.Errorf("the scopes are %q", made.Scopes)
	}
	if _, err := admin.Generate(t.Context(), "bob"); err == nil {
		t.Error("an account is made twice")
	}
	nobody := auth.New(env.Nobody())
	if _, err := nobody.Generate(t.Context(), "eve"); err == nil {
		t.Error("nobody makes an account")
	}

	token, err := nobody.Token(t.Context(), auth.WithCredentials("bob", made.Secret), auth.WithTokenIssuer(servicetest.Namespace))
	if err != nil || token.Expired() || token.RefreshToken == "" {
		t.Fatalf("%+v, %v", token, err)
	}
	a, err := nobody.Inspect(t.Context(), token.AccessToken)
	if err != nil || a.ID != "bob" || a.Type != "user" || !a.HasScope("sales") {
		t.Errorf("the token is of %+v, %v", a, err)
	}
	next, err := nobody.Token(t.Context(), auth.WithToken(token.RefreshToken))
	if err != nil || next.AccessToken == "" || next.RefreshToken == token.RefreshToken {
		t.Errorf("%+v, %v", next, err)
	}
	long, err := nobody.Token(t.Context(), auth.WithCredentials("bob", made.Secret), auth.WithExpiry(100*24*time.Hour))
	if err != nil || time.Until(long.Expiry) < 99*24*time.Hour {
		t.Fatalf("for a hundred days: %+v, %v", long, err)
	}
	if a, err := nobody.Inspect(t.Context(), long.AccessToken); err != nil || a.ID != "bob" || !a.HasScope("sales") {
		t.Errorf("the long token is of %+v, %v", a, err)
	}
	for name, err := range map[string]error{
		"a wrong password":      second(nobody.Token(t.Context(), auth.WithCredentials("bob", "wrong password"))),
		"a wrong refresh token": second(nobody.Token(t.Context(), auth.WithToken("wrong"))),
		"a wrong token":         second(nobody.Inspect(t.Context(), "wrong")),
		"no token":              second(nobody.Inspect(t.Context(), "")),
	} {
		if !errors.Is(err, auth.ErrInvalidToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !new(auth.AccountToken).Expired() {
		t.Error("a token of no time is good")
	}
}

func second[T any](_ T, err error) error { return err }

func TestRules(t *testing.T) {
	t.Parallel()
	env := servicetest.New(t)
	c := auth.New(env.Admin())
	env.User("alice")
	pay := &auth.Resource{Type: "service", Name: "billing", Endpoint: "Billing.Pay"}
	alice := &auth.Account{ID: "alice"}
	if err := c.Verify(t.Context(), alice, pay); err != nil {
		t.Errorf("what everybody may: %v", err)
	}
	rule := &auth.Rule{ID: "no-pay", Scope: auth.ScopeAccount, Resource: &auth.Resource{Type: "service", Name: "billing", Endpoint: "*"}, Access: auth.AccessDenied, Priority: 9}
	if err := c.Grant(t.Context(), rule); err != nil {
		t.Fatal(err)
	}
	if err := c.Verify(t.Context(), alice, pay); !errors.Is(err, auth.ErrForbidden) {
		t.Errorf("what a rule denies: %v", err)
	}
	if err := c.Verify(t.Context(), nil, pay); err != nil {
		t.Errorf("of nobody: %v", err)
	}
	if err := c.Verify(t.Context(), &auth.Account{ID: "nobody"}, pay); err == nil || errors.Is(err, auth.ErrForbidden) {
		t.Errorf("of an account that is not there: %v", err)
	}
	rules, err := c.Rules(t.Context())
	if err != nil || len(rules) == 0 || rules[0].ID != "no-pay" || rules[0].Resource.String() != "service:billing:*" || rules[0].Access != auth.AccessDenied {
		t.Errorf("%+v, %v", rules, err)
	}
	if err := c.Revoke(t.Context(), rule); err != nil {
		t.Fatal(err)
	}
	if err := c.Revoke(t.Context(), rule); err == nil {
		t.Error("a rule is deleted twice")
	}
	if err := c.Verify(t.Context(), alice, pay); err != nil {
		t.Errorf("after the rule: %v", err)
	}
}

// The functions of the package act as the service, which may look and not change.
func TestDefault(t *testing.T) {
	servicetest.Start(t)
	if rules, err := auth.Rules(); err != nil || len(rules) == 0 {
		t.Errorf("%v, %v", rules, err)
	}
	if err := auth.Grant(&auth.Rule{ID: "x", Resource: &auth.Resource{Type: "*", Name: "*", Endpoint: "*"}}); err == nil {
		t.Error("a service makes a rule")
	}
	if err := auth.Revoke(&auth.Rule{ID: "read"}); err == nil {
		t.Error("a service deletes a rule")
	}
	if _, err := auth.Generate("x"); err == nil {
		t.Error("a service makes an account")
	}
	if _, err := auth.Token(auth.WithCredentials("admin", "wrong password")); !errors.Is(err, auth.ErrInvalidToken) {
		t.Errorf("%v", err)
	}
	if _, err := auth.Inspect("x"); !errors.Is(err, auth.ErrInvalidToken) {
		t.Errorf("%v", err)
	}
	if err := auth.Verify(nil, &auth.Resource{Type: "service", Name: "x", Endpoint: "X.Y"}); err == nil {
		t.Error("a service asks what others may")
	}
	if client.NewAuth().String() != "micro" {
		t.Error("the client of Micro 3 is another one")
	}
}

func TestContext(t *testing.T) {
	t.Parallel()
	if a, ok := auth.AccountFromContext(t.Context()); ok {
		t.Errorf("of no call: %+v", a)
	}
	if a, ok := auth.CallerFromContext(t.Context()); ok {
		t.Errorf("of no call: %+v", a)
	}
	ctx := auth.ContextWithAccount(t.Context(), &auth.Account{ID: "alice"})
	if a, ok := auth.AccountFromContext(ctx); !ok || a.ID != "alice" {
		t.Errorf("%+v, %v", a, ok)
	}
	if _, ok := auth.AccountFromContext(auth.ContextWithAccount(ctx, nil)); ok {
		t.Error("an account that was taken away is there")
	}
}
