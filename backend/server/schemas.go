package server

import (
	"context"
	"sync"

	"github.com/micro/micro/v3/backend/registry"
	"github.com/micro/micro/v3/dynamic"
	"github.com/micro/micro/v3/dynamic/wire"
)

// maxSchemas bounds how many schemas are kept in memory; then all are dropped.
const maxSchemas = 1000

// schemas keeps the schemas in use, which are immutable and known by their digest.
type schemas struct {
	registry *registry.Registry

	mu       sync.Mutex
	byDigest map[string]*dynamic.Schema
}

func newSchemas(r *registry.Registry) *schemas {
	return &schemas{registry: r, byDigest: map[string]*dynamic.Schema{}}
}

// table returns the compiled form of the schema with a digest. That the caller may see
// it must be known. The error is [wire.ErrUnsupported] when a table does not take all
// of it.
func (s *schemas) table(ctx context.Context, ns, digest string) ([]byte, error) {
	schema, err := s.get(ctx, ns, digest)
	if err != nil {
		return nil, err
	}
	fast, err := schema.Fast()
	if err != nil {
		return nil, err
	}
	if !fast {
		return nil, wire.ErrUnsupported
	}
	t, err := schema.Table()
	if err != nil {
		return nil, err
	}
	return t.Bytes(), nil
}

// get returns the schema with a digest. That the caller may see it must be known.
func (s *schemas) get(ctx context.Context, ns, digest string) (*dynamic.Schema, error) {
	s.mu.Lock()
	schema := s.byDigest[digest]
	s.mu.Unlock()
	if schema != nil {
		return schema, nil
	}
	files, err := s.registry.Schema(ctx, ns, digest)
	if err != nil {
		return nil, err
	}
	if schema, err = dynamic.ParseSchema(files); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.byDigest) >= maxSchemas {
		clear(s.byDigest)
	}
	s.byDigest[digest] = schema
	return schema, nil
}
