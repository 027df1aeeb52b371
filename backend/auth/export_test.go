package auth

import (
	"context"
	"crypto/ed25519"
	"time"
)

// What tests of this package need of its insides.
const (
	MaxToken     = maxToken
	MaxScopes    = maxScopes
	RefreshTTL   = refreshTTL
	RefreshGrace = refreshGrace
	RevokedSlack = revokedSlack
)

var (
	Granted       = granted
	Order         = order
	IsID          = isID
	HashPassword  = hashPassword
	CheckPassword = checkPassword
	InitialRules  = initialRules
)

// SigningKey returns the key that signs, and its id.
func (a *Auth) SigningKey(ctx context.Context) (string, ed25519.PrivateKey, error) {
	key, err := a.tokens.signer(ctx)
	return key.id, key.private, err
}

// Cached returns how many tokens are held as verified.
func (a *Auth) Cached() int {
	a.tokens.mu.RLock()
	defer a.tokens.mu.RUnlock()
	return len(a.tokens.cache)
}

// Hashing returns how many passwords are being hashed.
func (a *Auth) Hashing() int { return len(a.hashing) }

// Throttle slows guessing.
type Throttle struct{ t *throttle }

// NewThrottle returns a throttle that has seen nothing.
func NewThrottle(now func() time.Time) Throttle { return Throttle{newThrottle(now)} }

// Try has a password looked at.
func (t Throttle) Try(ns, id string, c Client, right bool) error {
	a, err := t.t.begin(ns, id, c)
	if err == nil && right {
		a.right()
	}
	return err
}

// KeepTokens sets how many tokens are held as verified.
func (a *Auth) KeepTokens(n int) { a.tokens.places = n }

// Sealer encrypts for one place, and decrypts.
type Sealer struct{ s secrets }

// NewSealer returns the sealer of a master key.
func NewSealer(master []byte) (Sealer, error) {
	s, err := newSecrets(master)
	return Sealer{s}, err
}

// Seal encrypts.
func (s Sealer) Seal(key string, plain []byte) []byte { return s.s.seal(key, plain) }

// Open decrypts.
func (s Sealer) Open(key string, sealed []byte) ([]byte, error) { return s.s.open(key, sealed) }

// Derive returns the secret part of a token.
func (s Sealer) Derive(parts ...string) string { return s.s.derive(parts...) }
