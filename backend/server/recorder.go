package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/micro/micro/v3/backend/audit"
	"github.com/micro/micro/v3/backend/auth"
	"github.com/micro/micro/v3/backend/proxy"
	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
	eventsv1 "github.com/micro/micro/v3/proto/micro/events/v1"
	registryv1 "github.com/micro/micro/v3/proto/micro/registry/v1"
)

// auditing says what is recorded of the calls of a method. There is no default: who
// adds a method decides.
type auditing uint8

const (
	undecided       auditing = iota
	unrecorded               // it changes nothing of the platform and reveals no secret, or is about records, events and calls
	recorded                 // the call before it has any effect, and then how it ended
	recordedInside           // as recorded, when the handler calls recordNow: what a stranger is refused is not worth more than a note
	recordedAfter            // how it ended, before anybody is told: it has no effect but what it tells
	recordedSecrets          // as recordedAfter, if it asks for secrets; a service's own, once in an hour
	recordedReuse            // that a refresh token was used by two
)

// records reports whether a call is recorded.
func (a access) records(req any) bool {
	switch a.audit {
	case recordedSecrets:
		return a.reveals(req)
	case undecided, unrecorded:
		return false
	default:
		return true
	}
}

// keyRequest is the metadata key by which a caller learns under which id his call was
// recorded.
const keyRequest = "micro-request-id"

// recorder records calls in the audit log.
type recorder struct {
	log    *audit.Log
	auth   *auth.Auth
	reason func(error) string // of an error, for the outcome of a call
	shown  shown
}

// shown remembers which secrets services were shown lately: they ask for them with
// each request that they answer.
type shown struct {
	mu sync.Mutex
	at map[string]time.Time
}

const (
	shownFor  = time.Hour
	maxShown  = 10_000 // it forgets all of them at once when there are so many
	separator = "\x00"
)

// lately reports whether a secret was shown to a service, which was recorded.
func (s *shown) lately(what string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.at[what]
	return ok && time.Since(at) < shownFor
}

func (s *shown) note(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at == nil || len(s.at) >= maxShown {
		s.at = map[string]time.Time{}
	}
	s.at[what] = time.Now()
}

// recording is what is recorded of one call.
type recording struct {
	recorder *recorder
	log      string // the namespace in whose log it is
	stranger bool   // the caller is no account of that
	entry    audit.Entry
	begun    int64 // the sequence of the entry that it began with; 0: there is none yet
}

// recording returns what is recorded of a call, of which nothing is written yet; nil when
// there is nothing to say of it.
func (r *recorder) recording(ctx context.Context, a access, method string, req any) (*recording, error) {
	c := callerOf(ctx)
	e := audit.Entry{
		Request:   strings.ToLower(rand.Text()[:16]),
		Token:     c.Token,
		Address:   c.address,
		Namespace: c.namespace,
		Object:    objectOf(req),
	}
	if grpcService, m, err := proxy.SplitPath(method); err == nil {
		e.Method = proxy.Endpoint(grpcService, m)
	}
	if c.ID != "" {
		e.Account, e.Service = c.Namespace+"/"+c.ID, c.Type == auth.Service
	}
	switch q := req.(type) {
	case *authv1.LoginRequest:
		e.Namespace = namespaceOf(q.GetNamespace())
		e.Account, e.Service = r.known(ctx, e.Namespace, q.GetUsername()), false
	case *authv1.LogoutRequest:
		ns, id, err := r.auth.SessionOwner(ctx, q.GetRefreshToken())
		if errors.Is(err, auth.ErrNotFound) {
			return nil, nil //nolint:nilnil // it ends nothing
		}
		if err != nil {
			return nil, err
		}
		e.Namespace, e.Account, e.Service = ns, ns+"/"+id, false
	default:
		if a.kind == anAccount && c.Namespace != "" {
			e.Namespace = c.Namespace // such methods are about what is the caller's own
		}
	}
	rec := &recording{recorder: r, log: e.Namespace, entry: e}
	if a.platform {
		rec.log, rec.entry.Namespace = auth.DefaultNamespace, ""
	} else if exists, err := r.auth.Exists(ctx, rec.log); err != nil {
		return nil, err
	} else if !exists {
		rec.log = auth.DefaultNamespace
	}
	rec.stranger = c.ID == "" || c.Namespace != rec.log
	return rec, nil
}

