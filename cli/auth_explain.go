package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/micro/micro/v3/cli/front"
	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
	registryv1 "github.com/micro/micro/v3/proto/micro/registry/v1"
)

// explainOptions say whose call is explained.
type explainOptions struct {
	typ, as, asService string
	public             bool
	out                format
}

func newExplainCmd(app *App) *cobra.Command {
	var o explainOptions
	cmd := &cobra.Command{
		Use:   "explain SERVICE ENDPOINT",
		Short: "Say which rule decides about a call, and why",
		Long: `Say whether a call would be allowed, which rule decides, and why the other rules for
it do not. The call is yours unless --as, --as-service or --public names another
caller. --type explains the server's own APIs: --type runtime helloworld
Runtime.Apply is what "micro run" needs.`,
		Example: `  micro auth explain helloworld call --as bob
  micro auth explain billing Billing.Pay --public
  micro auth explain --type runtime helloworld Runtime.Apply --as bob`,
		Args: exactly(2),
		RunE: func(cmd *cobra.Command, args []string) error { return o.explain(cmd.Context(), app, args[0], args[1]) },
	}
	f := cmd.Flags()
	f.StringVar(&o.typ, "type", "service", "the type of what is called: service, or one of the server's APIs")
	f.StringVar(&o.as, "as", "", "the account that calls")
	f.StringVar(&o.asService, "as-service", "", "the service that calls")
	f.BoolVar(&o.public, "public", false, "somebody who is not logged in calls")
	cmd.MarkFlagsMutuallyExclusive("as", "as-service", "public")
	outputFlag(cmd, &o.out)
	return cmd
}

func (o *explainOptions) explain(ctx context.Context, app *App, service, endpoint string) error {
	ctx, conn, err := app.connFor(ctx)
	if err != nil {
		return err
	}
	if o.typ == "service" {
		if endpoint, err = endpointOf(ctx, conn, service, endpoint); err != nil {
			return err
		}
	}
	req := &authv1.ExplainRequest{Type: o.typ, Name: service, Endpoint: endpoint}
	switch {
	case o.as != "":
		req.Caller = &authv1.ExplainRequest_Account{Account: o.as}
	case o.asService != "":
		req.Caller = &authv1.ExplainRequest_Service{Service: o.asService}
	case o.public:
		req.Caller = &authv1.ExplainRequest_Anonymous{Anonymous: true}
	}
	rsp, err := authv1.NewRulesClient(conn).Explain(ctx, req)
	if err != nil {
		return err
	}
	if o.out != asTable {
		return o.out.print(app.Out, rsp, nil)
	}
	verdict, who := "denied", "somebody who is not logged in"
	if rsp.GetAllowed() {
		verdict = "allowed"
	}
	if acc := rsp.GetAccount(); acc != nil {
		kind := "account"
		if acc.GetType() == authv1.AccountType_ACCOUNT_TYPE_SERVICE {
			kind = "service"
		}
		who = fmt.Sprintf("%s %q with %s", kind, acc.GetId(), scopesText(acc.GetScopes()))
	}
	fmt.Fprintf(app.Out, "%s: %s for %s\n", verdict, front.Line(rsp.GetResource()), front.Line(who))
	fmt.Fprintf(app.Out, "because %s\n", front.Line(rsp.GetReason()))
	for _, p := range rsp.GetPassed() {
		fmt.Fprintf(app.Out, "not by the rule %q: %s\n", p.GetRule().GetId(), front.Line(p.GetReason()))
	}
	return nil
}

func scopesText(scopes []string) string {
	switch len(scopes) {
	case 0:
		return "no scopes"
	case 1:
		return "the scope " + scopes[0]
	default:
		return "the scopes " + strings.Join(scopes, ", ")
	}
}

// endpointOf returns the endpoint of a service that a word means, as rules name it.
// What has a dot is taken as it is when the service is not there to ask.
func endpointOf(ctx context.Context, conn *grpc.ClientConn, service, word string) (string, error) {
	rsp, err := registryv1.NewRegistryClient(conn).Get(ctx, &registryv1.GetRequest{Name: service})
	if err != nil {
		if strings.Contains(word, ".") && status.Code(err) != codes.Unavailable {
			return word, nil
		}
		return "", err
	}
	fold := func(s string) string { return strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(s)) }
	var all, found []string
	for _, e := range rsp.GetService().GetEndpoints() {
		_, method, _ := strings.Cut(e.GetName(), ".")
		all = append(all, e.GetName())
		if fold(e.GetName()) == fold(word) || fold(method) == fold(word) {
			found = append(found, e.GetName())
		}
	}
	slices.Sort(found)
	found = slices.Compact(found)
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return "", usage("micro auth explain "+service+" "+found[0], "%q can be %s", word, strings.Join(found, " or "))
	case strings.Contains(word, "."):
		return word, nil
	default:
		slices.Sort(all)
		return "", &Error{
			Message: fmt.Sprintf("the service %q has no endpoint %q", service, word),
			Hint:    "one of " + cmp.Or(strings.Join(all, ", "), "none"),
			Exit:    ExitNotFound,
		}
	}
}
