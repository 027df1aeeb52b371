package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/micro/micro/v3/cli/words"
	statsv1 "github.com/micro/micro/v3/proto/micro/stats/v1"
)

type statsOptions struct {
	window time.Duration
	watch  bool
	out    format
}

func newStatsCmd(app *App) *cobra.Command {
	o := statsOptions{}
	cmd := &cobra.Command{
		Use:   "stats [NAME]",
		Short: "Show how often, how well and how fast services answer",
		Long: `Show the calls of all services that went through the server, or those of one service by
endpoint and by instance: how many a second, how many failed, the time that 50, 95 and
99 of a hundred took at most, and how many are under way; and the processors and the
memory that instances use.

The server keeps the last 10 minutes.`,
		Example: `  micro stats
  micro stats helloworld --window 5m
  micro stats helloworld --watch -o json`,
		Args:              atMostOne(),
		ValidArgsFunction: completeDeployed(app),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := ""
			if len(args) == 1 {
				name = args[0]
			}
			return o.run(cmd.Context(), app, name)
		},
	}
	f := cmd.Flags()
	f.DurationVar(&o.window, "window", time.Minute, "the time up to now that is shown, at most 10m")
	f.BoolVarP(&o.watch, "watch", "w", false, "show them again each second, until Ctrl-C")
	outputFlag(cmd, &o.out)
	return cmd
}

func (o *statsOptions) run(ctx context.Context, app *App, name string) error {
	if o.window <= 0 {
		return usage("micro stats --help", "--window is %s", o.window)
	}
	ctx, conn, err := app.connFor(ctx)
	if err != nil {
		return err
	}
	if o.watch {
		return o.follow(ctx, app, conn, name)
	}
	frame, err := o.frame(ctx, conn, name)
	if err != nil {
		return err
	}
	if o.out == asTable && len(frame.GetServices()) == 0 {
		fmt.Fprintln(app.Err, "there are no services, and none were called")
		return nil
	}
	return o.out.print(app.Out, frame, func(t *tableWriter) { o.table(t, frame, name) })
}

// frame returns the figures of a service, or of all.
func (o *statsOptions) frame(ctx context.Context, conn *grpc.ClientConn, name string) (*statsv1.Frame, error) {
	client, window := statsv1.NewStatsClient(conn), durationpb.New(o.window)
	if name != "" {
		rsp, err := client.Get(ctx, &statsv1.GetRequest{Service: name, Window: window})
		return rsp.GetFrame(), err
	}
	all := &statsv1.Frame{}
	for token := ""; ; {
		rsp, err := client.List(ctx, &statsv1.ListRequest{Window: window, PageSize: 1000, PageToken: token})
		if err != nil {
			return nil, err
		}
		all.Time, all.Window = rsp.GetFrame().GetTime(), rsp.GetFrame().GetWindow()
		all.Services = append(all.Services, rsp.GetFrame().GetServices()...)
		if token = rsp.GetNextPageToken(); token == "" {
			return all, nil
		}
	}
}

// follow prints a frame each second.
func (o *statsOptions) follow(ctx context.Context, app *App, conn *grpc.ClientConn, name string) error {
	stream, err := statsv1.NewStatsClient(conn).Watch(ctx, &statsv1.WatchRequest{Service: name, Window: durationpb.New(o.window)})
	if err != nil {
		return err
	}
	return receive(stream, func(rsp *statsv1.WatchResponse) error {
		return o.out.element(app.Out, rsp.GetFrame(), func(w io.Writer) error {
			fmt.Fprintln(w, rsp.GetFrame().GetTime().AsTime().Local().Format("15:04:05"))
			t := newTable(w)
			o.table(t, rsp.GetFrame(), name)
			return t.flush()
		})
	})
}

// table writes a row for each service, or for each part of the one that was named.
func (o *statsOptions) table(t *tableWriter, f *statsv1.Frame, name string) {
	head := func(what string) {
		t.row(what, "CALLS/S", "CALLS", "FAILED", "P50", "P95", "P99", "IN FLIGHT", "CPU", "MEMORY")
	}
	row := func(what string, n *statsv1.Figures, u *statsv1.Usage) {
		memory := "-"
		if u != nil {
			memory = words.Size(u.GetMemory())
		}
		t.row(what, strconv.FormatFloat(n.GetRate(), 'f', 1, 64), strconv.FormatInt(n.GetCalls(), 10), failedText(n),
			words.Latency(n.GetP50()), words.Latency(n.GetP95()), words.Latency(n.GetP99()), strconv.FormatInt(n.GetInFlight(), 10), words.CPU(u), memory)
	}
	head("SERVICE")
	for _, s := range f.GetServices() {
		row(s.GetName(), s.GetFigures(), s.GetUsage())
	}
	if name == "" || len(f.GetServices()) == 0 {
		return
	}
	s := f.GetServices()[0]
	t.row("")
	head("ENDPOINT")
	for _, e := range s.GetEndpoints() {
		what := e.GetName()
		if what == "" {
			what = "(none that it has)"
		}
		row(what, e.GetFigures(), nil)
	}
	t.row("")
	head("INSTANCE")
	for _, in := range s.GetInstances() {
		row(in.GetId(), in.GetFigures(), in.GetUsage())
	}
	if len(s.GetFigures().GetErrors()) == 0 {
		return
	}
	t.row("")
	t.row("ERROR", "CALLS")
	for _, code := range slices.Sorted(maps.Keys(s.GetFigures().GetErrors())) {
		t.row(code, strconv.FormatInt(s.GetFigures().GetErrors()[code], 10))
	}
}

// failedText says how many calls failed, and how many of a hundred.
func failedText(f *statsv1.Figures) string {
	if f.GetFailed() == 0 {
		return "0"
	}
	return fmt.Sprintf("%d (%s)", f.GetFailed(), words.Failed(f))
}
