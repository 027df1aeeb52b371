package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/micro/micro/v3/backend/store"
)

// Session is what a logged-in client holds.
type Session struct {
	Access         string
	AccessExpires  time.Time
	Refresh        string
	RefreshExpires time.Time
	Account        Account
}

// session is the record of a chain of refresh tokens. The tokens themselves are
// derived from it and a key that the store does not hold.
type session struct {
	Account string    `json:"account"`
	Epoch   string    `json:"epoch,omitempty"` // of the account when it was opened
	Counter int       `json:"counter"`         // which token of the chain is good
	Rotated time.Time `json:"rotated"`         // when the one before was exchanged
	Expires time.Time `json:"expires"`
}

// instance is the record of the identity of a running instance.
type instance struct {
	Service string    `json:"service"`
	Session string    `json:"session"` // of the access tokens that it gets
	Created time.Time `json:"created"`
}

// Opaque tokens have the form PREFIX NAMESPACE.ID[.COUNTER].SECRET, so that they
// can be looked up, and found by scanners of leaked secrets.
const (
	refreshPrefix  = "micro_refresh_"
	instancePrefix = "micro_instance_"
)

// Login opens a session for an account. Who has sent too many wrong passwords gets a
// [TooManyError], whether this one is right or not.
func (a *Auth) Login(ctx context.Context, ns, id, password string, from Client) (Session, error) {
	if ns == "" {
		ns = DefaultNamespace
	}
	for {
		acc, err := a.checkPassword(ctx, ns, id, password, from)
		if err != nil {
			return Session{}, err
		}
		s, err := a.openSession(ctx, acc)
		if errors.Is(err, store.ErrConflict) {
			continue // the password may be another one now
		}
		return s, err
	}
}

// openSession opens a session of an account. [store.ErrConflict] when the account was
// changed since it was read: who had the right password then may not have it now.
func (a *Auth) openSession(ctx context.Context, acc held) (Session, error) {
	id := randomID()
	now := a.now()
	rec := session{Account: acc.id, Epoch: acc.Epoch, Counter: 1, Rotated: now, Expires: now.Add(refreshTTL)}
	op := store.Op{Kind: store.KindPut, Key: sessionKey(acc.ns, id), Value: encodeJSON(rec), TTL: refreshTTL}
	t := store.Txn{If: []store.Cond{{Key: op.Key}, acc.cond()}, Do: []store.Op{op}}
	if _, err := a.store.Txn(ctx, t); err != nil {
		return Session{}, err
	}
	return a.session(ctx, acc.public(), id, rec)
}

// session makes the tokens of a session as it stands.
func (a *Auth) session(ctx context.Context, acc Account, id string, rec session) (Session, error) {
	access, expires, err := a.tokens.sign(ctx, Identity{
		ID:        acc.ID,
		Namespace: acc.Namespace,
		Type:      acc.Type,
		Scopes:    acc.Scopes,
		Session:   id,
	})
	if err != nil {
		return Session{}, err
	}
	counter := strconv.Itoa(rec.Counter)
	secret := a.secrets.derive("refresh", acc.Namespace, id, counter)
	return Session{
		Access:         access,
		AccessExpires:  expires,
		Refresh:        refreshPrefix + strings.Join([]string{acc.Namespace, id, counter, secret}, "."),
		RefreshExpires: rec.Expires,
		Account:        acc,
	}, nil
}

// ReuseError is an [ErrRevoked]: a refresh token that was exchanged was presented again,
// so that two have had it, and their session was revoked.
type ReuseError struct{ Namespace, Account string }

func (e *ReuseError) Error() string { return ErrRevoked.Error() }

// Is makes it an [ErrRevoked].
func (e *ReuseError) Is(target error) bool { return target == ErrRevoked }

// Refresh exchanges a refresh token for the next session, and ends the token. The
// token before the current one is accepted for [refreshGrace] after the exchange
// and gives the same successor, so that clients which refresh at once agree; later
// it means that there are two holders, and the session is revoked.
//
// The identity of an instance is exchanged too; it stays as it is.
func (a *Auth) Refresh(ctx context.Context, token string) (Session, error) {
	if rest, ok := strings.CutPrefix(token, instancePrefix); ok {
		return a.refreshInstance(ctx, rest)
	}
	ns, id, counter, ok := a.parseRefresh(token)
	if !ok {
		return Session{}, ErrCredentials
	}
	for {
		rec, revision, err := load[session](ctx, a.store, sessionKey(ns, id))
		if err != nil {
			return Session{}, err
		}
		now := a.now()
		switch {
		case revision == 0:
			return Session{}, ErrRevoked
		case !now.Before(rec.Expires):
			return Session{}, ErrExpired
		case counter > rec.Counter:
			// A token of ours that was never given out: the store was set back.
			return Session{}, ErrRevoked
		case counter < rec.Counter-1, counter == rec.Counter-1 && now.Sub(rec.Rotated) > refreshGrace:
			return Session{}, errors.Join(&ReuseError{ns, rec.Account}, a.revokeSession(ctx, ns, id))
		}
		acc, err := a.hold(ctx, ns, rec.Account)
		if err != nil {
			return Session{}, err
		}
		if acc.revision == 0 || acc.Epoch != rec.Epoch {
			return Session{}, ErrRevoked
		}
		if counter == rec.Counter {
			rec.Counter++
			rec.Rotated = now
			_, err := a.store.Txn(ctx, store.Txn{
				If: []store.Cond{{Key: sessionKey(ns, id), Revision: revision}},
				Do: []store.Op{{Kind: store.KindPut, Key: sessionKey(ns, id), Value: encodeJSON(rec), TTL: rec.Expires.Sub(now)}},
			})
			if errors.Is(err, store.ErrConflict) {
				continue // somebody else was first: take the same successor
			}
			if err != nil {
				return Session{}, err
			}
		}
		return a.session(ctx, acc.public(), id, rec)
	}
}

