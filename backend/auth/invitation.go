package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/micro/micro/v3/backend/store"
)

// ErrInvitation is returned for an invitation that lets nobody in: it is none, was used
// up, has expired or was deleted.
var ErrInvitation = errors.New("the invitation is not good, or not any more")

// invitationPrefix begins the codes of invitations: PREFIX ID.SECRET.
const invitationPrefix = "micro_invitation_"

// invitationsPrefix is where invitations are: they are the whole server's.
const invitationsPrefix = "$system/auth/invitation/"

// maxUses is how many namespaces can be made by one invitation.
const maxUses = 10_000

// Invitation lets somebody make a namespace where not everybody may.
type Invitation struct {
	ID      string
	By      string // who made it, as NAMESPACE/ACCOUNT
	Created time.Time
	Expires time.Time // zero: never
	Uses    int       // how many namespaces can be made by it
	Used    int       // and how many were
}

// invitation is the record of an Invitation.
type invitation struct {
	By      string    `json:"by"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"`
	Uses    int       `json:"uses"`
	Used    int       `json:"used,omitempty"`
	Hash    []byte    `json:"hash"` // SHA-256 of the secret, which nobody can guess
}

func (i invitation) public(id string) Invitation {
	return Invitation{ID: id, By: i.By, Created: i.Created, Expires: i.Expires, Uses: i.Uses, Used: i.Used}
}

// CreateInvitation makes an invitation that is good until a time, or for ever when that
// is zero, and returns it with its code, which is not kept.
func (a *Auth) CreateInvitation(ctx context.Context, by string, expires time.Time, uses int) (Invitation, string, error) {
	now := a.now()
	switch {
	case uses < 1 || uses > maxUses:
		return Invitation{}, "", invalid("an invitation for %d namespaces; it can be for 1 to %d", uses, maxUses)
	case !expires.IsZero() && !expires.After(now):
		return Invitation{}, "", invalid("the invitation would have expired already")
	}
	id, secret := randomID(), rand.Text()+rand.Text()
	hash := sha256.Sum256([]byte(secret))
	rec := invitation{By: by, Created: now, Expires: expires, Uses: uses, Hash: hash[:]}
	op := a.putInvitation(id, rec)
	if _, err := a.store.Txn(ctx, store.Txn{If: []store.Cond{{Key: op.Key}}, Do: []store.Op{op}}); err != nil {
		return Invitation{}, "", err
	}
	return rec.public(id), invitationPrefix + id + "." + secret, nil
}

func (a *Auth) putInvitation(id string, rec invitation) store.Op {
	op := store.Put(invitationsPrefix+id, encodeJSON(rec))
	if !rec.Expires.IsZero() {
		op.TTL = max(rec.Expires.Sub(a.now()), time.Nanosecond)
	}
	return op
}

// Invitations returns at most limit invitations whose ids come after the given one,
// ordered by id, and whether there are more. Those that are used up or have expired are
// gone.
func (a *Auth) Invitations(ctx context.Context, after string, limit int) (list []Invitation, more bool, err error) {
	r := store.Prefix(invitationsPrefix)
	if after != "" {
		r.Start = invitationsPrefix + after + "\x00"
	}
	for rec, err := range a.store.Range(ctx, r) {
		if err != nil {
			return nil, false, err
		}
		if len(list) == limit {
			return list, true, nil
		}
		i, err := decodeJSON[invitation](rec)
		if err != nil {
			return nil, false, fmt.Errorf("%s: %w", rec.Key, err)
		}
		list = append(list, i.public(strings.TrimPrefix(rec.Key, invitationsPrefix)))
	}
	return list, false, nil
}

// DeleteInvitation takes an invitation back. [ErrNotFound] when there is none.
func (a *Auth) DeleteInvitation(ctx context.Context, id string) error {
	if !isID(id) {
		return ErrNotFound
	}
	_, err := deleteRecord[invitation](ctx, a.store, invitationsPrefix+id)
	return err
}

// WithInvitation lets somebody in who has the code of an invitation, which is used by
// that. The error is [ErrInvitation] when it is not good.
func WithInvitation(code string) SignupOption {
	return func(a *Auth, s *signup) {
		s.admit = func(ctx context.Context) (store.Txn, error) { return a.useInvitation(ctx, code) }
	}
}

// useInvitation returns what uses an invitation once.
func (a *Auth) useInvitation(ctx context.Context, code string) (store.Txn, error) {
	rest, ok := strings.CutPrefix(code, invitationPrefix)
	id, secret, _ := strings.Cut(rest, ".")
	if !ok || !isID(id) {
		return store.Txn{}, ErrInvitation
	}
	rec, revision, err := load[invitation](ctx, a.store, invitationsPrefix+id)
	if err != nil {
		return store.Txn{}, err
	}
	hash := sha256.Sum256([]byte(secret))
	if subtle.ConstantTimeCompare(hash[:], rec.Hash) != 1 || rec.Used >= rec.Uses || !rec.Expires.IsZero() && !a.now().Before(rec.Expires) {
		return store.Txn{}, ErrInvitation
	}
	rec.Used++
	op := a.putInvitation(id, rec)
	if rec.Used == rec.Uses {
		op = store.Delete(op.Key)
	}
	return store.Txn{If: []store.Cond{{Key: op.Key, Revision: revision}}, Do: []store.Op{op}}, nil
}
