package auth

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/micro/micro/v3/backend/store"
)

// ErrDefaultNamespace is returned when the default namespace should go: who runs the
// server has his accounts there.
var ErrDefaultNamespace = errors.New("the namespace " + DefaultNamespace + " cannot be deleted")

// Namespace owns accounts, rules and everything else.
type Namespace struct {
	Name     string
	Created  time.Time
	Deleting bool // nobody can log in any more, and the name is not free yet
}

// namespace is the record of a Namespace.
type namespace struct {
	Created time.Time `json:"created"`
	// Epoch is in the access tokens of the namespace: those of one that was deleted
	// are void in the next one of its name.
	Epoch string `json:"epoch,omitempty"`
	// Rules is how many of the initial rules it was given; 0 when it was made before
	// they were counted.
	Rules int `json:"rules,omitempty"`
}

// epoch returns the epoch of a namespace; [ErrNotFound] when there is none.
func (a *Auth) epoch(ctx context.Context, ns string) (string, error) {
	rules, err := a.rules.Get(ctx, ns)
	if err != nil {
		return "", err
	}
	rec, ok := rules.namespace.Get("")
	if !ok {
		return "", ErrNotFound
	}
	return rec.Epoch, nil
}

func deletingKey(ns string) string { return deletingPrefix + ns }

// createNamespace makes a namespace with its first account, in one transaction with
// what else is to be done. [ErrExists] when a condition of that does not hold, too.
func (a *Auth) createNamespace(ctx context.Context, ns, id string, acc account, t store.Txn) (held, error) {
	initial := initialRules()
	t.If = append(t.If, store.Cond{Key: namespaceKey(ns)}, store.Cond{Key: deletingKey(ns)})
	t.Do = append(
		t.Do,
		store.Put(namespaceKey(ns), encodeJSON(namespace{acc.Created, randomID(), len(initial)})),
		store.Put(accountKey(ns, id), encodeJSON(acc)),
		store.Put(indexPrefix+ns, nil))
	for _, r := range initial {
		t.Do = append(t.Do, store.Put(ruleKey(ns, r.ID), encodeJSON(r)))
	}
	revision, err := a.store.Txn(ctx, t)
	if errors.Is(err, store.ErrConflict) {
		return held{}, ErrExists
	}
	return held{acc, ns, id, revision}, err
}

// Namespaces returns the names of all namespaces, ordered.
func (a *Auth) Namespaces(ctx context.Context) ([]string, error) { return a.names(ctx, indexPrefix) }

// Deleting returns the names of the namespaces that are being deleted.
func (a *Auth) Deleting(ctx context.Context) ([]string, error) { return a.names(ctx, deletingPrefix) }

// names returns what comes after a prefix in the keys that have it.
func (a *Auth) names(ctx context.Context, prefix string) ([]string, error) {
	var names []string
	for r, err := range a.store.Range(ctx, store.Prefix(prefix)) {
		if err != nil {
			return nil, err
		}
		names = append(names, strings.TrimPrefix(r.Key, prefix))
	}
	return names, nil
}

// Namespace returns what is known of a namespace; [ErrNotFound] when there is none.
func (a *Auth) Namespace(ctx context.Context, ns string) (Namespace, error) {
	if !IsName(ns) {
		return Namespace{}, ErrNotFound
	}
	rec, revision, err := load[namespace](ctx, a.store, namespaceKey(ns))
	if err != nil {
		return Namespace{}, err
	}
	if revision != 0 {
		return Namespace{Name: ns, Created: rec.Created}, nil
	}
	if _, err := a.store.Get(ctx, deletingKey(ns)); errors.Is(err, store.ErrNotFound) {
		return Namespace{}, ErrNotFound
	} else if err != nil {
		return Namespace{}, err
	}
	return Namespace{Name: ns, Deleting: true}, nil
}

// Condition returns a condition that holds for as long as a namespace is as it is, for
// what must not be left behind by it; [ErrNotFound] when there is none.
func (a *Auth) Condition(ctx context.Context, ns string) (store.Cond, error) {
	r, err := a.store.Get(ctx, namespaceKey(ns))
	if errors.Is(err, store.ErrNotFound) {
		err = ErrNotFound
	}
	return store.Cond{Key: namespaceKey(ns), Revision: r.Revision}, err
}

// NamespacesAfter returns at most limit namespaces whose names come after the given
// one, ordered by name, and whether there are more.
func (a *Auth) NamespacesAfter(ctx context.Context, after string, limit int) (list []Namespace, more bool, err error) {
	r := store.Prefix(indexPrefix)
	r.Limit = limit + 1
	if after != "" {
		r.Start = indexPrefix + after + "\x00"
	}
	var names []string
	for rec, err := range a.store.Range(ctx, r) {
		if err != nil {
			return nil, false, err
		}
		names = append(names, strings.TrimPrefix(rec.Key, indexPrefix))
	}
	if more = len(names) > limit; more {
		names = names[:limit]
	}
	for _, name := range names {
		ns, err := a.Namespace(ctx, name)
		switch {
		case errors.Is(err, ErrNotFound): // in between
		case err != nil:
			return nil, false, err
		default:
			list = append(list, ns)
		}
	}
	return list, more, nil
}

// CloseNamespace begins to delete a namespace: nobody is somebody there any more, and
// nobody can make it anew before [Auth.PurgeNamespace]. It is no error when that has
// begun already; [ErrNotFound] when there is none of that name.
func (a *Auth) CloseNamespace(ctx context.Context, ns string) error {
	if ns == DefaultNamespace {
		return ErrDefaultNamespace
	}
	for {
		was, err := a.Namespace(ctx, ns)
		if err != nil || was.Deleting {
			return err
		}
		rules, err := a.rules.Get(ctx, ns)
		if errors.Is(err, ErrNotFound) {
			continue // somebody else has closed it
		}
		if err != nil {
			return err
		}
		_, revision, err := load[namespace](ctx, a.store, namespaceKey(ns))
		if err != nil {
			return err
		}
		revision, err = a.store.Txn(ctx, store.Txn{
			If: []store.Cond{{Key: namespaceKey(ns), Revision: revision}},
			Do: []store.Op{store.Delete(namespaceKey(ns)), store.Put(deletingKey(ns), nil)},
		})
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		if err != nil {
			return err
		}
		if err := rules.namespace.Wait(ctx, revision); rules.namespace.Err() == nil {
			return err
		}
		return nil // whoever asks now reads it anew
	}
}

// PurgeNamespace deletes every record of a namespace that is closed, and frees its
// name. Whoever else writes there must have ended.
func (a *Auth) PurgeNamespace(ctx context.Context, ns string) error {
	for {
		r := store.Prefix(ns + "/")
		r.Limit, r.KeysOnly = store.MaxOps, true
		var t store.Txn
		for rec, err := range a.store.Range(ctx, r) {
			if err != nil {
				return err
			}
			t.Do = append(t.Do, store.Delete(rec.Key))
		}
		if len(t.Do) == 0 {
			break
		}
		if _, err := a.store.Txn(ctx, t); err != nil {
			return err
		}
	}
	_, err := a.store.Txn(ctx, store.Txn{Do: []store.Op{store.Delete(indexPrefix + ns), store.Delete(deletingKey(ns))}})
	return err
}
