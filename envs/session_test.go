package envs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// morning is when the tests take place.
func morning() time.Time { return time.Date(2026, 1, 2, 9, 0, 0, 0, time.UTC) }

// alice is a session that is good for ten minutes.
func alice() Session {
	return Session{Account: "alice", Namespace: "shop", Access: "access", AccessExpires: morning().Add(10 * time.Minute), Refresh: "refresh"}
}

// home is a user's directories and keyring.
type home struct {
	Dirs
	keys Keyring
}

func newHome(t *testing.T) home {
	t.Helper()
	return home{newDirs(t), newKeyring()}
}

// addEnv adds the environment far and returns it.
func addEnv(t *testing.T, d home, address string) Env {
	t.Helper()
	e := Env{Name: "far", Address: address}
	if err := Update(d.Dirs, func(c *Config) error { return c.Add(e) }); err != nil {
		t.Fatal(err)
	}
	return e
}

func mustGet(t *testing.T, d home, name string) Env {
	t.Helper()
	e, err := mustLoad(t, d.Dirs).Get(name)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func mustSave(t *testing.T, s Session, d home, e Env, in Storage) Env {
	t.Helper()
	if err := s.Save(d.Dirs, e, in, d.keys); err != nil {
		t.Fatal(err)
	}
	return mustGet(t, d, e.Name)
}

// tokens returns what calls to an environment would be made and renewed with.
func tokens(t *testing.T, d home, e Env) (access, refresh string) {
	t.Helper()
	access, err := e.AccessToken(d.Dirs, getenv(nil), morning())
	if err != nil && !errors.Is(err, ErrNoSession) {
		t.Fatalf("AccessToken: %v", err)
	}
	refresh, err = e.RefreshToken(d.Dirs, d.keys)
	if err != nil && !errors.Is(err, ErrNoSession) {
		t.Fatalf("RefreshToken: %v", err)
	}
	return access, refresh
}

func wantTokens(t *testing.T, d home, e Env, access, refresh string) {
	t.Helper()
	if a, r := tokens(t, d, e); a != access || r != refresh {
		t.Errorf("the tokens of %q at %s are %q and %q, want %q and %q", e.Name, e.Address, a, r, access, refresh)
	}
}

func storages() []Storage { return []Storage{InKeyring, InFile} }

func TestSession(t *testing.T) {
	t.Parallel()
	for _, in := range storages() {
		t.Run(string(in), func(t *testing.T) {
			t.Parallel()
			d := newHome(t)
			e := addEnv(t, d, "far.example.com")
			wantTokens(t, d, e, "", "")
			e = mustSave(t, alice(), d, e, in)
			want := Env{Name: "far", Address: "far.example.com", Namespace: "shop", Account: "alice", Storage: in}
			if diff := cmp.Diff(want, e); diff != "" {
				t.Errorf("environment (-want +got):\n%s", diff)
			}
			wantTokens(t, d, e, "access", "refresh")
			wantTokens(t, d, mustGet(t, d, Local), "", "")

			next := alice()
			next.Access, next.Refresh = "access 2", "refresh 2"
			e = mustSave(t, next, d, e, in)
			wantTokens(t, d, e, "access 2", "refresh 2")

			if err := Forget(d.Dirs, e.Name, d.keys); err != nil {
				t.Fatal(err)
			}
			wantTokens(t, d, e, "", "") // also for whoever still has what was read before
			if got, want := mustGet(t, d, "far"), (Env{Name: "far", Address: "far.example.com"}); got != want {
				t.Errorf("environment %+v, want %+v", got, want)
			}
			wantNoTokens(t, d)
		})
	}
}

// wantNoTokens verifies that no token is in a file.
func wantNoTokens(t *testing.T, d home) {
	t.Helper()
	err := filepath.WalkDir(filepath.Dir(d.Runtime), func(p string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasSuffix(p, ".lock") || p == path(d.Dirs) {
			return err
		}
		b, err := os.ReadFile(p)
		t.Errorf("%s is left: %q", p, b)
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestAccessToken(t *testing.T) {
	t.Parallel()
	d := newHome(t)
	e := mustSave(t, alice(), d, addEnv(t, d, "far.example.com"), InFile)
	changed := func(f func(*Env)) Env {
		c := e
		f(&c)
		return c
	}
	tests := []struct {
		name string
		env  Env
		vars map[string]string
		now  time.Time
		want string // empty: ErrNoSession
	}{
		{name: "good", env: e, now: morning(), want: "access"},
		{name: "good for a moment more than a minute", env: e, now: morning().Add(9 * time.Minute), want: "access"},
		{name: "about to expire", env: e, now: morning().Add(9*time.Minute + 1)},
		{name: "expired", env: e, now: morning().Add(time.Hour)},
		{name: "of another server", env: changed(func(e *Env) { e.Address = "evil.example.com" }), now: morning()},
		{name: "of the same server without TLS", env: changed(func(e *Env) { e.Address = "tcp://far.example.com:443" }), now: morning()},
		{name: "of another account", env: changed(func(e *Env) { e.Account = "bob" }), now: morning()},
		{name: "nobody logged in", env: changed(func(e *Env) { e.Account = "" }), now: morning()},
		{name: "another environment", env: changed(func(e *Env) { e.Name = "near" }), now: morning()},
		{name: "from the variable", env: changed(func(e *Env) { e.Account = "" }), vars: map[string]string{EnvToken: "mine"}, now: morning(), want: "mine"},
		{name: "the variable goes before the session", env: e, vars: map[string]string{EnvToken: "mine"}, now: morning(), want: "mine"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := tt.env.AccessToken(d.Dirs, getenv(tt.vars), tt.now)
			if got != tt.want || (err != nil) != (tt.want == "") || err != nil && !errors.Is(err, ErrNoSession) {
				t.Errorf("AccessToken = %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

// What is damaged is as if it were not there: a login makes it again.
func TestDamagedTokens(t *testing.T) {
	t.Parallel()
	for _, content := range []string{"", "{", "[]", "null", `"token"`, "refresh", `{"address":"far.example.com","account":"alice"}`, "\x00\x00"} {
		d := newHome(t)
		e := mustSave(t, alice(), d, addEnv(t, d, "far.example.com"), InFile)
		for _, p := range []string{accessPath(d.Dirs, "far"), refreshPath(d.Dirs, "far")} {
			if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		wantTokens(t, d, e, "", "")
		wantTokens(t, d, mustSave(t, alice(), d, e, InFile), "access", "refresh")
	}
}

func TestTokenUnreadable(t *testing.T) {
	t.Parallel()
	d := newHome(t)
	e := mustSave(t, alice(), d, addEnv(t, d, "far.example.com"), InFile)
	for _, p := range []string{accessPath(d.Dirs, "far"), refreshPath(d.Dirs, "far")} {
		if err := errors.Join(os.Remove(p), os.Mkdir(p, 0o700)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := e.AccessToken(d.Dirs, getenv(nil), morning()); err == nil || errors.Is(err, ErrNoSession) {
		t.Errorf("AccessToken: %v; want the error of the system", err)
	}
	if _, err := e.RefreshToken(d.Dirs, d.keys); err == nil || errors.Is(err, ErrNoSession) {
		t.Errorf("RefreshToken: %v; want the error of the system", err)
	}
}

func TestTokenModes(t *testing.T) {
	t.Parallel()
	d := newHome(t)
	for _, p := range []string{accessPath(d.Dirs, "x"), refreshPath(d.Dirs, "x")} { // by an earlier, careless hand
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	mustSave(t, alice(), d, addEnv(t, d, "far.example.com"), InFile)
	for _, p := range []string{accessPath(d.Dirs, "far"), refreshPath(d.Dirs, "far")} {
		for name, want := range map[string]fs.FileMode{p: 0o600, filepath.Dir(p): fs.ModeDir | 0o700} {
			if info, err := os.Stat(name); err != nil || info.Mode() != want {
				t.Errorf("%s has the mode %v, %v; want %v", name, info.Mode(), err, want)
			}
		}
	}
}

// Whoever deletes an environment and adds one of the same name elsewhere must not
// send the tokens of the first to the second.
func TestTokensStayWithServer(t *testing.T) {
	t.Parallel()
	for _, in := range storages() {
		t.Run(string(in), func(t *testing.T) {
			t.Parallel()
			t.Run("deleted and added again", func(t *testing.T) {
				t.Parallel()
				d := newHome(t)
				mustSave(t, alice(), d, addEnv(t, d, "far.example.com"), in)
				if removed, err := Remove(d.Dirs, "far", d.keys); err != nil || removed.Account != "alice" {
					t.Fatalf("Remove = %+v, %v", removed, err)
				}
				wantNoTokens(t, d)
				e := addEnv(t, d, "evil.example.com")
				wantTokens(t, d, e, "", "")
				// Even if somebody believes that alice is logged in there.
				e.Account, e.Storage = "alice", in
				wantTokens(t, d, e, "", "")
			})
			t.Run("address changed by hand", func(t *testing.T) {
				t.Parallel()
				d := newHome(t)
				mustSave(t, alice(), d, addEnv(t, d, "far.example.com"), in)
				writeEnvs(t, d.Dirs, strings.ReplaceAll(readEnvs(t, d.Dirs), "far.example.com", "evil.example.com"))
				wantTokens(t, d, mustGet(t, d, "far"), "", "")
			})
			t.Run("renewed while it was replaced", func(t *testing.T) {
				t.Parallel()
				d := newHome(t)
				before := mustSave(t, alice(), d, addEnv(t, d, "far.example.com"), in)
				if _, err := Remove(d.Dirs, "far", d.keys); err != nil {
					t.Fatal(err)
				}
				if err := alice().Save(d.Dirs, before, in, d.keys); !errors.Is(err, ErrUnknown) {
					t.Errorf("Save to a deleted environment: %v, want ErrUnknown", err)
				}
				now := addEnv(t, d, "evil.example.com")
				if err := alice().Save(d.Dirs, before, in, d.keys); !errors.Is(err, ErrMoved) {
					t.Errorf("Save to an environment that leads elsewhere: %v, want ErrMoved", err)
				}
				if got := mustGet(t, d, "far"); got != now {
					t.Errorf("environment %+v, want %+v", got, now)
				}
				wantNoTokens(t, d)
				now.Account, now.Storage = "alice", in
				wantTokens(t, d, now, "", "")
			})
			t.Run("of another account", func(t *testing.T) {
				t.Parallel()
				d := newHome(t)
				e := mustSave(t, alice(), d, addEnv(t, d, "far.example.com"), in)
				e.Account = "bob"
				wantTokens(t, d, e, "", "")
			})
		})
	}
}

// The own server takes the port that is free: its address changes and it stays the
// same server. Its access token is renewed, since another may listen there now.
func TestLocalMoves(t *testing.T) {
	t.Parallel()
	for _, in := range storages() {
		t.Run(string(in), func(t *testing.T) {
			t.Parallel()
			d := newHome(t)
			e := mustSave(t, alice(), d, mustGet(t, d, Local), in)
			e.Address = "127.0.0.1:40001"
			wantTokens(t, d, e, "", "refresh")
			if err := alice().Save(d.Dirs, e, in, d.keys); err != nil {
				t.Errorf("Save: %v", err)
			}
			wantTokens(t, d, e, "access", "refresh")
		})
	}
}

// Two homes of one user share the keyring and nothing in it.
func TestHomesAreApart(t *testing.T) {
	t.Parallel()
	keys := newKeyring()
	one, two := home{newDirs(t), keys}, home{newDirs(t), keys}
	first := mustSave(t, alice(), one, mustGet(t, one, Local), InKeyring)
	other := alice()
	other.Access, other.Refresh = "other access", "other refresh"
	second := mustSave(t, other, two, mustGet(t, two, Local), InKeyring)
	wantTokens(t, one, first, "access", "refresh")
	if err := Forget(one.Dirs, Local, keys); err != nil {
		t.Fatal(err)
	}
	wantTokens(t, two, second, "other access", "other refresh")
}

func TestSaveElsewhere(t *testing.T) {
	t.Parallel()
	d := newHome(t)
	e := mustSave(t, alice(), d, addEnv(t, d, "far.example.com"), InFile)
	e = mustSave(t, alice(), d, e, InKeyring)
	if _, err := os.Stat(refreshPath(d.Dirs, "far")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the token that moved to the keyring is still in the file (%v)", err)
	}
	wantTokens(t, d, e, "access", "refresh")
	e = mustSave(t, alice(), d, e, InFile)
	if s, err := d.keys.Get(keyringEntry(d.Dirs, "far")); !errors.Is(err, ErrNoSession) {
		t.Errorf("the token that moved to the file is still in the keyring: %q, %v", s, err)
	}
	wantTokens(t, d, e, "access", "refresh")
}

func TestSaveFails(t *testing.T) {
	t.Parallel()
	d := newHome(t)
	e := addEnv(t, d, "far.example.com")
	if err := alice().Save(d.Dirs, e, InKeyring, withoutKeyring(t)); !errors.Is(err, ErrNoKeyring) {
		t.Errorf("Save: %v, want ErrNoKeyring", err)
	}
	if err := alice().Save(d.Dirs, e, "cloud", d.keys); !errors.Is(err, ErrInvalid) {
		t.Errorf("Save: %v, want ErrInvalid", err)
	}
	if got := mustGet(t, d, "far"); got != e {
		t.Errorf("environment %+v, want %+v", got, e)
	}
	wantNoTokens(t, d)
}

// A keyring that has gone does not keep the rest of a session alive.
func TestForgetWithoutKeyring(t *testing.T) {
	t.Parallel()
	d := newHome(t)
	mustSave(t, alice(), d, addEnv(t, d, "far.example.com"), InKeyring)
	if err := Forget(d.Dirs, "far", withoutKeyring(t)); !errors.Is(err, ErrNoKeyring) {
		t.Errorf("Forget: %v, want ErrNoKeyring", err)
	}
	wantTokens(t, d, mustGet(t, d, "far"), "", "")
	wantNoTokens(t, d)
}

func TestForgetAndRemoveNothing(t *testing.T) {
	t.Parallel()
	d := newHome(t)
	if err := Forget(d.Dirs, "far", d.keys); !errors.Is(err, ErrUnknown) {
		t.Errorf("Forget: %v, want ErrUnknown", err)
	}
	if err := Forget(d.Dirs, "dev", d.keys); err != nil {
		t.Errorf("Forget of no session: %v", err)
	}
	if _, err := Remove(d.Dirs, "far", d.keys); !errors.Is(err, ErrUnknown) {
		t.Errorf("Remove: %v, want ErrUnknown", err)
	}
	mustSave(t, alice(), d, mustGet(t, d, "dev"), InFile)
	if _, err := Remove(d.Dirs, "dev", d.keys); !errors.Is(err, ErrBuiltin) {
		t.Errorf("Remove: %v, want ErrBuiltin", err)
	}
	wantTokens(t, d, mustGet(t, d, "dev"), "access", "refresh")
}

func TestLockSession(t *testing.T) {
	t.Parallel()
	d := newHome(t)
	unlock, err := LockSession(t.Context(), d.Dirs, "far")
	if err != nil {
		t.Fatal(err)
	}
	other, err := LockSession(t.Context(), d.Dirs, "near") // another session
	if err != nil {
		t.Fatal(err)
	}
	other()
	again := make(chan error)
	go func() {
		unlock, err := LockSession(t.Context(), d.Dirs, "far")
		if err == nil {
			unlock()
		}
		again <- err
	}()
	unlock()
	if err := <-again; err != nil {
		t.Error(err)
	}
}
