package request

import (
	"testing"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/micro/micro/v3/dynamic"
	"github.com/micro/micro/v3/dynamic/wire"
)

// compile returns the table of the source of a .proto file.
func compile(tb testing.TB, source string) *wire.Table {
	tb.Helper()
	c := protocompile.Compiler{
		Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{
			Accessor: protocompile.SourceAccessorFromMap(map[string]string{"test.proto": source}),
		}),
	}
	files, err := c.Compile(tb.Context(), "test.proto")
	if err != nil {
		tb.Fatal(err)
	}
	set := &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{
		protodesc.ToFileDescriptorProto(protoreflect.FileDescriptor(files[0])),
	}}
	raw, err := proto.Marshal(set)
	if err != nil {
		tb.Fatal(err)
	}
	schema, err := dynamic.ParseSchema(raw)
	if err != nil {
		tb.Fatal(err)
	}
	table, err := schema.Table()
	if err != nil {
		tb.Fatal(err)
	}
	return table
}
