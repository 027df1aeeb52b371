package auth

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/micro/micro/v3/backend/store"
)

// Type is the kind of bearer of an account.
type Type string

// The kinds of accounts.
const (
	User    Type = "user"
	Service Type = "service"
)

// Account is somebody or something that can be logged in.
type Account struct {
	ID        string
	Namespace string
	Type      Type
	Scopes    []string
	Created   time.Time
}

// account is the record of an Account.
type account struct {
	Scopes   []string  `json:"scopes,omitempty"`
	Created  time.Time `json:"created"`
	Password string    `json:"password"` // its hash
	// Initial marks the administrator that every server begins with, whose
	// password everybody knows: it is accepted from this machine only.
	Initial bool `json:"initial,omitempty"`
}

func (r account) account(ns, id string) Account {
	return Account{ID: id, Namespace: ns, Type: User, Scopes: r.Scopes, Created: r.Created}
}

// The administrator of a new server.
const (
	InitialAccount  = "admin"
	InitialPassword = "micro"
)

const minPassword = 8

// Initialize makes the default namespace with its administrator on a server that has
// none. The password is [InitialPassword], good from this machine only, unless
// another is given. It changes nothing afterwards, but that a given password
// replaces an initial one. It reports whether the password was set.
func (a *Auth) Initialize(ctx context.Context, password string) (bool, error) {
	key := accountKey(DefaultNamespace, InitialAccount)
	acc, revision, err := load[account](ctx, a.store, key)
	if err != nil {
		return false, err
	}
	if revision != 0 {
		if !acc.Initial || password == "" {
			return false, nil
		}
		acc.Initial = false
		acc.Password = hashPassword(password)
		_, err := a.store.Txn(ctx, store.Txn{
			If: []store.Cond{{Key: key, Revision: revision}},
			Do: []store.Op{store.Put(key, encodeJSON(acc))},
		})
		return err == nil, err
	}
	if _, err := a.store.Get(ctx, namespaceKey(DefaultNamespace)); err == nil {
		return false, nil // somebody has deleted the account
	} else if !errors.Is(err, store.ErrNotFound) {
		return false, err
	}
	initial := password == ""
	if initial {
		password = InitialPassword
	}
	err = a.createNamespace(ctx, DefaultNamespace, InitialAccount, account{
		Scopes:   []string{ScopeAdmin},
		Created:  a.now(),
		Password: hashPassword(password),
		Initial:  initial,
	})
	return err == nil, err
}

// Signup makes a namespace with its first account, which administers it, and
// logs that in.
func (a *Auth) Signup(ctx context.Context, ns, id, password string) (Session, error) {
	if !IsName(ns) {
		return Session{}, invalid("%q cannot name a namespace: use 1 to 63 of a-z, 0-9 and '-', beginning and ending with a letter or digit", ns)
	}
	if err := checkNew(id, password); err != nil {
		return Session{}, err
	}
	// Before the slow hash, and again in the transaction.
	if _, err := a.store.Get(ctx, namespaceKey(ns)); err == nil {
		return Session{}, ErrExists
	} else if !errors.Is(err, store.ErrNotFound) {
		return Session{}, err
	}
	hash, err := a.hash(ctx, password)
	if err != nil {
		return Session{}, err
	}
	acc := account{Scopes: []string{ScopeAdmin}, Created: a.now(), Password: hash}
	if err := a.createNamespace(ctx, ns, id, acc); err != nil {
		return Session{}, err
	}
	return a.openSession(ctx, acc.account(ns, id))
}

func (a *Auth) createNamespace(ctx context.Context, ns, id string, acc account) error {
	ops := []store.Op{
		store.Put(namespaceKey(ns), encodeJSON(struct {
			Created time.Time `json:"created"`
		}{acc.Created})),
		store.Put(accountKey(ns, id), encodeJSON(acc)),
		store.Put(indexPrefix+ns, nil),
	}
	for _, r := range initialRules() {
		ops = append(ops, store.Put(ruleKey(ns, r.ID), encodeJSON(r)))
	}
	_, err := a.store.Txn(ctx, store.Txn{If: []store.Cond{{Key: namespaceKey(ns)}}, Do: ops})
	if errors.Is(err, store.ErrConflict) {
		return ErrExists
	}
	return err
}

// Namespaces returns the names of all namespaces, ordered.
func (a *Auth) Namespaces(ctx context.Context) ([]string, error) {
	var names []string
	for r, err := range a.store.Range(ctx, store.Prefix(indexPrefix)) {
		if err != nil {
			return nil, err
		}
		names = append(names, strings.TrimPrefix(r.Key, indexPrefix))
	}
	return names, nil
}

// CreateAccount makes an account in an existing namespace.
func (a *Auth) CreateAccount(ctx context.Context, ns, id, password string, scopes []string) (Account, error) {
	if err := checkNew(id, password); err != nil {
		return Account{}, err
	}
	for _, s := range scopes {
		if !isID(s) {
			return Account{}, invalid("%q cannot name a scope: use letters, digits and -_.@+", s)
		}
	}
	scopes = slices.Compact(slices.Sorted(slices.Values(scopes)))
	hash, err := a.hash(ctx, password)
	if err != nil {
		return Account{}, err
	}
	acc := account{Scopes: scopes, Created: a.now(), Password: hash}
	key := accountKey(ns, id)
	_, err = a.store.Txn(ctx, store.Txn{If: []store.Cond{{Key: key}}, Do: []store.Op{store.Put(key, encodeJSON(acc))}})
	if errors.Is(err, store.ErrConflict) {
		return Account{}, ErrExists
	}
	return acc.account(ns, id), err
}

