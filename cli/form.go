package cli

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/cli/tui"
	"github.com/micro/micro/v3/dynamic"
	"github.com/micro/micro/v3/dynamic/request"
	"github.com/micro/micro/v3/dynamic/wire"
)

// form has somebody fill in a call on the terminal, and makes it as often as they like.
// What is typed behind it is what the form begins with.
func (a *App) form(ctx context.Context, in front.Invocation) error {
	if !a.hasScreen(false) {
		return noForm(in)
	}
	a.kept = &keptConns{}
	defer a.kept.close()
	how := in.Options(a.Getenv)
	c, err := a.screen()
	if err != nil {
		return err
	}
	err = a.connectScreen(&c, func(env, namespace string) (tui.Session, error) {
		s, err := a.session(env, namespace)
		s.Calls = a.calls(s, how)
		return s, err
	})
	if err != nil {
		return err
	}
	typed := in.TypedOptions()
	c.Form = &tui.Form{Service: in.Service, Options: typed.Others, Headers: typed.Headers, Timeout: typed.Timeout, Where: a.typedGlobals()}
	if in.Service != "" && (len(in.Words) > 0 || in.HasRequest()) {
		app := a.at(c.Session.Environment, c.Session.Namespace, io.Discard)
		defer app.close()
		if c.Form.Draft, err = app.draft(ctx, in); err != nil {
			c.Session.Close()
			return err
		}
	}
	return tui.Run(ctx, c)
}

// noForm says what to use where there is no terminal.
func noForm(in front.Invocation) error {
	words := []string{"micro", "call", "SERVICE", "ENDPOINT"}
	if in.Service != "" {
		words[2] = in.Service
	}
	if len(in.Words) > 0 {
		words = append(words[:3], in.Words...)
	}
	return usage(strings.Join(append(words, "--template -o yaml"), " "),
		"a form takes the whole terminal, and there is none to take; give the fields as flags, or fill in what --template prints")
}

// calls returns what the form calls with, in the place of a session. The options of the
// command line go for all calls.
func (a *App) calls(s tui.Session, how *front.Request) *tui.Calls {
	app := func(out io.Writer) *App {
		call := a.at(s.Environment, s.Namespace, out)
		call.confirmed = a.confirmed
		return call
	}
	return &tui.Calls{
		Services: func(ctx context.Context) ([]string, error) {
			app := app(io.Discard)
			defer app.close()
			return app.callable(ctx, how)
		},
		Schema: func(ctx context.Context, service string) (*wire.Table, error) {
			app := app(io.Discard)
			defer app.close()
			ctx, conn, err := app.connFor(ctx)
			if err != nil {
				return nil, err
			}
			entry, err := app.currentSchema(ctx, conn, service, how)
			return entry.Table, err
		},
		Draft: func(ctx context.Context, args []string) (*tui.Draft, error) {
			app := app(io.Discard)
			defer app.close()
			return app.draft(ctx, front.Parse(args))
		},
		Call: func(ctx context.Context, args []string, requests io.Reader, out io.Writer) error {
			app := app(out)
			defer app.close()
			app.In = requests
			return app.failure(app.invoke(ctx, Tree(), front.Parse(args)))
		},
		Past:     a.pastCalls,
		ReadFile: front.FileReader(new(front.Request).MaxBody()), Languages: front.Languages(),
	}
}

// callable lists the services that can be called, by what the options say or what the
// server does.
func (a *App) callable(ctx context.Context, how *front.Request) ([]string, error) {
	if !how.Sources.IsEmpty() {
		raw, err := a.givenSchema(ctx, how.Sources)
		if err != nil {
			return nil, err
		}
		schema, err := dynamic.ParseSchema(raw)
		if err != nil {
			return nil, err
		}
		var names []string
		for _, s := range schema.Services() {
			names = append(names, string(s.FullName()))
		}
		return names, nil
	}
	ctx, stop := a.connectAs(ctx, how)
	defer stop()
	ctx, conn, err := a.connFor(ctx)
	if err != nil {
		return nil, err
	}
	rsp, err := a.services(ctx, conn)
	return serviceNames(rsp), err
}

// currentSchema returns the schema that a service has now.
func (a *App) currentSchema(ctx context.Context, conn *grpc.ClientConn, service string, how *front.Request) (front.Entry, error) {
	a.via = how.Transport
	entry, _, err := a.schema(ctx, conn, question{word: service, options: how, current: true})
	return entry, err
}

// draft returns a call that was typed as a form begins with it: nothing is called, and
// what stands for environment variables still does.
func (a *App) draft(ctx context.Context, in front.Invocation) (*tui.Draft, error) {
	how := in.Options(a.Getenv)
	ctx, stop := a.connectAs(ctx, how)
	defer stop()
	callCtx, conn, err := a.connFor(ctx)
	if err != nil {
		return nil, err
	}
	entry, err := a.currentSchema(callCtx, conn, in.Service, how)
	if method := (*methodError)(nil); errors.As(err, &method) {
		in.Service, in.Words = method.service, append([]string{method.method}, in.Words...)
		return a.draft(ctx, in)
	}
	if err != nil {
		return nil, a.unknownService(callCtx, Tree(), in.Service, err)
	}
	m, err := request.Resolve(entry.Table, in.Service, in.Words)
	if err != nil {
		return nil, nameError(in, err)
	}
	from := a.inputs(callCtx, conn, entry, question{word: in.Service, options: how}, strings.NewReader(""))
	from.Getenv = nil
	r, err := in.Build(m, from)
	if err != nil {
		return nil, flagError(in, err)
	}
	if r.Show != front.ShowNothing && r.Show != front.ShowForm || len(r.Messages) > 1 {
		return nil, usage(in.HelpCommand(), "a form has one message")
	}
	d := &tui.Draft{Service: in.Service, Table: entry.Table, Method: m}
	typed := in.TypedOptions()
	d.Headers, d.Timeout, d.Options = typed.Headers, typed.Timeout, typed.Others
	if len(r.Messages) == 1 && in.HasRequest() {
		d.JSON = r.Messages[0].JSON
	}
	return d, nil
}

// failure returns an error as the form shows it.
func (a *App) failure(err error) error {
	if err == nil {
		return nil
	}
	e := a.explain(err)
	f := &tui.Failure{Code: e.Code, Message: e.Message, Hint: e.Hint, Lines: slices.Clone(e.Details)}
	if e.Said == nil {
		return f
	}
	if text := e.Said.Localized(); text != "" {
		f.Message = text
	}
	f.Lines = append(f.Lines, e.Said.Lines()...)
	for _, v := range e.Said.Violations() {
		f.Fields = append(f.Fields, tui.Problem{Field: v.Field, Text: v.Text})
	}
	return f
}

// pastCalls lists the calls of the history that can be made again, the newest first.
func (a *App) pastCalls() ([]tui.PastCall, error) {
	h, err := a.history()
	if err != nil {
		return nil, err
	}
	all, err := h.Read()
	if err != nil {
		return nil, err
	}
	var past []tui.PastCall
	for _, p := range slices.Backward(all) {
		past = append(past, tui.PastCall{
			Number: p.Number, Time: p.Time, Environment: p.Env, Status: pastStatus(p), Took: time.Duration(p.Millis) * time.Millisecond,
			Service: p.Service, Endpoint: p.Endpoint, Line: pastLine(p), Hidden: p.Hidden, Cut: p.Cut,
			Args: slices.Concat([]string{p.Service}, p.Words, p.Args),
		})
	}
	return past, nil
}
