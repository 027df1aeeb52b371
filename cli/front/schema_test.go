package front

import (
	"testing"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	_ "google.golang.org/genproto/googleapis/rpc/errdetails" // what .proto files may import

	"github.com/micro/micro/v3/dynamic"
	"github.com/micro/micro/v3/dynamic/wire"
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

// compileFiles returns the table of .proto files in a directory, with their comments.
func compileFiles(tb testing.TB, dir string, names ...string) *wire.Table {
	tb.Helper()
	linked := protocompile.ResolverFunc(func(path string) (protocompile.SearchResult, error) {
		fd, err := protoregistry.GlobalFiles.FindFileByPath(path)
		return protocompile.SearchResult{Desc: fd}, err
	})
	c := protocompile.Compiler{
		Resolver: protocompile.WithStandardImports(protocompile.CompositeResolver{
			&protocompile.SourceResolver{ImportPaths: []string{dir, "../../dynamic/testdata"}}, linked,
		}),
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	files, err := c.Compile(tb.Context(), names...)
	if err != nil {
		tb.Fatal(err)
	}
	set := &descriptorpb.FileDescriptorSet{}
	seen := map[string]bool{}
	var add func(fd protoreflect.FileDescriptor)
	add = func(fd protoreflect.FileDescriptor) {
		if seen[fd.Path()] {
			return
		}
		seen[fd.Path()] = true
		for i := range fd.Imports().Len() {
			add(fd.Imports().Get(i).FileDescriptor)
		}
		set.File = append(set.File, protodesc.ToFileDescriptorProto(fd))
	}
	for _, fd := range files {
		add(fd)
	}
	raw, err := proto.Marshal(set)
	if err != nil {
		tb.Fatal(err)
	}
	s, err := dynamic.ParseSchema(raw)
	if err != nil {
		tb.Fatal(err)
	}
	table, err := wire.Open(compiled(tb, s))
	if err != nil {
		tb.Fatal(err)
	}
	return table
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
