package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

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
	Metadata  map[string]string // what its administrators note about it
	Created   time.Time
	Disabled  bool // cannot log in
}

// account is the record of an Account.
type account struct {
	Type     Type              `json:"type,omitempty"` // empty: User
	Metadata map[string]string `json:"metadata,omitempty"`

	Scopes   []string  `json:"scopes,omitempty"`
	Created  time.Time `json:"created"`
	Password string    `json:"password"` // its hash; empty: it logs in by API tokens alone
	// Epoch is another one after each change that ends the account's sessions,
	// and in an account that has the name of one that was deleted.
	Epoch string `json:"epoch,omitempty"`
	// Initial marks the administrator that every server begins with, whose
	// password everybody knows: it is accepted from this machine only.
	Initial bool `json:"initial,omitempty"`
	// Disabled: it is there, and nobody can be it.
	Disabled bool `json:"disabled,omitempty"`
}

func (r account) account(ns, id string) Account {
	return Account{
		ID: id, Namespace: ns, Type: r.kind(), Scopes: r.Scopes, Metadata: r.Metadata, Created: r.Created, Disabled: r.Disabled,
	}
}

func (r account) kind() Type { return cmp.Or(r.Type, User) }

// limits of what is noted about an account.
const (
	maxMetadata      = 32  // names
	maxMetadataName  = 64  // bytes
	maxMetadataValue = 256 // bytes
)

// checkMetadata returns nil when it can be noted about an account.
func checkMetadata(m map[string]string) error {
	if len(m) > maxMetadata {
		return invalid("metadata of %d names; an account can have %d", len(m), maxMetadata)
	}
	for name, value := range m {
		if !isID(name) || len(name) > maxMetadataName {
			return invalid("%.100q cannot name metadata: use up to %d letters, digits and -_.@+", name, maxMetadataName)
		}
		if len(value) > maxMetadataValue || !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl) {
			return invalid("the metadata %q is no line of at most %d bytes of text", name, maxMetadataValue)
		}
	}
	return nil
}

// setPassword sets the hash of a password, and with it ends all sessions.
func (r *account) setPassword(hash string) {
	r.Password, r.Epoch, r.Initial = hash, randomID(), false
}

// held is the record of an account as it was read.
type held struct {
	account
	ns, id   string
	revision int64
}

func (h held) public() Account { return h.account.account(h.ns, h.id) }

func (h held) cond() store.Cond {
	return store.Cond{Key: accountKey(h.ns, h.id), Revision: h.revision}
}

// hold reads an account; the revision is 0 when there is none.
func (a *Auth) hold(ctx context.Context, ns, id string) (held, error) {
	rec, revision, err := load[account](ctx, a.store, accountKey(ns, id))
	return held{rec, ns, id, revision}, err
}

// replace writes the record of an account that nobody has changed since it was read.
func (a *Auth) replace(ctx context.Context, h held) (held, error) {
	revision, err := a.store.Txn(ctx, store.Txn{
		If: []store.Cond{h.cond()},
		Do: []store.Op{store.Put(accountKey(h.ns, h.id), encodeJSON(h.account))},
	})
	h.revision = revision
	return h, err
}

// The administrator of a new server.
const (
	InitialAccount  = "admin"
	InitialPassword = "micro"
)

const (
	minPassword = 8
	maxPassword = 1024
	// maxScopes is how many scopes an account can have: its access tokens must
	// not become longer than a token may be.
	maxScopes = 32
)

