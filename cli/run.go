package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/envs"
	"github.com/micro/micro/v3/image"
	imagev1 "github.com/micro/micro/v3/proto/micro/image/v1"
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
	update    bool
}

func (o *runOptions) flags(cmd *cobra.Command) {
	o.makeOptions.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&o.image, "image", "", "run this image from any registry, and build nothing")
	f.StringVar(&o.version, "version", "", "version to show (the git ref, else latest)")
	f.Int32VarP(&o.instances, "instances", "i", 0, "how many instances (micro.yaml, else 1)")
	f.StringArrayVar(&o.env, "env-var", nil, "environment variable of the service as NAME=VALUE; can be repeated")
	f.BoolVar(&o.noWait, "no-wait", false, "do not wait until the service runs")
}

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
	if o.image != "" && (len(args) == 1 || o.dockerfile != "") {
		return usage("micro run --help", "an image is run as it is: --image goes with neither a source nor a Dockerfile")
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
	bring := o.fromSource
	if o.image != "" {
		bring, ref = o.fromRegistry, o.image
	}
	name, spec, err := bring(ctx, root, app, p, ref)
	if err != nil {
		return err
	}
	callCtx, conn, err := app.connFor(ctx)
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
	ns, err := app.Namespace()
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
// returns the name of the service and how it should run.
func (o *runOptions) fromSource(ctx context.Context, root *cobra.Command, app *App, p *progress, ref string) (string, *runtimev1.Spec, error) {
	p.start("packaging", ref)
	source, err := o.fetch(ctx, app, p, ref)
	if err != nil {
		return "", nil, err
	}
	defer source.Close()
	if err := checkRunName(root, source.name, ref); err != nil {
		return "", nil, err
	}
	spec, err := o.spec(source.manifest, source.Source)
	if err != nil {
		return "", nil, err
	}
	if o.update {
		if err := checkRuns(ctx, app, source.name, ref); err != nil {
			return "", nil, err
		}
	}
	p.update(source.name + " from " + sourceText(spec.GetSource()))
	platforms, err := o.platformsIn(ctx, app)
	if err != nil {
		return "", nil, err
	}
	img, err := o.build(ctx, app, p, source.Source, source.name, platforms)
	if err != nil {
		return "", nil, err
	}
	defer img.Close()
	to, err := app.registry(p, source.name)
	if err != nil {
		return "", nil, err
	}
	p.start("pushing", fmt.Sprintf("%s (%s)", to.Repository, byteSize(img.Size())))
	if spec.Image, err = img.Push(ctx, to); err != nil {
		return "", nil, err
	}
	p.update(fmt.Sprintf("%s (%s)", to.Repository, byteSize(img.Size())))
	o.share(ctx, p, img)
	return source.name, spec, nil
}

// fromRegistry copies an image from any registry into that of the environment. It
// returns the name of the service and how it should run.
func (o *runOptions) fromRegistry(ctx context.Context, root *cobra.Command, app *App, p *progress, ref string) (string, *runtimev1.Spec, error) {
	if !image.IsReference(ref) {
		return "", nil, usage("micro run --help", "%q names no image in a registry; it has the form HOST/REPOSITORY:TAG", ref)
	}
	registry, repository, _, err := image.SplitReference(strings.SplitN(ref, "@", 2)[0])
	if err != nil {
		return "", nil, err
	}
	name := cmp.Or(o.name, image.ServiceName(repository))
	if err := checkRunName(root, name, "--image "+ref); err != nil {
		return "", nil, err
	}
	platforms, err := o.platformsIn(ctx, app)
	if err != nil {
		return "", nil, err
	}
	from := image.CopyOptions{Reference: ref, Platforms: platforms}
	if own, ok := app.ownRegistry(ctx, registry); ok {
		from.PlainHTTP, from.TLS, from.Token = own.PlainHTTP, own.TLS, own.Token
	}
	to, err := app.registry(p, name)
	if err != nil {
		return "", nil, err
	}
	p.start("copying", ref)
	copied, err := image.Copy(ctx, from, to)
	if errors.Is(err, image.ErrAuth) && from.Token == nil {
		return "", nil, &Error{Message: err.Error(), Hint: "docker login " + registry, Exit: ExitLogin}
	}
	if err != nil {
		return "", nil, err
	}
	p.update(fmt.Sprintf("%s to %s (%s)", ref, to.Repository, byteSize(copied.Size)))
	spec, err := o.spec(manifest{}, &image.Source{Address: copied.Repository, Ref: copied.Tag})
	if err != nil {
		return "", nil, err
	}
	spec.Image = copied.Reference
	return name, spec, nil
}

// platformsIn returns the platforms that an image is wanted for: those that were asked
// for, or those of the environment.
func (o *makeOptions) platformsIn(ctx context.Context, app *App) ([]string, error) {
	if len(o.platforms) > 0 {
		return o.platforms, nil
	}
	ctx, client, err := app.images(ctx)
	if err != nil {
		return nil, err
	}
	rsp, err := client.Platforms(ctx, &imagev1.PlatformsRequest{})
	if status.Code(err) == codes.Unimplemented { // an older server
		return []string{runtime.GOOS + "/" + runtime.GOARCH}, nil
	}
	if err != nil {
		return nil, err
	}
	return rsp.GetPlatforms()[:min(1, len(rsp.GetPlatforms()))], nil
}

// checkRunName returns an error for what cannot name a service. Again is how the command
// goes on that says another name.
func checkRunName(root *cobra.Command, name, again string) error {
	if isCommand(root, name) {
		return usage("micro run "+again+" --name OTHER", "a service cannot be called %q, because micro has a command of that name", name)
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

// registryToken is Token for transfers, of which several may go on at once.
func (a *App) registryToken(ctx context.Context) (string, error) {
	a.tokenMu.Lock()
	defer a.tokenMu.Unlock()
	return a.Token(ctx)
}

// registry returns the place of a service's image in the environment's registry.
func (a *App) registry(p *progress, name string) (image.PushOptions, error) {
	e, err := a.Env()
	if err != nil {
		return image.PushOptions{}, err
	}
	ns, err := a.Namespace()
	if err != nil {
		return image.PushOptions{}, err
	}
	host, useTLS, err := envs.ParseAddress(e.Address)
	if err != nil {
		return image.PushOptions{}, err
	}
	if _, ok := envs.SocketPath(host); ok {
		return image.PushOptions{}, usage("micro env", "environment %q is a socket (%s), and images can be pushed over TCP alone", e.Name, host)
	}
	o := image.PushOptions{
		Registry:   host,
		Repository: ns + "/" + name,
		Tag:        "latest",
		PlainHTTP:  !useTLS,
		Token:      a.registryToken,
		Progress:   showStage(p),
	}
	if useTLS {
		if o.TLS, err = e.TLS(); err != nil {
			return image.PushOptions{}, err
		}
	}
	return o, nil
}

// showStage shows what image does.
func showStage(p *progress) func(image.Event) {
	return func(e image.Event) {
		switch {
		case e.Warning:
			p.note("warning: " + e.Message)
		case e.Stage == image.Fetching && e.Done > 0:
			p.update(fmt.Sprintf("%s %s", e.Message, byteSize(e.Done)))
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
	var engine *image.EngineError
	var private *image.AuthError
	switch {
	case errors.As(err, &build):
		return &Error{Message: "the source does not compile", Details: build.Lines, Hint: build.Hint, Exit: ExitError}
	case errors.As(err, &pkg):
		e := &Error{Message: err.Error(), Exit: ExitError}
		if len(pkg.Mains) > 0 {
			e.Hint = "micro run " + pkg.Mains[0]
		}
		return e
	case errors.As(err, &engine):
		return &Error{Message: engine.Engine + " " + engine.Command + " failed", Details: engine.Lines, Exit: ExitError}
	case errors.Is(err, image.ErrProgram) && !errors.Is(err, image.ErrDynamic), errors.Is(err, image.ErrPlatform), errors.Is(err, image.ErrEngine):
		return &Error{Message: err.Error(), Exit: ExitError}
	case errors.Is(err, image.ErrDynamic):
		return &Error{Message: err.Error(), Hint: "CGO_ENABLED=0 go build", Exit: ExitError}
	case errors.As(err, &private):
		e := &Error{Message: err.Error(), Hint: "micro git login " + private.Host, Exit: ExitLogin}
		if private.SSH {
			e.Hint = "ssh-add"
		}
		return e
	case errors.Is(err, image.ErrAuth):
		return &Error{Message: err.Error(), Exit: ExitLogin}
	case errors.Is(err, image.ErrDenied):
		return &Error{Message: err.Error(), Exit: ExitDenied}
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
