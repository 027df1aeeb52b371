package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// fetcher fetches one commit of one repository on another machine. It speaks
// the protocol itself where the library's clone would hold a pack in memory
// before anybody knows how large it is, and would write a history that nobody
// needs.
type fetcher struct {
	reference
	options FetchOptions
	dir     string // temporary
	packs   int
	auth    transport.AuthMethod
}

func fetchRemote(ctx context.Context, r reference, o FetchOptions) (*Source, error) {
	dir, err := os.MkdirTemp(o.TempDir, "micro-source-*")
	if err != nil {
		return nil, err
	}
	f := &fetcher{reference: r, options: o, dir: dir}
	s, err := f.source(ctx)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

func (f *fetcher) source(ctx context.Context) (*Source, error) {
	report(f.options.Progress, Event{Stage: Fetching, Message: f.address})
	storage, start, ref, err := f.fetch(ctx)
	if err != nil {
		return nil, err
	}
	s, err := export(ctx, storage, start, f.reference, f.dir, f.options)
	err = errors.Join(err, storage.Close())
	for n := range f.packs {
		err = errors.Join(err, os.RemoveAll(f.packDir(n+1)))
	}
	if err != nil {
		return nil, err
	}
	s.Ref = ref
	return s, nil
}

// fetch returns the objects of a commit, and the hash that leads to it.
func (f *fetcher) fetch(ctx context.Context) (storage *filesystem.Storage, start plumbing.Hash, ref string, err error) {
	c, err := f.dial(ctx)
	if err != nil {
		return nil, start, "", err
	}
	names := c.refs()
	start, ok := names.find(f.ref)
	switch {
	case ok:
		ref = f.ref
	case f.ref == "" || f.ref == "latest":
		if names.head.IsZero() {
			return nil, start, "", errors.Join(fmt.Errorf("repository %s is empty: %w", f.address, ErrNotFound), c.close())
		}
		start, ref = names.head, names.branch
	case isDigits(f.ref):
		return f.fetchCommit(ctx, c, names)
	default:
		return nil, start, "", errors.Join(&RefError{Address: f.address, Ref: f.ref, Near: names.near(f.ref)}, c.close())
	}
	storage, err = f.pack(ctx, c, request{wants: []plumbing.Hash{start}, shallow: true})
	return storage, start, ref, err
}

// fetchCommit finds a commit by its first digits. One that has a name, and one
// whose digits are all there, is asked for directly where the host allows it;
// else the history is searched, without its files where the host can leave them
// out.
func (f *fetcher) fetchCommit(ctx context.Context, c *connection, names *refs) (*filesystem.Storage, plumbing.Hash, string, error) {
	start, many := names.withPrefix(f.ref)
	if many {
		return nil, start, "", errors.Join(&RefError{Address: f.address, Ref: f.ref, Many: true}, c.close())
	}
	if start.IsZero() && len(f.ref) == 40 && c.anyCommit() {
		start = plumbing.NewHash(f.ref)
	}
	if !start.IsZero() {
		storage, err := f.pack(ctx, c, request{wants: []plumbing.Hash{start}, shallow: true})
		if errors.Is(err, transport.ErrEmptyUploadPackRequest) || isNotOurs(err) {
			err = &RefError{Address: f.address, Ref: f.ref}
		}
		return storage, start, f.ref, err
	}
	history := request{filter: c.adv.Capabilities.Supports(capability.Filter) && c.anyCommit()}
	for name, h := range names.byName {
		if strings.HasPrefix(name, "refs/heads/") || strings.HasPrefix(name, "refs/tags/") {
			history.wants = append(history.wants, h)
		}
	}
	report(f.options.Progress, Event{Stage: Fetching, Message: "searching the history for commit " + f.ref})
	storage, err := f.pack(ctx, c, history)
	if err != nil {
		return nil, start, "", err
	}
	start, err = findCommit(storage, f.reference)
	if err == nil && !history.filter {
		return storage, start, f.ref, nil
	}
	if err := errors.Join(err, storage.Close()); err != nil {
		return nil, start, "", err
	}
	if c, err = f.dial(ctx); err != nil {
		return nil, start, "", err
	}
	storage, err = f.pack(ctx, c, request{wants: []plumbing.Hash{start}, shallow: true})
	return storage, start, f.ref, err
}

// findCommit returns the one commit of a storage that begins with the digits of
// a reference.
func findCommit(objects storer.EncodedObjectStorer, r reference) (plumbing.Hash, error) {
	var found plumbing.Hash
	commits, err := objects.IterEncodedObjects(plumbing.CommitObject)
	if err != nil {
		return found, err
	}
	err = commits.ForEach(func(o plumbing.EncodedObject) error {
		if !strings.HasPrefix(o.Hash().String(), r.ref) || o.Hash() == found {
			return nil
		}
		if !found.IsZero() {
			return &RefError{Address: r.address, Ref: r.ref, Many: true}
		}
		found = o.Hash()
		return nil
	})
	if err == nil && found.IsZero() {
		err = &RefError{Address: r.address, Ref: r.ref}
	}
	return found, err
}

// request says which objects are wanted.
type request struct {
	wants   []plumbing.Hash
	shallow bool // no history
	filter  bool // commits and tags only
}

// pack asks for objects and returns them. It ends the connection.
func (f *fetcher) pack(ctx context.Context, c *connection, r request) (_ *filesystem.Storage, err error) {
	defer func() { err = errors.Join(err, c.close()) }()
	req := packp.NewUploadPackRequestFromCapabilities(c.adv.Capabilities)
	req.Wants = r.wants
	set := func(name capability.Capability, want bool) bool {
		return want && c.adv.Capabilities.Supports(name) && req.Capabilities.Set(name) == nil
	}
	set(capability.NoProgress, true)
	if set(capability.Shallow, r.shallow) {
		req.Depth = packp.DepthCommits(1)
	}
	if set(capability.Filter, r.filter) {
		req.Filter = packp.FilterTreeDepth(0)
	}
	resp, err := c.session.UploadPack(ctx, req)
	if err != nil {
		return nil, f.explain(err)
	}
	defer func() { err = errors.Join(err, resp.Close()) }()
	var pack io.Reader = resp
	switch {
	case req.Capabilities.Supports(capability.Sideband64k):
		pack = sideband.NewDemuxer(sideband.Sideband64k, resp)
	case req.Capabilities.Supports(capability.Sideband):
		pack = sideband.NewDemuxer(sideband.Sideband, resp)
	}
	f.packs++
	dir := f.packDir(f.packs)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	storage, err := unpack(ctx, pack, dir, f.options.limits(), func(done int64) {
		report(f.options.Progress, Event{Stage: Fetching, Message: f.address, Done: done})
	})
	if err != nil {
		return nil, f.explain(err)
	}
	return storage, nil
}

// packDir returns where the objects of a pack lie until the source is there.
func (f *fetcher) packDir(n int) string {
	return filepath.Join(f.dir, "git"+strconv.Itoa(n))
}

func (o FetchOptions) limits() limits {
	return limits{bytes: o.MaxBytes, file: o.MaxFile, files: o.MaxFiles}
}
