package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/micro/micro/v3/cli/front"
	eventsv1 "github.com/micro/micro/v3/proto/micro/events/v1"
)

func newEventsCmd(app *App) *cobra.Command {
	cmd := parentCmd("events", "Publish events to topics and consume them")
	cmd.Long = `Publish events to topics of the namespace and consume them. A topic is a durable log
of events: what was published is there until its retention removes it, and any
number of groups consume it, each at its own pace. What is broadcast is kept nowhere:
whoever is subscribed at that moment hears it.`
	cmd.Example = `  micro events publish orders hello
  micro events consume orders --group billing
  micro events replay orders --since 1h
  micro events subscribe prices`
	cmd.AddCommand(
		newPublishCmd(app), newConsumeCmd(app), newReplayCmd(app), newListEventsCmd(app),
		newBroadcastCmd(app), newSubscribeCmd(app),
		newTopicsCmd(app), newGroupsCmd(app), newRetainCmd(app), newDeleteEventsCmd(app),
	)
	return cmd
}

type publishOptions struct {
	key      string
	metadata map[string]string
	lines    bool
	out      format
}

// Bounds of one request; see Events.Publish.
const (
	publishBatch = 1000
	publishBytes = 4 << 20
)

func newPublishCmd(app *App) *cobra.Command {
	o := publishOptions{}
	cmd := &cobra.Command{
		Use:   "publish TOPIC [PAYLOAD]...",
		Short: "Publish events to a topic",
		Long: `Publish events to a topic: one for each PAYLOAD, which is text, @FILE for a file, or -
for standard input. With --lines each line of standard input is an event. Events that
are published together by one command are next to each other in the topic, but for
--lines with more than 1,000 of them.`,
		Example: `  micro events publish orders '{"id": 17}' --key customer-4
  micro events publish orders --lines < orders.ndjson`,
		Args: atLeast(1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), app, args[0], args[1:]) },
	}
	o.flags(cmd)
	outputFlag(cmd, &o.out)
	return cmd
}

func (o *publishOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.key, "key", "", "events with the same key are delivered to a group one after the other")
	f.StringToStringVar(&o.metadata, "metadata", nil, "what goes along with the payload, as `NAME=VALUE`; can be repeated")
	f.Lookup("metadata").DefValue = ""
	f.BoolVar(&o.lines, "lines", false, "publish each line of standard input")
}

func (o *publishOptions) run(ctx context.Context, app *App, topic string, payloads []string) error {
	if o.lines == (len(payloads) > 0) {
		return usage("micro events publish --help", "what to publish is either PAYLOAD or --lines")
	}
	ctx, conn, err := app.connFor(ctx)
	if err != nil {
		return err
	}
	first := int64(0)
	n, err := o.send(app, payloads, func(list []*eventsv1.Event) error {
		rsp, err := eventsv1.NewEventsClient(conn).Publish(ctx, &eventsv1.PublishRequest{Topic: topic, Events: list})
		if first == 0 {
			first = rsp.GetOffset()
		}
		return err
	})
	if err != nil {
		return err
	}
	return o.out.print(app.Out, &eventsv1.PublishResponse{Offset: first}, func(*tableWriter) {
		if n == 1 {
			fmt.Fprintf(app.Out, "published to %q at offset %d\n", topic, first)
			return
		}
		fmt.Fprintf(app.Out, "%d events published to %q from offset %d\n", n, topic, first)
	})
}

// send calls f with the events that there are, as many at once as a request takes, and
// returns how many that were.
func (o *publishOptions) send(app *App, payloads []string, f func([]*eventsv1.Event) error) (n int, err error) {
	var list []*eventsv1.Event
	size := 0
	flush := func() error {
		if len(list) == 0 {
			return nil
		}
		if err := f(list); err != nil {
			return err
		}
		n += len(list)
		list, size = nil, 0
		return nil
	}
	add := func(payload []byte) error {
		list = append(list, &eventsv1.Event{Key: o.key, Metadata: o.metadata, Payload: payload})
		size += len(payload)
		if o.lines && (len(list) == publishBatch || size >= publishBytes) {
			return flush()
		}
		return nil
	}
	if err := o.payloads(app, payloads, add); err != nil {
		return n, err
	}
	return n, flush()
}

// payloads calls add with what is to be published.
func (o *publishOptions) payloads(app *App, args []string, add func([]byte) error) error {
	if o.lines {
		in := bufio.NewReader(app.In)
		for {
			line, err := in.ReadBytes('\n')
			if err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			if line = bytes.TrimRight(line, "\r\n"); len(line) > 0 {
				if err := add(line); err != nil {
					return err
				}
			}
			if err != nil {
				return nil //nolint:nilerr // the end
			}
		}
	}
	for _, a := range args {
		payload := []byte(a)
		var err error
		if name, isFile := strings.CutPrefix(a, "@"); isFile {
			payload, err = os.ReadFile(name)
		} else if a == "-" {
			payload, err = io.ReadAll(app.In)
		}
		if err != nil {
			return err
		}
		if err := add(payload); err != nil {
			return err
		}
	}
	return nil
}

// readOptions are what commands have in common that print events.
type readOptions struct {
	from   int64
	since  time.Duration
	limit  int64
	out    format
	follow bool
	group  string
	max    int32
	wait   time.Duration
}

