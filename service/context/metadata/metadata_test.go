package metadata_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	grpcmetadata "google.golang.org/grpc/metadata"

	micro "github.com/micro/micro/v3/service/context"
	"github.com/micro/micro/v3/service/context/metadata"
)

// What a caller sent is there, under names as HTTP writes them.
func TestIncoming(t *testing.T) {
	t.Parallel()
	if md, ok := metadata.FromContext(t.Context()); ok {
		t.Errorf("of no call: %v", md)
	}
	ctx := grpcmetadata.NewIncomingContext(t.Context(), grpcmetadata.Pairs("x-tenant", "acme", "x-many", "1", "x-many", "2", ":authority", "here"))
	md, ok := metadata.FromContext(ctx)
	if diff := cmp.Diff(metadata.Metadata{"X-Tenant": "acme", "X-Many": "1, 2"}, md); diff != "" || !ok {
		t.Errorf("%v (-want +got):\n%s", ok, diff)
	}
	for _, name := range []string{"x-tenant", "X-Tenant", "X-TENANT"} {
		if v, ok := metadata.Get(ctx, name); v != "acme" || !ok {
			t.Errorf("Get(%q) = %q, %v", name, v, ok)
		}
	}
	if v, ok := metadata.Get(ctx, "X-Other"); ok {
		t.Errorf("Get of what is not there = %q", v)
	}
	md["X-Tenant"] = "globex"
	if v, _ := metadata.Get(ctx, "X-Tenant"); v != "acme" {
		t.Errorf("a change of what was returned changed the context: %q", v)
	}
}

func TestChange(t *testing.T) {
	t.Parallel()
	sent := grpcmetadata.NewIncomingContext(t.Context(), grpcmetadata.Pairs("x-tenant", "acme", "x-kept", "yes"))
	for _, tt := range []struct {
		name string
		ctx  context.Context //nolint:containedctx // what is tested
		want metadata.Metadata
	}{
		{"set", metadata.Set(sent, "x-tenant", "globex"), metadata.Metadata{"X-Tenant": "globex", "X-Kept": "yes"}},
		{"set to nothing", metadata.Set(sent, "X-Tenant", ""), metadata.Metadata{"X-Kept": "yes"}},
		{"delete", metadata.Delete(sent, "x-Tenant"), metadata.Metadata{"X-Kept": "yes"}},
		{"set where nothing is", metadata.Set(t.Context(), "a", "b"), metadata.Metadata{"A": "b"}},
		{"new", metadata.NewContext(sent, metadata.Metadata{"a": "b"}), metadata.Metadata{"A": "b"}},
		{"merge", metadata.MergeContext(sent, metadata.Metadata{"x-tenant": "globex", "a": "b"}, false), metadata.Metadata{"X-Tenant": "acme", "X-Kept": "yes", "A": "b"}},
		{"merge over", metadata.MergeContext(sent, metadata.Metadata{"x-tenant": "globex", "x-kept": ""}, true), metadata.Metadata{"X-Tenant": "globex"}},
		{"a namespace", micro.SetNamespace(t.Context(), "acme"), metadata.Metadata{"Micro-Namespace": "acme"}},
		{"the default namespace", micro.DefaultContext, metadata.Metadata{"Micro-Namespace": "micro"}},
		{"by the other package", micro.SetMetadata(t.Context(), "a", "b"), metadata.Metadata{"A": "b"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, _ := metadata.FromContext(tt.ctx)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if v, ok := micro.GetMetadata(sent, "X-Kept"); v != "yes" || !ok {
		t.Errorf("GetMetadata = %q, %v", v, ok)
	}
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	md := metadata.Copy(nil)
	md.Set("a-b", "1")
	if v, ok := md.Get("A-B"); v != "1" || !ok {
		t.Errorf("Get = %q, %v", v, ok)
	}
	other := metadata.Copy(md)
	md.Delete("a-B")
	if len(md) != 0 || len(other) != 1 {
		t.Errorf("after Delete: %v, and of the copy %v", md, other)
	}
}
