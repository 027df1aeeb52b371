// Package call is what a service knows of a call that it answers, and what of it goes
// along with the calls that it makes while it answers.
//
//	caller ── server ──▶ service ── server ──▶ service
//	           │                      │
//	           │ who calls, proven    │ who calls, proven: the service
//	           │ the id of the request, the trace: as they came
//	                                  │ for whom, as the service says
package call

import (
	"context"
	"crypto/rand"
	"strings"

	"google.golang.org/grpc/metadata"
)

// Names in the metadata of a call. Those of the caller are set by the server, and by
// nobody else; it passes those of the origin on when a service of the same namespace
// has set them.
const (
	keyNamespace   = "micro-namespace"
	keyAccount     = "micro-account"
	keyAccountType = "micro-account-type"
	keyScopes      = "micro-scopes"

	keyOrigin       = "micro-origin-account"
	keyOriginType   = "micro-origin-account-type"
	keyOriginScopes = "micro-origin-scopes"

	keyRequestID = "x-request-id"
)

// maxRequestID is the longest id of a request that is taken from a caller.
const maxRequestID = 128

// Account is who makes a call.
type Account struct {
	ID     string
	Type   string // "user" or "service"
	Scopes []string
}

// Call is what is known of a call that a service answers.
type Call struct {
	Service, Version string // that answers
	Endpoint         string // as Service.Method, or the topic of a message
	Namespace        string
	RequestID        string
	// Caller makes the call, as the server has proven; nil: nobody who is known.
	Caller *Account
	// Origin is for whom a service makes the call, as that says; nil: for itself.
	Origin *Account
}

type key struct{}

// From returns the call that is answered with a context, nil when there is none.
func From(ctx context.Context) *Call {
	c, _ := ctx.Value(key{}).(*Call)
	return c
}

// Incoming returns the context to answer a call with: it knows the call that ctx came
// with. A request without an id gets one.
func Incoming(ctx context.Context, service, version, path string) context.Context {
	return known(ctx, service, version, endpoint(path))
}

// Message is [Incoming] for a message that was published to a topic. Nobody has proven
// who did that.
func Message(ctx context.Context, service, version, topic string) context.Context {
	return known(ctx, service, version, topic)
}

func known(ctx context.Context, service, version, endpoint string) context.Context {
	md, _ := metadata.FromIncomingContext(ctx)
	c := &Call{
		Service: service, Version: version, Endpoint: endpoint,
		Namespace: first(md, keyNamespace),
		RequestID: first(md, keyRequestID),
		Caller:    account(md, keyAccount, keyAccountType, keyScopes),
		Origin:    account(md, keyOrigin, keyOriginType, keyOriginScopes),
	}
	if c.RequestID == "" || len(c.RequestID) > maxRequestID {
		c.RequestID = NewRequestID()
	}
	return context.WithValue(ctx, key{}, c)
}

// Outgoing returns the context for calls that are made with ctx: what goes along of the
// call that is answered with it.
func Outgoing(ctx context.Context) context.Context {
	c := From(ctx)
	if c == nil {
		return ctx
	}
	pairs := make([]string, 0, 8)
	if out, ok := metadata.FromOutgoingContext(ctx); !ok || len(out.Get(keyRequestID)) == 0 {
		pairs = append(pairs, keyRequestID, c.RequestID)
	}
	if a := c.For(); a != nil {
		pairs = append(pairs, keyOrigin, a.ID, keyOriginType, a.Type)
		if len(a.Scopes) > 0 {
			pairs = append(pairs, keyOriginScopes, strings.Join(a.Scopes, ","))
		}
	}
	return metadata.AppendToOutgoingContext(ctx, pairs...)
}

// For returns for whom the call is made: the account that stands at its beginning, nil
// when nobody is known.
func (c *Call) For() *Account {
	if c.Origin != nil {
		return c.Origin
	}
	return c.Caller
}

// NewRequestID returns an id that no other request has.
func NewRequestID() string { return strings.ToLower(rand.Text()[:16]) }

// endpoint returns Service.Method of /package.Service/Method.
func endpoint(path string) string {
	service, method, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return service[strings.LastIndexByte(service, '.')+1:] + "." + method
}

func account(md metadata.MD, id, typ, scopes string) *Account {
	a := &Account{ID: first(md, id), Type: first(md, typ)}
	if a.ID == "" {
		return nil
	}
	if s := first(md, scopes); s != "" {
		a.Scopes = strings.Split(s, ",")
	}
	return a
}

func first(md metadata.MD, name string) string {
	if v := md.Get(name); len(v) > 0 {
		return v[0]
	}
	return ""
}
