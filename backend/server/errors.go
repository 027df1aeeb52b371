package server

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strconv"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/micro/micro/v3/backend/auth"
	"github.com/micro/micro/v3/backend/blobs"
	"github.com/micro/micro/v3/backend/config"
	"github.com/micro/micro/v3/backend/deploy"
	"github.com/micro/micro/v3/backend/events"
	"github.com/micro/micro/v3/backend/proxy"
	"github.com/micro/micro/v3/backend/registry"
	"github.com/micro/micro/v3/backend/runtime"
	"github.com/micro/micro/v3/backend/store"
	"github.com/micro/micro/v3/backend/tables"
	"github.com/micro/micro/v3/backend/transfer"
	images "github.com/micro/micro/v3/image/registry"
)

// errorDomain is the domain of the reasons that a client can tell apart, in
// google.rpc.ErrorInfo.
const errorDomain = "micro"

// meaning is what an error says on the wire.
type meaning struct {
	err    error
	code   codes.Code
	reason string
}

// meanings is the one table from errors to statuses. The first that matches counts.
func meanings() []meaning {
	return []meaning{
		{auth.ErrExpired, codes.Unauthenticated, "TOKEN_EXPIRED"},
		{auth.ErrRevoked, codes.Unauthenticated, "SESSION_REVOKED"},
		{auth.ErrCredentials, codes.Unauthenticated, "WRONG_CREDENTIALS"},
		{auth.ErrTooMany, codes.ResourceExhausted, "TOO_MANY_ATTEMPTS"},
		{auth.ErrAnonymous, codes.Unauthenticated, "NOT_LOGGED_IN"},
		{auth.ErrDenied, codes.PermissionDenied, "DENIED"},
		{auth.ErrNotFound, codes.NotFound, "NOT_FOUND"},
		{auth.ErrExists, codes.AlreadyExists, "EXISTS"},
		{auth.ErrInvalid, codes.InvalidArgument, "INVALID"},
		{auth.ErrTooManyTokens, codes.ResourceExhausted, "TOO_MANY_TOKENS"},
		{auth.ErrDefaultNamespace, codes.FailedPrecondition, "DEFAULT_NAMESPACE"},
		{auth.ErrTooManyKeys, codes.FailedPrecondition, "TOO_MANY_KEYS"},
		{errOwnPassword, codes.FailedPrecondition, "OWN_PASSWORD"},
		{auth.ErrLastAdmin, codes.FailedPrecondition, "LAST_ADMIN"},
		{errSignupOff, codes.FailedPrecondition, "SIGNUP_OFF"},
		{errNeedsInvitation, codes.FailedPrecondition, "INVITATION_NEEDED"},
		{errNeedsCode, codes.FailedPrecondition, "CODE_NEEDED"},
		{errNoCodes, codes.FailedPrecondition, "NO_CODES"},
		{errNoInvitations, codes.FailedPrecondition, "NO_INVITATIONS"},
		{errMail, codes.Unavailable, "MAIL_FAILED"},
		{auth.ErrInvitation, codes.PermissionDenied, "BAD_INVITATION"},
		{auth.ErrCode, codes.PermissionDenied, "BAD_CODE"},
		{proxy.ErrNoService, codes.NotFound, "NO_SERVICE"},
		{proxy.ErrNoInstance, codes.Unavailable, "NO_INSTANCE"},
		{proxy.ErrAmbiguous, codes.FailedPrecondition, "AMBIGUOUS_SERVICE"},
		{proxy.ErrSchemaChanged, codes.FailedPrecondition, "SCHEMA_CHANGED"},
		{proxy.ErrPath, codes.Unimplemented, "NO_METHOD"},
		{proxy.ErrClosed, codes.Unavailable, "SHUTTING_DOWN"},
		{errStopping, codes.Unavailable, "SHUTTING_DOWN"},
		{config.ErrNotFound, codes.NotFound, "NOT_FOUND"},
		{config.ErrConflict, codes.Aborted, "CONFLICT"},
		{config.ErrNotObject, codes.FailedPrecondition, "NOT_OBJECT"},
		{config.ErrInvalid, codes.InvalidArgument, "INVALID"},
		{registry.ErrNotFound, codes.NotFound, "NOT_FOUND"},
		{registry.ErrTaken, codes.AlreadyExists, "TAKEN"},
		{registry.ErrInvalid, codes.InvalidArgument, "INVALID"},
		{deploy.ErrNotFound, codes.NotFound, "NO_SERVICE"},
		{deploy.ErrInvalid, codes.InvalidArgument, "INVALID"},
		{deploy.ErrState, codes.FailedPrecondition, "NOT_NOW"},
		{errOverloaded, codes.ResourceExhausted, "OVERLOADED"},
		{errBackupRuns, codes.FailedPrecondition, "BACKUP_RUNS"},
		{errNoBackup, codes.FailedPrecondition, "NO_BACKUP"},
		{errNoImage, codes.FailedPrecondition, "NO_IMAGE"},
		{errPlatform, codes.FailedPrecondition, "WRONG_PLATFORM"},
		{images.ErrNotFound, codes.NotFound, "NOT_FOUND"},
		{images.ErrInUse, codes.FailedPrecondition, "IMAGE_IN_USE"},
		{images.ErrName, codes.InvalidArgument, "INVALID"},
		{errInvalid, codes.InvalidArgument, "INVALID"},
		{runtime.ErrNotFound, codes.NotFound, "NOT_FOUND"},
		{runtime.ErrClosed, codes.Unavailable, "SHUTTING_DOWN"},
		{tables.ErrNotFound, codes.NotFound, "NOT_FOUND"},
		{tables.ErrInvalid, codes.InvalidArgument, "INVALID"},
		{transfer.ErrInvalid, codes.InvalidArgument, "INVALID"},
		{blobs.ErrNotFound, codes.NotFound, "NOT_FOUND"},
		{blobs.ErrInvalid, codes.InvalidArgument, "INVALID"},
		{blobs.ErrReplaced, codes.Aborted, "CONFLICT"},
		{blobs.ErrGone, codes.Aborted, "UPLOAD_GONE"},
		{blobs.ErrQuota, codes.ResourceExhausted, "QUOTA"},
		{blobs.ErrDamaged, codes.DataLoss, "DAMAGED"},
		{events.ErrNotFound, codes.NotFound, "NOT_FOUND"},
		{events.ErrInvalid, codes.InvalidArgument, "INVALID"},
		{events.ErrTooLarge, codes.InvalidArgument, "TOO_LARGE"},
		{events.ErrTooMany, codes.FailedPrecondition, "TOO_MANY"},
		{events.ErrFull, codes.ResourceExhausted, "DISK_FULL"},
		{events.ErrClosed, codes.Unavailable, "SHUTTING_DOWN"},
		{store.ErrConflict, codes.Aborted, "CONFLICT"},
		{store.ErrCompacted, codes.OutOfRange, "COMPACTED"},
		{store.ErrTooLarge, codes.InvalidArgument, "TOO_LARGE"},
		{store.ErrFull, codes.ResourceExhausted, "DISK_FULL"},
		{store.ErrClosed, codes.Unavailable, "SHUTTING_DOWN"},
		{context.Canceled, codes.Canceled, ""},
		{context.DeadlineExceeded, codes.DeadlineExceeded, ""},
	}
}

