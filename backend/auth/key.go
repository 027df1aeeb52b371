package auth

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/micro/micro/v3/backend/store"
)

// ErrTooManyKeys is returned when keys were rotated too often for the tokens that they have signed.
var ErrTooManyKeys = fmt.Errorf("there are %d signing keys; wait until some retire, or retire them now", MaxKeys)

// MaxKeys is how many signing keys there can be.
const MaxKeys = 16

// Key is the public half of a key that access tokens are signed with.
type Key struct {
	ID      string
	Created time.Time
	Retires time.Time // zero: not yet known
	Public  ed25519.PublicKey
}

// signingKey is the record of a key.
type signingKey struct {
	Seed    []byte    `json:"seed"` // encrypted
	Created time.Time `json:"created"`
	Retires time.Time `json:"retires,omitzero"` // when its last token has expired
}

// keyPair is a key in memory.
type keyPair struct {
	id      string
	private ed25519.PrivateKey
	created time.Time
	retires time.Time
}

// compare puts the key that signs first: the newest of those that do not retire.
func (k keyPair) compare(other keyPair) int {
	if k.retires.IsZero() != other.retires.IsZero() {
		if k.retires.IsZero() {
			return -1
		}
		return 1
	}
	return cmp.Or(other.created.Compare(k.created), cmp.Compare(k.id, other.id))
}

// openKey decodes the record of a key.
func (t *tokens) openKey(r store.Record) (keyPair, error) {
	k, err := decodeJSON[signingKey](r)
	if err != nil {
		return keyPair{}, err
	}
	seed, err := t.auth.secrets.open(r.Key, k.Seed)
	if err != nil {
		return keyPair{}, err
	}
	if len(seed) != ed25519.SeedSize {
		return keyPair{}, fmt.Errorf("a key of %d bytes", len(seed))
	}
	return keyPair{strings.TrimPrefix(r.Key, keyPrefix), ed25519.NewKeyFromSeed(seed), k.Created, k.Retires}, nil
}

// signer returns the key that signs.
func (t *tokens) signer(ctx context.Context) (keyPair, error) {
	keys, err := t.keys.Get(ctx, keyPrefix)
	if err != nil {
		return keyPair{}, err
	}
	var first keyPair
	keys.Each(func(_ string, k keyPair) bool {
		if first.id == "" || k.compare(first) < 0 {
			first = k
		}
		return true
	})
	if first.id == "" {
		return keyPair{}, errors.New("the signing key is gone")
	}
	return first, nil
}

// newKey returns the operation that adds a key.
func (t *tokens) newKey() (keyPair, store.Op, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return keyPair{}, store.Op{}, err
	}
	k := keyPair{id: randomID(), private: private, created: t.auth.now()}
	rec := signingKey{Seed: t.auth.secrets.seal(keyPrefix+k.id, private.Seed()), Created: k.created}
	return k, store.Put(keyPrefix+k.id, encodeJSON(rec)), nil
}

func (k keyPair) public() Key {
	public, _ := k.private.Public().(ed25519.PublicKey) // that is what it is
	return Key{ID: k.id, Created: k.created, Retires: k.retires, Public: public}
}

// Keys returns the keys that access tokens are accepted of, the one that signs first.
func (a *Auth) Keys(ctx context.Context) ([]Key, error) {
	view, err := a.tokens.keys.Get(ctx, keyPrefix)
	if err != nil {
		return nil, err
	}
	var pairs []keyPair
	view.Each(func(_ string, k keyPair) bool {
		pairs = append(pairs, k)
		return true
	})
	slices.SortFunc(pairs, keyPair.compare)
	keys := make([]Key, 0, len(pairs))
	for _, k := range pairs {
		keys = append(keys, k.public())
	}
	return keys, nil
}

// RotateKeys makes a new key that signs from now on. The tokens of the keys before are
// accepted for as long as they are good, or not at all when retireNow is set; refresh
// tokens and API tokens do not depend on them.
func (a *Auth) RotateKeys(ctx context.Context, retireNow bool) (Key, error) {
	for {
		key, op, err := a.tokens.newKey()
		if err != nil {
			return Key{}, err
		}
		t := store.Txn{Do: []store.Op{op}}
		for r, err := range a.store.Range(ctx, store.Prefix(keyPrefix)) {
			if err != nil {
				return Key{}, err
			}
			was, err := decodeJSON[signingKey](r)
			if err != nil {
				return Key{}, fmt.Errorf("%s: %w", r.Key, err)
			}
			if len(t.If) == MaxKeys-1 && !retireNow {
				return Key{}, ErrTooManyKeys
			}
			t.If = append(t.If, store.Cond{Key: r.Key, Revision: r.Revision})
			switch {
			case retireNow:
				t.Do = append(t.Do, store.Delete(r.Key))
			case was.Retires.IsZero():
				ttl := a.ttl + revokedSlack
				was.Retires = key.created.Add(ttl)
				t.Do = append(t.Do, store.Op{Kind: store.KindPut, Key: r.Key, Value: encodeJSON(was), TTL: ttl})
			}
		}
		revision, err := a.store.Txn(ctx, t)
		if errors.Is(err, store.ErrConflict) {
			continue // somebody else rotates too
		}
		if err != nil {
			return Key{}, err
		}
		return key.public(), a.tokens.keys.Wait(ctx, keyPrefix, revision)
	}
}
