package auth

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
	"github.com/micro/micro/v3/service/internal/platform"
)

// Scopes of a [Rule] that are no names.
const (
	ScopePublic  = ""  // everybody
	ScopeAccount = "*" // any account of the namespace
)

// Resource is what can be called.
type Resource struct {
	Type     string `json:"type"` // "service", or the name of one of the server's APIs
	Name     string `json:"name"`
	Endpoint string `json:"endpoint"` // as "Service.Method"
}

func (r *Resource) String() string { return r.Type + ":" + r.Name + ":" + r.Endpoint }

// Access is what a [Rule] decides.
type Access int

// The decisions.
const (
	AccessGranted Access = iota
	AccessDenied
)

// Rule grants or denies a scope the use of resources. Of those that match a call the
// ones with the highest priority decide, and among these a denial.
type Rule struct {
	ID       string
	Scope    string
	Resource *Resource // "*" stands for any value of a part
	Access   Access
	Priority int32
}

// AccountToken is what an account is logged in with.
type AccountToken struct {
	AccessToken  string    `json:"access_token"`
	RefreshToken string    `json:"refresh_token"` // empty: the access token lasts by itself
	Created      time.Time `json:"created"`
	Expiry       time.Time `json:"expiry"`
}

// Expired reports whether the access token is not good any more.
func (t *AccountToken) Expired() bool { return !time.Now().Before(t.Expiry) }

// Client manages accounts and rules. It is safe for concurrent use.
type Client struct{ conn grpc.ClientConnInterface }

// New returns a client on a connection to a server. Who calls is the connection's
// business.
func New(conn grpc.ClientConnInterface) *Client { return &Client{conn} }

// Default returns the client that the functions of this package use, which calls as the
// service.
func Default() (*Client, error) {
	conn, err := platform.Conn()
	if err != nil {
		return nil, err
	}
	return New(conn), nil
}

// in returns a context for calls in a namespace; the empty one is the connection's.
func in(ctx context.Context, ns string) context.Context {
	if ns == "" {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, "micro-namespace", ns)
}

// with returns a context for calls with a token, in the place of the connection's.
func with(ctx context.Context, token string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
}

// Generate makes an account. Its secret is what [WithSecret] says, else a random one. The
// server keeps the id, the secret and the scopes; the rest of what the options say is in
// the answer alone.
func (c *Client) Generate(ctx context.Context, id string, opts ...GenerateOption) (*Account, error) {
	o := NewGenerateOptions(opts...)
	if o.Secret == "" {
		o.Secret = strings.ToLower(rand.Text())
	}
	rsp, err := authv1.NewAccountsClient(c.conn).Create(in(ctx, o.Issuer), &authv1.CreateAccountRequest{Id: id, Password: o.Secret, Scopes: o.Scopes})
	if err != nil {
		return nil, fmt.Errorf("auth: make account %q: %w", id, err)
	}
	a := fromProto(rsp.GetAccount())
	a.Secret, a.Metadata = o.Secret, maps.Clone(o.Metadata)
	if o.Name != "" {
		a.Name = o.Name
	}
	if o.Type != "" {
		a.Type = o.Type
	}
	return a, nil
}

// Token logs an account in, by [WithCredentials], or goes on with its session by
// [WithToken]. [ErrInvalidToken] when they prove nothing.
//
// An access token is good for some minutes. With a longer [WithExpiry] and credentials it
// is an API token of the account, which is good for as long.
func (c *Client) Token(ctx context.Context, opts ...TokenOption) (*AccountToken, error) {
	o := NewTokenOptions(opts...)
	api := authv1.NewAuthClient(c.conn)
	var s *authv1.Session
	var err error
	if o.RefreshToken != "" {
		var rsp *authv1.RefreshResponse
		rsp, err = api.Refresh(ctx, &authv1.RefreshRequest{RefreshToken: o.RefreshToken})
		s = rsp.GetSession()
	} else {
		var rsp *authv1.LoginResponse
		rsp, err = api.Login(ctx, &authv1.LoginRequest{Namespace: o.Issuer, Username: o.ID, Password: o.Secret})
		s = rsp.GetSession()
	}
	if err != nil {
		return nil, fmt.Errorf("auth: get a token: %w", invalidToken(err))
	}
	t := &AccountToken{
		AccessToken: s.GetAccessToken(), RefreshToken: s.GetRefreshToken(),
		Created: time.Now(), Expiry: s.GetAccessExpires().AsTime(),
	}
	if until := t.Created.Add(o.Expiry); o.RefreshToken == "" && until.After(t.Expiry) {
		return c.longToken(with(ctx, t.AccessToken), s, until)
	}
	return t, nil
}

