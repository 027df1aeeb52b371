package envs

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// GitLogin is what a host of git repositories lets the user in with. It is for that
// host and no other.
type GitLogin struct {
	Host  string `json:"host"` // HOST or HOST:PORT, in lower case
	User  string `json:"user"`
	Token string `json:"token,omitempty"` // not in the file when it is in the keyring

	Storage Storage `json:"storage"`
}

func gitDir(d Dirs) string { return filepath.Join(d.State, "git") }

// gitPath returns the file of a login. A colon is no letter of a file's name
// everywhere, and a plus is none of a host's.
func gitPath(d Dirs, host string) string {
	return filepath.Join(gitDir(d), strings.ReplaceAll(host, ":", "+")+".json")
}

func gitEntry(d Dirs, host string) string { return "git " + host + " in " + d.State }

// GitHost returns a host as logins know it. The error is [ErrInvalid] for what is none.
func GitHost(s string) (string, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		host, port = s, ""
	}
	if !isHost(host) || strings.Trim(port, "0123456789") != "" {
		return "", invalid("%q is no host, such as github.com", s)
	}
	if port != "" {
		host = net.JoinHostPort(host, port)
	}
	return strings.ToLower(host), nil
}

// Save keeps a login where its Storage says, in the place of one that there was.
func (l GitLogin) Save(d Dirs, k Keyring) error {
	switch l.Storage {
	case InKeyring:
		if err := k.Set(gitEntry(d, l.Host), l.Token); err != nil {
			return err
		}
		l.Token = ""
	case InFile:
	default:
		return invalid("storage %q", l.Storage)
	}
	b, err := json.Marshal(l)
	if err != nil {
		return err
	}
	return writePrivate(gitPath(d, l.Host), append(b, '\n'))
}

// FindGitLogin returns the login at a host, or [ErrNoSession].
func FindGitLogin(d Dirs, host string, k Keyring) (GitLogin, error) {
	host, err := GitHost(host)
	if err != nil {
		return GitLogin{}, ErrNoSession
	}
	l, err := readGitLogin(gitPath(d, host))
	if err == nil && l.Storage == InKeyring {
		l.Token, err = k.Get(gitEntry(d, host))
	}
	if err == nil && (l.Host != host || l.Token == "") {
		return GitLogin{}, ErrNoSession
	}
	return l, err
}

func readGitLogin(path string) (GitLogin, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return GitLogin{}, ErrNoSession
	}
	if err != nil {
		return GitLogin{}, err
	}
	var l GitLogin
	if err := json.Unmarshal(b, &l); err != nil {
		return GitLogin{}, &DamagedError{Path: path, Err: err}
	}
	return l, nil
}

// GitLogins returns the logins without their tokens, ordered by host.
func GitLogins(d Dirs) ([]GitLogin, error) {
	files, err := filepath.Glob(filepath.Join(gitDir(d), "*.json"))
	if err != nil {
		return nil, err
	}
	slices.Sort(files)
	var all []GitLogin
	for _, f := range files {
		l, err := readGitLogin(f)
		if err != nil {
			return nil, err
		}
		l.Token = ""
		all = append(all, l)
	}
	return all, nil
}

// ForgetGitLogin removes the login at a host, or returns [ErrNoSession].
func ForgetGitLogin(d Dirs, host string, k Keyring) error {
	host, err := GitHost(host)
	if err != nil {
		return err
	}
	l, err := readGitLogin(gitPath(d, host))
	if err != nil {
		return err
	}
	if l.Storage == InKeyring {
		err = k.Delete(gitEntry(d, host))
	}
	return errors.Join(err, removeFile(gitPath(d, host)))
}
