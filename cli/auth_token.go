package cli

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/micro/micro/v3/cli/front"
	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
)

func newCreateTokenCmd(app *App) *cobra.Command {
	var scopes []string
	var expires, account string
	cmd := &cobra.Command{
		Use:     "token NAME",
		Aliases: []string{"tokens"},
		Short:   "Create an API token, which a program logs in with for a long time",
		Long: `Create an API token of the account that is logged in, and print it: the server does
not keep it and shows it this once. A program sends it like an access token, or has
it in MICRO_TOKEN. It has those of your scopes that --scopes names, none by
default, and then may do what every account may. With --account it is a token of an
account of a service, with scopes of that.`,
		Example: `  micro auth create token ci --scopes admin --expires 30d
  micro auth create token main --account exporter --scopes metrics --expires never
  export MICRO_TOKEN="$(micro auth create token laptop --expires 12h)"`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			life, err := parseLife(expires)
			if err != nil {
				return usage("micro auth create token --help", "--expires is %q: %v", expires, err)
			}
			ctx, conn, err := app.connFor(cmd.Context())
			if err != nil {
				return err
			}
			req := &authv1.CreateTokenRequest{Name: args[0], Scopes: scopes, Account: account, Expires: app.after(life)}
			rsp, err := authv1.NewTokensClient(conn).Create(ctx, req)
			if err != nil {
				return err
			}
			fmt.Fprintln(app.Out, front.Line(rsp.GetSecret()))
			fmt.Fprintf(app.Err, "token %q created, expires %s; it is not shown again\n", args[0], when(rsp.GetToken().GetExpires()))
			return nil
		},
	}
	cmd.Flags().StringSliceVar(&scopes, "scopes", nil, "which of the account's scopes it has")
	cmd.Flags().StringVar(&account, "account", "", "the account of a service whose it is (yours)")
	cmd.Flags().StringVar(&expires, "expires", "90d", "how long it is good, such as 12h or 30d, or never")
	return cmd
}

// lifeText says how long something is good as [parseLife] reads it: whole days as 30d.
func lifeText(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= day && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	return d.String()
}

// parseLife reads how long something is good: what [time.ParseDuration] takes, a number
// of days as 30d, or never, which is 0.
func parseLife(s string) (time.Duration, error) {
	if s == "never" {
		return 0, nil
	}
	const day = 24 * time.Hour
	d, err := time.ParseDuration(s)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		var n int
		n, err = strconv.Atoi(days)
		if n > 100*365 {
			return 0, errors.New("more than a hundred years; say never")
		}
		d = time.Duration(n) * day
	}
	switch {
	case err != nil:
		return 0, errors.New("not a time such as 12h or 30d, nor never")
	case d <= 0:
		return 0, errors.New("not after now")
	default:
		return d, nil
	}
}

// after returns the time so much later, nil for 0, which stands for never.
func (a *App) after(d time.Duration) *timestamppb.Timestamp {
	if d == 0 {
		return nil
	}
	return timestamppb.New(a.Now().Add(d))
}

// when shows a time in the time zone of who reads it; never when there is none.
func when(t *timestamppb.Timestamp) string {
	if t == nil {
		return "never"
	}
	return t.AsTime().Local().Format("2006-01-02 15:04")
}

func newListTokensCmd(app *App) *cobra.Command {
	var out format
	var all bool
	cmd := &cobra.Command{
		Use:     "tokens",
		Aliases: []string{"token"},
		Short:   "List your API tokens, without their secrets",
		Example: `  micro auth list tokens
  micro auth list tokens --all`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, conn, err := app.connFor(cmd.Context())
			if err != nil {
				return err
			}
			got := &authv1.ListTokensResponse{}
			for token := ""; ; {
				rsp, err := authv1.NewTokensClient(conn).List(ctx, &authv1.ListTokensRequest{PageToken: token, PageSize: 1000, All: all})
				if err != nil {
					return err
				}
				got.Tokens = append(got.Tokens, rsp.GetTokens()...)
				if token = rsp.GetNextPageToken(); token == "" {
					break
				}
			}
			return out.print(app.Out, got, func(t *tableWriter) {
				t.row("NAME", "ACCOUNT", "SCOPES", "CREATED", "EXPIRES")
				for _, tok := range got.GetTokens() {
					t.row(tok.GetName(), tok.GetAccount(), strings.Join(tok.GetScopes(), ","), when(tok.GetCreated()), when(tok.GetExpires()))
				}
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "those of every account of the namespace")
	outputFlag(cmd, &out)
	return cmd
}

func newDeleteTokenCmd(app *App) *cobra.Command {
	var account string
	cmd := &cobra.Command{
		Use:     "token NAME",
		Aliases: []string{"tokens"},
		Short:   "Delete an API token; it is refused from now on",
		Example: `  micro auth delete token ci
  micro auth delete token ci --account bob`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, conn, err := app.connFor(cmd.Context())
			if err != nil {
				return err
			}
			if _, err := authv1.NewTokensClient(conn).Delete(ctx, &authv1.DeleteTokenRequest{Name: args[0], Account: account}); err != nil {
				return err
			}
			fmt.Fprintf(app.Out, "token %q deleted\n", args[0])
			return nil
		},
	}
	cmd.Flags().StringVar(&account, "account", "", "whose token it is (yours)")
	return cmd
}