// Initialize makes the default namespace with its administrator on a server that has
// none. The password is [InitialPassword], good from this machine only, unless
// another is given. It changes nothing afterwards, but that a given password
// replaces an initial one. It reports whether the password was set.
func (a *Auth) Initialize(ctx context.Context, password string) (bool, error) {
	admin, err := a.hold(ctx, DefaultNamespace, InitialAccount)
	if err != nil {
		return false, err
	}
	if admin.revision != 0 {
		if !admin.Initial || password == "" {
			return false, nil
		}
		// Whoever has logged in did so with the password that everybody knows.
		admin.setPassword(hashPassword(password))
		if _, err := a.replace(ctx, admin); err != nil {
			return false, err
		}
		return true, a.revokeSessions(ctx, DefaultNamespace, InitialAccount)
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
	acc := account{Scopes: []string{ScopeAdmin}, Created: a.now()}
	acc.setPassword(hashPassword(password))
	acc.Initial = initial
	_, err = a.createNamespace(ctx, DefaultNamespace, InitialAccount, acc, store.Txn{})
	return err == nil, err
}

// CreateAccount makes an account, and returns it as it is then. One of type [Service] is
// for a program that runs elsewhere; without a password it logs in by API tokens alone.
// ErrNotFound when there is no such namespace.
func (a *Auth) CreateAccount(ctx context.Context, acc Account, password string) (Account, error) {
	rec := account{Type: acc.Type, Metadata: acc.Metadata, Created: a.now()}
	switch {
	case rec.Type == User:
		rec.Type = "" // as it is kept
	case rec.Type != "" && rec.Type != Service:
		return Account{}, invalid("%q is no type of accounts", rec.Type)
	}
	if !isID(acc.ID) {
		return Account{}, invalidAccount(acc.ID)
	}
	if rec.Type != Service || password != "" {
		if err := checkNewPassword(password); err != nil {
			return Account{}, err
		}
	}
	var err error
	if rec.Scopes, err = checkScopes(acc.Scopes); err != nil {
		return Account{}, err
	}
	if err := checkMetadata(rec.Metadata); err != nil {
		return Account{}, err
	}
	// Or whoever signs up later would find an account in his namespace.
	if exists, err := a.Exists(ctx, acc.Namespace); err != nil {
		return Account{}, err
	} else if !exists {
		return Account{}, ErrNotFound
	}
	hash := ""
	if password != "" {
		if hash, err = a.hash(ctx, password); err != nil {
			return Account{}, err
		}
	}
	rec.setPassword(hash)
	created, err := a.replace(ctx, held{rec, acc.Namespace, acc.ID, 0})
	if errors.Is(err, store.ErrConflict) {
		return Account{}, ErrExists
	}
	if err != nil {
		return Account{}, err
	}
	return created.public(), nil
}

// checkScopes returns scopes as they are kept.
func checkScopes(scopes []string) ([]string, error) {
	for _, s := range scopes {
		if !isID(s) {
			return nil, invalid("%q cannot name a scope: use letters, digits and -_.@+", s)
		}
	}
	scopes = slices.Compact(slices.Sorted(slices.Values(scopes)))
	if len(scopes) > maxScopes {
		return nil, invalid("%d scopes; an account can have %d", len(scopes), maxScopes)
	}
	return scopes, nil
}

func checkNew(id, password string) error {
	if !isID(id) {
		return invalidAccount(id)
	}
	return checkNewPassword(password)
}

func invalidAccount(id string) error {
	return invalid("%.200q cannot name an account: use up to 128 letters, digits and -_.@+", id)
}

func checkNewPassword(password string) error {
	if len(password) < minPassword {
		return invalid("the password is shorter than %d bytes", minPassword)
	}
	if len(password) > maxPassword {
		return invalid("the password is longer than %d bytes", maxPassword)
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
			return nil, false, fmt.Errorf("%s: %w", rec.Key, err)
		}
		accounts = append(accounts, acc.account(ns, strings.TrimPrefix(rec.Key, accountKey(ns, ""))))
	}
	return accounts, false, nil
}

