package cli

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/cli/words"
	"github.com/micro/micro/v3/envs"
	"github.com/micro/micro/v3/image"
	configv1 "github.com/micro/micro/v3/proto/micro/config/v1"
	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
)

type promoteOptions struct {
	to        string
	namespace string
	keepEnv   bool
	noWait    bool
}

func newPromoteCmd(app *App) *cobra.Command {
	var o promoteOptions
	cmd := &cobra.Command{
		Use:   "promote NAME --to ENV",
		Short: "Run in another environment what runs in this one",
		Long: `Run in another environment what runs in this one: the same image, by its digest, with the
same arguments, environment, resources and probes. Nothing is built. What is in the
image's repository is copied from registry to registry, unless it is there.

First it shows what would change there, and in what the configuration of the two
differs, which is never copied; then it asks, unless --yes or, for a protected
environment, --confirm NAME is given. The number of instances stays as it is there.
MICRO_TO_TOKEN is for the other environment what MICRO_TOKEN is for this one.`,
		Example: `  micro promote helloworld --to platform
  micro promote helloworld --env dev --to platform --confirm platform`,
		Args:              exactly(1),
		ValidArgsFunction: completeDeployed(app),
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), app, args[0]) },
	}
	f := cmd.Flags()
	f.StringVar(&o.to, "to", "", "environment to run it in")
	f.StringVar(&o.namespace, "to-namespace", "", "namespace to run it in there (the environment's)")
	f.BoolVar(&o.keepEnv, "keep-env", false, "leave the environment variables as they are there")
	noWaitFlag(cmd, &o.noWait)
	completeFlag(cmd, "to", completeEnvs(app))
	completeFlag(cmd, "to-namespace", cobra.NoFileCompletions)
	return cmd
}

// inEnv returns an app that acts on another environment.
func (a *App) inEnv(env, namespace string) *App {
	return &App{
		In: a.In, Out: a.Out, Err: a.Err, Now: a.Now, Version: a.Version, SDK: a.SDK, Serve: a.Serve, Terminal: a.Terminal,
		Getenv: func(k string) string {
			switch k {
			case envs.EnvToken:
				return a.Getenv("MICRO_TO_TOKEN")
			case "MICRO_ENV", "MICRO_NAMESPACE":
				return ""
			default:
				return a.Getenv(k)
			}
		},
		env: env, namespace: namespace, yes: a.yes, confirmed: a.confirmed, noColor: a.noColor,
	}
}

func (o *promoteOptions) run(ctx context.Context, app *App, name string) error {
	if o.to == "" {
		return usage("micro env", `"micro promote" needs --to with an environment`)
	}
	there := app.inEnv(o.to, o.namespace)
	defer there.close()
	if err := apart(app, there); err != nil {
		return err
	}
	here, err := healthyService(ctx, app, name)
	if err != nil {
		return err
	}
	now, err := get(ctx, there, name)
	if err != nil {
		return err
	}
	want, err := o.want(there, here, now)
	if err != nil {
		return err
	}
	changes := differences(now, want)
	if len(changes) == 0 && whole(now) {
		return there.nowRuns(now, "is the same and runs")
	}
	if err := o.show(ctx, app, there, want, changes); err != nil {
		return err
	}
	if err := there.mayPromote(name); err != nil {
		return err
	}
	p := newProgress(app)
	if err := copyImage(ctx, app, there, p, here, want); err != nil {
		p.fail(err)
		return explainBuild(err)
	}
	p.finish()
	ctx, client, err := there.runtime(ctx)
	if err != nil {
		return err
	}
	rsp, err := client.Apply(ctx, &runtimev1.ApplyRequest{
		Name: name, Spec: want.GetSpec(), Instances: want.GetInstances(), Rollout: want.GetRollout(),
	})
	if err != nil {
		return err
	}
	return there.settled(ctx, client, rsp.GetService(), rsp.GetChange(), o.noWait, "runs what was promoted")
}

// apart returns an error when two apps act on the same.
func apart(a, b *App) error {
	one, from, err := a.target()
	if err != nil {
		return err
	}
	other, to, err := b.target()
	if err != nil {
		return err
	}
	if one.Name == other.Name && from == to {
		return usage("micro env", "it is to be promoted from environment %q, namespace %s, to the same", one.Name, from)
	}
	return nil
}

// healthyService returns a service that runs in the environment of an app.
func healthyService(ctx context.Context, app *App, name string) (*runtimev1.Service, error) {
	s, err := get(ctx, app, name)
	if err != nil {
		return nil, err
	}
	e, err := app.Env()
	if err != nil {
		return nil, err
	}
	switch {
	case s == nil:
		return nil, &Error{Message: fmt.Sprintf("no service %q runs in environment %q", name, e.Name), Hint: "micro status --env " + e.Name, Exit: ExitNotFound}
	case !whole(s):
		return nil, &Error{
			Message: fmt.Sprintf("release %d of %s does not run well in environment %q: it is %s", s.GetStatus().GetRelease(), name, e.Name, words.Phase(s.GetStatus().GetPhase())),
			Hint:    "micro status " + name + " --env " + e.Name, Exit: ExitError,
		}
	}
	return s, nil
}

// get returns a service; nil when there is none.
func get(ctx context.Context, app *App, name string) (*runtimev1.Service, error) {
	ctx, client, err := app.runtime(ctx)
	if err != nil {
		return nil, err
	}
	rsp, err := client.Get(ctx, &runtimev1.GetRequest{Name: name})
	if status.Code(err) == codes.NotFound {
		return nil, nil //nolint:nilnil // there is none
	}
	return rsp.GetService(), err
}

