package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/envs"
	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
)

func newNamespaceCmd(app *App) *cobra.Command {
	cmd := parentCmd("namespace", "List, create, delete, choose and move namespaces")
	cmd.Example = `  micro namespace list
  micro namespace use shop`
	cmd.AddCommand(newNamespaceListCmd(app), newNamespaceCreateCmd(app), newNamespaceDeleteCmd(app), newNamespaceUseCmd(app, "use NAME", "micro namespace use shop"),
		newNamespaceExportCmd(app), newNamespaceImportCmd(app))
	return cmd
}

func newNamespaceListCmd(app *App) *cobra.Command {
	var out format
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the namespaces of the server, or your own",
		Long: `List the namespaces of the server for an administrator of the namespace "micro", and
for anybody else his own.`,
		Example: "  micro namespace list",
		Args:    exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, conn, err := app.connFor(cmd.Context())
			if err != nil {
				return err
			}
			all := &authv1.ListNamespacesResponse{}
			for token := ""; ; {
				rsp, err := authv1.NewNamespacesClient(conn).List(ctx, &authv1.ListNamespacesRequest{PageToken: token, PageSize: 1000})
				if err != nil {
					return err
				}
				all.Namespaces = append(all.Namespaces, rsp.GetNamespaces()...)
				if token = rsp.GetNextPageToken(); token == "" {
					break
				}
			}
			return out.print(app.Out, all, func(t *tableWriter) {
				t.row("NAME", "CREATED", "STATE")
				for _, n := range all.GetNamespaces() {
					created, state := "", ""
					if n.GetCreated() != nil {
						created = when(n.GetCreated())
					}
					if n.GetDeleting() {
						state = "being deleted"
					}
					t.row(n.GetName(), created, state)
				}
			})
		},
	}
	outputFlag(cmd, &out)
	return cmd
}

func newNamespaceCreateCmd(app *App) *cobra.Command {
	var o credentialOptions
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Create a namespace with the account that manages it",
		Long: `Create a namespace with an account that manages it. Only an administrator of the
namespace "micro" may; others sign up, where the server allows that.`,
		Example: `  echo "$PASSWORD" | micro namespace create shop --username alice --password-stdin`,
		Args:    exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, conn, err := app.connFor(cmd.Context())
			if err != nil {
				return err
			}
			if err := o.ask(app, "namespace create NAME"); err != nil {
				return err
			}
			password, err := o.newPassword(app, "Password")
			if err != nil {
				return err
			}
			req := &authv1.CreateNamespaceRequest{Name: args[0], Username: o.username, Password: password}
			if _, err := authv1.NewNamespacesClient(conn).Create(ctx, req); err != nil {
				return err
			}
			fmt.Fprintf(app.Out, "namespace %q created, with the account %q\n", args[0], o.username)
			return nil
		},
	}
	cmd.Flags().StringVarP(&o.username, "username", "u", "", "the account that manages it")
	cmd.Flags().BoolVar(&o.passwordStdin, "password-stdin", false, "read its password from standard input")
	return cmd
}

func newNamespaceDeleteCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "delete NAME",
		Short: "Delete a namespace with all that it owns",
		Long: `Delete a namespace with its accounts, rules, services, images, logs and data. It asks
for the name once more unless --yes is given. There is no way back. An
administrator of the namespace may, or of the namespace "micro".`,
		Example: "  micro namespace delete shop",
		Args:    exactly(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return app.deleteNamespace(cmd.Context(), args[0]) },
	}
}

func (a *App) deleteNamespace(ctx context.Context, name string) error {
	if !a.yes {
		if !a.Interactive() {
			return usage("micro namespace delete "+name+" --yes", "there is no terminal to ask whether the namespace %q with all that it owns shall go", name)
		}
		typed, err := a.prompt(fmt.Sprintf("All that the namespace %q owns will be gone. Type its name to go on: ", name))
		if err != nil {
			return err
		}
		if typed != name {
			return &Error{Message: fmt.Sprintf("nothing was deleted: %q is not the name", typed), Exit: ExitError}
		}
	}
	ctx, conn, err := a.connFor(ctx)
	if err != nil {
		return err
	}
	if _, err := authv1.NewNamespacesClient(conn).Delete(ctx, &authv1.DeleteNamespaceRequest{Name: name}); err != nil {
		return err
	}
	fmt.Fprintf(a.Out, "namespace %q deleted\n", front.Line(name))
	return nil
}

// newNamespaceUseCmd makes the command that sets the current namespace; it has two
// names.
func newNamespaceUseCmd(app *App, use, example string) *cobra.Command {
	return &cobra.Command{
		Use:   use,
		Short: "Set the namespace that commands act in",
		Long: `Set the namespace that commands act in by default. An account belongs to one
namespace; in another it is a stranger, who may do what anybody may.`,
		Example: "  " + example,
		Args:    exactly(1),
		RunE: func(_ *cobra.Command, args []string) error {
			e, err := app.Env()
			if err != nil {
				return err
			}
			err = app.updateEnvs(func(c *envs.Config) error {
				e, err := c.Get(e.Name)
				if err != nil {
					return err
				}
				e.Namespace = args[0]
				return c.Put(e)
			})
			if err != nil {
				return err
			}
			fmt.Fprintf(app.Out, "namespace %q is current (environment %q)\n", args[0], e.Name)
			return nil
		},
	}
}
