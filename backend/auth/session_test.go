package auth_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/micro/micro/v3/backend/auth"
	"github.com/micro/micro/v3/backend/store"
)

func TestLogin(t *testing.T) {
	t.Parallel()
	a := openAuth(t, auth.Config{Store: openStore(t)})
	signup(t, a)
	s := account(t, a, "bob", "staff", "aides", "staff")
	want := auth.Identity{ID: "bob", Namespace: "acme", Type: auth.User, Scopes: []string{"aides", "staff"}}
	got := verify(t, a, s)
	if got.Session == "" {
		t.Error("an identity without a session")
	}
	got.Session = ""
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("who logged in (-want +got):\n%s", diff)
	}
	if again := login(t, a, "bob"); again.Refresh == s.Refresh || verify(t, a, again).Session == verify(t, a, s).Session {
		t.Error("two logins share a session")
	}
	for _, wrong := range []struct{ ns, id, password string }{
		{"acme", "bob", ""},
		{"acme", "bob", password + "x"},
		{"acme", "bob", strings.Repeat("x", 10<<20)},
		{"acme", "Bob", password},
		{"acme", "nobody", password},
		{"acme", "", password},
		{"acme", "../bob", password},
		{"other", "bob", password},
		{"", "bob", password},
		{"acme/auth", "bob", password},
		{"$system", "bob", password},
	} {
		_, err := a.Login(t.Context(), wrong.ns, wrong.id, wrong.password, auth.Client{Local: true})
		if wantErr(t, wrong.ns+" "+wrong.id, err, auth.ErrCredentials); err != nil && err.Error() != auth.ErrCredentials.Error() {
			t.Errorf("%s %s: the error tells what was wrong: %v", wrong.ns, wrong.id, err)
		}
	}
}

func TestLoginGivesUpWithItsCaller(t *testing.T) {
	t.Parallel()
	a := openAuth(t, auth.Config{Store: openStore(t)})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Login(ctx, "acme", "bob", password, auth.Client{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

func TestRefreshRotates(t *testing.T) {
	t.Parallel()
	c := newClock()
	a := openAuth(t, auth.Config{Store: openStore(t), Now: c.Now})
	s := signup(t, a)
	session := verify(t, a, s).Session
	seen := map[string]bool{s.Refresh: true}
	for range 5 {
		c.advance(time.Hour)
		s = refresh(t, a, s)
		if seen[s.Refresh] {
			t.Error("a refresh token that was given out before")
		}
		seen[s.Refresh] = true
		if got := verify(t, a, s).Session; got != session {
			t.Errorf("the session is %q now, and was %q", got, session)
		}
		if want := c.Now().Add(auth.AccessTTL); s.AccessExpires.After(want) || s.AccessExpires.Before(want.Add(-time.Second)) {
			t.Errorf("the access token expires at %v, want %v", s.AccessExpires, want)
		}
	}
}

// TestRefreshGrace has the token before the current one presented again: it gives the
// same successor for a while, and ends the session afterwards.
func TestRefreshGrace(t *testing.T) {
	t.Parallel()
	c := newClock()
	a := openAuth(t, auth.Config{Store: openStore(t), Now: c.Now})
	first := signup(t, a)
	second := refresh(t, a, first)
	c.advance(auth.RefreshGrace)
	if again := refresh(t, a, first); again.Refresh != second.Refresh {
		t.Error("within the grace: another successor")
	}
	c.advance(time.Nanosecond)
	_, err := a.Refresh(t.Context(), first.Refresh)
	wantErr(t, "after the grace", err, auth.ErrRevoked)
	_, err = a.Refresh(t.Context(), second.Refresh)
	wantErr(t, "the successor, after that", err, auth.ErrRevoked)
	_, err = a.Verify(t.Context(), second.Access)
	wantErr(t, "the access token, after that", err, auth.ErrRevoked)
	login(t, a, "alice") // the account is as good as before
}

// TestReuseRevokes has a token presented that was exchanged twice over.
func TestReuseRevokes(t *testing.T) {
	t.Parallel()
	a := openAuth(t, auth.Config{Store: openStore(t)})
	first := signup(t, a)
	other := login(t, a, "alice")
	third := refresh(t, a, refresh(t, a, first))
	_, err := a.Refresh(t.Context(), first.Refresh)
	wantErr(t, "the first token", err, auth.ErrRevoked)
	_, err = a.Refresh(t.Context(), third.Refresh)
	wantErr(t, "the third token, after that", err, auth.ErrRevoked)
	for _, s := range []auth.Session{first, third} {
		_, err = a.Verify(t.Context(), s.Access)
		wantErr(t, "its access tokens", err, auth.ErrRevoked)
	}
	verify(t, a, refresh(t, a, other)) // another session goes on
}

func TestRefreshAtOnce(t *testing.T) {
	t.Parallel()
	a := openAuth(t, auth.Config{Store: openStore(t)})
	s := signup(t, a)
	for range 5 {
		var mu sync.Mutex
		successors := map[string]auth.Session{}
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				next, err := a.Refresh(t.Context(), s.Refresh)
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := a.Verify(t.Context(), next.Access); err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				successors[next.Refresh] = next
			})
		}
		wg.Wait()
		if len(successors) != 1 {
			t.Fatalf("16 refreshes at once gave %d successors, want 1", len(successors))
		}
		for _, s = range successors {
		}
	}
}

