package auth_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/micro/micro/v3/backend/auth"
	"github.com/micro/micro/v3/backend/store"
)

// invite makes an invitation and returns its code.
func invite(t *testing.T, a *auth.Auth, uses int, expires time.Time) (auth.Invitation, string) {
	t.Helper()
	i, code, err := a.CreateInvitation(t.Context(), "micro/admin", expires, uses)
	if err != nil {
		t.Fatal(err)
	}
	return i, code
}

func signupBy(t *testing.T, a *auth.Auth, ns string, o ...auth.SignupOption) error {
	t.Helper()
	_, err := a.Signup(t.Context(), ns, "alice", password, o...)
	return err
}

func TestInvitations(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := openStore(t)
	a := openAuth(t, auth.Config{Store: s, Now: c.Now})
	made, code := invite(t, a, 2, c.Now().Add(time.Hour))
	_, other := invite(t, a, 1, time.Time{})
	wantErr(t, "the first", signupBy(t, a, "one", auth.WithInvitation(code)), nil)
	wantErr(t, "a name that is taken", signupBy(t, a, "one", auth.WithInvitation(code)), auth.ErrExists)
	list, more, err := a.Invitations(t.Context(), "", 10)
	if err != nil || more || len(list) != 2 {
		t.Fatalf("invitations: %+v, %v, %v", list, more, err)
	}
	for _, i := range list {
		if i.ID == made.ID {
			made.Used = 1
			if diff := cmp.Diff(made, i); diff != "" {
				t.Errorf("the invitation that was used (-want +got):\n%s", diff)
			}
		}
	}
	wantErr(t, "the second", signupBy(t, a, "two", auth.WithInvitation(code)), nil)
	wantErr(t, "one more", signupBy(t, a, "three", auth.WithInvitation(code)), auth.ErrInvitation)
	// Who has no invitation does not learn which names are taken.
	for _, bad := range []string{
		"", "x", code, "micro_invitation_", "micro_invitation_x.y", other + "x", strings.ToLower(other), other[:len(other)-1],
		strings.Replace(other, ".", "/", 1), "micro_invitation_../key/x." + other, "micro_invitation_" + strings.Repeat("a", 1<<20),
	} {
		err := signupBy(t, a, "one", auth.WithInvitation(bad))
		if wantErr(t, fmt.Sprintf("%.60q", bad), err, auth.ErrInvitation); err != nil && err.Error() != auth.ErrInvitation.Error() {
			t.Errorf("the error tells what is wrong: %v", err)
		}
	}

	late, lateCode := invite(t, a, 1, c.Now().Add(time.Hour))
	c.advance(time.Hour)
	wantErr(t, "one that has expired", signupBy(t, a, "three", auth.WithInvitation(lateCode)), auth.ErrInvitation)
	wantErr(t, "DeleteInvitation", a.DeleteInvitation(t.Context(), late.ID), nil)
	for _, id := range []string{late.ID, "", "../x", "nothing"} {
		wantErr(t, "DeleteInvitation "+id, a.DeleteInvitation(t.Context(), id), auth.ErrNotFound)
	}
	gone, goneCode := invite(t, a, 1, time.Time{})
	wantErr(t, "DeleteInvitation", a.DeleteInvitation(t.Context(), gone.ID), nil)
	wantErr(t, "one that was taken back", signupBy(t, a, "three", auth.WithInvitation(goneCode)), auth.ErrInvitation)

	for _, bad := range []struct {
		uses    int
		expires time.Time
	}{{0, time.Time{}}, {-1, time.Time{}}, {10_001, time.Time{}}, {1, c.Now()}} {
		_, _, err := a.CreateInvitation(t.Context(), "micro/admin", bad.expires, bad.uses)
		wantErr(t, fmt.Sprint(bad), err, auth.ErrInvalid)
	}
	for r, err := range s.Range(t.Context(), store.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		if _, secret, _ := strings.Cut(other, "."); strings.Contains(string(r.Value), secret) {
			t.Errorf("%s holds the code in clear", r.Key)
		}
	}
}

