package dynamic

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/bufbuild/protocompile"
	_ "google.golang.org/genproto/googleapis/rpc/errdetails" // google/rpc, for linked
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/micro/micro/v3/internal/protofiles"
)

// CompileProto compiles .proto files, with their comments, and returns them and what
// they import serialized as [ParseSchema] takes it. Names are relative to one of the
// import paths, the current directory when there are none; what is under
// google/protobuf and google/rpc need not be there. The error has path, line and column.
func CompileProto(ctx context.Context, names, importPaths []string) ([]byte, error) {
	c := protocompile.Compiler{
		Resolver: protocompile.WithStandardImports(protocompile.CompositeResolver{
			&protocompile.SourceResolver{ImportPaths: importPaths},
			protocompile.ResolverFunc(linked),
		}),
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	compiled, err := c.Compile(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSchema, err)
	}
	files, err := protofiles.WithImports(compiled...)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(files, func(a, b *descriptorpb.FileDescriptorProto) int {
		return strings.Compare(a.GetName(), b.GetName())
	})
	return proto.MarshalOptions{Deterministic: true}.Marshal(&descriptorpb.FileDescriptorSet{File: files})
}

// linked finds the files of google/rpc, which are part of this program.
func linked(path string) (protocompile.SearchResult, error) {
	if !strings.HasPrefix(path, "google/rpc/") {
		return protocompile.SearchResult{}, protoregistry.NotFound
	}
	fd, err := protoregistry.GlobalFiles.FindFileByPath(path)
	return protocompile.SearchResult{Desc: fd}, err
}