// longToken makes an API token of the account that is logged in by a session.
func (c *Client) longToken(ctx context.Context, s *authv1.Session, until time.Time) (*AccountToken, error) {
	rsp, err := authv1.NewTokensClient(c.conn).Create(ctx, &authv1.CreateTokenRequest{
		Name: strings.ToLower(rand.Text()), Scopes: s.GetAccount().GetScopes(), Expires: timestamppb.New(until),
	})
	if err != nil {
		return nil, fmt.Errorf("auth: get a token: %w", err)
	}
	return &AccountToken{AccessToken: rsp.GetSecret(), Created: time.Now(), Expiry: rsp.GetToken().GetExpires().AsTime()}, nil
}

// Inspect returns the account that a token was given to, or [ErrInvalidToken].
func (c *Client) Inspect(ctx context.Context, token string) (*Account, error) {
	rsp, err := authv1.NewAuthClient(c.conn).WhoAmI(with(ctx, token), &authv1.WhoAmIRequest{})
	if err != nil {
		return nil, fmt.Errorf("auth: inspect a token: %w", invalidToken(err))
	}
	return fromProto(rsp.GetAccount()), nil
}

// Verify returns nil when the rules of the namespace let an account call a resource, and
// [ErrForbidden] when they do not. A nil account is nobody.
func (c *Client) Verify(ctx context.Context, a *Account, r *Resource) error {
	req := &authv1.ExplainRequest{Type: r.Type, Name: r.Name, Endpoint: r.Endpoint, Caller: &authv1.ExplainRequest_Anonymous{Anonymous: true}}
	if a != nil {
		req.Caller = &authv1.ExplainRequest_Account{Account: a.ID}
	}
	rsp, err := authv1.NewRulesClient(c.conn).Explain(ctx, req)
	if err != nil {
		return fmt.Errorf("auth: verify access to %s: %w", r, err)
	}
	if !rsp.GetAllowed() {
		return fmt.Errorf("auth: %s: %w: %s", r, ErrForbidden, rsp.GetReason())
	}
	return nil
}

// Grant makes a rule.
func (c *Client) Grant(ctx context.Context, r *Rule) error {
	access := authv1.Access_ACCESS_GRANTED
	if r.Access == AccessDenied {
		access = authv1.Access_ACCESS_DENIED
	}
	_, err := authv1.NewRulesClient(c.conn).Create(ctx, &authv1.CreateRuleRequest{Rule: &authv1.Rule{
		Id: r.ID, Scope: r.Scope, Resource: r.Resource.String(), Access: access, Priority: r.Priority,
	}})
	if err != nil {
		return fmt.Errorf("auth: make rule %q: %w", r.ID, err)
	}
	return nil
}

// Revoke deletes a rule.
func (c *Client) Revoke(ctx context.Context, r *Rule) error {
	if _, err := authv1.NewRulesClient(c.conn).Delete(ctx, &authv1.DeleteRuleRequest{Id: r.ID}); err != nil {
		return fmt.Errorf("auth: delete rule %q: %w", r.ID, err)
	}
	return nil
}

// Rules returns the rules of the namespace in the order in which they are tried.
func (c *Client) Rules(ctx context.Context) ([]*Rule, error) {
	rsp, err := authv1.NewRulesClient(c.conn).List(ctx, &authv1.ListRulesRequest{})
	if err != nil {
		return nil, fmt.Errorf("auth: list rules: %w", err)
	}
	var rules []*Rule
	for _, r := range rsp.GetRules() {
		parts := append(strings.SplitN(r.GetResource(), ":", 3), "", "", "")
		rule := &Rule{ID: r.GetId(), Scope: r.GetScope(), Priority: r.GetPriority(), Resource: &Resource{Type: parts[0], Name: parts[1], Endpoint: parts[2]}}
		if r.GetAccess() == authv1.Access_ACCESS_DENIED {
			rule.Access = AccessDenied
		}
		rules = append(rules, rule)
	}
	return rules, nil
}

func fromProto(a *authv1.Account) *Account {
	out := &Account{ID: a.GetId(), Name: a.GetId(), Issuer: a.GetNamespace(), Scopes: slices.Clone(a.GetScopes()), Type: "user"}
	if a.GetType() == authv1.AccountType_ACCOUNT_TYPE_SERVICE {
		out.Type = "service"
	}
	return out
}

// invalidToken makes ErrInvalidToken of the status that says so.
func invalidToken(err error) error {
	if status.Code(err) == codes.Unauthenticated {
		return ErrInvalidToken
	}
	return err
}
