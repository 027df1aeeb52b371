package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/micro/micro/v3/image/layout"
)

// Grace is how long what nothing needs stays at least, because what needs it may be on
// its way: longer than an upload may rest.
const Grace = 2 * time.Hour

// Swept is what was removed; see [layout.Swept].
type Swept = layout.Swept

// Prune removes from the repositories of a namespace, or of all when it is empty, what
// is older than grace and nothing needs: no tag, nobody that [Options.Needed] knows of,
// no index and no image that it refers to. A repository that cannot be read stays as it
// is, and the others are done. With dryRun nothing is removed.
//
// It is safe at any time, beside pushes too: what a client was told is there stays there
// for the grace.
func (r *Registry) Prune(ctx context.Context, namespace string, grace time.Duration, dryRun bool) (Swept, error) {
	var total Swept
	repositories, err := r.Repositories(ctx)
	if err != nil {
		return total, err
	}
	var errs []error
	for _, repository := range repositories {
		if ns, _, _ := strings.Cut(repository, "/"); namespace != "" && ns != namespace {
			continue
		}
		needed, err := r.needed(ctx, repository)
		if err == nil {
			var swept Swept
			r.removing.RLock()
			swept, err = r.layout(repository).Sweep(ctx, layout.Sweep{Needed: needed, Grace: grace, DryRun: dryRun})
			r.removing.RUnlock()
			total.Manifests += swept.Manifests
			total.Blobs += swept.Blobs
			total.Bytes += swept.Bytes
			total.Young += swept.Young
		}
		if ctx.Err() != nil {
			return total, context.Cause(ctx)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("repository %s: %w", repository, err))
		}
	}
	return total, errors.Join(errs...)
}

// needed returns the manifests of a repository that somebody needs. It is never nil.
func (r *Registry) needed(ctx context.Context, repository string) (map[v1.Hash]bool, error) {
	needed := map[v1.Hash]bool{}
	if r.options.Needed == nil {
		return needed, nil
	}
	namespace, _, _ := strings.Cut(repository, "/")
	refs, err := r.options.Needed(ctx, namespace)
	if err != nil {
		return nil, fmt.Errorf("images in use: %w", err)
	}
	for _, ref := range refs {
		name, digest, _ := strings.Cut(ref, "@")
		if d, err := layout.ParseDigest(digest); err == nil && name == repository {
			needed[d] = true
		}
	}
	return needed, nil
}

// Remove takes a tag away, or removes an image with its tags when ref has a digest, or
// all of a repository when ref is its name alone. What they were made of goes with
// [Registry.Prune]. The error is [ErrNotFound], or [ErrInUse] for an image that
// somebody needs.
func (r *Registry) Remove(ctx context.Context, ref string) error {
	if validRepository(ref) {
		return r.removeAll(ctx, ref)
	}
	repository, reference, err := r.enter(ctx, ref)
	if err != nil {
		return err
	}
	r.removing.RLock()
	defer r.removing.RUnlock()
	if d, perr := layout.ParseDigest(reference); perr == nil {
		err = r.deleteDigest(ctx, repository, d)
	} else {
		err = r.layout(repository).DeleteTag(reference)
	}
	if err != nil && !errors.Is(err, ErrInUse) {
		return fmt.Errorf("%s: %w", repository, err)
	}
	return err
}

func (r *Registry) removeAll(ctx context.Context, repository string) error {
	needed, err := r.needed(ctx, repository)
	if err != nil {
		return err
	}
	for d := range needed {
		if _, err := r.layout(repository).Resolve(d.String()); err == nil {
			return fmt.Errorf("%s@%s: %w", repository, d, ErrInUse)
		}
	}
	if _, err := r.layout(repository).Tags(); err != nil {
		return fmt.Errorf("repository %s: %w", repository, err)
	}
	return r.Delete(ctx, repository)
}

// Listed is an image with its repository; see [layout.Listed].
type Listed struct {
	layout.Listed
	Repository string
	InUse      bool // somebody needs it
}

// Find returns one image, or [ErrNotFound].
func (r *Registry) Find(ctx context.Context, ref string) (Listed, error) {
	repository, reference, err := r.enter(ctx, ref)
	if err != nil {
		return Listed{}, err
	}
	l := r.layout(repository)
	desc, err := l.Resolve(reference)
	if err != nil {
		return Listed{}, fmt.Errorf("%s: %w", repository, err)
	}
	list, err := l.List()
	if err != nil {
		return Listed{}, fmt.Errorf("repository %s: %w", repository, err)
	}
	needed, err := r.needed(ctx, repository)
	if err != nil {
		return Listed{}, err
	}
	for _, i := range list {
		if i.Digest == desc.Digest.String() {
			return Listed{i, repository, needed[desc.Digest]}, nil
		}
	}
	return Listed{}, fmt.Errorf("%s: it is a part of an image: %w", ref, ErrNotFound)
}

// CheckReference returns [ErrName] for what cannot name an image here.
func CheckReference(ref string) error {
	_, _, err := parseReference(ref)
	return err
}

// List returns the images of a namespace, by the names of their repositories and the
// newest first, and how much their repositories take on the disk.
func (r *Registry) List(ctx context.Context, namespace string) ([]Listed, int64, error) {
	repositories, err := r.Repositories(ctx)
	if err != nil {
		return nil, 0, err
	}
	var all []Listed
	var total int64
	for _, repository := range repositories {
		if ns, _, _ := strings.Cut(repository, "/"); ns != namespace {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, 0, err
		}
		l := r.layout(repository)
		list, err := l.List()
		if err != nil {
			return nil, 0, fmt.Errorf("repository %s: %w", repository, err)
		}
		size, err := l.Bytes()
		if err != nil {
			return nil, 0, fmt.Errorf("repository %s: %w", repository, err)
		}
		needed, err := r.needed(ctx, repository)
		if err != nil {
			return nil, 0, err
		}
		total += size
		for _, i := range list {
			d, err := layout.ParseDigest(i.Digest)
			all = append(all, Listed{i, repository, err == nil && needed[d]})
		}
	}
	return all, total, nil
}
