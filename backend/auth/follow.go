package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/micro/micro/v3/backend/store"
)

// sessionCheck is how often it is looked whether a session that somebody follows has
// come to its end. What ends it before its time is told at once.
const sessionCheck = time.Hour

// Follow returns when a caller who was let in with a token must not go on: when the
// session, the account or the API token was taken away, and otherwise with the first
// error of may. That is asked with who the caller is now, at once and after each change
// of what it can depend on: the rules of the namespace ns, unless that is empty, and the
// caller himself.
// An access token that expires is no reason, since its session goes on. When ctx ends
// Follow returns its error.
func (a *Auth) Follow(ctx context.Context, token, ns string, may func(context.Context, Identity) error) error {
	f, err := a.follow(ctx, token, ns)
	if err != nil {
		return err
	}
	tick := time.NewTicker(sessionCheck)
	defer tick.Stop()
	for {
		// First the channels: what changes from here on is seen next time.
		changed, err := f.changes(ctx)
		if err != nil {
			return err
		}
		id, err := f.caller(ctx)
		if err != nil {
			return err
		}
		if err := may(ctx, id); err != nil {
			return err
		}
		select {
		case <-changed[0]:
		case <-changed[1]:
		case <-changed[2]:
		case <-changed[3]:
		case <-changed[4]:
		case <-tick.C:
			if err := f.session(ctx); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// follower is one call that is followed.
type follower struct {
	auth  *Auth
	token string // empty: anonymous
	ns    string // that is called; empty: its rules do not matter
	home  string // the namespace of the token

	verified           // of an access token
	retires  time.Time // its key, as it was seen last
	record   string    // the key of the record of its session; empty: an instance's, or none
}

func (a *Auth) follow(ctx context.Context, token, ns string) (*follower, error) {
	f := &follower{auth: a, token: token, ns: ns}
	if token == "" {
		return f, nil
	}
	if f.isAPIToken() {
		f.home, _, _ = strings.Cut(strings.TrimPrefix(token, apiTokenPrefix), ".")
		return f, nil
	}
	var err error
	if f.verified, err = a.tokens.verify(ctx, token); err != nil {
		return nil, err
	}
	f.home = f.identity.Namespace
	key := sessionKey(f.home, f.identity.Session)
	if _, err := a.store.Get(ctx, key); err == nil {
		f.record = key
	} else if !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	return f, nil
}

func (f *follower) isAPIToken() bool { return strings.HasPrefix(f.token, apiTokenPrefix) }

// changes returns channels that are closed when something changes on which the caller
// depends; some may be nil.
func (f *follower) changes(ctx context.Context) (changed [5]<-chan struct{}, err error) {
	a := f.auth
	if f.ns != "" {
		rules, err := a.rules.Get(ctx, f.ns)
		switch {
		case err == nil:
			changed[0], changed[1] = rules.Changed(), rules.namespace.Changed()
		case !errors.Is(err, ErrNotFound): // what is not there grants nothing
			return changed, err
		}
	}
	if f.token == "" {
		return changed, nil
	}
	home, err := a.rules.Get(ctx, f.home)
	if errors.Is(err, ErrNotFound) {
		return changed, ErrRevoked
	}
	if err != nil {
		return changed, err
	}
	changed[2] = home.namespace.Changed()
	if f.isAPIToken() {
		tokens, err := a.apiTokens.Get(ctx, f.home)
		if err != nil {
			return changed, err
		}
		accounts, err := a.accounts.Get(ctx, f.home)
		if err != nil {
			return changed, err
		}
		changed[3], changed[4] = tokens.Changed(), accounts.Changed()
		return changed, nil
	}
	revoked, err := a.revoked.Get(ctx, f.home)
	if err != nil {
		return changed, err
	}
	keys, err := a.tokens.keys.Get(ctx, keyPrefix)
	if err != nil {
		return changed, err
	}
	changed[3], changed[4] = revoked.Changed(), keys.Changed()
	return changed, nil
}

// caller returns who calls, or why he is nobody any more.
func (f *follower) caller(ctx context.Context) (Identity, error) {
	if f.token == "" || f.isAPIToken() {
		return f.auth.Verify(ctx, f.token)
	}
	if err := f.auth.current(ctx, f.verified); err != nil {
		return Identity{}, err
	}
	keys, err := f.auth.tokens.keys.Get(ctx, keyPrefix)
	if err != nil {
		return Identity{}, err
	}
	switch key, known := keys.Get(f.key); {
	case known:
		f.retires = key.retires
	case f.retires.IsZero(), f.auth.now().Before(f.retires.Add(-time.Minute)):
		return Identity{}, ErrRevoked // before its time: somebody else may have signed the token
	}
	return f.identity, nil
}

// session returns an error when the session has come to its end.
func (f *follower) session(ctx context.Context) error {
	if f.record == "" {
		return nil
	}
	_, err := f.auth.store.Get(ctx, f.record)
	if errors.Is(err, store.ErrNotFound) {
		return ErrExpired
	}
	if err != nil {
		return fmt.Errorf("%s: %w", f.record, err)
	}
	return nil
}
