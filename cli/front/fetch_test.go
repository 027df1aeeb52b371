package front

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/types/descriptorpb"

	registryv1 "github.com/micro/micro/v3/proto/micro/registry/v1"
)

// compiledSchema returns the answer of a server that knows features.
func compiledSchema(t *testing.T) *registryv1.GetSchemaResponse {
	t.Helper()
	s := features(t)
	return &registryv1.GetSchemaResponse{Digest: s.Digest(), Table: compiled(t, s)}
}

// What the cache does not know the server tells, on the connection of the call.
func TestRunCold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.forget(t)
	w.schema, w.refuses = compiledSchema(t), true
	hello := result{done: true, out: `{"msg": "Hello Alice"}` + "\n", calls: 2}
	if got := w.run(t.Context(), "features", "--name=Alice"); got != hello {
		t.Errorf("got %+v, want %+v", got, hello)
	}
	hello.calls = 1 // it is kept
	if got := w.run(t.Context(), "features", "--name=Alice"); got != hello {
		t.Errorf("the next time: got %+v, want %+v", got, hello)
	}
	h, ok := NewHistory(w.dirs(t), w.getenv)
	if past, err := h.Read(); !ok || err != nil || len(past) != 2 || past[0].Endpoint != "Features.Call" {
		t.Errorf("the history has %+v, %v", past, err)
	}
}

// A server that refuses a call made with an old schema sends the new one beside the
// refusal, and the call is made with that.
func TestRunStale(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old := parseSchema(t, &descriptorpb.FileDescriptorProto{
		Name: new("old.proto"), Package: new("old"), Syntax: new("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{{Name: new("M"), Field: []*descriptorpb.FieldDescriptorProto{{
			Name: new("name"), Number: new(int32(7)), JsonName: new("name"),
			Type: descriptorpb.FieldDescriptorProto_TYPE_BYTES.Enum(), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
		}}}},
		Service: []*descriptorpb.ServiceDescriptorProto{{Name: new("Features"), Method: []*descriptorpb.MethodDescriptorProto{
			{Name: new("Call"), InputType: new(".old.M"), OutputType: new(".old.M")},
		}}},
	})
	if _, err := (Cache{Dir: w.dirs(t).Cache}).Put(w.far(), "micro", "features", compiled(t, old)); err != nil {
		t.Fatal(err)
	}
	w.schema, w.refuses = compiledSchema(t), true
	hello := result{done: true, out: `{"msg": "Hello Alice"}` + "\n", calls: 2}
	if got := w.run(t.Context(), "features", "--name=Alice"); got != hello {
		t.Errorf("got %+v, want %+v", got, hello)
	}
	hello.calls = 1
	if got := w.run(t.Context(), "features", "--name=Alice"); got != hello {
		t.Errorf("the next time: got %+v, want %+v", got, hello)
	}
}

// What a server sends in the place of a schema is not called with, and not kept.
func TestRunColdHostile(t *testing.T) {
	t.Parallel()
	whole := compiledSchema(t)
	for name, answer := range map[string]*registryv1.GetSchemaResponse{
		"files":                        {Digest: whole.GetDigest(), Files: []byte("x")},
		"no table":                     {Digest: whole.GetDigest()},
		"what is no table":             {Digest: whole.GetDigest(), Table: []byte("no table")},
		"half a table":                 {Digest: whole.GetDigest(), Table: whole.GetTable()[:len(whole.GetTable())/2]},
		"the digest of another schema": {Digest: "sha256:" + strings.Repeat("0", 64), Table: whole.GetTable()},
		"no digest":                    {Table: whole.GetTable()},
		"a table without the endpoint": {Digest: parseSchema(t, &descriptorpb.FileDescriptorProto{Name: new("other.proto"), Syntax: new("proto3")}).Digest(), Table: otherTable(t)},
		"what tables do not take":      unsupported(t),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.forget(t)
			w.schema = answer
			if got := w.run(t.Context(), "features", "--name=x"); got != (result{calls: 1}) {
				t.Errorf("got %+v", got)
			}
			if entry, ok := (Cache{Dir: w.dirs(t).Cache}).Lookup(w.far(), "micro", "features"); ok && name != "a table without the endpoint" {
				t.Errorf("it keeps %+v", entry)
			}
		})
	}
}

// unsupported is the schema of a service whose message is called like one of
// google.protobuf and has other fields.
func unsupported(t *testing.T) *registryv1.GetSchemaResponse {
	t.Helper()
	s := parseSchema(t, &descriptorpb.FileDescriptorProto{
		Name: new("strange.proto"), Package: new("google.protobuf"), Syntax: new("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{{Name: new("Duration")}},
		Service: []*descriptorpb.ServiceDescriptorProto{{Name: new("Features"), Method: []*descriptorpb.MethodDescriptorProto{
			{Name: new("Call"), InputType: new(".google.protobuf.Duration"), OutputType: new(".google.protobuf.Duration")},
		}}},
	})
	return &registryv1.GetSchemaResponse{Digest: s.Digest(), Table: compiled(t, s)}
}