// errInvalid marks a request that can never succeed; its text says why.
var errInvalid = errors.New("invalid")

// invalidError is an [errInvalid] that has no text but its own.
type invalidError string

func (e invalidError) Error() string { return string(e) }

func (e invalidError) Is(target error) bool { return target == errInvalid }

func invalid(format string, args ...any) error { return invalidError(fmt.Sprintf(format, args...)) }

// toldError is an error whose text says all of it, also what the error in it stands for.
type toldError struct {
	error

	text string
}

func (e toldError) Error() string { return e.text }

func (e toldError) Unwrap() error { return e.error }

// told returns an error that means another and has a text of its own.
func told(err error, format string, args ...any) error {
	return toldError{err, fmt.Sprintf(format, args...)}
}

// statuses turns the errors of handlers into gRPC statuses.
type statuses struct {
	meanings []meaning
	logger   *slog.Logger
}

// of returns the status of an error. What is not in the table is a fault of the
// server: the log has it, the caller gets a number to ask about.
func (s *statuses) of(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	if m, ok := s.meaning(err); ok {
		return withReason(m.code, err.Error(), m.reason, retryInfo(err)...)
	}
	id := strings.ToLower(rand.Text()[:10])
	s.logger.Error("a request failed by a fault of the server", "id", id, "err", err)
	return withReason(codes.Internal, "internal error "+id+"; the server's log says more", "INTERNAL")
}

// meaning returns what the table says of an error.
func (s *statuses) meaning(err error) (meaning, bool) {
	for _, m := range s.meanings {
		if errors.Is(err, m.err) {
			return m, true
		}
	}
	return meaning{}, false
}

// reason returns the word for an error that has nothing of its text.
func (s *statuses) reason(err error) string {
	if failed, ok := errors.AsType[httpError](err); ok {
		return strconv.Itoa(int(failed))
	}
	if m, ok := s.meaning(err); ok {
		return cmp.Or(m.reason, strings.ToUpper(m.code.String()))
	}
	return "INTERNAL"
}

// retryInfo tells a client when to try again, if the error does.
func retryInfo(err error) []protoadapt.MessageV1 {
	if many, ok := errors.AsType[*auth.TooManyError](err); ok {
		return []protoadapt.MessageV1{&errdetails.RetryInfo{RetryDelay: durationpb.New(many.Retry)}}
	}
	if errors.Is(err, errOverloaded) {
		return []protoadapt.MessageV1{&errdetails.RetryInfo{RetryDelay: durationpb.New(overloadRetry)}}
	}
	return nil
}

func withReason(code codes.Code, message, reason string, more ...protoadapt.MessageV1) error {
	st := status.New(code, message)
	if reason == "" {
		return st.Err()
	}
	more = append([]protoadapt.MessageV1{&errdetails.ErrorInfo{Reason: reason, Domain: errorDomain}}, more...)
	detailed, err := st.WithDetails(more...)
	if err != nil {
		return st.Err()
	}
	return detailed.Err()
}

func (s *statuses) unary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (rsp any, err error) {
	defer func() { err = s.of(orPanic(err, recover())) }()
	return next(ctx, req)
}

func (s *statuses) stream(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	defer func() { err = s.of(orPanic(err, recover())) }()
	return next(srv, readStream{ss})
}

// orPanic returns the error that a panic is: one request must not end the server, and
// all services with it.
func orPanic(err error, panicked any) error {
	if panicked == nil {
		return err
	}
	return fmt.Errorf("panic: %v\n%s", panicked, debug.Stack())
}
