package server

import (
	"context"
	"crypto/rand"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/micro/micro/v3/backend/auth"
	"github.com/micro/micro/v3/backend/deploy"
	"github.com/micro/micro/v3/backend/proxy"
	"github.com/micro/micro/v3/backend/registry"
	"github.com/micro/micro/v3/dynamic"
	"github.com/micro/micro/v3/dynamic/wire"
	registryv1 "github.com/micro/micro/v3/proto/micro/registry/v1"
)

// registryAPI answers micro.registry.v1.Registry.
type registryAPI struct {
	registryv1.UnimplementedRegistryServer
	registry  *registry.Registry
	directory *directory
	schemas   *schemas
	deployer  *deploy.Deployer
	// forwardable returns the address to forward calls to, or why the server will
	// not.
	forwardable func(address string) (string, error)
}

func (r *registryAPI) Register(ctx context.Context, req *registryv1.RegisterRequest) (*registryv1.RegisterResponse, error) {
	c := callerOf(ctx)
	in := req.GetInstance()
	if err := checkServiceName(in.GetService()); err != nil {
		return nil, err
	}
	if err := checkOwnService(c, in.GetService()); err != nil {
		return nil, err
	}
	if id := in.GetId(); id != "" && (len(id) > 128 || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' || r == '/' })) {
		return nil, invalid("%q cannot be the id of an instance", id)
	}
	address, err := r.forwardable(in.GetAddress())
	if err != nil {
		return nil, err
	}
	entry := registry.Instance{
		ID:      in.GetId(),
		Service: in.GetService(),
		Version: in.GetVersion(),
		Address: address,
		Owner:   ownerOf(c),
	}
	if entry.ID == "" {
		entry.ID = entry.Service + "-" + strings.ToLower(rand.Text()[:10])
	}
	if err := r.directory.describe(ctx, c.namespace, &entry, req.GetSchema(), nil); err != nil {
		return nil, err
	}
	entry, err = r.registry.Register(ctx, c.namespace, entry, req.GetLease().AsDuration())
	if err != nil {
		return nil, err
	}
	return &registryv1.RegisterResponse{Instance: instance(entry)}, nil
}

// checkOwnService returns nil when a caller may register instances of a service. A
// service may only those of its own name, whatever the rules let it do: it would get
// the calls of others.
func checkOwnService(c caller, service string) error {
	if c.Type == auth.Service && c.ID != service && !slices.Contains(c.Scopes, auth.ScopeAdmin) {
		return fmt.Errorf("the service %s registers an instance of %s: %w", c.ID, service, auth.ErrDenied)
	}
	return nil
}

// ownerOf returns who may renew what a caller registers.
func ownerOf(c caller) string { return "account " + c.Namespace + "/" + c.ID }

func (r *registryAPI) Renew(ctx context.Context, req *registryv1.RenewRequest) (*registryv1.RenewResponse, error) {
	c := callerOf(ctx)
	expires, err := r.registry.Renew(ctx, c.namespace, req.GetService(), req.GetId(), ownerOf(c), req.GetLease().AsDuration())
	if err != nil {
		return nil, fmt.Errorf("instance %q of %q: %w", req.GetId(), req.GetService(), err)
	}
	return &registryv1.RenewResponse{LeaseExpires: timestamppb.New(expires)}, nil
}

func (r *registryAPI) Deregister(ctx context.Context, req *registryv1.DeregisterRequest) (*registryv1.DeregisterResponse, error) {
	c := callerOf(ctx)
	err := r.registry.Deregister(ctx, c.namespace, req.GetService(), req.GetId(), ownerOf(c))
	return &registryv1.DeregisterResponse{}, err
}

func (r *registryAPI) List(ctx context.Context, req *registryv1.ListRequest) (*registryv1.ListResponse, error) {
	ns := callerOf(ctx).namespace
	page, err := listingOf(req, ns)
	if err != nil {
		return nil, err
	}
	if req.GetPageSize() == 0 {
		page.size = math.MaxInt
	}
	d, err := r.registry.Directory(ctx, ns)
	if err != nil {
		return nil, err
	}
	rsp := &registryv1.ListResponse{}
	for name, instances := range d.Services() {
		if name <= page.after {
			continue
		}
		if len(rsp.GetServices()) == page.size {
			rsp.NextPageToken = page.next(rsp.GetServices()[page.size-1].GetName())
			break
		}
		rsp.Services = append(rsp.Services, registered(name, instances))
	}
	return rsp, nil
}

func (r *registryAPI) Get(ctx context.Context, req *registryv1.GetRequest) (*registryv1.GetResponse, error) {
	c := callerOf(ctx)
	ns := c.namespace
	d, err := r.registry.Directory(ctx, ns)
	if err != nil {
		return nil, err
	}
	instances := d.Instances(req.GetName())
	if len(instances) == 0 {
		return nil, noService(req.GetName(), ns)
	}
	out := registered(req.GetName(), instances)
	if c.Namespace != ns {
		// Who may call a service goes through the door: where it listens is for those
		// who run it.
		for _, in := range out.GetInstances() {
			in.Address = ""
		}
	}
	if digest := newest(instances).Schema; digest != "" {
		schema, err := r.schemas.get(ctx, ns, digest)
		if err != nil {
			return nil, err
		}
		out.Endpoints = endpoints(schema)
	}
	return &registryv1.GetResponse{Service: out}, nil
}

