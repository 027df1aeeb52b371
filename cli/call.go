package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/dynamic"
	"github.com/micro/micro/v3/dynamic/request"
	"github.com/micro/micro/v3/dynamic/wire"
	registryv1 "github.com/micro/micro/v3/proto/micro/registry/v1"
)

func newCallCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "call SERVICE [ENDPOINT] [--FIELD=VALUE...] [@FILE | - | JSON]",
		Short: "Call a service",
		Long: `Call an endpoint of a service. This is what "micro SERVICE …" means; it reaches services
with the name of a command too.

The request is made of flags, one for each field, over a body: JSON itself, @FILE, or
- for standard input. "micro SERVICE --help" lists the endpoints, and
"micro SERVICE ENDPOINT --help" their fields. --template prints a request to begin with.

A body is JSON, YAML, textproto or binary: what --in says, else the suffix of the file,
else what it looks like. A stream takes JSON values one after the other, or YAML documents
with --- between them; at a terminal it is asked for each.

${NAME} in the value of a flag, in a header and in JSON on the command line stands for an
environment variable, so that secrets are neither seen in the list of processes nor kept in
the history; $${ is ${ itself.

-i fills in the request on the whole terminal: "micro call -i" begins with the choice of a
service, "micro call -i SERVICE" of an endpoint. Where there is no terminal, fields are
given as flags, or --template prints what to fill in.

--dry-run prints the request instead of sending it, --as grpcurl, curl, go, python, ts or
micro the call in another language, and --explain all of them. Environment variables in
fields are put in there; the token of the session is not.`,
		Example: `  micro call helloworld --name=Alice
  micro call helloworld '{"name": "Alice"}'
  micro call helloworld @request.yaml --name=Alice
  micro call helloworld --name=Alice --as curl
  micro call -i helloworld
  micro call helloworld stream --count=3`,
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			args, err := takeGlobals(cmd.Root(), args)
			if err != nil {
				return err
			}
			in := front.Parse(args)
			app.env = cmp.Or(in.Env, app.env)
			if in.Service == "" && !in.WantsForm() || len(args) > 0 && (args[0] == "--help" || args[0] == "-h") {
				return cmd.Help()
			}
			return app.invoke(cmd.Context(), cmd.Root(), in)
		},
	}
}

func newStreamCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "stream SERVICE [ENDPOINT] [--FIELD=VALUE...] [@FILE | - | JSON]",
		Short: "Call an endpoint that streams",
		Long: `Call an endpoint that takes or answers with a stream. It is the same as "micro call", which
takes endpoints of all kinds, but refuses those that stream nothing.

Requests of a stream are the JSON values of standard input, or the one that flags make. An
answer is printed when it comes, a line each; Ctrl-C ends the call.`,
		Example: `  micro stream helloworld --count=3
  printf '{"stroke":1}
{"stroke":2}
' | micro stream helloworld ping-pong`,
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			args, err := takeGlobals(cmd.Root(), args)
			if err != nil {
				return err
			}
			if len(args) == 0 || args[0] == "--help" || args[0] == "-h" {
				return cmd.Help()
			}
			in := front.Parse(args)
			app.env = cmp.Or(in.Env, app.env)
			in.Streams = true
			if len(in.Words) == 0 && !in.WantsHelp() {
				in.Words = []string{"Stream"}
			}
			return app.invoke(cmd.Context(), cmd.Root(), in)
		},
	}
}

// takeGlobals sets the flags that every command has, as far as they stand before the
// arguments of a command that reads its own flags.
func takeGlobals(root *cobra.Command, args []string) (rest []string, err error) {
	globals := root.PersistentFlags()
	n := 0
	for n < len(args) && strings.HasPrefix(args[n], "-") {
		name, _, has := strings.Cut(strings.TrimLeft(args[n], "-"), "=")
		f := globals.Lookup(name)
		if f == nil && len(name) == 1 {
			f = globals.ShorthandLookup(name)
		}
		if f == nil {
			break
		}
		if n++; !has && f.NoOptDefVal == "" {
			n++
		}
	}
	n = min(n, len(args))
	return args[n:], globals.Parse(args[:n])
}

// callService calls the service that the first word of a command line names.
func (a *App) callService(ctx context.Context, root *cobra.Command, args []string) error {
	g, rest, ok := front.SplitGlobals(args)
	if !ok || len(rest) == 0 {
		return usage("micro --help", "unknown flag %s", rest[0])
	}
	in := front.Parse(rest)
	a.env, a.namespace = cmp.Or(in.Env, g.Env), g.Namespace
	return a.nearestCommand(root, in.Service, a.invoke(ctx, root, in))
}

