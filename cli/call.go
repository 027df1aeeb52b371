package cli

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
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
"micro SERVICE ENDPOINT --help" their fields.`,
		Example: `  micro call helloworld --name=Alice
  micro call helloworld '{"name": "Alice"}'
  micro call helloworld stream --count=3`,
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 || args[0] == "--help" || args[0] == "-h" {
				return cmd.Help()
			}
			return app.invoke(cmd.Context(), cmd.Root(), front.Parse(args))
		},
	}
}

// callService calls the service that the first word of a command line names.
func (a *App) callService(ctx context.Context, root *cobra.Command, args []string) error {
	g, rest, ok := front.SplitGlobals(args)
	if !ok || len(rest) == 0 {
		return usage("micro --help", "unknown flag %s", rest[0])
	}
	a.env, a.namespace = g.Env, g.Namespace
	return a.invoke(ctx, root, front.Parse(rest))
}

// maxStaleTries bounds how often a schema is fetched again for one call.
const maxStaleTries = 2

func (a *App) invoke(ctx context.Context, root *cobra.Command, in front.Invocation) error {
	for try := 0; ; try++ {
		err := a.invokeOnce(ctx, root, in, try > 0)
		if try < maxStaleTries && isStale(err) {
			continue // the service speaks something else than it did; nothing was called
		}
		return err
	}
}

// isStale reports whether a call was refused because of an old schema, or its words
// mean nothing in a schema that may be old.
func isStale(err error) bool {
	var stale *staleError
	return errors.As(err, &stale)
}

type staleError struct{ err error }

func (e *staleError) Error() string { return e.err.Error() }

func (e *staleError) Unwrap() error { return e.err }

func (a *App) invokeOnce(ctx context.Context, root *cobra.Command, in front.Invocation, fresh bool) error {
	callCtx, conn, err := a.connFor(ctx)
	if err != nil {
		return err
	}
	entry, cached, err := a.schema(callCtx, conn, in.Service, fresh || in.WantsHelp())
	if err != nil && in.WantsHelp() && status.Code(err) == codes.Unavailable {
		entry, cached, err = a.schema(callCtx, conn, in.Service, false) // help without a server
	}
	if err != nil {
		return a.unknownService(callCtx, root, in.Service, err)
	}
	maybeStale := func(err error) error {
		if cached {
			return &staleError{err}
		}
		return err
	}
	if in.WantsHelp() && len(in.Words) == 0 {
		return front.ServiceHelp(a.Out, entry.Table, in.Service)
	}
	m, err := request.Resolve(entry.Table, in.Service, in.Words)
	if err != nil {
		return maybeStale(nameError(in, err))
	}
	if in.WantsHelp() {
		return front.EndpointHelp(a.Out, entry.Table, in.Service, m)
	}
	r, err := in.Build(m, front.Inputs{Stdin: a.In, ReadFile: os.ReadFile, Now: a.Now})
	if err != nil {
		return maybeStale(flagError(in, err))
	}
	if m.ClientStreaming() {
		return a.stream(callCtx, conn, in, entry, m, r)
	}
	message, err := m.Input().AppendWire(nil, r.JSON, wire.DecodeOptions{})
	if err != nil {
		return maybeStale(&Error{Message: fmt.Sprintf("the request: %s", err), Hint: helpHint(in), Exit: ExitUsage})
	}
	return a.send(callCtx, conn, in, entry, m, r, message)
}

func helpHint(in front.Invocation) string {
	return strings.Join(append(append([]string{"micro", in.Service}, in.Words...), "--help"), " ")
}

func nameError(in front.Invocation, err error) error {
	var n *request.NameError
	if !errors.As(err, &n) {
		return err
	}
	e := &Error{Message: err.Error(), Hint: "micro " + in.Service + " --help", Exit: ExitNotFound}
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
	e := &Error{Message: err.Error(), Hint: helpHint(in), Exit: ExitUsage}
	if f.Near != "" {
		e.Message += fmt.Sprintf("; did you mean --%s?", f.Near)
	}
	return e
}

// unknownService says that there is no such service, and what may have been meant.
func (a *App) unknownService(ctx context.Context, root *cobra.Command, name string, err error) error {
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
	var names []string
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	if conn, err := a.Conn(); err == nil {
		if rsp, err := registryv1.NewRegistryClient(conn).List(ctx, &registryv1.ListRequest{}); err == nil {
			for _, s := range rsp.GetServices() {
				names = append(names, s.GetName())
			}
		}
	}
	if near := request.Nearest(name, names); near != "" {
		e.Message += fmt.Sprintf("; did you mean %s?", near)
		e.Hint = "micro " + near + " --help"
	}
	return e
}

// schema returns the schema of a service, from the cache unless a fresh one is
// wanted.
func (a *App) schema(ctx context.Context, conn *grpc.ClientConn, service string, fresh bool) (entry front.Entry, cached bool, err error) {
	e, err := a.Env()
	if err != nil {
		return entry, false, err
	}
	ns, err := a.Namespace()
	if err != nil {
		return entry, false, err
	}
	dirs, err := a.Dirs()
	if err != nil {
		return entry, false, err
	}
	cache := front.Cache{Dir: dirs.Cache}
	if !fresh {
		if entry, ok := cache.Lookup(e, ns, service); ok {
			return entry, true, nil
		}
	}
	rsp, err := registryv1.NewRegistryClient(conn).GetSchema(ctx, &registryv1.GetSchemaRequest{Service: service})
	if err != nil {
		if status.Code(err) == codes.NotFound {
			cache.Forget(e, ns, service)
		}
		return entry, false, err
	}
	schema, err := dynamic.ParseSchema(rsp.GetFiles())
	if err != nil {
		return entry, false, fmt.Errorf("the schema of %s: %w", service, err)
	}
	if schema.Digest() != rsp.GetDigest() {
		return entry, false, fmt.Errorf("the schema of %s: the server says that it has the digest %q, and it has %s", service, rsp.GetDigest(), schema.Digest())
	}
	table, err := schema.Compile()
	if err != nil {
		return entry, false, fmt.Errorf("the schema of %s: %w", service, err)
	}
	entry, err = cache.Put(e, ns, service, table)
	return entry, false, err
}

// outgoing adds to the context of a call which service it is for, and what it was
// built from.
func outgoing(ctx context.Context, in front.Invocation, entry front.Entry, r *front.Request) context.Context {
	md, _ := metadata.FromOutgoingContext(ctx)
	md = md.Copy()
	md.Set(front.KeyService, in.Service)
	md.Set(front.KeySchema, entry.Digest)
	for _, h := range r.Headers {
		if h[0] == "authorization" {
			md.Set(h[0], h[1])
			continue
		}
		md.Append(h[0], h[1])
	}
	return metadata.NewOutgoingContext(ctx, md)
}

// send makes a call with one request, and prints every answer.
func (a *App) send(ctx context.Context, conn *grpc.ClientConn, in front.Invocation, entry front.Entry, m wire.Method, r *front.Request, message []byte) error {
	return a.exchange(ctx, conn, in, entry, m, r, func(s grpc.ClientStream) error { return s.SendMsg(&message) })
}

// stream makes a call with the requests that standard input has, one JSON value
// after the other, or with the one that the flags make when there are any.
func (a *App) stream(ctx context.Context, conn *grpc.ClientConn, in front.Invocation, entry front.Entry, m wire.Method, r *front.Request) error {
	return a.exchange(ctx, conn, in, entry, m, r, func(s grpc.ClientStream) error {
		if !r.Empty {
			message, err := m.Input().AppendWire(nil, r.JSON, wire.DecodeOptions{})
			if err != nil {
				return &Error{Message: fmt.Sprintf("the request: %s", err), Hint: helpHint(in), Exit: ExitUsage}
			}
			return s.SendMsg(&message)
		}
		dec := json.NewDecoder(a.In)
		for n := 1; ; n++ {
			var value json.RawMessage
			if err := dec.Decode(&value); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return &Error{Message: fmt.Sprintf("message %d of standard input is not JSON: %s", n, err), Exit: ExitUsage}
			}
			message, err := m.Input().AppendWire(nil, value, wire.DecodeOptions{})
			if err != nil {
				return &Error{Message: fmt.Sprintf("message %d of standard input: %s", n, err), Hint: helpHint(in), Exit: ExitUsage}
			}
			if err := s.SendMsg(&message); err != nil {
				return nil //nolint:nilerr // the answer says why
			}
		}
	})
}

// exchange makes a call of any kind: send writes the requests while the answers are
// printed as they come.
func (a *App) exchange(ctx context.Context, conn *grpc.ClientConn, in front.Invocation, entry front.Entry, m wire.Method, r *front.Request, send func(grpc.ClientStream) error) error {
	ctx, cancel := context.WithCancelCause(outgoing(ctx, in, entry, r))
	defer cancel(nil)
	if r.Timeout > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, r.Timeout)
		defer stop()
	}
	desc := &grpc.StreamDesc{ClientStreams: m.ClientStreaming(), ServerStreams: m.ServerStreaming()}
	s, err := conn.NewStream(ctx, desc, m.Path(), grpc.ForceCodecV2(bytesCodec{}))
	if err != nil {
		return err
	}
	go func() {
		err := send(s)
		if err == nil || errors.Is(err, io.EOF) {
			err = s.CloseSend()
		}
		if err != nil {
			cancel(err)
		}
	}()
	err = a.answers(s, m, r)
	if cause := context.Cause(ctx); cause != nil && ctx.Err() != nil && errors.As(cause, new(*Error)) {
		return cause
	}
	if r.Metadata {
		a.printMetadata(s)
	}
	if err != nil && isRefused(s) {
		if st := status.Convert(err); st.Code() == codes.FailedPrecondition && hasReason(st, "SCHEMA_CHANGED") {
			return &staleError{err}
		}
	}
	return err
}

// isRefused reports whether the server passed nothing on.
func isRefused(s grpc.ClientStream) bool { return len(s.Trailer().Get(front.KeyRefused)) > 0 }

func (a *App) answers(s grpc.ClientStream, m wire.Method, r *front.Request) error {
	format := r.Output
	if m.ServerStreaming() && format == front.FormatAuto {
		format = front.FormatJSON // a line each
	}
	for n := 0; ; n++ {
		var message []byte
		if err := s.RecvMsg(&message); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		out, err := m.Output().AppendJSON(nil, message, wire.EncodeOptions{})
		if err != nil {
			return &Error{Message: "the answer does not fit the schema: " + err.Error(), Exit: ExitError}
		}
		if format == front.FormatYAML {
			if n > 0 {
				fmt.Fprintln(a.Out, "---")
			}
			err = jsonToYAML(a.Out, out)
		} else {
			err = front.PrintJSON(a.Out, out, format)
		}
		if err != nil || !m.ServerStreaming() {
			return err
		}
	}
}

// printMetadata writes what came with an answer, in a stable order.
func (a *App) printMetadata(s grpc.ClientStream) {
	header, _ := s.Header() // its error came with the answer
	printMD(a.Err, "header", header)
	printMD(a.Err, "trailer", s.Trailer())
}

func printMD(w io.Writer, what string, md metadata.MD) {
	for _, k := range slices.Sorted(maps.Keys(md)) {
		for _, v := range md[k] {
			if strings.HasSuffix(k, "-bin") {
				v = base64.StdEncoding.EncodeToString([]byte(v))
			}
			fmt.Fprintf(w, "%s %s: %s\n", what, front.Line(k), front.Line(v))
		}
	}
}
