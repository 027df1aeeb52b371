package auth_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/micro/micro/v3/backend/auth"
	"github.com/micro/micro/v3/backend/store"
)

// makeToken makes an API token of whoever a session belongs to.
func makeToken(tb testing.TB, a *auth.Auth, s auth.Session, t auth.APIToken) string {
	tb.Helper()
	_, secret, err := a.CreateAPIToken(tb.Context(), verify(tb, a, s), t)
	if err != nil {
		tb.Fatal(err)
	}
	return secret
}

func TestAPIToken(t *testing.T) {
	t.Parallel()
	c := newClock()
	st := openStore(t)
	a := openAuth(t, auth.Config{Store: st, Now: c.Now})
	signup(t, a)
	bob := account(t, a, "bob", "staff", "billing")
	secret := makeToken(t, a, bob, auth.APIToken{Name: "ci", Scopes: []string{"staff"}, Expires: c.Now().Add(time.Hour)})
	got, err := a.Verify(t.Context(), secret)
	if err != nil {
		t.Fatal(err)
	}
	want := auth.Identity{ID: "bob", Namespace: "acme", Type: auth.User, Scopes: []string{"staff"}, Session: got.Session, Token: "ci"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("who has the token (-want +got):\n%s", diff)
	}
	for r, err := range st.Range(t.Context(), store.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(r.Value), secret[strings.LastIndexByte(secret, '.')+1:]) {
			t.Errorf("%s holds the secret", r.Key)
		}
	}
	wrong := strings.TrimSuffix(secret, secret[len(secret)-1:])
	for _, bad := range []string{
		wrong, wrong + "!", secret + "A", secret + ".", strings.ToLower(secret), strings.Replace(secret, ".", "..", 1),
		strings.Replace(secret, "acme", "micro", 1), strings.Replace(secret, "acme", "../acme", 1), "micro_token_", "micro_token_acme..",
		"micro_token_acme." + strings.Repeat("a", 1<<20) + ".x", "micro_token_\x00.a.b",
	} {
		_, err := a.Verify(t.Context(), bad)
		wantErr(t, fmt.Sprintf("%.80q", bad), err, auth.ErrCredentials)
	}
	c.advance(time.Hour)
	_, err = a.Verify(t.Context(), secret)
	wantErr(t, "after its time", err, auth.ErrExpired)
}

func TestAPITokenEnds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		end  func(t *testing.T, a *auth.Auth) error
		want error
	}{
		{"deleted", func(t *testing.T, a *auth.Auth) error {
			t.Helper()
			return a.DeleteAPIToken(t.Context(), "acme", "bob", "ci")
		}, auth.ErrCredentials},
		{"its account deleted", func(t *testing.T, a *auth.Auth) error {
			t.Helper()
			return a.DeleteAccount(t.Context(), "acme", "bob")
		}, auth.ErrCredentials},
		{"its account another one of the same name", func(t *testing.T, a *auth.Auth) error {
			t.Helper()
			if err := a.DeleteAccount(t.Context(), "acme", "bob"); err != nil {
				return err
			}
			_, err := a.CreateAccount(t.Context(), auth.Account{Namespace: "acme", ID: "bob", Scopes: []string{"staff"}}, password)
			return err
		}, auth.ErrCredentials},
		{"its account disabled", func(t *testing.T, a *auth.Auth) error {
			t.Helper()
			_, err := a.UpdateAccount(t.Context(), "acme", "bob", auth.AccountUpdate{Disabled: new(true)}, anybodyMay)
			return err
		}, auth.ErrRevoked},
		{"its account with another password", func(t *testing.T, a *auth.Auth) error {
			t.Helper()
			_, err := a.ChangePassword(t.Context(), "acme", "bob", password, "another one", auth.Client{})
			return err
		}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := openAuth(t, auth.Config{Store: openStore(t)})
			signup(t, a)
			secret := makeToken(t, a, account(t, a, "bob", "staff"), auth.APIToken{Name: "ci"})
			_, err := a.Verify(t.Context(), secret)
			wantErr(t, "before", err, nil)
			wantErr(t, tt.name, tt.end(t, a), nil)
			_, err = a.Verify(t.Context(), secret)
			wantErr(t, "afterwards", err, tt.want)
		})
	}
}

