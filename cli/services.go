package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/dynamic"
	registryv1 "github.com/micro/micro/v3/proto/micro/registry/v1"
)

func newServicesCmd(app *App) *cobra.Command {
	var out format
	var watch bool
	var sources front.Sources
	cmd := &cobra.Command{
		Use:   "services",
		Short: "List the services that can be called",
		Long: `List the services of the namespace. On a server without micro, list the gRPC services
that it tells of by reflection. --proto, --protoset and --schema ask no server, but list
what files have.`,
		Example: `  micro services
  micro services --watch
  micro services --protoset billing.binpb`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if watch {
				return app.watchServices(cmd.Context(), out)
			}
			rsp, err := app.listServices(cmd.Context(), sources)
			if err != nil {
				return err
			}
			return out.print(app.Out, rsp, func(t *tableWriter) {
				for _, s := range rsp.GetServices() {
					t.row(s.GetName())
				}
			})
		},
	}
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "show the services with their instances, and then each change, until Ctrl-C")
	outputFlag(cmd, &out)
	sourceFlags(cmd, &sources)
	cmd.MarkFlagsMutuallyExclusive("watch", "proto")
	cmd.MarkFlagsMutuallyExclusive("watch", "protoset")
	cmd.MarkFlagsMutuallyExclusive("watch", "schema")
	return cmd
}

// listServices returns the services that the server has, or else those of a schema that
// the command line names.
func (a *App) listServices(ctx context.Context, sources front.Sources) (*registryv1.ListResponse, error) {
	if !sources.IsEmpty() {
		raw, err := a.givenSchema(ctx, sources)
		if err != nil {
			return nil, err
		}
		schema, err := dynamic.ParseSchema(raw)
		if err != nil {
			return nil, err
		}
		return servicesNamed(schemaServices(schema)), nil
	}
	ctx, conn, err := a.connFor(ctx)
	if err != nil {
		return nil, err
	}
	rsp, err := a.services(ctx, conn)
	if err != nil {
		return nil, err
	}
	a.rememberServices(serviceNames(rsp))
	return rsp, nil
}

// watchServices prints the services that there are, and then each change.
func (a *App) watchServices(ctx context.Context, out format) error {
	ctx, conn, err := a.connFor(ctx)
	if err != nil {
		return err
	}
	stream, err := registryv1.NewRegistryClient(conn).Watch(ctx, &registryv1.WatchRequest{})
	if err != nil {
		return err
	}
	return receive(stream, func(rsp *registryv1.WatchResponse) error {
		if rsp.GetService() == nil { // all that was there has been shown
			return nil
		}
		return out.element(a.Out, rsp.GetService(), func(w io.Writer) error {
			_, err := fmt.Fprintln(w, front.Line(serviceText(rsp.GetService())))
			return err
		})
	})
}

// serviceText says how many instances a service has, and of which versions.
func serviceText(s *registryv1.Service) string {
	var versions []string
	for _, in := range s.GetInstances() {
		if v := in.GetVersion(); v != "" && !slices.Contains(versions, v) {
			versions = append(versions, v)
		}
	}
	text := s.GetName() + ": " + countText(len(s.GetInstances()), "instance")
	if len(versions) > 0 {
		text += " (" + strings.Join(versions, ", ") + ")"
	}
	return text
}

func serviceNames(rsp *registryv1.ListResponse) []string {
	var names []string
	for _, s := range rsp.GetServices() {
		names = append(names, s.GetName())
	}
	return names
}

// services lists the services that can be called: those of micro, or else those that
// reflection tells of.
func (a *App) services(ctx context.Context, conn *grpc.ClientConn) (*registryv1.ListResponse, error) {
	rsp, err := registryv1.NewRegistryClient(conn).List(ctx, &registryv1.ListRequest{})
	if err == nil {
		return rsp, nil
	}
	plain, may := a.mayReflect(ctx, conn, err)
	if !plain || !may {
		return nil, err
	}
	e, err := a.Env()
	if err != nil {
		return nil, err
	}
	names, err := dynamic.ReflectServices(callContextOf(ctx, &front.Origin{Plain: true}, nil), conn)
	if err != nil {
		return nil, explainReflection(e, err)
	}
	return servicesNamed(names), nil
}

// servicesNamed returns services of which no more is known than their names.
func servicesNamed(names []string) *registryv1.ListResponse {
	rsp := &registryv1.ListResponse{}
	for _, n := range names {
		rsp.Services = append(rsp.Services, &registryv1.Service{Name: n})
	}
	return rsp
}
