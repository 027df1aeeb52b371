// Package errors are the errors that a service answers a call with, each with a code
// that is a status of HTTP.
//
//	return errors.NotFound("accounts", "there is no account %q", id)
//
// They reach callers of every kind as what they are: as the status of HTTP that they
// have at the gateway, as the nearest code of gRPC for programs, and so as an exit code
// of the command line:
//
//	BadRequest 400           INVALID_ARGUMENT
//	Unauthorized 401         UNAUTHENTICATED
//	Forbidden 403            PERMISSION_DENIED
//	NotFound 404             NOT_FOUND
//	MethodNotAllowed 405     UNIMPLEMENTED
//	Timeout 408              DEADLINE_EXCEEDED
//	Conflict 409             ABORTED
//	InternalServerError 500  INTERNAL
//	NotImplemented 501       UNIMPLEMENTED
//	BadGateway 502           UNAVAILABLE
//	ServiceUnavailable 503   UNAVAILABLE
//	GatewayTimeout 504       DEADLINE_EXCEEDED
//
// A service that is called gets them back with [FromError]. A service may return any
// other error as well: one of package google.golang.org/grpc/status is what it is, and
// what is neither is of the code UNKNOWN.
package errors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Error is an error with a code.
type Error struct {
	// Id says where it comes from, for example the name of the service or the endpoint.
	Id string `json:"id"`
	// Code is a status of HTTP.
	Code int32 `json:"code"`
	// Detail says what happened and why.
	Detail string `json:"detail"`
	// Status is the text of the code, for example "Not Found".
	Status string `json:"status"`

	cause error // what [FromError] made it of; nil: nothing
}

// Unwrap returns what [FromError] made the error of.
func (e *Error) Unwrap() error { return e.cause }

// Error returns the error as JSON, which [Parse] reads.
func (e *Error) Error() string {
	b, err := json.Marshal(e)
	if err != nil { // JSON can say all of it
		return e.Detail
	}
	return string(b)
}

// httpStatus is the key of the code in the details of a status.
const httpStatus = "http_status"

// GRPCStatus returns what the error is on the wire: the nearest code, the detail as the
// message, and in its details a google.rpc.ErrorInfo that has the rest.
func (e *Error) GRPCStatus() *status.Status {
	if st, ok := status.FromError(e.cause); ok && e.cause != nil {
		return st // as it came
	}
	st := status.New(toGRPC(e.Code), e.Detail)
	detailed, err := st.WithDetails(&errdetails.ErrorInfo{
		Reason:   strings.ToUpper(strings.NewReplacer(" ", "_", "-", "_", "'", "").Replace(e.Status)),
		Domain:   e.Id,
		Metadata: map[string]string{httpStatus: strconv.Itoa(int(e.Code))},
	})
	if err != nil { // an id that is no text
		return st
	}
	return detailed
}

// Is reports whether the target is an error of this package with the same code, so
// that errors.Is(err, errors.NotFound("", "")) of package errors tells what err is.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && (t.Id == "" || t.Id == e.Id)
}

// New returns an error of any code.
func New(id, detail string, code int32) error {
	return &Error{Id: id, Code: code, Detail: detail, Status: http.StatusText(int(code))}
}

func newf(id string, code int32, format string, args []any) error {
	if len(args) > 0 {
		format = fmt.Sprintf(format, args...)
	}
	return New(id, format, code)
}

// BadRequest says that the caller asked for what can never be. Its detail is a format
// with arguments, as of [fmt.Sprintf], and so are those of the functions below.
func BadRequest(id, format string, args ...any) error {
	return newf(id, http.StatusBadRequest, format, args)
}

// Unauthorized says that the caller has to say who it is.
func Unauthorized(id, format string, args ...any) error {
	return newf(id, http.StatusUnauthorized, format, args)
}

// Forbidden says that the caller may not.
func Forbidden(id, format string, args ...any) error {
	return newf(id, http.StatusForbidden, format, args)
}

// NotFound says that there is no such thing.
func NotFound(id, format string, args ...any) error {
	return newf(id, http.StatusNotFound, format, args)
}

// MethodNotAllowed says that this cannot be done with it.
func MethodNotAllowed(id, format string, args ...any) error {
	return newf(id, http.StatusMethodNotAllowed, format, args)
}

// Timeout says that the caller took too long, or its time is over.
func Timeout(id, format string, args ...any) error {
	return newf(id, http.StatusRequestTimeout, format, args)
}

// Conflict says that it is in the way of what is there.
func Conflict(id, format string, args ...any) error {
	return newf(id, http.StatusConflict, format, args)
}

