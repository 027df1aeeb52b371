package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/micro/micro/v3/cli/front"
	configv1 "github.com/micro/micro/v3/proto/micro/config/v1"
)

func newConfigCmd(app *App) *cobra.Command {
	cmd := parentCmd("config", "Read and change the configuration of the namespace")
	cmd.Long = `Read and change the configuration of the namespace: JSON values, each at a path of names
with dots between them. Services read it as config.Get("database.host"), and see a
change without a restart.

A dot or a backslash in a name has a backslash before it: hosts.example\.com.`
	cmd.Example = `  micro config set database.host db.internal
  micro config get database
  micro config history`
	cmd.AddCommand(
		newConfigGetCmd(app), newConfigSetCmd(app), newConfigDeleteCmd(app), newConfigListCmd(app),
		newConfigHistoryCmd(app), newConfigRollbackCmd(app), newConfigWatchCmd(app),
		newConfigImportCmd(app), newConfigExportCmd(app),
	)
	return cmd
}

// configClient returns a client of the configuration, and the context for its calls.
func (a *App) configClient(ctx context.Context) (context.Context, configv1.ConfigClient, error) {
	ctx, conn, err := a.connFor(ctx)
	if err != nil {
		return nil, nil, err
	}
	return ctx, configv1.NewConfigClient(conn), nil
}

func secretFlag(cmd *cobra.Command, secret *bool) {
	cmd.Flags().BoolVarP(secret, "secret", "s", false, "show secrets")
}

func newConfigGetCmd(app *App) *cobra.Command {
	var out format
	var secret bool
	cmd := &cobra.Command{
		Use:   "get [PATH]",
		Short: "Print a value, or all that is below a path",
		Example: `  micro config get database.host
  micro config get database -o yaml`,
		Args:              atMostOne(),
		ValidArgsFunction: completeConfig(app),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, client, err := app.configClient(cmd.Context())
			if err != nil {
				return err
			}
			rsp, err := client.Get(ctx, &configv1.GetRequest{Path: first(args), Secrets: secret})
			if err != nil {
				return err
			}
			return printConfig(app.Out, []byte(rsp.GetJson()), out)
		},
	}
	secretFlag(cmd, &secret)
	outputFlag(cmd, &out)
	return cmd
}

// first returns the only argument of a command that may have one.
func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

// printConfig prints a value: for people a string is its text.
func printConfig(w io.Writer, value []byte, out format) error {
	var text string
	switch {
	case out == asYAML:
		return jsonToYAML(w, value)
	case out == asJSON:
		return front.PrintJSON(w, value, front.FormatJSON)
	case json.Unmarshal(value, &text) == nil && string(value) != "null":
		_, err := fmt.Fprintln(w, front.Lines(text))
		return err
	default:
		return front.PrintJSON(w, value, front.FormatAuto)
	}
}

// ifRevision is the flag of a condition.
type ifRevision struct{ value string }

func (f *ifRevision) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.value, "if-revision", "", "only if nothing at the path was changed after this revision; 0: only if nothing is there")
}

func (f *ifRevision) parse(cmd string) (*int64, error) {
	if f.value == "" {
		return nil, nil //nolint:nilnil // no condition
	}
	n, err := parseRevision(f.value)
	if err != nil {
		return nil, usage(cmd+" --help", "--if-revision is %q, no revision", f.value)
	}
	return &n, nil
}

func parseRevision(s string) (int64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	return int64(n), err
}

type configSetOptions struct {
	secret, merge bool
	cond          ifRevision
}

func newConfigSetCmd(app *App) *cobra.Command {
	var o configSetOptions
	cmd := &cobra.Command{
		Use:   "set PATH VALUE",
		Short: "Set a value",
		Long: `Set a value in place of what is at the path and below.

VALUE is JSON; what is no JSON is a string. @FILE is what is in a file and - what
comes on standard input: secrets belong there, since others can see command lines.
Put -- before a value that begins with a dash.

With --secret the value is encrypted where it is stored and shown only when it is
asked for, by who may. It stays a secret when it is set again without --secret.`,
		Example: `  micro config set database.host db.internal
  micro config set database '{"host": "db.internal", "port": 5432}'
  echo "$KEY" | micro config set stripe.key - --secret`,
		Args:              func(cmd *cobra.Command, args []string) error { return checkArgs(cmd, args, 2, 2) },
		ValidArgsFunction: completeConfig(app),
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), app, args[0], args[1]) },
	}
	f := cmd.Flags()
	f.BoolVarP(&o.secret, "secret", "s", false, "keep the value secret; of an object, each value in it")
	f.BoolVar(&o.merge, "merge", false, "leave what is below the path and not in the value as it is")
	o.cond.add(cmd)
	return cmd
}

