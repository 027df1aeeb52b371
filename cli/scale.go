package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/micro/micro/v3/cli/front"
	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
)

// noWaitFlag adds --no-wait to a command.
func noWaitFlag(cmd *cobra.Command, noWait *bool) {
	cmd.Flags().BoolVar(noWait, "no-wait", false, "do not wait until the service runs so")
}

// changingRuntime is [App.runtime] for a command that changes something. It asks, if at
// all, before the command begins.
func (a *App) changingRuntime(ctx context.Context) (context.Context, runtimev1.RuntimeClient, error) {
	if err := a.mayChange(); err != nil {
		return nil, nil, err
	}
	return a.runtime(ctx)
}

func newScaleCmd(app *App) *cobra.Command {
	var noWait bool
	cmd := &cobra.Command{
		Use:   "scale NAME N",
		Short: "Change how many instances of a service run",
		Long: `Change how many instances of a service run, from 1 to 1000. Those that run are left
alone, but for those that are too many. The number stays through updates, unless
micro.yaml names one.`,
		Example:           "  micro scale helloworld 3",
		Args:              exactly(2),
		ValidArgsFunction: completeDeployed(app),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := strconv.ParseInt(args[1], 10, 32)
			switch {
			case err != nil:
				return usage("micro scale --help", "%q is no number of instances", args[1])
			case n < 0:
				return usage("micro scale --help", "%d is no number of instances: a service has at least one", n)
			case n == 0:
				return usage("micro kill "+args[0], "a service has at least one instance")
			}
			ctx, client, err := app.changingRuntime(cmd.Context())
			if err != nil {
				return err
			}
			rsp, err := client.Scale(ctx, &runtimev1.ScaleRequest{Name: args[0], Instances: int32(n)})
			if err != nil {
				return app.nearestRun(cmd, args[0], err)
			}
			return app.settled(ctx, client, rsp.GetService(), rsp.GetChange(), noWait, "runs with "+instancesText(int32(n)))
		},
	}
	noWaitFlag(cmd, &noWait)
	return cmd
}

func instancesText(n int32) string {
	if n == 1 {
		return "1 instance"
	}
	return fmt.Sprintf("%d instances", n)
}

// settled waits until a service that was changed runs, unless it need not, and says
// how it does.
func (a *App) settled(ctx context.Context, client runtimev1.RuntimeClient, s *runtimev1.Service, c *runtimev1.Change, noWait bool, what string) error {
	if noWait {
		return a.nowRuns(s, "is changed, and may take a moment until it "+what)
	}
	p := newProgress(a)
	if c != nil {
		p.start("waiting", fmt.Sprintf("%s release %d", s.GetName(), s.GetStatus().GetRelease()))
	}
	s, err := p.awaitRunning(ctx, client, s.GetName(), s.GetStatus().GetRelease())
	if err != nil {
		p.fail(err)
		return err
	}
	p.finish()
	if c == nil {
		what += " already"
	}
	return a.nowRuns(s, what)
}

func newRestartCmd(app *App) *cobra.Command {
	var noWait bool
	cmd := &cobra.Command{
		Use:   "restart NAME",
		Short: "Replace the instances of a service by new ones",
		Long: `Replace the instances of a service by new ones, one after the other, so that it can be
called all the time. The new ones have the same image and spec, and what the
configuration has now where their environment refers to it. It is a new release.`,
		Example:           "  micro restart helloworld",
		Args:              exactly(1),
		ValidArgsFunction: completeDeployed(app),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, client, err := app.changingRuntime(cmd.Context())
			if err != nil {
				return err
			}
			rsp, err := client.Restart(ctx, &runtimev1.RestartRequest{Name: args[0]})
			if err != nil {
				return app.nearestRun(cmd, args[0], err)
			}
			return app.settled(ctx, client, rsp.GetService(), rsp.GetChange(), noWait, "is restarted")
		},
	}
	noWaitFlag(cmd, &noWait)
	return cmd
}

func newKillCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "kill NAME...",
		Short: "Stop services for good",
		Long: `Stop services and forget them, with their logs. Their instances are asked to end and
have time to finish what they do. For seven days "micro undo NAME" brings a service
back as it was.`,
		Example:           "  micro kill helloworld",
		Args:              atLeast(1),
		ValidArgsFunction: completeDeployed(app),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, client, err := app.changingRuntime(cmd.Context())
			if err != nil {
				return err
			}
			for _, name := range args {
				name = strings.TrimSuffix(name, "/")
				if err := app.kill(ctx, client, name); err != nil {
					return app.nearestRun(cmd, name, err)
				}
			}
			return nil
		},
	}
}

// kill stops a service and returns when it is gone.
func (a *App) kill(ctx context.Context, client runtimev1.RuntimeClient, name string) error {
	if _, err := client.Delete(ctx, &runtimev1.DeleteRequest{Name: name}); err != nil {
		return err
	}
	return a.stopped(ctx, client, name)
}

// stopped waits until a service that should not run any more does not, and says so.
func (a *App) stopped(ctx context.Context, client runtimev1.RuntimeClient, name string) error {
	if err := awaitGone(ctx, client, name); err != nil {
		return err
	}
	e, ns, err := a.target()
	if err != nil {
		return err
	}
	fmt.Fprintf(a.Out, "%s is stopped (environment %q, namespace %s)\n", front.Line(name), e.Name, front.Line(ns))
	return nil
}
