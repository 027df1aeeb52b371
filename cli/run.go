package cli

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/cli/words"
	"github.com/micro/micro/v3/image"
	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
)

// runOptions say what to build and how it should run.
type runOptions struct {
	makeOptions
	image     string // in a registry; empty: it is built
	version   string
	instances int32
	env       []string
	noWait    bool
	plain     bool
	update    bool
}

func (o *runOptions) flags(cmd *cobra.Command) {
	o.makeOptions.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&o.image, "image", "", "run this image from any registry, and build nothing")
	f.StringVar(&o.version, "version", "", "version to show (the git ref, else latest)")
	f.Int32VarP(&o.instances, "instances", "i", 0, "how many instances (micro.yaml, else as many as there are, 1 at first)")
	f.StringArrayVar(&o.env, "env-var", nil, "environment variable of the service as NAME=VALUE; can be repeated")
	f.BoolVar(&o.noWait, "no-wait", false, "do not wait until the service runs")
	plainFlag(cmd, &o.plain)
}

func newRunCmd(app *App) *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "run [SOURCE]",
		Short: "Build a service from source and run it",
		Long: `Build a service from source with your own Go and its caches, make an image of it, push
that to the environment and keep it running there. The command returns when the
service is healthy, or fails with what the compiler or the service said.

What micro.yaml in the source says of the service holds: its name, instances,
environment, probes and more; "micro schema manifest" has all of it. A value of the
environment that is {config: PATH} is what the configuration has there when an instance
starts; those that run keep what they began with until "micro restart".

` + sourceHelp,
		Example: `  micro run .
  micro run ./bin/server
  micro run --image registry.example.com/team/app:v1
  micro run github.com/owner/repo/sub@main`,
		Args: atMostOne(),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, app, args) },
	}
	o.flags(cmd)
	return cmd
}

func newUpdateCmd(app *App) *cobra.Command {
	o := runOptions{update: true}
	cmd := &cobra.Command{
		Use:   "update [SOURCE]",
		Short: "Build a running service again and replace it",
		Long: `Build a service that runs already from its source as it is now, and replace it once the
new release is healthy. When nothing differs, nothing is restarted. A release that does
not come up is given up by and by, and the one before goes on serving.

` + sourceHelp,
		Example: `  micro update .`,
		Args:    atMostOne(),
		RunE:    func(cmd *cobra.Command, args []string) error { return o.run(cmd, app, args) },
	}
	o.flags(cmd)
	return cmd
}

func (o *runOptions) run(cmd *cobra.Command, app *App, args []string) error {
	ctx := cmd.Context()
	source := "."
	if len(args) == 1 {
		source = args[0]
	}
	if o.image != "" && (len(args) == 1 || o.dockerfile != "") {
		return usage("micro run --help", "an image is run as it is: --image goes with neither a source nor a Dockerfile")
	}
	if err := app.pinEnv(source); err != nil {
		return err
	}
	// What the server would refuse is found out before anything is built.
	if _, err := app.Token(ctx); err != nil {
		return err
	}
	if err := app.mayChange(); err != nil {
		return err
	}
	p := newProgress(app)
	p.live = p.live && !o.plain
	err := o.deploy(ctx, cmd.Root(), app, p, source)
	if err != nil {
		p.fail(err)
		return explainBuild(err)
	}
	return nil
}

func (o *runOptions) deploy(ctx context.Context, root *cobra.Command, app *App, p *progress, ref string) error {
	bring := o.fromSource
	if o.image != "" {
		bring, ref = o.fromRegistry, o.image
	}
	req, err := bring(ctx, root, app, p, ref)
	if err != nil {
		return err
	}
	req.UpdateOnly = o.update
	callCtx, client, err := app.runtime(ctx)
	if err != nil {
		return err
	}
	name := req.GetName()
	p.start("starting", name)
	applied, err := client.Apply(callCtx, req)
	if err != nil {
		return err
	}
	release := applied.GetService().GetStatus().GetRelease()
	p.update(fmt.Sprintf("%s release %d", name, release))
	if o.noWait {
		p.finish()
		fmt.Fprintf(app.Out, "%s release %d is starting\n", name, release)
		return nil
	}
	s, err := p.awaitRunning(callCtx, client, name, release)
	if err != nil {
		return err
	}
	p.finish()
	what := "is running"
	if applied.GetChange() == nil {
		what = "is running already and nothing differs"
	}
	return app.nowRuns(s, what)
}

// runtime returns a client of the environment's runtime, and the context for its calls.
func (a *App) runtime(ctx context.Context) (context.Context, runtimev1.RuntimeClient, error) {
	ctx, conn, err := a.connFor(ctx)
	if err != nil {
		return nil, nil, err
	}
	return ctx, runtimev1.NewRuntimeClient(conn), nil
}

// nowRuns says what runs now, and where.
func (a *App) nowRuns(s *runtimev1.Service, what string) error {
	e, ns, err := a.target()
	if err != nil {
		return err
	}
	a.addServices(s)
	fmt.Fprintf(a.Out, "%s %s (release %d, image %s, environment %q, namespace %s)\n", front.Line(s.GetName()), what,
		s.GetStatus().GetRelease(), front.Line(words.Digest(s.GetSpec().GetImage())), e.Name, front.Line(ns))
	return nil
}

