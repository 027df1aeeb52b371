package registry

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/micro/micro/v3/image/layout"
)

// Image returns the image NAMESPACE/SERVICE@sha256:HEX or NAMESPACE/SERVICE:TAG,
// of an index the one for a platform such as "linux/amd64"; see
// [layout.Layout.Image]. The error is [ErrNotFound], [ErrPlatform] or
// [ErrName].
func (r *Registry) Image(ctx context.Context, ref, platform string) (*layout.Image, error) {
	repository, reference, err := r.enter(ctx, ref)
	if err != nil {
		return nil, err
	}
	image, err := r.layout(repository).Image(reference, platform, r.options.MaxLayer)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", repository, err)
	}
	return image, nil
}

// Exists reports whether there is a manifest with this reference, by nil or
// [ErrNotFound]. [Registry.Prune] leaves it for its grace, so that who asked can
// make use of it.
func (r *Registry) Exists(ctx context.Context, ref string) error {
	repository, reference, err := r.enter(ctx, ref)
	if err != nil {
		return err
	}
	if _, err := r.layout(repository).Touch(reference); err != nil {
		return fmt.Errorf("%s: %w", repository, err)
	}
	return nil
}

// Attachment returns the content of what was attached to an image last as an
// artifact of a type, such as its schema. The error is [ErrNotFound] when there
// is none; one of more than limit bytes is not returned.
func (r *Registry) Attachment(ctx context.Context, ref, artifactType string, limit int64) ([]byte, error) {
	repository, reference, err := r.enter(ctx, ref)
	if err != nil {
		return nil, err
	}
	data, err := r.layout(repository).Attachment(reference, artifactType, limit)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", repository, err)
	}
	return data, nil
}

// Repositories returns the names of the repositories that there are, in order.
func (r *Registry) Repositories(ctx context.Context) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	dirs, err := fs.Glob(os.DirFS(r.dir), "*/*/oci-layout")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, dir := range dirs {
		if name := filepath.ToSlash(filepath.Dir(dir)); validRepository(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Delete removes a repository with everything in it. One that is not there is
// no error.
func (r *Registry) Delete(ctx context.Context, repository string) error {
	if !validRepository(repository) {
		return fmt.Errorf("%w %q: want NAMESPACE/SERVICE", ErrName, repository)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	r.removing.RLock()
	defer r.removing.RUnlock()
	if err := r.layout(repository).Delete(); err != nil {
		return fmt.Errorf("delete repository %s: %w", repository, err)
	}
	return nil
}

// CopyTo makes a copy of all repositories in a directory, which shares their files
// where the file system can. It calls first and then copies; nothing is removed from
// before first until the end, and what was there after it is in the copy.
func (r *Registry) CopyTo(ctx context.Context, dir string, first func() error) error {
	r.removing.Lock()
	defer r.removing.Unlock()
	if err := first(); err != nil {
		return err
	}
	repositories, err := r.Repositories(ctx)
	if err != nil {
		return err
	}
	for _, repository := range repositories {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.layout(repository).CopyTo(filepath.Join(dir, filepath.FromSlash(repository))); err != nil {
			return fmt.Errorf("copy repository %s: %w", repository, err)
		}
	}
	return nil
}

// Check reads all repositories and calls damaged for each file that is not what it must
// be, by its path below the directory of the registry; see [layout.Layout.Check].
func (r *Registry) Check(ctx context.Context, damaged func(file string, err error)) (blobs int, bytes int64, err error) {
	repositories, err := r.Repositories(ctx)
	if err != nil {
		return 0, 0, err
	}
	for _, repository := range repositories {
		n, size, err := r.layout(repository).Check(ctx, func(file string, err error) {
			damaged(filepath.Join(filepath.FromSlash(repository), file), err)
		})
		blobs, bytes = blobs+n, bytes+size
		if err != nil {
			return blobs, bytes, err
		}
	}
	return blobs, bytes, nil
}

func (r *Registry) enter(ctx context.Context, ref string) (repository, reference string, err error) {
	if err := ctx.Err(); err != nil {
		return "", "", err
	}
	return parseReference(ref)
}
