package auth_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/micro/micro/v3/backend/auth"
	"github.com/micro/micro/v3/backend/store"
)

func TestGranted(t *testing.T) {
	t.Parallel()
	call := auth.Resource{Type: "service", Name: "shop", Endpoint: "Shop.Buy"}
	look := auth.Resource{Type: "runtime", Name: "shop", Endpoint: "Runtime.Get", Class: auth.Read}
	for _, test := range []struct {
		name     string
		rules    []auth.Rule
		resource auth.Resource
		// Who may: a stranger, a member of the namespace without scopes, one with
		// the scope "staff".
		stranger, member, staff bool
	}{
		{name: "no rule", resource: call},
		{
			name: "public", resource: call,
			rules:    []auth.Rule{{ID: "a", Resource: "service:*:*"}},
			stranger: true, member: true, staff: true,
		},
		{
			name: "any member", resource: call,
			rules:  []auth.Rule{{ID: "a", Scope: "*", Resource: "service:*:*"}},
			member: true, staff: true,
		},
		{
			name: "by scope", resource: call,
			rules: []auth.Rule{{ID: "a", Scope: "staff", Resource: "service:*:*"}},
			staff: true,
		},
		{
			name: "by scope in another case", resource: call,
			rules: []auth.Rule{{ID: "a", Scope: "Staff", Resource: "service:*:*"}},
			staff: true,
		},
		{
			name: "by a scope that begins like it", resource: call,
			rules: []auth.Rule{{ID: "a", Scope: "staf", Resource: "service:*:*"}, {ID: "b", Scope: "staff2", Resource: "service:*:*"}},
		},
		{
			name: "another type", resource: call,
			rules: []auth.Rule{{ID: "a", Resource: "runtime:*:*"}},
		},
		{
			name: "another name", resource: call,
			rules: []auth.Rule{{ID: "a", Resource: "service:shop2:*"}, {ID: "b", Resource: "service:Shop:*"}, {ID: "c", Resource: "service:sho:*"}},
		},
		{
			name: "the endpoint", resource: call,
			rules:    []auth.Rule{{ID: "a", Resource: "*:shop:Shop.Buy"}},
			stranger: true, member: true, staff: true,
		},
		{
			name: "another endpoint", resource: call,
			rules: []auth.Rule{{ID: "a", Resource: "*:shop:Shop.Buy2"}, {ID: "b", Resource: "*:shop:Shop"}, {ID: "c", Resource: "*:shop:Shop.*"}},
		},
		{
			name: "a class", resource: look,
			rules:  []auth.Rule{{ID: "a", Scope: "*", Resource: "*:*:read"}},
			member: true, staff: true,
		},
		{
			name: "another class", resource: look,
			rules: []auth.Rule{{ID: "a", Scope: "*", Resource: "*:*:write"}},
		},
		{
			name: "a class of what has none", resource: call,
			rules: []auth.Rule{{ID: "a", Resource: "*:*:read"}, {ID: "b", Resource: "*:*:write"}, {ID: "c", Resource: "*:*:"}},
		},
		{
			name: "a denial wins a tie", resource: call,
			rules: []auth.Rule{{ID: "a", Resource: "*:*:*"}, {ID: "z", Resource: "service:*:*", Deny: true}},
		},
		{
			name: "a grant of higher priority", resource: call,
			rules: []auth.Rule{{ID: "a", Resource: "*:*:*", Deny: true}, {ID: "b", Scope: "staff", Resource: "*:*:*", Priority: 1}},
			staff: true,
		},
		{
			name: "a denial of higher priority", resource: call,
			rules:    []auth.Rule{{ID: "a", Resource: "*:*:*"}, {ID: "b", Scope: "staff", Resource: "service:*:*", Priority: 1, Deny: true}},
			stranger: true, member: true,
		},
		{
			name: "a denial of lower priority", resource: call,
			rules:    []auth.Rule{{ID: "a", Resource: "*:*:*"}, {ID: "b", Resource: "service:*:*", Priority: -1, Deny: true}},
			stranger: true, member: true, staff: true,
		},
		{
			name: "a denial for others", resource: call,
			rules:    []auth.Rule{{ID: "a", Resource: "*:*:*"}, {ID: "b", Scope: "*", Resource: "service:*:*", Deny: true}},
			stranger: true,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			auth.Order(test.rules)
			for _, who := range []struct {
				name   string
				member bool
				scopes []string
				want   bool
			}{
				{"a stranger", false, nil, test.stranger},
				{"a member", true, nil, test.member},
				{"staff", true, []string{"other", "staff"}, test.staff},
				{"a stranger who is staff elsewhere", false, []string{"staff"}, test.stranger},
			} {
				if got := auth.Granted(test.rules, who.member, who.scopes, test.resource); got != who.want {
					t.Errorf("%s: got %t, want %t", who.name, got, who.want)
				}
			}
		})
	}
}

