package cli

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/micro/micro/v3/dynamic"
	registryv1 "github.com/micro/micro/v3/proto/micro/registry/v1"
)

// descriptors returns the schema of a service as descriptors, which the cache does
// not have: from a server of micro, else by reflection.
func (a *App) descriptors(ctx context.Context, conn *grpc.ClientConn, service string) (*dynamic.Schema, error) {
	rsp, err := registryv1.NewRegistryClient(conn).GetSchema(ctx, &registryv1.GetSchemaRequest{Service: service})
	raw := rsp.GetFiles()
	if status.Code(err) == codes.Unimplemented {
		raw, err = dynamic.Reflect(ctx, conn)
	}
	if err != nil {
		return nil, err
	}
	schema, err := dynamic.ParseSchema(raw)
	if err != nil {
		return nil, fmt.Errorf("the schema of %s: %w", service, err)
	}
	return schema, nil
}
