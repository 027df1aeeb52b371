package front

import (
	"context"
	"encoding/base64"
	"errors"
	"net"
	"slices"
	"strconv"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/micro/micro/v3/cli/front/unary"
	"github.com/micro/micro/v3/dynamic/request"
	"github.com/micro/micro/v3/dynamic/wire"
)

// Metadata keys that steer the server.
const (
	KeyNamespace = "micro-namespace"
	KeyService   = "micro-service"
	KeySchema    = "micro-schema"
	// KeyTable is the version of compiled tables that a caller reads. When its schema is
	// an old one, the message beside the refusal is a GetSchemaResponse with the new one.
	KeyTable = "micro-table"
	// KeyRefused comes with a status of the server's own: no service was called.
	KeyRefused = "micro-refused"
)

// attempt is a call that the front tries to make itself.
type attempt struct {
	*Command

	globals Globals
	at      *place
	cache   Cache
	in      Invocation
	timeout time.Duration

	entry   Entry
	method  wire.Method
	request *Request
	message []byte
}

// errLeave means that microd has to make the call, which was not made.
var errLeave = errors.New("for microd")

func (c *Command) call(ctx context.Context, g Globals, in Invocation) (code int, done bool) {
	options := in.Options(c.Getenv)
	if in.WantsHelp() || options.Whole {
		return 0, false
	}
	at, ok := c.place(g)
	if !ok {
		return 0, false
	}
	a := attempt{Command: c, globals: g, at: at, cache: Cache{Dir: at.dirs.Cache}, in: in, timeout: options.Timeout}
	entry, known := a.cache.Lookup(at.env, at.namespace, in.Service)
	if known && !a.prepare(entry) || !known && !a.mayFetch() {
		return 0, false
	}
	if c.Interruptible != nil {
		var stop context.CancelFunc
		ctx, stop = c.Interruptible(ctx)
		defer stop()
	}
	started, begun := c.Now(), time.Now()
	answer, err := a.make(ctx)
	if errors.Is(err, errLeave) {
		return 0, false
	}
	code, status, done := a.finish(ctx, answer, err, begun)
	if done {
		a.remember(started, code, status)
	}
	return code, done
}

// prepare makes the request by a schema; false when microd has to.
func (a *attempt) prepare(e Entry) bool {
	if e.Origin != nil && e.Origin.Method == "" {
		return false
	}
	a.entry, a.at.plain = e, e.Origin != nil && e.Origin.Plain
	m, err := request.Resolve(e.Table, a.in.Service, a.in.Words)
	if err != nil || m.ClientStreaming() || m.ServerStreaming() {
		return false
	}
	req, err := a.in.Build(m, Inputs{Stdin: unread{}, ReadFile: readRegular, Now: a.Now, Getenv: a.Getenv})
	if err != nil || req.Whole {
		return false
	}
	message, err := req.Messages[0].Encode(m.Input())
	if err != nil || len(message) > unary.MaxRequest {
		return false
	}
	a.method, a.request, a.message = m, req, message
	return true
}

// make makes the call. The schema is asked for when it is not known, and the call is
// made again when its service refuses an old one.
func (a *attempt) make(ctx context.Context) (*unary.Answer, error) {
	if a.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, a.timeout)
		defer cancel()
	}
	conn, err := unary.Dial(ctx, a.at.server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if a.entry.Table == nil {
		if err := a.fetch(ctx, conn); err != nil {
			return nil, err
		}
	}
	if q := a.question(); q != nil {
		if err := conn.Ask(ctx, q); err != nil {
			return nil, err
		}
	}
	answer, err := conn.Do(ctx, a.newCall())
	if err != nil || !isRefused(answer) {
		return answer, err
	}
	if !a.learn(answer.Message) {
		return nil, errLeave // the server passed nothing on
	}
	return conn.Do(ctx, a.newCall())
}

// isRefused reports whether a call has failed and the server has passed nothing on.
func isRefused(a *unary.Answer) bool {
	_, refused := a.Metadata[KeyRefused]
	return refused && a.Code != 0
}

func (a *attempt) newCall() *unary.Call {
	return &unary.Call{Path: a.method.Path(), Metadata: a.metadata(), Message: a.message, Timeout: a.timeout}
}