func TestAPITokenHasNoMoreThanItsAccount(t *testing.T) {
	t.Parallel()
	a := openAuth(t, auth.Config{Store: openStore(t)})
	signup(t, a)
	secret := makeToken(t, a, account(t, a, "bob", "staff", "billing"), auth.APIToken{Name: "ci", Scopes: []string{"staff", "billing"}})
	_, err := a.UpdateAccount(t.Context(), "acme", "bob", auth.AccountUpdate{Scopes: &[]string{"staff"}}, anybodyMay)
	wantErr(t, "update", err, nil)
	got, err := a.Verify(t.Context(), secret)
	wantErr(t, "verify", err, nil)
	if diff := cmp.Diff([]string{"staff"}, got.Scopes); diff != "" {
		t.Errorf("scopes of a token whose account has lost one (-want +got):\n%s", diff)
	}
}

func TestCreateAPITokenRefuses(t *testing.T) {
	t.Parallel()
	a := openAuth(t, auth.Config{Store: openStore(t)})
	signup(t, a)
	bob := verify(t, a, account(t, a, "bob", "staff"))
	_, secret, err := a.CreateAPIToken(t.Context(), bob, auth.APIToken{Name: "taken"})
	wantErr(t, "taken", err, nil)
	byToken, err := a.Verify(t.Context(), secret)
	wantErr(t, "taken", err, nil)
	service := auth.Identity{ID: "bob", Namespace: "acme", Type: auth.Service, Scopes: []string{auth.ScopeService}}
	for _, tt := range []struct {
		name   string
		caller auth.Identity
		token  auth.APIToken
		want   error
	}{
		{"no name", bob, auth.APIToken{}, auth.ErrInvalid},
		{"a hostile name", bob, auth.APIToken{Name: "../x"}, auth.ErrInvalid},
		{"a long name", bob, auth.APIToken{Name: strings.Repeat("x", 129)}, auth.ErrInvalid},
		{"a name that is taken", bob, auth.APIToken{Name: "taken"}, auth.ErrExists},
		{"a scope of others", bob, auth.APIToken{Name: "x", Scopes: []string{"admin"}}, auth.ErrDenied},
		{"too many scopes", bob, auth.APIToken{Name: "x", Scopes: make([]string, 33)}, auth.ErrInvalid},
		{"an end in the past", bob, auth.APIToken{Name: "x", Expires: time.Unix(1, 0)}, auth.ErrInvalid},
		{"by a token", byToken, auth.APIToken{Name: "x"}, auth.ErrDenied},
		{"by a service", service, auth.APIToken{Name: "x"}, auth.ErrDenied},
		{"by nobody", auth.Identity{}, auth.APIToken{Name: "x"}, auth.ErrDenied},
	} {
		_, _, err := a.CreateAPIToken(t.Context(), tt.caller, tt.token)
		wantErr(t, tt.name, err, tt.want)
	}
}

