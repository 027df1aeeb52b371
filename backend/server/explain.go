package server

import (
	"cmp"
	"context"
	"fmt"

	"github.com/micro/micro/v3/backend/auth"
	"github.com/micro/micro/v3/backend/proxy"
	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
)

func (r *rulesAPI) Explain(ctx context.Context, req *authv1.ExplainRequest) (*authv1.ExplainResponse, error) {
	c := callerOf(ctx)
	res := auth.Resource{
		Type:     cmp.Or(req.GetType(), "service"),
		Name:     cmp.Or(req.GetName(), "*"),
		Endpoint: req.GetEndpoint(),
	}
	if res.Endpoint == "" {
		return nil, invalid("no endpoint to explain the access to")
	}
	res.Class = classOf(res)
	id, acc, err := r.whoCalls(ctx, c, req)
	if err != nil {
		return nil, err
	}
	d, err := r.auth.Explain(ctx, id, c.namespace, res)
	if err != nil {
		return nil, err
	}
	rsp := &authv1.ExplainResponse{
		Allowed:  d.Allowed,
		Reason:   d.Reason,
		Resource: res.Type + ":" + res.Name + ":" + res.Endpoint,
		Class:    res.Class,
		Account:  acc,
	}
	if d.Rule != nil {
		rsp.Rule = ruleMessage(*d.Rule)
	}
	for _, p := range d.Passed {
		rsp.Passed = append(rsp.Passed, &authv1.PassedRule{Rule: ruleMessage(p.Rule), Reason: p.Reason})
	}
	if acc.GetDisabled() {
		rsp.Allowed, rsp.Reason = false, fmt.Sprintf("the account %q is disabled", acc.GetId())
	}
	return rsp, nil
}

// whoCalls returns who a request to explain a call is about; no account for somebody
// who is not logged in.
func (r *rulesAPI) whoCalls(ctx context.Context, c caller, req *authv1.ExplainRequest) (auth.Identity, *authv1.Account, error) {
	switch who := req.GetCaller().(type) {
	case *authv1.ExplainRequest_Account:
		acc, err := r.auth.Account(ctx, c.namespace, who.Account)
		if err != nil {
			return auth.Identity{}, nil, fmt.Errorf("account %q: %w", who.Account, err)
		}
		return auth.Identity{ID: acc.ID, Namespace: acc.Namespace, Type: acc.Type, Scopes: acc.Scopes}, account(acc), nil
	case *authv1.ExplainRequest_Service:
		if !auth.IsName(who.Service) {
			return auth.Identity{}, nil, invalid("%q cannot name a service", who.Service)
		}
		id := auth.Identity{ID: who.Service, Namespace: c.namespace, Type: auth.Service, Scopes: []string{auth.ScopeService}}
		return id, identity(id), nil
	case *authv1.ExplainRequest_Anonymous:
		return auth.Identity{}, nil, nil
	default:
		return c.Identity, identity(c.Identity), nil
	}
}

// classOf returns the class of one of the server's own methods, as a rule sees it.
func classOf(r auth.Resource) string {
	for path, a := range methods() {
		grpcService, m, err := proxy.SplitPath(path)
		if err == nil && a.typ == r.Type && proxy.Endpoint(grpcService, m) == r.Endpoint {
			return a.class
		}
	}
	return ""
}

func ruleMessage(r auth.Rule) *authv1.Rule {
	out := &authv1.Rule{
		Id:       r.ID,
		Scope:    r.Scope,
		Resource: r.Resource,
		Access:   authv1.Access_ACCESS_GRANTED,
		Priority: r.Priority,
	}
	if r.Deny {
		out.Access = authv1.Access_ACCESS_DENIED
	}
	return out
}

// identity returns the account of somebody who has proven who he is.
func identity(id auth.Identity) *authv1.Account {
	return &authv1.Account{Id: id.ID, Namespace: id.Namespace, Type: accountType(id.Type), Scopes: id.Scopes}
}
