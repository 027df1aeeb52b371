package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/micro/micro/v3/envs"
	"github.com/micro/micro/v3/image"
	"github.com/micro/micro/v3/internal/atomicfile"
)

// placeKind is where an image goes, as it is written.
type placeKind string

const (
	toStdout   placeKind = "-"
	toFile     placeKind = "FILE.tar"
	toLayout   placeKind = "oci:DIR"
	toEngine   placeKind = "docker-daemon"
	toRegistry placeKind = "REGISTRY/REPOSITORY"
)

// place is where an image goes.
type place struct {
	kind   placeKind
	text   string // as it was typed
	target string // a file, a directory or a repository
	tag    string
}

func (p place) String() string { return p.text }

// parsePlace reads one value of --output.
func parsePlace(s string) (place, error) {
	p := place{text: s, tag: "latest"}
	scheme, rest, ok := strings.Cut(s, ":")
	switch {
	case s == "-":
		p.kind = toStdout
	case ok && scheme == "oci":
		p.kind, p.target = toLayout, rest
		if i := strings.LastIndexByte(rest, ':'); i > 0 && !strings.ContainsAny(rest[i:], `/\`) {
			p.target, p.tag = rest[:i], rest[i+1:]
		}
		if p.target == "" || p.tag == "" {
			return p, errors.New("an image layout is written as oci:DIR or oci:DIR:TAG")
		}
	case scheme == "docker-daemon":
		p.kind = toEngine
		name, tag, tagged := strings.Cut(rest, ":")
		if p.target = name; tagged {
			p.tag = tag
		}
		if ok && name == "" || p.tag == "" {
			return p, errors.New("an engine is written as docker-daemon, docker-daemon:NAME or docker-daemon:NAME:TAG")
		}
	case strings.HasSuffix(s, ".tar"):
		p.kind, p.target = toFile, s
	case image.IsReference(s):
		p.kind, p.target = toRegistry, s
	default:
		return p, fmt.Errorf("%q is no place for an image: want FILE.tar, -, oci:DIR, docker-daemon[:NAME] or REGISTRY/REPOSITORY[:TAG]", s)
	}
	return p, nil
}

// write puts an image into the place, and returns the place's name.
func (p place) write(ctx context.Context, app *App, pr *progress, img *image.Image) (string, error) {
	switch p.kind {
	case toStdout:
		return string(toStdout), img.WriteArchive(ctx, app.Out, img.Name(), p.tag)
	case toFile:
		return p.target, writeArchive(ctx, p.target, img)
	case toLayout:
		return "oci:" + p.target, img.WriteLayout(ctx, p.target, p.tag)
	case toEngine:
		name := cmp.Or(p.target, img.Name())
		engine, err := image.FindEngine(ctx)
		if err != nil {
			return "", err
		}
		return name, engine.Load(ctx, img, name, p.tag)
	case toRegistry:
		return app.pushTo(ctx, pr, img, p.target)
	default:
		return "", fmt.Errorf("no such place: %s", p.kind)
	}
}

// writeArchive writes a file whole or not at all. It is for others to read, too.
func writeArchive(ctx context.Context, path string, img *image.Image) error {
	err := atomicfile.Replace(path, func(w io.Writer) error { return img.WriteArchive(ctx, w, img.Name(), "latest") })
	if err != nil {
		return err
	}
	return os.Chmod(path, 0o644)
}

// pushTo sends an image to any registry: to that of the environment with the session,
// to others as the user's container tools are logged in.
func (a *App) pushTo(ctx context.Context, p *progress, img *image.Image, ref string) (string, error) {
	registry, repository, tag, err := image.SplitReference(ref)
	if err != nil {
		return "", err
	}
	o, own := a.ownRegistry(ctx, registry)
	if own {
		if err := a.mayChange(); err != nil {
			return "", err
		}
	}
	if own && strings.Count(repository, "/") != 1 {
		return "", usage("micro build --help", "a repository of the environment is NAMESPACE/NAME, not %q", repository)
	}
	o.Registry, o.Repository, o.Tag, o.Progress = registry, repository, tag, showStage(p)
	if _, err := img.Push(ctx, o); err != nil {
		return "", err
	}
	return registry + "/" + repository, nil
}

// ownRegistry returns how to reach a registry if it is that of the environment, and
// somebody is logged in there.
func (a *App) ownRegistry(ctx context.Context, host string) (image.PushOptions, bool) {
	o, err := a.registry(nil, "")
	if err != nil || o.Registry != host || !a.hasSession() {
		return image.PushOptions{}, false
	}
	_, err = a.Token(ctx)
	return o, err == nil
}

// hasSession reports whether somebody is logged in to the environment, as far as this
// machine knows.
func (a *App) hasSession() bool {
	e, err := a.Env()
	return err == nil && (e.Account != "" || a.Getenv(envs.EnvToken) != "")
}
