// Package envs knows the environments that a user works with: where each of them
// is, which one is current, and where the tokens for it lie.
//
// It is linked into the lean front, so it reads its one small file itself and
// starts nothing: no network, and the keyring only when a refresh token is needed.
package envs

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// DefaultNamespace is where calls go when neither the environment nor the command
// names another.
const DefaultNamespace = "micro"

// Local is the name of the environment that is current on a new machine.
const Local = "local"

// Env is a place where services run.
type Env struct {
	Name        string `json:"-"`
	Address     string `json:"address"` // of the identity proxy, as given: see [ParseAddress]
	Description string `json:"description,omitempty"`
	Namespace   string `json:"namespace,omitempty"` // the current one; empty: that of the session
	CA          string `json:"ca,omitempty"`        // a file of PEM certificates to trust instead of the system's
	Cert        string `json:"cert,omitempty"`      // a client certificate and its key, as PEM files
	Key         string `json:"key,omitempty"`
	Insecure    bool   `json:"insecure,omitempty"`  // believe any certificate
	Protected   bool   `json:"protected,omitempty"` // commands ask before they change anything there
	// Account is who is logged in, and Storage where the refresh token lies.
	// They are here so that to show them asks nobody.
	Account string  `json:"account,omitempty"`
	Storage Storage `json:"storage,omitempty"`
}

// Storage is a place for refresh tokens.
type Storage string

// The places.
const (
	InKeyring Storage = "keyring"
	InFile    Storage = "file"
)

// builtin are the environments that are there without being added.
func (c *Config) builtin() []Env {
	return []Env{
		{Name: Local, Address: localAddress(c.dirs), Description: "Micro server on this machine"},
		{Name: "dev", Address: "proxy.m3o.dev:443", Description: "Hosted environment for development"},
		{Name: "platform", Address: "proxy.m3o.com:443", Description: "Hosted environment for production"},
	}
}

// localAddress returns where the user's own server listens: where it says in its
// data directory, else where it does unless told otherwise.
func localAddress(d Dirs) string {
	const usual = "127.0.0.1:8081"
	var running struct {
		Proxy string `json:"proxy"`
	}
	b, err := os.ReadFile(filepath.Join(d.Data, "server", "server.json"))
	if err != nil || json.Unmarshal(b, &running) != nil {
		return usual
	}
	hostPort, _, err := ParseAddress(running.Proxy)
	if err != nil {
		return usual
	}
	host, port, _ := net.SplitHostPort(hostPort) // it has both
	switch host {
	case "0.0.0.0": // every address of this machine
		return net.JoinHostPort("127.0.0.1", port)
	case "::":
		return net.JoinHostPort("::1", port)
	default:
		return running.Proxy
	}
}

// Config is the environments of a user.
type Config struct {
	dirs    Dirs
	current string
	envs    map[string]Env // as in the file: the builtin ones only when something was changed about them
}

// Errors that callers tell apart with [errors.Is].
var (
	// ErrUnknown: there is no environment of that name.
	ErrUnknown = errors.New("no such environment")
	// ErrExists: there is one already.
	ErrExists = errors.New("there is an environment of that name")
	// ErrBuiltin: an environment that is always there cannot be deleted.
	ErrBuiltin = errors.New("the environment is built in")
	// ErrInvalid marks an argument that can never be right; the text says why.
	ErrInvalid = errors.New("invalid")
)

// invalidError is an [ErrInvalid] that has no text but its own.
type invalidError string

func (e invalidError) Error() string { return string(e) }

func (e invalidError) Is(target error) bool { return target == ErrInvalid }

func invalid(format string, args ...any) error { return invalidError(fmt.Sprintf(format, args...)) }

// Dirs returns the directories that the environments were read from.
func (c *Config) Dirs() Dirs { return c.dirs }

// Current returns the name of the current environment.
func (c *Config) Current() string { return c.current }

// Get returns an environment; an empty name means the current one.
func (c *Config) Get(name string) (Env, error) {
	if name == "" {
		name = c.current
	}
	if e, ok := c.envs[name]; ok {
		return e, nil
	}
	for _, e := range c.builtin() {
		if e.Name == name {
			return e, nil
		}
	}
	return Env{}, fmt.Errorf("%w: %q", ErrUnknown, name)
}

// List returns all environments: the builtin ones, then the others by name.
func (c *Config) List() []Env {
	var out []Env
	own := make(map[string]bool, len(c.envs))
	for _, e := range c.builtin() {
		if mine, ok := c.envs[e.Name]; ok {
			e = mine
		}
		own[e.Name] = true
		out = append(out, e)
	}
	n := len(out)
	for _, e := range c.envs {
		if !own[e.Name] {
			out = append(out, e)
		}
	}
	slices.SortFunc(out[n:], func(a, b Env) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Set makes an environment the current one.
func (c *Config) Set(name string) error {
	if _, err := c.Get(name); err != nil {
		return err
	}
	c.current = name
	return nil
}

// Add adds an environment.
func (c *Config) Add(e Env) error {
	if !isName(e.Name) {
		return invalid("%q cannot name an environment: use 1 to 63 of a-z, 0-9 and '-', beginning with a letter or digit", e.Name)
	}
	if _, err := c.Get(e.Name); err == nil {
		return fmt.Errorf("%w: %q", ErrExists, e.Name)
	}
	return c.Put(e)
}

// Put adds an environment or changes the one of that name.
func (c *Config) Put(e Env) error {
	if _, _, err := ParseAddress(e.Address); err != nil {
		return err
	}
	if (e.Cert == "") != (e.Key == "") {
		return invalid("a client certificate needs both --cert and --key")
	}
	c.envs[e.Name] = e
	return nil
}

// Delete removes an environment. When it was the current one, local is current
// afterwards.
func (c *Config) Delete(name string) error {
	for _, e := range c.builtin() {
		if e.Name == name {
			return fmt.Errorf("%w: %q", ErrBuiltin, name)
		}
	}
	if _, ok := c.envs[name]; !ok {
		return fmt.Errorf("%w: %q", ErrUnknown, name)
	}
	delete(c.envs, name)
	if c.current == name {
		c.current = Local
	}
	return nil
}

func isName(s string) bool {
	if len(s) == 0 || len(s) > 63 || s[0] == '-' {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}
