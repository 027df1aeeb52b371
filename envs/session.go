package envs

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Session is what a login leaves: a refresh token, in the keyring or in a file,
// and an access token, which is short-lived and lies in a file so that a call
// does not wake the keyring.
type Session struct {
	Account        string
	Namespace      string
	Access         string
	AccessExpires  time.Time
	Refresh        string
	RefreshExpires time.Time
}

// access is the file of an access token.
type access struct {
	Address   string    `json:"address"` // it is for this server and no other
	Namespace string    `json:"namespace"`
	Account   string    `json:"account"`
	Token     string    `json:"token"`
	Expires   time.Time `json:"expires"`
}

// renewBefore is how long before its end an access token is not used any more.
const renewBefore = time.Minute

// ErrNoSession means that nobody is logged in to an environment.
var ErrNoSession = errors.New("not logged in")

// EnvToken is the variable that holds an access token, over every other.
const EnvToken = "MICRO_TOKEN"

func accessPath(d Dirs, env string) string  { return filepath.Join(d.Runtime, "access", env+".json") }
func refreshPath(d Dirs, env string) string { return filepath.Join(d.State, "credentials", env) }

// AccessToken returns a token for calls to an environment, and the namespace of its
// account. The error is [ErrNoSession] when there is none that can be used
// without a refresh.
func (e Env) AccessToken(d Dirs, getenv func(string) string, now time.Time) (token, namespace string, err error) {
	if t := getenv(EnvToken); t != "" {
		return t, "", nil
	}
	if e.Account == "" {
		return "", "", ErrNoSession
	}
	b, err := os.ReadFile(accessPath(d, e.Name))
	if errors.Is(err, fs.ErrNotExist) {
		return "", "", ErrNoSession
	}
	if err != nil {
		return "", "", err
	}
	var a access
	if json.Unmarshal(b, &a) != nil || a.Address != e.Address || a.Account != e.Account || now.Add(renewBefore).After(a.Expires) {
		return "", "", ErrNoSession // it can be made again
	}
	return a.Token, a.Namespace, nil
}

// RefreshToken returns the token to get the next session with.
func (e Env) RefreshToken(d Dirs, k Keyring) (string, error) {
	switch e.Storage {
	case InKeyring:
		return k.Get(e.Name)
	case InFile:
		b, err := os.ReadFile(refreshPath(d, e.Name))
		if errors.Is(err, fs.ErrNotExist) {
			return "", ErrNoSession
		}
		return string(b), err
	default:
		return "", ErrNoSession
	}
}

// Save keeps a session for an environment, in the given place, and makes its
// account the one that is logged in.
func (s Session) Save(d Dirs, env string, in Storage, k Keyring) error {
	var address string
	if c, err := Load(d); err != nil {
		return err
	} else if e, err := c.Get(env); err != nil {
		return err
	} else {
		address = e.Address
	}
	switch in {
	case InKeyring:
		if err := k.Set(env, s.Refresh); err != nil {
			return err
		}
	case InFile:
		if err := writePrivate(refreshPath(d, env), []byte(s.Refresh)); err != nil {
			return err
		}
	default:
		return invalid("storage %q", in)
	}
	b, err := json.Marshal(access{Address: address, Namespace: s.Namespace, Account: s.Account, Token: s.Access, Expires: s.AccessExpires})
	if err != nil {
		return err
	}
	if err := writePrivate(accessPath(d, env), b); err != nil {
		return err
	}
	return Update(d, func(c *Config) error {
		e, err := c.Get(env)
		if err != nil {
			return err
		}
		if e.Account == s.Account && e.Namespace == s.Namespace && e.Storage == in {
			return nil
		}
		e.Account, e.Namespace, e.Storage = s.Account, s.Namespace, in
		return c.Put(e)
	})
}

// Forget removes the session of an environment from this machine. What is
// elsewhere, such as on the server, stays.
func Forget(d Dirs, e Env, k Keyring) error {
	var errs []error
	if e.Storage == InKeyring {
		errs = append(errs, k.Delete(e.Name))
	}
	for _, p := range []string{refreshPath(d, e.Name), accessPath(d, e.Name)} {
		if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	errs = append(errs, Update(d, func(c *Config) error {
		e, err := c.Get(e.Name)
		if err != nil {
			return nil //nolint:nilerr // it was deleted meanwhile
		}
		e.Account, e.Storage, e.Namespace = "", "", ""
		return c.Put(e)
	}))
	return errors.Join(errs...)
}

// LockSession makes other commands wait that would renew or end the same session.
// The end of ctx ends the wait for them.
func LockSession(ctx context.Context, d Dirs, env string) (unlock func(), err error) {
	p := refreshPath(d, env) + ".lock"
	if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
		return nil, err
	}
	return lock(ctx, p)
}

// writePrivate writes a file that only the user can read into a directory that
// only the user can enter.
func writePrivate(path string, data []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return err
	}
	return writeFile(path, data)
}
