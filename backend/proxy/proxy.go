// Package proxy is the one door to services. A command, an HTTP request, a
// browser and a service that calls a service all go through it:
//
//	authenticate → namespace → authorise → resolve → balance → forward
//
// [Proxy.Admit] does all but the last; what it returns forwards messages as the
// bytes that they are. It translates nothing: gateway and web do that in front.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/micro/micro/v3/backend/auth"
	"github.com/micro/micro/v3/backend/registry"
	"github.com/micro/micro/v3/backend/stats"
	"github.com/micro/micro/v3/backend/trace"
)

// Errors of the door, beside those of package auth.
var (
	// ErrNoService: the namespace has no service of that name, or none with
	// that gRPC service.
	ErrNoService = errors.New("no such service")
	// ErrNoInstance: there is the service, and nothing runs of it.
	ErrNoInstance = errors.New("no running instance")
	// ErrAmbiguous: several services that the caller may call have the gRPC
	// service; name one.
	ErrAmbiguous = errors.New("several services have it")
	// ErrSchemaChanged: the caller built its message from a schema that no
	// instance speaks any more. Nothing was forwarded. One who reads compiled
	// tables is sent that of the new schema beside the refusal.
	ErrSchemaChanged = errors.New("the service has another schema now")
	// ErrPath: the path is not that of a gRPC method.
	ErrPath = errors.New("not a gRPC method")
	// ErrClosed: the server is shutting down.
	ErrClosed = errors.New("the proxy is closed")
)

// Metadata keys by which callers steer the door. They are not forwarded.
const (
	KeyNamespace = "micro-namespace" // the namespace to call in
	KeyService   = "micro-service"   // the service to call, by name
	KeySchema    = "micro-schema"    // the digest of the schema that the message was built from
	KeyTable     = "micro-table"     // the version of compiled tables that the caller reads; see [ErrSchemaChanged]
)

// KeyRefused is in the trailer of a call that was refused here, so that the caller
// knows that no service has got anything of it. Services cannot set it.
const KeyRefused = "micro-refused"

// Metadata keys by which a service learns who calls it. Nobody else can set them.
const (
	KeyAccount     = "micro-account"
	KeyAccountType = "micro-account-type"
	KeyScopes      = "micro-scopes"
)

// Metadata keys by which a service says for whom it makes a call: the account that stands
// at the beginning, as the service knows it. The services of a namespace trust each
// other so far; from anybody else they are not forwarded, and no rule looks at them.
const (
	KeyOrigin       = "micro-origin-account"
	KeyOriginType   = "micro-origin-account-type"
	KeyOriginScopes = "micro-origin-scopes"
)

// Config is what [New] needs.
type Config struct {
	Auth     *auth.Auth
	Registry *registry.Registry
	Logger   *slog.Logger
	// Stats counts the calls; nil: nobody does.
	Stats *stats.Stats
	// Tracer follows the calls; nil: nobody does.
	Tracer *trace.Tracer
	// Deployed reports whether a service that has no instance should have one.
	Deployed func(ctx context.Context, namespace, service string) bool
	// Desired returns the names of the services of a namespace that should run; nil:
	// nobody knows.
	Desired func(namespace string) []string
	// Identified is told whose a token is, each time when one was good; nil: nobody is.
	Identified func(token string, caller auth.Identity)
}

// Proxy is safe for concurrent use.
type Proxy struct {
	config Config
	pool   *pool
}

// New returns a proxy.
func New(c Config) *Proxy {
	if c.Stats == nil {
		c.Stats = stats.New(stats.Config{})
	}
	return &Proxy{config: c, pool: newPool()}
}

// Close ends the connections to all instances, and with them the calls.
func (p *Proxy) Close() error { return p.pool.close() }

// Call is what a caller wants.
type Call struct {
	Token     string // an access token; empty: anonymous
	Namespace string // empty: that of the token's account, else the default one
	Service   string // by name; empty: the one that has the path's gRPC service
	Path      string // /package.Service/Method; empty when only Endpoint is known yet
	Endpoint  string // Service.Method, when Path is empty; see [Route.To]
	Schema    string // the digest of the caller's schema; empty: it has none
	Metadata  metadata.MD
}

// Route is an admitted call. It must be forwarded or dropped.
type Route struct {
	Caller    auth.Identity
	Namespace string
	Service   string
	Path      string

	proxy     *Proxy
	token     string
	directory *registry.Directory
	all       []registry.Instance // of the service, as the directory had them
	instances []registry.Instance // those of all that can answer
	schema    string              // that they must have; empty: any
	metadata  metadata.MD
}

