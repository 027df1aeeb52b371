package auth_test

import (
	"bytes"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/micro/micro/v3/backend/auth"
	engine "github.com/micro/micro/v3/backend/embedded"
	"github.com/micro/micro/v3/backend/store"
	"github.com/micro/micro/v3/backend/store/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// openStore opens an empty store in memory.
func openStore(tb testing.TB) store.Store {
	tb.Helper()
	db, err := engine.Open(tb.Context(), "data", engine.Options{FS: vfs.NewMem()})
	if err != nil {
		tb.Fatal(err)
	}
	s, err := embedded.Open(tb.Context(), db, embedded.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := errors.Join(s.Close(), db.Close()); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// masterKey returns one of as many keys as there are bytes.
func masterKey(b byte) []byte { return bytes.Repeat([]byte{b}, auth.MasterKeySize) }

// openAuth opens an Auth over a store, with accounts of whoever uses it.
func openAuth(tb testing.TB, c auth.Config) *auth.Auth {
	tb.Helper()
	if c.MasterKey == nil {
		c.MasterKey = masterKey(1)
	}
	a, err := auth.Open(tb.Context(), c)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := a.Close(); err != nil {
			tb.Error(err)
		}
	})
	return a
}

// password is that of every account that a test makes.
const password = "correct horse"

// signup makes the namespace "acme" with the administrator "alice".
func signup(tb testing.TB, a *auth.Auth) auth.Session {
	tb.Helper()
	s, err := a.Signup(tb.Context(), "acme", "alice", password)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// account makes an account in acme and logs it in.
func account(tb testing.TB, a *auth.Auth, id string, scopes ...string) auth.Session {
	tb.Helper()
	if _, err := a.CreateAccount(tb.Context(), auth.Account{Namespace: "acme", ID: id, Scopes: scopes}, password); err != nil {
		tb.Fatal(err)
	}
	return login(tb, a, id)
}

func login(tb testing.TB, a *auth.Auth, id string) auth.Session {
	tb.Helper()
	s, err := a.Login(tb.Context(), "acme", id, password, auth.Client{})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func refresh(tb testing.TB, a *auth.Auth, s auth.Session) auth.Session {
	tb.Helper()
	next, err := a.Refresh(tb.Context(), s.Refresh)
	if err != nil {
		tb.Fatal(err)
	}
	return next
}

func verify(tb testing.TB, a *auth.Auth, s auth.Session) auth.Identity {
	tb.Helper()
	id, err := a.Verify(tb.Context(), s.Access)
	if err != nil {
		tb.Fatal(err)
	}
	return id
}

// wantErr fails unless an error is the wanted one; nil for none.
func wantErr(tb testing.TB, what string, got, want error) {
	tb.Helper()
	if !errors.Is(got, want) || want == nil && got != nil {
		tb.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// clock is a time that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Now()} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// damage puts a value that cannot be read where a record may be.
func damage(tb testing.TB, s store.Store, key string) {
	tb.Helper()
	write(tb, s, store.Put(key, []byte("{")))
}

func write(tb testing.TB, s store.Store, ops ...store.Op) {
	tb.Helper()
	if _, err := s.Txn(tb.Context(), store.Txn{Do: ops}); err != nil {
		tb.Fatal(err)
	}
}

// TestDamagedRules has a rule that cannot be read: a server that went on with those it
// knew would grant what was denied since.
func TestDamagedRules(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t)
		a := openAuth(t, auth.Config{Store: s})
		alice := verify(t, a, signup(t, a))
		call := auth.Resource{Type: "service", Name: "shop", Endpoint: "Shop.Buy"}
		wantErr(t, "before", a.Authorize(t.Context(), alice, "acme", call), nil)
		damage(t, s, "acme/auth/rule/broken")
		synctest.Wait()
		if err := a.Authorize(t.Context(), alice, "acme", call); err == nil || errors.Is(err, auth.ErrDenied) || errors.Is(err, auth.ErrNotFound) {
			t.Errorf("with a rule that cannot be read: %v, want why", err)
		}
		write(t, s, store.Delete("acme/auth/rule/broken"))
		wantErr(t, "after the repair", a.Authorize(t.Context(), alice, "acme", call), nil)
		// What is changed from now on counts again.
		wantErr(t, "CreateRule", a.CreateRule(t.Context(), "acme", auth.Rule{ID: "no", Resource: "*:*:*", Deny: true, Priority: 1}), nil)
		wantErr(t, "after a denial", a.Authorize(t.Context(), alice, "acme", call), auth.ErrDenied)
	})
}

// TestDamagedKey has a signing key that cannot be read.
func TestDamagedKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t)
		a := openAuth(t, auth.Config{Store: s})
		alice := signup(t, a)
		verify(t, a, alice)
		damage(t, s, "$system/auth/key/broken")
		synctest.Wait()
		if _, err := a.Verify(t.Context(), alice.Access); err == nil {
			t.Error("a token is accepted by keys that were read long ago")
		}
		write(t, s, store.Delete("$system/auth/key/broken"))
		verify(t, a, alice)
	})
}

// TestClosed wants errors, and no waiting, of an Auth that is closed.
func TestClosed(t *testing.T) {
	t.Parallel()
	a := openAuth(t, auth.Config{Store: openStore(t)})
	alice := signup(t, a)
	wantErr(t, "Close", a.Close(), nil)
	_, err := a.Verify(t.Context(), alice.Access)
	wantErr(t, "Verify", err, store.ErrClosed)
	wantErr(t, "Authorize", a.Authorize(t.Context(), auth.Identity{}, "acme", auth.Resource{}), store.ErrClosed)
}
