package dynamic

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/structpb"

	"google.golang.org/protobuf/reflect/protodesc"

	"github.com/micro/micro/v3/dynamic/wire"
)

func compileSet(t *testing.T, set *descriptorpb.FileDescriptorSet, o CompileOptions) *wire.Table {
	t.Helper()
	files, err := NewFiles(set)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Compile(files, o)
	if err != nil {
		t.Fatal(err)
	}
	table, err := wire.Open(b)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestCompileStable(t *testing.T) {
	t.Parallel()
	o := CompileOptions{Docs: true, Source: [32]byte{7}}
	set := compileProto(t, "both.proto")
	want := compileSet(t, set, o)
	if got := want.Source(); got != o.Source {
		t.Errorf("source: got %x, want %x", got, o.Source)
	}
	for range 5 {
		slices.Reverse(set.File)
		if !bytes.Equal(compileSet(t, set, o).Bytes(), want.Bytes()) {
			t.Error("the same schema gives other bytes")
		}
	}
}

func TestCompileServices(t *testing.T) {
	t.Parallel()
	table := compileSet(t, compileProto(t, "order.proto"), CompileOptions{Docs: true})
	docs, err := table.Docs()
	if err != nil {
		t.Fatal(err)
	}
	type method struct {
		Path                   string
		Client, Server, Ending bool
		Comment                string
	}
	var got []method
	for s := range table.Services() {
		for m := range s.Methods() {
			got = append(got, method{m.Path(), m.ClientStreaming(), m.ServerStreaming(), m.Deprecated(), docs.Of(m).Comment})
		}
	}
	want := []method{
		{"/shop.v1.Orders/Haggle", true, true, false, ""},
		{"/shop.v1.Orders/Import", true, false, true, ""},
		{"/shop.v1.Orders/Place", false, false, false, "Place takes an order.\n\nIt answers with the order as it was taken."},
		{"/shop.v1.Orders/Watch", false, true, false, "Watch follows an order."},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	status, _ := table.Enum("shop.v1.Status")
	delivered, _ := status.Value("STATUS_DELIVERED")
	if got, want := docs.Of(delivered).Comment, "The parcel arrived."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	item, _ := table.Message("shop.v1.Item")
	discount, _ := item.Field("discount")
	if !discount.Deprecated() {
		t.Error("the discount is not deprecated")
	}
}

func TestCompileDefaults(t *testing.T) {
	t.Parallel()
	table := compileSet(t, compileProto(t, "proto2.proto"), CompileOptions{})
	base, _ := table.Message("two.Base")
	for name, want := range map[string]string{"count": "41", "raw": `\x01\"x`, "level": "HIGH"} {
		f, _ := base.Field(name)
		if got, ok := f.Default(); !ok || got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	if f, _ := base.Field("text"); f.Kind() != wire.StringKind {
		t.Errorf("got %v, want a string", f.Kind())
	} else if text, ok := f.Default(); ok {
		t.Errorf("a default that nobody gave: %q", text)
	}
	if level, _ := table.Enum("two.Level"); !level.Closed() {
		t.Error("an enum of proto2 is not closed")
	}
	if x, ok := table.Extension("two.Base.nested_text"); !ok || x.Parent() != base {
		t.Error("an extension declared in a message is missing")
	}
}

func TestCompileRules(t *testing.T) {
	t.Parallel()
	table := compileSet(t, compileProto(t, "rules.proto"), CompileOptions{Docs: true})
	docs, err := table.Docs()
	if err != nil {
		t.Fatal(err)
	}
	account, _ := table.Message("rules.Account")
	got := map[string]wire.Doc{}
	for f := range account.Fields() {
		got[f.Name()] = docs.Of(f)
	}
	want := map[string]wire.Doc{
		"email":   {Comment: "Where to write to.\n An indented line.\nIt is verified.", Rules: `{"string":{"email":true}}`},
		"name":    {Rules: `{"required":true,"string":{"minLen":"3"}}`, Required: true},
		"country": {Required: true},
		"city":    {},
		"note":    {},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if table := compileSet(t, compileProto(t, "rules.proto"), CompileOptions{}); len(table.Bytes()) == 0 {
		t.Error("no table without docs")
	}
}

// TestUnsupported compiles what looks like something that the tables know by
// heart and is something else.
func TestUnsupported(t *testing.T) {
	t.Parallel()
	structs := func() *descriptorpb.FileDescriptorProto {
		return protodesc.ToFileDescriptorProto(structpb.File_google_protobuf_struct_proto)
	}
	field := func(f *descriptorpb.FileDescriptorProto, message, field int) *descriptorpb.FieldDescriptorProto {
		return f.GetMessageType()[message].GetField()[field]
	}
	tests := []struct {
		name    string
		message string
		change  func(f *descriptorpb.FileDescriptorProto)
	}{
		{"another number", "google.protobuf.ListValue", func(f *descriptorpb.FileDescriptorProto) { field(f, 2, 0).Number = proto.Int32(2) }},
		{"another kind", "google.protobuf.Value", func(f *descriptorpb.FileDescriptorProto) {
			field(f, 1, 1).Type = descriptorpb.FieldDescriptorProto_TYPE_FLOAT.Enum()
		}},
		{"one field more", "google.protobuf.Struct", func(f *descriptorpb.FileDescriptorProto) {
			f.MessageType[0].Field = append(f.MessageType[0].Field, &descriptorpb.FieldDescriptorProto{
				Name: new("more"), Number: proto.Int32(2), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
				Type: descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum(),
			})
		}},
		{"not in a oneof", "google.protobuf.Value", func(f *descriptorpb.FileDescriptorProto) { field(f, 1, 5).OneofIndex = nil }},
		{"presence", "google.protobuf.Value", func(f *descriptorpb.FileDescriptorProto) {
			f.MessageType[1].OneofDecl = nil
			for _, fd := range f.MessageType[1].Field {
				fd.OneofIndex = nil
			}
		}},
		{"JSON name that is not UTF-8", "google.protobuf.Strange", func(f *descriptorpb.FileDescriptorProto) {
			f.MessageType = append(f.MessageType, &descriptorpb.DescriptorProto{
				Name: new("Strange"),
				Field: []*descriptorpb.FieldDescriptorProto{{
					Name: new("f"), Number: proto.Int32(1), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
					Type: descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum(), JsonName: new("\xff"),
				}},
			})
		}},
		{"two extensions of one number", "google.protobuf.Extended", func(f *descriptorpb.FileDescriptorProto) {
			f.Syntax = new("proto2")
			for _, m := range f.MessageType {
				m.Field, m.NestedType, m.OneofDecl = nil, nil, nil
			}
			f.MessageType = append(f.MessageType, &descriptorpb.DescriptorProto{
				Name:           new("Extended"),
				ExtensionRange: []*descriptorpb.DescriptorProto_ExtensionRange{{Start: proto.Int32(1), End: proto.Int32(9)}},
			})
			for _, name := range []string{"x", "y"} {
				f.Extension = append(f.Extension, &descriptorpb.FieldDescriptorProto{
					Name: new(name), Number: proto.Int32(1), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
					Type: descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum(), Extendee: new(".google.protobuf.Extended"),
				})
			}
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := structs()
			test.change(f)
			table := compileSet(t, setOf(f), CompileOptions{})
			m, ok := table.Message(test.message)
			if !ok || m.Supported() {
				t.Fatalf("%s: got supported", test.message)
			}
			if _, err := m.AppendWire(nil, []byte(`{}`), wire.DecodeOptions{}); !errors.Is(err, wire.ErrUnsupported) {
				t.Errorf("from JSON: got %v", err)
			}
			if _, err := m.AppendJSON(nil, nil, wire.EncodeOptions{}); !errors.Is(err, wire.ErrUnsupported) {
				t.Errorf("to JSON: got %v", err)
			}
		})
	}
	t.Run("as they are", func(t *testing.T) {
		t.Parallel()
		table := compileSet(t, setOf(wellKnownFiles()...), CompileOptions{})
		for m := range table.Messages() {
			if !m.Supported() {
				t.Errorf("%s is not supported", m.Name())
			}
		}
	})
}
