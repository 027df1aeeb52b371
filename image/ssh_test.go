package image

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/crypto/ssh/knownhosts"
)

func newKey(t *testing.T) (ed25519.PrivateKey, ssh.Signer) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return key, signer
}

// serveSSH serves the repositories below a directory to one key, and returns
// the address of the server and its key.
func serveSSH(t *testing.T, root string, allowed ssh.PublicKey) (string, ssh.PublicKey) {
	t.Helper()
	program := tool(t, "git")
	_, hostKey := newKey(t)
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if string(key.Marshal()) != string(allowed.Marshal()) {
			return nil, errors.New("another key")
		}
		return &ssh.Permissions{}, nil
	}}
	config.AddHostKey(hostKey)
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, channels, requests, err := ssh.NewServerConn(conn, config)
				if err != nil {
					return
				}
				go ssh.DiscardRequests(requests)
				for c := range channels {
					channel, requests, err := c.Accept()
					if err != nil {
						return
					}
					go uploadPack(program, root, channel, requests)
				}
			}()
		}
	}()
	return l.Addr().String(), hostKey.PublicKey()
}

// uploadPack answers one session: git-upload-pack 'PATH'.
func uploadPack(program, root string, channel ssh.Channel, requests <-chan *ssh.Request) {
	defer channel.Close()
	for r := range requests {
		if r.Type != "exec" {
			_ = r.Reply(r.Type == "env", nil)
			continue
		}
		_ = r.Reply(true, nil)
		var request struct{ Command string }
		if err := ssh.Unmarshal(r.Payload, &request); err != nil {
			return
		}
		path := strings.Trim(strings.TrimPrefix(request.Command, "git-upload-pack "), "'")
		cmd := exec.Command(program, "-c", "safe.directory=*", "upload-pack", filepath.Join(root, path)) //nolint:noctx // it ends with its input
		cmd.Stdout, cmd.Stderr = channel, channel.Stderr()
		stdin, err := cmd.StdinPipe()
		if err != nil {
			return
		}
		go func() { _, _ = io.Copy(stdin, channel) }()
		status := struct{ Code uint32 }{}
		if cmd.Run() != nil {
			status.Code = 128
		}
		_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(status))
		return
	}
}

// serveAgent makes an agent with one key the user's.
func serveAgent(t *testing.T, key ed25519.PrivateKey) {
	t.Helper()
	keyring := agent.NewKeyring()
	if err := keyring.Add(agent.AddedKey{PrivateKey: key}); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "agent")
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _ = agent.ServeAgent(keyring, conn) }()
		}
	}()
	t.Setenv("SSH_AUTH_SOCK", socket)
}

func TestFetchSSH(t *testing.T) {
	root := t.TempDir()
	f := newFixture(t, filepath.Join(root, "r"))
	key, signer := newKey(t)
	address, hostKey := serveSSH(t, root, signer.PublicKey())
	known := filepath.Join(t.TempDir(), "known_hosts")
	t.Setenv("SSH_KNOWN_HOSTS", known)
	trust := func(key ssh.PublicKey) {
		t.Helper()
		if err := os.WriteFile(known, []byte(knownhosts.Line([]string{address}, key)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	repository := "ssh://git@" + address + "/r"
	refused := func(step string) {
		t.Helper()
		if _, err := Fetch(t.Context(), repository, FetchOptions{TempDir: t.TempDir()}); !errors.Is(err, ErrAuth) {
			t.Errorf("%s: got %v, want %v", step, err, ErrAuth)
		}
	}

	trust(hostKey)
	t.Setenv("SSH_AUTH_SOCK", "")
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("USERPROFILE", home)
	refused("no agent")
	// Without an agent the keys that have no passphrase are tried.
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	write(t, home, map[string]string{".ssh/id_ed25519": string(pem.EncodeToMemory(block)), ".ssh/id_rsa": "rubbish"})
	f.cases()[0].check(t, repository)
	if err := os.RemoveAll(filepath.Join(home, ".ssh")); err != nil {
		t.Fatal(err)
	}
	other, otherSigner := newKey(t)
	serveAgent(t, other)
	refused("another key")
	serveAgent(t, key)
	for _, c := range f.cases() {
		t.Run(c.name, func(t *testing.T) { c.check(t, repository) })
	}
	if _, err := Fetch(t.Context(), "ssh://git@"+address+"/none", FetchOptions{TempDir: t.TempDir()}); !errors.Is(err, ErrNotFound) {
		t.Errorf("no repository: got %v, want %v", err, ErrNotFound)
	}
	trust(otherSigner.PublicKey())
	refused("another host")
}
