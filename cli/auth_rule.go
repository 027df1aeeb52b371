package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/micro/micro/v3/cli/front"
	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
)

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
	o.flags(cmd, "granted")
	_ = cmd.MarkFlagRequired("resource") // it is there
	return cmd
}

func (o *ruleOptions) flags(cmd *cobra.Command, access string) {
	f := cmd.Flags()
	f.StringVar(&o.scope, "scope", "", "to whom it applies")
	f.StringVar(&o.resource, "resource", "", "what it applies to, as TYPE:NAME:ENDPOINT")
	f.StringVar(&o.access, "access", access, "granted or denied")
	f.Int32Var(&o.priority, "priority", 0, "rules with a higher one are tried first")
	completeFlag(cmd, "access", cobra.FixedCompletions([]cobra.Completion{"granted", "denied"}, cobra.ShellCompDirectiveNoFileComp))
}

// parseAccess reads what a rule decides.
func (o *ruleOptions) parseAccess(cmd string) (authv1.Access, error) {
	access := authv1.Access(authv1.Access_value["ACCESS_"+strings.ToUpper(o.access)])
	if access == authv1.Access_ACCESS_UNSPECIFIED {
		return access, usage(cmd+" --help", "--access is %q, neither granted nor denied", o.access)
	}
	return access, nil
}

func (o *ruleOptions) create(ctx context.Context, app *App, id string) error {
	access, err := o.parseAccess("micro auth create rule")
	if err != nil {
		return err
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

func newUpdateRuleCmd(app *App) *cobra.Command {
	var o ruleOptions
	cmd := &cobra.Command{
		Use:     "rule NAME",
		Aliases: []string{"rules"},
		Short:   "Change a rule of the namespace",
		Long: `Change what the flags name of a rule, and leave the rest as it is. There is no moment
without the rule, as there is when it is deleted and created again.`,
		Example: `  micro auth update rule closed --access granted
  micro auth update rule staff --scope staff --priority 30`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.update(cmd.Context(), app, cmd.Flags(), args[0])
		},
	}
	o.flags(cmd, "")
	cmd.MarkFlagsOneRequired("scope", "resource", "access", "priority")
	return cmd
}

func (o *ruleOptions) update(ctx context.Context, app *App, f *pflag.FlagSet, id string) error {
	req := &authv1.UpdateRuleRequest{Id: id}
	if f.Changed("scope") {
		req.Scope = &o.scope
	}
	if f.Changed("resource") {
		req.Resource = &o.resource
	}
	if f.Changed("priority") {
		req.Priority = &o.priority
	}
	if f.Changed("access") {
		access, err := o.parseAccess("micro auth update rule")
		if err != nil {
			return err
		}
		req.Access = &access
	}
	ctx, conn, err := app.connFor(ctx)
	if err != nil {
		return err
	}
	rsp, err := authv1.NewRulesClient(conn).Update(ctx, req)
	if err != nil {
		return err
	}
	rule := rsp.GetRule()
	verb := "grants"
	if rule.GetAccess() == authv1.Access_ACCESS_DENIED {
		verb = "denies"
	}
	fmt.Fprintf(app.Out, "rule %q updated: it %s %s to %s, with priority %d\n", id, verb, front.Line(rule.GetResource()), front.Line(audience(rule.GetScope())), rule.GetPriority())
	return nil
}

// audience says to whom a rule applies.
func audience(scope string) string {
	switch scope {
	case "":
		return "everybody"
	case "*":
		return "every account of the namespace"
	default:
		return "accounts with the scope " + scope
	}
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
