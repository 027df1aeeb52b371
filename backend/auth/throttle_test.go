package auth_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/micro/micro/v3/backend/auth"
)

func from(n int) auth.Client {
	return auth.Client{Address: fmt.Sprintf("10.%d.%d.%d:4711", n>>16&255, n>>8&255, n&255)}
}

// tries sends wrong passwords until one is refused, and returns how many were not.
func tries(t *testing.T, most int, try func(i int) error) int {
	t.Helper()
	for i := range most {
		if err := try(i); err != nil {
			wantErr(t, "refused", err, auth.ErrTooMany)
			return i
		}
	}
	return most
}

func TestGuessingIsSlowed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		guess func(th auth.Throttle, i int) error
		first int           // that are free
		every time.Duration // one more
	}{
		{"at an account from an address", func(th auth.Throttle, _ int) error { return th.Try("acme", "bob", from(1), false) }, 10, 6 * time.Second},
		{"from other ports", func(th auth.Throttle, i int) error {
			return th.Try("acme", "bob", auth.Client{Address: fmt.Sprintf("10.0.0.1:%d", i+1)}, false)
		}, 10, 6 * time.Second},
		{"from a network of IPv6", func(th auth.Throttle, i int) error {
			return th.Try("acme", "bob", auth.Client{Address: fmt.Sprintf("[2001:db8::%x]:1", i+1)}, false)
		}, 10, 6 * time.Second},
		{"at many accounts from an address", func(th auth.Throttle, i int) error {
			return th.Try("acme", fmt.Sprint("bob", i), from(1), false)
		}, 60, time.Second},
		{"at an account from many addresses", func(th auth.Throttle, i int) error { return th.Try("acme", "bob", from(i), false) }, 60, 3 * time.Second},
		{"at an account from nobody knows where", func(th auth.Throttle, _ int) error {
			return th.Try("acme", "bob", auth.Client{}, false)
		}, 60, 3 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			th := auth.NewThrottle(c.Now)
			// Two cells may be shared by chance, and then somebody waits for another one.
			if got := tries(t, 100, func(i int) error { return tt.guess(th, i) }); got != tt.first {
				t.Errorf("%d guesses are free, want %d", got, tt.first)
			}
			many, ok := errors.AsType[*auth.TooManyError](tt.guess(th, 1000))
			if !ok || many.Retry <= 0 || many.Retry > tt.every+time.Second {
				t.Errorf("the next one is refused with %v, want one to be tried within %v", many, tt.every+time.Second)
			}
			c.advance(10 * tt.every)
			if got := tries(t, 100, func(i int) error { return tt.guess(th, 2000+i) }); got != 10 {
				t.Errorf("%d guesses after the time of ten", got)
			}
		})
	}
}

func TestOwnerIsNotLockedOut(t *testing.T) {
	t.Parallel()
	c := newClock()
	th := auth.NewThrottle(c.Now)
	home, hotel := auth.Client{Address: "192.0.2.1"}, auth.Client{Address: "192.0.2.2"}
	wantErr(t, "before the attack", th.Try("acme", "bob", home, true), nil)
	for i := range 1000 {
		_ = th.Try("acme", "bob", from(i), false) // most are refused
	}
	for range 30 {
		wantErr(t, "where the owner has been", th.Try("acme", "bob", home, true), nil)
	}
	wantErr(t, "elsewhere", th.Try("acme", "bob", hotel, true), auth.ErrTooMany)
	c.advance(4 * time.Second)
	wantErr(t, "elsewhere, a little later", th.Try("acme", "bob", hotel, true), nil)
	// The known place is still bounded.
	if got := tries(t, 100, func(int) error { return th.Try("acme", "bob", home, false) }); got != 10 {
		t.Errorf("%d guesses from the owner's place", got)
	}
	wantErr(t, "another account", th.Try("acme", "carol", hotel, true), nil)
}

func TestLoginIsSlowed(t *testing.T) {
	t.Parallel()
	c := newClock()
	a := openAuth(t, auth.Config{Store: openStore(t), Now: c.Now})
	signup(t, a)
	for range 10 {
		_, err := a.Login(t.Context(), "acme", "alice", "wrong password", from(1))
		wantErr(t, "wrong", err, auth.ErrCredentials)
	}
	_, err := a.Login(t.Context(), "acme", "alice", password, from(1))
	wantErr(t, "the right one then", err, auth.ErrTooMany)
	_, err = a.ChangePassword(t.Context(), "acme", "alice", password, "another one", from(1))
	wantErr(t, "a change of the password then", err, auth.ErrTooMany)
	_, err = a.Login(t.Context(), "acme", "alice", password, from(2))
	wantErr(t, "from elsewhere", err, nil)
	c.advance(6 * time.Second)
	_, err = a.Login(t.Context(), "acme", "alice", password, from(1))
	wantErr(t, "later", err, nil)
}
