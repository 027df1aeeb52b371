package cli

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/cli/words"
	"github.com/micro/micro/v3/dynamic/request"
	registryv1 "github.com/micro/micro/v3/proto/micro/registry/v1"
	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
)

type statusOptions struct {
	watch   bool
	plain   bool
	verbose bool
	out     format
}

func newStatusCmd(app *App) *cobra.Command {
	var o statusOptions
	cmd := &cobra.Command{
		Use:   "status [NAME]",
		Short: "Show the services that should run, and whether they do",
		Long: `Show the services that should run, and whether they do; of one, all of its instances,
and why they do not run, with the last lines that they wrote.

With --watch it goes on until interrupted: on a terminal the table is kept up to date,
elsewhere, and with --plain, there is a line for each change.`,
		Example: `  micro status
  micro status -v
  micro status helloworld
  micro status --watch --plain`,
		Args:              atMostOne(),
		ValidArgsFunction: completeDeployed(app),
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd, app, first(args)) },
	}
	f := cmd.Flags()
	f.BoolVarP(&o.watch, "watch", "w", false, "go on, and show each change")
	f.BoolVar(&o.plain, "plain", false, "with --watch, a line for each change")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "show the instances of each service")
	outputFlag(cmd, &o.out)
	return cmd
}

func (o *statusOptions) run(cmd *cobra.Command, app *App, name string) error {
	ctx, client, err := app.runtime(cmd.Context())
	if err != nil {
		return err
	}
	if o.watch {
		return app.nearestRun(cmd, name, o.follow(ctx, app, client, name))
	}
	if name != "" {
		rsp, err := client.Get(ctx, &runtimev1.GetRequest{Name: name})
		if err != nil {
			return app.nearestRun(cmd, name, err)
		}
		return o.out.print(app.Out, rsp.GetService(), func(t *tableWriter) { describeStatus(app, t, rsp.GetService()) })
	}
	rsp, err := client.List(ctx, &runtimev1.ListRequest{})
	if err != nil {
		return err
	}
	app.addServices(rsp.GetServices()...)
	if o.out == asTable && len(rsp.GetServices()) == 0 {
		ns, err := app.Namespace()
		if err != nil {
			return err
		}
		fmt.Fprintf(app.Err, "nothing runs in namespace %q\n", ns)
		return nil
	}
	return o.out.print(app.Out, rsp, func(t *tableWriter) { o.list(app, t, rsp.GetServices()) })
}

// nearestRun adds to an error about a service that does not run which one may have been
// meant, or that it was killed, or runs elsewhere.
func (a *App) nearestRun(cmd *cobra.Command, name string, err error) error {
	if status.Code(err) != codes.NotFound {
		return err
	}
	e := a.explain(err)
	ctx, conn, connErr := a.connFor(cmd.Context())
	if connErr != nil {
		return e
	}
	if _, err := registryv1.NewRegistryClient(conn).Get(ctx, &registryv1.GetRequest{Name: name}); err == nil {
		e.Message = name + " was not started by this server: it runs elsewhere, and has registered"
		e.Hint = "micro get service " + name
		return e
	}
	client := runtimev1.NewRuntimeClient(conn)
	if rsp, err := client.Changes(ctx, &runtimev1.ChangesRequest{Name: name}); err == nil && len(rsp.GetChanges()) > 0 {
		return a.wasKilled(cmd, e, name, rsp)
	}
	rsp, err := client.List(ctx, &runtimev1.ListRequest{})
	if err != nil {
		return e
	}
	var names []string
	for _, s := range rsp.GetServices() {
		names = append(names, s.GetName())
	}
	e.Hint = "micro status"
	if near := request.Nearest(name, names); near != "" {
		e.Hint = cmd.CommandPath() + " " + near
	}
	return e
}

// wasKilled adds to an error about a service that does not run any more since when, and
// how it comes back; to kill it again is not to want that.
func (a *App) wasKilled(cmd *cobra.Command, e *Error, name string, rsp *runtimev1.ChangesResponse) *Error {
	last := rsp.GetChanges()[0]
	what := "it was killed"
	if last.GetAction() == "undo" {
		what = "to run it was taken back"
	}
	e.Message += fmt.Sprintf(": %s %s", what, words.Ago(a.Now(), last.GetTime().AsTime()))
	e.Hint = "micro undo " + name
	if undoable := rsp.GetUndoable(); cmd.Name() == "kill" || undoable == 0 || undoable != last.GetNumber() {
		e.Hint = "micro status"
	}
	return e
}