// metadata returns what is sent beside the message: what tells a server of micro who
// calls what, and what the command line says.
func (a *attempt) metadata() []hpack.HeaderField {
	var md []hpack.HeaderField
	if !a.at.plain {
		own := slices.ContainsFunc(a.request.Headers, func(h [2]string) bool { return h[0] == "authorization" })
		md = a.at.identity(!own)
	}
	if a.entry.Origin == nil {
		md = append(
			md,
			hpack.HeaderField{Name: KeyService, Value: a.in.Service},
			hpack.HeaderField{Name: KeySchema, Value: a.entry.Digest},
			hpack.HeaderField{Name: KeyTable, Value: strconv.Itoa(wire.Version)},
		)
	}
	for _, h := range a.request.Headers {
		if isBinary(h[0]) {
			h[1] = base64.RawStdEncoding.EncodeToString([]byte(h[1]))
		}
		md = append(md, hpack.HeaderField{Name: h[0], Value: h[1], Sensitive: h[0] == "authorization"})
	}
	return md
}

// identity returns what tells a server of micro who calls, and in which namespace.
func (p *place) identity(withToken bool) []hpack.HeaderField {
	md := []hpack.HeaderField{{Name: KeyNamespace, Value: p.namespace}}
	if p.token != "" && withToken {
		md = append(md, hpack.HeaderField{Name: "authorization", Value: "Bearer " + p.token, Sensitive: true})
	}
	return md
}

// question returns what a server is asked that does not compare schemas; nil when it
// does.
func (a *attempt) question() *unary.Question {
	o := a.entry.Origin
	if o == nil {
		return nil
	}
	return &unary.Question{Path: o.Method, Metadata: a.metadata(), Messages: o.Requests, Sum: o.Sum}
}

// finish prints the answer or why there is none. It returns the exit code and the
// status of gRPC, done false when microd has to make the call.
func (a *attempt) finish(ctx context.Context, answer *unary.Answer, err error, begun time.Time) (code int, status string, done bool) {
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return ExitInterrupted, unary.CodeName(unary.CodeCanceled), true
	case unary.IsUnsent(err) && !isTimeout(err):
		return 0, "", false
	default:
		st := statusOf(err)
		if st.Code == unary.CodeCanceled && a.timeout > 0 && time.Since(begun) >= a.timeout {
			st.Code, st.Message = unary.CodeDeadlineExceeded, context.DeadlineExceeded.Error() // the server was the first to say so
		}
		return a.fail(st)
	}
	if isRefused(answer) {
		return 0, "", false // the server passed nothing on
	}
	if answer.Code != 0 {
		return a.fail(Status{Code: answer.Code, Message: answer.Text, Details: answer.Details, Types: a.entry.Table.Message, Input: a.method.Input()})
	}
	out, err := a.method.Output().AppendJSON(nil, answer.Message, wire.EncodeOptions{Resolve: Builtin})
	if err != nil {
		a.tell(&Error{Message: "the answer does not fit the schema: " + err.Error(), Exit: ExitError})
		return ExitError, "", true
	}
	if PrintJSON(a.Out, out, a.request.Output) != nil {
		return ExitError, "", true
	}
	return ExitOK, "", true
}

// fail tells why a call has failed.
func (a *attempt) fail(s Status) (code int, status string, done bool) {
	s.Timeout = a.timeout
	e := Explain(s, PlaceOf(a.at.env, a.at.namespace, a.Getenv, a.at.plain))
	a.tell(e)
	return e.Exit, e.Code, true
}

func (a *attempt) tell(e *Error) {
	e.HintedFor(a.globals).Print(a.Err, a.request != nil && a.request.Output == FormatJSON)
}

// remember puts the call into the history.
func (a *attempt) remember(started time.Time, exit int, status string) {
	h, ok := NewHistory(a.at.dirs, a.Getenv)
	if !ok || a.request == nil {
		return
	}
	p := Remember(a.in, a.method, a.request, started, a.Now())
	p.Env, p.Namespace, p.Exit, p.Code = a.at.env.Name, a.at.namespace, exit, status
	_ = h.Add(p) // the call was made all the same
}

// Remember returns what is kept of a call, but for where it went and how it ended.
func Remember(in Invocation, m wire.Method, r *Request, started, ended time.Time) Past {
	args, hidden := r.Kept()
	return Past{
		Time: started.UTC().Truncate(time.Millisecond), Service: in.Service, Words: in.Words, Endpoint: request.Endpoint(m),
		Args: args, Hidden: hidden, Millis: ended.Sub(started).Milliseconds(),
	}
}

// isTimeout reports whether a call has taken its time: nobody should wait for as
// long again.
func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

// statusOf returns the status that an error of [Call.Do] is.
func statusOf(err error) Status {
	if connect, ok := errors.AsType[*unary.ConnectError](err); ok {
		return Status{Code: unary.CodeUnavailable, Message: connect.Err.Error(), Unreachable: true}
	}
	if call, ok := errors.AsType[*unary.CallError](err); ok {
		return Status{Code: call.Code, Message: call.Reason}
	}
	return Status{Code: unary.CodeDeadlineExceeded, Message: err.Error()}
}
