package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/dynamic"
	"github.com/micro/micro/v3/dynamic/request"
	"github.com/micro/micro/v3/envs"
	"github.com/micro/micro/v3/image"
	registryv1 "github.com/micro/micro/v3/proto/micro/registry/v1"
)

// question is what a schema is looked for with.
type question struct {
	word    string // the service, as it was typed
	options *front.Request
	fresh   bool   // not from the cache
	told    []byte // what the server said of it, a GetSchemaResponse; may be nil

	// current: from the cache only when the server says that it has the same.
	current bool
	// offline: from the cache alone.
	offline bool
}

// methodError says that a word names a method of a gRPC service.
type methodError struct{ service, method string }

func (e *methodError) Error() string { return fmt.Sprintf("%s is a method of %s", e.method, e.service) }

// unknownServiceError says that a server has no such gRPC service.
type unknownServiceError struct {
	word string
	near []string
}

func (e *unknownServiceError) Error() string {
	text := fmt.Sprintf("the server has no service %q", e.word)
	if len(e.near) > 0 {
		text += "; it has " + strings.Join(e.near, ", ")
	}
	return text
}

// schema returns the schema of a service, and whether it is from the cache and was not
// compared with the server's. It is looked for, in this order, in what the command line
// names, in the cache, among the services of micro, and by reflection.
func (a *App) schema(ctx context.Context, conn *grpc.ClientConn, q question) (entry front.Entry, cached bool, err error) {
	if !q.options.Sources.IsEmpty() {
		entry, err = a.given(ctx, q)
		return entry, false, err
	}
	place, err := a.cachePlace()
	if err != nil {
		return entry, false, err
	}
	if entry, ok := place.cache.Learn(place.env, place.namespace, q.word, q.told); ok {
		return entry, false, nil
	}
	if !q.fresh {
		entry, ok := place.lookup(q.word)
		if ok && (entry.Origin == nil && !q.current || q.offline) {
			return entry, true, nil
		}
		if ok && entry.Origin != nil {
			a.plain = entry.Origin.Plain
			// Such a server does not compare schemas when it is called.
			same, err := probeOf(entry.Origin).Unchanged(callContextOf(ctx, entry.Origin, q.options.Headers), conn)
			if err != nil {
				return entry, false, err
			}
			if same {
				return entry, false, nil
			}
		}
	}
	entry, err = place.ask(ctx, conn, q.word)
	if err == nil {
		return entry, false, nil
	}
	plain, may := a.mayReflect(ctx, conn, err)
	if !may {
		return entry, false, err
	}
	entry, reflectErr := place.reflect(ctx, conn, q, plain)
	switch meant := (*Error)(nil); {
	case reflectErr == nil, plain, errors.As(reflectErr, &meant), errors.As(reflectErr, new(*methodError)):
		return entry, false, reflectErr
	default:
		return entry, false, err // whoever calls knows more of it
	}
}

// mayReflect reports whether an error of a server's schema API leaves reflection to be
// tried, and whether the server knows nothing of micro.
func (a *App) mayReflect(ctx context.Context, conn *grpc.ClientConn, err error) (plain, may bool) {
	if _, ok := status.FromError(err); !ok {
		return false, false // it has answered, and wrongly
	}
	switch status.Code(err) {
	case codes.NotFound, codes.InvalidArgument:
		return false, true
	case codes.Unimplemented:
		return true, true
	case codes.Unauthenticated, codes.PermissionDenied, codes.Unknown, codes.Internal:
		// Some servers say that of every method that they do not know. One with micro
		// marks what is its own answer.
		var trailer metadata.MD
		_, err := registryv1.NewRegistryClient(conn).List(ctx, &registryv1.ListRequest{}, grpc.Trailer(&trailer))
		plain = err != nil && len(trailer.Get(front.KeyRefused)) == 0 && !isMicros(status.Convert(err))
		return plain, plain
	default:
		return false, false
	}
}

// cachePlace is where the schemas of an environment's namespace are kept.
type cachePlace struct {
	app       *App
	cache     front.Cache
	env       envs.Env
	namespace string
}

func (a *App) cachePlace() (p cachePlace, err error) {
	p.app = a
	if p.env, err = a.Env(); err != nil {
		return p, err
	}
	if p.namespace, err = a.Namespace(); err != nil {
		return p, err
	}
	dirs, err := a.Dirs()
	p.cache = front.Cache{Dir: dirs.Cache}
	return p, err
}

