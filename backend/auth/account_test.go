package auth_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/micro/micro/v3/backend/auth"
)

func TestInitialAdministrator(t *testing.T) {
	t.Parallel()
	a := openAuth(t, auth.Config{Store: openStore(t)})
	ctx := t.Context()
	initialize := func(password string, want bool) {
		t.Helper()
		if got, err := a.Initialize(ctx, password); got != want || err != nil {
			t.Errorf("Initialize(%q) = %t, %v, want %t", password, got, err, want)
		}
	}
	// Namespace "" is the default one.
	enter := func(what, password string, local bool, want error) auth.Session {
		t.Helper()
		s, err := a.Login(ctx, "", auth.InitialAccount, password, auth.Client{Local: local})
		wantErr(t, what, err, want)
		return s
	}
	initialize("", true)
	initialize("", false)
	s := enter("from this machine", auth.InitialPassword, true, nil)
	enter("from another", auth.InitialPassword, false, auth.ErrCredentials)
	if got := verify(t, a, s).Scopes; !cmp.Equal(got, []string{auth.ScopeAdmin}) {
		t.Errorf("its scopes are %v", got)
	}
	_, err := a.ChangePassword(ctx, auth.DefaultNamespace, auth.InitialAccount, auth.InitialPassword, "another one", auth.Client{})
	wantErr(t, "changing the password from another", err, auth.ErrCredentials)

	initialize("a generated one", true)
	enter("the well-known password", auth.InitialPassword, true, auth.ErrCredentials)
	enter("the new one from another machine", "a generated one", false, nil)
	verifyNot(t, a, s)
	initialize("yet another", false)
	initialize("", false)
	enter("the new one", "a generated one", false, nil)
}

func TestInitialAdministratorWithAPassword(t *testing.T) {
	t.Parallel()
	a := openAuth(t, auth.Config{Store: openStore(t)})
	if set, err := a.Initialize(t.Context(), "a generated one"); !set || err != nil {
		t.Fatalf("got %t, %v", set, err)
	}
	_, err := a.Login(t.Context(), "micro", auth.InitialAccount, auth.InitialPassword, auth.Client{Local: true})
	wantErr(t, "the well-known password", err, auth.ErrCredentials)
	_, err = a.Login(t.Context(), "micro", auth.InitialAccount, "a generated one", auth.Client{})
	wantErr(t, "the given one", err, nil)
}

// TestInitialAdministratorStaysAway has the account changed and deleted.
func TestInitialAdministratorStaysAway(t *testing.T) {
	t.Parallel()
	a := openAuth(t, auth.Config{Store: openStore(t)})
	ctx := t.Context()
	if _, err := a.Initialize(ctx, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := a.ChangePassword(ctx, "micro", auth.InitialAccount, auth.InitialPassword, "my own one", auth.Client{Local: true}); err != nil {
		t.Fatal(err)
	}
	if set, err := a.Initialize(ctx, "a generated one"); set || err != nil {
		t.Errorf("with a password that was changed: %t, %v", set, err)
	}
	_, err := a.Login(ctx, "micro", auth.InitialAccount, "my own one", auth.Client{})
	wantErr(t, "a password of one's own from another machine", err, nil)

	if _, err := a.CreateAccount(ctx, "micro", "root", password, []string{auth.ScopeAdmin}); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "DeleteAccount", a.DeleteAccount(ctx, "micro", auth.InitialAccount), nil)
	for _, p := range []string{"", "a generated one"} {
		if set, err := a.Initialize(ctx, p); set || err != nil {
			t.Errorf("with an account that was deleted: %t, %v", set, err)
		}
	}
}