// nearestCommand adds to the error of a word that no server could be asked about which
// command may have been meant.
func (a *App) nearestCommand(root *cobra.Command, word string, err error) error {
	if err == nil {
		return nil
	}
	e := a.explain(err)
	if e.Exit != ExitUnreachable && e.Exit != ExitLogin || slices.Contains(a.knownServices(), word) {
		return err
	}
	near := request.Nearest(word, availableCommands(root))
	if near == "" || request.Distance(word, near) > len(word)/3 { // it is rather a service that is not known here
		return err
	}
	said := *e
	said.Message += fmt.Sprintf("; %q is no command, did you mean %s?", word, near)
	said.Hints = append(slices.Clone(e.Hints), "micro "+near)
	return &said
}

// availableCommands returns the names of the commands that help lists.
func availableCommands(root *cobra.Command) []string {
	var names []string
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return names
}

// maxStaleTries bounds how often a schema is fetched again for one call.
const maxStaleTries = 2

func (a *App) invoke(ctx context.Context, root *cobra.Command, in front.Invocation) error {
	if in.WantsForm() && !in.WantsHelp() {
		return a.form(ctx, in)
	}
	stdin := &input{r: a.In}
	var stale *staleError
	for try := 0; ; try++ {
		r, ok := stdin.reader()
		if !ok {
			return &Error{
				Message: in.Service + " speaks something else than it did, and standard input is too long to send it again; nothing was called",
				Exit:    ExitError,
			}
		}
		err := a.invokeOnce(ctx, root, in, r, stale)
		if try < maxStaleTries && errors.As(err, &stale) {
			continue // the service speaks something else than it did; nothing was called
		}
		a.remember(err)
		return err
	}
}

// staleError says that a call was refused because of an old schema, or that its words
// mean nothing in a schema that may be old.
type staleError struct {
	err  error
	told []byte // what came with the refusal, a GetSchemaResponse; may be nil
}

func (e *staleError) Error() string { return e.err.Error() }

func (e *staleError) Unwrap() error { return e.err }

func (a *App) invokeOnce(ctx context.Context, root *cobra.Command, in front.Invocation, stdin io.Reader, stale *staleError) error {
	how := in.Options(a.Getenv)
	ctx, stop := a.connectAs(ctx, how)
	defer stop()
	callCtx, conn, err := a.connFor(ctx)
	if err != nil {
		return err
	}
	if how.WaitReady {
		if err := a.waitReady(ctx, how.Timeout); err != nil {
			return err
		}
	}
	q := question{word: in.Service, options: how, current: in.WantsHelp()}
	if stale != nil {
		q.fresh, q.told = true, stale.told
	}
	var entry front.Entry
	var cached bool
	err = a.retrying(ctx, how, func() (bool, error) {
		var err error
		entry, cached, err = a.schema(callCtx, conn, q)
		return !in.WantsHelp(), err
	})
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &callError{err: err, timeout: how.Timeout}
	}
	if err != nil && in.WantsHelp() && status.Code(err) == codes.Unavailable {
		q.fresh, q.offline = false, true // help without a server
		entry, cached, err = a.schema(callCtx, conn, q)
	}
	if method := (*methodError)(nil); errors.As(err, &method) {
		in.Service, in.Words = method.service, append([]string{method.method}, in.Words...)
		return a.invokeOnce(ctx, root, in, stdin, stale)
	}
	if err != nil {
		return a.unknownService(callCtx, root, in.Service, err)
	}
	if entry.Origin != nil {
		a.plain = entry.Origin.Plain
		callCtx = callContextOf(callCtx, entry.Origin, nil)
	}
	maybeStale := func(err error) error {
		if cached {
			return &staleError{err: err}
		}
		return err
	}
	if in.WantsHelp() {
		if err := front.Help(a.Out, a.width(), entry.Table, in, front.Globals{Env: a.env, Namespace: a.namespace}); err != nil {
			return maybeStale(nameError(in, err))
		}
		return nil
	}
	m, err := request.Resolve(entry.Table, in.Service, in.Words)
	if err != nil {
		return maybeStale(nameError(in, err))
	}
	if in.Streams && !m.ClientStreaming() && !m.ServerStreaming() {
		return maybeStale(&Error{
			Message: request.Endpoint(m) + " streams nothing",
			Hint:    "micro call " + strings.Join(append([]string{in.Service}, in.Words...), " "),
			Exit:    ExitUsage,
		})
	}
	from := a.inputs(callCtx, conn, entry, q, stdin)
	r, err := in.Build(m, from)
	if err != nil {
		return maybeStale(flagError(in, err))
	}
	if r.Show != front.ShowNothing {
		err := a.show(callCtx, conn, in, entry, q, m, r, from)
		if err == nil || r.Stdin {
			return err
		}
		return maybeStale(err)
	}
	if r.Stdin {
		a.made = &madeCall{in, m, r, a.Now()}
		return a.stream(callCtx, conn, in, entry, m, r, from)
	}
	messages, err := a.encode(in, m, r)
	if err != nil {
		return maybeStale(err)
	}
	a.made = &madeCall{in, m, r, a.Now()}
	return a.send(callCtx, conn, in, entry, m, r, messages)
}