func (p cachePlace) lookup(word string) (front.Entry, bool) {
	return p.cache.Lookup(p.env, p.namespace, word)
}

// ask asks a server with micro for the schema of a service.
func (p cachePlace) ask(ctx context.Context, conn *grpc.ClientConn, service string) (entry front.Entry, err error) {
	rsp, err := registryv1.NewRegistryClient(conn).GetSchema(ctx, &registryv1.GetSchemaRequest{Service: service})
	if err != nil {
		if status.Code(err) == codes.NotFound {
			p.cache.Forget(p.env, p.namespace, service)
		}
		return entry, err
	}
	c, err := compileSchema(service, rsp.GetFiles())
	if err != nil {
		return entry, err
	}
	if digest := dynamic.Digest(rsp.GetFiles()); digest != rsp.GetDigest() {
		return entry, fmt.Errorf("the schema of %s: the server says that it has the digest %q, and it has %s", service, rsp.GetDigest(), digest)
	}
	return p.keep(c, service, nil)
}

// keep puts what was compiled into the cache. The front takes a table from there, and
// has nothing but that: a schema of which tables do not take all is not kept.
func (p cachePlace) keep(c compiled, word string, origin *front.Origin) (front.Entry, error) {
	if c.slow != nil {
		p.app.slow = c.slow
		return front.OpenEntry(c.table, origin)
	}
	return p.cache.PutFrom(p.env, p.namespace, word, c.table, origin)
}

// reflect asks a server by reflection for the gRPC service that a word means.
func (p cachePlace) reflect(ctx context.Context, conn *grpc.ClientConn, q question, plain bool) (entry front.Entry, err error) {
	origin := &front.Origin{Plain: plain}
	r, err := dynamic.ReflectService(callContextOf(ctx, origin, q.options.Headers), conn, func(services []string) (string, error) {
		return pickService(services, q.word)
	})
	if err != nil {
		return entry, explainReflection(p.env, err)
	}
	origin.Service, origin.Method, origin.Requests, origin.Sum = r.Service, r.Probe.Method, r.Probe.Requests, r.Probe.Sum[:]
	raw, err := dynamic.OnlyService(r.Schema, r.Service)
	if err != nil {
		return entry, err
	}
	c, err := compileSchema(r.Service, raw)
	if err != nil {
		return entry, err
	}
	return p.keep(c, q.word, origin)
}

func explainReflection(e envs.Env, err error) error {
	if !errors.Is(err, dynamic.ErrNoReflection) {
		return err
	}
	return &Error{
		Message: fmt.Sprintf("the server of environment %q does not tell what it speaks: it has no gRPC reflection", e.Name),
		Hint:    "say it with --proto FILE -I DIR, --protoset FILE or --schema GIT-ADDRESS",
		Exit:    ExitUsage,
	}
}

func probeOf(o *front.Origin) dynamic.Probe {
	p := dynamic.Probe{Method: o.Method, Requests: o.Requests}
	copy(p.Sum[:], o.Sum)
	return p
}

// callContextOf returns the context for calls that have to do with a schema: with the
// headers of the command line, and without what is for servers with micro only.
func callContextOf(ctx context.Context, o *front.Origin, headers [][2]string) context.Context {
	md, _ := metadata.FromOutgoingContext(ctx)
	md = md.Copy()
	if o != nil && o.Plain {
		md.Delete("authorization")
		md.Delete(front.KeyNamespace)
	}
	for _, h := range headers {
		md.Set(h[0], h[1])
	}
	return metadata.NewOutgoingContext(ctx, md)
}

// compiled is a schema in compiled form.
type compiled struct {
	table []byte
	slow  *dynamic.Schema // nil: the table takes all messages
}

func compileSchema(service string, raw []byte) (c compiled, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("the schema of %s: %w", service, err)
		}
	}()
	schema, err := dynamic.ParseSchema(raw)
	if err != nil {
		return c, err
	}
	if c.table, err = schema.Compile(); err != nil {
		return c, err
	}
	fast, err := schema.Fast()
	if err == nil && !fast {
		c.slow = schema
	}
	return c, err
}

