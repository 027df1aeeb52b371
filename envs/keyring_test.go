package envs

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zalando/go-keyring"
)

// memory is a keyring that answers.
type memory struct {
	mu      sync.Mutex
	entries map[string]string
}

func (m *memory) Get(service, entry string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	secret, ok := m.entries[service+"/"+entry]
	if !ok {
		return "", keyring.ErrNotFound
	}
	return secret, nil
}

func (m *memory) Set(service, entry, secret string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries[service+"/"+entry] = secret
	return nil
}

func (m *memory) Delete(service, entry string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.entries[service+"/"+entry]; !ok {
		return keyring.ErrNotFound
	}
	delete(m.entries, service+"/"+entry)
	return nil
}

func (m *memory) DeleteAll(string) error { return errors.New("nobody asked for that") }

// newKeyring returns a keyring that answers.
func newKeyring() Keyring {
	return Keyring{
		Getenv: getenv(map[string]string{"DBUS_SESSION_BUS_ADDRESS": "unix:path=/nowhere"}),
		ring:   &memory{entries: map[string]string{}},
	}
}

// withoutKeyring is that of a machine that has none.
func withoutKeyring(t *testing.T) Keyring {
	t.Helper()
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		t.Skip("there is always a keyring")
	}
	return Keyring{Getenv: getenv(nil)}
}

func TestKeyring(t *testing.T) {
	t.Parallel()
	k := newKeyring()
	entry := t.Name()
	if err := k.Probe(); err != nil {
		t.Errorf("Probe: %v", err)
	}
	if _, err := k.Get(entry); !errors.Is(err, ErrNoSession) {
		t.Errorf("Get of nothing: %v, want ErrNoSession", err)
	}
	for _, secret := range []string{"first", "second\n\x00"} {
		if err := k.Set(entry, secret); err != nil {
			t.Fatal(err)
		}
		if got, err := k.Get(entry); got != secret || err != nil {
			t.Errorf("Get = %q, %v; want %q", got, err, secret)
		}
	}
	for range 2 {
		if err := k.Delete(entry); err != nil {
			t.Errorf("Delete: %v", err)
		}
	}
	if _, err := k.Get(entry); !errors.Is(err, ErrNoSession) {
		t.Errorf("Get of what was deleted: %v, want ErrNoSession", err)
	}
}

func TestNoKeyring(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	k := withoutKeyring(t)
	noBus := newKeyring()
	noBus.Getenv = getenv(map[string]string{"XDG_RUNTIME_DIR": dir})
	for _, k := range []Keyring{k, noBus} {
		_, getErr := k.Get("x")
		for what, err := range map[string]error{"Probe": k.Probe(), "Get": getErr, "Set": k.Set("x", "y"), "Delete": k.Delete("x")} {
			if !errors.Is(err, ErrNoKeyring) || !strings.Contains(err.Error(), "there is no D-Bus session") {
				t.Errorf("%s: %v; want ErrNoKeyring that says why", what, err)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "bus"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := noBus.Probe(); err != nil {
		t.Errorf("Probe with a bus in the runtime directory: %v", err)
	}
}

func TestKeyringLimit(t *testing.T) {
	t.Parallel()
	k := newKeyring()
	k.Timeout = time.Millisecond
	release := make(chan struct{})
	defer close(release)
	err := k.do(func(keyring.Keyring) error { <-release; return nil })
	if !errors.Is(err, ErrNoKeyring) || !strings.Contains(err.Error(), "it did not answer within 1ms") {
		t.Errorf("do: %v; want ErrNoKeyring with the time", err)
	}
	broken := errors.New("broken")
	if err := k.do(func(keyring.Keyring) error { return broken }); !errors.Is(err, ErrNoKeyring) || !errors.Is(err, broken) {
		t.Errorf("do: %v; want ErrNoKeyring and its cause", err)
	}
	if err := k.do(func(keyring.Keyring) error { return keyring.ErrNotFound }); errors.Is(err, ErrNoKeyring) || !errors.Is(err, keyring.ErrNotFound) {
		t.Errorf("do: %v; want ErrNotFound alone", err)
	}
}

// childKeyring asks the keyring that is really there: the session bus of its
// environment, which it must ask first, since the library asks a bus only once.
func childKeyring([]string) error {
	began := time.Now()
	err := Keyring{Getenv: os.Getenv, Timeout: 200 * time.Millisecond}.Probe()
	fmt.Println(errors.Is(err, ErrNoKeyring), time.Since(began) < 5*time.Second, err)
	return nil
}

// A session bus that accepts connections and never answers, or breaks them off,
// holds up no command.
func TestKeyringBrokenBus(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("D-Bus is the keyring's way on Linux")
	}
	for name, answer := range map[string]func(net.Conn) bool{
		"silent":     func(net.Conn) bool { return true },
		"breaks off": func(net.Conn) bool { return false },
		"garbage":    func(c net.Conn) bool { _, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")); return true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			socket := filepath.Join(t.TempDir(), "bus")
			l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", socket)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					if !answer(c) {
						_ = c.Close()
					}
				}
			}()
			cmd := child(t, "keyring", []string{"DBUS_SESSION_BUS_ADDRESS=unix:path=" + socket})
			out, err := cmd.Output()
			if err != nil || !strings.HasPrefix(string(out), "true true no keyring: ") {
				t.Errorf("the child said %q, %v; want ErrNoKeyring, soon", out, err)
			}
		})
	}
}