// naive decides as the documentation of Rule says, with no thought of speed.
func naive(rules []auth.Rule, member bool, scopes []string, r auth.Resource) bool {
	var matching []auth.Rule
	for _, rule := range rules {
		part := strings.Split(rule.Resource, ":")
		is := func(i int, values ...string) bool {
			return part[i] == "*" || part[i] != "" && slices.Contains(values, part[i])
		}
		who := rule.Scope == "" || member && rule.Scope == "*"
		for _, s := range scopes {
			who = who || member && strings.ToLower(s) == strings.ToLower(rule.Scope) //nolint:staticcheck // not the way that it is done
		}
		if who && is(0, r.Type) && is(1, r.Name) && is(2, r.Endpoint, r.Class) {
			matching = append(matching, rule)
		}
	}
	if len(matching) == 0 {
		return false
	}
	top := slices.MaxFunc(matching, func(a, b auth.Rule) int { return cmp.Compare(a.Priority, b.Priority) })
	for _, rule := range matching {
		if rule.Priority == top.Priority && rule.Deny {
			return false
		}
	}
	return true
}

func TestGrantedAgainstModel(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	pick := func(values ...string) string { return values[rnd.IntN(len(values))] }
	granted := 0
	const rounds = 20_000
	for range rounds {
		var rules []auth.Rule
		for i := range rnd.IntN(6) {
			rules = append(rules, auth.Rule{
				ID:    strconv.Itoa(i),
				Scope: pick("", "*", "admin", "staff", "Staff"),
				Resource: strings.Join([]string{
					pick("*", "service", "runtime"), pick("*", "shop", "shop2"), pick("*", "Shop.Buy", "read", "write", "Buy"),
				}, ":"),
				Deny:     rnd.IntN(2) == 0,
				Priority: int32(rnd.IntN(3) - 1),
			})
		}
		member := rnd.IntN(3) > 0
		var scopes []string
		for range rnd.IntN(3) {
			scopes = append(scopes, pick("admin", "staff", "other"))
		}
		r := auth.Resource{
			Type: pick("service", "runtime", "auth"), Name: pick("shop", "shop2", "*", ""),
			Endpoint: pick("Shop.Buy", "Shop.Sell"), Class: pick("", "read", "write"),
		}
		want := naive(rules, member, scopes, r)
		auth.Order(rules)
		if got := auth.Granted(rules, member, scopes, r); got != want {
			t.Fatalf("seed %d: got %t, want %t: member %t with %v on %+v by %+v", seed, got, want, member, scopes, r, rules)
		}
		if want {
			granted++
		}
	}
	if granted < rounds/20 || granted > rounds*19/20 {
		t.Errorf("seed %d: %d of %d were granted: the cases say little", seed, granted, rounds)
	}
}

