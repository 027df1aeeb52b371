package cli

import "github.com/spf13/cobra"

func newAuthCmd(app *App) *cobra.Command {
	cmd := parentCmd("auth", "Manage accounts, rules, API tokens and keys, and see who did what")
	cmd.Example = `  micro auth list accounts
  micro auth create rule closed --resource "service:billing:*" --access denied --priority 10`
	list := parentCmd("list", "List accounts, rules, API tokens, keys or invitations")
	list.AddCommand(newListAccountsCmd(app), newListRulesCmd(app), newListTokensCmd(app), newListKeysCmd(app), newListInvitationsCmd(app))
	create := parentCmd("create", "Create an account, a rule, an API token or an invitation")
	create.AddCommand(newCreateAccountCmd(app), newCreateRuleCmd(app), newCreateTokenCmd(app), newCreateInvitationCmd(app))
	update := parentCmd("update", "Change an account or a rule")
	update.AddCommand(newUpdateAccountCmd(app), newUpdateRuleCmd(app))
	rotate := parentCmd("rotate", "Replace the key that signs")
	rotate.AddCommand(newRotateKeysCmd(app))
	del := parentCmd("delete", "Delete an account, a rule, an API token or an invitation")
	del.AddCommand(newDeleteAccountCmd(app), newDeleteRuleCmd(app), newDeleteTokenCmd(app), newDeleteInvitationCmd(app))
	cmd.AddCommand(list, create, update, rotate, del, newExplainCmd(app), newAuditCmd(app))
	return cmd
}
