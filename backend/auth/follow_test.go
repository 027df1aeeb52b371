package auth_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/micro/v3/backend/auth"
	"github.com/micro/micro/v3/backend/store"
)

// errSome stands for one of several errors: it depends on what is seen first.
var errSome = errors.New("some error")

// followed is a call of a service of acme that goes on for long.
type followed struct {
	ended chan error
}

// follow lets somebody begin a call that only accounts with the scope "staff" may make.
func follow(t *testing.T, a *auth.Auth, token string) followed {
	t.Helper()
	f := followed{make(chan error, 1)}
	id, err := a.Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	may := func(ctx context.Context, id auth.Identity) error {
		return a.Authorize(ctx, id, "acme", auth.Resource{Type: "runtime", Name: "shop", Endpoint: "Runtime.Logs", Class: "watch"})
	}
	wantErr(t, "the call begins", may(t.Context(), id), nil)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	go func() { f.ended <- a.Follow(ctx, token, "acme", may) }()
	f.goesOn(t, "at first")
	return f
}

func (f followed) goesOn(t *testing.T, when string) {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-f.ended:
		t.Fatalf("%s: the call ended with %v", when, err)
	default:
	}
}

// wantEnd wants a call to have ended with an error, and to go on without one.
func (f followed) wantEnd(t *testing.T, what string, want error) {
	t.Helper()
	if want == nil {
		f.goesOn(t, what)
		return
	}
	synctest.Wait()
	select {
	case err := <-f.ended:
		if !errors.Is(want, errSome) {
			wantErr(t, what, err, want)
		}
	default:
		t.Errorf("%s: the call goes on, want %v", what, want)
	}
}

// TestFollow takes away, while a call goes on, what it is allowed by.
func TestFollow(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		do   func(ctx context.Context, a *auth.Auth, bob auth.Session) error
		want error // nil: it goes on
		api  error // the same for a call with an API token
	}{
		{"logout", func(ctx context.Context, a *auth.Auth, bob auth.Session) error { return a.Logout(ctx, bob.Refresh) }, auth.ErrRevoked, nil},
		{"another account logs out", func(ctx context.Context, a *auth.Auth, _ auth.Session) error {
			s, err := a.Login(ctx, "acme", "alice", password, auth.Client{})
			return errors.Join(err, a.Logout(ctx, s.Refresh))
		}, nil, nil},
		{"the account is disabled", func(ctx context.Context, a *auth.Auth, _ auth.Session) error {
			return update(ctx, a, auth.AccountUpdate{Disabled: new(true)})
		}, auth.ErrRevoked, auth.ErrRevoked},
		{"the account loses its scope", func(ctx context.Context, a *auth.Auth, _ auth.Session) error {
			return update(ctx, a, auth.AccountUpdate{Scopes: &[]string{"other"}})
		}, auth.ErrRevoked, auth.ErrDenied},
		{"the account is deleted", func(ctx context.Context, a *auth.Auth, _ auth.Session) error {
			return a.DeleteAccount(ctx, "acme", "bob")
		}, auth.ErrRevoked, errSome},
		{"the password is changed", func(ctx context.Context, a *auth.Auth, _ auth.Session) error {
			_, err := a.ChangePassword(ctx, "acme", "bob", password, "another one", auth.Client{})
			return err
		}, auth.ErrRevoked, nil},
		{"the rule is deleted", func(ctx context.Context, a *auth.Auth, _ auth.Session) error {
			return a.DeleteRule(ctx, "acme", "staff")
		}, auth.ErrDenied, auth.ErrDenied},
		{"a rule denies it", func(ctx context.Context, a *auth.Auth, _ auth.Session) error {
			return a.CreateRule(ctx, "acme", auth.Rule{ID: "no", Resource: "*:*:*", Deny: true, Priority: 1})
		}, auth.ErrDenied, auth.ErrDenied},
		{"a rule that is about others", func(ctx context.Context, a *auth.Auth, _ auth.Session) error {
			return a.CreateRule(ctx, "acme", auth.Rule{ID: "no", Scope: "other", Resource: "*:*:*", Deny: true, Priority: 1})
		}, nil, nil},
		{"the namespace is deleted", func(ctx context.Context, a *auth.Auth, _ auth.Session) error { return a.CloseNamespace(ctx, "acme") }, auth.ErrRevoked, auth.ErrRevoked},
		{"keys are rotated", func(ctx context.Context, a *auth.Auth, _ auth.Session) error {
			_, err := a.RotateKeys(ctx, false)
			return err
		}, nil, nil},
		{"keys are retired", func(ctx context.Context, a *auth.Auth, _ auth.Session) error {
			_, err := a.RotateKeys(ctx, true)
			return err
		}, auth.ErrRevoked, nil},
		{"the session is renewed", func(ctx context.Context, a *auth.Auth, bob auth.Session) error {
			_, err := a.Refresh(ctx, bob.Refresh)
			return err
		}, nil, nil},
		{"the API token is deleted", func(ctx context.Context, a *auth.Auth, _ auth.Session) error {
			return a.DeleteAPIToken(ctx, "acme", "bob", "ci")
		}, nil, auth.ErrCredentials},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a, bob := withStaff(t, openStore(t))
				bySession, byToken := follow(t, a, bob.Access), follow(t, a, apiToken(t, a, bob, time.Time{}))
				wantErr(t, "what is done", test.do(t.Context(), a, bob), nil)
				bySession.wantEnd(t, "with a session", test.want)
				byToken.wantEnd(t, "with an API token", test.api)
			})
		})
	}
}

