package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	eventsv1 "github.com/micro/micro/v3/proto/micro/events/v1"
)

func newBroadcastCmd(app *App) *cobra.Command {
	o := publishOptions{}
	cmd := &cobra.Command{
		Use:   "broadcast TOPIC [PAYLOAD]...",
		Short: "Pass events on to who is subscribed now",
		Long: `Pass events on to who is subscribed to a topic at this moment: one for each PAYLOAD,
which is text, @FILE for a file, or - for standard input. With --lines each line of
standard input is an event. They are kept nowhere; to keep them, publish them.`,
		Example: "  micro events broadcast prices 17.30",
		Args:    atLeast(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.broadcast(cmd.Context(), app, args[0], args[1:])
		},
	}
	o.flags(cmd)
	cmd.Flags().Lookup("key").Usage = "a key that goes along with the payload"
	cmd.Flags().Lookup("lines").Usage = "broadcast each line of standard input"
	return cmd
}

func (o *publishOptions) broadcast(ctx context.Context, app *App, topic string, payloads []string) error {
	if o.lines == (len(payloads) > 0) {
		return usage("micro events broadcast --help", "what to broadcast is either PAYLOAD or --lines")
	}
	ctx, conn, err := app.connFor(ctx)
	if err != nil {
		return err
	}
	n, err := o.send(app, payloads, func(list []*eventsv1.Event) error {
		_, err := eventsv1.NewEventsClient(conn).Broadcast(ctx, &eventsv1.BroadcastRequest{Topic: topic, Events: list})
		return err
	})
	if err != nil {
		return err
	}
	if n == 1 {
		fmt.Fprintf(app.Out, "broadcast to %q\n", topic)
		return nil
	}
	fmt.Fprintf(app.Out, "%d events broadcast to %q\n", n, topic)
	return nil
}

func newSubscribeCmd(app *App) *cobra.Command {
	o := readOptions{}
	req := &eventsv1.SubscribeRequest{}
	cmd := &cobra.Command{
		Use:   "subscribe TOPIC",
		Short: "Print what is broadcast to a topic",
		Long: `Print what is broadcast to a topic from now on, until Ctrl-C or --limit. Subscribers
with the same --queue share it: each event goes to one of them.

Nobody waits for a subscriber. One that is too slow misses the oldest events, and is
told how many.`,
		Example: `  micro events subscribe prices
  micro events subscribe prices --queue screens -o json`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Topic = args[0]
			return o.subscribe(cmd.Context(), app, req)
		},
	}
	f := cmd.Flags()
	f.StringVar(&req.Queue, "queue", "", "share what is broadcast with those of the same queue")
	f.Int64VarP(&o.limit, "limit", "n", 0, "end after so many events; 0 for no end")
	outputFlag(cmd, &o.out)
	return cmd
}

func (o *readOptions) subscribe(ctx context.Context, app *App, req *eventsv1.SubscribeRequest) error {
	if o.limit < 0 {
		return usage("micro events subscribe --help", "--limit is %d", o.limit)
	}
	ctx, conn, err := app.connFor(ctx)
	if err != nil {
		return err
	}
	stream, err := eventsv1.NewEventsClient(conn).Subscribe(ctx, req)
	if err != nil {
		return err
	}
	for begun, n := false, int64(0); ; begun = true {
		rsp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if !begun {
			fmt.Fprintf(app.Err, "listening to %q\n", req.GetTopic())
		}
		if rsp.GetDropped() > 0 {
			fmt.Fprintf(app.Err, "missed %d events: they came faster than they were printed\n", rsp.GetDropped())
		}
		for _, e := range rsp.GetEvents() {
			if err := o.print(app, e); err != nil {
				return err
			}
			if n++; n == o.limit {
				return nil
			}
		}
	}
}
