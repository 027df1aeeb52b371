package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/spf13/cobra"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/envs"
	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
)

// credentialOptions are what login and signup ask for.
type credentialOptions struct {
	username      string
	passwordStdin bool
	insecure      bool   // keep the token in a file
	note          string // why the token does not go into the keyring
}

func (o *credentialOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&o.username, "username", "u", "", "the account")
	f.BoolVar(&o.passwordStdin, "password-stdin", false, "read the password from standard input")
	f.BoolVar(&o.insecure, "insecure-storage", false, "keep the token in a file that only you can read, where there is no keyring")
}

func newLoginCmd(app *App) *cobra.Command {
	var o credentialOptions
	cmd := &cobra.Command{
		Use:   "login",
		Short: "Log in to the environment",
		Long: `Log in to the current environment, or the one that --env names.

The token is kept in the keyring of the operating system. Where there is none it is
kept in a file that only you can read: for a server on this machine without a
question, for any other with --insecure-storage or when you agree.
MICRO_TOKEN holds a token for one command, or for CI, and needs no login.`,
		Example: `  micro login
  echo "$PASSWORD" | micro login --username alice --password-stdin`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return o.login(cmd.Context(), app) },
	}
	o.flags(cmd)
	return cmd
}

func (o *credentialOptions) login(ctx context.Context, app *App) error {
	storage, err := o.storage(app)
	if err != nil {
		return err
	}
	e, err := app.Env()
	if err != nil {
		return err
	}
	warnClear(app, e)
	conn, err := app.Conn()
	if err != nil {
		return err
	}
	ns, err := app.Namespace()
	if err != nil {
		return err
	}
	if err := o.ask(app, "login"); err != nil {
		return err
	}
	password, err := o.password(app, "Password")
	if err != nil {
		return err
	}
	rsp, err := authv1.NewAuthClient(conn).Login(ctx, &authv1.LoginRequest{Namespace: ns, Username: o.username, Password: password})
	if err != nil {
		return err
	}
	return app.loggedIn(ctx, e, rsp.GetSession(), storage, o.note, fmt.Sprintf("logged in as %s in namespace %s", o.username, ns))
}

// storage finds out where the token will be kept, before anybody types a
// password.
func (o *credentialOptions) storage(app *App) (envs.Storage, error) {
	e, err := app.Env()
	if err != nil {
		return "", err
	}
	return o.storageFor(app, fmt.Sprintf("the token for environment %q", e.Name), e.IsLoopback())
}

// storageFor finds out where a token will be kept. One that is good on this machine alone
// may lie in a file without a question.
func (o *credentialOptions) storageFor(app *App, what string, local bool) (envs.Storage, error) {
	probe := app.keyring().Probe()
	switch {
	case probe == nil:
		return envs.InKeyring, nil
	case !errors.Is(probe, envs.ErrNoKeyring):
		return "", probe
	case o.insecure:
		return envs.InFile, nil
	case local:
		o.note = front.Line(probe.Error()) + ": the token is kept in a file that only you can read"
		return envs.InFile, nil
	}
	if app.yes || app.Interactive() && !o.passwordStdin {
		ok, err := app.confirm(fmt.Sprintf("%s: keep the token in a file that only you can read?", probe))
		if err != nil {
			return "", err
		}
		if ok {
			return envs.InFile, nil
		}
	}
	return "", &Error{
		Message: fmt.Sprintf("%s has nowhere to go: %s", what, probe),
		Hint:    "start a keyring (Secret Service), or use --insecure-storage to keep it in a file that only you can read",
		Exit:    ExitError,
	}
}

// storageText says where a token is.
func storageText(s envs.Storage) string {
	if s == envs.InFile {
		return "in a file"
	}
	return "in the keyring"
}

// warnClear says that everybody on the way can read the password.
func warnClear(app *App, e envs.Env) {
	if _, useTLS, err := envs.ParseAddress(e.Address); err == nil && !useTLS && !e.IsLoopback() {
		fmt.Fprintf(app.Err, "warning: the connection to %s is not encrypted\n", e.Address)
	}
}

// ask fills in the username.
func (o *credentialOptions) ask(app *App, verb string) error {
	if o.username != "" {
		return nil
	}
	if !app.Interactive() || o.passwordStdin {
		return usage("micro "+verb+" --username NAME --password-stdin", "there is no terminal to ask for the username")
	}
	name, err := app.prompt("Username: ")
	if err != nil {
		return err
	}
	if name == "" {
		return usage("micro "+verb, "no username")
	}
	o.username = name
	return nil
}

func (o *credentialOptions) password(app *App, label string) (string, error) {
	if o.passwordStdin {
		line, err := readLine(app.In)
		if err != nil {
			return "", fmt.Errorf("read the password: %w", err)
		}
		return line, nil
	}
	if !app.Interactive() {
		return "", usage("add --password-stdin", "there is no terminal to ask for the password")
	}
	return app.promptPassword(label)
}

// newPassword asks for a password that nobody knows yet, so it asks twice.
func (o *credentialOptions) newPassword(app *App, label string) (string, error) {
	password, err := o.password(app, label+" (at least 8 characters)")
	if err != nil || o.passwordStdin {
		return password, err
	}
	again, err := app.promptPassword(label + " again")
	if err != nil {
		return "", err
	}
	if again != password {
		return "", usage("", "the two passwords differ")
	}
	return password, nil
}

