package cli

import (
	"context"
	"fmt"
	"io"
	"math"

	"github.com/spf13/cobra"

	storev1 "github.com/micro/micro/v3/proto/micro/store/v1"
)

type storeWatchOptions struct {
	storeTable

	prefix string
	from   int64
	out    format
}

func newStoreWatchCmd(app *App) *cobra.Command {
	var o storeWatchOptions
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Show changes of records as they are made",
		Long: `Show the records of a table, and then each change when it is made, until Ctrl-C.
With --from only the changes after that revision are shown; where these are no longer
kept, the exit code is 1.`,
		Example: `  micro store watch
  micro store watch --prefix session/ -o json`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), app) },
	}
	o.flags(app, cmd)
	cmd.Flags().StringVarP(&o.prefix, "prefix", "p", "", "only keys that begin so")
	cmd.Flags().Int64Var(&o.from, "from", 0, "only the changes after this revision")
	outputFlag(cmd, &o.out)
	return cmd
}

func (o *storeWatchOptions) run(ctx context.Context, app *App) error {
	if o.from < 0 || o.from == math.MaxInt64 {
		return usage("micro store watch --help", "--from is %d", o.from)
	}
	prefix, err := parseBytes("--prefix", o.prefix)
	if err != nil {
		return err
	}
	ctx, client, err := app.store(ctx)
	if err != nil {
		return err
	}
	stream, err := client.Watch(ctx, &storev1.WatchRequest{Database: o.database, Table: o.table, Prefix: prefix, FromRevision: o.from})
	if err != nil {
		return err
	}
	return receive(stream, func(rsp *storev1.WatchResponse) error {
		return o.print(app.Out, rsp)
	})
}

func (o *storeWatchOptions) print(w io.Writer, rsp *storev1.WatchResponse) error {
	return o.out.element(w, rsp, func(w io.Writer) error { return printChange(w, rsp) })
}

func printChange(w io.Writer, rsp *storev1.WatchResponse) error {
	key := showBytes(rsp.GetRecord().GetKey())
	var err error
	switch rsp.GetChange() {
	case storev1.Change_CHANGE_UNSPECIFIED: // by a server that is newer
	case storev1.Change_CHANGE_PUT:
		_, err = fmt.Fprintf(w, "put %s %s\n", key, showValue(rsp.GetRecord().GetValue()))
	case storev1.Change_CHANGE_DELETE:
		_, err = fmt.Fprintf(w, "delete %s\n", key)
	case storev1.Change_CHANGE_SYNCED:
		_, err = fmt.Fprintf(w, "-- all that was there is shown, revision %d\n", rsp.GetRevision())
	}
	return err
}