func TestSessionExpires(t *testing.T) {
	t.Parallel()
	c := newClock()
	a := openAuth(t, auth.Config{Store: openStore(t), Now: c.Now})
	s := signup(t, a)
	c.advance(auth.RefreshTTL - time.Second)
	s = refresh(t, a, s) // does not prolong it
	c.advance(time.Second)
	_, err := a.Refresh(t.Context(), s.Refresh)
	wantErr(t, "the refresh token", err, auth.ErrExpired)
	verify(t, a, s)
	c.advance(auth.AccessTTL)
	_, err = a.Verify(t.Context(), s.Access)
	wantErr(t, "the access token", err, auth.ErrExpired)
}

func TestLogout(t *testing.T) {
	t.Parallel()
	a := openAuth(t, auth.Config{Store: openStore(t)})
	s, other := signup(t, a), login(t, a, "alice")
	verify(t, a, s) // it is cached as verified now
	old := s
	s = refresh(t, a, s)
	for range 2 {
		wantErr(t, "Logout", a.Logout(t.Context(), s.Refresh), nil)
	}
	for _, s := range []auth.Session{old, s} {
		_, err := a.Verify(t.Context(), s.Access)
		wantErr(t, "the next call", err, auth.ErrRevoked)
		_, err = a.Refresh(t.Context(), s.Refresh)
		wantErr(t, "the next refresh", err, auth.ErrRevoked)
	}
	verify(t, a, other)
	for _, nothing := range []string{"", "nonsense", "micro_refresh_acme.x.1.y", other.Access, other.Refresh + "x"} {
		wantErr(t, "Logout of "+nothing, a.Logout(t.Context(), nothing), nil)
	}
	verify(t, a, refresh(t, a, other))
}

// TestRevocationOutlastsItsTokens sets the clock back after a logout.
func TestRevocationOutlastsItsTokens(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := openStore(t)
	a := openAuth(t, auth.Config{Store: s, Now: c.Now, AccessTTL: time.Minute})
	alice := signup(t, a)
	wantErr(t, "Logout", a.Logout(t.Context(), alice.Refresh), nil)
	session := verifyNot(t, a, alice)
	rec, err := s.Get(t.Context(), "acme/auth/revoked/"+session)
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(rec.Expires); left < auth.RevokedSlack {
		t.Errorf("the revocation is known for %v, want more than %v", left, auth.RevokedSlack)
	}
}

// verifyNot wants an access token to be revoked, and returns its session.
func verifyNot(t *testing.T, a *auth.Auth, s auth.Session) string {
	t.Helper()
	_, err := a.Verify(t.Context(), s.Access)
	wantErr(t, "Verify", err, auth.ErrRevoked)
	return strings.Split(strings.TrimPrefix(s.Refresh, "micro_refresh_"), ".")[1]
}

func TestDeletedAccount(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	a := openAuth(t, auth.Config{Store: s})
	signup(t, a)
	bob, carol := account(t, a, "bob"), account(t, a, "carol")
	verify(t, a, bob)
	wantErr(t, "DeleteAccount", a.DeleteAccount(t.Context(), "acme", "bob"), nil)
	verifyNot(t, a, bob)
	_, err := a.Refresh(t.Context(), bob.Refresh)
	wantErr(t, "Refresh", err, auth.ErrRevoked)
	_, err = a.Login(t.Context(), "acme", "bob", password, auth.Client{})
	wantErr(t, "Login", err, auth.ErrCredentials)
	verify(t, a, refresh(t, a, carol))
	wantErr(t, "DeleteAccount again", a.DeleteAccount(t.Context(), "acme", "bob"), auth.ErrNotFound)
}