// loggedIn keeps a new session and ends the one before.
func (a *App) loggedIn(ctx context.Context, e envs.Env, s *authv1.Session, storage envs.Storage, note, done string) error {
	dirs, err := a.Dirs()
	if err != nil {
		return err
	}
	unlock, err := envs.LockSession(ctx, dirs, e.Name)
	if err != nil {
		return err
	}
	defer unlock()
	// Only to leave nothing behind: the new session does not need it.
	if before, err := reload(dirs, e.Name); err == nil && before.Address == e.Address {
		_ = a.revoke(ctx, dirs, before)
	}
	if err := sessionFrom(s).Save(dirs, e, storage, a.keyring()); err != nil {
		return err
	}
	if note != "" {
		fmt.Fprintln(a.Err, note)
	}
	if a.Executable != "" {
		// Services that are run by hand are told less without it.
		_ = envs.WriteCommand(dirs, a.Executable)
	}
	fmt.Fprintf(a.Out, "%s (environment %q, token %s)\n", done, e.Name, storageText(storage))
	return nil
}

func newLogoutCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:     "logout",
		Short:   "End the session, here and on the server",
		Example: "  micro logout",
		Args:    exactly(0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return app.logout(cmd.Context()) },
	}
}

func (a *App) logout(ctx context.Context) error {
	e, err := a.Env()
	if err != nil {
		return err
	}
	dirs, err := a.Dirs()
	if err != nil {
		return err
	}
	unlock, err := envs.LockSession(ctx, dirs, e.Name)
	if err != nil {
		return err
	}
	defer unlock()
	// Another command may have renewed the session while this one waited.
	if e, err = reload(dirs, e.Name); err != nil {
		return err
	}
	if e.Account == "" {
		return envs.ErrNoSession
	}
	revoked := a.revoke(ctx, dirs, e)
	if err := envs.Forget(dirs, e.Name, a.keyring()); err != nil {
		return err
	}
	fmt.Fprintf(a.Out, "logged out of environment %q\n", e.Name)
	if revoked != nil {
		fmt.Fprintf(a.Err, "warning: the server could not be told, so the session ends there by its own time: %s\n", front.Line(a.explain(revoked).Message))
	}
	return nil
}

// revoke ends the session of an environment on its server.
func (a *App) revoke(ctx context.Context, dirs envs.Dirs, e envs.Env) error {
	ctx, cancel := context.WithTimeout(ctx, renewTimeout)
	defer cancel()
	refresh, err := e.RefreshToken(dirs, a.keyring())
	if err != nil {
		return err
	}
	conn, err := a.dial(e)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = authv1.NewAuthClient(conn).Logout(ctx, &authv1.LogoutRequest{RefreshToken: refresh})
	return err
}

// prompt asks for a line on the terminal.
func (a *App) prompt(label string) (string, error) {
	fmt.Fprint(a.Terminal.Prompt, front.Line(label))
	line, err := interruptible(func() (string, error) { return readLine(a.In) })
	if errors.Is(err, io.EOF) {
		fmt.Fprintln(a.Terminal.Prompt)
		return "", context.Canceled
	}
	return strings.TrimSpace(line), err
}

// interruptible returns what read returns, or io.EOF when Ctrl-C is pressed before. The
// read goes on then, and the process ends without it.
func interruptible(read func() (string, error)) (string, error) {
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	defer signal.Stop(interrupted)
	type result struct {
		line string
		err  error
	}
	done := make(chan result, 1)
	go func() {
		line, err := read()
		done <- result{line, err}
	}()
	select {
	case r := <-done:
		return r.line, r.err
	case <-interrupted:
		return "", io.EOF
	}
}

func (a *App) promptPassword(label string) (string, error) {
	fmt.Fprint(a.Terminal.Prompt, label+": ")
	p, err := a.Terminal.ReadPassword()
	fmt.Fprintln(a.Terminal.Prompt)
	if errors.Is(err, io.EOF) {
		return "", context.Canceled
	}
	return p, err
}

// confirm asks a question that --yes answers.
func (a *App) confirm(question string) (bool, error) {
	if a.yes {
		return true, nil
	}
	answer, err := a.prompt(question + " [y/N] ")
	if err != nil {
		return false, err
	}
	switch strings.ToLower(answer) {
	case "y", "yes":
		return true, nil
	default:
		return false, nil
	}
}

// readLine reads one line without its end, and nothing beyond it.
func readLine(r io.Reader) (string, error) {
	if b, ok := r.(*bufio.Reader); ok {
		line, err := b.ReadString('\n')
		if line != "" && errors.Is(err, io.EOF) {
			err = nil
		}
		return strings.TrimRight(line, "\r\n"), err
	}
	var line []byte
	buf := make([]byte, 1)
	for {
		n, err := r.Read(buf)
		if n == 1 && buf[0] != '\n' {
			line = append(line, buf[0])
		}
		if n == 1 && buf[0] == '\n' || errors.Is(err, io.EOF) && len(line) > 0 {
			return strings.TrimRight(string(line), "\r"), nil
		}
		if err != nil {
			return "", err
		}
		if len(line) > 64<<10 {
			return "", errors.New("a line of more than 64 KiB")
		}
	}
}
