package cli

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/micro/micro/v3/cli/front"
	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
)

type logsOptions struct {
	lines    int32
	follow   bool
	since    time.Duration
	instance string
	times    bool
	out      format
}

func newLogsCmd(app *App) *cobra.Command {
	o := logsOptions{}
	cmd := &cobra.Command{
		Use:   "logs NAME",
		Short: "Show what a service writes",
		Long: `Show what the instances of a service wrote to standard output and standard error.
Lines that begin with -- are the server's own word about an instance.`,
		Example: `  micro logs helloworld
  micro logs -f helloworld
  micro logs helloworld --since 10m -o json`,
		Args:              exactly(1),
		ValidArgsFunction: completeDeployed(app),
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd, app, args[0]) },
	}
	f := cmd.Flags()
	f.Int32VarP(&o.lines, "lines", "n", 100, "show at most so many of the lines that are there; 0 shows all")
	f.BoolVarP(&o.follow, "follow", "f", false, "wait for more, across restarts")
	f.DurationVar(&o.since, "since", 0, "leave out what is older, for example 10m")
	f.StringVar(&o.instance, "instance", "", "only this instance")
	f.BoolVarP(&o.times, "timestamps", "t", false, "show when each line was written")
	outputFlag(cmd, &o.out)
	return cmd
}

func (o *logsOptions) run(cmd *cobra.Command, app *App, name string) error {
	if o.lines < 0 {
		return usage("micro logs --help", "--lines is %d", o.lines)
	}
	ctx, conn, err := app.connFor(cmd.Context())
	if err != nil {
		return err
	}
	req := &runtimev1.LogsRequest{Name: name, Tail: o.lines, Follow: o.follow, Instance: o.instance}
	if o.since > 0 {
		req.Since = timestamppb.New(app.Now().Add(-o.since))
	}
	stream, err := runtimev1.NewRuntimeClient(conn).Logs(ctx, req)
	if err != nil {
		return err
	}
	several := map[string]bool{}
	for {
		rsp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return app.nearestRun(cmd, name, err)
		}
		for _, l := range rsp.GetLines() {
			several[l.GetInstance()] = true
			if err := o.print(app.Out, l, len(several) > 1); err != nil {
				return err
			}
		}
	}
}

func (o *logsOptions) print(w io.Writer, l *runtimev1.LogLine, withInstance bool) error {
	if o.out == asJSON {
		b, err := compactJSON(l)
		if err != nil {
			return err
		}
		_, err = w.Write(append(b, '\n'))
		return err
	}
	prefix := ""
	if o.times {
		prefix = l.GetTime().AsTime().Local().Format("2006-01-02 15:04:05.000 ")
	}
	if withInstance {
		prefix += "[" + l.GetInstance() + "] "
	}
	text := front.Colored(l.GetText())
	if l.GetStream() == runtimev1.LogStream_LOG_STREAM_SYSTEM {
		text = "-- " + front.Line(l.GetText())
	}
	_, err := fmt.Fprintln(w, front.Line(prefix)+text)
	return err
}
