package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/micro/micro/v3/envs"
	"github.com/micro/micro/v3/image"
)

// reason returns a status with a reason of a server's.
func reason(t *testing.T, code codes.Code, message, domain, reason string) error {
	t.Helper()
	st, err := status.New(code, message).WithDetails(&errdetails.ErrorInfo{Domain: domain, Reason: reason})
	if err != nil {
		t.Fatal(err)
	}
	return st.Err()
}

func TestExplain(t *testing.T) {
	t.Parallel()
	local := `environment "local" (127.0.0.1:8081)`
	for _, test := range []struct {
		name string
		err  error
		env  string
		want *Error
	}{
		{"an error for people", fmt.Errorf("more: %w", &Error{Message: "m", Hint: "h", Exit: ExitDenied}), "", &Error{Message: "m", Hint: "h", Exit: ExitDenied}},
		{"anything", errors.New("something"), "", &Error{Message: "something", Exit: ExitError}},
		{"Ctrl-C", fmt.Errorf("read: %w", context.Canceled), "", &Error{Message: "interrupted", Exit: ExitInterrupted}},
		{"a file", fmt.Errorf("open: %w", fs.ErrNotExist), "", &Error{Message: "open: file does not exist", Exit: ExitError}},
		{"damaged", &envs.DamagedError{Path: "/p", Err: errors.New("no JSON")}, "", &Error{
			Message: "/p is damaged: no JSON", Hint: "repair the file, or remove it to begin with the built-in environments: /p", Exit: ExitError,
		}},
		{"an environment that there is not", fmt.Errorf("%w: x", envs.ErrUnknown), "", &Error{Message: envs.ErrUnknown.Error() + ": x", Hint: "micro env", Exit: ExitNotFound}},
		{"an environment that there is", fmt.Errorf("%w: x", envs.ErrExists), "", &Error{Message: envs.ErrExists.Error() + ": x", Hint: "micro env", Exit: ExitError}},
		{"a value that is not valid", fmt.Errorf("%w: x", envs.ErrInvalid), "", &Error{Message: envs.ErrInvalid.Error() + ": x", Exit: ExitUsage}},
		{"nobody is logged in", envs.ErrNoSession, "", &Error{Message: "not logged in to " + local, Hint: "micro login", Exit: ExitLogin}},
		{"a session that has ended", &sessionError{"local", status.Error(codes.Unauthenticated, "used twice")}, "", &Error{
			Message: `the session with environment "local" has ended: used twice`, Hint: "micro login", Exit: ExitLogin,
		}},
		{"a session that nobody could renew", &sessionError{"local", status.Error(codes.Internal, "oops")}, "", &Error{Message: "oops", Code: "Internal", Exit: ExitError}},
		{"nobody listens", status.Error(codes.Unavailable, `connection error: desc = "transport: dial tcp: connect: connection refused"`), "", &Error{
			Message: "cannot reach the server of " + local + ": connection refused", Hint: "micro server", Code: "Unavailable", Exit: ExitUnreachable,
		}},
		{"no instance", reason(t, codes.Unavailable, "shop: no running instance", "micro", "NO_INSTANCE"), "", &Error{
			Message: "shop: no running instance", Hint: "micro status", Code: "Unavailable", Exit: ExitUnreachable,
		}},
		{"a reason of a service's own", reason(t, codes.NotFound, "no such user", "users.example", "NO_SERVICE"), "", &Error{Message: "no such user", Code: "NotFound", Exit: ExitNotFound}},
		{"what was done, before what came of it", fmt.Errorf("push: %w", status.Error(codes.PermissionDenied, "not yours")), "", &Error{Message: "push: not yours", Code: "PermissionDenied", Exit: ExitDenied}},
		{"too late", status.Error(codes.DeadlineExceeded, "too late"), "", &Error{Message: "too late", Code: "DeadlineExceeded", Exit: ExitUnreachable}},
		{"a wrong argument", status.Error(codes.InvalidArgument, "bad"), "", &Error{Message: "bad", Code: "InvalidArgument", Exit: ExitUsage}},
		{"a token that is not valid", status.Error(codes.Unauthenticated, "expired"), "MICRO_TOKEN=x", &Error{
			Message: "expired", Hint: "set MICRO_TOKEN to a token that is valid, or unset it and use micro login", Code: "Unauthenticated", Exit: ExitLogin,
		}},
		{"a server that is not one of micro", status.Error(codes.Unimplemented, "unknown service micro.runtime.v1.Runtime"), "", &Error{
			Message: "the server of " + local + " does not know what this command asks for: it is none of micro, or an older one",
			Hint:    "micro services", Code: "Unimplemented", Exit: ExitNotFound,
		}},
		{"canceled by the server", status.Error(codes.Canceled, "bye"), "", &Error{Message: "bye", Code: "Canceled", Exit: ExitInterrupted}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			app, _, _ := testApp(t, test.env)
			// What a server says besides is for the tests of front.
			if d := cmp.Diff(test.want, app.explain(test.err), cmpopts.IgnoreFields(Error{}, "Said")); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

func TestExplainBuild(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		err  error
		want *Error
	}{
		{"it does not compile", &image.BuildError{Lines: []string{"main.go:1: no"}, Hint: "go mod tidy"}, &Error{
			Message: "the source does not compile", Details: []string{"main.go:1: no"}, Hint: "go mod tidy", Exit: ExitError,
		}},
		{"who are you", fmt.Errorf("push: %w", image.ErrAuth), &Error{Message: "push: " + image.ErrAuth.Error(), Exit: ExitLogin}},
		{"nobody there", fmt.Errorf("push: %w", image.ErrUnreachable), &Error{Message: "push: " + image.ErrUnreachable.Error(), Exit: ExitUnreachable}},
		{"nothing there", fmt.Errorf("clone: %w", image.ErrNotFound), &Error{Message: "clone: " + image.ErrNotFound.Error(), Exit: ExitNotFound}},
		{"anything", errors.New("something"), &Error{Message: "something", Exit: ExitError}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			app, _, _ := testApp(t)
			if d := cmp.Diff(test.want, app.explain(explainBuild(test.err))); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}
