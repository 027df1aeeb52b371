// Package auth knows who calls a service, and manages who may.
//
//	account, ok := auth.AccountFromContext(ctx)
//
// Who calls is proven by the server before a call reaches the service, and so is that
// it may be made at all: see the rules of the namespace. What is left to the service is
// what it does for whom.
//
// [Client] and the functions below manage accounts and rules, with the rights of the
// service: those take a rule of the namespace, since a service has none of that kind to
// begin with.
package auth

import (
	"context"
	"errors"
	"slices"

	"github.com/micro/micro/v3/service/internal/call"
)

// Errors that callers tell apart with [errors.Is].
var (
	// ErrInvalidToken: the token proves nothing, or not any more.
	ErrInvalidToken = errors.New("the token is not valid")
	// ErrForbidden: the account may not.
	ErrForbidden = errors.New("not allowed")
)

// Account is somebody or something that can be logged in.
type Account struct {
	ID       string            `json:"id"`
	Type     string            `json:"type"`   // "user" or "service"
	Issuer   string            `json:"issuer"` // the namespace that it belongs to
	Metadata map[string]string `json:"metadata"`
	Scopes   []string          `json:"scopes"` // what rules may grant to it by name
	Secret   string            `json:"secret"` // only of an account that was just made
	Name     string            `json:"name"`
}

// HasScope reports whether the account has a scope.
func (a *Account) HasScope(scope string) bool { return slices.Contains(a.Scopes, scope) }

type accountKey struct{}

// ContextWithAccount returns a context of which [AccountFromContext] returns an account.
func ContextWithAccount(ctx context.Context, a *Account) context.Context {
	return context.WithValue(ctx, accountKey{}, a)
}

// AccountFromContext returns for whom a call is made: the account that stands at its
// beginning. Where that called the service itself, the server has proven it; where
// another service is between, the server has proven who that is, and it says for whom
// it calls. Services of a namespace trust each other so far. It reports false when
// nobody is known, or somebody of another namespace.
func AccountFromContext(ctx context.Context) (*Account, bool) {
	if a, ok := ctx.Value(accountKey{}).(*Account); ok {
		return a, a != nil
	}
	c := call.From(ctx)
	if c == nil {
		return nil, false
	}
	return account(c, c.For())
}

// CallerFromContext returns who has made a call, as the server has proven: the service
// that is before this one, or who calls it without one between.
func CallerFromContext(ctx context.Context) (*Account, bool) {
	c := call.From(ctx)
	if c == nil {
		return nil, false
	}
	return account(c, c.Caller)
}

func account(c *call.Call, a *call.Account) (*Account, bool) {
	if a == nil {
		return nil, false
	}
	return &Account{ID: a.ID, Name: a.ID, Type: a.Type, Issuer: c.Namespace, Scopes: slices.Clone(a.Scopes)}, true
}
