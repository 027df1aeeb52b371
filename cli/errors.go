package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/cli/front/unary"
	"github.com/micro/micro/v3/cli/tui"
	"github.com/micro/micro/v3/dynamic/wire"
	"github.com/micro/micro/v3/envs"
	"github.com/micro/micro/v3/internal/fault"
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
	ExitConflict    = front.ExitConflict
	ExitInterrupted = front.ExitInterrupted
)

// usage returns the error of a command that was typed wrong.
func usage(hint, format string, args ...any) error {
	return &Error{Message: fmt.Sprintf(format, args...), Hint: hint, Exit: ExitUsage}
}

// explain turns any error into what a person is told. Its hints act where the command
// did.
func (a *App) explain(err error) *Error {
	var e *Error
	if !errors.As(err, &e) {
		e = a.explainCause(err)
	}
	return e.HintedFor(front.Globals{Env: a.env, Namespace: a.namespace})
}

// explainCause explains an error that is no [Error].
func (a *App) explainCause(err error) *Error {
	e := &Error{Message: err.Error(), Exit: ExitError}
	var damaged *envs.DamagedError
	var session *sessionError
	var broken *fault.Fault
	switch {
	case errors.As(err, &broken):
		e.Details = strings.Split(strings.TrimSpace(string(broken.Stack)), "\n")
	case errors.Is(err, context.Canceled), errors.Is(err, tui.ErrInterrupted):
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
	ns, err := a.Namespace()
	if err != nil {
		return front.Place{}
	}
	return front.PlaceOf(e, ns, a.Getenv, a.plain)
}

// explainStatus turns the status of a call into what a person is told.
func (a *App) explainStatus(err error, st *status.Status) *Error {
	if e := tooLarge(st, a.maxSize()); e != nil {
		return e
	}
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
	if raw, err := proto.Marshal(st.Proto()); err == nil && len(st.Proto().GetDetails()) > 0 {
		s.Details = raw
	}
	at := a.place()
	call, ok := errors.AsType[*callError](err)
	switch {
	case ok:
		s.Types, s.Input, s.Verbose = call.types, call.input, a.observer != nil
		s.Unreachable, s.Timeout = s.Unreachable && !call.answered, call.timeout
	case st.Code() == codes.Unimplemented && !isMicros(st):
		return &Error{
			Message: fmt.Sprintf("the server of %s does not know what this command asks for: it is none of micro, or an older one", at),
			Hint:    "micro services",
			Code:    unary.CodeName(int(st.Code())),
			Exit:    ExitNotFound,
		}
	}
	return front.Explain(s, at)
}

// callError is the status that a call of a service ended with.
type callError struct {
	err      error
	answered bool          // the server said so
	types    front.Types   // that its details may have
	input    wire.Message  // what it was called with
	timeout  time.Duration // what it had for its time, 0 for any
}

func (e *callError) Error() string { return e.err.Error() }

func (e *callError) Unwrap() error { return e.err }

// GRPCStatus returns the status as it is, for [status.FromError].
func (e *callError) GRPCStatus() *status.Status { return status.Convert(e.err) }

// asCallError tells what is known of a call that ended with a status, and whether it
// was the server that said so. It returns nil for other errors, which stay what they
// are.
func asCallError(err error, said bool, entry front.Entry, m wire.Method) *callError {
	if _, ok := status.FromError(err); err == nil || !ok || errors.As(err, new(*staleError)) {
		return nil
	}
	return &callError{err: err, answered: said, types: entry.Table.Message, input: m.Input()}
}

// tooLarge returns what to say of an answer that is larger than most, as --max-size is, nil
// when a status is about something else. A server says the same of a request, in the same
// words, and has another bound: what is larger than this one is not sent.
func tooLarge(st *status.Status, most int) *Error {
	if st.Code() != codes.ResourceExhausted {
		return nil
	}
	for _, prefix := range []string{"grpc: received message larger than max", "grpc: received message after decompression larger than max"} {
		sizes, ok := strings.CutPrefix(st.Message(), prefix)
		if ok && strings.HasSuffix(strings.TrimSuffix(sizes, ")"), " "+strconv.Itoa(most)) {
			return &Error{
				Message: fmt.Sprintf("the answer is larger than a message may be%s; --max-size lets it be larger", sizes),
				Code:    unary.CodeName(int(st.Code())),
				Exit:    ExitError,
			}
		}
	}
	return nil
}

// isMicros reports whether a status is one of the server's own, and no service's.
func isMicros(st *status.Status) bool {
	return slices.ContainsFunc(st.Details(), func(d any) bool {
		info, ok := d.(*errdetails.ErrorInfo)
		return ok && info.GetDomain() == "micro"
	})
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