// TestServerDiesWhileSessionsEnd has the records of sessions stay when the account is
// deleted, or gets another password, as they do when the server is killed between
// two steps. They are worth nothing, also to who has the name after that.
func TestServerDiesWhileSessionsEnd(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	a := openAuth(t, auth.Config{Store: s})
	signup(t, a)
	bob := account(t, a, "bob")
	key := "acme/auth/session/" + strings.Split(bob.Refresh, ".")[1]
	rec, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}

	changed, err := a.ChangePassword(t.Context(), "acme", "bob", password, password+"2", auth.Client{})
	if err != nil {
		t.Fatal(err)
	}
	write(t, s, store.Put(key, rec.Value))
	_, err = a.Refresh(t.Context(), bob.Refresh)
	wantErr(t, "after another password", err, auth.ErrRevoked)
	verify(t, a, refresh(t, a, changed))

	wantErr(t, "DeleteAccount", a.DeleteAccount(t.Context(), "acme", "bob"), nil)
	write(t, s, store.Put(key, rec.Value))
	_, err = a.Refresh(t.Context(), bob.Refresh)
	wantErr(t, "after the account is gone", err, auth.ErrRevoked)
	account(t, a, "bob", auth.ScopeAdmin)
	_, err = a.Refresh(t.Context(), bob.Refresh)
	wantErr(t, "after another has the name", err, auth.ErrRevoked)
}

func TestChangePassword(t *testing.T) {
	t.Parallel()
	a := openAuth(t, auth.Config{Store: openStore(t)})
	signup(t, a)
	bob, second, carol := account(t, a, "bob"), login(t, a, "bob"), account(t, a, "carol")
	_, err := a.ChangePassword(t.Context(), "acme", "bob", "wrong", "another one", auth.Client{})
	wantErr(t, "with a wrong password", err, auth.ErrCredentials)
	_, err = a.ChangePassword(t.Context(), "acme", "bob", password, "short", auth.Client{})
	wantErr(t, "to a short one", err, auth.ErrInvalid)
	verify(t, a, bob)

	s, err := a.ChangePassword(t.Context(), "acme", "bob", password, "another one", auth.Client{})
	if err != nil {
		t.Fatal(err)
	}
	verify(t, a, refresh(t, a, s))
	verifyNot(t, a, bob)
	verifyNot(t, a, second)
	verify(t, a, carol)
	_, err = a.Login(t.Context(), "acme", "bob", password, auth.Client{})
	wantErr(t, "the old password", err, auth.ErrCredentials)
	if _, err := a.Login(t.Context(), "acme", "bob", "another one", auth.Client{}); err != nil {
		t.Errorf("the new password: %v", err)
	}
}

// between is a store that does something once before a transaction that puts a key
// with a prefix.
type between struct {
	store.Store
	prefix string
	do     func()
}

func (b *between) Txn(ctx context.Context, t store.Txn) (int64, error) {
	for _, op := range t.Do {
		if do := b.do; do != nil && op.Kind == store.KindPut && strings.HasPrefix(op.Key, b.prefix) {
			b.do = nil
			do()
		}
	}
	return b.Store.Txn(ctx, t)
}

// TestRacesWithAPasswordChange has the password changed, or the account deleted, after
// an old password was found right and before that had its effect.
func TestRacesWithAPasswordChange(t *testing.T) {
	t.Parallel()
	login := func(ctx context.Context, a *auth.Auth) (auth.Session, error) {
		return a.Login(ctx, "acme", "bob", password, auth.Client{})
	}
	change := func(ctx context.Context, a *auth.Auth) (auth.Session, error) {
		return a.ChangePassword(ctx, "acme", "bob", password, "the thief's", auth.Client{})
	}
	for _, test := range []struct {
		name   string
		prefix string // of the key whose write comes too late
		late   func(context.Context, *auth.Auth) (auth.Session, error)
		early  func(context.Context, *auth.Auth) error
	}{
		{"login, password changed", "acme/auth/session/", login, func(ctx context.Context, a *auth.Auth) error {
			_, err := a.ChangePassword(ctx, "acme", "bob", password, "the owner's", auth.Client{})
			return err
		}},
		{"login, account deleted", "acme/auth/session/", login, func(ctx context.Context, a *auth.Auth) error {
			return a.DeleteAccount(ctx, "acme", "bob")
		}},
		{"change, password changed", "acme/auth/account/", change, func(ctx context.Context, a *auth.Auth) error {
			_, err := a.ChangePassword(ctx, "acme", "bob", password, "the owner's", auth.Client{})
			return err
		}},
		{"change, account deleted", "acme/auth/account/", change, func(ctx context.Context, a *auth.Auth) error {
			return a.DeleteAccount(ctx, "acme", "bob")
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := openStore(t)
			b := &between{Store: s, prefix: test.prefix}
			a, owner := openAuth(t, auth.Config{Store: b}), openAuth(t, auth.Config{Store: s})
			signup(t, a)
			account(t, a, "bob")
			b.do = func() { wantErr(t, "the owner", test.early(t.Context(), owner), nil) }
			_, err := test.late(t.Context(), a)
			wantErr(t, "with the old password", err, auth.ErrCredentials)
			if b.do != nil {
				t.Error("nothing happened in between: the test proves nothing")
			}
		})
	}
}

