package auth_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/micro/micro/v3/backend/auth"
	"github.com/micro/micro/v3/backend/auth/authtest"
	"github.com/micro/micro/v3/backend/store"
)

type fields = authtest.Fields

// newForge returns a forge with the server's own key.
func newForge(t *testing.T, a *auth.Auth, s auth.Session) *authtest.Forge {
	t.Helper()
	_, key, err := a.SigningKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return authtest.NewForge(t, key, s.Access)
}

// TestBadTokens has tokens that prove nothing, most of them signed by the server's own
// key so that nothing but the one thing is wrong with them.
func TestBadTokens(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	a := openAuth(t, auth.Config{Store: s})
	alice := signup(t, a)
	f := newForge(t, a, alice)

	// The control: what the forge makes is as good as what it copies.
	if _, err := a.Verify(t.Context(), f.Token(nil, fields{"jti": "another"})); err != nil {
		t.Fatalf("the forge is no good: %v", err)
	}
	tokens := f.Bad()
	if len(tokens) < 90 {
		t.Errorf("only %d bad tokens", len(tokens))
	}
	other := openAuth(t, auth.Config{Store: openStore(t), MasterKey: masterKey(2)})
	tokens["another server's"] = signup(t, other).Access
	tokens["a refresh token"] = alice.Refresh
	tokens["just too long"] = f.Token(nil, fields{"jti": strings.Repeat("x", auth.MaxToken)})
	before := a.Cached()
	for name, token := range tokens {
		for range 2 { // the second time from the cache, if it were there
			id, err := a.Verify(t.Context(), token)
			if err == nil {
				t.Errorf("%s: accepted as %+v", name, id)
			} else if !errors.Is(err, auth.ErrCredentials) && !errors.Is(err, auth.ErrExpired) && !errors.Is(err, auth.ErrRevoked) {
				t.Errorf("%s: got the error %v", name, err)
			}
		}
	}
	// What is well signed may be kept: just expired, and of another namespace.
	if kept := a.Cached() - before; kept > 2 {
		t.Errorf("%d bad tokens are kept as verified", kept)
	}
	if id, err := a.Verify(t.Context(), ""); err != nil || id.ID != "" || id.Namespace != "" {
		t.Errorf("nobody is %+v, %v", id, err)
	}

	// A key that is taken away.
	verify(t, a, alice)
	kid, _, err := a.SigningKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rec, err := s.Get(t.Context(), "$system/auth/key/"+kid)
	if err != nil {
		t.Fatal(err)
	}
	write(t, s, store.Delete(rec.Key))
	without := openAuth(t, auth.Config{Store: s})
	_, err = without.Verify(t.Context(), alice.Access)
	wantErr(t, "a key that is taken away", err, auth.ErrCredentials)
}

func TestTokenCacheIsBounded(t *testing.T) {
	t.Parallel()
	a := openAuth(t, auth.Config{Store: openStore(t)})
	const places = 10
	a.KeepTokens(places)
	alice := signup(t, a)
	f := newForge(t, a, alice)
	most := 0
	for i := range 5 * places {
		if _, err := a.Verify(t.Context(), f.Token(nil, fields{"jti": strconv.Itoa(i)})); err != nil {
			t.Fatal(err)
		}
		most = max(most, a.Cached())
	}
	if most != places {
		t.Errorf("%d tokens were kept, want %d", most, places)
	}
	verify(t, a, alice)
}

// TestKeysSurviveARestart opens the same store with the same and another master key.
func TestKeysSurviveARestart(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	a := openAuth(t, auth.Config{Store: s})
	alice := signup(t, a)
	again := openAuth(t, auth.Config{Store: s})
	verify(t, again, alice)
	refresh(t, again, alice)
	if _, err := auth.Open(t.Context(), auth.Config{Store: s, MasterKey: masterKey(2)}); err == nil {
		t.Error("another master key opens what was sealed with the first")
	}
	for rec, err := range s.Range(t.Context(), store.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{password, alice.Access, alice.Refresh, strings.Split(alice.Refresh, ".")[3], string(masterKey(1))} {
			if strings.Contains(string(rec.Value), secret) {
				t.Errorf("%s holds a secret in clear", rec.Key)
			}
		}
	}
}

// TestMovedKey has the record of a signing key in another place, as somebody could
// put it there who can write to the store.
func TestMovedKey(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	a := openAuth(t, auth.Config{Store: s})
	kid, _, err := a.SigningKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rec, err := s.Get(t.Context(), "$system/auth/key/"+kid)
	if err != nil {
		t.Fatal(err)
	}
	write(t, s, store.Put("$system/auth/key/moved", rec.Value))
	if _, err := auth.Open(t.Context(), auth.Config{Store: s, MasterKey: masterKey(1)}); err == nil {
		t.Error("a key opens in another's place")
	}
}

func FuzzVerify(f *testing.F) {
	a := openAuth(f, auth.Config{Store: openStore(f)})
	alice := signup(f, a)
	f.Add(alice.Access)
	f.Add(alice.Refresh)
	f.Add("")
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, token string) {
		id, err := a.Verify(t.Context(), token)
		if err == nil && token != "" && token != alice.Access {
			t.Errorf("%q is accepted as %+v", token, id)
		}
		if s, err := a.Refresh(t.Context(), token); err == nil && !strings.HasPrefix(token, alice.Refresh[:40]) {
			t.Errorf("%q is exchanged for %+v", token, s)
		}
	})
}

func BenchmarkVerifyAndAuthorize(b *testing.B) {
	a := openAuth(b, auth.Config{Store: openStore(b)})
	alice := signup(b, a)
	r := auth.Resource{Type: "service", Name: "shop", Endpoint: "Shop.Buy"}
	for b.Loop() {
		id, err := a.Verify(b.Context(), alice.Access)
		if err != nil {
			b.Fatal(err)
		}
		if err := a.Authorize(b.Context(), id, "acme", r); err != nil {
			b.Fatal(err)
		}
	}
}
