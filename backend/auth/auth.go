// Package auth knows the accounts of every namespace, opens their sessions and
// decides what a caller may do. It is logic over a [store.Store].
//
//	NAMESPACE/auth/namespace          that it exists
//	NAMESPACE/auth/account/ID         who can log in
//	NAMESPACE/auth/session/ID         a chain of refresh tokens
//	NAMESPACE/auth/token/ID           an API token
//	NAMESPACE/auth/revoked/ID         a session whose access tokens are void before their time
//	NAMESPACE/auth/instance/ID        a running instance that has an identity
//	NAMESPACE/auth/rule/ID            who may call what
//	$system/auth/namespace/NAMESPACE  that it exists, to find them all
//	$system/auth/deleting/NAMESPACE   that it goes, with all that it owns
//	$system/auth/key/ID               what tokens are signed with, encrypted
//
// It does not know protocols: [backend/server] turns its errors into statuses.
package auth

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/micro/micro/v3/backend/store"
)

// Errors that callers tell apart with [errors.Is].
var (
	// ErrCredentials: account and password, or a token, prove nothing.
	ErrCredentials = errors.New("wrong credentials")
	// ErrExpired: the token was good once.
	ErrExpired = errors.New("the token has expired")
	// ErrRevoked: the session was ended, or somebody used a copy of its token.
	ErrRevoked = errors.New("the session was revoked")
	// ErrAnonymous: what was asked for needs an account and the caller has none here.
	ErrAnonymous = errors.New("not logged in")
	// ErrDenied: the caller's account may not do it.
	ErrDenied = errors.New("not allowed")
	// ErrNotFound: there is no account or rule of that name.
	ErrNotFound = errors.New("not found")
	// ErrExists: the name is taken.
	ErrExists = errors.New("exists already")
	// ErrInvalid marks a request that can never succeed; its text says why.
	ErrInvalid = errors.New("invalid")
	// ErrLastAdmin: without this account nobody could manage the namespace.
	ErrLastAdmin = errors.New("the last account with the scope admin")
)

// DefaultNamespace is there on every server.
const DefaultNamespace = "micro"

// Scopes with a meaning of their own in the rules of a new namespace.
const (
	ScopeAdmin   = "admin"   // manages the namespace
	ScopeService = "service" // what running instances have
)

// AccessTTL is how long access tokens are good unless told otherwise.
const AccessTTL = 10 * time.Minute

const (
	refreshTTL = 30 * 24 * time.Hour
	// A client that was cut off after its refresh, or two that refresh at once,
	// may present the token before the current one for so long.
	refreshGrace = 30 * time.Second
	// revokedSlack is how much longer than its access tokens a session is known to
	// be revoked, in case that the clock is set back.
	revokedSlack = time.Hour
)

// Config is what [Open] needs.
type Config struct {
	Store store.Store
	// MasterKey has 32 bytes. It encrypts signing keys at rest and is part of
	// every refresh token; who has it has every account.
	MasterKey []byte
	// AccessTTL is how long an access token is good; [AccessTTL] when 0.
	AccessTTL time.Duration
	// Now tells the time; time.Now when nil.
	Now func() time.Time
}

// Auth answers who a caller is and what it may do. All methods are safe for
// concurrent use.
type Auth struct {
	store   store.Store
	secrets secrets
	now     func() time.Time
	ttl     time.Duration // of access tokens
	tokens  *tokens

	throttle *throttle     // of wrong passwords
	hashing  chan struct{} // one place for each password that may be hashed at once

	// What is held in memory of the namespaces in use.
	rules     *store.Views[*rules]
	revoked   *store.Views[*store.View[struct{}]]
	apiTokens *store.Views[*store.View[apiToken]] // by their ids
	accounts  *store.Views[*store.View[account]]  // where API tokens are in use
}

