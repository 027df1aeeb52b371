package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	configv1 "github.com/micro/micro/v3/proto/micro/config/v1"
)

type configHistoryOptions struct {
	secret bool
	lines  int32
	out    format
}

func newConfigHistoryCmd(app *App) *cobra.Command {
	var o configHistoryOptions
	cmd := &cobra.Command{
		Use:   "history [PATH]",
		Short: "Show what was changed, when and by whom",
		Long: `Show the changes at and below a path, the newest first. The last 256 changes of the
configuration are kept; -o json shows the values before and after each.`,
		Example: `  micro config history
  micro config history database.host -o json`,
		Args:              atMostOne(),
		ValidArgsFunction: completeConfig(app),
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), app, first(args)) },
	}
	secretFlag(cmd, &o.secret)
	cmd.Flags().Int32VarP(&o.lines, "lines", "n", 0, "show at most so many changes; 0 shows all")
	outputFlag(cmd, &o.out)
	return cmd
}

func (o *configHistoryOptions) run(ctx context.Context, app *App, path string) error {
	if o.lines < 0 {
		return usage("micro config history --help", "--lines is %d", o.lines)
	}
	ctx, client, err := app.configClient(ctx)
	if err != nil {
		return err
	}
	all := &configv1.HistoryResponse{}
	req := &configv1.HistoryRequest{Path: path, Secrets: o.secret, PageSize: 50}
	for {
		if o.lines > 0 {
			req.PageSize = min(50, o.lines-int32(len(all.GetRevisions())))
		}
		rsp, err := client.History(ctx, req)
		if err != nil {
			return err
		}
		all.Revisions = append(all.Revisions, rsp.GetRevisions()...)
		req.PageToken = rsp.GetNextPageToken()
		if req.PageToken == "" || o.lines > 0 && len(all.GetRevisions()) >= int(o.lines) {
			break
		}
	}
	return o.out.print(app.Out, all, func(t *tableWriter) {
		t.row("REVISION", "TIME", "ACCOUNT", "ACTION", "PATHS")
		for _, r := range all.GetRevisions() {
			t.row(strconv.FormatInt(r.GetRevision(), 10), r.GetTime().AsTime().Local().Format("2006-01-02 15:04:05"),
				r.GetAccount(), r.GetAction(), changedPaths(r))
		}
	})
}

// shownPaths is how many paths of a change a table shows.
const shownPaths = 3

func changedPaths(r *configv1.Revision) string {
	var paths []string
	for i, c := range r.GetChanges() {
		if i == shownPaths {
			paths = append(paths, fmt.Sprintf("and %d more", len(r.GetChanges())-shownPaths))
			break
		}
		paths = append(paths, c.GetPath())
	}
	return strings.Join(paths, ", ")
}

func newConfigRollbackCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "rollback REVISION [PATH]",
		Short: "Make the configuration what it was at a revision",
		Long: `Make the configuration, or what is at a path, what it was at a revision. That is a
change like any other: the history keeps what was there before, and a rollback can be
rolled back.`,
		Example: `  micro config rollback 3
  micro config rollback 3 database`,
		Args: func(cmd *cobra.Command, args []string) error { return checkArgs(cmd, args, 1, 2) },
		RunE: func(cmd *cobra.Command, args []string) error {
			to, err := parseRevision(args[0])
			if err != nil {
				return usage("micro config history", "%q is no revision", args[0])
			}
			ctx, client, err := app.configClient(cmd.Context())
			if err != nil {
				return err
			}
			path := first(args[1:])
			rsp, err := client.Rollback(ctx, &configv1.RollbackRequest{Path: path, Revision: to})
			if err != nil {
				return err
			}
			return app.configChanged(path, fmt.Sprintf("what it was at revision %d", to), rsp.GetRevision())
		},
	}
}

type configWatchOptions struct {
	secret bool
	from   string
	out    format
}

func newConfigWatchCmd(app *App) *cobra.Command {
	var o configWatchOptions
	cmd := &cobra.Command{
		Use:   "watch [PATH]",
		Short: "Print a value, and then each one that it gets",
		Long: `Print the value at a path as it is, and then after each change, one on a line, until
interrupted. The line of a value that is deleted is empty. -o json has the revision too,
and says "reset" of a value before which changes are missing: 256 are kept.`,
		Example: `  micro config watch database
  micro config watch database --from 3 -o json`,
		Args:              atMostOne(),
		ValidArgsFunction: completeConfig(app),
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), app, first(args)) },
	}
	secretFlag(cmd, &o.secret)
	cmd.Flags().StringVar(&o.from, "from", "", "begin with the changes after this revision")
	outputFlag(cmd, &o.out)
	return cmd
}

func (o *configWatchOptions) run(ctx context.Context, app *App, path string) error {
	var from *int64
	if o.from != "" {
		n, err := parseRevision(o.from)
		if err != nil {
			return usage("micro config watch --help", "--from is %q, no revision", o.from)
		}
		from = &n
	}
	ctx, client, err := app.configClient(ctx)
	if err != nil {
		return err
	}
	stream, err := client.Watch(ctx, &configv1.WatchRequest{Path: path, Secrets: o.secret, FromRevision: from})
	if err != nil {
		return err
	}
	for n := 0; ; n++ {
		rsp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if n > 0 && o.out == asYAML {
			fmt.Fprintln(app.Out, "---")
		}
		if rsp.GetReset_() && o.out == asTable {
			fmt.Fprintln(app.Err, "not all changes before this one are kept; this is the value as it is")
		}
		if err := o.print(app.Out, rsp); err != nil {
			return err
		}
	}
}

func (o *configWatchOptions) print(w io.Writer, rsp *configv1.WatchResponse) error {
	if o.out == asTable {
		if rsp.Json == nil {
			_, err := fmt.Fprintln(w)
			return err
		}
		var text string
		if json.Unmarshal([]byte(rsp.GetJson()), &text) == nil && rsp.GetJson() != "null" && !strings.Contains(text, "\n") {
			return printConfig(w, []byte(rsp.GetJson()), asTable)
		}
		return printConfig(w, []byte(rsp.GetJson()), asJSON)
	}
	b := fmt.Appendf(nil, `{"revision":%d`, rsp.GetRevision())
	if rsp.Json != nil {
		b = fmt.Appendf(b, `,"value":%s`, rsp.GetJson())
	}
	if rsp.GetReset_() {
		b = append(b, `,"reset":true`...)
	}
	return printConfig(w, append(b, '}'), o.out)
}
