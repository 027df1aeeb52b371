package cli

import (
	"encoding/json"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/micro/micro/v3/envs"
)

func newEnvCmd(app *App) *cobra.Command {
	var out format
	cmd := &cobra.Command{
		Use:   "env",
		Short: "Show and change the environments to work with",
		Long: `An environment is a place where services run: a server on this machine, one for
development, one for production. One of them is current: commands act on it
unless --env or MICRO_ENV names another.`,
		Example: `  micro env
  micro env set local
  micro env add foobar proxy.foo.com:443`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return listEnvs(app, out)
		},
	}
	outputFlag(cmd, &out)
	cmd.AddCommand(newEnvListCmd(app), newEnvGetCmd(app), newEnvSetCmd(app), newEnvAddCmd(app), newEnvProtectCmd(app), newEnvUnprotectCmd(app), newEnvDelCmd(app), newEnvExportCmd(app))
	return cmd
}

func newEnvListCmd(app *App) *cobra.Command {
	var out format
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the environments",
		Example: "  micro env list -o json",
		Args:    exactly(0),
		RunE:    func(*cobra.Command, []string) error { return listEnvs(app, out) },
	}
	outputFlag(cmd, &out)
	return cmd
}

// listedEnv is the JSON of an environment.
type listedEnv struct {
	Name        string       `json:"name"`
	Current     bool         `json:"current"`
	Address     string       `json:"address"`
	Description string       `json:"description,omitempty"`
	Protected   bool         `json:"protected,omitempty"`
	Namespace   string       `json:"namespace,omitempty"`
	Account     string       `json:"account,omitempty"`
	Token       envs.Storage `json:"token,omitempty"`
}

func listEnvs(app *App, out format) error {
	c, err := app.Config()
	if err != nil {
		return err
	}
	current, err := app.Env()
	if err != nil {
		return err
	}
	var list []listedEnv
	for _, e := range c.List() {
		list = append(list, listedEnv{
			Name:        e.Name,
			Current:     e.Name == current.Name,
			Address:     e.Address,
			Description: e.Description,
			Protected:   e.Protected,
			Namespace:   e.Namespace,
			Account:     e.Account,
			Token:       e.Storage,
		})
	}
	if out != asTable {
		return printValue(app, out, list)
	}
	t := newTable(app.Out)
	for _, e := range list {
		mark := " "
		if e.Current {
			mark = "*"
		}
		state := loginState(app, e)
		if e.Protected {
			state += ", protected"
		}
		t.row(mark+" "+e.Name, e.Address, state, e.Description)
	}
	return t.flush()
}

// loginState says who is logged in and where the token lies.
func loginState(app *App, e listedEnv) string {
	if e.Current && app.Getenv(envs.EnvToken) != "" {
		return "token from " + envs.EnvToken
	}
	switch e.Token {
	case envs.InKeyring:
		return fmt.Sprintf("%s in %s, token in the keyring", e.Account, e.Namespace)
	case envs.InFile:
		return fmt.Sprintf("%s in %s, token in a file", e.Account, e.Namespace)
	default:
		return "not logged in"
	}
}

// printValue writes a value of ours as JSON or YAML.
func printValue(app *App, out format, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	b = append(b, '\n')
	if out == asYAML {
		return jsonToYAML(app.Out, b)
	}
	_, err = app.Out.Write(b)
	return err
}

func newEnvGetCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:     "get",
		Short:   "Print the name of the current environment",
		Example: "  micro env get",
		Args:    exactly(0),
		RunE: func(*cobra.Command, []string) error {
			e, err := app.Env()
			if err != nil {
				return err
			}
			fmt.Fprintln(app.Out, e.Name)
			return nil
		},
	}
}

func newEnvSetCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:               "set NAME",
		Short:             "Set the current environment",
		Example:           "  micro env set dev",
		Args:              exactly(1),
		ValidArgsFunction: completeEnvs(app),
		RunE: func(_ *cobra.Command, args []string) error {
			var e envs.Env
			err := app.updateEnvs(func(c *envs.Config) (err error) {
				if e, err = c.Get(args[0]); err != nil {
					return err
				}
				return c.Set(args[0])
			})
			if err != nil {
				return err
			}
			fmt.Fprintf(app.Out, "environment %q is current (%s)\n", e.Name, e.Address)
			return nil
		},
	}
}