// TestInvitationAtOnce has more come in by an invitation than it is for.
func TestInvitationAtOnce(t *testing.T) {
	t.Parallel()
	a := openAuth(t, auth.Config{Store: openStore(t)})
	_, code := invite(t, a, 3, time.Time{})
	errs := make([]error, 8)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = signupBy(t, a, fmt.Sprint("ns", i), auth.WithInvitation(code)) })
	}
	wg.Wait()
	in := 0
	for _, err := range errs {
		if err == nil {
			in++
			continue
		}
		wantErr(t, "who came too late", err, auth.ErrInvitation)
	}
	if in != 3 {
		t.Errorf("%d came in by an invitation for 3", in)
	}
}

// mailed asks for a code.
func mailed(t *testing.T, a *auth.Auth, email string) string {
	t.Helper()
	_, code, err := a.NewCode(t.Context(), email, auth.Client{})
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// not returns a code of six digits that is another one.
func not(code string) string {
	if code == "000000" {
		return "000001"
	}
	return "000000"
}

func TestCodes(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := openStore(t)
	a := openAuth(t, auth.Config{Store: s, Now: c.Now})
	const bob = "Bob+1@Example.org"
	code := mailed(t, a, bob)
	if len(code) != 6 || strings.Trim(code, "0123456789") != "" {
		t.Fatalf("the code is %q", code)
	}
	wantErr(t, "a name that is taken", func() error {
		wantErr(t, "another", signupBy(t, a, "taken"), nil)
		return signupBy(t, a, "taken", auth.WithCode(bob, code))
	}(), auth.ErrExists)
	wantErr(t, "a wrong code", signupBy(t, a, "one", auth.WithCode(bob, not(code))), auth.ErrCode)
	wantErr(t, "the code of somebody else", signupBy(t, a, "one", auth.WithCode("eve@example.org", code)), auth.ErrCode)
	wantErr(t, "the right one, in other letters", signupBy(t, a, "one", auth.WithCode("bob+1@example.org", " "+code+"\n")), nil)
	wantErr(t, "the right one again", signupBy(t, a, "two", auth.WithCode(bob, code)), auth.ErrCode)
	if acc, err := a.Account(t.Context(), "one", "alice"); err != nil || acc.Metadata["email"] != "bob+1@example.org" {
		t.Errorf("the account: %+v, %v", acc, err)
	}

	first := mailed(t, a, "carol@example.org")
	second := mailed(t, a, "carol@example.org")
	if first != second {
		wantErr(t, "a code before the last one", signupBy(t, a, "two", auth.WithCode("carol@example.org", first)), auth.ErrCode)
	}
	for range 5 {
		wantErr(t, "a guess", signupBy(t, a, "two", auth.WithCode("carol@example.org", not(second))), auth.ErrCode)
	}
	wantErr(t, "the right one after five guesses", signupBy(t, a, "two", auth.WithCode("carol@example.org", second)), auth.ErrCode)

	late := mailed(t, a, "dave@example.org")
	for r, err := range s.Range(t.Context(), store.Prefix("$system/auth/code/")) {
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(r.Key+string(r.Value), late) || strings.Contains(r.Key+string(r.Value), "dave") {
			t.Errorf("%s tells the code or the mailbox: %s", r.Key, r.Value)
		}
	}
	c.advance(auth.CodeTTL)
	wantErr(t, "a code that is too old", signupBy(t, a, "two", auth.WithCode("dave@example.org", late)), auth.ErrCode)
}

// counting counts the transactions that put a key with a prefix.
type counting struct {
	store.Store
	prefix string
	writes atomic.Int64
}

func (c *counting) Txn(ctx context.Context, t store.Txn) (int64, error) {
	revision, err := c.Store.Txn(ctx, t)
	for _, op := range t.Do {
		if err == nil && op.Kind == store.KindPut && strings.HasPrefix(op.Key, c.prefix) {
			c.writes.Add(1)
		}
	}
	return revision, err
}

// TestGuessingACodeAtOnce has the guesses that are allowed looked at, however many come at
// the same time.
func TestGuessingACodeAtOnce(t *testing.T) {
	t.Parallel()
	s := &counting{Store: openStore(t), prefix: "$system/auth/code/"}
	a := openAuth(t, auth.Config{Store: s})
	code := mailed(t, a, "bob@example.org")
	s.writes.Store(0)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			wantErr(t, "a guess", signupBy(t, a, "one", auth.WithCode("bob@example.org", not(code))), auth.ErrCode)
		})
	}
	wg.Wait()
	if n := s.writes.Load(); n != 5 {
		t.Errorf("%d guesses were looked at, want 5", n)
	}
	wantErr(t, "the right one then", signupBy(t, a, "one", auth.WithCode("bob@example.org", code)), auth.ErrCode)
}

