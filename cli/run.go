package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/envs"
	"github.com/micro/micro/v3/image"
	"github.com/micro/micro/v3/internal/sdk"
	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
)

// runOptions say what to build and how it should run.
type runOptions struct {
	name      string
	version   string
	instances int32
	env       []string
	noWait    bool
	update    bool
}

func (o *runOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.name, "name", "", "name of the service (micro.yaml, else the directory's)")
	f.StringVar(&o.version, "version", "", "version to show (the git ref, else latest)")
	f.Int32VarP(&o.instances, "instances", "i", 0, "how many instances (micro.yaml, else 1)")
	f.StringArrayVar(&o.env, "env-var", nil, "environment variable of the service as NAME=VALUE; can be repeated")
	f.BoolVar(&o.noWait, "no-wait", false, "do not wait until the service runs")
}

const sourceHelp = `SOURCE is a directory, or a git address: github.com/OWNER/REPO, the same on another
host, https://, ssh:// or file://; then /FOLDER for a folder of it and @REF for
a branch, tag or commit.`

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
  micro run ../path
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
	err := o.deploy(ctx, cmd.Root(), app, p, source)
	if err != nil {
		p.fail()
		return explainBuild(err)
	}
	return nil
}

func (o *runOptions) deploy(ctx context.Context, root *cobra.Command, app *App, p *progress, ref string) error {
	p.start("packaging", ref)
	source, err := image.Fetch(ctx, ref, image.FetchOptions{Prompt: app.Interactive(), Progress: showStage(p)})
	if err != nil {
		return err
	}
	defer source.Close()
	m, err := readManifest(source.Dir)
	if err != nil {
		return err
	}
	name := cmp.Or(o.name, m.Name, source.Name)
	if isCommand(root, name) {
		return usage("micro run "+ref+" --name OTHER", "a service cannot be called %q, because micro has a command of that name", name)
	}
	if !isServiceName(name) {
		return usage("", "%q cannot name a service: use 1 to 63 of a-z, 0-9 and '-', beginning and ending with a letter or digit", name)
	}
	spec, err := o.spec(m, source)
	if err != nil {
		return err
	}
	p.update(name + " from " + sourceText(spec.GetSource()))
	img, err := app.build(ctx, p, source, name)
	if err != nil {
		return err
	}
	defer img.Close()

	callCtx, client, err := app.runtime(ctx)
	if err != nil {
		return err
	}
	ns, err := app.Namespace()
	if err != nil {
		return err
	}
	p.start("pushing", fmt.Sprintf("%s/%s (%s)", ns, name, byteSize(img.Size())))
	if spec.Image, err = app.push(ctx, p, img, ns+"/"+name); err != nil {
		return err
	}
	p.update(fmt.Sprintf("%s/%s (%s)", ns, name, byteSize(img.Size())))
	p.start("starting", name)
	applied, err := client.Apply(callCtx, &runtimev1.ApplyRequest{
		Name: name, Spec: spec, UpdateOnly: o.update, Instances: cmp.Or(o.instances, m.Instances), Rollout: m.rollout(),
	})
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
	s, err := awaitRunning(callCtx, client, name, release)
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
	e, err := a.Env()
	if err != nil {
		return err
	}
	ns, err := a.Namespace()
	if err != nil {
		return err
	}
	fmt.Fprintf(a.Out, "%s %s (release %d, image %s, environment %q, namespace %s)\n", front.Line(s.GetName()), what,
		s.GetStatus().GetRelease(), front.Line(shortDigest(s.GetSpec().GetImage())), e.Name, front.Line(ns))
	return nil
}

// pinEnv makes the command act on the environment that the manifest in a directory
// names, unless the command line or MICRO_ENV names one. What is fetched from elsewhere
// has no say in that.
func (a *App) pinEnv(source string) error {
	if a.env != "" || a.Getenv("MICRO_ENV") != "" {
		return nil
	}
	if info, err := os.Stat(source); err != nil || !info.IsDir() {
		return nil //nolint:nilerr // it is no directory
	}
	m, err := readManifest(source)
	if err != nil || m.Environment == "" {
		return err
	}
	return a.pin(m.Environment, filepath.Join(source, manifestName))
}

