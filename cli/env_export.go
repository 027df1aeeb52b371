package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/micro/micro/v3/cli/snippet"
	"github.com/micro/micro/v3/envs"
)

func newEnvExportCmd(app *App) *cobra.Command {
	var out format
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Print the current environment as variables for a program",
		Long: `Print the current environment as variables for a program that is run by hand: where
the server is, which namespace, and an access token, good for some minutes. A
service of micro's framework needs none of it: run by hand, it asks by itself.

MICRO_TOKEN lets a program do what you can. For one that runs longer, an API
token of its own is better: micro auth create token --help`,
		Example: `  eval "$(micro env export)"
  micro env export -o json`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			vars, err := app.exported(cmd.Context())
			if err != nil {
				return err
			}
			if out != asTable {
				return printValue(app, out, vars)
			}
			for _, name := range slices.Sorted(maps.Keys(vars)) {
				fmt.Fprintf(app.Out, "export %s=%s\n", name, snippet.QuoteShell(vars[name]))
			}
			return nil
		},
	}
	outputFlag(cmd, &out)
	return cmd
}

// exported returns what package service/internal/platform reads.
func (a *App) exported(ctx context.Context) (map[string]string, error) {
	token, err := a.Token(ctx)
	if err != nil {
		return nil, err
	}
	e, err := a.Env()
	if err != nil {
		return nil, err
	}
	ns, err := a.Namespace()
	if err != nil {
		return nil, err
	}
	address, useTLS, err := envs.ParseAddress(e.Address)
	if err != nil {
		return nil, err
	}
	vars := map[string]string{
		"MICRO_ENV": e.Name, "MICRO_PROXY": address, "MICRO_NAMESPACE": ns, "MICRO_TOKEN": token,
		"MICRO_PROXY_CA": e.CA, "MICRO_PROXY_CERT": e.Cert, "MICRO_PROXY_KEY": e.Key,
	}
	if _, socket := envs.SocketPath(address); !socket {
		vars["MICRO_PROXY"] = "tcp://" + address
	}
	if useTLS {
		vars["MICRO_PROXY"] = "tls://" + address
	}
	if e.Insecure {
		vars["MICRO_PROXY_INSECURE"] = "true"
	}
	maps.DeleteFunc(vars, func(_, value string) bool { return value == "" })
	return vars, nil
}
