package server

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/micro/micro/v3/backend/audit"
	"github.com/micro/micro/v3/backend/auth"
	images "github.com/micro/micro/v3/image/registry"
)

// imageRecord is the record of a request to the image registry, once it is known
// what that does.
type imageRecord struct{ *recording }

type imageRecordKey struct{}

// images records which requests of an image registry change what it holds.
func (r *recorder) images(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		rec := &imageRecord{}
		answer := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(answer, req.WithContext(context.WithValue(req.Context(), imageRecordKey{}, rec)))
		var failed error
		if answer.status >= http.StatusBadRequest {
			failed = httpError(answer.status)
		}
		// The answer is on its way already.
		_ = rec.end(req.Context(), failed)
	})
}

// image records a request that changes an image, before it does.
func (r *recorder) image(ctx context.Context, c caller, method, repository string, refusal error) error {
	rec, err := r.recording(context.WithValue(ctx, callerKey{}, c), access{}, "/Images/"+method, nil)
	if refusal != nil {
		if err == nil {
			rec.entry.Object = repository
			rec.note(audit.Refused, r.reason(refusal))
		}
		return refusal
	}
	if err != nil {
		return err
	}
	rec.entry.Object = repository
	if slot, ok := ctx.Value(imageRecordKey{}).(*imageRecord); ok {
		slot.recording = rec
	}
	return rec.begin(ctx)
}

// httpError is the status of an answer.
type httpError int

func (e httpError) Error() string { return http.StatusText(int(e)) }

// isRefusal reports whether an error says that the caller may not.
func isRefusal(err error) bool {
	return errors.Is(err, auth.ErrNotFound) || errors.Is(err, auth.ErrAnonymous) || errors.Is(err, auth.ErrDenied)
}

// changes returns what a request changes of the images of a repository, for the audit
// log; nothing when it only looks, or brings parts that no image has yet.
func changes(r *http.Request, action images.Action) string {
	switch {
	case action == images.Delete:
		return "Delete"
	case action == images.Push && strings.Contains(r.URL.Path, "/manifests/"):
		return "Push"
	default:
		return ""
	}
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for [http.ResponseController].
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
