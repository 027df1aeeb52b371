package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/micro/micro/v3/cli/front"
	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
)

// accountUpdate is what to change of an account.
type accountUpdate struct {
	scopes          []string
	enable, disable bool
	password        bool
}

func newUpdateAccountCmd(app *App) *cobra.Command {
	var o accountUpdate
	cmd := &cobra.Command{
		Use:     "account NAME",
		Aliases: []string{"accounts"},
		Short:   "Change the scopes or the password of an account, or disable it",
		Long: `Change an account; its sessions end. --scopes sets all of its scopes, and with an
empty value takes them away. An account that is disabled cannot log in, and its API
tokens are refused until it is enabled. Your own password is changed by
"micro user password".`,
		Example: `  micro auth update account bob --scopes staff,billing
  micro auth update account bob --disable
  echo "$PASSWORD" | micro auth update account bob --password-stdin`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.update(cmd.Context(), app, args[0], cmd.Flags().Changed("scopes"))
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.scopes, "scopes", nil, "the scopes that it has from now on")
	f.BoolVar(&o.disable, "disable", false, "let nobody log in with it")
	f.BoolVar(&o.enable, "enable", false, "let it log in again")
	f.BoolVar(&o.password, "password-stdin", false, "read a new password from standard input")
	cmd.MarkFlagsMutuallyExclusive("disable", "enable")
	cmd.MarkFlagsOneRequired("scopes", "disable", "enable", "password-stdin")
	return cmd
}

func (o *accountUpdate) update(ctx context.Context, app *App, id string, scopes bool) error {
	req := &authv1.UpdateAccountRequest{Id: id}
	if scopes {
		req.Scopes = &authv1.ScopeList{Scopes: o.scopes}
	}
	if o.enable || o.disable {
		req.Disabled = &o.disable
	}
	ctx, conn, err := app.connFor(ctx)
	if err != nil {
		return err
	}
	if o.password {
		c := credentialOptions{passwordStdin: true}
		password, err := c.password(app, "")
		if err != nil {
			return err
		}
		req.Password = &password
	}
	rsp, err := authv1.NewAccountsClient(conn).Update(ctx, req)
	if err != nil {
		return err
	}
	acc := rsp.GetAccount()
	state := "can log in"
	if acc.GetDisabled() {
		state = "is disabled"
	}
	fmt.Fprintf(app.Out, "account %q updated: it %s, with %s\n", acc.GetId(), state, front.Line(scopesText(acc.GetScopes())))
	return nil
}