func (o *readOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.Int64Var(&o.from, "from", 0, "the first offset; 0 stands for the oldest event")
	f.DurationVar(&o.since, "since", 0, "leave out what is older, for example 10m")
	f.Int64VarP(&o.limit, "limit", "n", 0, "end after so many events; 0 for no end")
	outputFlag(cmd, &o.out)
}

func (o *readOptions) check() error {
	if o.from < 0 || o.limit < 0 || o.since < 0 {
		return usage("micro events --help", "--from, --since and --limit cannot be below zero")
	}
	return nil
}

// sinceTime returns the time that --since stands for, nil when there is none.
func (o *readOptions) sinceTime(app *App) *timestamppb.Timestamp {
	if o.since == 0 {
		return nil
	}
	return timestamppb.New(app.Now().Add(-o.since))
}

func newConsumeCmd(app *App) *cobra.Command {
	o := readOptions{}
	cmd := &cobra.Command{
		Use:   "consume TOPIC",
		Short: "Print events as they are published",
		Long: `Print the events of a topic as they are published, until Ctrl-C or --limit.

With --group it is a consumer of that group: the consumers of a group share its
events, begin with the oldest one, and go on where the group was. What was printed
counts as handled. Without a group it prints what is published from now on, or from
--from or --since on, and leaves no trace.`,
		Example: `  micro events consume orders
  micro events consume orders --group billing --limit 10 -o json`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.group != "" {
				return o.consume(cmd.Context(), app, args[0])
			}
			latest := o.from == 0 && o.since == 0
			return o.read(cmd.Context(), app, &eventsv1.ReadRequest{Topic: args[0], Follow: true, Latest: latest})
		},
	}
	o.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&o.group, "group", "", "the group to consume for")
	f.Int32Var(&o.max, "max-deliveries", 0, "deliver an event so often, then move it to the topic TOPIC.dead; 0 for no end")
	f.DurationVar(&o.wait, "ack-wait", 0, "how long a delivery may take before it is made again (30s)")
	return cmd
}

func newReplayCmd(app *App) *cobra.Command {
	o := readOptions{}
	cmd := &cobra.Command{
		Use:   "replay TOPIC",
		Short: "Print the events that are there, from an offset or a time on",
		Example: `  micro events replay orders
  micro events replay orders --from 100 --limit 10
  micro events replay orders --since 1h -o json`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.read(cmd.Context(), app, &eventsv1.ReadRequest{Topic: args[0], Follow: o.follow})
		},
	}
	o.flags(cmd)
	cmd.Flags().BoolVarP(&o.follow, "follow", "f", false, "wait for more")
	return cmd
}

// read prints the events of a topic, for nobody's group.
func (o *readOptions) read(ctx context.Context, app *App, req *eventsv1.ReadRequest) error {
	if err := o.check(); err != nil {
		return err
	}
	ctx, conn, err := app.connFor(ctx)
	if err != nil {
		return err
	}
	req.Offset, req.Since, req.Limit = o.from, o.sinceTime(app), o.limit
	stream, err := eventsv1.NewEventsClient(conn).Read(ctx, req)
	if err != nil {
		return err
	}
	return receive(stream, func(rsp *eventsv1.ReadResponse) error {
		if len(rsp.GetEvents()) == 0 {
			fmt.Fprintf(app.Err, "waiting for events of %q\n", req.GetTopic())
		}
		for _, e := range rsp.GetEvents() {
			if err := o.print(app, e); err != nil {
				return err
			}
		}
		return nil
	})
}

// consume prints events as a consumer of a group.
func (o *readOptions) consume(ctx context.Context, app *App, topic string) error {
	if err := o.check(); err != nil {
		return err
	}
	ctx, conn, err := app.connFor(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := eventsv1.NewEventsClient(conn).Consume(ctx)
	if err != nil {
		return err
	}
	start := &eventsv1.ConsumeStart{Group: o.group, Offset: o.from, Since: o.sinceTime(app), MaxDeliveries: o.max}
	if o.wait != 0 {
		start.AckWait = durationpb.New(o.wait)
	}
	if o.limit > 0 {
		start.MaxInFlight = int32(min(o.limit, 100))
	}
	// What Send fails with, Recv tells.
	_ = stream.Send(&eventsv1.ConsumeRequest{Topic: topic, Start: start})
	for n := int64(0); ; {
		rsp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, d := range rsp.GetDeliveries() {
			if o.limit > 0 && n == o.limit {
				break // it goes back to the group
			}
			if err := o.print(app, d.GetEvent()); err != nil {
				return err
			}
			_ = stream.Send(&eventsv1.ConsumeRequest{Ack: []int64{d.GetEvent().GetOffset()}})
			n++
		}
		if o.limit > 0 && n == o.limit {
			_ = stream.CloseSend() // the stream ends when all acks are durable
		}
	}
}

// print writes an event: its payload on a line, or all of it.
func (o *readOptions) print(app *App, e *eventsv1.Event) error {
	return o.out.element(app.Out, e, func(w io.Writer) error {
		payload := e.GetPayload()
		if app.Terminal.Out { // it may hold what a terminal obeys
			payload = []byte(front.Colored(string(payload)))
		}
		_, err := w.Write(append(payload, '\n'))
		return err
	})
}
