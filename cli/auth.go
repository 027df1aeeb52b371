package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
)

func newAuthCmd(app *App) *cobra.Command {
	cmd := parentCmd("auth", "Manage accounts, rules, API tokens and keys")
	cmd.Example = `  micro auth list accounts
  micro auth create rule closed --resource "service:billing:*" --access denied --priority 10`
	list := parentCmd("list", "List accounts, rules, API tokens or keys")
	list.AddCommand(newListAccountsCmd(app), newListRulesCmd(app), newListTokensCmd(app), newListKeysCmd(app))
	create := parentCmd("create", "Create an account, a rule or an API token")
	create.AddCommand(newCreateAccountCmd(app), newCreateRuleCmd(app), newCreateTokenCmd(app))
	update := parentCmd("update", "Change an account")
	update.AddCommand(newUpdateAccountCmd(app))
	rotate := parentCmd("rotate", "Replace the key that signs")
	rotate.AddCommand(newRotateKeysCmd(app))
	del := parentCmd("delete", "Delete an account, a rule or an API token")
	del.AddCommand(newDeleteAccountCmd(app), newDeleteRuleCmd(app), newDeleteTokenCmd(app))
	cmd.AddCommand(list, create, update, rotate, del, newExplainCmd(app))
	return cmd
}

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
				t.row("ID", "SCOPES", "CREATED", "STATE")
				for _, a := range all.GetAccounts() {
					state := ""
					if a.GetDisabled() {
						state = "disabled"
					}
					t.row(a.GetId(), strings.Join(a.GetScopes(), ","), when(a.GetCreated()), state)
				}
			})
		},
	}
	outputFlag(cmd, &out)
	return cmd
}

func newCreateAccountCmd(app *App) *cobra.Command {
	var o credentialOptions
	var scopes []string
	cmd := &cobra.Command{
		Use:     "account NAME",
		Aliases: []string{"accounts"},
		Short:   "Create an account in the namespace",
		Example: `  echo "$PASSWORD" | micro auth create account bob --password-stdin --scopes admin`,
		Args:    exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, conn, err := app.connFor(cmd.Context())
			if err != nil {
				return err
			}
			password, err := o.newPassword(app, "Password")
			if err != nil {
				return err
			}
			req := &authv1.CreateAccountRequest{Id: args[0], Password: password, Scopes: scopes}
			rsp, err := authv1.NewAccountsClient(conn).Create(ctx, req)
			if err != nil {
				return err
			}
			fmt.Fprintf(app.Out, "account %q created in namespace %q\n", rsp.GetAccount().GetId(), rsp.GetAccount().GetNamespace())
			return nil
		},
	}
	cmd.Flags().BoolVar(&o.passwordStdin, "password-stdin", false, "read the password from standard input")
	cmd.Flags().StringSliceVar(&scopes, "scopes", nil, "what rules grant to it by name; admin manages the namespace")
	return cmd
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

func newListRulesCmd(app *App) *cobra.Command {
	var out format
	cmd := &cobra.Command{
		Use:     "rules",
		Short:   "List the rules of the namespace in the order in which they are tried",
		Example: "  micro auth list rules",
		Args:    exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, conn, err := app.connFor(cmd.Context())
			if err != nil {
				return err
			}
			rsp, err := authv1.NewRulesClient(conn).List(ctx, &authv1.ListRulesRequest{})
			if err != nil {
				return err
			}
			return out.print(app.Out, rsp, func(t *tableWriter) {
				t.row("ID", "SCOPE", "ACCESS", "RESOURCE", "PRIORITY")
				for _, r := range rsp.GetRules() {
					scope := r.GetScope()
					if scope == "" {
						scope = "<public>"
					}
					access := strings.ToLower(strings.TrimPrefix(r.GetAccess().String(), "ACCESS_"))
					t.row(r.GetId(), scope, access, r.GetResource(), strconv.Itoa(int(r.GetPriority())))
				}
			})
		},
	}
	outputFlag(cmd, &out)
	return cmd
}

// ruleOptions are the parts of a rule.
type ruleOptions struct {
	scope, resource, access string
	priority                int32
}

func newCreateRuleCmd(app *App) *cobra.Command {
	var o ruleOptions
	cmd := &cobra.Command{
		Use:     "rule NAME",
		Aliases: []string{"rules"},
		Short:   "Create a rule in the namespace",
		Long: `Create a rule. Of the rules that match a call those with the highest priority
decide; among these a denial wins; where none matches, the call is denied.

--resource is TYPE:NAME:ENDPOINT, each of them * or a value: service:helloworld:*
means every endpoint of one service, runtime:*:read what only looks.
--scope says to whom it applies: nobody in particular when empty (the public), *
any account of the namespace, otherwise the accounts that have the scope.`,
		Example: `  micro auth create rule closed --resource "service:billing:*" --access denied --priority 10
  micro auth create rule staff --scope staff --resource "service:billing:*" --priority 20`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.create(cmd.Context(), app, args[0]) },
	}
	f := cmd.Flags()
	f.StringVar(&o.scope, "scope", "", "to whom it applies")
	f.StringVar(&o.resource, "resource", "", "what it applies to, as TYPE:NAME:ENDPOINT")
	f.StringVar(&o.access, "access", "granted", "granted or denied")
	f.Int32Var(&o.priority, "priority", 0, "rules with a higher one are tried first")
	_ = cmd.MarkFlagRequired("resource") // it is there
	return cmd
}

func (o *ruleOptions) create(ctx context.Context, app *App, id string) error {
	access := authv1.Access(authv1.Access_value["ACCESS_"+strings.ToUpper(o.access)])
	if access == authv1.Access_ACCESS_UNSPECIFIED {
		return usage("micro auth create rule --help", "--access is %q, neither granted nor denied", o.access)
	}
	ctx, conn, err := app.connFor(ctx)
	if err != nil {
		return err
	}
	rule := &authv1.Rule{Id: id, Scope: o.scope, Resource: o.resource, Access: access, Priority: o.priority}
	if _, err := authv1.NewRulesClient(conn).Create(ctx, &authv1.CreateRuleRequest{Rule: rule}); err != nil {
		return err
	}
	fmt.Fprintf(app.Out, "rule %q created\n", id)
	return nil
}

func newDeleteRuleCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:     "rule NAME",
		Aliases: []string{"rules"},
		Short:   "Delete a rule of the namespace",
		Example: "  micro auth delete rule closed",
		Args:    exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, conn, err := app.connFor(cmd.Context())
			if err != nil {
				return err
			}
			if _, err := authv1.NewRulesClient(conn).Delete(ctx, &authv1.DeleteRuleRequest{Id: args[0]}); err != nil {
				return err
			}
			fmt.Fprintf(app.Out, "rule %q deleted\n", args[0])
			return nil
		},
	}
}
