package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/envs"
)

// Error is what a person is told.
type Error = front.Error

// Exit codes.
const (
	ExitOK          = front.ExitOK
	ExitError       = front.ExitError
	ExitUsage       = front.ExitUsage
	ExitLogin       = front.ExitLogin
	ExitNotFound    = front.ExitNotFound
	ExitDenied      = front.ExitDenied
	ExitUnreachable = front.ExitUnreachable
	ExitInterrupted = front.ExitInterrupted
)

// usage returns the error of a command that was typed wrong.
func usage(hint, format string, args ...any) error {
	return &Error{Message: fmt.Sprintf(format, args...), Hint: hint, Exit: ExitUsage}
}

// explain turns any error into what a person is told.
func (a *App) explain(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	e = &Error{Message: err.Error(), Exit: ExitError}
	var damaged *envs.DamagedError
	var session *sessionError
	switch {
	case errors.Is(err, context.Canceled):
		return &Error{Message: "interrupted", Exit: ExitInterrupted}
	case errors.As(err, &session):
		if status.Code(session.err) != codes.Unauthenticated {
			return a.explainStatus(session.err, status.Convert(session.err))
		}
		e.Message = fmt.Sprintf("the session with environment %q has ended: %s", session.env, status.Convert(session.err).Message())
		e.Hint, e.Exit = "micro login", ExitLogin
	case errors.As(err, &damaged):
		e.Hint = "repair the file, or remove it to begin with the built-in environments: " + damaged.Path
	case errors.Is(err, envs.ErrUnknown):
		e.Hint, e.Exit = "micro env", ExitNotFound
	case errors.Is(err, envs.ErrExists):
		e.Hint = "micro env"
	case errors.Is(err, envs.ErrInvalid):
		e.Exit = ExitUsage
	case errors.Is(err, envs.ErrNoSession):
		e.Message, e.Hint, e.Exit = "not logged in"+a.where(), "micro login", ExitLogin
	case errors.Is(err, fs.ErrPermission), errors.Is(err, fs.ErrNotExist):
	default:
		if st, ok := status.FromError(err); ok {
			return a.explainStatus(err, st)
		}
	}
	return e
}

// where names the environment that a failed command acted on.
func (a *App) where() string {
	e, err := a.Env()
	if err != nil {
		return ""
	}
	return fmt.Sprintf(" to environment %q (%s)", e.Name, e.Address)
}

// place tells where the command acts.
func (a *App) place() front.Place {
	e, err := a.Env()
	if err != nil {
		return front.Place{}
	}
	return front.Place{Env: e.Name, Address: e.Address, Loopback: e.IsLoopback(), EnvToken: a.Getenv(envs.EnvToken) != ""}
}

// explainStatus turns the status of a call into what a person is told.
func (a *App) explainStatus(err error, st *status.Status) *Error {
	s := front.Status{Code: int(st.Code()), Message: st.Message()}
	// A wrapped error says first what was done, and its status has all of that for
	// its message.
	var plain interface{ GRPCStatus() *status.Status }
	if before, _, wrapped := strings.Cut(err.Error(), "rpc error:"); wrapped && errors.As(err, &plain) {
		s.Message = before + plain.GRPCStatus().Message()
	}
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetDomain() == "micro" {
			s.Reason = info.GetReason()
		}
	}
	s.Unreachable = st.Code() == codes.Unavailable && len(st.Details()) == 0
	return front.Explain(s, a.place())
}

// hasReason reports whether a status is one of the server's own, with a reason.
func hasReason(st *status.Status, reason string) bool {
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetDomain() == "micro" && info.GetReason() == reason {
			return true
		}
	}
	return false
}
