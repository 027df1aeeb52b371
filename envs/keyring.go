package envs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/zalando/go-keyring"
)

// ErrNoKeyring means that this machine has no keyring that answers.
var ErrNoKeyring = errors.New("no keyring")

// keyringTimeout is how long a keyring may take: one that wants to ask the user
// on a screen that nobody sees would take for ever.
const keyringTimeout = 3 * time.Second

// keyringService is the name under which the entries are found.
const keyringService = "micro"

// Keyring is the keyring of the operating system.
type Keyring struct {
	Getenv func(string) string
	// Timeout is 3 seconds when 0.
	Timeout time.Duration
}

// Probe returns an error that says why the keyring cannot be used. It is asked
// before a login begins, not after.
func (k Keyring) Probe() error {
	_, err := k.Get("probe")
	if errors.Is(err, ErrNoSession) {
		return nil
	}
	return err
}

// Get returns the secret kept for an environment.
func (k Keyring) Get(env string) (string, error) {
	var secret string
	err := k.do(func() (err error) {
		secret, err = keyring.Get(keyringService, env)
		return err
	})
	if errors.Is(err, keyring.ErrNotFound) {
		return "", ErrNoSession
	}
	return secret, err
}

// Set keeps a secret for an environment.
func (k Keyring) Set(env, secret string) error {
	return k.do(func() error { return keyring.Set(keyringService, env, secret) })
}

// Delete removes the secret of an environment; that there is none is no error.
func (k Keyring) Delete(env string) error {
	err := k.do(func() error { return keyring.Delete(keyringService, env) })
	if errors.Is(err, keyring.ErrNotFound) {
		return nil
	}
	return err
}

// do asks the keyring with a time limit. A call that hangs is left behind; the
// command ends soon and takes it along.
func (k Keyring) do(f func() error) error {
	if err := k.reachable(); err != nil {
		return err
	}
	timeout := k.Timeout
	if timeout == 0 {
		timeout = keyringTimeout
	}
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		if err != nil && !errors.Is(err, keyring.ErrNotFound) {
			return fmt.Errorf("%w: %w", ErrNoKeyring, err)
		}
		return err
	case <-time.After(timeout):
		return fmt.Errorf("%w: it did not answer within %s", ErrNoKeyring, timeout)
	}
}

// reachable keeps the library from starting a message bus of its own, which it
// does where there is none.
func (k Keyring) reachable() error {
	switch runtime.GOOS {
	case "windows", "darwin":
		return nil
	}
	if k.Getenv("DBUS_SESSION_BUS_ADDRESS") != "" {
		return nil
	}
	if dir := k.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		if _, err := os.Stat(filepath.Join(dir, "bus")); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%w: there is no D-Bus session", ErrNoKeyring)
}
