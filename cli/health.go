package cli

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/micro/micro/v3/cli/words"
	registryv1 "github.com/micro/micro/v3/proto/micro/registry/v1"
)

func newHealthCmd(app *App) *cobra.Command {
	var out format
	cmd := &cobra.Command{
		Use:   "health [NAME]",
		Short: "Ask the instances of services how they are",
		Long: `Ask each instance of a service, or of all services, how it is, now and through the
server. The exit code is 1 when one of them does not serve.

On a server without micro, ask the server for the gRPC service NAME, or for all of it.`,
		Example: `  micro health
  micro health helloworld -o json`,
		Args:              atMostOne(),
		ValidArgsFunction: completeDeployed(app),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := strings.Join(args, "")
			ctx, conn, err := app.connFor(cmd.Context())
			if err != nil {
				return err
			}
			rsp, err := app.health(ctx, conn, name)
			if err != nil {
				return err
			}
			if out == asTable && len(rsp.GetInstances()) == 0 {
				fmt.Fprintln(app.Err, "there is no instance to ask")
				return nil
			}
			if err := out.print(app.Out, rsp, func(t *tableWriter) { listHealth(app, t, rsp.GetInstances()) }); err != nil {
				return err
			}
			return unwell(rsp.GetInstances(), name)
		},
	}
	outputFlag(cmd, &out)
	return cmd
}

// health asks the instances of a service, or of all. A server without micro is asked
// itself.
func (a *App) health(ctx context.Context, conn *grpc.ClientConn, name string) (*registryv1.HealthResponse, error) {
	rsp, err := registryv1.NewRegistryClient(conn).Health(ctx, &registryv1.HealthRequest{Service: name})
	if err == nil {
		return rsp, nil
	}
	if plain, _ := a.mayReflect(ctx, conn, err); !plain {
		return nil, err
	}
	e, err := a.Env()
	if err != nil {
		return nil, err
	}
	in := &registryv1.InstanceHealth{Service: name, Address: e.Address, Health: registryv1.Health_HEALTH_SERVING}
	began := a.Now()
	is, err := healthv1.NewHealthClient(conn).Check(ctx, &healthv1.HealthCheckRequest{Service: name})
	if status.Code(err) == codes.Unimplemented {
		return nil, &Error{Message: "the server does not tell how it is: it has no grpc.health.v1", Exit: ExitError}
	}
	if err != nil {
		return nil, err
	}
	in.Took = durationpb.New(a.Now().Sub(began))
	if is.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		in.Health, in.Reason = registryv1.Health_HEALTH_NOT_SERVING, "its health is "+is.GetStatus().String()
	}
	return &registryv1.HealthResponse{Instances: []*registryv1.InstanceHealth{in}}, nil
}

func listHealth(app *App, t *tableWriter, instances []*registryv1.InstanceHealth) {
	t.row("SERVICE", "INSTANCE", "VERSION", "HEALTH", "TOOK", "SINCE", "REASON")
	for _, in := range instances {
		took, since := "-", "-"
		if in.GetTook() != nil {
			took = in.GetTook().AsDuration().Round(10 * time.Microsecond).String()
		}
		if in.GetSince() != nil {
			since = words.Ago(app.Now(), in.GetSince().AsTime())
		}
		t.row(cmp.Or(in.GetService(), "-"), cmp.Or(in.GetId(), "-"), cmp.Or(in.GetVersion(), "-"), healthText(in.GetHealth()), took, since, in.GetReason())
	}
}

func healthText(h registryv1.Health) string {
	if h == registryv1.Health_HEALTH_UNSPECIFIED {
		return "unknown"
	}
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(h.String(), "HEALTH_")), "_", " ")
}

// unwell returns the error of a service that has an instance which does not serve.
func unwell(instances []*registryv1.InstanceHealth, name string) error {
	n, do := 0, "do"
	for _, in := range instances {
		if in.GetHealth() != registryv1.Health_HEALTH_SERVING {
			n++
		}
	}
	switch n {
	case 0:
		return nil
	case 1:
		do = "does"
	}
	return &Error{
		Message: fmt.Sprintf("%d of %s %s not serve", n, countText(len(instances), "instance"), do),
		Hint:    strings.TrimSpace("micro status " + name),
		Exit:    ExitError,
	}
}
