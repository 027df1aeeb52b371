package auth

import (
	"context"
	"maps"
	"time"
)

// Auth manages accounts and rules without a context, as Micro 3 had it.
type Auth interface {
	// Generate is [Client.Generate].
	Generate(id string, opts ...GenerateOption) (*Account, error)
	// Verify is [Client.Verify].
	Verify(a *Account, r *Resource) error
	// Inspect is [Client.Inspect].
	Inspect(token string) (*Account, error)
	// Token is [Client.Token].
	Token(opts ...TokenOption) (*AccountToken, error)
	// Grant is [Client.Grant].
	Grant(r *Rule) error
	// Revoke is [Client.Revoke].
	Revoke(r *Rule) error
	// Rules is [Client.Rules].
	Rules() ([]*Rule, error)
	// String returns what it is, "micro".
	String() string
}

// DefaultAuth is what the functions of this package use: the client of [Default], which
// gives up after 10 s. Tests may put another in its place.
var DefaultAuth Auth = standard{} //nolint:gochecknoglobals // the name that services use

// Generate makes an account; see [Client.Generate].
func Generate(id string, opts ...GenerateOption) (*Account, error) {
	return DefaultAuth.Generate(id, opts...)
}

// Verify says whether an account may call a resource; see [Client.Verify].
func Verify(a *Account, r *Resource) error { return DefaultAuth.Verify(a, r) }

// Inspect returns whose a token is; see [Client.Inspect].
func Inspect(token string) (*Account, error) { return DefaultAuth.Inspect(token) }

// Token logs an account in; see [Client.Token].
func Token(opts ...TokenOption) (*AccountToken, error) { return DefaultAuth.Token(opts...) }

// Grant makes a rule; see [Client.Grant].
func Grant(r *Rule) error { return DefaultAuth.Grant(r) }

// Revoke deletes a rule; see [Client.Revoke].
func Revoke(r *Rule) error { return DefaultAuth.Revoke(r) }

// Rules returns the rules of the namespace; see [Client.Rules].
func Rules() ([]*Rule, error) { return DefaultAuth.Rules() }

// GenerateOption says something of an account that is made.
type GenerateOption func(*GenerateOptions)

// GenerateOptions are what the options of an account have set.
type GenerateOptions struct {
	Metadata map[string]string
	Scopes   []string
	Type     string
	Secret   string // at least 8 bytes
	Issuer   string // the namespace; empty: that of the service
	Name     string
}

// NewGenerateOptions returns what options set.
func NewGenerateOptions(opts ...GenerateOption) GenerateOptions {
	var o GenerateOptions
	for _, opt := range opts {
		opt(&o)
	}
	return o
}

// WithSecret sets what the account logs in with.
func WithSecret(s string) GenerateOption { return func(o *GenerateOptions) { o.Secret = s } }

// WithScopes sets the scopes of the account.
func WithScopes(s ...string) GenerateOption { return func(o *GenerateOptions) { o.Scopes = s } }

// WithIssuer sets the namespace of the account.
func WithIssuer(ns string) GenerateOption { return func(o *GenerateOptions) { o.Issuer = ns } }

// WithType sets the type of the account.
func WithType(t string) GenerateOption { return func(o *GenerateOptions) { o.Type = t } }

// WithName sets the name of the account.
func WithName(n string) GenerateOption { return func(o *GenerateOptions) { o.Name = n } }

// WithMetadata says something of the account.
func WithMetadata(md map[string]string) GenerateOption {
	return func(o *GenerateOptions) { o.Metadata = maps.Clone(md) }
}

// TokenOption says for whom a token is, and for how long.
type TokenOption func(*TokenOptions)

// TokenOptions are what the options of a token have set.
type TokenOptions struct {
	ID, Secret   string
	RefreshToken string
	Expiry       time.Duration
	Issuer       string
}

// NewTokenOptions returns what options set.
func NewTokenOptions(opts ...TokenOption) TokenOptions {
	var o TokenOptions
	for _, opt := range opts {
		opt(&o)
	}
	return o
}

// WithCredentials logs in by the id and the secret of an account.
func WithCredentials(id, secret string) TokenOption {
	return func(o *TokenOptions) { o.ID, o.Secret = id, secret }
}

// WithToken goes on with a session by its refresh token.
func WithToken(refresh string) TokenOption { return func(o *TokenOptions) { o.RefreshToken = refresh } }

// WithExpiry says for how long the token is to be good.
func WithExpiry(d time.Duration) TokenOption { return func(o *TokenOptions) { o.Expiry = d } }

// WithTokenIssuer sets the namespace of the account that logs in.
func WithTokenIssuer(ns string) TokenOption { return func(o *TokenOptions) { o.Issuer = ns } }

// timeout bounds what has no context.
const timeout = 10 * time.Second

// standard manages the accounts and rules of the server that runs the service.
type standard struct{}

func (standard) String() string { return "micro" }

// do calls f with the client of the service.
func do[T any](f func(context.Context, *Client) (T, error)) (T, error) {
	c, err := Default()
	if err != nil {
		var zero T
		return zero, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return f(ctx, c)
}

func (standard) Generate(id string, opts ...GenerateOption) (*Account, error) {
	return do(func(ctx context.Context, c *Client) (*Account, error) { return c.Generate(ctx, id, opts...) })
}

func (standard) Verify(a *Account, r *Resource) error {
	_, err := do(func(ctx context.Context, c *Client) (any, error) { return nil, c.Verify(ctx, a, r) })
	return err
}

func (standard) Inspect(token string) (*Account, error) {
	return do(func(ctx context.Context, c *Client) (*Account, error) { return c.Inspect(ctx, token) })
}

func (standard) Token(opts ...TokenOption) (*AccountToken, error) {
	return do(func(ctx context.Context, c *Client) (*AccountToken, error) { return c.Token(ctx, opts...) })
}

func (standard) Grant(r *Rule) error {
	_, err := do(func(ctx context.Context, c *Client) (any, error) { return nil, c.Grant(ctx, r) })
	return err
}

func (standard) Revoke(r *Rule) error {
	_, err := do(func(ctx context.Context, c *Client) (any, error) { return nil, c.Revoke(ctx, r) })
	return err
}

func (standard) Rules() ([]*Rule, error) {
	return do(func(ctx context.Context, c *Client) ([]*Rule, error) { return c.Rules(ctx) })
}