// pin makes the command act on an environment because a file says so.
func (a *App) pin(env, file string) error {
	c, err := a.Config()
	if err != nil {
		return err
	}
	if _, err := c.Get(env); err != nil {
		return &Error{
			Message: fmt.Sprintf("%s: %s", file, err),
			Hint:    "micro env add " + env + " ADDRESS",
			Exit:    ExitNotFound,
		}
	}
	if env != c.Current() {
		fmt.Fprintf(a.Err, "on environment %q, as %s says\n", env, file)
	}
	a.env = env
	return nil
}

// isServiceName reports whether a name is a DNS label of RFC 1123, in lower case.
func isServiceName(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' })
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

// build builds a service from its source.
func (a *App) build(ctx context.Context, p *progress, source *image.Source, name string) (*image.Image, error) {
	dirs, err := a.Dirs()
	if err != nil {
		return nil, err
	}
	module, err := sdk.New(a.SDK)
	if err != nil {
		return nil, err
	}
	proxy, err := filepath.Abs(filepath.Join(dirs.Cache, "sdk-proxy"))
	if err != nil {
		return nil, err
	}
	version, err := module.WriteProxy(proxy)
	if err != nil {
		return nil, err
	}
	return image.Build(ctx, source, image.BuildOptions{
		Name:      name,
		Platform:  runtime.GOOS + "/" + runtime.GOARCH,
		Overrides: []image.Override{{Module: sdk.Path, Version: version, ProxyDir: proxy}},
		CacheDir:  filepath.Join(dirs.Cache, "build"),
		Progress:  showStage(p),
	})
}

// push sends an image to the environment's registry.
func (a *App) push(ctx context.Context, p *progress, img *image.Image, repository string) (string, error) {
	e, err := a.Env()
	if err != nil {
		return "", err
	}
	host, useTLS, err := envs.ParseAddress(e.Address)
	if err != nil {
		return "", err
	}
	if _, ok := envs.SocketPath(host); ok {
		return "", usage("micro env", "environment %q is a socket (%s), and images can be pushed over TCP alone", e.Name, host)
	}
	o := image.PushOptions{
		Registry:   host,
		Repository: repository,
		Tag:        "latest",
		PlainHTTP:  !useTLS,
		Token:      a.Token,
		Progress:   showStage(p),
	}
	if useTLS {
		if o.TLS, err = e.TLS(); err != nil {
			return "", err
		}
	}
	return img.Push(ctx, o)
}

// showStage shows what image does.
func showStage(p *progress) func(image.Event) {
	return func(e image.Event) {
		switch {
		case e.Warning:
			p.note("warning: " + e.Message)
		case e.Total > 0 && e.Done < e.Total:
			p.update(fmt.Sprintf("%s %d%% of %s", e.Message, e.Done*100/e.Total, byteSize(e.Total)))
		}
	}
}

// explainBuild turns the errors of image into what a person is told.
func explainBuild(err error) error {
	var build *image.BuildError
	var pkg *image.PackageError
	switch {
	case errors.As(err, &build):
		return &Error{Message: "the source does not compile", Details: build.Lines, Hint: build.Hint, Exit: ExitError}
	case errors.As(err, &pkg):
		e := &Error{Message: err.Error(), Exit: ExitError}
		if len(pkg.Mains) > 0 {
			e.Hint = "micro run " + pkg.Mains[0]
		}
		return e
	case errors.Is(err, image.ErrAuth):
		return &Error{Message: err.Error(), Exit: ExitLogin}
	case errors.Is(err, image.ErrUnreachable):
		return &Error{Message: err.Error(), Exit: ExitUnreachable}
	case errors.Is(err, image.ErrNotFound):
		return &Error{Message: err.Error(), Exit: ExitNotFound}
	default:
		return err
	}
}

// byteSize writes a number of bytes in the unit that people read it in.
func byteSize(n int64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	size, unit := float64(n)/(1<<10), "KiB"
	for _, larger := range []string{"MiB", "GiB"} {
		if size < 1023.95 { // which is written as 1024.0
			break
		}
		size, unit = size/(1<<10), larger
	}
	return fmt.Sprintf("%.1f %s", size, unit)
}

// completionTimeout bounds how long completion may ask a server.
const completionTimeout = 300 * time.Millisecond

func contextWithTimeout(cmd *cobra.Command, d time.Duration) (context.Context, context.CancelFunc) {
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	return context.WithTimeout(ctx, d)
}
