package cli

import (
	"encoding/base64"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/micro/micro/v3/cli/front"
	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
)

func newListKeysCmd(app *App) *cobra.Command {
	var out format
	cmd := &cobra.Command{
		Use:     "keys",
		Aliases: []string{"key"},
		Short:   "List the keys that access tokens are signed with, the current one first",
		Example: "  micro auth list keys",
		Args:    exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, conn, err := app.connFor(cmd.Context())
			if err != nil {
				return err
			}
			rsp, err := authv1.NewKeysClient(conn).List(ctx, &authv1.ListKeysRequest{})
			if err != nil {
				return err
			}
			return out.print(app.Out, rsp, func(t *tableWriter) {
				t.row("ID", "CREATED", "RETIRES", "PUBLIC KEY")
				for _, k := range rsp.GetKeys() {
					retires := ""
					if k.GetRetires() != nil {
						retires = when(k.GetRetires())
					}
					t.row(k.GetId(), when(k.GetCreated()), retires, base64.RawURLEncoding.EncodeToString(k.GetPublicKey()))
				}
			})
		},
	}
	outputFlag(cmd, &out)
	return cmd
}

func newRotateKeysCmd(app *App) *cobra.Command {
	var now bool
	cmd := &cobra.Command{
		Use:     "keys",
		Aliases: []string{"key"},
		Short:   "Sign access tokens with a new key",
		Long: `Sign access tokens with a new key from now on. Tokens that are signed already stay
good until they expire: nobody notices. With --retire-now they do not, for a key
that somebody may have got hold of; commands and services are refused until they
have renewed their access tokens, which they do within minutes, or after "micro
login". Only an administrator of the namespace "micro" may do it.`,
		Example: "  micro auth rotate keys",
		Args:    exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, conn, err := app.connFor(cmd.Context())
			if err != nil {
				return err
			}
			rsp, err := authv1.NewKeysClient(conn).Rotate(ctx, &authv1.RotateKeysRequest{RetireNow: now})
			if err != nil {
				return err
			}
			fmt.Fprintf(app.Out, "key %s signs now\n", front.Line(rsp.GetKey().GetId()))
			if now {
				return app.renewNow(cmd.Context())
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&now, "retire-now", false, "accept nothing any more that an older key has signed")
	return cmd
}
