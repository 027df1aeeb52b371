package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/micro/micro/v3/cli/words"
	eventsv1 "github.com/micro/micro/v3/proto/micro/events/v1"
)

// maxListed is how many events a list has room for.
const maxListed = 10_000

func newListEventsCmd(app *App) *cobra.Command {
	var last int64
	var out format
	cmd := &cobra.Command{
		Use:     "list TOPIC",
		Short:   "List the last events of a topic",
		Example: "  micro events list orders --last 5",
		Args:    exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if last < 1 || last > maxListed {
				return usage("micro events replay "+args[0], "--last is %d, which is not from 1 to %d", last, maxListed)
			}
			list, err := lastEvents(cmd.Context(), app, args[0], last)
			if err != nil {
				return err
			}
			return out.print(app.Out, list, func(t *tableWriter) {
				t.row("OFFSET", "TIME", "KEY", "PAYLOAD")
				for _, e := range list.GetEvents() {
					t.row(strconv.FormatInt(e.GetOffset(), 10), e.GetTime().AsTime().Local().Format("2006-01-02 15:04:05.000"), e.GetKey(), string(e.GetPayload()))
				}
			})
		},
	}
	cmd.Flags().Int64Var(&last, "last", 20, "how many to list")
	outputFlag(cmd, &out)
	return cmd
}

func lastEvents(ctx context.Context, app *App, topic string, last int64) (*eventsv1.ReadResponse, error) {
	ctx, conn, err := app.connFor(ctx)
	if err != nil {
		return nil, err
	}
	stream, err := eventsv1.NewEventsClient(conn).Read(ctx, &eventsv1.ReadRequest{Topic: topic, Last: last})
	if err != nil {
		return nil, err
	}
	all := &eventsv1.ReadResponse{}
	for {
		rsp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		all.Events = append(all.Events, rsp.GetEvents()...)
	}
}

func newTopicsCmd(app *App) *cobra.Command {
	var out format
	cmd := &cobra.Command{
		Use:     "topics",
		Short:   "List the topics of the namespace",
		Example: "  micro events topics",
		Args:    exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, conn, err := app.connFor(cmd.Context())
			if err != nil {
				return err
			}
			all := &eventsv1.ListTopicsResponse{}
			for token := ""; ; {
				rsp, err := eventsv1.NewEventsClient(conn).ListTopics(ctx, &eventsv1.ListTopicsRequest{PageToken: token, PageSize: 1000})
				if err != nil {
					return err
				}
				all.Topics = append(all.Topics, rsp.GetTopics()...)
				if token = rsp.GetNextPageToken(); token == "" {
					break
				}
			}
			return out.print(app.Out, all, func(t *tableWriter) {
				t.row("TOPIC", "EVENTS", "OLDEST", "NEXT", "BYTES", "KEPT")
				for _, p := range all.GetTopics() {
					n := func(n int64) string { return strconv.FormatInt(n, 10) }
					t.row(p.GetName(), n(p.GetNextOffset()-p.GetOldestOffset()), n(p.GetOldestOffset()), n(p.GetNextOffset()), n(p.GetBytes()), keptText(p.GetRetention()))
				}
			})
		},
	}
	outputFlag(cmd, &out)
	return cmd
}

// keptText says what a topic keeps.
func keptText(r *eventsv1.Retention) string {
	text := ""
	add := func(s string) {
		if text != "" {
			text += ", "
		}
		text += s
	}
	if r.GetAge() != nil {
		add(lifeText(r.GetAge().AsDuration()))
	}
	if r.GetBytes() > 0 {
		add(words.Size(r.GetBytes()))
	}
	if r.GetEvents() > 0 {
		add(fmt.Sprintf("%d events", r.GetEvents()))
	}
	if text == "" {
		return "all"
	}
	return text
}

func newGroupsCmd(app *App) *cobra.Command {
	var out format
	cmd := &cobra.Command{
		Use:     "groups TOPIC",
		Short:   "List the groups that consume a topic, and where they are",
		Example: "  micro events groups orders",
		Args:    exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, conn, err := app.connFor(cmd.Context())
			if err != nil {
				return err
			}
			all := &eventsv1.ListGroupsResponse{}
			for token := ""; ; {
				rsp, err := eventsv1.NewEventsClient(conn).ListGroups(ctx, &eventsv1.ListGroupsRequest{Topic: args[0], PageToken: token, PageSize: 1000})
				if err != nil {
					return err
				}
				all.Groups = append(all.Groups, rsp.GetGroups()...)
				if token = rsp.GetNextPageToken(); token == "" {
					break
				}
			}
			return out.print(app.Out, all, func(t *tableWriter) {
				t.row("GROUP", "COMMITTED", "PENDING", "LAG")
				for _, g := range all.GetGroups() {
					t.row(g.GetName(), strconv.FormatInt(g.GetCommittedOffset(), 10), strconv.FormatInt(g.GetPending(), 10), strconv.FormatInt(g.GetLag(), 10))
				}
			})
		},
	}
	outputFlag(cmd, &out)
	return cmd
}

func newRetainCmd(app *App) *cobra.Command {
	var age time.Duration
	r := &eventsv1.Retention{}
	cmd := &cobra.Command{
		Use:   "retain TOPIC",
		Short: "Set what a topic keeps",
		Long: `Set what a topic keeps: what is older than --age, or beyond the newest --bytes or
--events, is removed soon. What is left out is not bounded. A topic that was not set
keeps 7 days and 1 GiB.`,
		Example: `  micro events retain orders --age 720h --bytes 10000000000`,
		Args:    exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if age < 0 || r.GetBytes() < 0 || r.GetEvents() < 0 {
				return usage("micro events retain --help", "--age, --bytes and --events cannot be below zero")
			}
			if age > 0 {
				r.Age = durationpb.New(age)
			}
			ctx, conn, err := app.connFor(cmd.Context())
			if err != nil {
				return err
			}
			if _, err := eventsv1.NewEventsClient(conn).SetRetention(ctx, &eventsv1.SetRetentionRequest{Topic: args[0], Retention: r}); err != nil {
				return err
			}
			fmt.Fprintf(app.Out, "topic %q keeps %s\n", args[0], keptText(r))
			return nil
		},
	}
	f := cmd.Flags()
	f.DurationVar(&age, "age", 0, "how long events are kept")
	f.Int64Var(&r.Bytes, "bytes", 0, "how many bytes of events are kept")
	f.Int64Var(&r.Events, "events", 0, "how many events are kept")
	return cmd
}

func newDeleteEventsCmd(app *App) *cobra.Command {
	var group string
	cmd := &cobra.Command{
		Use:   "delete TOPIC",
		Short: "Delete a topic with its events and groups, or one group",
		Example: `  micro events delete orders
  micro events delete orders --group billing`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, conn, err := app.connFor(cmd.Context())
			if err != nil {
				return err
			}
			client := eventsv1.NewEventsClient(conn)
			if group != "" {
				if _, err := client.DeleteGroup(ctx, &eventsv1.DeleteGroupRequest{Topic: args[0], Group: group}); err != nil {
					return err
				}
				fmt.Fprintf(app.Out, "group %q of topic %q deleted\n", group, args[0])
				return nil
			}
			if _, err := client.DeleteTopic(ctx, &eventsv1.DeleteTopicRequest{Topic: args[0]}); err != nil {
				return err
			}
			fmt.Fprintf(app.Out, "topic %q deleted\n", args[0])
			return nil
		},
	}
	cmd.Flags().StringVar(&group, "group", "", "delete only this group")
	return cmd
}