func checkNew(id, password string) error {
	if !isID(id) {
		return invalid("%q cannot name an account: use up to 128 letters, digits and -_.@+", id)
	}
	if len(password) < minPassword {
		return invalid("the password is shorter than %d bytes", minPassword)
	}
	if len(password) > 1024 {
		return invalid("the password is longer than 1024 bytes")
	}
	return nil
}

// Accounts returns at most limit accounts of a namespace whose ids come after
// the given one, ordered by id, and whether there are more.
func (a *Auth) Accounts(ctx context.Context, ns, after string, limit int) (accounts []Account, more bool, err error) {
	r := store.Prefix(accountKey(ns, ""))
	if after != "" {
		r.Start = accountKey(ns, after) + "\x00"
	}
	for rec, err := range a.store.Range(ctx, r) {
		if err != nil {
			return nil, false, err
		}
		if len(accounts) == limit {
			return accounts, true, nil
		}
		acc, err := decodeJSON[account](rec)
		if err != nil {
			return nil, false, err
		}
		accounts = append(accounts, acc.account(ns, strings.TrimPrefix(rec.Key, accountKey(ns, ""))))
	}
	return accounts, false, nil
}

// DeleteAccount removes an account and revokes its sessions.
func (a *Auth) DeleteAccount(ctx context.Context, ns, id string) error {
	if !isID(id) {
		return ErrNotFound
	}
	acc, revision, err := load[account](ctx, a.store, accountKey(ns, id))
	if err != nil {
		return err
	}
	if revision == 0 {
		return ErrNotFound
	}
	t := store.Txn{
		If: []store.Cond{{Key: accountKey(ns, id), Revision: revision}},
		Do: []store.Op{store.Delete(accountKey(ns, id))},
	}
	if slices.Contains(acc.Scopes, ScopeAdmin) {
		other, revision, err := a.otherAdmin(ctx, ns, id)
		if err != nil {
			return err
		}
		if other == "" {
			return ErrLastAdmin
		}
		// That one must not go at the same moment.
		t.If = append(t.If, store.Cond{Key: accountKey(ns, other), Revision: revision})
	}
	if _, err := a.store.Txn(ctx, t); err != nil {
		return err
	}
	return a.revokeSessions(ctx, ns, id, "")
}

func (a *Auth) otherAdmin(ctx context.Context, ns, id string) (other string, revision int64, err error) {
	for rec, err := range a.store.Range(ctx, store.Prefix(accountKey(ns, ""))) {
		if err != nil {
			return "", 0, err
		}
		acc, err := decodeJSON[account](rec)
		if err != nil {
			return "", 0, err
		}
		if rec.Key != accountKey(ns, id) && slices.Contains(acc.Scopes, ScopeAdmin) {
			return strings.TrimPrefix(rec.Key, accountKey(ns, "")), rec.Revision, nil
		}
	}
	return "", 0, nil
}

// ChangePassword sets an account's password, ends all its sessions and opens a
// new one.
func (a *Auth) ChangePassword(ctx context.Context, ns, id, old, password string, local bool) (Session, error) {
	acc, err := a.checkPassword(ctx, ns, id, old, local)
	if err != nil {
		return Session{}, err
	}
	if err := checkNew(id, password); err != nil {
		return Session{}, err
	}
	rec, revision, err := load[account](ctx, a.store, accountKey(ns, id))
	if err != nil {
		return Session{}, err
	}
	if rec.Password, err = a.hash(ctx, password); err != nil {
		return Session{}, err
	}
	rec.Initial = false
	_, err = a.store.Txn(ctx, store.Txn{
		If: []store.Cond{{Key: accountKey(ns, id), Revision: revision}},
		Do: []store.Op{store.Put(accountKey(ns, id), encodeJSON(rec))},
	})
	if err != nil {
		return Session{}, err
	}
	if err := a.revokeSessions(ctx, ns, id, ""); err != nil {
		return Session{}, err
	}
	return a.openSession(ctx, acc)
}

// checkPassword returns the account when the password is right, and
// ErrCredentials whatever else is wrong, after the same time.
func (a *Auth) checkPassword(ctx context.Context, ns, id, password string, local bool) (Account, error) {
	var acc account
	var revision int64
	if IsName(ns) && isID(id) {
		var err error
		if acc, revision, err = load[account](ctx, a.store, accountKey(ns, id)); err != nil {
			return Account{}, err
		}
	}
	select {
	case a.hashing <- struct{}{}:
		defer func() { <-a.hashing }()
	case <-ctx.Done():
		return Account{}, ctx.Err()
	}
	if !checkPassword(acc.Password, password) || revision == 0 || acc.Initial && !local {
		return Account{}, ErrCredentials
	}
	return acc.account(ns, id), nil
}

func (a *Auth) hash(ctx context.Context, password string) (string, error) {
	select {
	case a.hashing <- struct{}{}:
		defer func() { <-a.hashing }()
		return hashPassword(password), nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}