func (o *configSetOptions) run(ctx context.Context, app *App, path, arg string) error {
	cond, err := o.cond.parse("micro config set")
	if err != nil {
		return err
	}
	value, err := app.configValue(arg)
	if err != nil {
		return err
	}
	ctx, client, err := app.configClient(ctx)
	if err != nil {
		return err
	}
	rsp, err := client.Set(ctx, &configv1.SetRequest{Path: path, Json: value, Secret: o.secret, Merge: o.merge, IfRevision: cond})
	if err != nil {
		return err
	}
	return app.configChanged(path, "set", rsp.GetRevision())
}

// configChanged says what now is.
func (a *App) configChanged(path, how string, revision int64) error {
	ns, err := a.Namespace()
	if err != nil {
		return err
	}
	if path == "" {
		path = "the configuration"
	}
	fmt.Fprintf(a.Out, "%s is %s (revision %d, namespace %s)\n", front.Line(path), how, revision, front.Line(ns))
	return nil
}

func newConfigDeleteCmd(app *App) *cobra.Command {
	var o ifRevision
	cmd := &cobra.Command{
		Use:               "delete PATH",
		Aliases:           []string{"del"},
		Short:             "Delete a value, with all that is below it",
		Example:           "  micro config delete database.host",
		Args:              exactly(1),
		ValidArgsFunction: completeConfig(app),
		RunE: func(cmd *cobra.Command, args []string) error {
			cond, err := o.parse("micro config delete")
			if err != nil {
				return err
			}
			ctx, client, err := app.configClient(cmd.Context())
			if err != nil {
				return err
			}
			rsp, err := client.Delete(ctx, &configv1.DeleteRequest{Path: args[0], IfRevision: cond})
			if err != nil {
				return err
			}
			return app.configChanged(args[0], "deleted", rsp.GetRevision())
		},
	}
	o.add(cmd)
	return cmd
}

func newConfigListCmd(app *App) *cobra.Command {
	var out format
	var secret bool
	cmd := &cobra.Command{
		Use:   "list [PATH]",
		Short: "List the values at and below a path",
		Example: `  micro config list
  micro config list database -o json`,
		Args:              atMostOne(),
		ValidArgsFunction: completeConfig(app),
		RunE: func(cmd *cobra.Command, args []string) error {
			all, err := app.listConfig(cmd.Context(), &configv1.ListRequest{Path: first(args), Secrets: secret, PageSize: 1000})
			if err != nil {
				return err
			}
			return out.print(app.Out, all, func(t *tableWriter) {
				t.row("PATH", "VALUE", "REVISION")
				for _, v := range all.GetValues() {
					t.row(v.GetPath(), v.GetJson(), strconv.FormatInt(v.GetRevision(), 10))
				}
			})
		},
	}
	secretFlag(cmd, &secret)
	outputFlag(cmd, &out)
	return cmd
}

// listConfig returns all pages of a list.
func (a *App) listConfig(ctx context.Context, req *configv1.ListRequest) (*configv1.ListResponse, error) {
	ctx, client, err := a.configClient(ctx)
	if err != nil {
		return nil, err
	}
	all := &configv1.ListResponse{}
	for {
		rsp, err := client.List(ctx, req)
		if err != nil {
			return nil, err
		}
		all.Values, all.Revision = append(all.Values, rsp.GetValues()...), rsp.GetRevision()
		if req.PageToken = rsp.GetNextPageToken(); req.PageToken == "" {
			return all, nil
		}
	}
}

// completeConfig completes the paths that there are.
func completeConfig(app *App) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveDefault
		}
		ctx, cancel := completionContext(cmd)
		defer cancel()
		all, err := app.listConfig(ctx, &configv1.ListRequest{PageSize: 1000})
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var paths []cobra.Completion
		for _, v := range all.GetValues() {
			paths = append(paths, cobra.CompletionWithDesc(front.Line(v.GetPath()), front.Line(v.GetJson())))
		}
		return paths, cobra.ShellCompDirectiveNoFileComp
	}
}
