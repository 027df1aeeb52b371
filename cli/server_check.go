package cli

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/micro/micro/v3/cli/front"
)

// CheckReport is what a check of a data directory has found.
type CheckReport struct {
	Seen     []string      // what was looked at, a line each
	Problems []DataProblem // in the order in which they were found
	JSON     any           // the same, for programs
}

// DataProblem is something in a data directory that is not as it must be.
type DataProblem struct{ File, What, Means string }

func newServerCheckCmd(app *App) *cobra.Command {
	var data string
	var out format
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Read all data of a server that does not run, and find what is damaged",
		Long: `Read all data of a server that does not run, without changing anything: every block of
the database, every record, change and event, the parts of blobs, what was encrypted with
the master key, and the images, and compare them with their checksums and digests.

What is damaged is named with its file and what follows from that, and the exit code is
1. Nothing is repaired: what is damaged comes back from a backup, and an image by pushing
it again. Logs of services are not looked at.`,
		Example: `  micro server check
  micro server check --data /srv/micro -o json`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return checkServer(cmd.Context(), app, data, out) },
	}
	cmd.Flags().StringVar(&data, "data", "", "directory of the server's data (the user's data directory)")
	outputFlag(cmd, &out)
	return cmd
}

func checkServer(ctx context.Context, app *App, data string, out format) error {
	dir, err := app.dataDir(data)
	if err != nil {
		return err
	}
	report, err := app.Check(ctx, dir)
	if err != nil {
		return err
	}
	if out == asTable {
		for _, line := range report.Seen {
			fmt.Fprintln(app.Out, line)
		}
		for _, p := range report.Problems {
			fmt.Fprintf(app.Out, "damaged: %s: %s\n", front.Line(p.File), front.Line(p.What))
			if p.Means != "" {
				fmt.Fprintf(app.Out, "  %s\n", p.Means)
			}
		}
	} else if err := printJSON(app, report.JSON, out); err != nil {
		return err
	}
	if n := len(report.Problems); n > 0 {
		return &Error{Message: fmt.Sprintf("%d of these data are not what was written", n), Hint: "micro restore FILE --force", Exit: ExitError}
	}
	if out == asTable {
		fmt.Fprintln(app.Out, "all is as it was written")
	}
	return nil
}

// printJSON prints what is no message as JSON or YAML.
func printJSON(app *App, v any, out format) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	if out == asYAML {
		return jsonToYAML(app.Out, b)
	}
	_, err = fmt.Fprintf(app.Out, "%s\n", b)
	return err
}