func TestInitialRules(t *testing.T) {
	t.Parallel()
	rules := auth.InitialRules()
	auth.Order(rules)
	for _, test := range []struct {
		resource auth.Resource
		want     string // who may
	}{
		{auth.Resource{Type: "service", Name: "shop", Endpoint: "Shop.Buy"}, "stranger member service admin"},
		{auth.Resource{Type: "service", Name: "shop", Endpoint: "Registry.GetSchema", Class: auth.Read}, "stranger member service admin"},
		{auth.Resource{Type: "runtime", Name: "shop", Endpoint: "Runtime.Get", Class: auth.Read}, "member service admin"},
		{auth.Resource{Type: "runtime", Name: "shop", Endpoint: "Runtime.Apply", Class: auth.Write}, "admin"},
		{auth.Resource{Type: "registry", Name: "shop", Endpoint: "Registry.Register", Class: auth.Write}, "service admin"},
		{auth.Resource{Type: "registry", Name: "*", Endpoint: "Registry.List", Class: auth.Read}, "member service admin"},
		{auth.Resource{Type: "blob", Name: "photo", Endpoint: "Blobs.Write", Class: auth.Write}, "service admin"},
		{auth.Resource{Type: "auth", Name: "*", Endpoint: "Accounts.List", Class: auth.Read}, "member service admin"},
		{auth.Resource{Type: "auth", Name: "*", Endpoint: "Accounts.Create", Class: auth.Write}, "admin"},
		{auth.Resource{Type: "what comes later", Name: "x", Endpoint: "Later.Write", Class: auth.Write}, "admin"},
	} {
		var may []string
		for _, who := range []struct {
			name   string
			member bool
			scopes []string
		}{
			{"stranger", false, []string{auth.ScopeAdmin}},
			{"member", true, nil},
			{"service", true, []string{auth.ScopeService}},
			{"admin", true, []string{auth.ScopeAdmin}},
		} {
			if auth.Granted(rules, who.member, who.scopes, test.resource) {
				may = append(may, who.name)
			}
		}
		if got := strings.Join(may, " "); got != test.want {
			t.Errorf("%+v: %q may, want %q", test.resource, got, test.want)
		}
	}
}

// TestNewRulesForOldNamespaces opens namespaces that older servers have made: they get
// the initial rules that came later, once, and what their administrators have changed
// stays so.
func TestNewRulesForOldNamespaces(t *testing.T) {
	t.Parallel()
	const all = "blobs call events manage read register secrets store"
	for _, test := range []struct {
		name   string
		record string // of the namespace
		rules  string // ids that are there
		want   string
	}{
		{"of the first server", `{"created":"2026-01-01T00:00:00Z"}`, "call read manage register", all},
		{"of one that was closed then", `{}`, "read manage register", "blobs events manage read register secrets store"},
		{"with a rule of an administrator's own", `{}`, "call read manage register mine", "blobs call events manage mine read register secrets store"},
		{"of a later one, without a rule that it was given", `{}`, "call read manage register store", "blobs call events manage read register store"},
		{"of the last that did not count", `{}`, "call read manage register events", "blobs call events manage read register"},
		{"counted", `{"rules":8}`, "manage", "manage"},
		{"counted, when there were five", `{"rules":5}`, "manage", "blobs events manage store"},
		{"with one that is called like one of ours", `{"rules":6}`, "events manage", "blobs events manage"},
		{"of a server that is newer", `{"rules":99}`, "manage", "manage"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := openStore(t)
			write(t, s, store.Put("acme/auth/namespace", []byte(test.record)))
			for id := range strings.FieldsSeq(test.rules) {
				write(t, s, store.Put("acme/auth/rule/"+id, []byte(`{"id":"`+id+`","scope":"theirs","resource":"x:y:z"}`)))
			}
			for range 2 { // the second server has nothing to give any more
				a := openAuth(t, auth.Config{Store: s})
				rules, err := a.Rules(t.Context(), "acme")
				if err != nil {
					t.Fatal(err)
				}
				var ids []string
				for _, r := range rules {
					ids = append(ids, r.ID)
					if slices.Contains(strings.Fields(test.rules), r.ID) != (r.Scope == "theirs") {
						t.Errorf("the rule %+v is not as it was", r)
					}
				}
				slices.Sort(ids)
				if got := strings.Join(ids, " "); got != test.want {
					t.Errorf("rules %q, want %q", got, test.want)
				}
			}
			// What is deleted now stays so.
			a := openAuth(t, auth.Config{Store: s})
			wantErr(t, "DeleteRule", a.DeleteRule(t.Context(), "acme", "manage"), nil)
			rules, err := openAuth(t, auth.Config{Store: s}).Rules(t.Context(), "acme")
			if err != nil || slices.ContainsFunc(rules, func(r auth.Rule) bool { return r.ID == "manage" }) {
				t.Errorf("a rule that was deleted came again: %v, %v", rules, err)
			}
		})
	}
}

// TestNewRulesAtOnce has several servers open a namespace of an older one.
func TestNewRulesAtOnce(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	write(t, s, store.Put("acme/auth/namespace", []byte("{}")))
	var wg sync.WaitGroup
	for range 8 {
		a := openAuth(t, auth.Config{Store: s})
		wg.Go(func() {
			rules, err := a.Rules(t.Context(), "acme")
			if err != nil || len(rules) != 4 {
				t.Errorf("%d rules, %v; want 4", len(rules), err)
			}
		})
	}
	wg.Wait()
}

