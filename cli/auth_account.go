package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/micro/micro/v3/cli/front"
	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
)

func newListAccountsCmd(app *App) *cobra.Command {
	var out format
	cmd := &cobra.Command{
		Use:     "accounts",
		Short:   "List the accounts of the namespace",
		Example: "  micro auth list accounts",
		Args:    exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, conn, err := app.connFor(cmd.Context())
			if err != nil {
				return err
			}
			all := &authv1.ListAccountsResponse{}
			for token := ""; ; {
				rsp, err := authv1.NewAccountsClient(conn).List(ctx, &authv1.ListAccountsRequest{PageToken: token, PageSize: 1000})
				if err != nil {
					return err
				}
				all.Accounts = append(all.Accounts, rsp.GetAccounts()...)
				if token = rsp.GetNextPageToken(); token == "" {
					break
				}
			}
			return out.print(app.Out, all, func(t *tableWriter) {
				t.row("ID", "TYPE", "SCOPES", "CREATED", "STATE", "METADATA")
				for _, a := range all.GetAccounts() {
					state := ""
					if a.GetDisabled() {
						state = "disabled"
					}
					typ := strings.ToLower(strings.TrimPrefix(a.GetType().String(), "ACCOUNT_TYPE_"))
					t.row(a.GetId(), typ, strings.Join(a.GetScopes(), ","), when(a.GetCreated()), state, metadataText(a.GetMetadata()))
				}
			})
		},
	}
	outputFlag(cmd, &out)
	return cmd
}

// metadataText writes metadata in the order of its names.
func metadataText(m map[string]string) string {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		pairs = append(pairs, name+"="+m[name])
	}
	return strings.Join(pairs, ",")
}

// accountOptions are what an account is made of.
type accountOptions struct {
	credentialOptions

	typ      string
	scopes   []string
	metadata map[string]string
}

func newCreateAccountCmd(app *App) *cobra.Command {
	var o accountOptions
	cmd := &cobra.Command{
		Use:     "account NAME",
		Aliases: []string{"accounts"},
		Short:   "Create an account in the namespace",
		Long: `Create an account in the namespace: that of a person, or with --type service that of a
program which the server does not run. Such a one needs no password: "micro auth create
token --account" makes what it logs in with.`,
		Example: `  echo "$PASSWORD" | micro auth create account bob --password-stdin --scopes admin
  micro auth create account exporter --type service --scopes metrics --metadata team=payments`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.create(cmd.Context(), app, args[0]) },
	}
	f := cmd.Flags()
	f.StringVar(&o.typ, "type", "user", "whose it is: that of a user or a service")
	f.BoolVar(&o.passwordStdin, "password-stdin", false, "read the password from standard input")
	f.StringSliceVar(&o.scopes, "scopes", nil, "what rules grant to it by name; admin manages the namespace")
	f.StringToStringVar(&o.metadata, "metadata", nil, "what to note about it, as NAME=VALUE")
	completeFlag(cmd, "type", cobra.FixedCompletions([]cobra.Completion{"user", "service"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (o *accountOptions) create(ctx context.Context, app *App, id string) error {
	typ := authv1.AccountType(authv1.AccountType_value["ACCOUNT_TYPE_"+strings.ToUpper(o.typ)])
	if typ == authv1.AccountType_ACCOUNT_TYPE_UNSPECIFIED {
		return usage("micro auth create account --help", "--type is %q, neither user nor service", o.typ)
	}
	ctx, conn, err := app.connFor(ctx)
	if err != nil {
		return err
	}
	password := ""
	if typ == authv1.AccountType_ACCOUNT_TYPE_USER || o.passwordStdin {
		if password, err = o.newPassword(app, "Password"); err != nil {
			return err
		}
	}
	rsp, err := authv1.NewAccountsClient(conn).Create(ctx, &authv1.CreateAccountRequest{
		Id: id, Password: password, Scopes: o.scopes, Type: typ, Metadata: o.metadata,
	})
	if err != nil {
		return err
	}
	acc := rsp.GetAccount()
	fmt.Fprintf(app.Out, "account %q created in namespace %q\n", acc.GetId(), acc.GetNamespace())
	if password == "" {
		fmt.Fprintf(app.Err, "it has no password; make its API token: micro auth create token NAME --account %s\n", front.Line(acc.GetId()))
	}
	return nil
}

func newDeleteAccountCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:     "account NAME",
		Aliases: []string{"accounts"},
		Short:   "Delete an account and end its sessions",
		Example: "  micro auth delete account bob",
		Args:    exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, conn, err := app.connFor(cmd.Context())
			if err != nil {
				return err
			}
			if _, err := authv1.NewAccountsClient(conn).Delete(ctx, &authv1.DeleteAccountRequest{Id: args[0]}); err != nil {
				return err
			}
			fmt.Fprintf(app.Out, "account %q deleted\n", args[0])
			return nil
		},
	}
}

// accountUpdate is what to change of an account.
type accountUpdate struct {
	scopes          []string
	enable, disable bool
	password        bool
	metadata        map[string]string
}

func newUpdateAccountCmd(app *App) *cobra.Command {
	var o accountUpdate
	cmd := &cobra.Command{
		Use:     "account NAME",
		Aliases: []string{"accounts"},
		Short:   "Change the scopes, the password or the metadata of an account, or disable it",
		Long: `Change an account; its sessions end, unless only --metadata is given. --scopes sets all
of its scopes, and with an empty value takes them away; --metadata sets the names that it
gives, and removes those with an empty value. An account that is disabled cannot log in,
and its API tokens are refused until it is enabled. Your own password is changed by
"micro user password".`,
		Example: `  micro auth update account bob --scopes staff,billing
  micro auth update account bob --metadata team=payments,phone=
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
	f.StringToStringVar(&o.metadata, "metadata", nil, "what to note about it, as NAME=VALUE; NAME= removes it")
	cmd.MarkFlagsOneRequired("scopes", "disable", "enable", "password-stdin", "metadata")
	return cmd
}

func (o *accountUpdate) update(ctx context.Context, app *App, id string, scopes bool) error {
	req := &authv1.UpdateAccountRequest{Id: id, Metadata: o.metadata}
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
