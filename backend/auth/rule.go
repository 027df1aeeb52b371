package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/micro/micro/v3/backend/store"
)

// Rule grants or denies a scope the use of resources. Of the rules that match a
// call those with the highest priority decide, among these a denial wins, and
// where none matches the call is denied.
type Rule struct {
	ID       string `json:"id"`
	Scope    string `json:"scope,omitempty"` // "" everybody, "*" any account of the namespace, else who has it
	Resource string `json:"resource"`        // type:name:endpoint, each part "*" or a value
	Deny     bool   `json:"deny,omitempty"`
	Priority int32  `json:"priority,omitempty"`
}

// Classes of endpoints that a rule may name instead of one endpoint or "*". They
// cannot be mistaken for an endpoint: those have a dot.
const (
	Read   = "read"
	Write  = "write"
	Secret = "secret" // shows secrets; it needs the right to read too
)

// Resource is what a call wants to use.
type Resource struct {
	Type     string // "service", or the name of one of the server's APIs
	Name     string // which one
	Endpoint string // Service.Method
	Class    string // Read, Write or Secret; empty when the endpoint declares none
}

// initialRules are those of a new namespace: anybody may call its services, its
// accounts may look at everything but secrets, its administrators may change it, and
// its services may use its secrets, keep records and blobs, and publish and consume events.
// They are in the order in which they came: a new one goes behind the others, and
// [Auth.giveRules] gives it to the namespaces that are there.
func initialRules() []Rule {
	return []Rule{
		{ID: "call", Resource: "service:*:*"},
		{ID: "read", Scope: "*", Resource: "*:*:" + Read},
		{ID: "manage", Scope: ScopeAdmin, Resource: "*:*:*"},
		{ID: "register", Scope: ScopeService, Resource: "registry:*:*"},
		{ID: "secrets", Scope: ScopeService, Resource: "config:*:" + Secret},
		{ID: "store", Scope: ScopeService, Resource: "store:*:*"},
		{ID: "events", Scope: ScopeService, Resource: "events:*:*"},
		{ID: "blobs", Scope: ScopeService, Resource: "blob:*:*"},
	}
}

// firstRules is how many of the initial rules a namespace was given at least by a
// server that did not count them.
const firstRules = 4