// Identify returns who a caller is and the namespace that it calls in.
func (p *Proxy) Identify(ctx context.Context, token, namespace string) (auth.Identity, string, error) {
	caller, err := p.config.Auth.Verify(ctx, token)
	if err != nil {
		return auth.Identity{}, "", err
	}
	if p.config.Identified != nil {
		p.config.Identified(token, caller)
	}
	switch {
	case namespace != "":
	case caller.Namespace != "":
		namespace = caller.Namespace
	default:
		namespace = auth.DefaultNamespace
	}
	return caller, namespace, nil
}

// Admit finds out who calls and whether that is allowed, and which instances
// can answer. What a caller may not do and what is not there look alike to a
// stranger.
func (p *Proxy) Admit(ctx context.Context, c Call) (*Route, error) {
	caller, ns, err := p.Identify(ctx, c.Token, c.Namespace)
	if err != nil {
		return nil, err
	}
	grpcService, endpoint := "", c.Endpoint
	if c.Path != "" {
		var method string
		if grpcService, method, err = SplitPath(c.Path); err != nil {
			return nil, err
		}
		endpoint = Endpoint(grpcService, method)
	}
	r := &Route{Caller: caller, Namespace: ns, Service: c.Service, Path: c.Path, proxy: p, token: c.Token}
	if r.Service == "" {
		r.Service, err = r.provider(ctx, grpcService, endpoint)
	} else {
		err = r.authorize(ctx, r.Service, r.Service, endpoint)
	}
	if err != nil {
		return nil, err
	}
	if r.directory, err = p.config.Registry.Directory(ctx, ns); err != nil {
		return nil, err
	}
	r.schema = c.Schema
	if err := r.resolve(ctx); err != nil {
		if errors.Is(err, ErrNoInstance) {
			p.countRefused(ctx, ns, r.Service, c.Path, time.Now())
		}
		return nil, err
	}
	r.metadata = outgoing(c.Metadata, r)
	return r, nil
}

// authorize returns nil when the caller may call an endpoint of a service. The error
// says what was called in the caller's own words.
func (r *Route) authorize(ctx context.Context, service, words, endpoint string) error {
	err := r.proxy.config.Auth.Authorize(ctx, r.Caller, r.Namespace, auth.Resource{Type: "service", Name: service, Endpoint: endpoint})
	if errors.Is(err, auth.ErrNotFound) {
		return noService(r.Namespace, words)
	}
	if err != nil {
		return fmt.Errorf("call %s in namespace %q: %w", words, r.Namespace, err)
	}
	return nil
}

// Schema returns the digest of the schema that new calls of the service should be
// made from; empty when nothing is known of it.
func (r *Route) Schema() string { return r.instances[len(r.instances)-1].Schema }

// To sets the method of a call that was admitted by its endpoint alone, once the
// schema with the given digest has told what that is. Whether the caller may is
// asked again, since rules know the method by its own name.
func (r *Route) To(ctx context.Context, path, schema string) error {
	grpcService, method, err := SplitPath(path)
	if err != nil {
		return err
	}
	if err := r.authorize(ctx, r.Service, r.Service, Endpoint(grpcService, method)); err != nil {
		return err
	}
	r.Path, r.schema = path, schema
	return r.resolve(ctx)
}

// provider returns the service that has a gRPC service: the only one, or the only
// one that the caller may call. What it may not call it is not told of.
func (r *Route) provider(ctx context.Context, grpcService, endpoint string) (string, error) {
	none := fmt.Errorf("%w with gRPC service %s in namespace %q", ErrNoService, grpcService, r.Namespace)
	// No directory is made of a namespace that a stranger has made up.
	if ok, err := r.proxy.config.Auth.Known(ctx, r.Namespace); err != nil {
		return "", err
	} else if !ok {
		return "", none
	}
	d, err := r.proxy.config.Registry.Directory(ctx, r.Namespace)
	if err != nil {
		return "", err
	}
	services := d.Providers(grpcService)
	if len(services) == 0 {
		// Who may call nothing here learns nothing.
		if err := r.authorize(ctx, "", grpcService, endpoint); err != nil {
			return "", err
		}
		if r.proxy.awaits(r.Namespace, d) {
			return "", fmt.Errorf("%w with gRPC service %s in namespace %q", ErrNoInstance, grpcService, r.Namespace)
		}
		r.proxy.config.Auth.Miss(ctx, r.Namespace)
		return "", none
	}
	var allowed []string
	var refusal error
	for _, s := range services {
		if err := r.authorize(ctx, s, grpcService, endpoint); err != nil {
			refusal = err
			continue
		}
		allowed = append(allowed, s)
	}
	switch len(allowed) {
	case 0:
		return "", refusal
	case 1:
		return allowed[0], nil
	default:
		return "", fmt.Errorf("gRPC service %s: %w in namespace %q: %s; name one in the metadata key %s",
			grpcService, ErrAmbiguous, r.Namespace, strings.Join(allowed, ", "), KeyService)
	}
}

