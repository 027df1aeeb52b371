package image

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/storer"
)

// fetchFile returns the source of what is committed in a repository on this
// machine. It takes the objects out of it as they lie there.
func fetchFile(ctx context.Context, r reference, o FetchOptions) (*Source, error) {
	r, err := findRepository(r.url.Path)
	if err != nil {
		return nil, err
	}
	report(o.Progress, Event{Stage: Fetching, Message: r.address})
	repository, err := git.PlainOpenWithOptions(osPath(r.url.Path), &git.PlainOpenOptions{EnableDotGitCommonDir: true})
	if err != nil {
		return nil, fmt.Errorf("repository %s: %w", r.address, err)
	}
	start, ref, err := resolveFile(repository, r)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(o.TempDir, "micro-source-*")
	if err != nil {
		return nil, err
	}
	s, err := export(ctx, repository.Storer, start, r, dir, o)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	s.Ref = ref
	return s, nil
}

// findRepository takes the path of a file address apart: the repository is the
// deepest directory on the way that is one. Both a directory and a ref can have
// an "@" in them; the reading that leads to the deepest repository is meant.
func findRepository(p string) (reference, error) {
	var best reference
	found := ""
	for end := len(p); end > 0; end = strings.LastIndexByte(p[:end], '@') {
		path, ref := p[:end], ""
		if end < len(p) {
			ref = p[end+1:]
		}
		repository, folder := ascend(path)
		if len(repository) <= len(found) || end < len(p) && !validRef(ref) {
			continue
		}
		folder, err := cleanFolder(folder)
		if err != nil {
			return reference{}, err
		}
		found = repository
		best = reference{
			url: &url.URL{Scheme: "file", Path: repository}, address: "file://" + repository,
			folder: folder, ref: ref,
		}
	}
	if found == "" {
		return reference{}, fmt.Errorf("git repository at or above %s: %w", p, ErrNotFound)
	}
	// What is left may still have the ref: in it, too, the first "@" counts.
	if best.ref == "" {
		folder, ref, err := cutRef(best.folder)
		if err != nil {
			return reference{}, fmt.Errorf("address file://%s: %w", p, err)
		}
		best.folder, best.ref = folder, ref
	}
	return best, nil
}

// ascend returns the deepest repository on the way to a path, and the rest of
// the path. Where the path has "//", that is where the repository ends.
func ascend(path string) (repository, folder string) {
	if before, after, ok := strings.Cut(strings.TrimLeft(path, "/"), "//"); ok {
		if before = "/" + before; isRepository(before) {
			return before, after
		}
		return "", ""
	}
	path = strings.TrimSuffix(path, "/")
	for at := path; at != ""; at = at[:strings.LastIndexByte(at, '/')] {
		if isRepository(at) {
			return at, strings.TrimPrefix(path[len(at):], "/")
		}
	}
	return "", ""
}

// isRepository reports whether a directory is a repository, with or without a
// working tree.
func isRepository(dir string) bool {
	exists := func(names ...string) bool {
		for _, name := range names {
			if _, err := os.Stat(filepath.Join(osPath(dir), name)); err != nil {
				return false
			}
		}
		return true
	}
	return exists(".git") || exists("HEAD", "objects", "refs")
}

// osPath returns the path of a file address as this system writes it.
func osPath(p string) string {
	if runtime.GOOS == "windows" && len(p) > 2 && p[2] == ':' {
		p = p[1:] // /C:/src
	}
	return filepath.FromSlash(p)
}

// resolveFile returns what a reference names in a repository on this machine.
func resolveFile(repository *git.Repository, r reference) (start plumbing.Hash, ref string, err error) {
	names := &refs{byName: map[string]plumbing.Hash{}}
	all, err := repository.References()
	if err != nil {
		return start, "", fmt.Errorf("repository %s: %w", r.address, err)
	}
	err = all.ForEach(func(ref *plumbing.Reference) error {
		if ref.Type() == plumbing.HashReference {
			names.byName[ref.Name().String()] = ref.Hash()
		}
		return nil
	})
	if err != nil {
		return start, "", fmt.Errorf("repository %s: %w", r.address, err)
	}
	if start, ok := names.find(r.ref); ok {
		return start, r.ref, nil
	}
	if r.ref == "" || r.ref == "latest" {
		head, err := repository.Head()
		if err != nil {
			return start, "", fmt.Errorf("repository %s has no commit at its HEAD: %w", r.address, ErrNotFound)
		}
		if head.Name().IsBranch() {
			ref = head.Name().Short()
		}
		return head.Hash(), ref, nil
	}
	if !isDigits(r.ref) {
		return start, "", &RefError{Address: r.address, Ref: r.ref, Near: names.near(r.ref)}
	}
	start, err = commitWithPrefix(repository.Storer, r)
	return start, r.ref, err
}

// commitWithPrefix finds a commit by its first digits.
func commitWithPrefix(objects storer.EncodedObjectStorer, r reference) (plumbing.Hash, error) {
	h := plumbing.NewHash(r.ref)
	if len(r.ref) < 40 {
		return findCommit(objects, r)
	}
	if _, err := objects.EncodedObject(plumbing.CommitObject, h); err != nil {
		return h, &RefError{Address: r.address, Ref: r.ref}
	}
	return h, nil
}