func TestSignup(t *testing.T) {
	t.Parallel()
	a := openAuth(t, auth.Config{Store: openStore(t)})
	ctx := t.Context()
	s := signup(t, a)
	if diff := cmp.Diff(auth.Account{ID: "alice", Namespace: "acme", Type: auth.User, Scopes: []string{auth.ScopeAdmin}}, s.Account,
		cmpopts.IgnoreFields(auth.Account{}, "Created")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	_, err := a.Signup(ctx, "acme", "mallory", password)
	wantErr(t, "a namespace that is taken", err, auth.ErrExists)
	for _, test := range []struct{ ns, id, password string }{
		{"", "alice", password},
		{"Acme", "alice", password},
		{"$system", "alice", password},
		{"a/b", "alice", password},
		{"new", "", password},
		{"new", "a/b", password},
		{"new", "a b", password},
		{"new", strings.Repeat("a", 129), password},
		{"new", "alice", "1234567"},
		{"new", "alice", strings.Repeat("x", 1025)},
	} {
		_, err := a.Signup(ctx, test.ns, test.id, test.password)
		wantErr(t, fmt.Sprintf("%.20q %.20q", test.ns, test.id), err, auth.ErrInvalid)
	}
	if _, err := a.Signup(ctx, "other", "alice", strings.Repeat("x", 1024)); err != nil {
		t.Errorf("the longest password: %v", err)
	}
	got, err := a.Namespaces(ctx)
	if diff := cmp.Diff([]string{"acme", "other"}, got); diff != "" || err != nil {
		t.Errorf("namespaces (-want +got):\n%s%v", diff, err)
	}
	for ns, want := range map[string]bool{"acme": true, "other": true, "new": false, "": false, "$system": false, "acme/auth": false} {
		if got, err := a.Exists(ctx, ns); got != want || err != nil {
			t.Errorf("Exists(%q) = %t, %v, want %t", ns, got, err, want)
		}
	}
}

// TestSignupAtOnce has several want the same namespace: one gets it, and nothing of the
// others is in it.
func TestSignupAtOnce(t *testing.T) {
	t.Parallel()
	a := openAuth(t, auth.Config{Store: openStore(t)})
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		wg.Go(func() { _, errs[i] = a.Signup(t.Context(), "acme", fmt.Sprintf("user%d", i), password) })
	}
	wg.Wait()
	won := -1
	for i, err := range errs {
		switch {
		case err == nil && won < 0:
			won = i
		case !errors.Is(err, auth.ErrExists):
			t.Errorf("user%d: %v, want %v", i, err, auth.ErrExists)
		}
	}
	accounts, _, err := a.Accounts(t.Context(), "acme", "", 10)
	if err != nil || len(accounts) != 1 || accounts[0].ID != fmt.Sprintf("user%d", won) {
		t.Errorf("user%d won, and there are %+v, %v", won, accounts, err)
	}
}

func TestCreateAccount(t *testing.T) {
	t.Parallel()
	a := openAuth(t, auth.Config{Store: openStore(t)})
	signup(t, a)
	ctx := t.Context()
	_, err := a.CreateAccount(ctx, "acme", "alice", password, nil)
	wantErr(t, "an id that is taken", err, auth.ErrExists)
	// Or who signs up as "later" would find somebody in his house.
	_, err = a.CreateAccount(ctx, "later", "mallory", password, []string{auth.ScopeAdmin})
	wantErr(t, "a namespace that nobody has made", err, auth.ErrNotFound)
	for _, scope := range []string{"", "*", "a b", "a:b", "a,b", strings.Repeat("a", 129)} {
		_, err := a.CreateAccount(ctx, "acme", "bob", password, []string{"good", scope})
		wantErr(t, fmt.Sprintf("the scope %.20q", scope), err, auth.ErrInvalid)
	}

	// The largest account that there can be has a token that is taken.
	var scopes []string
	for i := range auth.MaxScopes {
		scopes = append(scopes, fmt.Sprintf("%03d%s", i, strings.Repeat("s", 125)))
	}
	big, err := a.Signup(ctx, strings.Repeat("n", 63), "root", password)
	if err != nil {
		t.Fatal(err)
	}
	ns := big.Account.Namespace
	id := strings.Repeat("i", 128)
	_, err = a.CreateAccount(ctx, ns, id, password, append(scopes, "onemore"))
	wantErr(t, "too many scopes", err, auth.ErrInvalid)
	if _, err := a.CreateAccount(ctx, ns, id, password, scopes); err != nil {
		t.Fatal(err)
	}
	s, err := a.Login(ctx, ns, id, password, auth.Client{})
	if err != nil {
		t.Fatal(err)
	}
	if got := verify(t, a, s); !cmp.Equal(got.Scopes, scopes) {
		t.Errorf("it has the scopes %v", got.Scopes)
	}
}

