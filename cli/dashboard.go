package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/cli/tui"
	"github.com/micro/micro/v3/envs"
)

type dashboardOptions struct {
	plain    bool
	readOnly bool
	out      format
}

func newDashboardCmd(app *App) *cobra.Command {
	var o dashboardOptions
	cmd := &cobra.Command{
		Use:     "dashboard",
		Aliases: []string{"top"},
		Short:   "Watch services, and act on them, on the whole terminal",
		Long: `Show the services of the namespace on the whole terminal: whether all is well, and if
not, what is not and why; how often, how well and how fast they answer; and, a key away,
each service with its instances and endpoints, and logs. Press ? for what keys do.

Where output is no terminal or TERM is "dumb", and with --plain or MICRO_ACCESSIBLE=1, it
writes a line for each change instead, and with -o json an object for each message of
the server: {"runtime":…}, {"registry":…} or {"stats":…}. MICRO_THEME is light, dark or none; without it the background of the
terminal decides.`,
		Example: `  micro dashboard
  micro dashboard --read-only
  micro dashboard --plain
  micro top -o json`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), app) },
	}
	cmd.Flags().BoolVar(&o.plain, "plain", false, "write a line for each change")
	cmd.Flags().BoolVar(&o.readOnly, "read-only", false, "change nothing on the server")
	outputFlag(cmd, &o.out)
	return cmd
}

// DashboardKeys returns what keys do in the dashboard, for those who describe it.
func DashboardKeys() []tui.KeyGroup { return tui.DashboardKeys() }

// FormKeys returns what keys do where calls are filled in, for those who describe it.
func FormKeys() []tui.KeyGroup { return tui.FormKeys() }

// themeVariable names the theme of what takes the whole terminal.
const themeVariable = "MICRO_THEME"

func (o *dashboardOptions) run(ctx context.Context, app *App) error {
	c, err := app.screen(app.session)
	if err != nil {
		return err
	}
	c.ReadOnly = o.readOnly
	if o.isPlain(app) {
		if o.out == asTable {
			return tui.Plain(ctx, c, nil)
		}
		return tui.Plain(ctx, c, func(api string, m proto.Message) error { return o.message(app.Out, api, m) })
	}
	return tui.Run(ctx, c)
}

// screen returns what is shown on a whole terminal, of the environment and the namespace
// that the command acts in. Connect makes sessions.
func (a *App) screen(connect func(env, namespace string) (tui.Session, error)) (tui.Config, error) {
	theme := a.Getenv(themeVariable)
	if !slices.Contains([]string{"", "light", "dark", "none"}, theme) {
		return tui.Config{}, usage("", "%s is %q, and none of light, dark, none", themeVariable, theme)
	}
	if a.noColor || a.Getenv("NO_COLOR") != "" {
		theme = "none"
	}
	e, ns, err := a.target()
	if err != nil {
		return tui.Config{}, err
	}
	session, err := connect(e.Name, ns)
	if err != nil {
		return tui.Config{}, err
	}
	return tui.Config{
		In: a.In, Out: a.Out, Environ: a.terminalEnviron(), Now: a.Now, Theme: theme,
		Session: session, Connect: connect, Environments: a.environments,
		Line: front.Line, Colored: front.Colored,
		Explain: func(err error) string {
			e := a.explain(err)
			if e.Hint == "" {
				return e.Message
			}
			return e.Message + "; hint: " + e.Hint
		},
	}, nil
}

// message writes a message of the server, as the value of the API that it is of.
func (o *dashboardOptions) message(w io.Writer, api string, m proto.Message) error {
	b, err := compactJSON(m)
	if err != nil {
		return err
	}
	b = fmt.Appendf(nil, "{%q:%s}\n", api, b)
	if o.out == asJSON {
		_, err = w.Write(b)
		return err
	}
	if _, err := io.WriteString(w, "---\n"); err != nil {
		return err
	}
	return jsonToYAML(w, b)
}