// awaits reports whether a service should run that has no instance: nobody knows which
// gRPC services it is going to have.
func (p *Proxy) awaits(ns string, d *registry.Directory) bool {
	return p.config.Desired != nil && slices.ContainsFunc(p.config.Desired(ns), func(name string) bool {
		return len(d.Instances(name)) == 0
	})
}

func noService(ns, service string) error {
	return fmt.Errorf("%w: %s in namespace %q", ErrNoService, service, ns)
}

// resolve finds the instances that the call may go to.
func (r *Route) resolve(ctx context.Context) error {
	r.all = r.directory.Instances(r.Service)
	r.instances = r.all
	if len(r.all) == 0 {
		deployed := r.proxy.config.Deployed
		if deployed != nil && deployed(ctx, r.Namespace, r.Service) {
			return fmt.Errorf("%w of %s in namespace %q", ErrNoInstance, r.Service, r.Namespace)
		}
		return noService(r.Namespace, r.Service)
	}
	if r.schema == "" {
		return nil
	}
	r.instances = slices.DeleteFunc(slices.Clone(r.all), func(in registry.Instance) bool { return in.Schema != r.schema })
	if len(r.instances) == 0 {
		return fmt.Errorf("call %s in namespace %q: %w", r.Service, r.Namespace, ErrSchemaChanged)
	}
	return nil
}

// changed reports whether other instances can be called than when the call was resolved,
// or that may be so.
func (r *Route) changed() bool {
	now := r.directory.Instances(r.Service) // it is replaced, and never changed
	return len(now) != len(r.all) || len(now) > 0 && &now[0] != &r.all[0]
}

// Drain returns when no call is under way to an instance, or ctx ends. Take it out
// of the registry first, or new calls will come.
func (p *Proxy) Drain(ctx context.Context, address string) error {
	return p.pool.drain(ctx, address)
}

// SplitPath splits "/package.Service/Method".
func SplitPath(path string) (service, method string, err error) {
	rest, ok := strings.CutPrefix(path, "/")
	service, method, found := strings.Cut(rest, "/")
	if !ok || !found || service == "" || method == "" || strings.Contains(method, "/") {
		return "", "", fmt.Errorf("%w: %q", ErrPath, path)
	}
	return service, method, nil
}

// Endpoint returns the name that rules know a method by: Service.Method.
func Endpoint(grpcService, method string) string {
	return grpcService[strings.LastIndexByte(grpcService, '.')+1:] + "." + method
}

// incoming returns the metadata of an instance for the caller, without what only
// the server itself says.
func incoming(md metadata.MD) metadata.MD {
	for k := range md {
		if strings.HasPrefix(k, "micro-") {
			delete(md, k)
		}
	}
	return md
}

// outgoing returns the metadata for the instance: the caller's own, without what
// belongs to one hop or would claim to be us, and who the caller is.
func outgoing(in metadata.MD, r *Route) metadata.MD {
	out := make(metadata.MD, len(in)+4)
	for k, v := range in {
		switch {
		case strings.HasPrefix(k, ":"), strings.HasPrefix(k, "micro-"), strings.HasPrefix(k, "grpc-"):
		case k == "authorization", k == "cookie", k == "content-type", k == "user-agent", k == "te",
			k == "connection", k == "host", k == "content-length", k == "transfer-encoding", k == "upgrade":
		default:
			out[k] = v
		}
	}
	out.Set(KeyNamespace, r.Namespace)
	if r.Caller.ID != "" && r.Caller.Namespace == r.Namespace {
		out.Set(KeyAccount, r.Caller.ID)
		out.Set(KeyAccountType, string(r.Caller.Type))
		if len(r.Caller.Scopes) > 0 {
			out.Set(KeyScopes, strings.Join(r.Caller.Scopes, ","))
		}
		if r.Caller.Type == auth.Service {
			for _, k := range []string{KeyOrigin, KeyOriginType, KeyOriginScopes} {
				out.Append(k, in.Get(k)...)
			}
		}
	}
	return out
}
