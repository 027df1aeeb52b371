package image

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/micro/micro/v3/image/layout"
)

const helloProto = `syntax = "proto3";

package helloworld;

import "google/protobuf/timestamp.proto";

// Helloworld greets.
service Helloworld {
  // Call greets one.
  rpc Call(Request) returns (Response);
}

message Request {
  // Who is greeted.
  string name = 1;
}

message Response {
  string msg = 1;
  google.protobuf.Timestamp at = 2;
}
`

func decodeSchema(t *testing.T, data []byte) *descriptorpb.FileDescriptorSet {
	t.Helper()
	set := new(descriptorpb.FileDescriptorSet)
	if err := proto.Unmarshal(data, set); err != nil {
		t.Fatal(err)
	}
	if _, err := protodesc.NewFiles(set); err != nil {
		t.Errorf("the schema is not whole: %v", err)
	}
	return set
}

func TestCompileProtos(t *testing.T) {
	t.Parallel()
	const types = "syntax = \"proto3\";\npackage x;\nmessage T {}\n"
	importing := func(name string) string {
		return "syntax = \"proto3\";\npackage y;\nimport \"" + name + "\";\nmessage U { x.T t = 1; }\n"
	}
	for _, test := range []struct {
		name  string
		files map[string]string
		want  []string // names of files, in order
		err   string
	}{
		{name: "none", files: map[string]string{"main.go": goMain, "other/x.proto": types}},
		{
			name:  "in the folder proto",
			files: map[string]string{"proto/helloworld.proto": helloProto},
			want:  []string{"google/protobuf/timestamp.proto", "proto/helloworld.proto"},
		},
		{name: "in the directory itself", files: map[string]string{"x.proto": types}, want: []string{"x.proto"}},
		{
			name:  "imported below the directory",
			files: map[string]string{"proto/a/y.proto": importing("proto/z/x.proto"), "proto/z/x.proto": types},
			want:  []string{"proto/z/x.proto", "proto/a/y.proto"},
		},
		{
			name:  "imported below the folder proto",
			files: map[string]string{"proto/y.proto": importing("x.proto"), "proto/x.proto": types},
			want:  []string{"x.proto", "y.proto"},
		},
		{
			name:  "imported below the module's root",
			files: map[string]string{"proto/y.proto": importing("common/x.proto"), "../common/x.proto": types},
			want:  []string{"common/x.proto", "app/proto/y.proto"},
		},
		{name: "does not parse", files: map[string]string{"x.proto": "syntax = 3"}, err: "x.proto:1:10"},
		{name: "imports nothing that there is", files: map[string]string{"y.proto": importing("none.proto")}, err: "none.proto"},
		{name: "imports itself", files: map[string]string{"x.proto": strings.Replace(types, "message", "import \"x.proto\";\nmessage", 1)}, err: "cycle"},
		{name: "leads out", files: map[string]string{"y.proto": importing("../../secret.proto"), "../../secret.proto": types}, err: "secret.proto"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			root := filepath.Join(t.TempDir(), "root")
			dir := filepath.Join(root, "app")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			write(t, dir, test.files)
			data, err := compileProtos(t.Context(), dir, root)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("got %v, want %q in it", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range decodeSchema(t, data).GetFile() {
				got = append(got, f.GetName())
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestCompileProtosHostile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, map[string]string{"secret.txt": helloProto, "large/x.proto": "// " + strings.Repeat("x", maxProtoSize), "link/x.go": ""})
	if err := os.Symlink("../secret.txt", filepath.Join(dir, "link", "x.proto")); err != nil {
		t.Skip(err)
	}
	for _, name := range []string{"link", "large"} {
		if data, err := compileProtos(t.Context(), filepath.Join(dir, name), ""); err == nil || data != nil {
			t.Errorf("%s: got %d bytes", name, len(data))
		}
	}
}

func TestBuildSchema(t *testing.T) {
	t.Parallel()
	with := buildImage(t, source(t, map[string]string{"go.mod": goMod, "main.go": goMain, "proto/helloworld.proto": helloProto}), BuildOptions{})
	set := decodeSchema(t, with.Schema())
	comments := 0
	for _, f := range set.GetFile() {
		for _, l := range f.GetSourceCodeInfo().GetLocation() {
			if l.GetLeadingComments() == " Call greets one.\n" {
				comments++
			}
		}
	}
	if comments != 1 {
		t.Errorf("the comment of Call is there %d times", comments)
	}

	// It is attached to the image, and is no part of it.
	dir := t.TempDir()
	if err := with.WriteLayout(t.Context(), dir, "v1"); err != nil {
		t.Fatal(err)
	}
	got, err := layout.New(dir, "").Attachment("v1", SchemaType, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(with.Schema()) {
		t.Error("another schema is attached")
	}
	without := source(t, map[string]string{"go.mod": goMod, "main.go": goMain, "proto/helloworld.proto": "oops"})
	var warnings []string
	broken := buildImage(t, without, BuildOptions{Progress: func(e Event) {
		if e.Warning {
			warnings = append(warnings, e.Message)
		}
	}})
	if broken.Schema() != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "proto/helloworld.proto:1:1") {
		t.Errorf("warnings: %q", warnings)
	}
	if with.Digest() != broken.Digest() {
		t.Error("the schema makes another image of the same program")
	}
}
