package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/micro/micro/v3/cli/words"
	"github.com/micro/micro/v3/image"
)

// content is what a service is to run: an image that was built, or one of another
// registry. Both have their names in the environment's registry before they are there.
type content struct {
	reference string // REPOSITORY@sha256:HEX
	source    *image.Source
	push      func(ctx context.Context) error
	close     func() error
}

// buildService builds a service from its source.
func (a *App) buildService(ctx context.Context, p *progress, ref, name string) (*content, error) {
	o := makeOptions{name: name}
	p.start("packaging", ref)
	source, err := o.fetch(ctx, a, p, ref)
	if err != nil {
		return nil, err
	}
	p.update(name + " from " + words.Source(sourceOf(source.Source)))
	platforms, err := o.platformsIn(ctx, a)
	if err != nil {
		return nil, errors.Join(err, source.Close())
	}
	img, err := o.build(ctx, a, p, source.Source, name, platforms)
	if err != nil {
		return nil, errors.Join(err, source.Close())
	}
	to, err := a.registry(p, name)
	return &content{
		reference: to.Repository + "@" + img.Digest(),
		source:    source.Source,
		push: func(ctx context.Context) error {
			what := fmt.Sprintf("%s (%s)", to.Repository, words.Size(img.Size()))
			p.start("pushing", what)
			if _, err := img.Push(ctx, to); err != nil {
				return err
			}
			p.update(what)
			return nil
		},
		close: func() error { return errors.Join(img.Close(), source.Close()) },
	}, err
}

// findImage finds an image in any registry.
func (a *App) findImage(ctx context.Context, p *progress, ref, name string) (*content, error) {
	o := makeOptions{}
	p.start("finding", ref)
	platforms, err := o.platformsIn(ctx, a)
	if err != nil {
		return nil, err
	}
	from, err := a.copyFrom(ctx, ref, platforms)
	if err != nil {
		return nil, err
	}
	found, err := image.Find(ctx, from)
	if err != nil {
		return nil, explainCopy(err, from)
	}
	to, err := a.registry(p, name)
	return &content{
		reference: to.Repository + "@" + found.Digest,
		source:    &image.Source{Address: found.Repository, Ref: found.Tag},
		push: func(ctx context.Context) error {
			p.start("copying", ref)
			copied, err := image.Copy(ctx, from, to)
			if err != nil {
				return err
			}
			p.update(fmt.Sprintf("%s to %s (%s)", ref, to.Repository, words.Size(copied.Size)))
			return nil
		},
		close: func() error { return nil },
	}, err
}