// giveRules gives a namespace the initial rules that came after it was made. Those that
// it was given once stay as its administrators have them, deleted ones too, and no
// rule of another meaning is replaced. [ErrNotFound] when there is no such namespace.
func (a *Auth) giveRules(ctx context.Context, ns string) error {
	initial := initialRules()
	for {
		rec, revision, err := load[namespace](ctx, a.store, namespaceKey(ns))
		if err != nil {
			return err
		}
		if revision == 0 {
			return ErrNotFound
		}
		has := map[string]bool{}
		for r, err := range a.store.Range(ctx, store.Prefix(ruleKey(ns, ""))) {
			if err != nil {
				return err
			}
			has[strings.TrimPrefix(r.Key, ruleKey(ns, ""))] = true
		}
		if rec.Rules == 0 { // not counted: whoever has one was given those before it
			rec.Rules = firstRules
			for i, r := range initial {
				if has[r.ID] {
					rec.Rules = max(rec.Rules, i+1)
				}
			}
		}
		t := store.Txn{If: []store.Cond{{Key: namespaceKey(ns), Revision: revision}}}
		for _, r := range initial[min(rec.Rules, len(initial)):] {
			if key := ruleKey(ns, r.ID); !has[r.ID] {
				t.If = append(t.If, store.Cond{Key: key})
				t.Do = append(t.Do, store.Put(key, encodeJSON(r)))
			}
		}
		rec.Rules = max(rec.Rules, len(initial))
		t.Do = append(t.Do, store.Put(namespaceKey(ns), encodeJSON(rec)))
		if _, err := a.store.Txn(ctx, t); !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// check returns nil when a rule can be one of a namespace.
func (r Rule) check() error {
	if !isID(r.ID) {
		return invalid("%.200q cannot name a rule: use letters, digits and -_.@+", r.ID)
	}
	if r.Scope != "" && r.Scope != "*" && !isID(r.Scope) {
		return invalid("%.200q is no scope", r.Scope)
	}
	parts := strings.Split(r.Resource, ":")
	if len(parts) != 3 || slices.Contains(parts, "") || len(r.Resource) > 512 {
		return invalid("the resource %.200q has not the form type:name:endpoint, for example service:helloworld:*", r.Resource)
	}
	return nil
}

// CreateRule adds a rule. It holds for the next call when CreateRule returns.
// ErrNotFound when there is no such namespace.
func (a *Auth) CreateRule(ctx context.Context, ns string, r Rule) error {
	if err := r.check(); err != nil {
		return err
	}
	if exists, err := a.Exists(ctx, ns); err != nil {
		return err
	} else if !exists {
		return ErrNotFound
	}
	key := ruleKey(ns, r.ID)
	revision, err := a.store.Txn(ctx, store.Txn{If: []store.Cond{{Key: key}}, Do: []store.Op{store.Put(key, encodeJSON(r))}})
	if errors.Is(err, store.ErrConflict) {
		return ErrExists
	}
	if err != nil {
		return err
	}
	return a.rules.Wait(ctx, ns, revision)
}

// UpdateRule changes a rule, but for its id, and returns it as it is then. It holds so
// for the next call when UpdateRule returns, and was never away.
func (a *Auth) UpdateRule(ctx context.Context, ns, id string, change func(*Rule)) (Rule, error) {
	if !isID(id) {
		return Rule{}, ErrNotFound
	}
	key := ruleKey(ns, id)
	for {
		r, revision, err := load[Rule](ctx, a.store, key)
		if err != nil {
			return Rule{}, err
		}
		if revision == 0 {
			return Rule{}, ErrNotFound
		}
		change(&r)
		r.ID = id
		if err := r.check(); err != nil {
			return Rule{}, err
		}
		revision, err = a.store.Txn(ctx, store.Txn{
			If: []store.Cond{{Key: key, Revision: revision}},
			Do: []store.Op{store.Put(key, encodeJSON(r))},
		})
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		if err != nil {
			return Rule{}, err
		}
		return r, a.rules.Wait(ctx, ns, revision)
	}
}

// DeleteRule removes a rule. It does not hold any more when DeleteRule returns.
func (a *Auth) DeleteRule(ctx context.Context, ns, id string) error {
	if !isID(id) {
		return ErrNotFound
	}
	revision, err := deleteRecord[Rule](ctx, a.store, ruleKey(ns, id))
	if err != nil {
		return err
	}
	return a.rules.Wait(ctx, ns, revision)
}

// deleteRecord deletes the record of a key and returns the revision of that; the error
// is [ErrNotFound] when there is none. One that cannot be read is not deleted.
func deleteRecord[T any](ctx context.Context, s store.Store, key string) (int64, error) {
	for {
		_, revision, err := load[T](ctx, s, key)
		if err != nil {
			return 0, err
		}
		if revision == 0 {
			return 0, ErrNotFound
		}
		revision, err = s.Txn(ctx, store.Txn{
			If: []store.Cond{{Key: key, Revision: revision}},
			Do: []store.Op{store.Delete(key)},
		})
		if !errors.Is(err, store.ErrConflict) {
			return revision, err
		}
	}
}

// Rules returns the rules of a namespace in the order in which they are tried.
func (a *Auth) Rules(ctx context.Context, ns string) ([]Rule, error) {
	rules, err := a.rules.Get(ctx, ns)
	if err != nil {
		return nil, err
	}
	return slices.Clone(rules.inOrder()), nil
}

// Authorize returns nil when a caller may use a resource of a namespace,
// [ErrAnonymous] when an account of the namespace might, and [ErrDenied] when the
// caller is such an account and may not. An account of another namespace is
// nobody here. [ErrNotFound] means that there is no such namespace, and takes as much work
// as ErrAnonymous.
func (a *Auth) Authorize(ctx context.Context, caller Identity, ns string, r Resource) error {
	rules, err := a.rules.Get(ctx, ns)
	if err != nil {
		return err
	}
	member, scopes := caller.in(ns)
	if granted(rules.inOrder(), member, scopes, r) {
		return nil
	}
	if !member {
		a.Miss(ctx, ns)
		return ErrAnonymous
	}
	return ErrDenied
}

// in returns what a caller is in a namespace: whether one of its accounts, and with
// which scopes.
func (i Identity) in(ns string) (member bool, scopes []string) {
	if i.Namespace != ns || i.ID == "" {
		return false, nil
	}
	return true, i.Scopes
}

// granted applies ordered rules.
func granted(rules []Rule, member bool, scopes []string, r Resource) bool {
	i := decider(rules, member, scopes, r)
	return i >= 0 && !rules[i].Deny
}

// decider returns the first rule that applies, which decides; -1 when none does.
func decider(rules []Rule, member bool, scopes []string, r Resource) int {
	return slices.IndexFunc(rules, func(rule Rule) bool {
		return rule.appliesTo(member, scopes) && matchResource(rule.Resource, r)
	})
}

// appliesTo reports whether a rule is for a caller.
func (r Rule) appliesTo(member bool, scopes []string) bool {
	switch r.Scope {
	case "":
		return true
	case "*":
		return member
	default:
		return member && hasScope(scopes, r.Scope)
	}
}

// hasScope reports whether a scope is among scopes; case does not count.
func hasScope(scopes []string, scope string) bool {
	return slices.ContainsFunc(scopes, func(s string) bool { return strings.EqualFold(s, scope) })
}

func matchResource(pattern string, r Resource) bool {
	typ, rest, _ := strings.Cut(pattern, ":")
	name, endpoint, _ := strings.Cut(rest, ":")
	return (typ == "*" || typ == r.Type) &&
		(name == "*" || name == r.Name) &&
		(endpoint == "*" || endpoint == r.Endpoint || endpoint == r.Class && r.Class != "")
}

// order puts the rules that decide first in front.
func order(rules []Rule) {
	slices.SortFunc(rules, func(a, b Rule) int {
		if c := cmp.Compare(b.Priority, a.Priority); c != 0 {
			return c
		}
		if a.Deny != b.Deny {
			if a.Deny {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.ID, b.ID)
	})
}

// rules are those of a namespace, in memory. They are ordered when they are needed
// first after a change.
type rules struct {
	*store.View[Rule]
	namespace *store.View[namespace] // its record

	mu         sync.Mutex
	generation int64
	ordered    []Rule
}

// openRules reads the rules of a namespace; ErrNotFound when there is no such
// namespace.
func (a *Auth) openRules(ctx context.Context, ns string) (*rules, error) {
	if !IsName(ns) {
		return nil, ErrNotFound
	}
	// No watch is begun for a namespace that somebody has made up.
	rec, revision, err := load[namespace](ctx, a.store, namespaceKey(ns))
	if err != nil {
		return nil, err
	}
	if revision == 0 {
		return nil, ErrNotFound
	}
	if rec.Rules < len(initialRules()) {
		// On a full disk those that are there hold; they grant no more than the others would.
		if err := a.giveRules(ctx, ns); err != nil && !errors.Is(err, store.ErrFull) {
			return nil, fmt.Errorf("give the namespace %s the rules that are new: %w", ns, err)
		}
	}
	record, err := store.NewView(ctx, a.store, namespaceKey(ns), decodeJSON[namespace])
	if err != nil {
		return nil, err
	}
	view, err := store.NewView(ctx, a.store, ruleKey(ns, ""), decodeJSON[Rule])
	if err != nil {
		record.Close()
		return nil, err
	}
	return &rules{View: view, namespace: record}, nil
}

// Err returns an error when the rules are not current, or the namespace was deleted.
func (r *rules) Err() error {
	if err := cmp.Or(r.View.Err(), r.namespace.Err()); err != nil {
		return err
	}
	if _, ok := r.namespace.Get(""); !ok {
		return ErrNotFound
	}
	return nil
}

// Close ends the watches.
func (r *rules) Close() {
	r.View.Close()
	r.namespace.Close()
}

// inOrder returns the rules in the order in which they are tried; the caller must
// not change them.
func (r *rules) inOrder() []Rule {
	r.mu.Lock()
	defer r.mu.Unlock()
	// First the generation: what changes from here on is seen next time again.
	if generation := r.Generation(); generation != r.generation {
		ordered := []Rule{}
		r.Each(func(_ string, rule Rule) bool {
			ordered = append(ordered, rule)
			return true
		})
		order(ordered)
		r.generation, r.ordered = generation, ordered
	}
	return r.ordered
}
