package config_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/micro/micro/v3/backend/config"
	engine "github.com/micro/micro/v3/backend/embedded"
	"github.com/micro/micro/v3/backend/store"
	"github.com/micro/micro/v3/backend/store/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ns is the namespace of most tests.
const ns = "acme"

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

func newConfig(tb testing.TB, s store.Store) *config.Config {
	tb.Helper()
	c, err := config.New(config.Options{Store: s, MasterKey: bytes.Repeat([]byte{7}, 32)})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := c.Close(); err != nil {
			tb.Error(err)
		}
	})
	return c
}

func mustSet(tb testing.TB, c *config.Config, path, value string, o config.SetOptions) int64 {
	tb.Helper()
	revision, err := c.Set(tb.Context(), ns, path, []byte(value), o)
	if err != nil {
		tb.Fatalf("Set(%q, %s): %v", path, value, err)
	}
	return revision
}

// get returns the JSON at a path; the text of the error when there is one.
func get(t *testing.T, c *config.Config, path string, show config.Show) string {
	t.Helper()
	v, err := c.Get(t.Context(), ns, path, show)
	if err != nil {
		return err.Error()
	}
	return string(v.JSON)
}

// step is a change of the configuration, and what is there afterwards.
type step struct {
	path, value string
	o           config.SetOptions
	err         error
	want        string // all of it; empty: as before
}

func TestSet(t *testing.T) {
	t.Parallel()
	merge, secret := config.SetOptions{Merge: true}, config.SetOptions{Secret: true}
	for _, tt := range []struct {
		name  string
		steps []step
	}{
		{"a value", []step{{path: "a", value: ` 1 `, want: `{"a":1}`}}},
		{"every kind", []step{{
			value: `{"s":"x","n":12345678901234567890.10,"b":true,"z":null,"l":[1, {"a":2}],"o":{},"d":{"e":{"f":1}}}`,
			want:  `{"b":true,"d":{"e":{"f":1}},"l":[1,{"a":2}],"n":12345678901234567890.10,"o":{},"s":"x","z":null}`,
		}}},
		{"below", []step{{path: "a.b.c", value: `1`, want: `{"a":{"b":{"c":1}}}`}, {path: "a.d", value: `2`, want: `{"a":{"b":{"c":1},"d":2}}`}}},
		{"an object in place of another", []step{{path: "a", value: `{"b":1,"c":2}`}, {path: "a", value: `{"c":3}`, want: `{"a":{"c":3}}`}}},
		{"merged", []step{{path: "a", value: `{"b":1,"c":2}`}, {path: "a", value: `{"c":3,"d":4}`, o: merge, want: `{"a":{"b":1,"c":3,"d":4}}`}}},
		{"an empty object merged", []step{{path: "a", value: `{"b":1}`}, {path: "a", value: `{}`, o: merge, want: `{"a":{"b":1}}`}}},
		{"a value merged over an object", []step{{path: "a", value: `{"b":1}`}, {value: `{"a":2}`, o: merge, want: `{"a":2}`}}},
		{"a value in place of an object", []step{{path: "a.b.c", value: `1`}, {path: "a", value: `2`, want: `{"a":2}`}}},
		{"an object in place of a value", []step{{path: "a", value: `1`}, {path: "a", value: `{"b":2}`, want: `{"a":{"b":2}}`}}},
		{"below a value", []step{{path: "a", value: `1`}, {path: "a.b", value: `2`, err: config.ErrNotObject, want: `{"a":1}`}}},
		{"below an empty object", []step{{path: "a", value: `{}`}, {path: "a.b", value: `2`, want: `{"a":{"b":2}}`}}},
		{"all", []step{{path: "a", value: `1`}, {value: `{"b":2}`, want: `{"b":2}`}}},
		{"nothing", []step{{path: "a", value: `1`}, {value: `{}`, want: `{}`}}},
		{"a sibling with the same beginning", []step{{path: "ab", value: `1`}, {path: "a", value: `2`, want: `{"a":2,"ab":1}`}}},
		{"names with dots", []step{{path: `a\.b.c`, value: `1`}, {value: `{"x.y":{"\\":2}}`, o: merge, want: `{"a.b":{"c":1},"x.y":{"\\":2}}`}}},
		{"no HTML", []step{{path: `<&>`, value: `"<&>"`, want: `{"<&>":"<&>"}`}}},
		{"a secret", []step{{path: "a", value: `"x"`, o: secret, want: `{"a":"[secret]"}`}}},
		{"a marked secret", []step{{value: `{"a":{"$secret":{"b":1}},"c":2}`, want: `{"a":{"b":"[secret]"},"c":2}`}}},
		{"a secret stays one", []step{{path: "a", value: `"x"`, o: secret}, {path: "a", value: `"y"`, want: `{"a":"[secret]"}`}}},
		{"below a secret too", []step{{path: "a", value: `"x"`, o: secret}, {path: "a", value: `{"b":1}`, want: `{"a":{"b":"[secret]"}}`}}},
		{"a secret that is hidden where there is none", []step{{path: "a", value: `"[secret]"`, err: config.ErrInvalid, want: `{}`}}},
		{"no JSON", []step{{path: "a", value: `{`, err: config.ErrInvalid, want: `{}`}}},
		{"two values", []step{{path: "a", value: `1 2`, err: config.ErrInvalid}}},
		{"empty", []step{{path: "a", value: ``, err: config.ErrInvalid}}},
		{"no UTF-8", []step{{path: "a", value: "\"\xff\"", err: config.ErrInvalid}}},
		{"all of it no object", []step{{value: `1`, err: config.ErrInvalid}}},
		{"all of it a secret", []step{{value: `{"$secret":1}`, err: config.ErrInvalid}}},
		{"an empty name", []step{{value: `{"":1}`, err: config.ErrInvalid}}},
		{"a name with NUL", []step{{value: `{"\u0000":1}`, err: config.ErrInvalid}}},
		{"too deep", []step{{path: "a", value: strings.Repeat(`{"a":`, 20) + "1" + strings.Repeat("}", 20), err: config.ErrInvalid}}},
		{"very deep", []step{{path: "a", value: strings.Repeat(`[`, 100000), err: config.ErrInvalid}}},
		{"too large", []step{{path: "a", value: `"` + strings.Repeat("x", config.MaxValue) + `"`, err: config.ErrInvalid}}},
		{"too many", []step{{value: many(5000), err: config.ErrInvalid}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newConfig(t, openStore(t))
			for _, s := range tt.steps {
				if _, err := c.Set(t.Context(), ns, s.path, []byte(s.value), s.o); !errors.Is(err, s.err) {
					t.Fatalf("Set(%q, %.100s): %v, want %v", s.path, s.value, err, s.err)
				}
				if got := get(t, c, "", config.Hide); s.want != "" && got != s.want {
					t.Errorf("after Set(%q, %.100s): %s, want %s", s.path, s.value, got, s.want)
				}
			}
		})
	}
}

