package auth

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/micro/micro/v3/backend/store"
)

// Identity is who made a call, as proven by an access token. The zero value is
// an anonymous caller.
type Identity struct {
	ID        string
	Namespace string
	Type      Type
	Scopes    []string
	Session   string
}

const (
	issuer    = "micro"
	audience  = "micro"
	tokenType = "at+jwt" // RFC 9068
	maxToken  = 8 << 10
	// tokenAlphabet is what tokens are made of. The decoder skips line ends, and so
	// would take one token in many spellings.
	tokenAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."
	// keyPrefix is outside every namespace: '$' is in no name.
	keyPrefix = "$system/auth/key/"
	// cached tokens are dropped all at once when there are so many.
	maxCached = 10_000
)

// claims are those of RFC 9068 as far as they are of use here.
type claims struct {
	jwt.RegisteredClaims
	Namespace string   `json:"ns"`
	Type      Type     `json:"acc"`
	Scopes    []string `json:"scp,omitempty"`
	Session   string   `json:"sid"`
}

// signingKey is the record of a key.
type signingKey struct {
	Seed    []byte    `json:"seed"` // encrypted
	Created time.Time `json:"created"`
}

// tokens signs and verifies access tokens.
type tokens struct {
	auth    *Auth
	keys    *store.Views[*store.View[ed25519.PrivateKey]] // one, of keyPrefix
	current string                                        // the id of the key that signs

	mu     sync.RWMutex
	cache  map[[sha256.Size]byte]verified
	places int // in cache
}

// verified is a token whose signature was checked.
type verified struct {
	identity Identity
	expires  time.Time
	key      string
}

func openTokens(ctx context.Context, a *Auth) (*tokens, error) {
	t := &tokens{auth: a, cache: map[[sha256.Size]byte]verified{}, places: maxCached}
	var err error
	if t.current, err = t.newestKey(ctx); err != nil {
		return nil, err
	}
	if t.current == "" {
		if t.current, err = t.createKey(ctx); err != nil {
			return nil, err
		}
	}
	t.keys = store.NewViews(func(ctx context.Context, prefix string) (*store.View[ed25519.PrivateKey], error) {
		return store.NewView(ctx, a.store, prefix, t.openKey)
	})
	if _, err := t.key(ctx, t.current); err != nil {
		return nil, fmt.Errorf("read the signing keys: %w", err)
	}
	return t, nil
}

func (t *tokens) close() { t.keys.Close() }

// openKey decodes the record of a key.
func (t *tokens) openKey(r store.Record) (ed25519.PrivateKey, error) {
	k, err := decodeJSON[signingKey](r)
	if err != nil {
		return nil, err
	}
	seed, err := t.auth.secrets.open(r.Key, k.Seed)
	if err != nil {
		return nil, err
	}
	if len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("a key of %d bytes", len(seed))
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// key returns the key with an id; nil when there is none.
func (t *tokens) key(ctx context.Context, id string) (ed25519.PrivateKey, error) {
	keys, err := t.keys.Get(ctx, keyPrefix)
	if err != nil {
		return nil, err
	}
	key, _ := keys.Get(id)
	return key, nil
}

func (t *tokens) newestKey(ctx context.Context) (string, error) {
	var newest string
	var created time.Time
	for r, err := range t.auth.store.Range(ctx, store.Prefix(keyPrefix)) {
		if err != nil {
			return "", err
		}
		k, err := decodeJSON[signingKey](r)
		if err != nil {
			return "", fmt.Errorf("%s: %w", r.Key, err)
		}
		if newest == "" || k.Created.After(created) {
			newest, created = r.Key[len(keyPrefix):], k.Created
		}
	}
	return newest, nil
}

func (t *tokens) createKey(ctx context.Context) (string, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", err
	}
	id := randomID()
	rec := signingKey{Seed: t.auth.secrets.seal(keyPrefix+id, key.Seed()), Created: t.auth.now()}
	_, err = t.auth.store.Txn(ctx, store.Txn{Do: []store.Op{store.Put(keyPrefix+id, encodeJSON(rec))}})
	return id, err
}

