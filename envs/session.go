package envs

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/micro/micro/v3/internal/atomicfile"
)

// Session is what a login leaves: a refresh token, in the keyring or in a file,
// and an access token, which is short-lived and lies in a file so that a call
// does not wake the keyring. Both are kept together with the address of the server
// that gave them, and are for no other, whatever the environment is called.
type Session struct {
	Account       string
	Namespace     string
	Access        string
	AccessExpires time.Time
	Refresh       string
}

// access is the file of an access token.
type access struct {
	Address string    `json:"address"`
	Account string    `json:"account"`
	Token   string    `json:"token"`
	Expires time.Time `json:"expires"`
}

// refresh is what a refresh token is kept as, in the keyring or in a file.
type refresh struct {
	Address string `json:"address"`
	Account string `json:"account"`
	Token   string `json:"token"`
}

// renewBefore is how long before its end an access token is not used any more.
const renewBefore = time.Minute

// Errors of sessions, for [errors.Is].
var (
	// ErrNoSession means that nobody is logged in to an environment.
	ErrNoSession = errors.New("not logged in")
	// ErrMoved means that an environment has another address than it had when
	// the session for it began.
	ErrMoved = errors.New("the environment has another address now")
)

// EnvToken is the variable that holds an access token, over every other.
const EnvToken = "MICRO_TOKEN"

func accessPath(d Dirs, env string) string  { return filepath.Join(d.Runtime, "access", env+".json") }
func refreshPath(d Dirs, env string) string { return filepath.Join(d.State, "credentials", env) }

// keyringEntry names a secret. The keyring is the user's, and a user may have
// several homes of micro, each with environments of its own.
func keyringEntry(d Dirs, env string) string { return env + " in " + d.State }

// sameServer reports whether a refresh token that a server at an address gave is
// for the environment. The own server is at whatever port was free, and the
// directory that says where is the user's.
func (e Env) sameServer(address string) bool { return e.Name == Local || e.Address == address }

// AccessToken returns a token for calls to an environment. The error is
// [ErrNoSession] when there is none that can be used without a refresh.
func (e Env) AccessToken(d Dirs, getenv func(string) string, now time.Time) (string, error) {
	if t := getenv(EnvToken); t != "" {
		return t, nil
	}
	if e.Account == "" {
		return "", ErrNoSession
	}
	b, err := os.ReadFile(accessPath(d, e.Name))
	if errors.Is(err, fs.ErrNotExist) {
		return "", ErrNoSession
	}
	if err != nil {
		return "", err
	}
	var a access
	if json.Unmarshal(b, &a) != nil || a.Token == "" || a.Address != e.Address || a.Account != e.Account || now.Add(renewBefore).After(a.Expires) {
		return "", ErrNoSession // it can be made again
	}
	return a.Token, nil
}

// RefreshToken returns the token to get the next session with. The error is
// [ErrNoSession] when there is none of this server and account.
func (e Env) RefreshToken(d Dirs, k Keyring) (string, error) {
	var secret []byte
	switch e.Storage {
	case InKeyring:
		s, err := k.Get(keyringEntry(d, e.Name))
		if err != nil {
			return "", err
		}
		secret = []byte(s)
	case InFile:
		b, err := os.ReadFile(refreshPath(d, e.Name))
		if errors.Is(err, fs.ErrNotExist) {
			return "", ErrNoSession
		}
		if err != nil {
			return "", err
		}
		secret = b
	default:
		return "", ErrNoSession
	}
	var r refresh
	if json.Unmarshal(secret, &r) != nil || r.Token == "" || r.Account != e.Account || !e.sameServer(r.Address) {
		return "", ErrNoSession
	}
	return r.Token, nil
}

// Save keeps a session that the server of e gave, in the given place, and makes its
// account the one that is logged in. The error is [ErrMoved], and nothing is
// kept, when the environment leads elsewhere by now, and [ErrUnknown] when it is
// gone.
func (s Session) Save(d Dirs, e Env, in Storage, k Keyring) error {
	return Update(d, func(c *Config) error {
		current, err := c.Get(e.Name)
		if err != nil {
			return err
		}
		if !current.sameServer(e.Address) {
			return ErrMoved
		}
		if err := s.write(d, e, in, k); err != nil {
			return err
		}
		if current.Storage != in {
			// It is of no use any more; that it cannot be removed is no reason to
			// log nobody in.
			_ = removeRefresh(d, current, k)
		}
		current.Account, current.Namespace, current.Storage = s.Account, s.Namespace, in
		return c.Put(current)
	})
}

// write keeps the tokens: first the one that cannot be had again.
func (s Session) write(d Dirs, e Env, in Storage, k Keyring) error {
	secret, err := json.Marshal(refresh{Address: e.Address, Account: s.Account, Token: s.Refresh})
	if err != nil {
		return err
	}
	switch in {
	case InKeyring:
		err = k.Set(keyringEntry(d, e.Name), string(secret))
	case InFile:
		err = writePrivate(refreshPath(d, e.Name), secret)
	default:
		err = invalid("storage %q", in)
	}
	if err != nil {
		return err
	}
	token, err := json.Marshal(access{Address: e.Address, Account: s.Account, Token: s.Access, Expires: s.AccessExpires})
	if err != nil {
		return err
	}
	return writePrivate(accessPath(d, e.Name), token)
}

// Forget removes the session of an environment from this machine. What is
// elsewhere, such as on the server, stays. What can be removed is, whatever else
// fails.
func Forget(d Dirs, name string, k Keyring) error {
	var left error
	err := Update(d, func(c *Config) error {
		e, err := c.Get(name)
		if err != nil {
			return err
		}
		left = removeTokens(d, e, k)
		if e.Account == "" && e.Storage == "" && e.Namespace == "" {
			return nil
		}
		e.Account, e.Storage, e.Namespace = "", "", ""
		return c.Put(e)
	})
	return errors.Join(left, err)
}

// Remove deletes an environment together with its session on this machine. It
// returns what it was.
func Remove(d Dirs, name string, k Keyring) (removed Env, err error) {
	var left error
	err = Update(d, func(c *Config) (err error) {
		if removed, err = c.Get(name); err != nil {
			return err
		}
		if err := c.Delete(name); err != nil {
			return err
		}
		left = removeTokens(d, removed, k)
		return nil
	})
	return removed, errors.Join(left, err)
}

func removeTokens(d Dirs, e Env, k Keyring) error {
	return errors.Join(removeRefresh(d, e, k), removeFile(accessPath(d, e.Name)))
}

func removeRefresh(d Dirs, e Env, k Keyring) error {
	switch e.Storage {
	case InKeyring:
		return k.Delete(keyringEntry(d, e.Name))
	case InFile:
		return removeFile(refreshPath(d, e.Name))
	default:
		return nil
	}
}

// removeFile removes a file; that there is none is no error.
func removeFile(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
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
	return atomicfile.Write(path, data)
}
