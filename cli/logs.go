package cli

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/micro/micro/v3/cli/tui"
	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
)

// logsOptions say which lines of which services are shown, and how.
type logsOptions struct {
	lines    int32
	follow   bool
	all      bool
	since    string
	until    string
	level    string
	grep     string
	streams  []string
	instance string
	release  int64
	previous bool
	build    bool
	times    bool
	plain    bool
	out      format
}

func newLogsCmd(app *App) *cobra.Command {
	o := logsOptions{}
	cmd := &cobra.Command{
		Use:   "logs NAME...",
		Short: "Show what services write",
		Long: `Show what the instances of services wrote to standard output and standard error, in the
order of time. Lines that begin with -- are the server's own word about an instance.

The level of a line is what it says itself, in JSON, in key=value pairs, or as a word in
front; the lines are shown as they were written. A line that says nothing has no level,
unless it is part of a trace. A time is a duration that is past, such as 10m or 7d, or a
time such as 15:04, "2006-01-02 15:04:05" or 2006-01-02T15:04:05Z.

With --follow the command goes on through restarts, new releases and a server that is
away for a while, and shows each line once; with --all, also those of services that start
later. On a terminal it takes the whole screen: scrolling up stays there and counts what
comes, End follows again, / shows only what matches, ? says what keys do. The lines stay
in the terminal at the end.

With --build it shows what the build of the release has said that should run, or of
another one with --release.`,
		Example: `  micro logs helloworld
  micro logs -f helloworld
  micro logs helloworld --since 10m --level warn
  micro logs helloworld --previous
  micro logs helloworld --build
  micro logs helloworld --grep 'timeout|refused' -o json`,
		ValidArgsFunction: completeDeployed(app),
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd, app, args) },
	}
	f := cmd.Flags()
	f.Int32VarP(&o.lines, "lines", "n", 100, "show at most so many of the lines that are there; 0 shows all")
	f.BoolVarP(&o.follow, "follow", "f", false, "wait for more, across restarts")
	f.BoolVar(&o.all, "all", false, "those of all services of the namespace")
	f.StringVar(&o.since, "since", "", "leave out what is older, for example 10m")
	f.StringVar(&o.until, "until", "", "leave out what is newer, for example 5m")
	f.StringVar(&o.level, "level", "", "only lines of this level and above: trace, debug, info, warn, error or fatal")
	f.StringVar(&o.grep, "grep", "", "only lines in which this regular expression is found")
	f.StringSliceVar(&o.streams, "stream", nil, "only this stream: stdout, stderr or system; can be repeated")
	f.StringVar(&o.instance, "instance", "", "only this instance")
	f.Int64Var(&o.release, "release", 0, "only this release")
	f.BoolVar(&o.previous, "previous", false, "only what each instance wrote before it was started last")
	f.BoolVar(&o.build, "build", false, "what the build of the release has said")
	plainFlag(cmd, &o.plain)
	f.BoolVarP(&o.times, "timestamps", "t", false, "show when each line was written")
	outputFlag(cmd, &o.out)
	cmd.MarkFlagsMutuallyExclusive("follow", "until")
	cmd.MarkFlagsMutuallyExclusive("follow", "previous")
	for _, other := range []string{"all", "follow", "grep", "instance", "level", "lines", "previous", "since", "stream", "timestamps", "until"} {
		cmd.MarkFlagsMutuallyExclusive("build", other)
	}
	completeFlag(cmd, "level", cobra.FixedCompletions(levelNames(), cobra.ShellCompDirectiveNoFileComp))
	completeFlag(cmd, "stream", cobra.FixedCompletions([]cobra.Completion{"stdout", "stderr", "system"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (o *logsOptions) run(cmd *cobra.Command, app *App, names []string) error {
	if o.all == (len(names) > 0) {
		return usage("micro logs --help", `"micro logs" needs NAME, or --all for all services`)
	}
	ctx := cmd.Context()
	if o.build {
		if len(names) > 1 {
			return usage("micro logs --help", "--build shows that of one service, not of %d", len(names))
		}
		return app.nearestRun(cmd, names[0], o.printBuild(ctx, app, names[0]))
	}
	req, err := o.request(app)
	if err != nil {
		return err
	}
	if o.all {
		if names, err = app.deployed(ctx); err != nil {
			return err
		}
		if len(names) == 0 && !o.follow {
			return nil
		}
	}
	if o.follow && o.out == asTable && app.mayFollow(o.plain) {
		title := "logs of " + strings.Join(names, ", ")
		if o.all {
			title = "logs of all services"
		}
		return app.follow(ctx, title, o.times, func(ctx context.Context, out *tui.Output) error {
			return o.read(ctx, cmd, app, newScreenReader(app, o, out, len(names), req), names)
		})
	}
	p := newLogPrinter(app, o, len(names))
	return o.read(ctx, cmd, app, &logReader{app: app, req: req, print: p.print, flush: p.flush, notes: app.Err}, names)
}

// newScreenReader returns a reader that shows lines on the whole terminal.
func newScreenReader(app *App, o *logsOptions, out *tui.Output, services int, req *runtimev1.LogsRequest) *logReader {
	p := newLogPrinter(app, o, services)
	p.times = false // which the screen has
	return &logReader{
		app: app, req: req, notes: out,
		print: func(l *runtimev1.LogLine) error { out.Line(p.line(l), l.GetTime().AsTime()); return nil },
		flush: func() error { return nil },
		begun: out.Begin,
	}
}

// read shows the lines of services.
func (o *logsOptions) read(ctx context.Context, cmd *cobra.Command, app *App, r *logReader, names []string) error {
	r.all = o.all
	for _, name := range names {
		r.add(name)
	}
	shown, err := r.read(ctx)
	if err != nil && len(names) == 1 {
		return app.nearestRun(cmd, names[0], err)
	}
	if err == nil && shown == 0 && o.previous {
		return &Error{
			Message: "no instance of " + strings.Join(names, ", ") + " wrote such lines before it was started last",
			Hint:    "micro logs " + names[0],
			Exit:    ExitNotFound,
		}
	}
	return err
}

// request checks the flags and returns what to ask the server for.
func (o *logsOptions) request(app *App) (*runtimev1.LogsRequest, error) {
	const help = "micro logs --help"
	switch {
	case o.lines < 0:
		return nil, usage(help, "--lines is %d", o.lines)
	case o.release < 0:
		return nil, usage(help, "--release is %d", o.release)
	}
	req := &runtimev1.LogsRequest{
		Tail: o.lines, Follow: o.follow, Instance: o.instance,
		Release: o.release, Previous: o.previous, Pattern: o.grep,
	}
	for _, f := range []struct {
		name, value string
		to          **timestamppb.Timestamp
	}{{"since", o.since, &req.Since}, {"until", o.until, &req.Until}} {
		if f.value == "" {
			continue
		}
		t, ok := pastTime(f.value, app.Now())
		if !ok {
			return nil, usage(help, `--%s is %q, not a time such as 10m, 15:04 or "2006-01-02 15:04"`, f.name, f.value)
		}
		*f.to = timestamppb.New(t)
	}
	if o.level != "" {
		level, ok := runtimev1.LogLevel_value["LOG_LEVEL_"+strings.ToUpper(o.level)]
		if !ok || level == 0 {
			return nil, usage(help, "--level is %q, none of %s", o.level, strings.Join(levelNames(), ", "))
		}
		req.Level = runtimev1.LogLevel(level)
	}
	for _, s := range o.streams {
		stream, ok := runtimev1.LogStream_value["LOG_STREAM_"+strings.ToUpper(s)]
		if !ok || stream == 0 {
			return nil, usage(help, "--stream is %q, none of stdout, stderr, system", s)
		}
		req.Streams = append(req.Streams, runtimev1.LogStream(stream))
	}
	return req, nil
}

// levelNames returns the levels of lines as they are typed, the least first.
func levelNames() []string { return []string{"trace", "debug", "info", "warn", "error", "fatal"} }

// deployed returns the names of the services of the namespace.
func (a *App) deployed(ctx context.Context) ([]string, error) {
	ctx, client, err := a.runtime(ctx)
	if err != nil {
		return nil, err
	}
	rsp, err := client.List(ctx, &runtimev1.ListRequest{})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, s := range rsp.GetServices() {
		names = append(names, s.GetName())
	}
	return names, nil
}

// pastTime reads a time: how long ago it was, when it was today, or all of it. What has
// no time zone is of this machine's.
func pastTime(s string, now time.Time) (time.Time, bool) {
	if d, err := parseLife(s); err == nil && d > 0 {
		return now.Add(-d), true
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t, true
	}
	now = now.Local()
	for _, form := range []string{"2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02T15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(form, s, now.Location()); err == nil {
			return t, true
		}
	}
	for _, form := range []string{time.TimeOnly, "15:04"} {
		if t, err := time.Parse(form, s); err == nil {
			return time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), now.Location()), true
		}
	}
	return time.Time{}, false
}