// parseRefresh reports whether this server made the token.
func (a *Auth) parseRefresh(token string) (ns, id string, counter int, ok bool) {
	rest, ok := strings.CutPrefix(token, refreshPrefix)
	parts := strings.Split(rest, ".")
	if !ok || len(parts) != 4 || !IsName(parts[0]) || !isID(parts[1]) {
		return "", "", 0, false
	}
	counter, err := strconv.Atoi(parts[2])
	if err != nil || counter < 1 || strconv.Itoa(counter) != parts[2] {
		return "", "", 0, false
	}
	ok = same(parts[3], a.secrets.derive("refresh", parts[0], parts[1], parts[2]))
	return parts[0], parts[1], counter, ok
}

// Logout ends the session of a refresh token. A token that means nothing is no
// error: the session is gone either way.
func (a *Auth) Logout(ctx context.Context, token string) error {
	ns, id, _, ok := a.parseRefresh(token)
	if !ok {
		return nil
	}
	return a.revokeSession(ctx, ns, id)
}

// SessionOwner returns the namespace and the account of the session that a refresh token
// belongs to; [ErrNotFound] when it means nothing.
func (a *Auth) SessionOwner(ctx context.Context, token string) (ns, account string, err error) {
	ns, id, _, ok := a.parseRefresh(token)
	if !ok {
		return "", "", ErrNotFound
	}
	rec, revision, err := load[session](ctx, a.store, sessionKey(ns, id))
	if err == nil && revision == 0 {
		err = ErrNotFound
	}
	return ns, rec.Account, err
}

// revokeSession ends a session and makes its access tokens void at once.
func (a *Auth) revokeSession(ctx context.Context, ns, id string) error {
	return a.revoke(ctx, ns, store.Txn{}, id)
}

// revokeSessions ends the sessions of an account.
func (a *Auth) revokeSessions(ctx context.Context, ns, accountID string) error {
	var ids []string
	for rec, err := range a.store.Range(ctx, store.Prefix(sessionKey(ns, ""))) {
		if err != nil {
			return err
		}
		s, err := decodeJSON[session](rec)
		if err != nil {
			return fmt.Errorf("%s: %w", rec.Key, err)
		}
		if s.Account == accountID {
			ids = append(ids, strings.TrimPrefix(rec.Key, sessionKey(ns, "")))
		}
	}
	for chunk := range slices.Chunk(ids, store.MaxOps/2) {
		if err := a.revoke(ctx, ns, store.Txn{}, chunk...); err != nil {
			return err
		}
	}
	return nil
}

// revoke makes a transaction that ends sessions as well, and returns when this
// server accepts none of their access tokens any more.
func (a *Auth) revoke(ctx context.Context, ns string, t store.Txn, ids ...string) error {
	for _, id := range ids {
		t.Do = append(t.Do,
			store.Delete(sessionKey(ns, id)),
			store.Op{Kind: store.KindPut, Key: revokedKey(ns, id), TTL: a.ttl + revokedSlack})
	}
	revision, err := a.store.Txn(ctx, t)
	if err != nil {
		return err
	}
	return a.revoked.Wait(ctx, ns, revision)
}

// Identify gives a running instance an identity: an opaque token that [Auth.Refresh]
// exchanges for access tokens until [Auth.Forget]. One that the instance was given
// before is void.
func (a *Auth) Identify(ctx context.Context, ns, service, id string) (string, error) {
	rec := instance{Service: service, Session: randomID(), Created: a.now()}
	if _, err := a.store.Txn(ctx, store.Txn{Do: []store.Op{store.Put(instanceKey(ns, id), encodeJSON(rec))}}); err != nil {
		return "", err
	}
	return instancePrefix + strings.Join([]string{ns, id, a.instanceSecret(ns, id, rec)}, "."), nil
}

func (a *Auth) instanceSecret(ns, id string, rec instance) string {
	return a.secrets.derive("instance", ns, id, rec.Session)
}

// Forget ends the identity of an instance and makes its access tokens void at once.
func (a *Auth) Forget(ctx context.Context, ns, id string) error {
	for {
		rec, revision, err := load[instance](ctx, a.store, instanceKey(ns, id))
		if err != nil || revision == 0 {
			return err
		}
		err = a.revoke(ctx, ns, store.Txn{
			If: []store.Cond{{Key: instanceKey(ns, id), Revision: revision}},
			Do: []store.Op{store.Delete(instanceKey(ns, id))},
		}, rec.Session)
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

func (a *Auth) refreshInstance(ctx context.Context, rest string) (Session, error) {
	parts := strings.Split(rest, ".")
	if len(parts) != 3 || !IsName(parts[0]) || !isID(parts[1]) {
		return Session{}, ErrCredentials
	}
	ns, id := parts[0], parts[1]
	rec, revision, err := load[instance](ctx, a.store, instanceKey(ns, id))
	if err != nil {
		return Session{}, err
	}
	if revision == 0 || !same(parts[2], a.instanceSecret(ns, id, rec)) {
		return Session{}, ErrCredentials
	}
	acc := Account{ID: rec.Service, Namespace: ns, Type: Service, Scopes: []string{ScopeService}, Created: rec.Created}
	access, expires, err := a.tokens.sign(ctx, Identity{
		ID:        acc.ID,
		Namespace: ns,
		Type:      acc.Type,
		Scopes:    acc.Scopes,
		Session:   rec.Session,
	})
	return Session{
		Access:        access,
		AccessExpires: expires,
		Refresh:       instancePrefix + rest,
		Account:       acc,
	}, err
}
