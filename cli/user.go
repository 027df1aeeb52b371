package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/micro/micro/v3/cli/front"
	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
)

func newUserCmd(app *App) *cobra.Command {
	var out format
	cmd := &cobra.Command{
		Use:   "user",
		Short: "Show who is logged in",
		Example: `  micro user
  micro user namespace
  micro user token`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return showUser(cmd, app, out)
		},
	}
	outputFlag(cmd, &out)
	cmd.AddCommand(newUserNamespaceCmd(app), newUserTokenCmd(app), newUserPasswordCmd(app))
	return cmd
}

func showUser(cmd *cobra.Command, app *App, out format) error {
	if _, err := app.Token(cmd.Context()); err != nil {
		return err
	}
	ctx, conn, err := app.connFor(cmd.Context())
	if err != nil {
		return err
	}
	rsp, err := authv1.NewAuthClient(conn).WhoAmI(ctx, &authv1.WhoAmIRequest{})
	if err != nil {
		return err
	}
	if out == asTable {
		fmt.Fprintln(app.Out, front.Line(rsp.GetAccount().GetId()))
		return nil
	}
	return out.print(app.Out, rsp.GetAccount(), nil)
}

func newUserNamespaceCmd(app *App) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "namespace",
		Short:   "Print the current namespace",
		Example: "  micro user namespace",
		Args:    exactly(0),
		RunE: func(*cobra.Command, []string) error {
			ns, err := app.Namespace()
			if err != nil {
				return err
			}
			fmt.Fprintln(app.Out, front.Line(ns))
			return nil
		},
	}
	cmd.AddCommand(newNamespaceUseCmd(app, "set NAME", "micro user namespace set shop"))
	return cmd
}

func newUserTokenCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "token",
		Short: "Print an access token",
		Long: `Print an access token, good for some minutes. Whoever has it can do what you can:
keep it off the command line of other programs.`,
		Example: `  curl -H "Authorization: Bearer $(micro user token)" http://localhost:8080/helloworld`,
		Args:    exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			token, err := app.Token(cmd.Context())
			if err != nil {
				return err
			}
			fmt.Fprintln(app.Out, front.Line(token))
			return nil
		},
	}
}

func newUserPasswordCmd(app *App) *cobra.Command {
	var stdin bool
	cmd := &cobra.Command{
		Use:   "password",
		Short: "Change the password",
		Long: `Change the password of the account that is logged in; its other sessions end. With
--password-stdin the old and the new password are the first two lines of
standard input.`,
		Example: "  micro user password",
		Args:    exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			e, err := app.Env()
			if err != nil {
				return err
			}
			ctx, conn, err := app.connFor(cmd.Context())
			if err != nil {
				return err
			}
			o := credentialOptions{passwordStdin: stdin}
			old, err := o.password(app, "Old password")
			if err != nil {
				return err
			}
			fresh, err := o.newPassword(app, "New password")
			if err != nil {
				return err
			}
			rsp, err := authv1.NewAuthClient(conn).ChangePassword(ctx, &authv1.ChangePasswordRequest{OldPassword: old, NewPassword: fresh})
			if err != nil {
				return err
			}
			storage := e.Storage
			if storage == "" {
				return nil // logged in by a token from outside, which has ended now
			}
			return app.loggedIn(cmd.Context(), e, rsp.GetSession(), storage, "", "password changed")
		},
	}
	cmd.Flags().BoolVar(&stdin, "password-stdin", false, "read the passwords from standard input")
	return cmd
}
