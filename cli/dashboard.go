package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

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

// DashboardScreens returns the screens of the dashboard, for those who describe it.
func DashboardScreens() []tui.Screen { return tui.Screens() }

// DashboardKeys returns what keys do in the dashboard, for those who describe it.
func DashboardKeys() []tui.KeyGroup { return tui.DashboardKeys() }

// FormKeys returns what keys do where calls are filled in, for those who describe it.
func FormKeys() []tui.KeyGroup { return tui.FormKeys() }

func (o *dashboardOptions) run(ctx context.Context, app *App) error {
	c, err := app.screen()
	if err != nil {
		return err
	}
	c.ReadOnly = o.readOnly
	if err := app.connectScreen(&c, app.session); err != nil {
		return err
	}
	if o.out != asTable || !app.hasScreen(o.plain) {
		if o.out == asTable {
			return tui.Plain(ctx, c, nil)
		}
		return tui.Plain(ctx, c, func(api string, m proto.Message) error { return o.message(app.Out, api, m) })
	}
	return tui.Run(ctx, c)
}

// connectScreen gives a screen the sessions that connect makes, and the one that the
// command acts in to begin with.
func (a *App) connectScreen(c *tui.Config, connect func(env, namespace string) (tui.Session, error)) error {
	e, ns, err := a.target()
	if err != nil {
		return err
	}
	c.Connect, c.Environments = connect, a.environments
	c.Session, err = connect(e.Name, ns)
	return err
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
		env: env, namespace: namespace, noColor: true, kept: a.kept,
	}
}

// session returns what the dashboard works with in an environment and a namespace; an
// empty namespace is the environment's.
func (a *App) session(env, namespace string) (tui.Session, error) {
	app := a.at(env, namespace, io.Discard)
	app.kept = nil // it has one connection for the whole session
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
