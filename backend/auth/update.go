package auth

import (
	"context"
	"errors"
	"maps"

	"github.com/micro/micro/v3/backend/store"
)

// AccountUpdate is what to change of an account; nil leaves it alone.
type AccountUpdate struct {
	Scopes   *[]string
	Password *string
	Disabled *bool
	// Metadata is set by its names; an empty value removes a name.
	Metadata map[string]string
}

// ends reports whether an update ends the sessions of the account.
func (u AccountUpdate) ends() bool { return u.Scopes != nil || u.Password != nil || u.Disabled != nil }

// Account returns an account; ErrNotFound when there is none.
func (a *Auth) Account(ctx context.Context, ns, id string) (Account, error) {
	if !isID(id) {
		return Account{}, ErrNotFound
	}
	acc, err := a.hold(ctx, ns, id)
	if err == nil && acc.revision == 0 {
		err = ErrNotFound
	}
	return acc.public(), err
}

// UpdateAccount changes an account, ends its sessions unless only metadata is changed,
// and returns it as it is then.
// may is asked about the account as it was, perhaps several times; its error is
// returned. [ErrLastAdmin] when nobody could manage the namespace afterwards.
func (a *Auth) UpdateAccount(ctx context.Context, ns, id string, u AccountUpdate, may func(was Account) error) (Account, error) {
	if !isID(id) {
		return Account{}, ErrNotFound
	}
	var scopes []string
	if u.Scopes != nil {
		var err error
		if scopes, err = checkScopes(*u.Scopes); err != nil {
			return Account{}, err
		}
	}
	hash := ""
	for {
		acc, err := a.hold(ctx, ns, id)
		if err != nil {
			return Account{}, err
		}
		if acc.revision == 0 {
			return Account{}, ErrNotFound
		}
		if err := may(acc.public()); err != nil {
			return Account{}, err
		}
		t := store.Txn{If: []store.Cond{acc.cond()}}
		wasAdmin := acc.isAdmin()
		if u.ends() {
			acc.Epoch = randomID()
		}
		if len(u.Metadata) > 0 {
			acc.Metadata = merged(acc.Metadata, u.Metadata)
			if err := checkMetadata(acc.Metadata); err != nil {
				return Account{}, err
			}
		}
		if u.Scopes != nil {
			acc.Scopes = scopes
		}
		if u.Disabled != nil {
			acc.Disabled = *u.Disabled
		}
		if u.Password != nil {
			if hash == "" {
				if err := checkNewPassword(*u.Password); err != nil {
					return Account{}, err
				}
				if hash, err = a.hash(ctx, *u.Password); err != nil {
					return Account{}, err
				}
			}
			acc.setPassword(hash)
		}
		if wasAdmin && !acc.isAdmin() {
			other, err := a.otherAdmin(ctx, ns, id)
			if err != nil {
				return Account{}, err
			}
			t.If = append(t.If, other.cond()) // that one must not go at the same moment
		}
		t.Do = []store.Op{store.Put(accountKey(ns, id), encodeJSON(acc.account))}
		revision, err := a.store.Txn(ctx, t)
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		if err != nil {
			return Account{}, err
		}
		err = a.accounts.Wait(ctx, ns, revision)
		if u.ends() {
			err = errors.Join(err, a.revokeSessions(ctx, ns, id))
		}
		return acc.public(), err
	}
}

// merged returns metadata with names set, or removed where the value is empty.
func merged(was, set map[string]string) map[string]string {
	out := map[string]string{}
	maps.Copy(out, was)
	maps.Copy(out, set)
	maps.DeleteFunc(out, func(_, value string) bool { return value == "" })
	return out
}