func (r *registryAPI) Watch(_ *registryv1.WatchRequest, out grpc.ServerStreamingServer[registryv1.WatchResponse]) error {
	ctx := out.Context()
	d, err := r.registry.Directory(ctx, callerOf(ctx).namespace)
	if err != nil {
		return err
	}
	before := map[string][]registry.Instance{}
	for synced := false; ; {
		changed := d.Changed()
		now := map[string][]registry.Instance{}
		for name, instances := range d.Services() {
			now[name] = instances
			if !sameInstances(before[name], instances) {
				if err := out.Send(&registryv1.WatchResponse{Service: registered(name, instances)}); err != nil {
					return err
				}
			}
		}
		for name := range before {
			if now[name] == nil {
				if err := out.Send(&registryv1.WatchResponse{Service: registered(name, nil)}); err != nil {
					return err
				}
			}
		}
		before = now
		if !synced {
			synced = true
			if err := out.Send(&registryv1.WatchResponse{Synced: true}); err != nil {
				return err
			}
		}
		select {
		case <-changed:
		case <-d.Done():
			if d, err = r.registry.Directory(ctx, callerOf(ctx).namespace); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// sameInstances reports whether nothing but leases differs.
func sameInstances(a, b []registry.Instance) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].ID != b[i].ID || a[i].Address != b[i].Address || a[i].Schema != b[i].Schema || a[i].Version != b[i].Version {
			return false
		}
	}
	return true
}

func (r *registryAPI) GetSchema(ctx context.Context, req *registryv1.GetSchemaRequest) (*registryv1.GetSchemaResponse, error) {
	ns := callerOf(ctx).namespace
	d, err := r.registry.Directory(ctx, ns)
	if err != nil {
		return nil, err
	}
	instances := d.Instances(req.GetService())
	if len(instances) == 0 {
		return nil, noService(req.GetService(), ns)
	}
	digest := newest(instances).Schema
	if want := req.GetDigest(); want != "" {
		digest = ""
		for _, in := range instances {
			if in.Schema == want {
				digest = want
			}
		}
	}
	if digest == "" {
		return nil, told(registry.ErrNotFound, "the service %q has no such schema", req.GetService())
	}
	if req.GetTableVersion() == wire.Version {
		if table, err := r.schemas.table(ctx, ns, digest); err == nil {
			return &registryv1.GetSchemaResponse{Digest: digest, Table: table}, nil
		}
	}
	files, err := r.registry.Schema(ctx, ns, digest)
	if err != nil {
		return nil, err
	}
	return &registryv1.GetSchemaResponse{Digest: digest, Files: files}, nil
}

// tell sends a caller whose schema is an old one the new one beside the refusal, if
// it reads compiled tables and may see that one: so it need not ask for it.
func (r *registryAPI) tell(in grpc.ServerStream, g *guard) {
	md, _ := metadata.FromIncomingContext(in.Context())
	version, err := strconv.ParseUint(first(md, proxy.KeyTable), 10, 32)
	if err != nil {
		return
	}
	const method = registryv1.Registry_GetSchema_FullMethodName
	req := &registryv1.GetSchemaRequest{Service: first(md, proxy.KeyService), TableVersion: uint32(version)}
	ctx, err := g.admit(in.Context(), g.methods[method])
	if err != nil || g.check(ctx, method, g.methods[method], req) != nil {
		return
	}
	rsp, err := r.GetSchema(ctx, req)
	if err != nil || rsp.GetTable() == nil || in.SetHeader(metadata.Pairs(proxy.KeyRefused, "true")) != nil {
		return
	}
	_ = in.SendMsg(rsp) // the caller has gone, and the refusal says the same to it
}

// newest returns the instance whose schema new callers should use.
func newest(instances []registry.Instance) registry.Instance {
	return instances[len(instances)-1]
}

func noService(name, ns string) error {
	return told(registry.ErrNotFound, "no instance of a service %q is registered in namespace %q", name, ns)
}

func registered(name string, instances []registry.Instance) *registryv1.Service {
	out := &registryv1.Service{Name: name}
	for _, in := range instances {
		out.Instances = append(out.Instances, instance(in))
	}
	return out
}

func instance(in registry.Instance) *registryv1.Instance {
	return &registryv1.Instance{
		Id:           in.ID,
		Service:      in.Service,
		Version:      in.Version,
		Address:      in.Address,
		SchemaDigest: in.Schema,
		LeaseExpires: timestamp(in.LeaseExpires),
		Since:        timestamp(in.Since),
	}
}

// endpoints lists the methods of a schema, but for what is there for tools.
func endpoints(schema *dynamic.Schema) []*registryv1.Endpoint {
	var out []*registryv1.Endpoint
	for _, svc := range schema.Services() {
		if dynamic.Plumbing(svc.FullName()) {
			continue
		}
		for i := range svc.Methods().Len() {
			m := svc.Methods().Get(i)
			out = append(out, &registryv1.Endpoint{
				Name:            dynamic.Endpoint(m),
				Path:            dynamic.Path(m),
				Request:         string(m.Input().FullName()),
				Response:        string(m.Output().FullName()),
				ClientStreaming: m.IsStreamingClient(),
				ServerStreaming: m.IsStreamingServer(),
				Comment:         dynamic.Comment(m),
			})
		}
	}
	return out
}
