package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/cli/words"
	configv1 "github.com/micro/micro/v3/proto/micro/config/v1"
	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
)

func newReleasesCmd(app *App) *cobra.Command {
	var out format
	cmd := &cobra.Command{
		Use:   "releases NAME",
		Short: "List the releases of a service that are kept",
		Long: `List the releases of a service that are kept, the newest first: the last ten, and what
is current or serves. A release is what instances are made of: image, arguments,
environment, resources and probes.`,
		Example:           "  micro releases helloworld",
		Args:              exactly(1),
		ValidArgsFunction: completeDeployed(app),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, client, err := app.runtime(cmd.Context())
			if err != nil {
				return err
			}
			rsp, err := client.Releases(ctx, &runtimev1.ReleasesRequest{Name: args[0]})
			if err != nil {
				return app.nearestRun(cmd, args[0], err)
			}
			current, err := client.Get(ctx, &runtimev1.GetRequest{Name: args[0]})
			if err != nil && status.Code(err) != codes.NotFound { // it may be killed
				return err
			}
			return out.print(app.Out, rsp, func(t *tableWriter) {
				t.row("RELEASE", "STATE", "CREATED", "BY", "ACTION", "VERSION", "BUILD", "SOURCE")
				for _, r := range rsp.GetReleases() {
					t.row(strconv.FormatInt(r.GetNumber(), 10), words.ReleaseState(r, current.GetService().GetStatus()),
						words.Ago(app.Now(), r.GetCreated().AsTime()), r.GetBy(), words.ReleaseAction(r),
						r.GetSpec().GetVersion(), words.Digest(r.GetSpec().GetImage()), words.Source(r.GetSpec().GetSource()))
				}
			})
		},
	}
	outputFlag(cmd, &out)
	return cmd
}

func newRollbackCmd(app *App) *cobra.Command {
	var noWait bool
	cmd := &cobra.Command{
		Use:   "rollback NAME [RELEASE]",
		Short: "Go back to an older release of a service",
		Long: `Go back to an older release of a service, without building anything. Without RELEASE
that is the one that serves while the newest does not come up, else the newest that
differs from the current one and was ever healthy. The number of instances and the
configuration stay as they are. "micro releases NAME" lists what there is.`,
		Example: `  micro rollback helloworld
  micro rollback helloworld 1`,
		Args:              func(cmd *cobra.Command, args []string) error { return checkArgs(cmd, args, 1, 2) },
		ValidArgsFunction: completeDeployed(app),
		RunE: func(cmd *cobra.Command, args []string) error {
			var to int64
			if len(args) == 2 {
				var err error
				if to, err = strconv.ParseInt(args[1], 10, 64); err != nil || to < 1 {
					return usage("micro releases "+args[0], "%q is no release", args[1])
				}
			}
			ctx, client, err := app.changingRuntime(cmd.Context())
			if err != nil {
				return err
			}
			rsp, err := client.Rollback(ctx, &runtimev1.RollbackRequest{Name: args[0], Release: to})
			if err != nil {
				return app.nearestRun(cmd, args[0], hinted(err, "micro releases "+args[0]))
			}
			what := "is what it was"
			if c := rsp.GetChange(); c != nil && c.GetAfter().GetRelease() < c.GetBefore().GetRelease() {
				what = fmt.Sprintf("goes on with release %d", c.GetAfter().GetRelease())
			} else if c != nil {
				what, err = app.rolledBack(ctx, client, args[0], c.GetAfter().GetRelease())
				if err != nil {
					return err
				}
			}
			return app.settled(ctx, client, rsp.GetService(), rsp.GetChange(), noWait, what)
		},
	}
	noWaitFlag(cmd, &noWait)
	return cmd
}

// rolledBack says which release a new one is made from.
func (a *App) rolledBack(ctx context.Context, client runtimev1.RuntimeClient, name string, release int64) (string, error) {
	rsp, err := client.Releases(ctx, &runtimev1.ReleasesRequest{Name: name})
	if err != nil {
		return "", err
	}
	for _, r := range rsp.GetReleases() {
		if r.GetNumber() == release {
			return fmt.Sprintf("is rolled back to release %d", r.GetOf()), nil
		}
	}
	return "is rolled back", nil
}

// hinted adds a hint to an error of a server that has none of its own.
func hinted(err error, hint string) error {
	if status.Code(err) != codes.FailedPrecondition {
		return err
	}
	return &Error{Message: status.Convert(err).Message(), Hint: hint, Code: codes.FailedPrecondition.String(), Exit: ExitError}
}

func newUndoCmd(app *App) *cobra.Command {
	var noWait bool
	cmd := &cobra.Command{
		Use:   "undo NAME",
		Short: "Take back the last change of a service",
		Long: `Take back what was changed last about a service: a run or an update, a scale, a
rollback, a kill of the last seven days, an undo, or a change of the configuration at
NAME and below it when that is newer. Restarts are passed over. It says what it did;
to undo twice is to have done nothing.`,
		Example:           "  micro undo helloworld",
		Args:              exactly(1),
		ValidArgsFunction: completeDeployed(app),
		RunE: func(cmd *cobra.Command, args []string) error {
			return app.nearestRun(cmd, args[0], app.undo(cmd.Context(), args[0], noWait))
		},
	}
	noWaitFlag(cmd, &noWait)
	return cmd
}

