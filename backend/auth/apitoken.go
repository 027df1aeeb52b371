package auth

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/micro/micro/v3/backend/store"
)

// ErrTooManyTokens is returned when the account has as many API tokens as it can have.
var ErrTooManyTokens = fmt.Errorf("the account has %d API tokens; delete one", MaxAPITokens)

// MaxAPITokens is how many API tokens an account can have.
const MaxAPITokens = 100

// apiTokenPrefix begins API tokens, which have the form of other opaque ones:
// PREFIX NAMESPACE.ID.SECRET.
const apiTokenPrefix = "micro_token_"

// APIToken is what a program logs in with for a long time. It acts as its account, with
// some of the scopes of that.
type APIToken struct {
	Name    string
	Account string
	Scopes  []string
	Created time.Time
	Expires time.Time // zero: never
}

// apiToken is the record of an APIToken.
type apiToken struct {
	Name    string    `json:"name"`
	Account string    `json:"account"`
	Born    time.Time `json:"born"` // when the account was made: another one may get its name
	Scopes  []string  `json:"scopes,omitempty"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"`
	Hash    []byte    `json:"hash"` // SHA-256 of the secret, which nobody can guess
}

func (t apiToken) public() APIToken {
	return APIToken{Name: t.Name, Account: t.Account, Scopes: t.Scopes, Created: t.Created, Expires: t.Expires}
}

// order is how lists of tokens are ordered.
func (t apiToken) order() string { return t.Account + "/" + t.Name }

func apiTokenKey(ns, id string) string { return ns + "/auth/token/" + id }

// apiTokenID returns the id of the token of an account with a name: the same one each
// time, so that a name cannot be taken twice.
func apiTokenID(account, name string) string {
	sum := sha256.Sum256([]byte(account + "/" + name))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:])[:26])
}

// CreateAPIToken makes an API token and returns it with its secret, which is not kept. It
// is the caller's own, or that of another account of type [Service]: who may make such
// a one is for the server to say. ErrDenied when the caller is no user, logged in by a
// token himself, or the account has not got a scope.
func (a *Auth) CreateAPIToken(ctx context.Context, caller Identity, t APIToken) (APIToken, string, error) {
	ns, owner := caller.Namespace, cmp.Or(t.Account, caller.ID)
	switch {
	case caller.Token != "":
		return APIToken{}, "", fmt.Errorf("make a token by a token: %w; log in with a password", ErrDenied)
	case caller.Type != User:
		return APIToken{}, "", fmt.Errorf("make a token as a service: %w", ErrDenied)
	case !isID(t.Name):
		return APIToken{}, "", invalid("%.200q cannot name a token: use up to 128 letters, digits and -_.@+", t.Name)
	case !isID(owner):
		return APIToken{}, "", ErrNotFound
	case len(t.Scopes) > maxScopes:
		return APIToken{}, "", invalid("%d scopes; a token can have %d", len(t.Scopes), maxScopes)
	}
	now := a.now()
	if !t.Expires.IsZero() && !t.Expires.After(now) {
		return APIToken{}, "", invalid("the token would have expired already")
	}
	acc, err := a.hold(ctx, ns, owner)
	if err != nil {
		return APIToken{}, "", err
	}
	scopes := caller.Scopes
	switch own := owner == caller.ID; {
	case own && (acc.revision == 0 || acc.Disabled):
		return APIToken{}, "", ErrRevoked
	case own:
	case acc.revision == 0:
		return APIToken{}, "", ErrNotFound
	case acc.kind() != Service:
		return APIToken{}, "", fmt.Errorf("make a token that acts as another person: %w", ErrDenied)
	default:
		scopes = acc.Scopes
	}
	for _, s := range t.Scopes {
		if !hasScope(scopes, s) {
			return APIToken{}, "", fmt.Errorf("give away the scope %q: %w", s, ErrDenied)
		}
	}
	if all, err := a.apiTokensOf(ctx, ns, owner); err != nil {
		return APIToken{}, "", err
	} else if len(all) >= MaxAPITokens {
		return APIToken{}, "", ErrTooManyTokens
	}
	secret := rand.Text() + rand.Text()
	hash := sha256.Sum256([]byte(secret))
	rec := apiToken{
		Name:    t.Name,
		Account: owner,
		Born:    acc.Created,
		Scopes:  slices.Compact(slices.Sorted(slices.Values(t.Scopes))),
		Created: now,
		Expires: t.Expires,
		Hash:    hash[:],
	}
	id := apiTokenID(owner, t.Name)
	op := store.Put(apiTokenKey(ns, id), encodeJSON(rec))
	if !rec.Expires.IsZero() {
		op.TTL = rec.Expires.Sub(now)
	}
	revision, err := a.store.Txn(ctx, store.Txn{If: []store.Cond{{Key: op.Key}, acc.cond()}, Do: []store.Op{op}})
	if errors.Is(err, store.ErrConflict) {
		if _, held, err := load[apiToken](ctx, a.store, op.Key); err == nil && held != 0 {
			return APIToken{}, "", ErrExists
		}
	}
	if err != nil {
		return APIToken{}, "", err
	}
	return rec.public(), apiTokenPrefix + ns + "." + id + "." + secret, a.apiTokens.Wait(ctx, ns, revision)
}

