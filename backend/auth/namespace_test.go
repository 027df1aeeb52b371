package auth_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/micro/micro/v3/backend/auth"
	"github.com/micro/micro/v3/backend/store"
)

func TestDeleteNamespace(t *testing.T) {
	t.Parallel()
	st := openStore(t)
	a := openAuth(t, auth.Config{Store: st})
	_, err := a.Initialize(t.Context(), "")
	wantErr(t, "initialize", err, nil)
	s := signup(t, a)
	secret := makeToken(t, a, s, auth.APIToken{Name: "ci"})
	alice := verify(t, a, s)
	// A neighbour whose name begins with the same letters.
	_, err = a.CreateNamespace(t.Context(), "acme-2", "alice", password)
	wantErr(t, "create", err, nil)
	write(t, st, store.Put("acme/config/x", nil), store.Put("acme-2/config/x", nil))

	wantErr(t, "the default one", a.CloseNamespace(t.Context(), auth.DefaultNamespace), auth.ErrDefaultNamespace)
	wantErr(t, "none", a.CloseNamespace(t.Context(), "nowhere"), auth.ErrNotFound)
	wantErr(t, "a hostile name", a.CloseNamespace(t.Context(), "$system"), auth.ErrNotFound)
	for range 2 {
		wantErr(t, "close", a.CloseNamespace(t.Context(), "acme"), nil)
	}
	_, err = a.Verify(t.Context(), s.Access)
	wantErr(t, "a session", err, auth.ErrRevoked)
	_, err = a.Verify(t.Context(), secret)
	wantErr(t, "an API token", err, auth.ErrCredentials)
	_, err = a.Login(t.Context(), "acme", "alice", password, auth.Client{})
	wantErr(t, "a login", err, auth.ErrCredentials)
	wantErr(t, "a call", a.Authorize(t.Context(), alice, "acme", auth.Resource{Type: "service", Name: "x"}), auth.ErrNotFound)
	_, err = a.Signup(t.Context(), "acme", "bob", password)
	wantErr(t, "the name before it is free", err, auth.ErrExists)
	deleting, err := a.Deleting(t.Context())
	if diff := cmp.Diff([]string{"acme"}, deleting); err != nil || diff != "" {
		t.Errorf("what is being deleted: %v\n%s", err, diff)
	}

	wantErr(t, "purge", a.PurgeNamespace(t.Context(), "acme"), nil)
	for r, err := range st.Range(t.Context(), store.Prefix("acme/")) {
		t.Errorf("%s is left: %v", r.Key, err)
	}
	if _, err := st.Get(t.Context(), "acme-2/config/x"); err != nil {
		t.Errorf("a record of the neighbour: %v", err)
	}
	names, err := a.Namespaces(t.Context())
	if diff := cmp.Diff([]string{"acme-2", "micro"}, names); err != nil || diff != "" {
		t.Errorf("namespaces: %v\n%s", err, diff)
	}
	verify(t, a, signup(t, a))
	_, err = a.Verify(t.Context(), s.Access)
	wantErr(t, "a session of before, in the next namespace of the name", err, auth.ErrRevoked)
}

func TestNamespacesPageByPage(t *testing.T) {
	t.Parallel()
	a := openAuth(t, auth.Config{Store: openStore(t)})
	want := []string{"a", "b", "c"}
	for _, ns := range want {
		_, err := a.CreateNamespace(t.Context(), ns, "alice", password)
		wantErr(t, ns, err, nil)
	}
	var got []string
	for after, more := "", true; more; {
		var page []auth.Namespace
		var err error
		if page, more, err = a.NamespacesAfter(t.Context(), after, 2); err != nil {
			t.Fatal(err)
		}
		for _, ns := range page {
			after = ns.Name
			got = append(got, ns.Name)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("namespaces (-want +got):\n%s", diff)
	}
}
