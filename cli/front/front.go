// Package front is a call of a service from its arguments to its exit code:
//
//	micro helloworld --name=Alice
//	words → method, flags → JSON → bytes, one call, bytes → JSON → terminal
//
// The front binary does all of it when it has what it needs on disk: a schema and
// a token. In every other case, and when anything is wrong, it leaves the command
// to microd, which shares this package and can do the rest: ask for the schema,
// renew the token, stream, explain. So there is one way to do each thing, and a
// short cut for the one that happens most.
package front

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"slices"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/micro/micro/v3/cli/front/unary"
	"github.com/micro/micro/v3/dynamic/request"
	"github.com/micro/micro/v3/dynamic/wire"
	"github.com/micro/micro/v3/envs"
)

// Command is one run of the front.
type Command struct {
	Args     []string
	Out, Err io.Writer
	Getenv   func(string) string
	Now      func() time.Time
	Version  string
	// IsCommand reports whether a word is a command of microd.
	IsCommand func(word string) bool
}

// Run does the command when it can, and returns its exit code. It reports false,
// having done nothing that anybody could notice, when microd has to do it.
func (c *Command) Run(ctx context.Context) (code int, done bool) {
	if len(c.Args) == 1 && (c.Args[0] == "version" || c.Args[0] == "--version") {
		_, _ = io.WriteString(c.Out, "micro "+c.Version+"\n") // nobody is left to tell
		return ExitOK, true
	}
	if len(c.Args) > 1 && IsCompletion(c.Args[0]) {
		return c.complete()
	}
	if c.Getenv("MICRO_TRANSPORT") != "" {
		return 0, false
	}
	g, rest, ok := SplitGlobals(c.Args)
	if !ok || len(rest) == 0 || c.IsCommand(rest[0]) {
		return 0, false
	}
	return c.call(ctx, g, Parse(rest))
}

func (c *Command) call(ctx context.Context, g Globals, in Invocation) (code int, done bool) {
	if in.WantsHelp() {
		return 0, false
	}
	place, ok := c.place(g)
	if !ok {
		return 0, false
	}
	entry, ok := (Cache{Dir: place.dirs.Cache}).Lookup(place.env, place.namespace, in.Service)
	if !ok || entry.Origin != nil && entry.Origin.Method == "" {
		return 0, false
	}
	place.plain = entry.Origin != nil && entry.Origin.Plain
	m, err := request.Resolve(entry.Table, in.Service, in.Words)
	if err != nil || m.ClientStreaming() || m.ServerStreaming() {
		return 0, false
	}
	req, err := in.Build(m, Inputs{Stdin: unread{}, ReadFile: readRegular, Now: c.Now, Getenv: c.Getenv})
	if err != nil || req.Whole {
		return 0, false
	}
	message, err := req.Messages[0].Encode(m.Input())
	if err != nil || len(message) > unary.MaxRequest {
		return 0, false
	}
	call := place.newCall(m, req, message, in.Service, entry)
	started, begun := c.Now(), time.Now()
	answer, err := call.Do(ctx)
	code, status, done := c.finish(ctx, answer, err, m, req, entry, place, begun)
	if done {
		c.remember(place, in, m, req, started, code, status)
	}
	return code, done
}

// finish prints the answer or why there is none. It returns the exit code and the
// status of gRPC, done false when microd has to make the call.
func (c *Command) finish(ctx context.Context, answer *unary.Answer, err error, m wire.Method, req *Request, entry Entry, place *place, begun time.Time) (code int, status string, done bool) {
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return ExitInterrupted, unary.CodeName(unary.CodeCanceled), true
	case unary.IsUnsent(err) && !isTimeout(err):
		return 0, "", false
	default:
		st := statusOf(err)
		if st.Code == unary.CodeCanceled && req.Timeout > 0 && time.Since(begun) >= req.Timeout {
			st.Code, st.Message = unary.CodeDeadlineExceeded, context.DeadlineExceeded.Error() // the server was the first to say so
		}
		st.Timeout = req.Timeout
		e := Explain(st, place.Place())
		c.fail(e, req)
		return e.Exit, e.Code, true
	}
	if _, refused := answer.Metadata[KeyRefused]; refused && answer.Code != 0 {
		return 0, "", false // the server passed nothing on
	}
	if answer.Code != 0 {
		e := Explain(Status{
			Code: answer.Code, Message: answer.Text, Timeout: req.Timeout,
			Details: answer.Details, Types: entry.Table.Message, Input: m.Input(),
		}, place.Place())
		c.fail(e, req)
		return e.Exit, e.Code, true
	}
	out, err := m.Output().AppendJSON(nil, answer.Message, wire.EncodeOptions{Resolve: Builtin})
	if err != nil {
		c.fail(&Error{Message: "the answer does not fit the schema: " + err.Error(), Exit: ExitError}, req)
		return ExitError, "", true
	}
	if PrintJSON(c.Out, out, req.Output) != nil {
		return ExitError, "", true
	}
	return ExitOK, "", true
}

