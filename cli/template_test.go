package cli

import (
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/bufbuild/protocompile"
	_ "google.golang.org/genproto/googleapis/rpc/errdetails" // what the fixture imports
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/micro/micro/v3/dynamic"
	"github.com/micro/micro/v3/dynamic/wire"
)

// fixture returns the schema of testdata/fixture.
func fixture(t *testing.T) *dynamic.Schema {
	t.Helper()
	const dir = "../testdata/fixture/proto"
	var names []string
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".proto") {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	linked := protocompile.ResolverFunc(func(path string) (protocompile.SearchResult, error) {
		fd, err := protoregistry.GlobalFiles.FindFileByPath(path)
		return protocompile.SearchResult{Desc: fd}, err
	})
	c := protocompile.Compiler{
		Resolver: protocompile.WithStandardImports(protocompile.CompositeResolver{
			&protocompile.SourceResolver{ImportPaths: []string{dir}}, linked,
		}),
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	files, err := c.Compile(t.Context(), names...)
	if err != nil {
		t.Fatal(err)
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
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	s, err := dynamic.ParseSchema(raw)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// table returns its compiled form.
func table(t *testing.T, s *dynamic.Schema) *wire.Table {
	t.Helper()
	tab, err := s.Table()
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

// What --template prints is accepted as it is, as JSON and as YAML, and both mean the
// same message.
func TestTemplateIsAccepted(t *testing.T) {
	t.Parallel()
	tab := table(t, fixture(t))
	for m := range tab.Messages() {
		t.Run(m.Name(), func(t *testing.T) {
			t.Parallel()
			example := newTemplate(tab, m)
			asJSON := example.appendJSON(nil)
			want, err := m.AppendWire(nil, asJSON, wire.DecodeOptions{})
			if err != nil {
				t.Fatalf("%v\n%s", err, asJSON)
			}
			var b strings.Builder
			example.writeYAML(&b, "")
			n := 0
			for msg, err := range readYAML(strings.NewReader(b.String())) {
				if err != nil {
					t.Fatalf("%v\n%s", err, b.String())
				}
				n++
				got, err := m.AppendWire(nil, msg.JSON, wire.DecodeOptions{})
				if err != nil {
					t.Fatalf("%v\n%s", err, b.String())
				}
				if string(got) != string(want) {
					t.Errorf("YAML means %q, JSON %q\n%s", got, want, b.String())
				}
			}
			if n != 1 {
				t.Errorf("%d documents\n%s", n, b.String())
			}
		})
	}
}

func TestTemplateAsYAML(t *testing.T) {
	t.Parallel()
	tab := table(t, fixture(t))
	m, _ := tab.Message("fixture.v1.SlowRequest")
	var b strings.Builder
	newTemplate(tab, m).writeYAML(&b, "")
	for _, want := range []string{
		"delay: \"90s\"\n",
		"message:\n  double: 1.5\n",
		"  # A switch: --bool and --no-bool.\n  bool: true\n",
		"  # values: COLOR_UNSPECIFIED, COLOR_RED, COLOR_GREEN, COLOR_BLUE\n  color: \"COLOR_RED\"\n",
		"  # one of contact: How to reach somebody.\n  mail: \"text\"\n",
		"  # one of contact: instead of mail\n  # phone: \"text\"\n",
		"  # a Message as above\n  # next: {}\n",
		"  # deprecated\n  # old: \"text\"\n",
		"  places:\n    \"1\":\n      # Where, as people call it.\n      city: \"text\"\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("there is no %q", want)
		}
	}
	if t.Failed() {
		t.Log(b.String())
	}
}
