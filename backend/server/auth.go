package server

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/micro/micro/v3/backend/auth"
	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
)

// authAPI answers micro.auth.v1.Auth.
type authAPI struct {
	authv1.UnimplementedAuthServer
	auth   *auth.Auth
	signup Signup
	mail   mailer
}

func (a *authAPI) Login(ctx context.Context, req *authv1.LoginRequest) (*authv1.LoginResponse, error) {
	s, err := a.auth.Login(ctx, req.GetNamespace(), req.GetUsername(), req.GetPassword(), callerOf(ctx).client())
	if err != nil {
		return nil, err
	}
	return &authv1.LoginResponse{Session: session(s)}, nil
}

func (a *authAPI) Refresh(ctx context.Context, req *authv1.RefreshRequest) (*authv1.RefreshResponse, error) {
	s, err := a.auth.Refresh(ctx, req.GetRefreshToken())
	if err != nil {
		return nil, err
	}
	return &authv1.RefreshResponse{Session: session(s)}, nil
}

func (a *authAPI) Logout(ctx context.Context, req *authv1.LogoutRequest) (*authv1.LogoutResponse, error) {
	return &authv1.LogoutResponse{}, a.auth.Logout(ctx, req.GetRefreshToken())
}

func (a *authAPI) WhoAmI(ctx context.Context, _ *authv1.WhoAmIRequest) (*authv1.WhoAmIResponse, error) {
	return &authv1.WhoAmIResponse{Account: identity(callerOf(ctx).Identity)}, nil
}

func (a *authAPI) ChangePassword(ctx context.Context, req *authv1.ChangePasswordRequest) (*authv1.ChangePasswordResponse, error) {
	c := callerOf(ctx)
	s, err := a.auth.ChangePassword(ctx, c.Namespace, c.ID, req.GetOldPassword(), req.GetNewPassword(), c.client())
	if err != nil {
		return nil, err
	}
	return &authv1.ChangePasswordResponse{Session: session(s)}, nil
}

// accountsAPI answers micro.auth.v1.Accounts.
type accountsAPI struct {
	authv1.UnimplementedAccountsServer
	auth *auth.Auth
}

func (a *accountsAPI) Create(ctx context.Context, req *authv1.CreateAccountRequest) (*authv1.CreateAccountResponse, error) {
	c := callerOf(ctx)
	if err := c.mayGive(req.GetScopes()); err != nil {
		return nil, err
	}
	typ := auth.User
	switch req.GetType() {
	case authv1.AccountType_ACCOUNT_TYPE_UNSPECIFIED, authv1.AccountType_ACCOUNT_TYPE_USER:
	case authv1.AccountType_ACCOUNT_TYPE_SERVICE:
		typ = auth.Service
	default:
		return nil, invalid("the unknown type %d of an account", req.GetType())
	}
	acc, err := a.auth.CreateAccount(ctx, auth.Account{
		ID: req.GetId(), Namespace: c.namespace, Type: typ, Scopes: req.GetScopes(), Metadata: req.GetMetadata(),
	}, req.GetPassword())
	if err != nil {
		return nil, fmt.Errorf("account %q: %w", req.GetId(), err)
	}
	return &authv1.CreateAccountResponse{Account: account(acc)}, nil
}

func (a *accountsAPI) List(ctx context.Context, req *authv1.ListAccountsRequest) (*authv1.ListAccountsResponse, error) {
	ns := callerOf(ctx).namespace
	page, err := listingOf(req, ns)
	if err != nil {
		return nil, err
	}
	accounts, more, err := a.auth.Accounts(ctx, ns, page.after, page.size)
	if err != nil {
		return nil, err
	}
	rsp := &authv1.ListAccountsResponse{}
	for _, acc := range accounts {
		rsp.Accounts = append(rsp.Accounts, account(acc))
	}
	if more {
		rsp.NextPageToken = page.next(accounts[len(accounts)-1].ID)
	}
	return rsp, nil
}

func (a *accountsAPI) Delete(ctx context.Context, req *authv1.DeleteAccountRequest) (*authv1.DeleteAccountResponse, error) {
	if err := a.auth.DeleteAccount(ctx, callerOf(ctx).namespace, req.GetId()); err != nil {
		return nil, fmt.Errorf("account %q: %w", req.GetId(), err)
	}
	return &authv1.DeleteAccountResponse{}, nil
}