// full is a store that has no room for keys of a namespace.
type full struct {
	store.Store
	namespace string
}

func (f full) Txn(ctx context.Context, t store.Txn) (int64, error) {
	for _, op := range t.Do {
		if op.Kind == store.KindPut && strings.HasPrefix(op.Key, f.namespace+"/") {
			return 0, store.ErrFull
		}
	}
	return f.Store.Txn(ctx, t)
}

// TestFullDiskKeepsOldRules has no room for rules that are new: the others hold.
func TestFullDiskKeepsOldRules(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	a := openAuth(t, auth.Config{Store: full{s, "acme"}})
	write(t, s, store.Put("acme/auth/namespace", []byte("{}")), store.Put("acme/auth/rule/call", []byte(`{"id":"call","resource":"service:*:*"}`)))
	rules, err := a.Rules(t.Context(), "acme")
	if err != nil || len(rules) != 1 {
		t.Errorf("rules: %v, %v", rules, err)
	}
}

func TestRules(t *testing.T) {
	t.Parallel()
	a := openAuth(t, auth.Config{Store: openStore(t)})
	signup(t, a)
	ctx := t.Context()
	deny := auth.Rule{ID: "deny", Scope: "*", Resource: "service:shop:*", Deny: true}
	high := auth.Rule{ID: "high", Resource: "service:shop:*", Priority: 9}
	for _, r := range []auth.Rule{high, deny} {
		wantErr(t, r.ID, a.CreateRule(ctx, "acme", r), nil)
	}
	wantErr(t, "the same id", a.CreateRule(ctx, "acme", deny), auth.ErrExists)
	wantErr(t, "another namespace", a.CreateRule(ctx, "nowhere", deny), auth.ErrNotFound)
	got, err := a.Rules(ctx, "acme")
	if err != nil {
		t.Fatal(err)
	}
	want := append([]auth.Rule{high, deny}, slices.SortedFunc(slices.Values(auth.InitialRules()), func(a, b auth.Rule) int {
		return cmp.Compare(a.ID, b.ID)
	})...)
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("in the order in which they are tried (-want +got):\n%s", diff)
	}
	got[0] = auth.Rule{} // what was returned is the caller's
	wantErr(t, "DeleteRule", a.DeleteRule(ctx, "acme", "deny"), nil)
	wantErr(t, "DeleteRule again", a.DeleteRule(ctx, "acme", "deny"), auth.ErrNotFound)
	for _, id := range []string{"", "none", "../rule/high", "a/b"} {
		wantErr(t, "DeleteRule "+id, a.DeleteRule(ctx, "acme", id), auth.ErrNotFound)
	}
	if got, err = a.Rules(ctx, "acme"); err != nil || len(got) != 1+len(auth.InitialRules()) || got[0] != high {
		t.Errorf("got %+v, %v", got, err)
	}
	_, err = a.Rules(ctx, "nowhere")
	wantErr(t, "Rules of another namespace", err, auth.ErrNotFound)
}

// TestUpdateRule changes a rule while somebody looks: it is always there.
func TestUpdateRule(t *testing.T) {
	t.Parallel()
	a := openAuth(t, auth.Config{Store: openStore(t)})
	signup(t, a)
	ctx := t.Context()
	wantErr(t, "CreateRule", a.CreateRule(ctx, "acme", auth.Rule{ID: "closed", Resource: "service:billing:*", Deny: true, Priority: 10}), nil)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			err := a.Authorize(ctx, auth.Identity{}, "acme", auth.Resource{Type: "service", Name: "billing", Endpoint: "Billing.Pay"})
			wantErr(t, "a call meanwhile", err, auth.ErrAnonymous)
		}
	})
	for i := range int32(20) {
		got, err := a.UpdateRule(ctx, "acme", "closed", func(r *auth.Rule) { r.Priority = i; r.ID = "renamed" })
		if want := (auth.Rule{ID: "closed", Resource: "service:billing:*", Deny: true, Priority: i}); err != nil || got != want {
			t.Errorf("UpdateRule: %+v, %v; want %+v", got, err, want)
		}
	}
	close(stop)
	wg.Wait()
	_, err := a.UpdateRule(ctx, "acme", "closed", func(r *auth.Rule) { r.Resource = "all" })
	wantErr(t, "a resource that is none", err, auth.ErrInvalid)
	for _, id := range []string{"nothing", "", "../closed"} {
		_, err := a.UpdateRule(ctx, "acme", id, func(*auth.Rule) {})
		wantErr(t, "the rule "+id, err, auth.ErrNotFound)
	}
	_, err = a.UpdateRule(ctx, "nowhere", "closed", func(*auth.Rule) {})
	wantErr(t, "in a namespace that is not there", err, auth.ErrNotFound)
}

