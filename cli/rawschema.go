package cli

import (
	"context"
	"fmt"

	"google.golang.org/grpc"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/dynamic"
	registryv1 "github.com/micro/micro/v3/proto/micro/registry/v1"
)

// descriptors returns the schema that an entry was compiled from as descriptors, which
// the cache does not have: from what the command line names, a server with micro, or by
// reflection.
func (a *App) descriptors(ctx context.Context, conn *grpc.ClientConn, entry front.Entry, q question) (*dynamic.Schema, error) {
	raw, err := a.rawSchema(ctx, conn, entry, q)
	if err != nil {
		return nil, err
	}
	schema, err := dynamic.ParseSchema(raw)
	if err != nil {
		return nil, fmt.Errorf("the schema of %s: %w", q.word, err)
	}
	return schema, nil
}

func (a *App) rawSchema(ctx context.Context, conn *grpc.ClientConn, entry front.Entry, q question) ([]byte, error) {
	switch {
	case !q.options.Sources.IsEmpty():
		return a.givenSchema(ctx, q.options.Sources)
	case entry.Origin == nil:
		rsp, err := registryv1.NewRegistryClient(conn).GetSchema(ctx, &registryv1.GetSchemaRequest{Service: q.word})
		return rsp.GetFiles(), err
	default:
		r, err := dynamic.ReflectService(callContextOf(ctx, entry.Origin, q.options.Headers), conn, func(services []string) (string, error) {
			return pickService(services, entry.Origin.Service)
		})
		if err != nil {
			return nil, err
		}
		return r.Schema, nil
	}
}