// APITokens returns at most limit tokens of an account, or of all when that is empty,
// ordered by account and name, which come after the given ACCOUNT/NAME; and whether
// there are more.
func (a *Auth) APITokens(ctx context.Context, ns, account, after string, limit int) (tokens []APIToken, more bool, err error) {
	all, err := a.apiTokensOf(ctx, ns, account)
	if err != nil {
		return nil, false, err
	}
	slices.SortFunc(all, func(x, y apiToken) int { return cmp.Compare(x.order(), y.order()) })
	for _, t := range all {
		if after != "" && t.order() <= after {
			continue
		}
		if len(tokens) == limit {
			return tokens, true, nil
		}
		tokens = append(tokens, t.public())
	}
	return tokens, false, nil
}

// apiTokensOf returns the tokens of an account, or of all when that is empty.
func (a *Auth) apiTokensOf(ctx context.Context, ns, account string) ([]apiToken, error) {
	var all []apiToken
	for rec, err := range a.store.Range(ctx, store.Prefix(apiTokenKey(ns, ""))) {
		if err != nil {
			return nil, err
		}
		t, err := decodeJSON[apiToken](rec)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", rec.Key, err)
		}
		if account == "" || t.Account == account {
			all = append(all, t)
		}
	}
	return all, nil
}

// DeleteAPIToken makes a token void. This server does not accept it any more when
// DeleteAPIToken returns.
func (a *Auth) DeleteAPIToken(ctx context.Context, ns, account, name string) error {
	if !isID(account) || !isID(name) {
		return ErrNotFound
	}
	revision, err := deleteRecord[apiToken](ctx, a.store, apiTokenKey(ns, apiTokenID(account, name)))
	if err != nil {
		return err
	}
	return a.apiTokens.Wait(ctx, ns, revision)
}

// deleteAPITokens makes the tokens of an account void.
func (a *Auth) deleteAPITokens(ctx context.Context, ns, account string) error {
	all, err := a.apiTokensOf(ctx, ns, account)
	if err != nil {
		return err
	}
	for chunk := range slices.Chunk(all, store.MaxOps) {
		var t store.Txn
		for _, tok := range chunk {
			t.Do = append(t.Do, store.Delete(apiTokenKey(ns, apiTokenID(tok.Account, tok.Name))))
		}
		revision, err := a.store.Txn(ctx, t)
		if err != nil {
			return err
		}
		if err := a.apiTokens.Wait(ctx, ns, revision); err != nil {
			return err
		}
	}
	return nil
}

// verifyAPIToken returns who an API token, without its prefix, acts as. All that it
// reads is in memory.
func (a *Auth) verifyAPIToken(ctx context.Context, rest string) (Identity, error) {
	parts := strings.Split(rest, ".")
	if len(rest) > maxToken || len(parts) != 3 || !isID(parts[1]) {
		return Identity{}, ErrCredentials
	}
	ns, id, secret := parts[0], parts[1], parts[2]
	// No views are opened of a namespace that somebody has made up.
	if exists, err := a.Known(ctx, ns); err != nil {
		return Identity{}, err
	} else if !exists {
		return Identity{}, ErrCredentials
	}
	tokens, err := a.apiTokens.Get(ctx, ns)
	if err != nil {
		return Identity{}, err
	}
	t, ok := tokens.Get(id)
	hash := sha256.Sum256([]byte(secret))
	if !ok || subtle.ConstantTimeCompare(hash[:], t.Hash) != 1 {
		a.Miss(ctx, ns)
		return Identity{}, ErrCredentials
	}
	if !t.Expires.IsZero() && !a.now().Before(t.Expires) {
		return Identity{}, ErrExpired
	}
	accounts, err := a.accounts.Get(ctx, ns)
	if err != nil {
		return Identity{}, err
	}
	acc, ok := accounts.Get(t.Account)
	if !ok || acc.Disabled || !acc.Created.Equal(t.Born) {
		return Identity{}, ErrRevoked
	}
	scopes := slices.DeleteFunc(slices.Clone(t.Scopes), func(s string) bool { return !hasScope(acc.Scopes, s) })
	return Identity{ID: t.Account, Namespace: ns, Type: acc.kind(), Scopes: scopes, Session: "token." + id, Token: t.Name}, nil
}
