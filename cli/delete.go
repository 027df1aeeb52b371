package cli

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/micro/micro/v3/cli/front"
)

func newDeleteCmd(app *App) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "delete -f DIR|FILE",
		Short: "Stop the services that files declare",
		Long: `Stop the services that files declare, the last one first. Nothing is built; one that is
not there is no error. "micro kill NAME" stops one by its name.`,
		Example: `  micro delete -f services`,
		Args:    exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			set, err := app.readFiles(cmd.Root(), "micro delete", file)
			if err != nil {
				return err
			}
			if err := app.pinSet(set); err != nil {
				return err
			}
			var names []string
			for _, d := range set.services {
				names = append(names, d.Name)
			}
			return app.stopAll(cmd.Context(), names)
		},
	}
	fileFlag(cmd, &file)
	return cmd
}

// stopAll stops services, the last one first.
func (a *App) stopAll(ctx context.Context, names []string) error {
	ctx, client, err := a.changingRuntime(ctx)
	if err != nil {
		return err
	}
	for _, name := range slices.Backward(names) {
		err := a.kill(ctx, client, name)
		if status.Code(err) == codes.NotFound {
			fmt.Fprintf(a.Err, "%s is not there\n", front.Line(name))
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}
