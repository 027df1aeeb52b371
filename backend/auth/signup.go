package auth

import (
	"context"
	"errors"

	"github.com/micro/micro/v3/backend/store"
)

// signup is a namespace that is to be made with its first account.
type signup struct {
	ns, id, password string
	metadata         map[string]string // of the account
	// admit returns what has to hold, and what is done with it, for somebody who may
	// not simply come in; nil: everybody may.
	admit  func(context.Context) (store.Txn, error)
	before func(context.Context) error
	from   *Client // nil: nobody counts
}

// SignupOption says how somebody comes to have a namespace made.
type SignupOption func(*Auth, *signup)

// Before has a function called when all is checked, before the namespace is made; with
// an error of it that is not made.
func Before(f func(context.Context) error) SignupOption {
	return func(_ *Auth, s *signup) { s.before = f }
}

// From has those counted who come from one place. Too many get a [TooManyError].
func From(c Client) SignupOption {
	return func(_ *Auth, s *signup) { s.from = &c }
}

// Signup makes a namespace with its first account, which administers it, and
// logs that in.
func (a *Auth) Signup(ctx context.Context, ns, id, password string, options ...SignupOption) (Session, error) {
	first, err := a.signup(ctx, ns, id, password, options)
	if err != nil {
		return Session{}, err
	}
	return a.openSession(ctx, first)
}

// CreateNamespace makes a namespace with its first account, which administers it.
func (a *Auth) CreateNamespace(ctx context.Context, ns, id, password string) (Account, error) {
	first, err := a.signup(ctx, ns, id, password, nil)
	return first.public(), err
}

func (a *Auth) signup(ctx context.Context, ns, id, password string, options []SignupOption) (held, error) {
	if !IsName(ns) {
		return held{}, invalid("%.200q cannot name a namespace: use 1 to 63 of a-z, 0-9 and '-', beginning and ending with a letter or digit", ns)
	}
	if err := checkNew(id, password); err != nil {
		return held{}, err
	}
	s := signup{ns: ns, id: id, password: password}
	for _, o := range options {
		o(a, &s)
	}
	if s.from != nil {
		if err := a.throttle.takeSignup(*s.from); err != nil {
			return held{}, err
		}
	}
	hash := ""
	for {
		// First what lets him in: who may not come in does not learn which names are taken.
		var t store.Txn
		if s.admit != nil {
			var err error
			if t, err = s.admit(ctx); err != nil {
				return held{}, err
			}
		}
		if err := a.checkFree(ctx, ns); err != nil {
			return held{}, err
		}
		if hash == "" {
			if s.before != nil {
				if err := s.before(ctx); err != nil {
					return held{}, err
				}
			}
			var err error
			if hash, err = a.hash(ctx, password); err != nil {
				return held{}, err
			}
		}
		acc := account{Scopes: []string{ScopeAdmin}, Created: a.now(), Metadata: s.metadata}
		acc.setPassword(hash)
		first, err := a.createNamespace(ctx, ns, id, acc, t)
		if !errors.Is(err, ErrExists) || s.admit == nil {
			return first, err
		}
		// The name is taken, or others came in by the same invitation meanwhile.
		if err := a.checkFree(ctx, ns); err != nil {
			return held{}, err
		}
	}
}

// checkFree returns [ErrExists] when the name of a namespace is taken.
func (a *Auth) checkFree(ctx context.Context, ns string) error {
	for _, key := range []string{namespaceKey(ns), deletingKey(ns)} {
		if _, err := a.store.Get(ctx, key); err == nil {
			return ErrExists
		} else if !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return nil
}
