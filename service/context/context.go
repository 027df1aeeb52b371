// Package context says in which namespace calls are made, and what goes along with them.
package context

import (
	"context"

	"github.com/micro/micro/v3/service/context/metadata"
)

// namespace is the name in the metadata.
const namespace = "Micro-Namespace"

// DefaultContext is a context for calls in the namespace "micro".
var DefaultContext = WithNamespace("micro") //nolint:gochecknoglobals // the name that services use

// WithNamespace returns a context for calls in a namespace.
func WithNamespace(ns string) context.Context { return SetNamespace(context.Background(), ns) }

// SetNamespace returns a context for calls in a namespace. Without it a call is made in
// the namespace of the service that makes it.
func SetNamespace(ctx context.Context, ns string) context.Context {
	return metadata.Set(ctx, namespace, ns)
}

// GetMetadata returns a value of the metadata of a context.
func GetMetadata(ctx context.Context, name string) (string, bool) { return metadata.Get(ctx, name) }

// SetMetadata returns a context with a value in its metadata.
func SetMetadata(ctx context.Context, name, value string) context.Context {
	return metadata.Set(ctx, name, value)
}
