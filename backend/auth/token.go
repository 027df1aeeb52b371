package auth

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	Token     string // the name of the API token that proves it; empty: none
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
	Epoch     string   `json:"nse,omitempty"` // of the namespace
}

// tokens signs and verifies access tokens.
type tokens struct {
	auth *Auth
	keys *store.Views[*store.View[keyPair]] // one, of keyPrefix

	mu     sync.RWMutex
	cache  map[[sha256.Size]byte]verified
	places int // in cache
}

// verified is a token whose signature was checked.
type verified struct {
	identity Identity
	epoch    string
	expires  time.Time
	key      string
}

func openTokens(ctx context.Context, a *Auth) (*tokens, error) {
	t := &tokens{auth: a, cache: map[[sha256.Size]byte]verified{}, places: maxCached}
	t.keys = store.NewViews(func(ctx context.Context, prefix string) (*store.View[keyPair], error) {
		return store.NewView(ctx, a.store, prefix, t.openKey)
	})
	keys, err := t.keys.Get(ctx, keyPrefix)
	if err != nil {
		return nil, fmt.Errorf("read the signing keys: %w", err)
	}
	none := true
	keys.Each(func(string, keyPair) bool {
		none = false
		return false
	})
	if none {
		_, op, err := t.newKey()
		if err != nil {
			return nil, err
		}
		revision, err := a.store.Txn(ctx, store.Txn{Do: []store.Op{op}})
		if err == nil {
			err = t.keys.Wait(ctx, keyPrefix, revision)
		}
		if err != nil {
			return nil, fmt.Errorf("make a signing key: %w", err)
		}
	}
	return t, nil
}

func (t *tokens) close() { t.keys.Close() }

// sign returns an access token for an identity and when it expires.
func (t *tokens) sign(ctx context.Context, i Identity) (string, time.Time, error) {
	key, err := t.signer(ctx)
	if err != nil {
		return "", time.Time{}, err
	}
	epoch, err := t.auth.epoch(ctx, i.Namespace)
	if err != nil && !errors.Is(err, ErrNotFound) { // nobody takes a token of no namespace
		return "", time.Time{}, err
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
		Epoch:     epoch,
	})
	tok.Header["kid"] = key.id
	tok.Header["typ"] = tokenType
	s, err := tok.SignedString(key.private)
	return s, expires, err
}

// Verify returns who an access token or an API token was given to. An empty token is an
// anonymous caller. [ErrExpired], [ErrRevoked] and [ErrCredentials] say what is
// wrong with any other.
//
// The signature of a token is checked once; that it has not expired and was
// not revoked, each time.
func (a *Auth) Verify(ctx context.Context, token string) (Identity, error) {
	if token == "" {
		return Identity{}, nil
	}
	if rest, ok := strings.CutPrefix(token, apiTokenPrefix); ok {
		return a.verifyAPIToken(ctx, rest)
	}
	v, err := a.tokens.verify(ctx, token)
	if err != nil {
		return Identity{}, err
	}
	if !a.now().Before(v.expires) {
		return Identity{}, ErrExpired
	}
	if err := a.current(ctx, v); err != nil {
		return Identity{}, err
	}
	return v.identity, nil
}

// current returns [ErrRevoked] when the session of a token was ended, or its namespace
// deleted.
func (a *Auth) current(ctx context.Context, v verified) error {
	epoch, err := a.epoch(ctx, v.identity.Namespace)
	if errors.Is(err, ErrNotFound) || err == nil && epoch != v.epoch {
		return ErrRevoked
	}
	if err != nil {
		return err
	}
	revoked, err := a.revoked.Get(ctx, v.identity.Namespace)
	if err != nil {
		return err
	}
	if _, ok := revoked.Get(v.identity.Session); ok {
		return ErrRevoked
	}
	return nil
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
func (t *tokens) parse(token string, keys *store.View[keyPair]) (verified, error) {
	var c claims
	var kid string
	parsed, err := jwt.ParseWithClaims(token, &c,
		func(tok *jwt.Token) (any, error) {
			kid, _ = tok.Header["kid"].(string)
			key, ok := keys.Get(kid)
			if !ok {
				return nil, errors.New("no such key")
			}
			return key.private.Public(), nil
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
	for part := range strings.SplitSeq(token[:strings.LastIndexByte(token, '.')], ".") {
		if text, err := base64.RawURLEncoding.DecodeString(part); err != nil || saysTwice(text) {
			return verified{}, ErrCredentials
		}
	}
	return verified{
		identity: Identity{ID: c.Subject, Namespace: c.Namespace, Type: c.Type, Scopes: c.Scopes, Session: c.Session},
		epoch:    c.Epoch,
		expires:  c.ExpiresAt.Time,
		key:      kid,
	}, nil
}

// saysTwice reports whether a JSON object has a member of the same name twice, in any
// letters: of those one reader takes the first and another the last.
func saysTwice(object []byte) bool {
	dec := json.NewDecoder(bytes.NewReader(object))
	seen := map[string]bool{}
	depth, isName := 0, false
	for {
		tok, err := dec.Token()
		if err != nil {
			return !errors.Is(err, io.EOF)
		}
		switch tok {
		case json.Delim('{'), json.Delim('['):
			depth++
			isName = depth == 1
			continue
		case json.Delim('}'), json.Delim(']'):
			depth--
			isName = depth == 1
			continue
		}
		if depth != 1 {
			continue
		}
		if name, ok := tok.(string); ok && isName {
			name = strings.ToLower(name)
			if seen[name] {
				return true
			}
			seen[name] = true
		}
		isName = !isName
	}
}
