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
func openStore(t testing.TB) store.Store {
	t.Helper()
	db, err := engine.Open(t.Context(), "data", engine.Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	s, err := embedded.Open(t.Context(), db, embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(s.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// masterKey returns one of as many keys as there are bytes.
func masterKey(b byte) []byte { return bytes.Repeat([]byte{b}, auth.MasterKeySize) }

// openAuth opens an Auth over a store, with accounts of whoever uses it.
func openAuth(t testing.TB, c auth.Config) *auth.Auth {
	t.Helper()
	if c.MasterKey == nil {
		c.MasterKey = masterKey(1)
	}
	a, err := auth.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

// password is that of every account that a test makes.
const password = "correct horse"

// signup makes the namespace "acme" with the administrator "alice".
func signup(t testing.TB, a *auth.Auth) auth.Session {
	t.Helper()
	s, err := a.Signup(t.Context(), "acme", "alice", password)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// account makes an account in acme and logs it in.
func account(t testing.TB, a *auth.Auth, id string, scopes ...string) auth.Session {
	t.Helper()
	if _, err := a.CreateAccount(t.Context(), "acme", id, password, scopes); err != nil {
		t.Fatal(err)
	}
	return login(t, a, id)
}

func login(t testing.TB, a *auth.Auth, id string) auth.Session {
	t.Helper()
	s, err := a.Login(t.Context(), "acme", id, password, false)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func refresh(t testing.TB, a *auth.Auth, s auth.Session) auth.Session {
	t.Helper()
	next, err := a.Refresh(t.Context(), s.Refresh)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func verify(t testing.TB, a *auth.Auth, s auth.Session) auth.Identity {
	t.Helper()
	id, err := a.Verify(t.Context(), s.Access)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// wantErr fails unless an error is the wanted one; nil for none.
func wantErr(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) || want == nil && got != nil {
		t.Errorf("%s: got %v, want %v", what, got, want)
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
func damage(t testing.TB, s store.Store, key string) {
	t.Helper()
	write(t, s, store.Put(key, []byte("{")))
}

func write(t testing.TB, s store.Store, ops ...store.Op) {
	t.Helper()
	if _, err := s.Txn(t.Context(), store.Txn{Do: ops}); err != nil {
		t.Fatal(err)
	}
}

// TestDamagedRecordsDenyEverything has rules and revocations that cannot be read: a
// server that went on with those it knew would grant what was denied since.
func TestDamagedRecordsDenyEverything(t *testing.T) {
	t.Parallel()
	call := auth.Resource{Type: "service", Name: "shop", Endpoint: "Shop.Buy"}
	run := func(name string, test func(*testing.T)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, test)
		})
	}
	run("rules", func(t *testing.T) {
		s := openStore(t)
		a := openAuth(t, auth.Config{Store: s})
		alice := verify(t, a, signup(t, a))
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
	run("signing keys", func(t *testing.T) {
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