// DeleteAccount removes an account with its API tokens and revokes its sessions. [ErrLastAdmin] when
// nobody could manage the namespace then.
func (a *Auth) DeleteAccount(ctx context.Context, ns, id string) error {
	if !isID(id) {
		return ErrNotFound
	}
	for {
		acc, err := a.hold(ctx, ns, id)
		if err != nil {
			return err
		}
		if acc.revision == 0 {
			return ErrNotFound
		}
		t := store.Txn{If: []store.Cond{acc.cond()}, Do: []store.Op{store.Delete(accountKey(ns, id))}}
		if acc.isAdmin() {
			other, err := a.otherAdmin(ctx, ns, id)
			if err != nil {
				return err
			}
			t.If = append(t.If, other.cond()) // that one must not go at the same moment
		}
		revision, err := a.store.Txn(ctx, t)
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		if err != nil {
			return err
		}
		return errors.Join(
			a.accounts.Wait(ctx, ns, revision),
			a.revokeSessions(ctx, ns, id),
			a.deleteAPITokens(ctx, ns, id))
	}
}

// isAdmin reports whether a person can manage the namespace with the account.
func (r account) isAdmin() bool {
	return !r.Disabled && r.kind() == User && hasScope(r.Scopes, ScopeAdmin)
}

// otherAdmin returns an administrator who is not the given account; [ErrLastAdmin] when
// there is none.
func (a *Auth) otherAdmin(ctx context.Context, ns, id string) (held, error) {
	for rec, err := range a.store.Range(ctx, store.Prefix(accountKey(ns, ""))) {
		if err != nil {
			return held{}, err
		}
		acc, err := decodeJSON[account](rec)
		if err != nil {
			return held{}, fmt.Errorf("%s: %w", rec.Key, err)
		}
		if other := strings.TrimPrefix(rec.Key, accountKey(ns, "")); other != id && acc.isAdmin() {
			return held{acc, ns, other, rec.Revision}, nil
		}
	}
	return held{}, ErrLastAdmin
}

// ChangePassword sets an account's password, ends all its sessions and opens a
// new one. Wrong old passwords count as those of [Auth.Login] do.
func (a *Auth) ChangePassword(ctx context.Context, ns, id, old, password string, from Client) (Session, error) {
	for {
		acc, err := a.checkPassword(ctx, ns, id, old, from)
		if err != nil {
			return Session{}, err
		}
		if err := checkNew(id, password); err != nil {
			return Session{}, err
		}
		hash, err := a.hash(ctx, password)
		if err != nil {
			return Session{}, err
		}
		acc.setPassword(hash)
		acc, err = a.replace(ctx, acc)
		if errors.Is(err, store.ErrConflict) {
			continue // the old password may be another one now
		}
		if err != nil {
			return Session{}, err
		}
		if err := a.revokeSessions(ctx, ns, id); err != nil {
			return Session{}, err
		}
		return a.openSession(ctx, acc)
	}
}

// checkPassword returns the account when the password is right, and
// ErrCredentials whatever else is wrong, after the same time; a [TooManyError] when
// there were too many that were wrong.
func (a *Auth) checkPassword(ctx context.Context, ns, id, password string, from Client) (held, error) {
	if len(password) > maxPassword {
		return held{}, ErrCredentials // nobody has one
	}
	attempt, err := a.throttle.begin(ns, id, from)
	if err != nil {
		return held{}, err
	}
	var acc held
	if IsName(ns) && isID(id) {
		if acc, err = a.hold(ctx, ns, id); err == nil {
			_, err = a.store.Get(ctx, namespaceKey(ns))
		}
		if errors.Is(err, store.ErrNotFound) {
			acc, err = held{}, nil // it is being deleted
		}
		if err != nil {
			attempt.unseen()
			return held{}, err
		}
	}
	select {
	case a.hashing <- struct{}{}:
		defer func() { <-a.hashing }()
	case <-ctx.Done():
		attempt.unseen()
		return held{}, ctx.Err()
	}
	if !checkPassword(acc.Password, password) || acc.revision == 0 || acc.Disabled || acc.Initial && !from.Local {
		return held{}, ErrCredentials
	}
	attempt.right()
	return acc, nil
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
