// Package registry is the server's image registry: the HTTP API of the OCI
// distribution specification 1.1 over one OCI layout per repository.
//
//	DIR/NAMESPACE/SERVICE/    the layout of a repository, see package layout
//	DIR/.uploads/             what has not arrived whole yet
//
// Repositories share nothing, so that what one namespace may not see cannot
// leak from another. Uploads do not survive a restart; a client begins them
// again. Who may do what is for [Options.Authorize] to say.
package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/micro/micro/v3/image/layout"
)

// Errors that callers tell apart with [errors.Is].
var (
	// ErrNotFound is returned for a repository, an image or a blob that is not
	// there.
	ErrNotFound = layout.ErrNotFound
	// ErrPlatform is returned for an image that there is not for a platform.
	ErrPlatform = layout.ErrPlatform
	// ErrInUse is returned for the removal of an image that somebody needs.
	ErrInUse = errors.New("the image is in use")
	// ErrName is returned for what is no name of a repository or an image here.
	ErrName = errors.New("invalid name")

	// ErrUnauthenticated is what [Options.Authorize] returns for a request that
	// does not say who sends it, or not truly.
	ErrUnauthenticated = errors.New("authentication required")
	// ErrDenied is what [Options.Authorize] returns for a request of somebody
	// who may not do this.
	ErrDenied = errors.New("denied")
	// ErrFull is what [Options.Authorize] returns when there is no room to note what
	// was allowed.
	ErrFull = errors.New("no disk space left")
)

// Action is what a request does to a repository.
type Action string

// The actions.
const (
	Pull   Action = "pull"
	Push   Action = "push"
	Delete Action = "delete"
)

// Options are settings of a registry. The zero value lets everybody do
// everything.
type Options struct {
	// Authorize says whether a request may do something to a repository, by
	// nil, [ErrUnauthenticated], [ErrDenied], [ErrFull] or an error that is answered as
	// the server's own. The repository is empty for a request that only asks
	// whether there is a registry.
	Authorize func(ctx context.Context, r *http.Request, repository string, action Action) error
	// Challenge returns the WWW-Authenticate header of the answer to a request
	// that is not authenticated; nil: there is none.
	Challenge func(r *http.Request) string

	// Needed returns the images of a namespace that somebody needs, as
	// NAMESPACE/SERVICE@DIGEST, whether they have tags or not: they cannot be
	// deleted, and [Registry.Prune] leaves them. Nil: there are none.
	Needed func(ctx context.Context, namespace string) ([]string, error)

	MaxBlob      int64         // the largest blob in bytes; 0: 4 GiB
	MaxLayer     int64         // the most that a layer may hold uncompressed; 0: 16 GiB
	MaxUploads   int           // of one namespace at one time; 0: 256
	UploadExpiry time.Duration // an upload that rests for so long is given up; 0: 1 h

	Log *slog.Logger // of errors that are the server's own; nil: none
}

// Registry keeps images and serves them. Its methods are safe for concurrent
// use. One process at a time has a directory open.
type Registry struct {
	dir     string
	options Options
	mux     *http.ServeMux

	// removing is held to read by whatever removes something, and to write by who
	// needs that nothing is.
	removing sync.RWMutex

	mu      sync.Mutex
	layouts map[string]*layout.Layout // by repository
	uploads map[string]*upload        // by id
	closed  bool
}

var _ http.Handler = (*Registry)(nil)

// Open opens the registry in a directory, which is made when it is not there.
// What an earlier process left of uploads is removed.
func Open(dir string, o Options) (*Registry, error) {
	if o.MaxBlob == 0 {
		o.MaxBlob = 4 << 30
	}
	if o.MaxLayer == 0 {
		o.MaxLayer = 16 << 30
	}
	if o.MaxUploads == 0 {
		o.MaxUploads = 256
	}
	if o.UploadExpiry == 0 {
		o.UploadExpiry = time.Hour
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	r := &Registry{
		dir: dir, options: o,
		layouts: map[string]*layout.Layout{},
		uploads: map[string]*upload{},
	}
	if err := os.RemoveAll(r.staging()); err != nil {
		return nil, fmt.Errorf("open registry: %w", err)
	}
	if err := os.MkdirAll(r.staging(), 0o700); err != nil {
		return nil, fmt.Errorf("open registry: %w", err)
	}
	r.mux = r.routes()
	return r, nil
}

// Inspect returns the registry in a directory for looking at it alone: nothing is made
// or removed, and it must not serve. It need not be closed.
func Inspect(dir string) *Registry {
	return &Registry{dir: dir, options: Options{MaxLayer: 16 << 30}, layouts: map[string]*layout.Layout{}}
}

// Close gives up the uploads that are under way. The handler answers nothing
// any more but that it is closed.
func (r *Registry) Close() error {
	r.mu.Lock()
	r.closed = true
	uploads := r.uploads
	r.uploads = map[string]*upload{}
	r.mu.Unlock()
	var errs []error
	for _, u := range uploads {
		u.timer.Stop()
		if u.mu.TryLock() { // else a request has it; Open removes what is left
			errs = append(errs, u.discard())
			u.mu.Unlock()
		}
	}
	return errors.Join(errs...)
}

func (r *Registry) staging() string { return filepath.Join(r.dir, ".uploads") }

// layout returns the layout of a repository whose name is valid. It is on the
// disk only after something was put there.
func (r *Registry) layout(repository string) *layout.Layout {
	r.mu.Lock()
	defer r.mu.Unlock()
	l, ok := r.layouts[repository]
	if !ok {
		l = layout.New(filepath.Join(r.dir, filepath.FromSlash(repository)), r.staging())
		r.layouts[repository] = l
	}
	return l
}
