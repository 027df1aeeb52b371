package auth_test

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
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

	if _, err := a.CreateAccount(ctx, auth.Account{Namespace: "micro", ID: "root", Scopes: []string{auth.ScopeAdmin}}, password); err != nil {
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
	_, err := a.CreateAccount(ctx, auth.Account{Namespace: "acme", ID: "alice"}, password)
	wantErr(t, "an id that is taken", err, auth.ErrExists)
	// Or who signs up as "later" would find somebody in his house.
	_, err = a.CreateAccount(ctx, auth.Account{Namespace: "later", ID: "mallory", Scopes: []string{auth.ScopeAdmin}}, password)
	wantErr(t, "a namespace that nobody has made", err, auth.ErrNotFound)
	for _, scope := range []string{"", "*", "a b", "a:b", "a,b", strings.Repeat("a", 129)} {
		_, err := a.CreateAccount(ctx, auth.Account{Namespace: "acme", ID: "bob", Scopes: []string{"good", scope}}, password)
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
	_, err = a.CreateAccount(ctx, auth.Account{Namespace: ns, ID: id, Scopes: append(scopes, "onemore")}, password)
	wantErr(t, "too many scopes", err, auth.ErrInvalid)
	if _, err := a.CreateAccount(ctx, auth.Account{Namespace: ns, ID: id, Scopes: scopes}, password); err != nil {
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

func TestMetadata(t *testing.T) {
	t.Parallel()
	a := openAuth(t, auth.Config{Store: openStore(t)})
	signup(t, a)
	created, err := a.CreateAccount(t.Context(), auth.Account{Namespace: "acme", ID: "bob", Metadata: map[string]string{"team": "payments", "desk": "1"}}, password)
	wantErr(t, "CreateAccount", err, nil)
	if got := created.Metadata["team"]; got != "payments" {
		t.Errorf("the team is %q", got)
	}
	bob := login(t, a, "bob")
	set := func(m map[string]string) (auth.Account, error) {
		return a.UpdateAccount(t.Context(), "acme", "bob", auth.AccountUpdate{Metadata: m}, anybodyMay)
	}
	got, err := set(map[string]string{"team": "", "phone": "17"})
	wantErr(t, "UpdateAccount", err, nil)
	if diff := cmp.Diff(map[string]string{"desk": "1", "phone": "17"}, got.Metadata); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
	verify(t, a, bob) // what is noted about him does not log him out
	many := map[string]string{}
	for i := range 33 {
		many[strconv.Itoa(i)] = "x"
	}
	for name, m := range map[string]map[string]string{
		"no name": {"": "x"}, "a hostile name": {"a b": "x"}, "a long name": {strings.Repeat("a", 65): "x"},
		"a long value": {"a": strings.Repeat("x", 257)}, "two lines": {"a": "x\ny"}, "no text": {"a": "\xff"}, "too many": many,
	} {
		_, err := set(m)
		wantErr(t, name, err, auth.ErrInvalid)
		_, err = a.CreateAccount(t.Context(), auth.Account{Namespace: "acme", ID: "carol", Metadata: m}, password)
		wantErr(t, name+", in a new account", err, auth.ErrInvalid)
	}
	if acc, err := a.Account(t.Context(), "acme", "bob"); err != nil || !cmp.Equal(acc.Metadata, got.Metadata) {
		t.Errorf("after what was refused: %+v, %v", acc, err)
	}
}

// TestServiceAccount has an account for a program that runs elsewhere.
func TestServiceAccount(t *testing.T) {
	t.Parallel()
	a := openAuth(t, auth.Config{Store: openStore(t)})
	alice := verify(t, a, signup(t, a))
	bob := verify(t, a, account(t, a, "bob", "metrics"))
	_, err := a.CreateAccount(t.Context(), auth.Account{Namespace: "acme", ID: "exporter", Type: auth.Service, Scopes: []string{"metrics"}}, "")
	wantErr(t, "CreateAccount", err, nil)
	_, err = a.CreateAccount(t.Context(), auth.Account{Namespace: "acme", ID: "other", Type: "robot"}, password)
	wantErr(t, "another type", err, auth.ErrInvalid)
	_, err = a.CreateAccount(t.Context(), auth.Account{Namespace: "acme", ID: "other"}, "")
	wantErr(t, "a user without a password", err, auth.ErrInvalid)
	for _, p := range []string{"", " ", password} {
		_, err = a.Login(t.Context(), "acme", "exporter", p, auth.Client{})
		wantErr(t, "a login where there is no password", err, auth.ErrCredentials)
	}

	token := func(who auth.Identity, tok auth.APIToken) (string, error) {
		_, secret, err := a.CreateAPIToken(t.Context(), who, tok)
		return secret, err
	}
	secret, err := token(alice, auth.APIToken{Name: "main", Account: "exporter", Scopes: []string{"metrics"}})
	wantErr(t, "CreateAPIToken", err, nil)
	id, err := a.Verify(t.Context(), secret)
	want := auth.Identity{ID: "exporter", Namespace: "acme", Type: auth.Service, Scopes: []string{"metrics"}, Session: id.Session, Token: "main"}
	if diff := cmp.Diff(want, id); err != nil || diff != "" {
		t.Errorf("who has the token: %v (-want +got):\n%s", err, diff)
	}
	_, err = token(alice, auth.APIToken{Name: "more", Account: "exporter", Scopes: []string{"admin"}})
	wantErr(t, "a scope that it has not", err, auth.ErrDenied)
	_, err = token(alice, auth.APIToken{Name: "more", Account: "bob"})
	wantErr(t, "a token that acts as a person", err, auth.ErrDenied)
	_, err = token(bob, auth.APIToken{Name: "more", Account: "nobody"})
	wantErr(t, "an account that is not there", err, auth.ErrNotFound)
	_, err = token(id, auth.APIToken{Name: "more"})
	wantErr(t, "by itself", err, auth.ErrDenied)
	wantErr(t, "DeleteAccount", a.DeleteAccount(t.Context(), "acme", "exporter"), nil)
	_, err = a.Verify(t.Context(), secret)
	if !errors.Is(err, auth.ErrRevoked) && !errors.Is(err, auth.ErrCredentials) {
		t.Errorf("when the account is gone: %v", err)
	}

	// It is nobody who could manage the namespace.
	_, err = a.CreateAccount(t.Context(), auth.Account{Namespace: "acme", ID: "robot", Type: auth.Service, Scopes: []string{auth.ScopeAdmin}}, password)
	wantErr(t, "CreateAccount", err, nil)
	wantErr(t, "delete the last person who can", a.DeleteAccount(t.Context(), "acme", "alice"), auth.ErrLastAdmin)
	if got := verify(t, a, login(t, a, "robot")).Type; got != auth.Service {
		t.Errorf("one with a password logs in as a %s", got)
	}
}

func TestAccounts(t *testing.T) {
	t.Parallel()
	a := openAuth(t, auth.Config{Store: openStore(t)})
	signup(t, a)
	var want []string
	for _, id := range []string{"a", "a@b.c", "aa", "alice", "z+1"} {
		if id != "alice" {
			if _, err := a.CreateAccount(t.Context(), auth.Account{Namespace: "acme", ID: id}, password); err != nil {
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
		if _, err := a.CreateAccount(t.Context(), auth.Account{Namespace: "acme", ID: "bob", Scopes: []string{auth.ScopeAdmin}}, password); err != nil && !errors.Is(err, auth.ErrExists) {
			t.Fatal(err)
		}
		if _, err := a.CreateAccount(t.Context(), auth.Account{Namespace: "acme", ID: "alice", Scopes: []string{auth.ScopeAdmin}}, password); err != nil && !errors.Is(err, auth.ErrExists) {
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
