// Package metadata is what comes with a call besides its message: names and values.
//
//	tenant, ok := metadata.Get(ctx, "X-Tenant")
//	ctx = metadata.Set(ctx, "X-Tenant", "acme")
//
// In the context of a call it is what the caller sent. What is set in a context goes
// along with the calls that package client makes with it, as does what came: but for
// what belongs to one hop, and what says who calls, which is the server's to say.
//
// Names are written as in HTTP, "X-Tenant", and found however they are written.
package metadata

import (
	"context"
	"maps"
	"net/textproto"
	"strings"

	"google.golang.org/grpc/metadata"
)

// Metadata is a set of names with a value each.
type Metadata map[string]string

// Get returns the value of a name.
func (md Metadata) Get(name string) (string, bool) {
	if v, ok := md[name]; ok {
		return v, true
	}
	v, ok := md[textproto.CanonicalMIMEHeaderKey(name)]
	return v, ok
}

// Set sets the value of a name.
func (md Metadata) Set(name, value string) { md[textproto.CanonicalMIMEHeaderKey(name)] = value }

// Delete removes a name.
func (md Metadata) Delete(name string) {
	delete(md, name)
	delete(md, textproto.CanonicalMIMEHeaderKey(name))
}

// Copy returns a copy.
func Copy(md Metadata) Metadata {
	if md == nil {
		return Metadata{}
	}
	return maps.Clone(md)
}

type key struct{}

// FromContext returns a copy of the metadata of a context: what was set in it, else what
// the caller of the call sent. It reports false when there is none.
func FromContext(ctx context.Context) (Metadata, bool) {
	if md, ok := ctx.Value(key{}).(Metadata); ok {
		return Copy(md), true
	}
	in, ok := metadata.FromIncomingContext(ctx)
	if !ok {
		return nil, false
	}
	md := make(Metadata, len(in))
	for name, values := range in {
		if strings.HasPrefix(name, ":") {
			continue // of HTTP itself
		}
		md.Set(name, strings.Join(values, ", "))
	}
	return md, true
}

// NewContext returns a context whose metadata is md and nothing else.
func NewContext(ctx context.Context, md Metadata) context.Context {
	canonical := make(Metadata, len(md))
	for name, value := range md {
		canonical.Set(name, value)
	}
	return context.WithValue(ctx, key{}, canonical)
}

// MergeContext returns a context with what is in md besides what was there. Of a name
// that both have, the value of md counts if it overwrites. An empty value removes one.
func MergeContext(ctx context.Context, md Metadata, overwrite bool) context.Context {
	all, _ := FromContext(ctx)
	all = Copy(all)
	for name, value := range md {
		switch _, there := all.Get(name); {
		case there && !overwrite:
		case value == "":
			all.Delete(name)
		default:
			all.Set(name, value)
		}
	}
	return context.WithValue(ctx, key{}, all)
}

// Get returns a value of the metadata of a context.
func Get(ctx context.Context, name string) (string, bool) {
	md, _ := FromContext(ctx)
	return md.Get(name)
}

// Set returns a context with a value; an empty one removes the name.
func Set(ctx context.Context, name, value string) context.Context {
	return MergeContext(ctx, Metadata{name: value}, true)
}

// Delete returns a context without a name.
func Delete(ctx context.Context, name string) context.Context { return Set(ctx, name, "") }