// inputs is where a request gets more from than the command line.
func (a *App) inputs(ctx context.Context, conn *grpc.ClientConn, entry front.Entry, q question, stdin io.Reader) front.Inputs {
	most := q.options.MaxBody()
	b := bodies{most: most, schema: func() (*dynamic.Schema, error) { return a.descriptors(ctx, conn, entry, q) }}
	return front.Inputs{Stdin: stdin, ReadFile: front.FileReader(most), Now: a.Now, Getenv: a.Getenv, Decode: b.decode}
}

// encodeOne returns the wire form of a message of a request.
func (a *App) encodeOne(m wire.Message, msg front.Message) ([]byte, error) {
	b, err := msg.Encode(m)
	if errors.Is(err, wire.ErrUnsupported) && a.slow != nil {
		return a.slow.Encode(m, msg.JSON)
	}
	return b, err
}

// decodeOne returns the JSON of a message.
func (a *App) decodeOne(m wire.Message, data []byte, o wire.EncodeOptions) ([]byte, error) {
	b, err := m.AppendJSON(nil, data, o)
	if errors.Is(err, wire.ErrUnsupported) && a.slow != nil {
		return a.slow.Decode(m, data)
	}
	return b, err
}

// encode returns the wire form of the messages of a request.
func (a *App) encode(in front.Invocation, m wire.Method, r *front.Request) ([][]byte, error) {
	var out [][]byte
	for i, msg := range r.Messages {
		b, err := a.encodeOne(m.Input(), msg)
		if err != nil {
			what := "the request"
			if len(r.Messages) > 1 {
				what = fmt.Sprintf("message %d of the request", i+1)
			}
			return nil, &Error{Message: fmt.Sprintf("%s: %s", what, err), Hint: in.HelpCommand(), Exit: ExitUsage}
		}
		out = append(out, b)
	}
	return out, nil
}

func nameError(in front.Invocation, err error) error {
	var n *request.NameError
	if !errors.As(err, &n) {
		return err
	}
	hint := in.FieldsCommand() // name=value is meant for a field where other tools take it
	if hint == "" {
		in.Words = nil
		hint = in.HelpCommand()
	}
	e := &Error{Message: err.Error(), Hint: hint, Exit: ExitNotFound}
	if n.Ambiguous {
		e.Exit = ExitUsage
	}
	return e
}

func flagError(in front.Invocation, err error) error {
	var f *front.FlagError
	if !errors.As(err, &f) {
		return err
	}
	e := &Error{Message: err.Error(), Hint: in.HelpCommand(), Exit: ExitUsage}
	if f.Near != "" {
		e.Message += fmt.Sprintf("; did you mean --%s?", f.Near)
	}
	return e
}

// unknownService says that there is no such service, and what may have been meant.
func (a *App) unknownService(ctx context.Context, root *cobra.Command, name string, err error) error {
	if unknown := (*unknownServiceError)(nil); errors.As(err, &unknown) {
		return &Error{Message: err.Error(), Hint: "micro services", Exit: ExitNotFound}
	}
	if status.Code(err) != codes.NotFound {
		return err
	}
	ns, nsErr := a.Namespace()
	if nsErr != nil {
		return nsErr
	}
	e := &Error{
		Message: fmt.Sprintf("%q is neither a command nor a service that runs in namespace %q", name, ns),
		Hint:    "micro services",
		Exit:    ExitNotFound,
	}
	names := availableCommands(root)
	if conn, err := a.Conn(); err == nil {
		if rsp, err := registryv1.NewRegistryClient(conn).List(ctx, &registryv1.ListRequest{}); err == nil {
			services := serviceNames(rsp)
			a.rememberServices(services)
			if slices.Contains(services, name) {
				return &Error{
					Message: fmt.Sprintf("%q runs, and does not say what it speaks: it has no reflection, and nothing has registered its schema", name),
					Hint:    "micro " + name + " --schema FILE",
					Exit:    ExitNotFound,
				}
			}
			names = append(names, services...)
		}
	}
	if near := request.Nearest(name, names); near != "" {
		e.Message += fmt.Sprintf("; did you mean %s?", near)
		e.Hint = "micro " + near + " --help"
	}
	return e
}