// Open reads the signing keys, and makes the first one in an empty store.
// Close it before the store.
func Open(ctx context.Context, c Config) (*Auth, error) {
	secrets, err := newSecrets(c.MasterKey)
	if err != nil {
		return nil, err
	}
	a := &Auth{
		store:   c.Store,
		secrets: secrets,
		now:     c.Now,
		ttl:     cmp.Or(c.AccessTTL, AccessTTL),
		hashing: make(chan struct{}, hashesAtOnce()),
	}
	if a.now == nil {
		a.now = time.Now
	}
	a.throttle = newThrottle(a.now)
	a.rules = store.NewViews(a.openRules)
	a.revoked = store.NewViews(func(ctx context.Context, ns string) (*store.View[struct{}], error) {
		return store.NewView(ctx, a.store, revokedKey(ns, ""), func(store.Record) (struct{}, error) { return struct{}{}, nil })
	})
	a.apiTokens = store.NewViews(func(ctx context.Context, ns string) (*store.View[apiToken], error) {
		return store.NewView(ctx, a.store, apiTokenKey(ns, ""), decodeJSON[apiToken])
	})
	a.accounts = store.NewViews(func(ctx context.Context, ns string) (*store.View[account], error) {
		return store.NewView(ctx, a.store, accountKey(ns, ""), decodeJSON[account])
	})
	if a.tokens, err = openTokens(ctx, a); err != nil {
		return nil, err
	}
	return a, nil
}

// Close ends the watches.
func (a *Auth) Close() error {
	a.rules.Close()
	a.revoked.Close()
	a.apiTokens.Close()
	a.accounts.Close()
	a.tokens.close()
	return nil
}

// Exists reports whether there is a namespace of that name. It is as much work when there
// is as when there is none.
func (a *Auth) Exists(ctx context.Context, ns string) (bool, error) {
	if !IsName(ns) {
		return false, nil
	}
	_, err := a.store.Get(ctx, namespaceKey(ns))
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Known is [Auth.Exists] from memory, for what is done often. Who must not learn that
// there is a namespace is told so after [Auth.Miss].
func (a *Auth) Known(ctx context.Context, ns string) (bool, error) {
	_, err := a.rules.Get(ctx, ns)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Miss is as much work as it is to find that there is no namespace of a name. It is done
// before a stranger is told that there is nothing for him in a namespace that there is.
func (a *Auth) Miss(ctx context.Context, ns string) {
	_, _ = a.store.Get(ctx, namespaceKey(ns)) // only for the time that it takes
}

// indexPrefix is where the names of all namespaces are.
const indexPrefix = "$system/auth/namespace/"

// deletingPrefix is where the names are of those that are being deleted.
const deletingPrefix = "$system/auth/deleting/"

func namespaceKey(ns string) string    { return ns + "/auth/namespace" }
func accountKey(ns, id string) string  { return ns + "/auth/account/" + id }
func sessionKey(ns, id string) string  { return ns + "/auth/session/" + id }
func revokedKey(ns, id string) string  { return ns + "/auth/revoked/" + id }
func instanceKey(ns, id string) string { return ns + "/auth/instance/" + id }
func ruleKey(ns, id string) string     { return ns + "/auth/rule/" + id }

// IsName reports whether s can name a namespace or a service: a DNS label of
// RFC 1123, in lower case.
func IsName(s string) bool {
	if len(s) == 0 || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// isID reports whether s can be the id of an account or a rule: what people
// log in with, mail addresses included.
func isID(s string) bool {
	if len(s) == 0 || len(s) > 128 {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-_.@+", c) >= 0:
		default:
			return false
		}
	}
	return true
}

// invalidError is an [ErrInvalid] that has no text but its own.
type invalidError string

func (e invalidError) Error() string { return string(e) }

func (e invalidError) Is(target error) bool { return target == ErrInvalid }

func invalid(format string, args ...any) error { return invalidError(fmt.Sprintf(format, args...)) }

// randomID returns 26 characters that nobody can guess.
func randomID() string { return strings.ToLower(rand.Text()) }

func encodeJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("auth: a record that JSON cannot hold: %v", err))
	}
	return b
}

func decodeJSON[T any](r store.Record) (T, error) {
	var t T
	err := json.Unmarshal(r.Value, &t)
	return t, err
}

// load reads and decodes a record; the revision is 0 when there is none.
func load[T any](ctx context.Context, s store.Store, key string) (t T, revision int64, err error) {
	r, err := s.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return t, 0, nil
	}
	if err != nil {
		return t, 0, err
	}
	if t, err = decodeJSON[T](r); err != nil {
		return t, 0, fmt.Errorf("%s: %w", key, err)
	}
	return t, r.Revision, nil
}