// remember puts a call into the history.
func (c *Command) remember(at *place, in Invocation, m wire.Method, req *Request, started time.Time, exit int, status string) {
	h, ok := NewHistory(at.dirs, c.Getenv)
	if !ok {
		return
	}
	p := Remember(in, m, req, started, c.Now())
	p.Env, p.Namespace, p.Exit, p.Code = at.env.Name, at.namespace, exit, status
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

func (c *Command) fail(e *Error, r *Request) { e.Print(c.Err, r.Output == FormatJSON) }

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

// unread makes a command that wants standard input go to microd.
type unread struct{}

func (unread) Read([]byte) (int, error) { return 0, io.ErrNoProgress }

// place is where and as whom a command acts.
type place struct {
	scope

	address  string
	tls      *tls.Config
	token    string
	envToken bool
	plain    bool // the server knows nothing of micro
}

// Place returns what error texts need of it.
func (p *place) Place() Place {
	return Place{Env: p.env.Name, Address: p.env.Address, Loopback: p.env.IsLoopback(), EnvToken: p.envToken, Plain: p.plain}
}

// scope is which services a command means: those of a namespace in an environment.
type scope struct {
	dirs      envs.Dirs
	config    *envs.Config
	env       envs.Env
	namespace string
}

// scopeOf reads the environment; false when that is not possible.
func scopeOf(getenv func(string) string, g Globals) (scope, bool) {
	var s scope
	var err error
	if s.dirs, err = envs.FindDirs(getenv); err != nil {
		return scope{}, false
	}
	if s.config, err = envs.Load(s.dirs); err != nil {
		return scope{}, false
	}
	name := g.Env
	if name == "" {
		name = getenv("MICRO_ENV")
	}
	if s.env, err = s.config.Get(name); err != nil {
		return scope{}, false
	}
	for _, ns := range []string{g.Namespace, getenv("MICRO_NAMESPACE"), s.env.Namespace, envs.DefaultNamespace} {
		if s.namespace = ns; ns != "" {
			break
		}
	}
	return s, true
}

// place reads environment and token; false when microd has to sort it out.
func (c *Command) place(g Globals) (*place, bool) {
	s, ok := scopeOf(c.Getenv, g)
	if !ok {
		return nil, false
	}
	p := &place{scope: s, envToken: c.Getenv(envs.EnvToken) != ""}
	var err error
	p.token, err = p.env.AccessToken(p.dirs, c.Getenv, c.Now())
	if err != nil && p.env.Account != "" {
		return nil, false // it has to be renewed
	}
	if !isMetadataValue("authorization", p.token) {
		return nil, false
	}
	address, useTLS, err := envs.ParseAddress(p.env.Address)
	if err != nil {
		return nil, false
	}
	p.address = address
	if useTLS {
		if p.tls, err = p.env.TLS(); err != nil {
			return nil, false
		}
	}
	return p, true
}

// Metadata keys that steer the server.
const (
	KeyNamespace = "micro-namespace"
	KeyService   = "micro-service"
	KeySchema    = "micro-schema"
	// KeyRefused comes with a status of the server's own: no service was called.
	KeyRefused = "micro-refused"
)

func (p *place) newCall(m wire.Method, r *Request, message []byte, service string, entry Entry) *unary.Call {
	own := slices.ContainsFunc(r.Headers, func(h [2]string) bool { return h[0] == "authorization" })
	md := p.metadata(service, entry, own)
	for _, h := range r.Headers {
		if isBinary(h[0]) {
			h[1] = base64.RawStdEncoding.EncodeToString([]byte(h[1]))
		}
		md = append(md, hpack.HeaderField{Name: h[0], Value: h[1], Sensitive: h[0] == "authorization"})
	}
	return &unary.Call{
		Address:  p.address,
		TLS:      p.tls,
		Path:     m.Path(),
		Metadata: md,
		Message:  message,
		Timeout:  r.Timeout,
		Question: question(entry.Origin),
	}
}

// metadata returns what tells the server who calls what: nothing to one that knows
// nothing of micro.
func (p *place) metadata(service string, entry Entry, ownToken bool) []hpack.HeaderField {
	o := entry.Origin
	if o != nil && o.Plain {
		return nil
	}
	md := []hpack.HeaderField{{Name: KeyNamespace, Value: p.namespace}}
	if o == nil {
		md = append(md, hpack.HeaderField{Name: KeyService, Value: service}, hpack.HeaderField{Name: KeySchema, Value: entry.Digest})
	}
	if p.token != "" && !ownToken {
		md = append(md, hpack.HeaderField{Name: "authorization", Value: "Bearer " + p.token, Sensitive: true})
	}
	return md
}

// question returns what a server is asked that does not compare schemas.
func question(o *Origin) *unary.Question {
	if o == nil {
		return nil
	}
	return &unary.Question{Path: o.Method, Messages: o.Requests, Sum: o.Sum}
}
