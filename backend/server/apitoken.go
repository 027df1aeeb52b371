package server

import (
	"cmp"
	"context"
	"fmt"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/micro/micro/v3/backend/auth"
	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
)

// tokensAPI answers micro.auth.v1.Tokens. Tokens are those of the caller's own
// namespace, wherever he calls.
type tokensAPI struct {
	authv1.UnimplementedTokensServer
	auth *auth.Auth
}

func (t *tokensAPI) Create(ctx context.Context, req *authv1.CreateTokenRequest) (*authv1.CreateTokenResponse, error) {
	c := callerOf(ctx)
	token := auth.APIToken{Name: req.GetName(), Account: req.GetAccount(), Scopes: req.GetScopes()}
	if token.Account != "" && token.Account != c.ID {
		if err := t.manages(ctx, c); err != nil {
			return nil, fmt.Errorf("make a token of another account: %w", err)
		}
		home := caller{Identity: c.Identity, namespace: c.Namespace}
		if err := home.mayGive(req.GetScopes()); err != nil {
			return nil, err
		}
	}
	if req.GetExpires() != nil {
		if err := req.GetExpires().CheckValid(); err != nil {
			return nil, invalid("expires: %v", err)
		}
		token.Expires = req.GetExpires().AsTime()
	}
	made, secret, err := t.auth.CreateAPIToken(ctx, c.Identity, token)
	if err != nil {
		return nil, fmt.Errorf("token %q: %w", req.GetName(), err)
	}
	return &authv1.CreateTokenResponse{Token: apiToken(made), Secret: secret}, nil
}

func (t *tokensAPI) List(ctx context.Context, req *authv1.ListTokensRequest) (*authv1.ListTokensResponse, error) {
	c := callerOf(ctx)
	account := c.ID
	if req.GetAll() {
		if err := t.manages(ctx, c); err != nil {
			return nil, fmt.Errorf("list the tokens of others: %w", err)
		}
		account = ""
	} else if c.Type != auth.User {
		return &authv1.ListTokensResponse{}, nil // a service is called like an account, and is none
	}
	page, err := listingOf(req, c.Namespace, account)
	if err != nil {
		return nil, err
	}
	tokens, more, err := t.auth.APITokens(ctx, c.Namespace, account, page.after, page.size)
	if err != nil {
		return nil, err
	}
	rsp := &authv1.ListTokensResponse{}
	for _, tok := range tokens {
		rsp.Tokens = append(rsp.Tokens, apiToken(tok))
	}
	if more {
		last := tokens[len(tokens)-1]
		rsp.NextPageToken = page.next(last.Account + "/" + last.Name)
	}
	return rsp, nil
}

func (t *tokensAPI) Delete(ctx context.Context, req *authv1.DeleteTokenRequest) (*authv1.DeleteTokenResponse, error) {
	c := callerOf(ctx)
	account := cmp.Or(req.GetAccount(), c.ID)
	if account != c.ID || c.Type != auth.User {
		if err := t.manages(ctx, c); err != nil {
			return nil, fmt.Errorf("delete the token of another account: %w", err)
		}
	}
	if err := t.auth.DeleteAPIToken(ctx, c.Namespace, account, req.GetName()); err != nil {
		return nil, fmt.Errorf("token %q: %w", req.GetName(), err)
	}
	return &authv1.DeleteTokenResponse{}, nil
}

// manages returns nil when a caller may change the accounts of its own namespace.
func (t *tokensAPI) manages(ctx context.Context, c caller) error {
	return t.auth.Authorize(ctx, c.Identity, c.Namespace, auth.Resource{
		Type: "auth", Name: "*", Endpoint: "Accounts.Update", Class: auth.Write,
	})
}

func apiToken(t auth.APIToken) *authv1.Token {
	out := &authv1.Token{
		Name:    t.Name,
		Account: t.Account,
		Scopes:  t.Scopes,
		Created: timestamppb.New(t.Created),
	}
	if !t.Expires.IsZero() {
		out.Expires = timestamppb.New(t.Expires)
	}
	return out
}