// rulesAPI answers micro.auth.v1.Rules.
type rulesAPI struct {
	authv1.UnimplementedRulesServer
	auth *auth.Auth
}

func (r *rulesAPI) Create(ctx context.Context, req *authv1.CreateRuleRequest) (*authv1.CreateRuleResponse, error) {
	in := req.GetRule()
	deny, err := denies(in.GetAccess())
	if err != nil {
		return nil, err
	}
	rule := auth.Rule{ID: in.GetId(), Scope: in.GetScope(), Resource: in.GetResource(), Deny: deny, Priority: in.GetPriority()}
	if err := r.auth.CreateRule(ctx, callerOf(ctx).namespace, rule); err != nil {
		return nil, fmt.Errorf("rule %q: %w", in.GetId(), err)
	}
	return &authv1.CreateRuleResponse{Rule: in}, nil
}

// denies reports whether a rule denies what it is about.
func denies(a authv1.Access) (bool, error) {
	switch a {
	case authv1.Access_ACCESS_GRANTED, authv1.Access_ACCESS_DENIED:
		return a == authv1.Access_ACCESS_DENIED, nil
	default:
		return false, invalid("a rule grants or denies")
	}
}

func (r *rulesAPI) Update(ctx context.Context, req *authv1.UpdateRuleRequest) (*authv1.UpdateRuleResponse, error) {
	var deny bool
	if req.Access != nil {
		var err error
		if deny, err = denies(req.GetAccess()); err != nil {
			return nil, err
		}
	}
	rule, err := r.auth.UpdateRule(ctx, callerOf(ctx).namespace, req.GetId(), func(rule *auth.Rule) {
		if req.Scope != nil {
			rule.Scope = req.GetScope()
		}
		if req.Resource != nil {
			rule.Resource = req.GetResource()
		}
		if req.Access != nil {
			rule.Deny = deny
		}
		if req.Priority != nil {
			rule.Priority = req.GetPriority()
		}
	})
	if err != nil {
		return nil, fmt.Errorf("rule %q: %w", req.GetId(), err)
	}
	return &authv1.UpdateRuleResponse{Rule: ruleMessage(rule)}, nil
}

func (r *rulesAPI) List(ctx context.Context, _ *authv1.ListRulesRequest) (*authv1.ListRulesResponse, error) {
	rules, err := r.auth.Rules(ctx, callerOf(ctx).namespace)
	if err != nil {
		return nil, err
	}
	rsp := &authv1.ListRulesResponse{}
	for _, rule := range rules {
		rsp.Rules = append(rsp.Rules, ruleMessage(rule))
	}
	return rsp, nil
}

func (r *rulesAPI) Delete(ctx context.Context, req *authv1.DeleteRuleRequest) (*authv1.DeleteRuleResponse, error) {
	if err := r.auth.DeleteRule(ctx, callerOf(ctx).namespace, req.GetId()); err != nil {
		return nil, fmt.Errorf("rule %q: %w", req.GetId(), err)
	}
	return &authv1.DeleteRuleResponse{}, nil
}

func session(s auth.Session) *authv1.Session {
	out := &authv1.Session{
		AccessToken:   s.Access,
		AccessExpires: timestamppb.New(s.AccessExpires),
		RefreshToken:  s.Refresh,
		Account:       account(s.Account),
	}
	if !s.RefreshExpires.IsZero() {
		out.RefreshExpires = timestamppb.New(s.RefreshExpires)
	}
	return out
}

func account(a auth.Account) *authv1.Account {
	return &authv1.Account{
		Id:        a.ID,
		Namespace: a.Namespace,
		Type:      accountType(a.Type),
		Scopes:    a.Scopes,
		Created:   timestamppb.New(a.Created),
		Disabled:  a.Disabled,
		Metadata:  a.Metadata,
	}
}

func accountType(t auth.Type) authv1.AccountType {
	switch t {
	case auth.User:
		return authv1.AccountType_ACCOUNT_TYPE_USER
	case auth.Service:
		return authv1.AccountType_ACCOUNT_TYPE_SERVICE
	default:
		return authv1.AccountType_ACCOUNT_TYPE_UNSPECIFIED
	}
}
