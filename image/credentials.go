package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
)

// credentials returns a user name and a password for the repository, empty when
// nobody has some. They are not sent over an open line.
func (f *fetcher) credentials(ctx context.Context) (user, password string, err error) {
	if f.url.Scheme == "http" && !loopback(f.url.Hostname()) {
		return "", "", errors.New("credentials are not sent over http, use https")
	}
	if f.options.Credentials != nil {
		user, password, err = f.options.Credentials(ctx, f.url.String())
		if err != nil || user != "" || password != "" {
			return user, password, err
		}
	}
	user, password, err = f.askGit(ctx)
	if err == nil && user == "" && password == "" {
		user, password = askNetrc(f.url.Hostname())
	}
	return user, password, err
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// askGit asks the credential helpers of the user's git. Without git, and when
// they have nothing, there are no credentials, and that is no error.
func (f *fetcher) askGit(ctx context.Context) (user, password string, err error) {
	program, err := exec.LookPath("git")
	if err != nil {
		return "", "", nil //nolint:nilerr // no git, no credentials
	}
	var out bytes.Buffer
	args := []string{"credential", "fill"}
	if !f.options.Prompt {
		args = append([]string{"-c", "core.askPass=", "-c", "credential.interactive=false"}, args...)
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = f.dir // not in a repository, whose settings may be a stranger's
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	if !f.options.Prompt {
		cmd.Env = append(cmd.Env, "GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=", "SSH_ASKPASS=", "GCM_INTERACTIVE=never")
	}
	cmd.Stdin = strings.NewReader(fmt.Sprintf("protocol=%s\nhost=%s\npath=%s\n\n",
		f.url.Scheme, f.url.Host, strings.TrimPrefix(f.url.Path, "/")))
	cmd.Stdout = &out
	if err := cmd.Run(); err != nil {
		return "", "", ctx.Err()
	}
	for line := range strings.Lines(out.String()) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		switch name {
		case "username":
			user = value
		case "password":
			password = value
		}
	}
	return user, password, nil
}
