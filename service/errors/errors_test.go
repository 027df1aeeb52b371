package errors_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	merrors "github.com/micro/micro/v3/service/errors"
)

var fields = cmpopts.IgnoreUnexported(merrors.Error{})

// Each error is of its code, in Go, on the wire, and when it comes back.
func TestCodes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		make   func(id, format string, args ...any) error
		code   int32
		status string
		grpc   codes.Code
	}{
		{merrors.BadRequest, 400, "Bad Request", codes.InvalidArgument},
		{merrors.Unauthorized, 401, "Unauthorized", codes.Unauthenticated},
		{merrors.Forbidden, 403, "Forbidden", codes.PermissionDenied},
		{merrors.NotFound, 404, "Not Found", codes.NotFound},
		{merrors.MethodNotAllowed, 405, "Method Not Allowed", codes.Unimplemented},
		{merrors.Timeout, 408, "Request Timeout", codes.DeadlineExceeded},
		{merrors.Conflict, 409, "Conflict", codes.Aborted},
		{merrors.InternalServerError, 500, "Internal Server Error", codes.Internal},
		{merrors.NotImplemented, 501, "Not Implemented", codes.Unimplemented},
		{merrors.BadGateway, 502, "Bad Gateway", codes.Unavailable},
		{merrors.ServiceUnavailable, 503, "Service Unavailable", codes.Unavailable},
		{merrors.GatewayTimeout, 504, "Gateway Timeout", codes.DeadlineExceeded},
		{teapot, 418, "I'm a teapot", codes.InvalidArgument},
		{func(id, format string, args ...any) error {
			return merrors.New(id, fmt.Sprintf(format, args...), 429)
		}, 429, "Too Many Requests", codes.ResourceExhausted},
		{func(id, format string, args ...any) error {
			return merrors.New(id, fmt.Sprintf(format, args...), 599)
		}, 599, "", codes.Unknown},
	} {
		t.Run(tt.status, func(t *testing.T) {
			t.Parallel()
			err := tt.make("accounts", "no %q, 100%%", "x")
			want := &merrors.Error{Id: "accounts", Code: tt.code, Detail: `no "x", 100%`, Status: tt.status}
			if diff := cmp.Diff(want, err, fields); diff != "" {
				t.Errorf("the error (-want +got):\n%s", diff)
			}
			st := status.Convert(fmt.Errorf("wrapped: %w", err))
			if st.Code() != tt.grpc {
				t.Errorf("on the wire it is %v, want %v", st.Code(), tt.grpc)
			}
			// What comes over the wire is a status and nothing else.
			back := merrors.FromError(status.FromProto(status.Convert(err).Proto()).Err())
			if diff := cmp.Diff(want, back, fields); diff != "" {
				t.Errorf("it comes back as (-want +got):\n%s", diff)
			}
			if again := status.Convert(back); again.Code() != tt.grpc || len(again.Details()) != 1 {
				t.Errorf("it goes on as %v", again.Proto())
			}
			if diff := cmp.Diff(want, merrors.Parse(err.Error()), fields); diff != "" {
				t.Errorf("it is parsed as (-want +got):\n%s", diff)
			}
		})
	}
}

func teapot(id, format string, args ...any) error {
	return merrors.New(id, fmt.Sprintf(format, args...), 418)
}

// A format without arguments is a text: what users type may be in it.
func TestNoArguments(t *testing.T) {
	t.Parallel()
	if got := merrors.FromError(merrors.BadRequest("x", "100% of %s")).Detail; got != "100% of %s" {
		t.Errorf("the detail is %q", got)
	}
}

func TestFromError(t *testing.T) {
	t.Parallel()
	if e := merrors.FromError(nil); e != nil {
		t.Errorf("of nil: %v", e)
	}
	for _, tt := range []struct {
		name string
		err  error
		want merrors.Error
	}{
		{"a status", status.Error(codes.AlreadyExists, "taken"), merrors.Error{Code: 409, Detail: "taken", Status: "Conflict"}},
		{"a wrapped status", fmt.Errorf("store: %w", status.Error(codes.Unavailable, "away")), merrors.Error{Code: 503, Detail: "store: rpc error: code = Unavailable desc = away", Status: "Service Unavailable"}},
		{"a wrapped error", fmt.Errorf("x: %w", merrors.NotFound("a", "b")), merrors.Error{Id: "a", Code: 404, Detail: "b", Status: "Not Found"}},
		{"the end of the time", fmt.Errorf("x: %w", context.DeadlineExceeded), merrors.Error{Code: 408, Detail: "x: context deadline exceeded", Status: "Request Timeout"}},
		{"the end of the caller", context.Canceled, merrors.Error{Code: 499, Detail: "context canceled"}},
		{"any other", io.EOF, merrors.Error{Code: 500, Detail: "EOF", Status: "Internal Server Error"}},
		{"what somebody logged", errors.New(`{"id":"a","code":404,"detail":"b","status":"Not Found"}`), merrors.Error{Id: "a", Code: 404, Detail: "b", Status: "Not Found"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := merrors.FromError(tt.err)
			if diff := cmp.Diff(&tt.want, got, fields); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if !errors.Is(got, tt.err) && !errors.Is(tt.err, got) {
				t.Error("what it was made of is lost")
			}
		})
	}
}

// What another service said in details gets to who asks for it.
func TestDetailsSurvive(t *testing.T) {
	t.Parallel()
	st, err := status.New(codes.ResourceExhausted, "slow down").WithDetails(&errdetails.RetryInfo{})
	if err != nil {
		t.Fatal(err)
	}
	through := status.Convert(merrors.FromError(st.Err()))
	if len(through.Details()) != 1 || through.Code() != codes.ResourceExhausted {
		t.Errorf("the status is %v, want %v", through.Proto(), st.Proto())
	}
}

// Text that no status can hold costs the details and not the error.
func TestBadText(t *testing.T) {
	t.Parallel()
	st := status.Convert(merrors.NotFound("\xff", "gone"))
	if st.Code() != codes.NotFound || st.Message() != "gone" {
		t.Errorf("the status is %v", st.Proto())
	}
}

func TestEqual(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b  error
		equal bool
	}{
		{merrors.NotFound("a", "x"), merrors.NotFound("b", "y"), true},
		{merrors.NotFound("a", "x"), merrors.Conflict("a", "x"), false},
		{merrors.NotFound("a", "x"), io.EOF, false},
		{io.EOF, io.EOF, true},
		{nil, nil, true},
		{nil, io.EOF, false},
	} {
		if got := merrors.Equal(tt.a, tt.b); got != tt.equal {
			t.Errorf("Equal(%v, %v) = %v", tt.a, tt.b, got)
		}
	}
	if !errors.Is(fmt.Errorf("x: %w", merrors.NotFound("a", "x")), merrors.NotFound("", "")) {
		t.Error("errors.Is does not find the code")
	}
	if errors.Is(merrors.NotFound("a", "x"), merrors.NotFound("b", "")) {
		t.Error("errors.Is takes one id for another")
	}
}