func (a *App) undo(ctx context.Context, name string, noWait bool) error {
	if !isServiceName(name) {
		return usage("micro status", "%q is no name of a service", name)
	}
	ctx, client, err := a.changingRuntime(ctx)
	if err != nil {
		return err
	}
	c, err := newestChange(ctx, client, name)
	if err != nil {
		return err
	}
	rev, err := a.newestConfig(ctx, name)
	if err != nil {
		return err
	}
	if rev != nil && (c == nil || rev.GetTime().AsTime().After(c.GetTime().AsTime())) {
		return a.undoConfig(ctx, name, rev)
	}
	rsp, err := client.Undo(ctx, &runtimev1.UndoRequest{Name: name, IfChange: c.GetNumber()})
	if err != nil {
		return err
	}
	fmt.Fprintf(a.Err, "taken back: %s\n", a.changeText(rsp.GetUndone()))
	if rsp.GetService() == nil {
		return a.stopped(ctx, client, name)
	}
	return a.settled(ctx, client, rsp.GetService(), rsp.GetChange(), noWait, "runs with "+instancesText(rsp.GetService().GetInstances()))
}

// newestChange returns the change of a service that an undo would take back; nil when
// there is none.
func newestChange(ctx context.Context, client runtimev1.RuntimeClient, name string) (*runtimev1.Change, error) {
	rsp, err := client.Changes(ctx, &runtimev1.ChangesRequest{Name: name})
	if err != nil {
		return nil, err
	}
	for _, c := range rsp.GetChanges() {
		if c.GetNumber() == rsp.GetUndoable() {
			return c, nil
		}
	}
	return nil, nil //nolint:nilnil // there is none
}

// newestConfig returns the newest change of the configuration at a path and below it;
// nil when there is none that the account may see.
func (a *App) newestConfig(ctx context.Context, path string) (*configv1.Revision, error) {
	conn, err := a.Conn()
	if err != nil {
		return nil, err
	}
	rsp, err := configv1.NewConfigClient(conn).History(ctx, &configv1.HistoryRequest{Path: path, PageSize: 1})
	if status.Code(err) == codes.PermissionDenied {
		return nil, nil //nolint:nilnil // it is not for this account to change
	}
	if err != nil || len(rsp.GetRevisions()) == 0 {
		return nil, err
	}
	return rsp.GetRevisions()[0], nil
}

// undoConfig takes back the newest change of the configuration at a path.
func (a *App) undoConfig(ctx context.Context, path string, rev *configv1.Revision) error {
	conn, err := a.Conn()
	if err != nil {
		return err
	}
	newest := rev.GetRevision()
	rsp, err := configv1.NewConfigClient(conn).Rollback(ctx, &configv1.RollbackRequest{Path: path, Revision: newest - 1, IfRevision: &newest})
	if err != nil {
		return err
	}
	fmt.Fprintf(a.Err, "taken back: %s of the configuration %s by %s, %s\n", front.Line(rev.GetAction()),
		front.Line(changedPaths(rev)), front.Line(rev.GetAccount()), words.Ago(a.Now(), rev.GetTime().AsTime()))
	fmt.Fprintf(a.Err, "instances of %s that have it in their environment keep what they began with until: micro restart %s\n", path, path)
	return a.configChanged(path, fmt.Sprintf("what it was at revision %d", newest-1), rsp.GetRevision())
}

// changeText says what a change was, for people.
func (a *App) changeText(c *runtimev1.Change) string {
	text := c.GetAction()
	if c.GetUndoes() != 0 {
		text += fmt.Sprintf(" of change %d", c.GetUndoes())
	}
	before, after := c.GetBefore(), c.GetAfter()
	var what []string
	switch {
	case before == nil:
		what = append(what, fmt.Sprintf("release %d with %s", after.GetRelease(), instancesText(after.GetInstances())))
	case after == nil:
		what = append(what, fmt.Sprintf("release %d with %s is no more", before.GetRelease(), instancesText(before.GetInstances())))
	default:
		if before.GetRelease() != after.GetRelease() {
			what = append(what, fmt.Sprintf("release %d to %d", before.GetRelease(), after.GetRelease()))
		}
		if before.GetInstances() != after.GetInstances() {
			what = append(what, fmt.Sprintf("%d to %s", before.GetInstances(), instancesText(after.GetInstances())))
		}
	}
	if len(what) > 0 {
		text += " (" + strings.Join(what, ", ") + ")"
	}
	if c.GetBy() != "" {
		text += " by " + c.GetBy()
	}
	text += ", " + words.Ago(a.Now(), c.GetTime().AsTime())
	if c.GetReason() != "" {
		text += ": " + c.GetReason()
	}
	return front.Line(text)
}