func TestMailboxes(t *testing.T) {
	t.Parallel()
	a := openAuth(t, auth.Config{Store: openStore(t)})
	for _, good := range []string{"a@b", "alice.o'hara+x@mail.example.com", strings.Repeat("a", 64) + "@" + strings.Repeat("b", 60) + ".example"} {
		mailed(t, a, good)
	}
	for _, bad := range []string{
		"", "alice", "@example.org", "alice@", "a@b@c", "Alice <alice@example.org>", "<alice@example.org>", "alice@example.org, bob@example.org",
		"alice@example.org\r\nBcc: bob@example.org", "alice @example.org", `"alice"@example.org`, "grüße@example.org", "alice@grüße.org",
		"alice@[127.0.0.1];x", strings.Repeat("a", 250) + "@b.org", "alice@example.org\x00", "(x)alice@example.org",
	} {
		_, _, err := a.NewCode(t.Context(), bad, auth.Client{})
		wantErr(t, fmt.Sprintf("%.40q", bad), err, auth.ErrInvalid)
	}
}

// TestCodesAreSlowed has codes asked for again and again.
func TestCodesAreSlowed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		ask  func(i int) (string, auth.Client)
		most int
	}{
		{"for a mailbox", func(i int) (string, auth.Client) { return "Bob@example.org", from(i) }, 3},
		{"for a mailbox in other letters", func(i int) (string, auth.Client) { return "bOB@EXAMPLE.org"[:i%3] + "Bob@example.org"[i%3:], from(i) }, 3},
		{"from an address", func(i int) (string, auth.Client) { return fmt.Sprintf("bob%d@example.org", i), from(1) }, 20},
		{"by everybody", func(i int) (string, auth.Client) { return fmt.Sprintf("bob%d@example.org", i), from(i) }, 300},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			a := openAuth(t, auth.Config{Store: openStore(t), Now: c.Now})
			got := tries(t, 400, func(i int) error {
				email, client := tt.ask(i)
				_, _, err := a.NewCode(t.Context(), email, client)
				return err
			})
			if got != tt.most {
				t.Errorf("%d codes were made, want %d", got, tt.most)
			}
		})
	}
}

func TestSignupsAreSlowed(t *testing.T) {
	t.Parallel()
	c := newClock()
	a := openAuth(t, auth.Config{Store: openStore(t), Now: c.Now})
	signup(t, a)
	got := tries(t, 100, func(int) error {
		if err := signupBy(t, a, "acme", auth.From(from(1))); !errors.Is(err, auth.ErrExists) {
			return err
		}
		return nil
	})
	if got != 60 {
		t.Errorf("%d wishes from one address were looked at, want 60", got)
	}
	wantErr(t, "from another address", signupBy(t, a, "other", auth.From(from(2))), nil)
	c.advance(10 * time.Second)
	wantErr(t, "later", signupBy(t, a, "third", auth.From(from(1))), nil)
}

// TestBefore is asked once, when all is checked, and nothing is made without its consent.
func TestBefore(t *testing.T) {
	t.Parallel()
	a := openAuth(t, auth.Config{Store: openStore(t)})
	signup(t, a)
	asked := 0
	refused := errors.New("refused")
	before := auth.Before(func(context.Context) error { asked++; return refused })
	wantErr(t, "a name that is taken", signupBy(t, a, "acme", before), auth.ErrExists)
	wantErr(t, "no invitation", signupBy(t, a, "other", before, auth.WithInvitation("x")), auth.ErrInvitation)
	if asked != 0 {
		t.Errorf("asked %d times for what is refused anyway", asked)
	}
	_, code := invite(t, a, 1, time.Time{})
	wantErr(t, "refused", signupBy(t, a, "other", before, auth.WithInvitation(code)), refused)
	wantErr(t, "allowed", signupBy(t, a, "other", auth.WithInvitation(code)), nil)
	if asked != 1 {
		t.Errorf("asked %d times, want 1", asked)
	}
}