// want returns the service as it is to run in the other environment.
func (o *promoteOptions) want(there *App, here, now *runtimev1.Service) (*runtimev1.Service, error) {
	ns, err := there.Namespace()
	if err != nil {
		return nil, err
	}
	spec := proto.CloneOf(here.GetSpec())
	_, digest, _ := strings.Cut(spec.GetImage(), "@")
	spec.Image = ns + "/" + here.GetName() + "@" + digest
	if o.keepEnv {
		spec.Env = now.GetSpec().GetEnv()
	}
	want := &runtimev1.Service{Name: here.GetName(), Spec: spec, Instances: here.GetInstances(), Rollout: here.GetRollout()}
	if now != nil {
		want.Instances, want.Rollout = now.GetInstances(), now.GetRollout()
	}
	return want, nil
}

// show tells on standard error what would change, and in what the configuration of the
// two environments differs. The error is that the other one lacks what is needed.
func (o *promoteOptions) show(ctx context.Context, here, there *App, want *runtimev1.Service, changes []difference) error {
	e, ns, err := there.target()
	if err != nil {
		return err
	}
	fmt.Fprintf(here.Err, "%s in environment %q, namespace %s:\n", want.GetName(), e.Name, front.Line(ns))
	t := newTable(here.Err)
	printDifferences(t, changes)
	if err := t.flush(); err != nil {
		return err
	}
	theirs, err := configValues(ctx, there)
	if err != nil {
		return err
	}
	var missing []string
	for _, v := range want.GetSpec().GetEnv() {
		if path := v.GetConfig(); path != "" && !hasConfig(theirs, path) {
			missing = append(missing, path)
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return &Error{
			Message: fmt.Sprintf("environment %q lacks what the service refers to in the configuration: %s", e.Name, strings.Join(slices.Compact(missing), ", ")),
			Hint:    fmt.Sprintf("micro config set %s VALUE --env %s", missing[0], e.Name),
			Exit:    ExitError,
		}
	}
	ours, err := configValues(ctx, here)
	if err != nil {
		return err
	}
	if list := configDifferences(theirs, ours, want); len(list) > 0 {
		fmt.Fprintln(here.Err, "The configuration differs, and stays as it is:")
		t := newTable(here.Err)
		for _, d := range list {
			t.row("  "+d.Field, "here "+cmp.Or(d.After, "not set"), "there "+cmp.Or(d.Before, "not set"))
		}
		return t.flush()
	}
	return nil
}

// configValues returns the configuration of an environment by its paths, secrets hidden.
func configValues(ctx context.Context, app *App) (map[string]string, error) {
	all, err := app.listConfig(ctx, &configv1.ListRequest{PageSize: 1000})
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for _, v := range all.GetValues() {
		values[v.GetPath()] = v.GetJson()
	}
	return values, nil
}

// hasConfig reports whether there is something at a path, or below it.
func hasConfig(values map[string]string, path string) bool {
	for p := range values {
		if p == path || strings.HasPrefix(p, path+".") {
			return true
		}
	}
	return false
}

// configDifferences returns what differs of the configuration that a service refers to,
// or that is under its name.
func configDifferences(before, after map[string]string, s *runtimev1.Service) []difference {
	all := maps.Clone(before)
	maps.Copy(all, after)
	roots := []string{s.GetName()}
	for _, v := range s.GetSpec().GetEnv() {
		if v.GetConfig() != "" {
			roots = append(roots, v.GetConfig())
		}
	}
	var list []difference
	for _, path := range slices.Sorted(maps.Keys(all)) {
		concerns := slices.ContainsFunc(roots, func(root string) bool { return path == root || strings.HasPrefix(path, root+".") })
		if concerns && before[path] != after[path] {
			list = append(list, difference{path, before[path], after[path]})
		}
	}
	return list
}

// mayPromote asks whether a service shall be promoted to the environment of the app.
func (a *App) mayPromote(name string) error {
	e, err := a.Env()
	if err != nil {
		return err
	}
	if err := a.mayChange(); err != nil || e.Protected || a.yes {
		return err
	}
	if !a.Interactive() {
		return usage("micro promote "+name+" --to "+e.Name+" --yes", "there is no terminal to ask whether %s shall be promoted", name)
	}
	ok, err := a.confirm(fmt.Sprintf("Promote %s to environment %q?", name, e.Name))
	if err == nil && !ok {
		err = &Error{Message: "nothing was changed", Exit: ExitError}
	}
	return err
}

// copyImage copies the image of a service from the registry of one environment to that
// of another.
func copyImage(ctx context.Context, here, there *App, p *progress, from, to *runtimev1.Service) error {
	source, err := here.registry(p, from.GetName())
	if err != nil {
		return err
	}
	target, err := there.registry(p, to.GetName())
	if err != nil {
		return err
	}
	p.start("copying", words.Digest(from.GetSpec().GetImage()))
	copied, err := image.Copy(ctx, image.CopyOptions{
		Reference: source.Registry + "/" + from.GetSpec().GetImage(),
		PlainHTTP: source.PlainHTTP, TLS: source.TLS, Token: source.Token,
	}, target)
	if err != nil {
		return err
	}
	if copied.Reference != to.GetSpec().GetImage() {
		return fmt.Errorf("%s came to be %s", to.GetSpec().GetImage(), copied.Reference)
	}
	p.update(fmt.Sprintf("%s (%s)", target.Repository, words.Size(copied.Size)))
	return nil
}