// many returns an object of n members.
func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"k%d":1`, i)
	}
	return "{" + b.String()[1:] + "}"
}

func TestTotalIsBounded(t *testing.T) {
	t.Parallel()
	c := newConfig(t, openStore(t))
	value := `"` + strings.Repeat("x", config.MaxValue-2) + `"`
	for i := range 3 {
		mustSet(t, c, fmt.Sprintf("a%d", i), value, config.SetOptions{})
	}
	if _, err := c.Set(t.Context(), ns, "a3", []byte(value), config.SetOptions{}); !errors.Is(err, config.ErrInvalid) {
		t.Errorf("Set beyond the total: %v, want %v", err, config.ErrInvalid)
	}
	mustSet(t, c, "a1", `1`, config.SetOptions{})
	mustSet(t, c, "a3", value, config.SetOptions{})
}

// The largest configuration that can be set can be replaced by another one as large:
// the history has to hold both.
func TestLargestChange(t *testing.T) {
	t.Parallel()
	c := newConfig(t, openStore(t))
	for _, fill := range []string{"x", "y"} {
		var parts []string
		for i := range 4 {
			parts = append(parts, fmt.Sprintf(`"%s%d":"%s"`, fill, i, strings.Repeat(fill, config.MaxTotal/4-200)))
		}
		mustSet(t, c, "", "{"+strings.Join(parts, ",")+"}", config.SetOptions{Secret: true})
	}
	if _, err := c.Rollback(t.Context(), ns, "", 1, "alice", nil); err != nil {
		t.Error(err)
	}
}

func TestPaths(t *testing.T) {
	t.Parallel()
	c := newConfig(t, openStore(t))
	for _, bad := range []string{
		".", "a.", ".a", "a..b", "../x", `a\`, `a\b`, "a\x00b", "a\nb", "a\xff", strings.Repeat("a", 129),
		strings.Repeat("a.", 16) + "a", strings.Repeat("aaaaaaa.", 80) + "a",
	} {
		for name, err := range map[string]error{
			"Get":      second(c.Get(t.Context(), ns, bad, config.Hide)),
			"Set":      second(c.Set(t.Context(), ns, bad, []byte("1"), config.SetOptions{})),
			"Delete":   second(c.Delete(t.Context(), ns, bad, "", nil)),
			"Rollback": second(c.Rollback(t.Context(), ns, bad, 0, "", nil)),
		} {
			if !errors.Is(err, config.ErrInvalid) {
				t.Errorf("%s(%q): %v, want %v", name, bad, err, config.ErrInvalid)
			}
		}
	}
	for _, good := range []string{"a", "a/b", "ä", "a b", "$system", strings.Repeat("a.", 15) + "a"} {
		mustSet(t, c, "x", `1`, config.SetOptions{})
		mustSet(t, c, good, `2`, config.SetOptions{})
		if got := get(t, c, good, config.Hide); got != "2" {
			t.Errorf("Get(%q) = %s, want 2", good, got)
		}
		mustSet(t, c, "", `{}`, config.SetOptions{})
	}
}

func second[T any](_ T, err error) error { return err }

func TestSecrets(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	c := newConfig(t, s)
	mustSet(t, c, "db", `{"user":"app","password":"canary-1"}`, config.SetOptions{})
	mustSet(t, c, "db.password", `"canary-2"`, config.SetOptions{Secret: true})
	mustSet(t, c, "db.password", `"canary-3"`, config.SetOptions{})

	for show, want := range map[config.Show]string{
		config.Hide:   `{"password":"[secret]","user":"app"}`,
		config.Reveal: `{"password":"canary-3","user":"app"}`,
		config.Mark:   `{"password":{"$secret":"canary-3"},"user":"app"}`,
	} {
		v, err := c.Get(t.Context(), ns, "db", show)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(config.Value{JSON: []byte(want), Revision: 3, Secrets: []string{"db.password"}}, v); diff != "" {
			t.Errorf("Get (-want +got):\n%s", diff)
		}
	}
	// What was read can be set again: nothing changes.
	for _, show := range []config.Show{config.Hide, config.Reveal, config.Mark} {
		if got := mustSet(t, c, "", get(t, c, "", show), config.SetOptions{}); got != 3 {
			t.Errorf("set again what was read: revision %d, want 3", got)
		}
	}
	for r, err := range s.Range(t.Context(), store.Prefix("")) {
		if err != nil {
			t.Fatal(err)
		}
		for _, canary := range []string{"canary-2", "canary-3"} {
			if bytes.Contains(r.Value, []byte(canary)) {
				t.Errorf("%s has %s in clear", r.Key, canary)
			}
		}
	}
	revisions, _, err := c.History(t.Context(), ns, "db.password", "", 10, config.Hide)
	if err != nil {
		t.Fatal(err)
	}
	if len(revisions) != 3 {
		t.Errorf("the history has %d revisions, want 3", len(revisions))
	}
	for _, r := range revisions { // what was in clear once, too
		for _, ch := range r.Changes {
			if bytes.Contains(ch.Before, []byte("canary")) || bytes.Contains(ch.After, []byte("canary")) {
				t.Errorf("revision %d shows a secret: %s to %s", r.Revision, ch.Before, ch.After)
			}
		}
	}
	if _, err := c.Rollback(t.Context(), ns, "", 2, "alice", nil); err != nil {
		t.Fatal(err)
	}
	if got := get(t, c, "db.password", config.Reveal); got != `"canary-2"` {
		t.Errorf("after the rollback: %s, want canary-2", got)
	}

	// A record that was copied to another place says nothing there.
	r, err := s.Get(t.Context(), "acme/config/now")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Txn(t.Context(), store.Txn{Do: []store.Op{store.Put("globex/config/now", r.Value)}}); err != nil {
		t.Fatal(err)
	}
	if v, err := c.Get(t.Context(), "globex", "db.password", config.Reveal); err == nil {
		t.Errorf("the secret of another namespace opens: %s", v.JSON)
	}
}

func TestConditions(t *testing.T) {
	t.Parallel()
	c := newConfig(t, openStore(t))
	at := func(revision int64) *config.Condition { return &config.Condition{Revision: revision} }
	first := mustSet(t, c, "a.b", `1`, config.SetOptions{If: at(0)})
	mustSet(t, c, "other", `1`, config.SetOptions{})
	second := mustSet(t, c, "a.b", `2`, config.SetOptions{If: at(first)})
	for _, tt := range []struct {
		path     string
		revision int64
		want     error
	}{
		{"a.b", 0, config.ErrConflict},
		{"a", 0, config.ErrConflict},
		{"a.b", first, config.ErrConflict},
		{"a", first, config.ErrConflict},
		{"", second, nil},
		{"a.c", first, nil},
		{"a.b", second + 10, config.ErrConflict},
		{"a.b", -1, config.ErrInvalid},
	} {
		_, err := c.Set(t.Context(), ns, tt.path, []byte(`{"b":2}`), config.SetOptions{Merge: true, If: at(tt.revision)})
		if !errors.Is(err, tt.want) {
			t.Errorf("Set(%q) if revision %d: %v, want %v", tt.path, tt.revision, err, tt.want)
		}
		mustSet(t, c, "", `{"a":{"b":2},"other":1}`, config.SetOptions{})
	}
	if _, err := c.Delete(t.Context(), ns, "a.b", "", at(first)); !errors.Is(err, config.ErrConflict) {
		t.Errorf("Delete: %v, want %v", err, config.ErrConflict)
	}
	if _, err := c.Rollback(t.Context(), ns, "a.b", first, "", at(first)); !errors.Is(err, config.ErrConflict) {
		t.Errorf("Rollback: %v, want %v", err, config.ErrConflict)
	}
	if _, err := c.Delete(t.Context(), ns, "nothing", "", nil); !errors.Is(err, config.ErrNotFound) {
		t.Errorf("Delete of nothing: %v, want %v", err, config.ErrNotFound)
	}
}

// Of many who add one to what they read, each does it once.
func TestCompareAndSet(t *testing.T) {
	t.Parallel()
	c := newConfig(t, openStore(t))
	mustSet(t, c, "n", `0`, config.SetOptions{})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 10 {
				for {
					v, err := c.Get(t.Context(), ns, "n", config.Hide)
					if err != nil {
						t.Error(err)
						return
					}
					var n int
					if err := json.Unmarshal(v.JSON, &n); err != nil {
						t.Error(err)
						return
					}
					_, err = c.Set(t.Context(), ns, "n", fmt.Append(nil, n+1), config.SetOptions{If: &config.Condition{Revision: v.Revision}})
					if err == nil {
						break
					}
					if !errors.Is(err, config.ErrConflict) {
						t.Error(err)
						return
					}
					// A change elsewhere is none here.
					mustSetAny(t, c, fmt.Sprintf("other.%d", i))
				}
			}
		})
	}
	wg.Wait()
	if got := get(t, c, "n", config.Hide); got != "40" {
		t.Errorf("n is %s, want 40", got)
	}
}

// countedStore counts the transactions that are tried.
type countedStore struct {
	store.Store
	tried atomic.Int64
}

func (s *countedStore) Txn(ctx context.Context, t store.Txn) (int64, error) {
	s.tried.Add(1)
	return s.Store.Txn(ctx, t)
}

// Each change is made of all that is there: who changes at the same time as others waits
// for them, rather than doing that again and again for nothing.
func TestChangesWaitForOneAnother(t *testing.T) {
	t.Parallel()
	s := &countedStore{Store: openStore(t)}
	c := newConfig(t, s)
	const writers, each = 16, 5
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for range each {
				mustSetAny(t, c, fmt.Sprintf("k%d", i))
			}
		})
	}
	wg.Wait()
	if got := s.tried.Load(); got != writers*each {
		t.Errorf("%d changes took %d transactions", writers*each, got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Set(ctx, ns, "k", []byte("1"), config.SetOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a change with a context that has ended: %v", err)
	}
}

func mustSetAny(t *testing.T, c *config.Config, path string) {
	t.Helper()
	if _, err := c.Set(t.Context(), ns, path, fmt.Append(nil, rand.Int64()), config.SetOptions{}); err != nil {
		t.Error(err)
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	c := newConfig(t, openStore(t))
	mustSet(t, c, "", `{"a":{"b":1,"c":2},"ab":3}`, config.SetOptions{})
	mustSet(t, c, "a.d", `4`, config.SetOptions{Secret: true})
	var got []config.Leaf
	for after := ""; ; {
		page, revision, more, err := c.List(t.Context(), ns, "a", after, 2, config.Hide)
		if err != nil || revision != 2 {
			t.Fatalf("List: revision %d, %v, want 2", revision, err)
		}
		got = append(got, page...)
		if !more {
			break
		}
		after = page[len(page)-1].Path
	}
	want := []config.Leaf{
		{Path: "a.b", JSON: []byte("1"), Revision: 1},
		{Path: "a.c", JSON: []byte("2"), Revision: 1},
		{Path: "a.d", JSON: []byte(`"[secret]"`), Secret: true, Revision: 2},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("List (-want +got):\n%s", diff)
	}
}

// Random changes, and what each revision was: rollback and history lead to any that is
// kept, whatever came between.
func TestHistoryIsTrue(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	c := newConfig(t, openStore(t))
	states := []string{"{}"} // by revision
	paths := []string{"a", "a.b", "a.b.c", "d", "d.e", "f"}
	values := []string{`1`, `"x"`, `{"b":{"c":2}}`, `{}`, `[1]`, `{"e":3,"z":4}`}
	for len(states) < config.Kept+50 {
		var err error
		path := paths[r.IntN(len(paths))]
		switch r.IntN(5) {
		case 0:
			_, err = c.Delete(t.Context(), ns, path, "bob", nil)
		case 1:
			_, err = c.Rollback(t.Context(), ns, "", int64(max(0, len(states)-1-r.IntN(20))), "bob", nil)
		default:
			o := config.SetOptions{By: "bob", Merge: r.IntN(2) == 0, Secret: r.IntN(4) == 0}
			_, err = c.Set(t.Context(), ns, path, []byte(values[r.IntN(len(values))]), o)
		}
		if err != nil && !errors.Is(err, config.ErrNotFound) && !errors.Is(err, config.ErrNotObject) {
			t.Fatal(err)
		}
		v, err := c.Get(t.Context(), ns, "", config.Reveal)
		if err != nil {
			t.Fatal(err)
		}
		if int(v.Revision) == len(states) {
			states = append(states, string(v.JSON))
		} else if got := string(v.JSON); got != states[len(states)-1] {
			t.Fatalf("revision %d is %s, and was %s", v.Revision, got, states[len(states)-1])
		}
	}
	newest := int64(len(states) - 1)
	if _, err := c.Rollback(t.Context(), ns, "", newest-config.Kept-1, "", nil); !errors.Is(err, config.ErrNotFound) {
		t.Errorf("Rollback to what is not kept: %v, want %v", err, config.ErrNotFound)
	}
	if _, err := c.Rollback(t.Context(), ns, "", newest+1, "", nil); !errors.Is(err, config.ErrNotFound) {
		t.Errorf("Rollback to what is to come: %v, want %v", err, config.ErrNotFound)
	}
	revisions := 0
	for page := ""; ; {
		list, next, err := c.History(t.Context(), ns, "", page, 100, config.Hide)
		if err != nil {
			t.Fatal(err)
		}
		for _, rev := range list {
			if want := newest - int64(revisions); rev.Revision != want {
				t.Fatalf("History: revision %d, want %d", rev.Revision, want)
			}
			revisions++
		}
		if page = next; page == "" {
			break
		}
	}
	if revisions != config.Kept {
		t.Errorf("%d revisions are kept, want %d", revisions, config.Kept)
	}

	// A watch from one that is not kept any more begins with what is there, and says so.
	for v, err := range c.Watch(t.Context(), ns, "", new(newest-config.Kept-1), config.Reveal) {
		if err != nil || v.Revision != newest || !v.Reset {
			t.Errorf("Watch: revision %d, reset %v, %v, want %d and a reset", v.Revision, v.Reset, err, newest)
		}
		break
	}

	// A watch from any revision that is kept shows each that came after it.
	from := newest - 100
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for v, err := range c.Watch(ctx, ns, "", &from, config.Reveal) {
		if err != nil {
			t.Fatal(err)
		}
		from++
		want := states[from]
		if want == "{}" {
			want = ""
		}
		if v.Revision != from || string(v.JSON) != want || v.Reset {
			t.Fatalf("Watch: revision %d %s, want %d %s", v.Revision, v.JSON, from, want)
		}
		if from == newest {
			break
		}
	}

	for range 20 {
		to := newest - r.Int64N(100)
		if _, err := c.Rollback(t.Context(), ns, "", to, "bob", nil); err != nil {
			t.Fatal(err)
		}
		if got := get(t, c, "", config.Reveal); got != states[to] {
			t.Errorf("Rollback to %d: %s, want %s", to, got, states[to])
		}
	}
}

// Two namespaces have the same paths, and nothing else in common.
func TestNamespacesAreApart(t *testing.T) {
	t.Parallel()
	c := newConfig(t, openStore(t))
	for range 3 {
		if _, err := c.Set(t.Context(), "globex", "a", fmt.Append(nil, rand.Int64()), config.SetOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if got := get(t, c, "a", config.Reveal); got != config.ErrNotFound.Error() {
		t.Errorf("Get = %s, want nothing", got)
	}
	if got := mustSet(t, c, "a", `1`, config.SetOptions{}); got != 1 {
		t.Errorf("the first revision is %d: it tells of others", got)
	}
	if _, err := c.Rollback(t.Context(), ns, "", 0, "", nil); err != nil {
		t.Fatal(err)
	}
	if list, _, err := c.History(t.Context(), ns, "", "", 10, config.Hide); err != nil || len(list) != 2 {
		t.Errorf("History: %d revisions, %v, want 2", len(list), err)
	}
	// A namespace whose name begins like another one's.
	if v, err := c.Get(t.Context(), "acm", "", config.Hide); err != nil || string(v.JSON) != "{}" {
		t.Errorf("Get = %s, %v, want {}", v.JSON, err)
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	c := newConfig(t, openStore(t))
	mustSet(t, c, "a.b", `1`, config.SetOptions{})
	type shown struct {
		revision int64
		json     string
	}
	got := make(chan shown)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		for v, err := range c.Watch(ctx, ns, "a", nil, config.Hide) {
			if err != nil {
				ended <- err
				return
			}
			got <- shown{v.Revision, string(v.JSON)}
		}
	}()
	expect := func(revision int64, json string) {
		t.Helper()
		if is, want := <-got, (shown{revision, json}); is != want {
			t.Errorf("Watch: %v, want %v", is, want)
		}
	}
	expect(1, `{"b":1}`)
	mustSet(t, c, "ab", `1`, config.SetOptions{}) // elsewhere
	mustSet(t, c, "a.c", `2`, config.SetOptions{})
	mustSet(t, c, "a.b", `3`, config.SetOptions{}) // while nobody reads
	expect(3, `{"b":1,"c":2}`)
	expect(4, `{"b":3,"c":2}`)
	if _, err := c.Delete(t.Context(), ns, "a", "", nil); err != nil {
		t.Fatal(err)
	}
	expect(5, "")
	mustSet(t, c, "", `{"a":5}`, config.SetOptions{})
	expect(6, "5")
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Watch ended with %v, want %v", err, context.Canceled)
	}

	// What the configuration never came to begins with the value as it is.
	for v, err := range c.Watch(t.Context(), ns, "a", new(int64(1000)), config.Hide) {
		if err != nil || string(v.JSON) != "5" || !v.Reset {
			t.Errorf("Watch: %s, reset %v, %v, want 5 and a reset", v.JSON, v.Reset, err)
		}
		break
	}
}

func TestWatchEndsWithTheConfiguration(t *testing.T) {
	t.Parallel()
	c, err := config.New(config.Options{Store: openStore(t), MasterKey: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	var last error
	for _, err := range c.Watch(t.Context(), ns, "a", nil, config.Hide) {
		if last = err; err == nil {
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !errors.Is(last, store.ErrClosed) {
		t.Errorf("Watch ended with %v, want %v", last, store.ErrClosed)
	}
}