func TestInstanceIdentity(t *testing.T) {
	t.Parallel()
	a := openAuth(t, auth.Config{Store: openStore(t)})
	signup(t, a)
	ctx := t.Context()
	identify := func(id string) auth.Session {
		t.Helper()
		token, err := a.Identify(ctx, "acme", "shop", id)
		if err != nil {
			t.Fatal(err)
		}
		return refresh(t, a, auth.Session{Refresh: token})
	}
	one, other := identify("shop-1-aaaaa"), identify("shop-1-bbbbb")
	if again := refresh(t, a, one); again.Refresh != one.Refresh {
		t.Error("the identity of an instance was exchanged for another one")
	}
	got := verify(t, a, one)
	got.Session = ""
	want := auth.Identity{ID: "shop", Namespace: "acme", Type: auth.Service, Scopes: []string{auth.ScopeService}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("who the instance is (-want +got):\n%s", diff)
	}

	wantErr(t, "Forget", a.Forget(ctx, "acme", "shop-1-aaaaa"), nil)
	wantErr(t, "Forget again", a.Forget(ctx, "acme", "shop-1-aaaaa"), nil)
	_, err := a.Verify(ctx, one.Access)
	wantErr(t, "the next call", err, auth.ErrRevoked)
	_, err = a.Refresh(ctx, one.Refresh)
	wantErr(t, "the next refresh", err, auth.ErrCredentials)
	verify(t, a, refresh(t, a, other))

	// The same instance runs once more.
	again := identify("shop-1-aaaaa")
	verify(t, a, again)
	_, err = a.Refresh(ctx, one.Refresh)
	wantErr(t, "the identity of the run before", err, auth.ErrCredentials)
	_, err = a.Verify(ctx, one.Access)
	wantErr(t, "the token of the run before", err, auth.ErrRevoked)
}

// TestForgedRefreshTokens alters tokens that were good, each in one way.
func TestForgedRefreshTokens(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	a := openAuth(t, auth.Config{Store: s})
	alice, bob := signup(t, a), account(t, a, "bob")
	instance, err := a.Identify(t.Context(), "acme", "shop", "shop-1-aaaaa")
	if err != nil {
		t.Fatal(err)
	}
	foreign := openAuth(t, auth.Config{Store: openStore(t), MasterKey: masterKey(2)})
	parts := func(token string) []string { return strings.Split(token, ".") }
	p, i := parts(alice.Refresh), parts(instance)
	join := func(s ...string) string { return strings.Join(s, ".") }
	for name, token := range map[string]string{
		"empty":                     "",
		"another prefix":            "x" + alice.Refresh,
		"no prefix":                 strings.TrimPrefix(alice.Refresh, "micro_refresh_"),
		"an access token":           alice.Access,
		"no secret":                 join(p[0], p[1], p[2], ""),
		"half a secret":             join(p[0], p[1], p[2], p[3][:20]),
		"a longer secret":           alice.Refresh + "A",
		"another's secret":          join(p[0], p[1], p[2], parts(bob.Refresh)[3]),
		"another's session":         join(p[0], parts(bob.Refresh)[1], p[2], p[3]),
		"another namespace":         join("micro_refresh_other", p[1], p[2], p[3]),
		"the next counter":          join(p[0], p[1], "2", p[3]),
		"counter 0":                 join(p[0], p[1], "0", p[3]),
		"a negative counter":        join(p[0], p[1], "-1", p[3]),
		"a counter in another form": join(p[0], p[1], "01", p[3]),
		"a huge counter":            join(p[0], p[1], strings.Repeat("9", 100), p[3]),
		"too few parts":             join(p[0], p[1], p[3]),
		"too many parts":            alice.Refresh + ".x",
		"a path":                    join(p[0], "../account/alice", p[2], p[3]),
		"1 MB":                      "micro_refresh_" + strings.Repeat("a", 1<<20),
		"of another server":         signup(t, foreign).Refresh,
		"instance, no secret":       join(i[0], i[1], ""),
		"instance, another's":       join(i[0], "shop-1-bbbbb", i[2]),
		"instance, a namespace":     join("micro_instance_other", i[1], i[2]),
		"instance, as a session":    "micro_refresh_" + strings.TrimPrefix(instance, "micro_instance_"),
		"instance, a path":          join(i[0], "../rule/call", i[2]),
	} {
		if _, err := a.Refresh(t.Context(), token); !errors.Is(err, auth.ErrCredentials) {
			t.Errorf("%s: got %v, want %v", name, err, auth.ErrCredentials)
		}
	}
	refresh(t, a, alice) // no forgery has ended the session
}