func namespaceOf(ns string) string {
	if ns == "" {
		return auth.DefaultNamespace
	}
	return ns
}

// known returns an account by its full name; nothing when there is none of that name,
// which may be a password that somebody has typed in the wrong place.
func (r *recorder) known(ctx context.Context, ns, id string) string {
	if !auth.IsName(ns) {
		return ""
	}
	if _, err := r.auth.Account(ctx, ns, id); err != nil {
		return ""
	}
	return ns + "/" + id
}

// objectOf returns the name of what a request is about, and nothing of what it says.
func objectOf(req any) string {
	switch r := req.(type) {
	case *authv1.CreateRuleRequest:
		return r.GetRule().GetId()
	case *authv1.SignupRequest:
		if ns := signupNamespace(r); auth.IsName(ns) {
			return ns
		}
		return ""
	case interface {
		GetAccount() string
		named
	}: // an API token
		if r.GetAccount() != "" {
			return r.GetAccount() + "/" + r.GetName()
		}
		return r.GetName()
	case *registryv1.RegisterRequest:
		return r.GetInstance().GetService()
	case *registryv1.DeregisterRequest:
		return r.GetService() + "/" + r.GetId()
	case *eventsv1.DeleteGroupRequest:
		return r.GetTopic() + "/" + r.GetGroup()
	case interface{ GetId() string }:
		return r.GetId()
	case named:
		return r.GetName()
	case interface{ GetPath() string }:
		return r.GetPath()
	case ofTopic:
		return r.GetTopic()
	default:
		return ""
	}
}

// begin records that a call is made; without that it must not be. It returns the error
// of one that is refused, which is recorded too, but is not waited for.
func (r *recorder) begin(ctx context.Context, a access, method string, req any, refusal error) (*recording, error) {
	if errors.Is(refusal, auth.ErrExpired) {
		return nil, refusal // the client gets another token and calls again
	}
	rec, err := r.recording(ctx, a, method, req)
	if refusal != nil {
		if rec != nil {
			rec.note(audit.Refused, r.reason(refusal))
		}
		return nil, refusal
	}
	switch {
	case err != nil || rec == nil:
	case a.audit == recordedSecrets: // a stream, which is recorded when it begins
		err = rec.made(ctx)
	default:
		err = rec.begin(ctx)
	}
	return rec, err
}

// note records what has no effect soon, and does not wait for it.
func (r *recording) note(kind audit.Kind, outcome string) {
	r.entry.Kind, r.entry.Outcome = kind, outcome
	r.recorder.log.Note(r.log, r.entry, r.stranger)
}

// append records an entry, and returns when it is durable. What is about a namespace
// that has gone meanwhile is recorded where the platform is.
func (r *recording) append(ctx context.Context, e audit.Entry) (int64, error) {
	n, err := r.recorder.log.Append(ctx, r.log, e)
	if errors.Is(err, audit.ErrNotFound) {
		r.log = auth.DefaultNamespace
		n, err = r.recorder.log.Append(ctx, r.log, e)
	}
	return n, err
}

func (r *recording) begin(ctx context.Context) error {
	e := r.entry
	e.Kind = audit.Begun
	r.tell(ctx)
	var err error
	if r.begun, err = r.append(ctx, e); err != nil {
		return fmt.Errorf("the call was not made, since it could not be recorded: %w", err)
	}
	return nil
}

// end records how a call has ended that was begun, and returns its error.
func (r *recording) end(ctx context.Context, err error) error {
	if r == nil || r.begun == 0 {
		return err
	}
	e := r.entry
	e.Kind, e.Of, e.Outcome = audit.Ended, r.begun, r.recorder.outcome(err)
	if _, failed := r.append(context.WithoutCancel(ctx), e); failed != nil && err == nil {
		return fmt.Errorf("the call was made, and how it ended could not be recorded: %w", failed)
	}
	return err
}

