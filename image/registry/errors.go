package registry

import (
	"encoding/json"
	"errors"
	"net/http"
	"syscall"

	"github.com/micro/micro/v3/image/layout"
)

// apiError is an answer as the specification has it: a status with a code.
type apiError struct {
	status  int
	code    string
	message string
}

func (e *apiError) Error() string { return e.message }

func errorf(status int, code, message string) *apiError {
	return &apiError{status: status, code: code, message: message}
}

// fail answers with an error.
func (r *Registry) fail(w http.ResponseWriter, req *http.Request, err error) {
	e := r.classify(req, err)
	if e.status == http.StatusUnauthorized && r.options.Challenge != nil {
		w.Header().Set("WWW-Authenticate", r.options.Challenge(req))
	}
	type entry struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.status)
	if req.Method == http.MethodHead {
		return
	}
	body := struct {
		Errors []entry `json:"errors"`
	}{[]entry{{e.code, e.message}}}
	// A client that is gone has nobody to tell.
	_ = json.NewEncoder(w).Encode(body)
}

// classify turns an error into the answer that the specification wants. What
// is the server's own fault is logged and not told.
func (r *Registry) classify(req *http.Request, err error) *apiError {
	var e *apiError
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, ErrUnauthenticated):
		return errorf(http.StatusUnauthorized, "UNAUTHORIZED", ErrUnauthenticated.Error())
	case errors.Is(err, ErrDenied):
		return errorf(http.StatusForbidden, "DENIED", "requested access to the resource is denied")
	case errors.Is(err, layout.ErrDigest):
		return errorf(http.StatusBadRequest, "DIGEST_INVALID", layout.ErrDigest.Error())
	case errors.Is(err, layout.ErrUnknownBlob):
		return errorf(http.StatusNotFound, "MANIFEST_BLOB_UNKNOWN", err.Error())
	case errors.Is(err, layout.ErrInvalid):
		return errorf(http.StatusBadRequest, "MANIFEST_INVALID", err.Error())
	case errors.Is(err, ErrInUse), errors.Is(err, layout.ErrInUse):
		return errorf(http.StatusConflict, "DENIED", err.Error())
	case errors.Is(err, layout.ErrTooLarge), errors.As(err, &tooLarge):
		return errorf(http.StatusRequestEntityTooLarge, "SIZE_INVALID", "the content is too large")
	case errors.Is(err, ErrFull), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		r.options.Log.ErrorContext(req.Context(), "registry out of disk space", "path", req.URL.Path, "err", err)
		return errorf(http.StatusInsufficientStorage, "UNKNOWN", "the registry has no disk space left")
	case req.Context().Err() != nil:
		return errorf(http.StatusServiceUnavailable, "UNKNOWN", "the request was given up")
	default:
		r.options.Log.ErrorContext(req.Context(), "registry request", "method", req.Method, "path", req.URL.Path, "err", err)
		return errorf(http.StatusInternalServerError, "UNKNOWN", "internal error")
	}
}