// list writes a row for each service, and each of its instances when that is wanted.
func (o *statusOptions) list(app *App, t *tableWriter, services []*runtimev1.Service) {
	t.row("NAME", "VERSION", "SOURCE", "STATUS", "INSTANCES", "BUILD", "UPDATED", "REASON")
	for _, s := range services {
		st := s.GetStatus()
		t.row(s.GetName(), s.GetSpec().GetVersion(), words.Source(s.GetSpec().GetSource()), words.Phase(st.GetPhase()),
			words.Instances(s), words.Digest(s.GetSpec().GetImage()), words.Ago(app.Now(), st.GetUpdated().AsTime()), st.GetReason())
		if !o.verbose {
			continue
		}
		for _, in := range st.GetInstances() {
			t.row("  "+in.GetId(), fmt.Sprintf("release %d", in.GetRelease()), in.GetAddress(), words.Phase(in.GetPhase()),
				fmt.Sprintf("%d restarts", in.GetRestarts()), "", words.Ago(app.Now(), in.GetStarted().AsTime()), in.GetReason())
		}
	}
}

// describeStatus writes all that is known of one service.
func describeStatus(app *App, t *tableWriter, s *runtimev1.Service) {
	st := s.GetStatus()
	t.row("Name:", s.GetName())
	t.row("Status:", words.Phase(st.GetPhase()))
	if st.GetReason() != "" {
		t.row("Reason:", st.GetReason())
	}
	describeRelease(t, s)
	t.row("Updated:", app.changeText(st.GetChange()))
	t.row("Instances:", fmt.Sprintf("%d of %d run", words.Running(s), max(1, s.GetInstances())))
	describeInstances(app, t, s)
}

// describeRelease writes what is current of a service, and where it is from.
func describeRelease(t *tableWriter, s *runtimev1.Service) {
	st := s.GetStatus()
	t.row("Release:", strconv.FormatInt(st.GetRelease(), 10))
	if serving := st.GetServingRelease(); serving != 0 && serving != st.GetRelease() {
		t.row("Serving:", fmt.Sprintf("release %d", serving))
	}
	t.row("Version:", s.GetSpec().GetVersion())
	t.row("Source:", words.Source(s.GetSpec().GetSource()))
	if rev := s.GetSpec().GetSource().GetRevision(); rev != "" {
		if s.GetSpec().GetSource().GetModified() {
			rev += " (modified)"
		}
		t.row("Revision:", rev)
	}
	t.row("Image:", s.GetSpec().GetImage())
}

// describeInstances writes how each instance does.
func describeInstances(app *App, t *tableWriter, s *runtimev1.Service) {
	for _, in := range s.GetStatus().GetInstances() {
		text := fmt.Sprintf("%s  %s", in.GetId(), words.Phase(in.GetPhase()))
		if in.GetAddress() != "" {
			text += " on " + in.GetAddress()
		}
		if in.GetStarted() != nil {
			text += ", started " + words.Ago(app.Now(), in.GetStarted().AsTime())
		}
		if in.GetRestarts() > 0 {
			text += ", restarted " + timesText(in.GetRestarts())
		}
		if in.GetReason() != "" {
			text += ": " + in.GetReason()
		}
		if in.GetNextStart() != nil {
			text += fmt.Sprintf("; next start in %s", in.GetNextStart().AsTime().Sub(app.Now()).Round(time.Second))
		}
		t.row("", text)
		for _, l := range in.GetLastLines() {
			t.row("", "  | "+l)
		}
		for _, row := range resourceRows(in.GetUnmet()) {
			t.row("", "  not bounded here: "+row+" (micro logs "+s.GetName()+" says why)")
		}
		if in.GetCause() != "" {
			t.row("", "  most likely: "+in.GetCause())
		}
	}
}

func timesText(n int32) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// countText writes a number with what it counts.
func countText(n int, what string) string {
	switch n {
	case 0:
		return "no " + what
	case 1:
		return "1 " + what
	default:
		return fmt.Sprintf("%d %ss", n, what)
	}
}

// completeDeployed completes the names of services that should run.
func completeDeployed(app *App) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		ctx, cancel := completionContext(cmd)
		defer cancel()
		ctx, conn, err := app.connFor(ctx)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		rsp, err := runtimev1.NewRuntimeClient(conn).List(ctx, &runtimev1.ListRequest{})
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var names []cobra.Completion
		for _, s := range rsp.GetServices() {
			names = append(names, cobra.CompletionWithDesc(front.Line(s.GetName()), words.Phase(s.GetStatus().GetPhase())))
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}
