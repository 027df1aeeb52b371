package server

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/micro/micro/v3/backend/auth"
	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
)

// mayGive returns nil when a caller may give away scopes: nobody can hand out what he
// does not have, and scopes of another namespace are none here.
func (c caller) mayGive(scopes []string) error {
	var own []string
	if c.Namespace == c.namespace {
		own = c.Scopes
	}
	for _, s := range scopes {
		if !slices.Contains(own, s) && !slices.Contains(own, auth.ScopeAdmin) {
			return fmt.Errorf("give away the scope %q: %w", s, auth.ErrDenied)
		}
	}
	return nil
}

func (a *accountsAPI) Update(ctx context.Context, req *authv1.UpdateAccountRequest) (*authv1.UpdateAccountResponse, error) {
	c := callerOf(ctx)
	u := auth.AccountUpdate{Password: req.Password, Disabled: req.Disabled, Metadata: req.GetMetadata()}
	if req.GetScopes() != nil {
		scopes := req.GetScopes().GetScopes()
		u.Scopes = &scopes
	}
	switch {
	case u.Scopes == nil && u.Password == nil && u.Disabled == nil && len(u.Metadata) == 0:
		return nil, invalid("nothing to change of the account %q", req.GetId())
	case u.Password != nil && c.Namespace == c.namespace && c.ID == req.GetId():
		return nil, errOwnPassword
	}
	if err := c.mayGive(req.GetScopes().GetScopes()); err != nil {
		return nil, err
	}
	acc, err := a.auth.UpdateAccount(ctx, c.namespace, req.GetId(), u, func(was auth.Account) error {
		// Who could set the password of an administrator would be one.
		return c.mayGive(was.Scopes)
	})
	if err != nil {
		return nil, fmt.Errorf("account %q: %w", req.GetId(), err)
	}
	return &authv1.UpdateAccountResponse{Account: account(acc)}, nil
}

// errOwnPassword: a stolen token must not be enough to take an account over.
var errOwnPassword = errors.New("your own password is changed with the old one")