// sign returns an access token for an identity and when it expires.
func (t *tokens) sign(ctx context.Context, i Identity) (string, time.Time, error) {
	key, err := t.key(ctx, t.current)
	if err != nil {
		return "", time.Time{}, err
	}
	if key == nil {
		return "", time.Time{}, errors.New("the signing key is gone")
	}
	now := t.auth.now()
	expires := now.Add(t.auth.ttl).Truncate(time.Second)
	tok := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer:    issuer,
			Audience:  jwt.ClaimStrings{audience},
			Subject:   i.ID,
			IssuedAt:  jwt.NewNumericDate(now),
			ExpiresAt: jwt.NewNumericDate(expires),
			ID:        randomID(),
		},
		Namespace: i.Namespace,
		Type:      i.Type,
		Scopes:    i.Scopes,
		Session:   i.Session,
	})
	tok.Header["kid"] = t.current
	tok.Header["typ"] = tokenType
	s, err := tok.SignedString(key)
	return s, expires, err
}

// Verify returns who an access token was given to. An empty token is an
// anonymous caller. [ErrExpired], [ErrRevoked] and [ErrCredentials] say what is
// wrong with any other.
//
// The signature of a token is checked once; that it has not expired and was
// not revoked, each time.
func (a *Auth) Verify(ctx context.Context, token string) (Identity, error) {
	if token == "" {
		return Identity{}, nil
	}
	v, err := a.tokens.verify(ctx, token)
	if err != nil {
		return Identity{}, err
	}
	if !a.now().Before(v.expires) {
		return Identity{}, ErrExpired
	}
	if exists, err := a.Exists(ctx, v.identity.Namespace); err != nil {
		return Identity{}, err
	} else if !exists {
		return Identity{}, ErrRevoked
	}
	revoked, err := a.revoked.Get(ctx, v.identity.Namespace)
	if err != nil {
		return Identity{}, err
	}
	if _, ok := revoked.Get(v.identity.Session); ok {
		return Identity{}, ErrRevoked
	}
	return v.identity, nil
}

// verify returns what a token says when one of the server's keys signed it. Whether
// that still counts is not asked.
func (t *tokens) verify(ctx context.Context, token string) (verified, error) {
	if len(token) > maxToken || strings.Trim(token, tokenAlphabet) != "" {
		return verified{}, ErrCredentials
	}
	keys, err := t.keys.Get(ctx, keyPrefix)
	if err != nil {
		return verified{}, err
	}
	sum := sha256.Sum256([]byte(token))
	t.mu.RLock()
	v, ok := t.cache[sum]
	t.mu.RUnlock()
	if ok {
		if _, known := keys.Get(v.key); !known {
			return verified{}, ErrCredentials
		}
		return v, nil
	}
	if v, err = t.parse(token, keys); err != nil {
		return verified{}, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.cache) >= t.places {
		clear(t.cache)
	}
	t.cache[sum] = v
	return v, nil
}

// parse checks the signature of a token and what it claims.
func (t *tokens) parse(token string, keys *store.View[ed25519.PrivateKey]) (verified, error) {
	var c claims
	var kid string
	parsed, err := jwt.ParseWithClaims(token, &c,
		func(tok *jwt.Token) (any, error) {
			kid, _ = tok.Header["kid"].(string)
			key, ok := keys.Get(kid)
			if !ok {
				return nil, errors.New("no such key")
			}
			return key.Public(), nil
		},
		jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}),
		jwt.WithIssuer(issuer),
		jwt.WithAudience(audience),
		jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(),
		jwt.WithLeeway(time.Minute),
		jwt.WithStrictDecoding(),
		jwt.WithTimeFunc(t.auth.now),
	)
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return verified{}, ErrExpired
	case err != nil:
		return verified{}, ErrCredentials
	case parsed.Header["typ"] != tokenType, c.Subject == "", !IsName(c.Namespace), c.Session == "":
		return verified{}, ErrCredentials
	}
	return verified{
		identity: Identity{ID: c.Subject, Namespace: c.Namespace, Type: c.Type, Scopes: c.Scopes, Session: c.Session},
		expires:  c.ExpiresAt.Time,
		key:      kid,
	}, nil
}