func TestAPITokensPageByPage(t *testing.T) {
	t.Parallel()
	a := openAuth(t, auth.Config{Store: openStore(t)})
	alice := verify(t, a, signup(t, a))
	bob := verify(t, a, account(t, a, "bob"))
	var want []string
	for _, caller := range []auth.Identity{alice, bob} {
		for i := range 3 {
			name := fmt.Sprint("t", i)
			_, _, err := a.CreateAPIToken(t.Context(), caller, auth.APIToken{Name: name})
			wantErr(t, name, err, nil)
			want = append(want, caller.ID+"/"+name)
		}
	}
	var got []string
	for after, more := "", true; more; {
		var page []auth.APIToken
		var err error
		if page, more, err = a.APITokens(t.Context(), "acme", "", after, 4); err != nil {
			t.Fatal(err)
		}
		for _, tok := range page {
			after = tok.Account + "/" + tok.Name
			got = append(got, after)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("all tokens (-want +got):\n%s", diff)
	}
	mine, _, err := a.APITokens(t.Context(), "acme", "bob", "", 10)
	if err != nil || len(mine) != 3 {
		t.Errorf("bob's tokens: %v, %v", mine, err)
	}
	for i := 3; i < auth.MaxAPITokens; i++ {
		_, _, err := a.CreateAPIToken(t.Context(), bob, auth.APIToken{Name: fmt.Sprint("t", i)})
		wantErr(t, "one more", err, nil)
	}
	_, _, err = a.CreateAPIToken(t.Context(), bob, auth.APIToken{Name: "more"})
	wantErr(t, "too many", err, auth.ErrTooManyTokens)
}

func anybodyMay(auth.Account) error { return nil }

func TestUpdateAccount(t *testing.T) {
	t.Parallel()
	a := openAuth(t, auth.Config{Store: openStore(t)})
	signup(t, a)
	bob := account(t, a, "bob", "staff")
	update := func(id string, u auth.AccountUpdate) (auth.Account, error) {
		return a.UpdateAccount(t.Context(), "acme", id, u, anybodyMay)
	}
	got, err := update("bob", auth.AccountUpdate{Scopes: &[]string{"b", "a", "b"}})
	wantErr(t, "scopes", err, nil)
	if diff := cmp.Diff([]string{"a", "b"}, got.Scopes); diff != "" {
		t.Errorf("scopes (-want +got):\n%s", diff)
	}
	_, err = a.Verify(t.Context(), bob.Access)
	wantErr(t, "a session of before", err, auth.ErrRevoked)
	_, err = a.Refresh(t.Context(), bob.Refresh)
	wantErr(t, "its refresh", err, auth.ErrRevoked)

	_, err = update("bob", auth.AccountUpdate{Password: new("a new password")})
	wantErr(t, "password", err, nil)
	_, err = a.Login(t.Context(), "acme", "bob", password, auth.Client{})
	wantErr(t, "the old password", err, auth.ErrCredentials)
	_, err = a.Login(t.Context(), "acme", "bob", "a new password", auth.Client{})
	wantErr(t, "the new password", err, nil)

	_, err = update("bob", auth.AccountUpdate{Disabled: new(true)})
	wantErr(t, "disable", err, nil)
	_, err = a.Login(t.Context(), "acme", "bob", "a new password", auth.Client{})
	wantErr(t, "a disabled account", err, auth.ErrCredentials)
	_, err = update("bob", auth.AccountUpdate{Disabled: new(false)})
	wantErr(t, "enable", err, nil)
	_, err = a.Login(t.Context(), "acme", "bob", "a new password", auth.Client{})
	wantErr(t, "an enabled account", err, nil)

	refused := errors.New("refused")
	_, err = a.UpdateAccount(t.Context(), "acme", "bob", auth.AccountUpdate{Disabled: new(true)}, func(auth.Account) error { return refused })
	wantErr(t, "who may not", err, refused)
	for _, tt := range []struct {
		name, id string
		update   auth.AccountUpdate
		want     error
	}{
		{"nobody", "nobody", auth.AccountUpdate{Disabled: new(true)}, auth.ErrNotFound},
		{"a hostile id", "../bob", auth.AccountUpdate{Disabled: new(true)}, auth.ErrNotFound},
		{"a short password", "bob", auth.AccountUpdate{Password: new("x")}, auth.ErrInvalid},
		{"a hostile scope", "bob", auth.AccountUpdate{Scopes: &[]string{"a b"}}, auth.ErrInvalid},
		{"the last admin disabled", "alice", auth.AccountUpdate{Disabled: new(true)}, auth.ErrLastAdmin},
		{"the last admin without the scope", "alice", auth.AccountUpdate{Scopes: &[]string{}}, auth.ErrLastAdmin},
	} {
		_, err := update(tt.id, tt.update)
		wantErr(t, tt.name, err, tt.want)
	}
	// A disabled administrator administers nothing.
	_, err = update("bob", auth.AccountUpdate{Scopes: &[]string{"admin"}, Disabled: new(true)})
	wantErr(t, "another administrator", err, nil)
	wantErr(t, "delete the last one who can log in", a.DeleteAccount(t.Context(), "acme", "alice"), auth.ErrLastAdmin)
}
