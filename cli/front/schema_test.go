package front

import (
	"testing"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/micro/micro/v3/dynamic"
)

// features returns the schema of testdata/features.proto, with its comments.
func features(tb testing.TB) *dynamic.Schema {
	tb.Helper()
	return parseSchema(tb, protodesc.ToFileDescriptorProto(compileFeatures(tb)))
}

// compileFeatures compiles testdata/features.proto.
func compileFeatures(tb testing.TB) protoreflect.FileDescriptor {
	tb.Helper()
	c := protocompile.Compiler{
		Resolver:       protocompile.WithStandardImports(&protocompile.SourceResolver{ImportPaths: []string{"testdata"}}),
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	files, err := c.Compile(tb.Context(), "features.proto")
	if err != nil {
		tb.Fatal(err)
	}
	return files[0]
}

// parseSchema returns the schema that is one file.
func parseSchema(tb testing.TB, f *descriptorpb.FileDescriptorProto) *dynamic.Schema {
	tb.Helper()
	raw, err := proto.Marshal(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{f}})
	if err != nil {
		tb.Fatal(err)
	}
	s, err := dynamic.ParseSchema(raw)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// compiled returns the table of a schema as it is kept.
func compiled(tb testing.TB, s *dynamic.Schema) []byte {
	tb.Helper()
	b, err := s.Compile()
	if err != nil {
		tb.Fatal(err)
	}
	return b
}