func TestAccounts(t *testing.T) {
	t.Parallel()
	a := openAuth(t, auth.Config{Store: openStore(t)})
	signup(t, a)
	var want []string
	for _, id := range []string{"a", "a@b.c", "aa", "alice", "z+1"} {
		if id != "alice" {
			if _, err := a.CreateAccount(t.Context(), "acme", id, password, nil); err != nil {
				t.Fatal(err)
			}
		}
		want = append(want, id)
	}
	if _, err := a.Signup(t.Context(), "acme2", "eve", password); err != nil {
		t.Fatal(err)
	}
	for limit := 1; limit <= len(want)+1; limit++ {
		var got []string
		after, more := "", true
		for more {
			var page []auth.Account
			var err error
			if page, more, err = a.Accounts(t.Context(), "acme", after, limit); err != nil {
				t.Fatal(err)
			}
			if len(page) > limit || more && len(page) < limit {
				t.Fatalf("a page of %d, %t, with the limit %d", len(page), more, limit)
			}
			for _, acc := range page {
				got = append(got, acc.ID)
			}
			after = got[len(got)-1]
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("in pages of %d (-want +got):\n%s", limit, diff)
		}
	}
	for _, after := range []string{"zz", "\xff\xff", strings.Repeat("z", 10_000)} {
		if got, more, err := a.Accounts(t.Context(), "acme", after, 10); len(got) > 0 || more || err != nil {
			t.Errorf("after %.10q: %v, %t, %v", after, got, more, err)
		}
	}
}

func TestLastAdministrator(t *testing.T) {
	t.Parallel()
	a := openAuth(t, auth.Config{Store: openStore(t)})
	signup(t, a)
	ctx := t.Context()
	wantErr(t, "the only one", a.DeleteAccount(ctx, "acme", "alice"), auth.ErrLastAdmin)
	account(t, a, "bob", "staff")
	wantErr(t, "the only one of two accounts", a.DeleteAccount(ctx, "acme", "alice"), auth.ErrLastAdmin)
	if _, err := a.Signup(ctx, "acme2", "root", password); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "with one elsewhere", a.DeleteAccount(ctx, "acme", "alice"), auth.ErrLastAdmin)
	account(t, a, "carol", "ADMIN") // rules do not mind the case
	wantErr(t, "one of two", a.DeleteAccount(ctx, "acme", "alice"), nil)
	wantErr(t, "the other", a.DeleteAccount(ctx, "acme", "carol"), auth.ErrLastAdmin)
	wantErr(t, "somebody else", a.DeleteAccount(ctx, "acme", "bob"), nil)
	for _, id := range []string{"", "nobody", "../account/carol", "carol/"} {
		wantErr(t, id, a.DeleteAccount(ctx, "acme", id), auth.ErrNotFound)
	}
}

// TestAdministratorsDeleteEachOther leaves one of them, whoever is first.
func TestAdministratorsDeleteEachOther(t *testing.T) {
	t.Parallel()
	a := openAuth(t, auth.Config{Store: openStore(t)})
	signup(t, a)
	for range 10 {
		if _, err := a.CreateAccount(t.Context(), "acme", "bob", password, []string{auth.ScopeAdmin}); err != nil && !errors.Is(err, auth.ErrExists) {
			t.Fatal(err)
		}
		if _, err := a.CreateAccount(t.Context(), "acme", "alice", password, []string{auth.ScopeAdmin}); err != nil && !errors.Is(err, auth.ErrExists) {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		errs := make([]error, 2)
		for i, id := range []string{"alice", "bob"} {
			wg.Go(func() { errs[i] = a.DeleteAccount(t.Context(), "acme", id) })
		}
		wg.Wait()
		if (errs[0] == nil) == (errs[1] == nil) || !errors.Is(errors.Join(errs...), auth.ErrLastAdmin) {
			t.Fatalf("got %v", errs)
		}
	}
}

func FuzzIsName(f *testing.F) {
	for _, s := range []string{"", "a", "-", "a-", "-a", "a-b", "A", "a.b", "a/b", "$system", "ä", "a\x00", strings.Repeat("a", 63), strings.Repeat("a", 64)} {
		f.Add(s)
	}
	label := regexp.MustCompile(`\A[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\z`)
	id := regexp.MustCompile(`\A[A-Za-z0-9_.@+-]{1,128}\z`)
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := auth.IsName(s), label.MatchString(s); got != want {
			t.Errorf("IsName(%q) = %t, want %t", s, got, want)
		}
		if got, want := auth.IsID(s), id.MatchString(s); got != want {
			t.Errorf("isID(%q) = %t, want %t", s, got, want)
		}
	})
}