// withStaff returns an Auth with bob of acme, who is of the staff.
func withStaff(t *testing.T, s store.Store) (*auth.Auth, auth.Session) {
	t.Helper()
	a := openAuth(t, auth.Config{Store: s})
	signup(t, a)
	wantErr(t, "CreateRule", a.CreateRule(t.Context(), "acme", auth.Rule{ID: "staff", Scope: "staff", Resource: "runtime:*:watch"}), nil)
	return a, account(t, a, "bob", "staff")
}

func update(ctx context.Context, a *auth.Auth, u auth.AccountUpdate) error {
	_, err := a.UpdateAccount(ctx, "acme", "bob", u, func(auth.Account) error { return nil })
	return err
}

// apiToken makes one of somebody who is logged in.
func apiToken(t *testing.T, a *auth.Auth, s auth.Session, expires time.Time) string {
	t.Helper()
	_, secret, err := a.CreateAPIToken(t.Context(), verify(t, a, s), auth.APIToken{Name: "ci", Scopes: []string{"staff"}, Expires: expires})
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// TestFollowOutlivesTheAccessToken waits until the access token of a call, and then
// the key that has signed it, have come to their ends: the session goes on, and so does
// the call, until the session ends too.
func TestFollowOutlivesTheAccessToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t)
		a, bob := withStaff(t, s)
		service, err := a.Identify(t.Context(), "acme", "shop", "shop-1")
		if err != nil {
			t.Fatal(err)
		}
		instance := refresh(t, a, auth.Session{Refresh: service})
		wantErr(t, "CreateRule", a.CreateRule(t.Context(), "acme", auth.Rule{ID: "services", Scope: auth.ScopeService, Resource: "runtime:*:watch"}), nil)
		f, ofService := follow(t, a, bob.Access), follow(t, a, instance.Access)
		verified := verify(t, a, bob)
		if _, err := a.RotateKeys(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(auth.AccessTTL)
		f.goesOn(t, "when the access token has expired")
		_, err = a.Verify(t.Context(), bob.Access)
		wantErr(t, "a new call with it", err, auth.ErrExpired)
		time.Sleep(auth.RevokedSlack + time.Minute)
		if keys, err := a.Keys(t.Context()); err != nil || len(keys) != 1 {
			t.Errorf("%d keys, %v; the old one should be gone", len(keys), err)
		}
		f.goesOn(t, "when its key has retired")
		ofService.goesOn(t, "when its key has retired")
		write(t, s, store.Delete("acme/auth/session/"+verified.Session)) // as its time does
		time.Sleep(time.Hour)
		f.wantEnd(t, "the end", auth.ErrExpired)
		ofService.goesOn(t, "as long as the instance does")
		wantErr(t, "Forget", a.Forget(t.Context(), "acme", "shop-1"), nil)
		ofService.wantEnd(t, "of the service", auth.ErrRevoked)
	})
}

// TestFollowEndsWithAnAPIToken has one expire: there is nothing behind it that goes on.
func TestFollowEndsWithAnAPIToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, bob := withStaff(t, openStore(t))
		f := follow(t, a, apiToken(t, a, bob, time.Now().Add(time.Hour)))
		time.Sleep(time.Hour - time.Second)
		f.goesOn(t, "before")
		time.Sleep(2 * time.Second)
		f.wantEnd(t, "the end", errSome)
	})
}

// TestFollowAnonymous follows somebody who is not logged in, for as long as anybody may.
func TestFollowAnonymous(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, _ := withStaff(t, openStore(t))
		wantErr(t, "CreateRule", a.CreateRule(t.Context(), "acme", auth.Rule{ID: "open", Resource: "runtime:*:watch"}), nil)
		f := follow(t, a, "")
		wantErr(t, "DeleteRule", a.DeleteRule(t.Context(), "acme", "open"), nil)
		f.wantEnd(t, "the end", auth.ErrAnonymous)
	})
}

// TestFollowEndsWithAuth has what is followed end when nobody could tell any more.
func TestFollowEndsWithAuth(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, bob := withStaff(t, openStore(t))
		f := follow(t, a, bob.Access)
		wantErr(t, "Close", a.Close(), nil)
		f.wantEnd(t, "the end", store.ErrClosed)
	})
}
