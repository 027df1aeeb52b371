package registry

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/micro/micro/v3/image/layout"
)

// call is a request about a repository whose name is valid and that its sender
// may make.
type call struct {
	w          http.ResponseWriter
	req        *http.Request
	repository string
	layout     *layout.Layout
}

// methods are the handlers of one path by their method. HEAD is answered by
// that of GET.
type methods map[string]func(*Registry, *call) error

func (r *Registry) routes() *http.ServeMux {
	mux := http.NewServeMux()
	const repository = "/v2/{namespace}/{service}/"
	for path, m := range map[string]methods{
		"blobs/{digest}": {
			http.MethodGet:    (*Registry).getBlob,
			http.MethodDelete: (*Registry).deleteBlob,
		},
		"blobs/uploads/{$}": {http.MethodPost: (*Registry).startUpload},
		"blobs/uploads":     {http.MethodPost: (*Registry).startUpload},
		"blobs/uploads/{id}": {
			http.MethodGet:    (*Registry).getUpload,
			http.MethodPatch:  (*Registry).appendUpload,
			http.MethodPut:    (*Registry).finishUpload,
			http.MethodDelete: (*Registry).cancelUpload,
		},
		"manifests/{reference}": {
			http.MethodGet:    (*Registry).getManifest,
			http.MethodPut:    (*Registry).putManifest,
			http.MethodDelete: (*Registry).deleteManifest,
		},
		"tags/list":          {http.MethodGet: (*Registry).listTags},
		"referrers/{digest}": {http.MethodGet: (*Registry).listReferrers},
	} {
		mux.HandleFunc(repository+path, r.handle(m))
	}
	mux.HandleFunc("/v2/{$}", r.base)
	mux.HandleFunc("/", r.other)
	return mux
}

// ServeHTTP answers the requests whose path begins with /v2/.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	r.mu.Lock()
	closed := r.closed
	r.mu.Unlock()
	if closed {
		r.fail(w, req, errorf(http.StatusServiceUnavailable, "UNKNOWN", "the registry is closed"))
		return
	}
	r.mux.ServeHTTP(w, req)
}

// handle returns the handler of a path: it finds the method, checks the name
// and asks whether the sender may.
func (r *Registry) handle(m methods) http.HandlerFunc {
	allowed := allow(m)
	return func(w http.ResponseWriter, req *http.Request) {
		method := req.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		f, ok := m[method]
		if !ok {
			w.Header().Set("Allow", allowed)
			r.fail(w, req, errorf(http.StatusMethodNotAllowed, "UNSUPPORTED", "the method is not supported here"))
			return
		}
		repository := req.PathValue("namespace") + "/" + req.PathValue("service")
		if !validRepository(repository) {
			r.fail(w, req, errInvalidName)
			return
		}
		if err := r.authorize(req, repository, actionOf(req.Method, req.URL.Path)); err != nil {
			r.fail(w, req, err)
			return
		}
		c := &call{w: w, req: req, repository: repository, layout: r.layout(repository)}
		if err := f(r, c); err != nil {
			r.fail(w, req, err)
		}
	}
}

var errInvalidName = errorf(http.StatusBadRequest, "NAME_INVALID", "the name of a repository is NAMESPACE/SERVICE, two DNS labels")

func (r *Registry) authorize(req *http.Request, repository string, action Action) error {
	if r.options.Authorize == nil {
		return nil
	}
	return r.options.Authorize(req.Context(), req, repository, action)
}

// actionOf returns what a request does. To cancel an upload of one's own is
// part of pushing.
func actionOf(method, path string) Action {
	switch method {
	case http.MethodGet, http.MethodHead:
		if strings.Contains(path, "/blobs/uploads/") {
			return Push
		}
		return Pull
	case http.MethodDelete:
		if strings.Contains(path, "/blobs/uploads/") {
			return Push
		}
		return Delete
	default:
		return Push
	}
}

// allow returns the methods for an Allow header.
func allow(m methods) string {
	var names []string
	for name := range m {
		names = append(names, name)
		if name == http.MethodGet {
			names = append(names, http.MethodHead)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// base answers the question whether this is a registry.
func (r *Registry) base(w http.ResponseWriter, req *http.Request) {
	if err := r.authorize(req, "", Pull); err != nil {
		r.fail(w, req, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	// A client that is gone has nobody to tell.
	_, _ = w.Write([]byte("{}\n"))
}

// other answers what has no handler. Most of it are repositories whose names
// have one part or three.
func (r *Registry) other(w http.ResponseWriter, req *http.Request) {
	for _, part := range []string{"/blobs/", "/manifests/", "/tags/list", "/referrers/"} {
		if strings.Contains(req.URL.Path, part) {
			r.fail(w, req, errInvalidName)
			return
		}
	}
	r.fail(w, req, errorf(http.StatusNotFound, "UNSUPPORTED", "there is nothing here"))
}

// digest returns the digest in the request's path.
func (c *call) digest() (v1.Hash, error) {
	d, err := layout.ParseDigest(c.req.PathValue("digest"))
	if err != nil {
		return d, errorf(http.StatusBadRequest, "DIGEST_INVALID", err.Error())
	}
	return d, nil
}

// unknown replaces [ErrNotFound] by the code that the specification has for a
// kind of thing.
func unknown(err error, code string) error {
	if errors.Is(err, ErrNotFound) {
		return errorf(http.StatusNotFound, code, err.Error())
	}
	return err
}
