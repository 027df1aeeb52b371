package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/cli/words"
	"github.com/micro/micro/v3/dynamic"
	"github.com/micro/micro/v3/dynamic/describe"
	registryv1 "github.com/micro/micro/v3/proto/micro/registry/v1"
)

func newGetCmd(app *App) *cobra.Command {
	cmd := parentCmd("get", "Show what there is of a service")
	cmd.AddCommand(newGetServiceCmd(app))
	return cmd
}

func newGetServiceCmd(app *App) *cobra.Command {
	var out format
	cmd := &cobra.Command{
		Use:   "service NAME",
		Short: "Show the instances of a service, and its endpoints with their types",
		Long: `Show the instances of a service that can be called, and its endpoints with the fields of
their requests and answers and what the schema says about them.`,
		Example: `  micro get service helloworld
  micro get service helloworld -o json`,
		Args:              exactly(1),
		ValidArgsFunction: completeDeployed(app),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, conn, err := app.connFor(cmd.Context())
			if err != nil {
				return err
			}
			client := registryv1.NewRegistryClient(conn)
			rsp, err := client.Get(ctx, &registryv1.GetRequest{Name: args[0]})
			if err != nil {
				return err
			}
			s := rsp.GetService()
			if out != asTable {
				return out.print(app.Out, s, nil)
			}
			if err := out.print(app.Out, s, func(t *tableWriter) { describeService(app, t, s) }); err != nil {
				return err
			}
			if len(s.GetEndpoints()) == 0 {
				fmt.Fprintln(app.Err, "it does not tell what it speaks: it has no gRPC reflection")
				return nil
			}
			return app.showEndpoints(ctx, conn, s)
		},
	}
	outputFlag(cmd, &out)
	return cmd
}

// describeService writes what is known of a service, but for its endpoints.
func describeService(app *App, t *tableWriter, s *registryv1.Service) {
	t.row("Name:", s.GetName())
	t.row("Instances:", strconv.Itoa(len(s.GetInstances())))
	for _, in := range s.GetInstances() {
		text := in.GetId()
		if in.GetVersion() != "" {
			text += "  " + in.GetVersion()
		}
		if in.GetAddress() != "" {
			text += " on " + in.GetAddress()
		}
		if in.GetSince() != nil {
			text += ", since " + words.Ago(app.Now(), in.GetSince().AsTime())
		}
		if left := in.GetLeaseExpires().AsTime().Sub(app.Now()); in.GetLeaseExpires() != nil {
			text += fmt.Sprintf(", leased for %s more", max(left, 0).Round(time.Second))
		}
		t.row("", text)
	}
	t.row("Endpoints:", strconv.Itoa(len(s.GetEndpoints())))
}

// showEndpoints writes the endpoints of a service as trees, as micro describe does.
func (a *App) showEndpoints(ctx context.Context, conn *grpc.ClientConn, s *registryv1.Service) error {
	rsp, err := registryv1.NewRegistryClient(conn).GetSchema(ctx, &registryv1.GetSchemaRequest{Service: s.GetName()})
	if err != nil {
		return err
	}
	schema, err := dynamic.ParseSchema(rsp.GetFiles())
	if err != nil {
		return err
	}
	var b bytes.Buffer
	for _, e := range s.GetEndpoints() {
		d, err := describe.Find(schema, strings.ReplaceAll(strings.TrimPrefix(e.GetPath(), "/"), "/", "."))
		if err != nil {
			return err
		}
		b.WriteByte('\n')
		if err := describe.Tree(&b, d); err != nil {
			return err
		}
	}
	_, err = io.WriteString(a.Out, front.Lines(b.String()))
	return err
}