// InternalServerError says that the service has failed.
func InternalServerError(id, format string, args ...any) error {
	return newf(id, http.StatusInternalServerError, format, args)
}

// NotImplemented says that the service cannot do that.
func NotImplemented(id, format string, args ...any) error {
	return newf(id, http.StatusNotImplemented, format, args)
}

// BadGateway says that somebody else that the service relies on has failed.
func BadGateway(id, format string, args ...any) error {
	return newf(id, http.StatusBadGateway, format, args)
}

// ServiceUnavailable says that the service cannot do that now.
func ServiceUnavailable(id, format string, args ...any) error {
	return newf(id, http.StatusServiceUnavailable, format, args)
}

// GatewayTimeout says that somebody else that the service relies on took too long.
func GatewayTimeout(id, format string, args ...any) error {
	return newf(id, http.StatusGatewayTimeout, format, args)
}

// Parse reads the text of an [Error]. Any other text is the detail of an error with the
// code 500.
func Parse(text string) *Error {
	e := new(Error)
	if json.Unmarshal([]byte(text), e) != nil || e.Code == 0 {
		return &Error{Code: http.StatusInternalServerError, Detail: text, Status: http.StatusText(http.StatusInternalServerError)}
	}
	return e
}

// FromError returns what an error is: an [Error] that was returned here or by a service
// that was called, or what comes nearest to it of any other. It returns nil for nil.
func FromError(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	st, ok := status.FromError(err)
	if !ok && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)) {
		st, ok = status.FromContextError(err), true
	}
	e := Parse(err.Error())
	if ok {
		e = fromStatus(st)
	}
	e.cause = err
	return e
}

// Equal reports whether two errors mean the same: the same code, or the same error.
func Equal(a, b error) bool {
	ea, okA := errors.AsType[*Error](a)
	eb, okB := errors.AsType[*Error](b)
	if okA != okB {
		return false
	}
	if !okA {
		return a == b //nolint:errorlint // the same, not one in the other
	}
	return ea.Code == eb.Code
}

func fromStatus(st *status.Status) *Error {
	e := &Error{Code: fromGRPC(st.Code()), Detail: st.Message()}
	for _, d := range st.Details() {
		info, ok := d.(*errdetails.ErrorInfo)
		if !ok {
			continue
		}
		e.Id = info.GetDomain()
		if code, err := strconv.ParseInt(info.GetMetadata()[httpStatus], 10, 32); err == nil && code != 0 {
			e.Code = int32(code)
		}
	}
	e.Status = http.StatusText(int(e.Code))
	return e
}

// toGRPC returns the code of gRPC that is nearest to a status of HTTP.
func toGRPC(code int32) codes.Code {
	switch code {
	case http.StatusUnauthorized:
		return codes.Unauthenticated
	case http.StatusForbidden:
		return codes.PermissionDenied
	case http.StatusNotFound, http.StatusGone:
		return codes.NotFound
	case http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return codes.Unimplemented
	case http.StatusRequestTimeout, http.StatusGatewayTimeout:
		return codes.DeadlineExceeded
	case http.StatusConflict:
		return codes.Aborted
	case http.StatusPreconditionFailed:
		return codes.FailedPrecondition
	case http.StatusTooManyRequests:
		return codes.ResourceExhausted
	case http.StatusInternalServerError:
		return codes.Internal
	case http.StatusBadGateway, http.StatusServiceUnavailable:
		return codes.Unavailable
	}
	if code >= 400 && code < 500 {
		return codes.InvalidArgument
	}
	return codes.Unknown
}

// fromGRPC returns the status of HTTP of a code of gRPC that comes without one.
func fromGRPC(code codes.Code) int32 {
	switch code {
	case codes.OK:
		return http.StatusOK
	case codes.Canceled:
		return 499 // the client closed the request
	case codes.InvalidArgument, codes.FailedPrecondition, codes.OutOfRange:
		return http.StatusBadRequest
	case codes.Unauthenticated:
		return http.StatusUnauthorized
	case codes.PermissionDenied:
		return http.StatusForbidden
	case codes.NotFound:
		return http.StatusNotFound
	case codes.AlreadyExists, codes.Aborted:
		return http.StatusConflict
	case codes.ResourceExhausted:
		return http.StatusTooManyRequests
	case codes.Unimplemented:
		return http.StatusNotImplemented
	case codes.Unavailable:
		return http.StatusServiceUnavailable
	case codes.DeadlineExceeded:
		return http.StatusRequestTimeout
	default:
		return http.StatusInternalServerError
	}
}
