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

// Keyring is the keyring of the operating system. Every method returns
// [ErrNoKeyring] when there is none, or it does not answer in time.
type Keyring struct {
	Getenv func(string) string
	// Timeout is 3 seconds when 0.
	Timeout time.Duration

	ring keyring.Keyring // nil: that of the system
}

// system is the keyring of the system.
type system struct{}

func (system) Get(service, entry string) (string, error) { return keyring.Get(service, entry) }
func (system) Set(service, entry, secret string) error   { return keyring.Set(service, entry, secret) }
func (system) Delete(service, entry string) error        { return keyring.Delete(service, entry) }
func (system) DeleteAll(service string) error            { return keyring.DeleteAll(service) }

// Probe returns an error that says why the keyring cannot be used. It is asked
// before a login begins, not after.
func (k Keyring) Probe() error {
	_, err := k.Get("probe")
	if errors.Is(err, ErrNoSession) {
		return nil
	}
	return err
}

// Get returns the secret of an entry. The error is [ErrNoSession] when there is no
// such entry.
func (k Keyring) Get(entry string) (string, error) {
	var secret string
	err := k.do(func(ring keyring.Keyring) (err error) {
		secret, err = ring.Get(keyringService, entry)
		return err
	})
	if errors.Is(err, keyring.ErrNotFound) {
		return "", ErrNoSession
	}
	return secret, err
}

// Set keeps a secret in an entry, in the place of what was there.
func (k Keyring) Set(entry, secret string) error {
	return k.do(func(ring keyring.Keyring) error { return ring.Set(keyringService, entry, secret) })
}

// Delete removes an entry; that there is none is no error.
func (k Keyring) Delete(entry string) error {
	err := k.do(func(ring keyring.Keyring) error { return ring.Delete(keyringService, entry) })
	if errors.Is(err, keyring.ErrNotFound) {
		return nil
	}
	return err
}

// do asks the keyring with a time limit. A call that hangs is left behind; the
// command ends soon and takes it along.
func (k Keyring) do(f func(keyring.Keyring) error) error {
	if err := k.reachable(); err != nil {
		return err
	}
	timeout := k.Timeout
	if timeout == 0 {
		timeout = keyringTimeout
	}
	ring := k.ring
	if ring == nil {
		ring = system{}
	}
	done := make(chan error, 1)
	go func() { done <- f(ring) }()
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
