package auth_test

import (
	"testing"
	"time"

	"github.com/micro/micro/v3/backend/auth"
)

func TestRotateKeys(t *testing.T) {
	t.Parallel()
	st := openStore(t)
	a := openAuth(t, auth.Config{Store: st})
	other := openAuth(t, auth.Config{Store: st}) // another server over the same store
	s := signup(t, a)
	keys, err := a.Keys(t.Context())
	if err != nil || len(keys) != 1 || len(keys[0].Public) != 32 || !keys[0].Retires.IsZero() {
		t.Fatalf("the keys of a new server: %v, %v", keys, err)
	}
	fresh, err := a.RotateKeys(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	after, err := a.Keys(t.Context())
	if err != nil || len(after) != 2 || after[0].ID != fresh.ID || after[1].ID != keys[0].ID || after[1].Retires.Before(time.Now().Add(auth.AccessTTL)) {
		t.Errorf("the keys then: %v, %v", after, err)
	}
	if signs, _, err := a.SigningKey(t.Context()); err != nil || signs != fresh.ID {
		t.Errorf("%q signs, want %q: %v", signs, fresh.ID, err)
	}
	verify(t, a, s)
	next := refresh(t, a, s)
	verify(t, a, next)

	if _, err := a.RotateKeys(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{"of the first key": s.Access, "of the second": next.Access} {
		_, err := a.Verify(t.Context(), token)
		wantErr(t, name, err, auth.ErrCredentials)
	}
	last := refresh(t, a, next)
	verify(t, a, last)
	verify(t, other, refresh(t, other, last))
}

func TestRotateKeysIsBounded(t *testing.T) {
	t.Parallel()
	a := openAuth(t, auth.Config{Store: openStore(t)})
	for range auth.MaxKeys - 1 {
		if _, err := a.RotateKeys(t.Context(), false); err != nil {
			t.Fatal(err)
		}
	}
	_, err := a.RotateKeys(t.Context(), false)
	wantErr(t, "one more", err, auth.ErrTooManyKeys)
	if _, err := a.RotateKeys(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if keys, err := a.Keys(t.Context()); err != nil || len(keys) != 1 {
		t.Errorf("after all are retired: %d keys, %v", len(keys), err)
	}
}
