package protofiles_test

import (
	"slices"
	"testing"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/types/known/apipb"

	"github.com/micro/micro/v3/internal/protofiles"
)

func TestWithImports(t *testing.T) {
	t.Parallel()
	c := protocompile.Compiler{
		SourceInfoMode: protocompile.SourceInfoStandard,
		Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{Accessor: protocompile.SourceAccessorFromMap(map[string]string{
			"a.proto": "syntax = \"proto3\";\nimport \"b.proto\";\nimport \"c.proto\";\n// A is one.\nmessage A { B b = 1; C c = 2 [(mark) = \"x\"]; }",
			"b.proto": "syntax = \"proto3\";\nimport \"c.proto\";\nimport \"google/protobuf/descriptor.proto\";\n" +
				"extend google.protobuf.FieldOptions { string mark = 50000; }\nmessage B { C c = 1; }",
			"c.proto": `syntax = "proto3"; message C {}`,
		})}),
	}
	compiled, err := c.Compile(t.Context(), "a.proto", "c.proto")
	if err != nil {
		t.Fatal(err)
	}
	files, err := protofiles.WithImports(compiled...)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, f.GetName())
	}
	if want := []string{"c.proto", "google/protobuf/descriptor.proto", "b.proto", "a.proto"}; !slices.Equal(names, want) {
		t.Errorf("the files %v, want %v", names, want)
	}
	a := files[len(files)-1]
	if text := a.GetSourceCodeInfo().String(); len(a.GetSourceCodeInfo().GetLocation()) == 0 {
		t.Errorf("no comments: %s", text)
	}
	if o := a.GetMessageType()[0].GetField()[1].GetOptions(); len(o.ProtoReflect().GetUnknown()) == 0 {
		t.Errorf("the option of another type is %v", o)
	}
	a.Name = nil
	again, err := protofiles.WithImports(compiled...)
	if err != nil || again[len(again)-1].GetName() != "a.proto" {
		t.Errorf("a change of the copy changed the file: %v", err)
	}
}

// What is linked into a program has no compiler behind it.
func TestLinked(t *testing.T) {
	t.Parallel()
	files, err := protofiles.WithImports(apipb.File_google_protobuf_api_proto)
	if err != nil || len(files) < 3 || files[len(files)-1].GetName() != "google/protobuf/api.proto" {
		t.Errorf("%d files, %v", len(files), err)
	}
}
