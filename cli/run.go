package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

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
new release is healthy. When nothing differs, nothing is restarted.

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
	// What the server would refuse is found out before anything is built.
	if _, err := app.Token(ctx); err != nil {
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
	img, err := o.build(ctx, app, p, source, name)
	if err != nil {
		return err
	}
	defer img.Close()

	ns, err := app.Namespace()
	if err != nil {
		return err
	}
	p.start("pushing", fmt.Sprintf("%s/%s (%s)", ns, name, byteSize(img.Size())))
	if spec.Image, err = app.push(ctx, p, img, ns+"/"+name); err != nil {
		return err
	}
	p.update(fmt.Sprintf("%s/%s (%s)", ns, name, byteSize(img.Size())))
	callCtx, conn, err := app.connFor(ctx) // now: a token may be good for less than that took
	if err != nil {
		return err
	}
	client := runtimev1.NewRuntimeClient(conn)
	p.start("starting", name)
	applied, err := client.Apply(callCtx, &runtimev1.ApplyRequest{Name: name, Spec: spec, UpdateOnly: o.update})
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
	e, err := app.Env()
	if err != nil {
		return err
	}
	what := fmt.Sprintf("%s is running (release %d", name, release)
	if !applied.GetChanged() {
		what = fmt.Sprintf("%s is running already and nothing differs (release %d", name, release)
	}
	fmt.Fprintf(app.Out, "%s, image %s, environment %q, namespace %s)\n", what, front.Line(shortDigest(s.GetSpec().GetImage())), e.Name, front.Line(ns))
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
	spec := m.spec()
	spec.Version = cmp.Or(o.version, source.Ref, "latest")
	spec.Source = &runtimev1.Source{
		Address:  source.Address,
		Folder:   source.Folder,
		Ref:      source.Ref,
		Revision: source.Revision,
		Modified: source.Modified,
	}
	if o.instances != 0 {
		spec.Instances = o.instances
	}
	for _, e := range o.env {
		k, v, ok := strings.Cut(e, "=")
		if !ok || k == "" {
			return nil, usage("micro run --help", "--env-var is %q; it has the form NAME=VALUE", e)
		}
		if spec.Env == nil {
			spec.Env = map[string]string{}
		}
		spec.Env[k] = v
	}
	return spec, nil
}

func (o *runOptions) build(ctx context.Context, app *App, p *progress, source *image.Source, name string) (*image.Image, error) {
	dirs, err := app.Dirs()
	if err != nil {
		return nil, err
	}
	module, err := sdk.New(app.SDK)
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

// awaitRunning returns the service when its release runs. When an instance of it
// ends, or never becomes healthy, it returns why, without waiting for another try.
func awaitRunning(ctx context.Context, client runtimev1.RuntimeClient, name string, release int64) (*runtimev1.Service, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := client.Watch(ctx, &runtimev1.WatchRequest{Name: name})
	if err != nil {
		return nil, err
	}
	for {
		rsp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil, unwatched(name)
		}
		if err != nil {
			return nil, err
		}
		s := rsp.GetService()
		st := s.GetStatus()
		if st.GetRelease() != release {
			return nil, &Error{
				Message: fmt.Sprintf("release %d of %s was replaced by release %d before it ran", release, name, st.GetRelease()),
				Hint:    "micro status " + name,
				Exit:    ExitError,
			}
		}
		if st.GetPhase() == runtimev1.Phase_PHASE_RUNNING {
			return s, nil
		}
		for _, in := range st.GetInstances() {
			if in.GetRelease() == release && in.GetPhase() == runtimev1.Phase_PHASE_CRASHED {
				return nil, crashed(s, in)
			}
		}
	}
}

// crashed says why an instance does not run, with what it wrote last.
func crashed(s *runtimev1.Service, in *runtimev1.Instance) error {
	e := &Error{Message: fmt.Sprintf("%s does not run: it %s", s.GetName(), in.GetReason()), Hint: "micro logs " + s.GetName(), Exit: ExitError}
	for _, l := range in.GetLastLines() {
		e.Details = append(e.Details, "  | "+l)
	}
	if serving := s.GetStatus().GetServingRelease(); serving != 0 && serving != in.GetRelease() {
		e.Message += fmt.Sprintf("; release %d goes on serving", serving)
	}
	return e
}

// awaitGone returns when a deleted service has ended.
func awaitGone(ctx context.Context, client runtimev1.RuntimeClient, name string) error {
	stream, err := client.Watch(ctx, &runtimev1.WatchRequest{Name: name})
	for err == nil {
		_, err = stream.Recv()
	}
	switch {
	case status.Code(err) == codes.NotFound:
		return nil
	case errors.Is(err, io.EOF):
		return unwatched(name)
	default:
		return err
	}
}

// unwatched says that a server stopped telling of a service, which leaves open what
// became of it.
func unwatched(name string) error {
	return &Error{Message: "the server stopped telling what becomes of " + name, Hint: "micro status " + name, Exit: ExitUnreachable}
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
