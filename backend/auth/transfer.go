package auth

import (
	"context"
	"strings"

	"github.com/micro/micro/v3/backend/store"
)

// ExportRule returns the rule that is in a record of a namespace, and false for a record
// of something else.
func ExportRule(ns string, rec store.Record) (Rule, bool, error) {
	if !strings.HasPrefix(rec.Key, ruleKey(ns, "")) {
		return Rule{}, false, nil
	}
	r, err := decodeJSON[Rule](rec)
	return r, true, err
}

// ReplaceRules adds rules at once, in the place of those with the same ids. They hold
// for the next call when it returns. [ErrNotFound] when there is no such namespace.
func (a *Auth) ReplaceRules(ctx context.Context, ns string, rules []Rule) error {
	if exists, err := a.Exists(ctx, ns); err != nil {
		return err
	} else if !exists {
		return ErrNotFound
	}
	var t store.Txn
	for _, r := range rules {
		if err := r.check(); err != nil {
			return err
		}
		t.Do = append(t.Do, store.Put(ruleKey(ns, r.ID), encodeJSON(r)))
	}
	revision, err := a.store.Txn(ctx, t)
	if err != nil || len(rules) == 0 {
		return err
	}
	return a.rules.Wait(ctx, ns, revision)
}
