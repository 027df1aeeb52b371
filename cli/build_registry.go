package cli

import (
	"context"
	"runtime"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/micro/micro/v3/envs"
	"github.com/micro/micro/v3/image"
	imagev1 "github.com/micro/micro/v3/proto/micro/image/v1"
)

// registry returns the place of a service's image in the environment's registry.
func (a *App) registry(p *progress, name string) (image.PushOptions, error) {
	e, ns, err := a.target()
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

// registryToken is Token for transfers, of which several may go on at once.
func (a *App) registryToken(ctx context.Context) (string, error) {
	a.tokenMu.Lock()
	defer a.tokenMu.Unlock()
	return a.Token(ctx)
}

// copyFrom says where an image of any registry is found; the one of the environment wants
// the environment's token.
func (a *App) copyFrom(ctx context.Context, ref string, platforms []string) (image.CopyOptions, error) {
	registry, _, _, err := image.SplitReference(strings.SplitN(ref, "@", 2)[0])
	if err != nil {
		return image.CopyOptions{}, err
	}
	from := image.CopyOptions{Reference: ref, Platforms: platforms}
	if own, ok := a.ownRegistry(ctx, registry); ok {
		from.PlainHTTP, from.TLS, from.Token = own.PlainHTTP, own.TLS, own.Token
	}
	return from, nil
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