// made records a call that went well, and has no effect but its answer.
func (r *recording) made(ctx context.Context) error {
	e := r.entry
	e.Kind, e.Outcome = audit.Made, audit.OK
	again := strings.Join([]string{e.Account, e.Namespace, e.Method, e.Object}, separator)
	if e.Service && r.recorder.shown.lately(again) {
		return nil
	}
	r.tell(ctx)
	if _, err := r.append(ctx, e); err != nil {
		return fmt.Errorf("there is no answer, since the call could not be recorded: %w", err)
	}
	if e.Service {
		r.recorder.shown.note(again)
	}
	return nil
}

// tell lets the caller know how the call is called in the log.
func (r *recording) tell(ctx context.Context) {
	_ = grpc.SetHeader(ctx, metadata.Pairs(keyRequest, r.entry.Request)) // over HTTP there is no such thing
}

func (r *recorder) outcome(err error) string {
	if err == nil {
		return audit.OK
	}
	return r.reason(err)
}

// unary makes a call that is recorded, or is refused and that is recorded.
func (r *recorder) unary(
	ctx context.Context, a access, method string, req any, refusal error, call func(context.Context, any) (any, error),
) (any, error) {
	switch {
	case a.audit == recordedReuse:
		rsp, err := call(ctx, req)
		if reuse, ok := errors.AsType[*auth.ReuseError](err); ok {
			r.reused(ctx, a, method, reuse)
		}
		return rsp, err
	case refusal == nil && a.audit == recordedInside:
		rec, err := r.recording(ctx, a, method, req)
		if err != nil {
			return nil, err
		}
		rsp, err := call(context.WithValue(ctx, recordingKey{}, rec), req)
		switch {
		case rec.begun != 0:
			err = rec.end(ctx, err)
		case err != nil:
			rec.note(audit.Made, r.reason(err))
		default:
			err = errors.New("a call that should have been recorded was not")
		}
		return rsp, err
	case refusal == nil && (a.audit == recordedAfter || a.audit == recordedSecrets):
		rec, err := r.recording(ctx, a, method, req)
		if err != nil {
			return nil, err
		}
		rsp, err := call(ctx, req)
		return rsp, rec.after(ctx, err)
	}
	rec, err := r.begin(ctx, a, method, req, refusal)
	if err != nil {
		return nil, err
	}
	rsp, err := call(ctx, req)
	if err = rec.end(ctx, err); err != nil {
		return nil, err
	}
	return rsp, nil
}

type recordingKey struct{}

// recordNow records that the call with the given context is about to have its effect.
func recordNow(ctx context.Context) error {
	rec, ok := ctx.Value(recordingKey{}).(*recording)
	if !ok {
		return errors.New("a call that nobody records")
	}
	return rec.begin(ctx)
}

// after records how a call has ended that is nothing until somebody is told, and
// returns its error.
func (r *recording) after(ctx context.Context, err error) error {
	if err == nil {
		return r.made(ctx)
	}
	outcome := r.recorder.reason(err)
	if r.stranger {
		r.note(audit.Made, outcome)
		return err
	}
	e := r.entry
	e.Kind, e.Outcome = audit.Made, outcome
	_, _ = r.append(context.WithoutCancel(ctx), e) // it has told nothing
	return err
}

// reused records that a refresh token was used by two, and that their session has ended.
func (r *recorder) reused(ctx context.Context, a access, method string, reuse *auth.ReuseError) {
	rec, err := r.recording(ctx, a, method, nil)
	if err != nil {
		return // as of whom was refused
	}
	rec.log, rec.stranger = reuse.Namespace, false
	rec.entry.Namespace, rec.entry.Account, rec.entry.Service = reuse.Namespace, reuse.Namespace+"/"+reuse.Account, false
	rec.note(audit.Made, r.reason(reuse))
}

// login records a login by a password that is not one of a call.
func (r *recorder) login(ctx context.Context, c caller, ns, account string, err error) error {
	rec, failed := r.recording(context.WithValue(ctx, callerKey{}, c), access{}, authv1.Auth_Login_FullMethodName,
		&authv1.LoginRequest{Namespace: ns, Username: account})
	if failed != nil {
		return errors.Join(err, failed)
	}
	return rec.after(ctx, err)
}
