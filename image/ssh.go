package image

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/go-git/go-git/v5/plumbing/transport"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"
	"golang.org/x/crypto/ssh"
)

// errNoKey is returned when there is neither an agent nor a key file.
var errNoKey = errors.New("there is no ssh agent, and no key in ~/.ssh that opens without a passphrase")

// sshAuth logs in as ssh does: with the keys of the agent, and then with those in the
// user's directory that need no passphrase.
func sshAuth(user string) transport.AuthMethod {
	return &gitssh.PublicKeysCallback{User: user, Callback: func() ([]ssh.Signer, error) {
		var signers []ssh.Signer
		if agent, err := gitssh.NewSSHAgentAuth(user); err == nil {
			// An agent that does not answer has no keys.
			signers, _ = agent.Callback()
		}
		signers = append(signers, keyFiles()...)
		if len(signers) == 0 {
			return nil, errNoKey
		}
		return signers, nil
	}}
}

// keyFiles returns the keys that ssh tries when it was told nothing else.
func keyFiles() []ssh.Signer {
	home, err := os.UserHomeDir()
	if err != nil {
		return nil
	}
	var signers []ssh.Signer
	for _, name := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
		text, err := os.ReadFile(filepath.Join(home, ".ssh", name))
		if err != nil {
			continue
		}
		// One with a passphrase is for the agent.
		if s, err := ssh.ParsePrivateKey(text); err == nil {
			signers = append(signers, s)
		}
	}
	return signers
}
