package cli

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/dynamic"
	registryv1 "github.com/micro/micro/v3/proto/micro/registry/v1"
)

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
