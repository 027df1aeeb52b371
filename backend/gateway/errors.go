package gateway

import (
	"cmp"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// failure is an error as the client sees it.
type failure struct {
	id     string // of who says so; empty: the gateway
	status int    // of HTTP
	code   codes.Code
	reason string
	detail string
	retry  time.Duration // 0: not said
}

func (f *failure) Error() string { return f.detail }

func badRequest(detail string) error {
	return &failure{status: http.StatusBadRequest, code: codes.InvalidArgument, detail: detail}
}

// fromStatus turns the status of a call into that of a response, by the mapping of
// google.rpc.Code. A service that means another error of HTTP says so in its details, as
// package service/errors does.
func fromStatus(err error) *failure {
	st := status.Convert(err)
	f := &failure{status: httpStatus(st.Code()), code: st.Code(), detail: st.Message()}
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			f.reason = d.GetReason()
			if own, err := strconv.Atoi(d.GetMetadata()["http_status"]); err == nil && own >= 400 && own < 600 && f.code != codes.OK {
				f.id, f.status = d.GetDomain(), own
			}
		case *errdetails.RetryInfo:
			f.retry = d.GetRetryDelay().AsDuration()
		}
	}
	return f
}

func httpStatus(c codes.Code) int {
	switch c {
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
		return http.StatusGatewayTimeout
	default:
		return http.StatusInternalServerError
	}
}

// json returns the error as Micro's clients know it, with the gRPC code beside.
func (f *failure) json() []byte {
	code := f.code
	if code == codes.OK {
		code = codes.Unknown
		switch f.status {
		case http.StatusNotFound:
			code = codes.NotFound
		case http.StatusUnauthorized:
			code = codes.Unauthenticated
		case http.StatusMethodNotAllowed, http.StatusNotImplemented:
			code = codes.Unimplemented
		case http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType:
			code = codes.InvalidArgument
		}
	}
	b, err := json.Marshal(struct {
		ID     string `json:"id"`
		Code   int    `json:"code"`
		Detail string `json:"detail"`
		Status string `json:"status"`
		GRPC   string `json:"grpc"`
		Reason string `json:"reason,omitempty"`
	}{cmp.Or(f.id, "micro.gateway"), f.status, f.detail, http.StatusText(f.status), code.String(), f.reason})
	if err != nil { // there is nothing in it that JSON cannot hold
		return []byte(`{}`)
	}
	return b
}

func writeError(w http.ResponseWriter, f *failure) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	if f.status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="micro"`)
	}
	if f.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(int((f.retry+time.Second-1)/time.Second)))
	}
	w.WriteHeader(f.status)
	_, _ = w.Write(append(f.json(), '\n')) // the client is gone
}
