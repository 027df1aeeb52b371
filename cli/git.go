package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/envs"
)

func newGitCmd(app *App) *cobra.Command {
	cmd := parentCmd("git", "Log in to hosts of private git repositories")
	cmd.Long = `Log in to hosts of private git repositories, for micro run and micro build of their
addresses over https. A host is asked as nobody first, then with the login that is kept
here, then with what your git's credential helpers and ~/.netrc have for it. Addresses
that begin with ssh:// need no login: they use your ssh agent and the keys in ~/.ssh.`
	cmd.Example = `  micro git login github.com
  micro git list`
	cmd.AddCommand(newGitLoginCmd(app), newGitLogoutCmd(app), newGitListCmd(app))
	return cmd
}

func newGitLoginCmd(app *App) *cobra.Command {
	var o credentialOptions
	cmd := &cobra.Command{
		Use:   "login HOST",
		Short: "Keep a token for the repositories of a host",
		Long: `Keep a token for the repositories of a host: a personal access token, a deploy token or
an application password, as the host calls it. It is kept in the keyring, or where there
is none in a file that only you can read with --insecure-storage or when you agree. It is
sent to that host alone, and over https alone.`,
		Example: `  micro git login github.com
  echo "$TOKEN" | micro git login gitlab.example.com --token-stdin --insecure-storage`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.gitLogin(app, args[0]) },
	}
	f := cmd.Flags()
	f.StringVarP(&o.username, "username", "u", "", "the account that the token is of (what the host wants beside a token)")
	f.BoolVar(&o.passwordStdin, "token-stdin", false, "read the token from standard input")
	f.BoolVar(&o.insecure, "insecure-storage", false, "keep the token in a file that only you can read, where there is no keyring")
	return cmd
}

func (o *credentialOptions) gitLogin(app *App, name string) error {
	host, err := envs.GitHost(name)
	if err != nil {
		return err
	}
	l := envs.GitLogin{Host: host, User: o.username}
	if l.User == "" {
		l.User = gitUser(host)
	}
	if l.Storage, err = o.storageFor(app, "the token for "+host, false); err != nil {
		return err
	}
	if !o.passwordStdin && !app.Interactive() {
		return usage("micro git login "+host+" --token-stdin", "there is no terminal to ask for the token")
	}
	if l.Token, err = o.password(app, "Token"); err != nil {
		return err
	}
	if l.Token == "" {
		return usage("micro git login "+host, "the token is empty")
	}
	dirs, err := app.Dirs()
	if err != nil {
		return err
	}
	if err := l.Save(dirs, app.keyring()); err != nil {
		return err
	}
	fmt.Fprintf(app.Out, "logged in to %s as %s (token %s)\n", host, front.Line(l.User), storageText(l.Storage))
	return nil
}

// gitUser returns the user name that a host wants beside a token.
func gitUser(host string) string {
	switch host {
	case "github.com":
		return "x-access-token"
	case "gitlab.com":
		return "oauth2"
	case "bitbucket.org":
		return "x-token-auth"
	default:
		return "git"
	}
}

func newGitLogoutCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:     "logout HOST",
		Short:   "Forget the token for a host",
		Example: "  micro git logout github.com",
		Args:    exactly(1),
		RunE: func(_ *cobra.Command, args []string) error {
			dirs, err := app.Dirs()
			if err != nil {
				return err
			}
			err = envs.ForgetGitLogin(dirs, args[0], app.keyring())
			if errors.Is(err, envs.ErrNoSession) {
				return &Error{Message: "not logged in to " + args[0], Hint: "micro git list", Exit: ExitNotFound}
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(app.Out, "logged out of %s\n", args[0])
			return nil
		},
	}
}

func newGitListCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the hosts that a token is kept for",
		Example: "  micro git list",
		Args:    exactly(0),
		RunE: func(*cobra.Command, []string) error {
			dirs, err := app.Dirs()
			if err != nil {
				return err
			}
			logins, err := envs.GitLogins(dirs)
			if err != nil {
				return err
			}
			t := newTable(app.Out)
			t.row("HOST", "USER", "TOKEN")
			for _, l := range logins {
				t.row(l.Host, l.User, storageText(l.Storage))
			}
			return t.flush()
		},
	}
}

// gitCredentials returns what is kept for the host of a repository, nothing when there is
// nothing.
func (a *App) gitCredentials(_ context.Context, address string) (user, password string, err error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", "", err
	}
	dirs, err := a.Dirs()
	if err != nil {
		return "", "", err
	}
	l, err := envs.FindGitLogin(dirs, u.Host, a.keyring())
	if errors.Is(err, envs.ErrNoSession) {
		return "", "", nil
	}
	return l.User, l.Token, err
}
