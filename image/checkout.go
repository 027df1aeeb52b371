package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"
)

// maxDepth is how deep folders may lie in each other.
const maxDepth = 64

// checkout writes the files of a commit. A tree is a stranger's: it may have
// names that lead elsewhere, links out of itself, and more in it than a disk
// takes.
type checkout struct {
	objects storer.EncodedObjectStorer
	root    *os.Root
	left    limits
	links   []string
	skipped []string // what was left out, for people
}

// write writes the files of a tree into the root, which is empty.
func (c *checkout) write(ctx context.Context, tree plumbing.Hash) error {
	if err := c.folder(ctx, tree, ""); err != nil {
		return err
	}
	return c.checkLinks()
}

func (c *checkout) folder(ctx context.Context, tree plumbing.Hash, at string) error {
	if strings.Count(at, "/") > maxDepth {
		return fmt.Errorf("more than %d folders in each other: %w", maxDepth, ErrTooLarge)
	}
	t, err := object.GetTree(c.objects, tree)
	if err != nil {
		return fmt.Errorf("folder %q: %w", at, err)
	}
	for _, e := range t.Entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !validEntry(e.Name) {
			return fmt.Errorf("folder %q: git does not allow the name %q", at, e.Name)
		}
		if c.left.files--; c.left.files < 0 {
			return fmt.Errorf("too many files: %w", ErrTooLarge)
		}
		if err := c.entry(ctx, e, path.Join(at, e.Name)); err != nil {
			return err
		}
	}
	return nil
}

// validEntry reports whether a name may be in a tree.
func validEntry(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.EqualFold(name, ".git") &&
		!strings.ContainsAny(name, "/\\\x00")
}

func (c *checkout) entry(ctx context.Context, e object.TreeEntry, at string) error {
	switch e.Mode {
	case filemode.Dir:
		if err := c.root.Mkdir(at, 0o755); err != nil {
			return err
		}
		return c.folder(ctx, e.Hash, at)
	case filemode.Submodule:
		c.skipped = append(c.skipped, at+" is a submodule")
		return c.root.Mkdir(at, 0o755)
	case filemode.Symlink:
		target, err := c.content(e.Hash, 4096)
		if err != nil {
			return fmt.Errorf("link %q: %w", at, err)
		}
		c.links = append(c.links, at)
		return c.root.Symlink(string(target), at)
	case filemode.Executable:
		return c.file(e.Hash, at, 0o755)
	default:
		return c.file(e.Hash, at, 0o644)
	}
}

func (c *checkout) blob(h plumbing.Hash, limit int64) (io.ReadCloser, int64, error) {
	o, err := c.objects.EncodedObject(plumbing.BlobObject, h)
	if err != nil {
		return nil, 0, err
	}
	if o.Size() > limit {
		return nil, 0, fmt.Errorf("%d bytes, at most %d are taken: %w", o.Size(), limit, ErrTooLarge)
	}
	r, err := o.Reader()
	return r, o.Size(), err
}

func (c *checkout) content(h plumbing.Hash, limit int64) ([]byte, error) {
	r, _, err := c.blob(h, limit)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, limit))
}

func (c *checkout) file(h plumbing.Hash, at string, mode fs.FileMode) error {
	r, size, err := c.blob(h, min(c.left.file, c.left.bytes))
	if err != nil {
		return fmt.Errorf("file %q: %w", at, err)
	}
	defer r.Close()
	c.left.bytes -= size
	f, err := c.root.OpenFile(at, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, io.LimitReader(r, size))
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("file %q: %w", at, err)
	}
	return nil
}

// checkLinks removes the links that lead out of the root. It begins when all
// are there, because one can lead through another.
func (c *checkout) checkLinks() error {
	for _, at := range c.links {
		_, err := c.root.Stat(at)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			continue // it leads into the root, or nowhere
		}
		if err := c.root.Remove(at); err != nil {
			return err
		}
		c.skipped = append(c.skipped, at+" is a link that leads out of the repository")
	}
	return nil
}

// export writes the files of the commit that start leads to below dir, and
// returns the source in the reference's folder. The source removes dir.
func export(ctx context.Context, objects storer.EncodedObjectStorer, start plumbing.Hash, r reference, dir string, o FetchOptions) (*Source, error) {
	commit, err := peel(objects, start)
	if err != nil {
		return nil, fmt.Errorf("repository %s: commit %s: %w", r.address, start, err)
	}
	base := filepath.Join(dir, "src")
	if err := os.Mkdir(base, 0o755); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(base)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	c := &checkout{objects: objects, root: root, left: o.limits()}
	if err := c.write(ctx, commit.TreeHash); err != nil {
		return nil, fmt.Errorf("repository %s: %w", r.address, err)
	}
	for _, text := range c.skipped {
		report(o.Progress, Event{Stage: Fetching, Message: "left out: " + text, Warning: true})
	}
	info, err := root.Stat(filepath.FromSlash(path.Join(".", r.folder)))
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return nil, fmt.Errorf("folder %q in %s at %s: %w", r.folder, r.address, commit.Hash.String()[:12], ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	name := r.folder
	if name == "" {
		name = strings.ReplaceAll(r.address, ":", "/")
	}
	return &Source{
		Dir:      filepath.Join(base, filepath.FromSlash(r.folder)),
		Name:     serviceName(path.Base(name)),
		Address:  r.address,
		Folder:   r.folder,
		Revision: commit.Hash.String(),
		root:     base,
		close:    func() error { return os.RemoveAll(dir) },
	}, nil
}

// peel returns the commit that a hash leads to, through tags.
func peel(objects storer.EncodedObjectStorer, h plumbing.Hash) (*object.Commit, error) {
	for range 8 {
		o, err := objects.EncodedObject(plumbing.AnyObject, h)
		if err != nil {
			return nil, err
		}
		switch o.Type() {
		case plumbing.CommitObject:
			return object.GetCommit(objects, h)
		case plumbing.TagObject:
			tag, err := object.GetTag(objects, h)
			if err != nil {
				return nil, err
			}
			h = tag.Target
		default:
			return nil, fmt.Errorf("it is a %s", o.Type())
		}
	}
	return nil, errors.New("a tag of a tag of a tag")
}