// checkRuns returns an error when there is no service to update, which is found out
// before one is built.
func checkRuns(ctx context.Context, app *App, name, ref string) error {
	ctx, conn, err := app.connFor(ctx)
	if err != nil {
		return err
	}
	_, err = runtimev1.NewRuntimeClient(conn).Get(ctx, &runtimev1.GetRequest{Name: name})
	if status.Code(err) != codes.NotFound {
		return nil // what else it is, Apply tells
	}
	e := app.explain(err)
	e.Hint = "micro run " + ref
	return e
}

// fromSource builds a service and puts its image into the environment's registry. It
// returns how the service should run.
func (o *runOptions) fromSource(ctx context.Context, root *cobra.Command, app *App, p *progress, ref string) (*runtimev1.ApplyRequest, error) {
	p.start("packaging", ref)
	source, err := o.fetch(ctx, app, p, ref)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	if err := checkRunName(root, source.name, ref); err != nil {
		return nil, err
	}
	spec, err := o.spec(source.manifest, source.Source)
	if err != nil {
		return nil, err
	}
	if o.update {
		if err := checkRuns(ctx, app, source.name, ref); err != nil {
			return nil, err
		}
	}
	p.update(source.name + " from " + words.Source(spec.GetSource()))
	platforms, err := o.platformsIn(ctx, app)
	if err != nil {
		return nil, err
	}
	img, err := o.build(ctx, app, p, source.Source, source.name, platforms)
	if err != nil {
		return nil, err
	}
	defer img.Close()
	to, err := app.registry(p, source.name)
	if err != nil {
		return nil, err
	}
	p.start("pushing", fmt.Sprintf("%s (%s)", to.Repository, words.Size(img.Size())))
	if spec.Image, err = img.Push(ctx, to); err != nil {
		return nil, err
	}
	p.update(fmt.Sprintf("%s (%s)", to.Repository, words.Size(img.Size())))
	o.share(ctx, p, img)
	m := source.manifest
	return &runtimev1.ApplyRequest{Name: source.name, Spec: spec, Instances: cmp.Or(o.instances, m.Instances), Rollout: m.rollout()}, nil
}

// fromRegistry copies an image from any registry into that of the environment. It
// returns how the service should run.
func (o *runOptions) fromRegistry(ctx context.Context, root *cobra.Command, app *App, p *progress, ref string) (*runtimev1.ApplyRequest, error) {
	if !image.IsReference(ref) {
		return nil, usage("micro run --help", "%q names no image in a registry; it has the form HOST/REPOSITORY:TAG", ref)
	}
	_, repository, _, err := image.SplitReference(strings.SplitN(ref, "@", 2)[0])
	if err != nil {
		return nil, err
	}
	name := cmp.Or(o.name, image.ServiceName(repository))
	if err := checkRunName(root, name, "--image "+ref); err != nil {
		return nil, err
	}
	platforms, err := o.platformsIn(ctx, app)
	if err != nil {
		return nil, err
	}
	from, err := app.copyFrom(ctx, ref, platforms)
	if err != nil {
		return nil, err
	}
	to, err := app.registry(p, name)
	if err != nil {
		return nil, err
	}
	p.start("copying", ref)
	copied, err := image.Copy(ctx, from, to)
	if err != nil {
		return nil, explainCopy(err, from)
	}
	p.update(fmt.Sprintf("%s to %s (%s)", ref, to.Repository, words.Size(copied.Size)))
	spec, err := o.spec(manifest{}, &image.Source{Address: copied.Repository, Ref: copied.Tag})
	if err != nil {
		return nil, err
	}
	spec.Image = copied.Reference
	return &runtimev1.ApplyRequest{Name: name, Spec: spec, Instances: o.instances}, nil
}

// checkRunName returns an error for what cannot name a service. Again is how the command
// goes on that says another name.
func checkRunName(root *cobra.Command, name, again string) error {
	if why := nameTaken(root, name); why != "" {
		return usage("micro run "+again+" --name OTHER", "%s", why)
	}
	if !isServiceName(name) {
		return badServiceName(name)
	}
	return nil
}

// isServiceName reports whether a name is a DNS label of RFC 1123, in lower case.
func isServiceName(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' })
}

// badServiceName is the error of a name that no service can have.
func badServiceName(name string) error {
	return usage("", "%q cannot name a service: use 1 to 63 of a-z, 0-9 and '-', beginning and ending with a letter or digit", name)
}

// spec merges manifest and flags; flags win.
func (o *runOptions) spec(m manifest, source *image.Source) (*runtimev1.Spec, error) {
	spec, err := m.spec()
	if err != nil {
		return nil, err
	}
	spec.Version = cmp.Or(o.version, m.Version, source.Ref, "latest")
	spec.Source = sourceOf(source)
	for _, e := range o.env {
		k, v, ok := strings.Cut(e, "=")
		if !ok || k == "" {
			return nil, usage("micro run --help", "--env-var is %q; it has the form NAME=VALUE", e)
		}
		if spec.Env == nil {
			spec.Env = map[string]*runtimev1.Value{}
		}
		spec.Env[k] = envValue{text: v}.message()
	}
	return spec, nil
}

// sourceOf returns what is told of a source.
func sourceOf(s *image.Source) *runtimev1.Source {
	return &runtimev1.Source{Address: s.Address, Folder: s.Folder, Ref: s.Ref, Revision: s.Revision, Modified: s.Modified}
}

// completionTimeout bounds how long completion may ask a server.
const completionTimeout = 300 * time.Millisecond

// completionContext returns a context that ends in time for whoever pressed TAB.
func completionContext(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	return context.WithTimeout(ctx, completionTimeout)
}