func TestInvalidRules(t *testing.T) {
	t.Parallel()
	a := openAuth(t, auth.Config{Store: openStore(t)})
	signup(t, a)
	for _, r := range []auth.Rule{
		{ID: "", Resource: "a:b:c"},
		{ID: "a/b", Resource: "a:b:c"},
		{ID: strings.Repeat("a", 129), Resource: "a:b:c"},
		{ID: "a", Scope: "a b", Resource: "a:b:c"},
		{ID: "a", Scope: "**", Resource: "a:b:c"},
		{ID: "a"},
		{ID: "a", Resource: "a"},
		{ID: "a", Resource: "a:b"},
		{ID: "a", Resource: "a:b:c:d"},
		{ID: "a", Resource: "::"},
		{ID: "a", Resource: "a::c"},
		{ID: "a", Resource: "a:b:" + strings.Repeat("c", 512)},
	} {
		wantErr(t, fmt.Sprintf("%+v", r), a.CreateRule(t.Context(), "acme", r), auth.ErrInvalid)
	}
}

// TestAuthorize asks for callers as they are known by their tokens.
func TestAuthorize(t *testing.T) {
	t.Parallel()
	a := openAuth(t, auth.Config{Store: openStore(t)})
	ctx := t.Context()
	admin := verify(t, a, signup(t, a))
	bob := verify(t, a, account(t, a, "bob"))
	s, err := a.Signup(ctx, "other", "alice", password)
	if err != nil {
		t.Fatal(err)
	}
	stranger := verify(t, a, s)
	nobody := auth.Identity{}
	call := auth.Resource{Type: "service", Name: "shop", Endpoint: "Shop.Buy"}
	manage := auth.Resource{Type: "runtime", Name: "shop", Endpoint: "Runtime.Apply", Class: auth.Write}
	for _, test := range []struct {
		name   string
		caller auth.Identity
		ns     string
		what   auth.Resource
		want   error
	}{
		{"an administrator manages", admin, "acme", manage, nil},
		{"not another's namespace", admin, "other", manage, auth.ErrAnonymous},
		{"nor that of the same name elsewhere", stranger, "acme", manage, auth.ErrAnonymous},
		{"a member does not", bob, "acme", manage, auth.ErrDenied},
		{"nobody does", nobody, "acme", manage, auth.ErrAnonymous},
		{"anybody calls", nobody, "acme", call, nil},
		{"even a stranger", stranger, "acme", call, nil},
		{"where nothing is", admin, "nowhere", call, auth.ErrNotFound},
		{"where nothing can be", admin, "$system", call, auth.ErrNotFound},
		{"no account but the namespace", auth.Identity{Namespace: "acme", Scopes: []string{auth.ScopeAdmin}}, "acme", manage, auth.ErrAnonymous},
	} {
		wantErr(t, test.name, a.Authorize(ctx, test.caller, test.ns, test.what), test.want)
	}

	// A rule holds, and does not any more, when the call that says so returns.
	for range 20 {
		wantErr(t, "CreateRule", a.CreateRule(ctx, "acme", auth.Rule{ID: "closed", Resource: "service:shop:*", Deny: true, Priority: 1}), nil)
		wantErr(t, "closed", a.Authorize(ctx, nobody, "acme", call), auth.ErrAnonymous)
		wantErr(t, "closed to a member", a.Authorize(ctx, bob, "acme", call), auth.ErrDenied)
		wantErr(t, "closed elsewhere", a.Authorize(ctx, nobody, "other", call), nil)
		wantErr(t, "DeleteRule", a.DeleteRule(ctx, "acme", "closed"), nil)
		wantErr(t, "open", a.Authorize(ctx, nobody, "acme", call), nil)
	}
}
