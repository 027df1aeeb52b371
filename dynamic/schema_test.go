package dynamic

import (
	"fmt"
	"os"
	"testing"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// compileProto returns the descriptors of a .proto file in testdata and of all
// that it imports, with comments.
func compileProto(tb testing.TB, file string) *descriptorpb.FileDescriptorSet {
	tb.Helper()
	c := protocompile.Compiler{
		Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{
			ImportPaths: []string{"testdata"},
		}),
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	files, err := c.Compile(tb.Context(), file)
	if err != nil {
		tb.Fatal(err)
	}
	set := &descriptorpb.FileDescriptorSet{}
	seen := map[string]bool{}
	var add func(f protoreflect.FileDescriptor)
	add = func(f protoreflect.FileDescriptor) {
		if seen[f.Path()] {
			return
		}
		seen[f.Path()] = true
		for i := range f.Imports().Len() {
			add(f.Imports().Get(i).FileDescriptor)
		}
		set.File = append(set.File, protodesc.ToFileDescriptorProto(f))
	}
	for _, f := range files {
		add(f)
	}
	return set
}

// orderJSON returns an order as people write it.
func orderJSON(tb testing.TB) []byte {
	tb.Helper()
	b, err := os.ReadFile("testdata/order.json")
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// manyMessages returns a schema with so many messages of so many fields each.
func manyMessages(messages, fields int) *descriptorpb.FileDescriptorSet {
	f := &descriptorpb.FileDescriptorProto{
		Name: new("many.proto"), Package: new("many.v1"), Syntax: new("proto3"),
	}
	for i := range messages {
		m := &descriptorpb.DescriptorProto{Name: new(fmt.Sprintf("Message%04d", i))}
		for j := range fields {
			m.Field = append(m.Field, &descriptorpb.FieldDescriptorProto{
				Name:   new(fmt.Sprintf("some_field_%d", j)),
				Number: new(int32(j + 1)),
				Label:  descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
				Type:   descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum(),
			})
		}
		f.MessageType = append(f.MessageType, m)
	}
	return &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{f}}
}