func newEnvAddCmd(app *App) *cobra.Command {
	var e envs.Env
	cmd := &cobra.Command{
		Use:   "add NAME ADDRESS",
		Short: "Add an environment",
		Long: `Add an environment by the address of its identity proxy, or of any gRPC server.

ADDRESS is HOST:PORT; the port is 443 when left out. Port 443 means TLS, as does
tls://HOST:PORT; tcp://HOST:PORT means none. unix:PATH is a socket of this machine.`,
		Example: `  micro env add foobar proxy.foo.com:443
  micro env add staging tls://10.0.0.5:8443 --ca ./ca.pem --description "Staging"`,
		Args: exactly(2),
		RunE: func(_ *cobra.Command, args []string) error {
			e.Name, e.Address = args[0], args[1]
			if socket, ok := envs.SocketPath(e.Address); ok && socket != "" {
				abs, err := filepath.Abs(socket)
				if err != nil {
					return err
				}
				e.Address = "unix:" + abs
			}
			for _, p := range []*string{&e.CA, &e.Cert, &e.Key} {
				if *p == "" {
					continue
				}
				// The command may be in another directory next time.
				abs, err := filepath.Abs(*p)
				if err != nil {
					return err
				}
				*p = abs
			}
			if e.Cert != "" && e.Key != "" || e.CA != "" {
				if _, err := e.TLS(); err != nil {
					return err
				}
			}
			if err := app.updateEnvs(func(c *envs.Config) error { return c.Add(e) }); err != nil {
				return err
			}
			fmt.Fprintf(app.Out, "environment %q added (%s)\n", e.Name, e.Address)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&e.Description, "description", "", "what the environment is for")
	f.StringVar(&e.CA, "ca", "", "PEM file of the certificates to trust instead of the system's")
	f.StringVar(&e.Cert, "cert", "", "PEM file of the client certificate")
	f.StringVar(&e.Key, "key", "", "PEM file of the client certificate's key")
	f.BoolVar(&e.Insecure, "insecure", false, "believe any certificate of the server")
	f.BoolVar(&e.Protected, "protected", false, "ask for the environment's name before anything changes")
	return cmd
}

func newEnvProtectCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "protect NAME",
		Short: "Have the environment's name typed before anything changes",
		Long: `Have the environment's name typed before a command changes anything on it, or given as
--confirm NAME. The protection is one of this machine against mistakes: what accounts
may do is decided by the rules of the server.`,
		Example:           "  micro env protect platform",
		Args:              exactly(1),
		ValidArgsFunction: completeEnvs(app),
		RunE:              func(_ *cobra.Command, args []string) error { return app.protect(args[0], true) },
	}
}

func newEnvUnprotectCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:               "unprotect NAME",
		Short:             "Let commands change the environment without asking",
		Example:           "  micro env unprotect platform --confirm platform",
		Args:              exactly(1),
		ValidArgsFunction: completeEnvs(app),
		RunE:              func(_ *cobra.Command, args []string) error { return app.protect(args[0], false) },
	}
}

// protect protects an environment, or ends that, which is a change of it.
func (a *App) protect(name string, protected bool) error {
	c, err := a.Config()
	if err != nil {
		return err
	}
	if err := a.confirmOf(c, name); err != nil {
		return err
	}
	err = a.updateEnvs(func(c *envs.Config) error {
		e, err := c.Get(name)
		if err != nil {
			return err
		}
		e.Protected = protected
		return c.Put(e)
	})
	if err != nil {
		return err
	}
	state := "protected"
	if !protected {
		state = "not protected"
	}
	fmt.Fprintf(a.Out, "environment %q is %s\n", name, state)
	return nil
}

// confirmOf asks before an environment itself is changed, if it is protected.
func (a *App) confirmOf(c *envs.Config, name string) error {
	e, err := c.Get(name)
	if err != nil || !e.Protected {
		return err
	}
	return a.confirmName(name)
}

func newEnvDelCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:               "del NAME",
		Aliases:           []string{"delete", "rm"},
		Short:             "Delete an environment, with its token on this machine",
		Example:           "  micro env del foobar",
		Args:              exactly(1),
		ValidArgsFunction: completeEnvs(app),
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := app.Config()
			if err != nil {
				return err
			}
			if err := app.confirmOf(c, args[0]); err != nil {
				return err
			}
			e, err := envs.Remove(c.Dirs(), args[0], app.keyring())
			if err != nil {
				return err
			}
			fmt.Fprintf(app.Out, "environment %q deleted\n", e.Name)
			if c.Current() == e.Name {
				fmt.Fprintf(app.Out, "environment %q is current\n", envs.Local)
			}
			return nil
		},
	}
}

func (a *App) updateEnvs(f func(*envs.Config) error) error {
	dirs, err := a.Dirs()
	if err != nil {
		return err
	}
	return envs.Update(dirs, f)
}

func completeEnvs(app *App) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		c, err := app.Config()
		if err != nil || len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var names []cobra.Completion
		for _, e := range c.List() {
			names = append(names, cobra.CompletionWithDesc(e.Name, e.Address))
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}
