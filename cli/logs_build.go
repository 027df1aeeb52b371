package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	imagev1 "github.com/micro/micro/v3/proto/micro/image/v1"
	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
)

// buildLog is what the build of a release has said. It comes with the image, since
// images are built where the source is; what a build says that fails stays there.
type buildLog struct {
	Service string `json:"service"`
	Release int64  `json:"release"`
	Image   string `json:"image"`
	Log     string `json:"log"`
}

// printBuild shows what the build of a release has said.
func (o *logsOptions) printBuild(ctx context.Context, app *App, name string) error {
	if o.release < 0 {
		return usage("micro logs --help", "--release is %d", o.release)
	}
	ctx, client, err := app.runtime(ctx)
	if err != nil {
		return err
	}
	is := buildLog{Service: name, Release: o.release}
	if is.Image, is.Release, err = imageOf(ctx, client, name, o.release); err != nil {
		return err
	}
	image, err := app.image(ctx, is.Image)
	if err != nil {
		return err
	}
	if is.Log = image.GetBuildLog(); is.Log == "" {
		return &Error{
			Message: fmt.Sprintf("the image of release %d of %s has no log of its build: micro did not build it", is.Release, name),
			Hint:    "micro releases " + name,
			Exit:    ExitNotFound,
		}
	}
	if o.out != asTable {
		return printValue(app, o.out, is)
	}
	_, err = io.WriteString(app.Out, strings.TrimSuffix(is.Log, "\n")+"\n")
	return err
}

// imageOf returns the image of a release of a service, and its number; 0 stands for the
// release that should run.
func imageOf(ctx context.Context, client runtimev1.RuntimeClient, name string, release int64) (string, int64, error) {
	if release == 0 {
		rsp, err := client.Get(ctx, &runtimev1.GetRequest{Name: name})
		return rsp.GetService().GetSpec().GetImage(), rsp.GetService().GetStatus().GetRelease(), err
	}
	rsp, err := client.Releases(ctx, &runtimev1.ReleasesRequest{Name: name})
	if err != nil {
		return "", 0, err
	}
	for _, r := range rsp.GetReleases() {
		if r.GetNumber() == release {
			return r.GetSpec().GetImage(), release, nil
		}
	}
	return "", 0, &Error{
		Message: fmt.Sprintf("there is no release %d of %s any more, or yet", release, name),
		Hint:    "micro releases " + name,
		Exit:    ExitNotFound,
	}
}

// image returns the image of a release, with what is attached to it.
func (a *App) image(ctx context.Context, ref string) (*imagev1.GetResponse, error) {
	ctx, client, err := a.images(ctx)
	if err != nil {
		return nil, err
	}
	_, name, _ := strings.Cut(ref, "/") // behind the namespace
	name, digest := splitImage(name)
	return client.Get(ctx, &imagev1.GetRequest{Name: name, Reference: digest})
}