// isPlain reports whether lines are written, and no frames.
func (o *dashboardOptions) isPlain(app *App) bool {
	return o.plain || o.out != asTable || !app.hasScreen()
}

// hasScreen reports whether there is a terminal that may be taken as a whole.
func (a *App) hasScreen() bool {
	return a.Terminal.In && a.Terminal.Out && a.Getenv("TERM") != "dumb" && a.Getenv("MICRO_ACCESSIBLE") == ""
}

// terminalEnviron returns what the environment says of the terminal.
func (a *App) terminalEnviron() []string {
	var all []string
	for _, name := range []string{"TERM", "COLORTERM", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "TERM_PROGRAM", "TMUX", "STY", "WT_SESSION", "SSH_TTY", "GOOGLE_CLOUD_SHELL", "TTY_FORCE", "ConEmuANSI"} {
		if v := a.Getenv(name); v != "" {
			all = append(all, name+"="+v)
		}
	}
	if a.noColor {
		all = append(all, "NO_COLOR=1")
	}
	return all
}

// environments lists the environments as the dashboard shows them.
func (a *App) environments() ([]tui.Environment, error) {
	dirs, err := a.Dirs()
	if err != nil {
		return nil, err
	}
	c, err := envs.Load(dirs)
	if err != nil {
		return nil, err
	}
	var all []tui.Environment
	for _, e := range c.List() {
		all = append(all, tui.Environment{Name: e.Name, Address: e.Address, Account: e.Account, Namespace: e.Namespace, Description: e.Description, Protected: e.Protected})
	}
	return all, nil
}

// at returns an app that acts in another place, and has no terminal. The token of
// MICRO_TOKEN is for the place where this app acts.
func (a *App) at(env, namespace string, out io.Writer) *App {
	current, err := a.Env()
	elsewhere := err != nil || current.Name != env
	return &App{
		In: strings.NewReader(""), Out: out, Err: out, Now: a.Now, Version: a.Version, SDK: a.SDK,
		Getenv: func(name string) string {
			switch {
			case name == "MICRO_ENV", name == "MICRO_NAMESPACE", elsewhere && name == envs.EnvToken:
				return ""
			default:
				return a.Getenv(name)
			}
		},
		env: env, namespace: namespace, noColor: true,
	}
}

// session returns what the dashboard works with in an environment and a namespace; an
// empty namespace is the environment's.
func (a *App) session(env, namespace string) (tui.Session, error) {
	app := a.at(env, namespace, io.Discard)
	e, err := app.Env()
	if err != nil {
		return tui.Session{}, err
	}
	ns, err := app.Namespace()
	if err != nil {
		return tui.Session{}, err
	}
	conn, err := app.Conn()
	if err != nil {
		return tui.Session{}, err
	}
	var mu sync.Mutex // an app is for one command at a time
	return tui.Session{
		Environment: e.Name, Address: e.Address, Namespace: ns, Protected: e.Protected,
		Dial: func(ctx context.Context) (context.Context, grpc.ClientConnInterface, error) {
			mu.Lock()
			defer mu.Unlock()
			conn.ResetConnectBackoff() // whoever asks has waited
			ctx, _, err := app.connFor(ctx)
			return ctx, conn, err
		},
		Run: func(ctx context.Context, args []string) (string, error) {
			return a.at(e.Name, ns, nil).capture(ctx, args)
		},
		Close: app.close,
	}, nil
}

// capture runs a command and returns what it wrote.
func (a *App) capture(ctx context.Context, args []string) (string, error) {
	var out bytes.Buffer
	a.Out, a.Err = &out, &out
	defer a.close()
	root := newRoot(a)
	args = append([]string{"--env", a.env, "--namespace", a.namespace}, args...)
	root.SetArgs(args)
	err := execute(ctx, a, root, args)
	if err != nil {
		e := a.explain(err)
		if e.Hint != "" {
			return out.String(), fmt.Errorf("%s; hint: %s", e.Message, e.Hint)
		}
		return out.String(), errors.New(e.Message)
	}
	return out.String(), nil
}