// pickService returns the gRPC service that a word means: its full name or an end of it
// that begins after a dot, whatever the case, '-' and '_'. What is spelled exactly goes
// before what is not. The error is a [*methodError] when the word has a method too, an
// [*unknownServiceError] when it means nothing, and an [*Error] when it means several.
func pickService(services []string, word string) (string, error) {
	found := matching(services, word)
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		if i := strings.LastIndexByte(word, '.'); i > 0 && len(matching(services, word[:i])) > 0 {
			return "", &methodError{service: word[:i], method: word[i+1:]}
		}
		return "", &unknownServiceError{word: word, near: nearestServices(services, word)}
	default:
		return "", &Error{
			Message: fmt.Sprintf("%q could be %s", word, strings.Join(found, ", ")),
			Hint:    "micro " + found[0] + " --help",
			Exit:    ExitUsage,
		}
	}
}

func matching(services []string, word string) []string {
	for _, form := range []func(string) string{strings.Clone, request.Fold} {
		want := form(word)
		if slices.Contains(services, word) {
			return []string{word}
		}
		found := slices.DeleteFunc(slices.Clone(services), func(s string) bool {
			return form(s) != want && !strings.HasSuffix(form(s), "."+want)
		})
		if len(found) > 0 {
			return found
		}
	}
	return nil
}

// maxNear bounds how many services an error names.
const maxNear = 8

// nearestServices returns the services that are most like a word, by their last names.
func nearestServices(services []string, word string) []string {
	want := request.Fold(request.ShortName(word))
	near := slices.Sorted(slices.Values(services))
	slices.SortStableFunc(near, func(a, b string) int {
		return request.Distance(want, request.Fold(request.ShortName(a))) - request.Distance(want, request.Fold(request.ShortName(b)))
	})
	if more := len(near) - maxNear; more > 0 {
		near = append(near[:maxNear], fmt.Sprintf("and %d more", more))
	}
	return near
}

// given returns the schema that the command line names.
func (a *App) given(ctx context.Context, q question) (entry front.Entry, err error) {
	raw, err := a.givenSchema(ctx, q.options.Sources)
	if err != nil {
		return entry, err
	}
	schema, err := dynamic.ParseSchema(raw)
	if err != nil {
		return entry, err
	}
	service, err := pickService(schemaServices(schema), q.word)
	if err != nil {
		return entry, err
	}
	if raw, err = dynamic.OnlyService(raw, service); err != nil {
		return entry, err
	}
	c, err := compileSchema(service, raw)
	if err != nil {
		return entry, err
	}
	a.slow = c.slow
	e, err := a.Env()
	if err != nil {
		return entry, err
	}
	// Whether the server knows micro nobody has asked: who has no session with it has
	// nothing to tell it, and who has, has it with a server of micro.
	return front.OpenEntry(c.table, &front.Origin{Service: service, Plain: e.Account == ""})
}

// schemaServices returns the full names of the gRPC services of a schema.
func schemaServices(s *dynamic.Schema) []string {
	var names []string
	for _, service := range s.Services() {
		names = append(names, string(service.FullName()))
	}
	return names
}

// givenSchema reads the schema that the command line names, serialized.
func (a *App) givenSchema(ctx context.Context, s front.Sources) ([]byte, error) {
	var sets [][]byte
	if len(s.Protos) > 0 {
		raw, err := dynamic.CompileProto(ctx, s.Protos, s.Imports)
		if err != nil {
			return nil, &Error{Message: err.Error(), Hint: "say with -I DIR where imports are looked for", Exit: ExitUsage}
		}
		sets = append(sets, raw)
	}
	for _, name := range s.Protosets {
		raw, err := os.ReadFile(name)
		if err != nil {
			return nil, &Error{Message: err.Error(), Exit: ExitUsage}
		}
		sets = append(sets, raw)
	}
	if s.Repository != "" {
		raw, err := fetchSchema(ctx, s.Repository)
		if err != nil {
			return nil, err
		}
		sets = append(sets, raw)
	}
	return dynamic.MergeSchemas(sets...)
}

// fetchSchema gets the schema out of a directory or repository with .proto files, or
// from an image.
func fetchSchema(ctx context.Context, source string) (raw []byte, err error) {
	if ref, ok := strings.CutPrefix(source, "oci://"); ok {
		return image.PullSchema(ctx, ref)
	}
	s, err := image.Fetch(ctx, source, image.FetchOptions{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return s.Schema(ctx)
}
