package server

import (
	"context"
	_ "embed" // the schema of the server's own APIs
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/reflection"
	reflectv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/micro/micro/v3/backend/auth"
	"github.com/micro/micro/v3/backend/proxy"
	"github.com/micro/micro/v3/backend/registry"
	"github.com/micro/micro/v3/dynamic"
)

// reflector answers gRPC reflection for everything that a caller can call: the
// server's own APIs and the services of the caller's namespace, or only the one
// service that the caller names in its metadata.
type reflector struct {
	auth     *auth.Auth
	registry *registry.Registry
	schemas  *schemas
	own      reflection.ServiceInfoProvider
	apis     *dynamic.Schema // what the server's own APIs are, with comments
}

//go:embed apis.binpb
var apisSchema []byte

// register makes a gRPC server answer both versions.
func (r *reflector) register(s grpc.ServiceRegistrar) {
	reflectv1.RegisterServerReflectionServer(s, reflectorV1{r})
	reflectv1alpha.RegisterServerReflectionServer(s, reflectorV1alpha{r})
}

type reflectorV1 struct{ *reflector }

func (r reflectorV1) ServerReflectionInfo(s grpc.BidiStreamingServer[reflectv1.ServerReflectionRequest, reflectv1.ServerReflectionResponse]) error {
	o, err := r.options(s.Context())
	if err != nil {
		return err
	}
	return reflection.NewServerV1(o).ServerReflectionInfo(s)
}

type reflectorV1alpha struct{ *reflector }

func (r reflectorV1alpha) ServerReflectionInfo(s reflectv1alpha.ServerReflection_ServerReflectionInfoServer) error {
	o, err := r.options(s.Context())
	if err != nil {
		return err
	}
	return reflection.NewServer(o).ServerReflectionInfo(s)
}

// options collects what the caller may see.
func (r *reflector) options(ctx context.Context) (reflection.ServerOptions, error) {
	c := callerOf(ctx)
	v := &visible{services: map[string]grpc.ServiceInfo{}}
	wanted := received(ctx, proxy.KeyService)
	if wanted == "" {
		for name := range r.own.GetServiceInfo() {
			v.services[name] = grpc.ServiceInfo{}
		}
		v.own = []files{r.apis.Files(), protoregistry.GlobalFiles}
	}
	ok, err := r.auth.Exists(ctx, c.namespace)
	if err != nil {
		return reflection.ServerOptions{}, err
	}
	if ok {
		if err := r.addServices(ctx, c, wanted, v); err != nil {
			return reflection.ServerOptions{}, err
		}
	}
	return reflection.ServerOptions{Services: v, DescriptorResolver: v, ExtensionResolver: protoregistry.GlobalTypes}, nil
}

func (r *reflector) addServices(ctx context.Context, c caller, wanted string, v *visible) error {
	d, err := r.registry.Directory(ctx, c.namespace)
	if err != nil {
		return err
	}
	for name, instances := range d.Services() {
		digest := newest(instances).Schema
		if wanted != "" && name != wanted || digest == "" {
			continue
		}
		res := auth.Resource{Type: "service", Name: name, Endpoint: "Registry.GetSchema", Class: auth.Read}
		if r.auth.Authorize(ctx, c.Identity, c.namespace, res) != nil {
			continue
		}
		schema, err := r.schemas.get(ctx, c.namespace, digest)
		if err != nil {
			return err
		}
		v.schemas = append(v.schemas, schema)
		for _, svc := range schema.Services() {
			if wanted != "" || !dynamic.Plumbing(svc.FullName()) {
				v.services[string(svc.FullName())] = grpc.ServiceInfo{}
			}
		}
	}
	return nil
}

// visible is what one caller sees. The server's own APIs are nobody else's to define;
// where two services have something of the same name, the first one's is shown.
type visible struct {
	services map[string]grpc.ServiceInfo
	own      []files // what the server itself speaks, with comments first; may be empty
	schemas  []*dynamic.Schema
}

// files is where descriptors are looked for.
type files interface {
	FindFileByPath(path string) (protoreflect.FileDescriptor, error)
	FindDescriptorByName(name protoreflect.FullName) (protoreflect.Descriptor, error)
}

// isOwnPackage reports whether a name is in a package that is the server's own.
func isOwnPackage(name protoreflect.FullName) bool { return strings.HasPrefix(string(name), "micro.") }

func (v *visible) GetServiceInfo() map[string]grpc.ServiceInfo { return v.services }

func (v *visible) FindFileByPath(path string) (protoreflect.FileDescriptor, error) {
	return find(v, func(f files) (protoreflect.FileDescriptor, error) { return f.FindFileByPath(path) })
}

func (v *visible) FindDescriptorByName(name protoreflect.FullName) (protoreflect.Descriptor, error) {
	return find(v, func(f files) (protoreflect.Descriptor, error) { return f.FindDescriptorByName(name) })
}

// find returns what is the server's own, else the first that a service has.
func find[D protoreflect.Descriptor](v *visible, in func(files) (D, error)) (D, error) {
	var fallback D
	err := protoregistry.NotFound
	for _, f := range v.own {
		d, ownErr := in(f)
		if ownErr != nil {
			continue
		}
		if isOwnPackage(d.FullName()) {
			return d, nil
		}
		if err != nil {
			fallback, err = d, nil
		}
	}
	for _, s := range v.schemas {
		if d, err := in(s.Files()); err == nil {
			return d, nil
		}
	}
	return fallback, err
}
