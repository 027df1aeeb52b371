package generator

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// writeTree writes files into a new directory.
func writeTree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		name = filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// list returns the paths of the files below a directory.
func list(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

const (
	goModText = "module example.com/m\n\ngo 1.26.0\n"
	hello     = "syntax = \"proto3\";\npackage hello;\nmessage Hello {}\n"
)

func TestGenNames(t *testing.T) {
	t.Parallel()
	service := "syntax = \"proto3\";\npackage greet.v1;\nimport \"hello.proto\";\nservice Greet { rpc Say(hello.Hello) returns (hello.Hello); }\n"
	for name, tc := range map[string]struct {
		files map[string]string
		dir   string              // below the tree
		want  map[string][]string // what each file that is written contains
		notes []string
	}{
		"files below proto": {
			files: map[string]string{"go.mod": goModText, "proto/hello.proto": hello, "proto/greet/v1/greet.proto": service},
			want: map[string][]string{
				"proto/hello.pb.go":               {"// source: hello.proto\n", "package hello\n"},
				"proto/greet/v1/greet.pb.go":      {"// source: greet/v1/greet.proto\n", "package greetv1\n", `"example.com/m/proto"`},
				"proto/greet/v1/greet_grpc.pb.go": {"// source: greet/v1/greet.proto\n", "package greetv1\n", `"example.com/m/proto"`},
			},
			notes: []string{
				`proto/greet/v1/greet.proto has no go_package: taking "example.com/m/proto/greet/v1;greetv1"`,
				`proto/hello.proto has no go_package: taking "example.com/m/proto;hello"`,
			},
		},
		"the same from a folder of the module": {
			files: map[string]string{"go.mod": goModText, "svc/proto/hello.proto": hello},
			dir:   "svc",
			want:  map[string][]string{"proto/hello.pb.go": {"// source: hello.proto\n", "package hello\n"}},
			notes: []string{`proto/hello.proto has no go_package: taking "example.com/m/svc/proto;hello"`},
		},
		"the same from inside proto": {
			files: map[string]string{"go.mod": goModText, "svc/proto/hello.proto": hello},
			dir:   "svc/proto",
			want:  map[string][]string{"hello.pb.go": {"// source: hello.proto\n", "package hello\n"}},
			notes: []string{`hello.proto has no go_package: taking "example.com/m/svc/proto;hello"`},
		},
		"files elsewhere": {
			files: map[string]string{"go.mod": goModText, "api/hello.proto": hello},
			dir:   "api",
			want:  map[string][]string{"hello.pb.go": {"// source: api/hello.proto\n"}},
			notes: []string{`hello.proto has no go_package: taking "example.com/m/api;hello"`},
		},
		"imports with proto in front": {
			files: map[string]string{
				"go.mod": goModText, "proto/hello.proto": hello,
				"proto/greet.proto": strings.NewReplacer("hello.proto", "proto/hello.proto", "greet.v1", "hello").Replace(service),
			},
			want: map[string][]string{
				"proto/hello.pb.go":      {"// source: proto/hello.proto\n"},
				"proto/greet.pb.go":      {"// source: proto/greet.proto\n"},
				"proto/greet_grpc.pb.go": {"// source: proto/greet.proto\n"},
			},
			notes: []string{
				`proto/greet.proto has no go_package: taking "example.com/m/proto;hello"`,
				`proto/hello.proto has no go_package: taking "example.com/m/proto;hello"`,
			},
		},
		"relative go_package": {
			files: map[string]string{"go.mod": goModText, "proto/hello.proto": hello + "option go_package = \"./proto;greeting\";\n"},
			want:  map[string][]string{"proto/hello.pb.go": {"package greeting\n"}},
		},
		"go_package that is a name": {
			files: map[string]string{"go.mod": goModText, "proto/hello.proto": hello + "option go_package = \"greeting\";\n"},
			want:  map[string][]string{"proto/hello.pb.go": {"package greeting\n"}},
		},
		"full go_package and no module": {
			files: map[string]string{"hello.proto": hello + "option go_package = \"example.com/other/hello\";\n"},
			want:  map[string][]string{"hello.pb.go": {"// source: hello.proto\n", "package hello\n"}},
		},
		"no proto package": {
			files: map[string]string{"go.mod": goModText, "type/hello.proto": "syntax = \"proto3\";\nmessage Hello {}\n"},
			want:  map[string][]string{"type/hello.pb.go": {"package typepb\n"}},
			notes: []string{`type/hello.proto has no go_package: taking "example.com/m/type;typepb"`},
		},
		"a file of another module is imported": {
			files: map[string]string{
				"go.mod":            goModText,
				"proto/hello.proto": hello + "option go_package = \"example.com/other/hello\";\n",
				"proto/greet.proto": service + "option go_package = \"example.com/m/proto;greet\";\n",
			},
			want: map[string][]string{
				"proto/greet.pb.go":      {`"example.com/other/hello"`},
				"proto/greet_grpc.pb.go": {`"example.com/other/hello"`},
			},
			notes: []string{"proto/hello.proto belongs to Go package example.com/other/hello: not generated"},
		},
		"standard imports and a warning": {
			files: map[string]string{
				"go.mod":            goModText,
				"proto/hello.proto": hello + "import \"google/protobuf/timestamp.proto\";\noption go_package = \"example.com/m/proto;hello\";\n",
			},
			want:  map[string][]string{"proto/hello.pb.go": {`_ "google.golang.org/protobuf/types/known/timestamppb"`}},
			notes: []string{`proto/hello.proto:4:1: import "google/protobuf/timestamp.proto" not used`},
		},
		"folders that Go leaves out": {
			files: map[string]string{
				"go.mod": goModText, "vendor/a.proto": "broken", "testdata/a.proto": "broken", ".hidden/a.proto": "broken",
				"_old/a.proto": "broken", "node_modules/a.proto": "broken", "other/go.mod": "module other", "other/a.proto": "broken",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(writeTree(t, tc.files), filepath.FromSlash(tc.dir))
			result, err := Gen(t.Context(), dir)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.notes, result.Notes); diff != "" {
				t.Errorf("notes (-want +got):\n%s", diff)
			}
			got := slices.Sorted(slices.Values(result.Written))
			want := make([]string, 0, len(tc.want))
			for name, texts := range tc.want {
				want = append(want, name)
				content, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
				if err != nil {
					t.Error(err)
				}
				for _, text := range texts {
					if !strings.Contains(string(content), text) {
						t.Errorf("%s does not contain %q", name, text)
					}
				}
			}
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("written %q, want %q", got, want)
			}
		})
	}
}

func TestGenErrors(t *testing.T) {
	t.Parallel()
	const header = "syntax = \"proto3\";\npackage a;\n"
	for name, tc := range map[string]struct {
		files map[string]string
		want  string
	}{
		"syntax": {
			map[string]string{"go.mod": goModText, "proto/a.proto": "syntax = \"proto3\";\nmessage A {\n  string = 1;\n}\n"},
			"proto/a.proto:3:10: syntax error: unexpected '='",
		},
		"unknown types, all of them": {
			map[string]string{"go.mod": goModText, "a.proto": header + "message A {\n  B b = 1;\n  C c = 2;\n}\n"},
			"a.proto:4:3: field a.A.b: unknown type B\na.proto:5:3: field a.A.c: unknown type C",
		},
		"missing import": {
			map[string]string{"go.mod": goModText, "a.proto": header + "import \"google/api/annotations.proto\";\n"},
			`a.proto:3:8: there is no "google/api/annotations.proto"; put it below proto/`,
		},
		"import by another name": {
			map[string]string{"go.mod": goModText, "proto/b/b.proto": hello, "a.proto": header + "import \"proto/b/b.proto\";\n"},
			`a.proto:3:8: there is no "proto/b/b.proto"; proto/b/b.proto is imported as "b/b.proto"`,
		},
		"import cycle": {
			map[string]string{"go.mod": goModText, "a.proto": header + "import \"b.proto\";\n", "b.proto": header + "import \"a.proto\";\n"},
			"cycle found in imports",
		},
		"twice the same symbol": {
			map[string]string{"go.mod": goModText, "a.proto": hello, "b.proto": hello},
			`symbol "hello.Hello" already defined at`,
		},
		"go_package elsewhere in the module": {
			map[string]string{"go.mod": goModText, "proto/a.proto": hello + "option go_package = \"example.com/m/api\";\n"},
			`proto/a.proto: go_package is "example.com/m/api", but the file lies in "example.com/m/proto"`,
		},
		"go_package of an old name of the module": {
			map[string]string{"go.mod": goModText, "proto/a.proto": hello + "option go_package = \"old/proto;a\";\n"},
			`proto/a.proto: go_package is "old/proto", but the file lies in "example.com/m/proto"`,
		},
		"no go_package and no module": {
			map[string]string{"proto/a.proto": hello},
			"proto/a.proto: the file has no go_package, and there is no go.mod to derive it from",
		},
		"root of a module without a dot": {
			map[string]string{"go.mod": "module m\n", "a.proto": hello},
			`a.proto: the file lies in the root of module "m"; put it below proto/`,
		},
		"two packages in a folder": {
			map[string]string{"go.mod": goModText, "proto/a.proto": hello, "proto/b.proto": "syntax = \"proto3\";\npackage b;\n"},
			"inconsistent names",
		},
		"two files of a name": {
			map[string]string{"go.mod": goModText, "a/proto/x.proto": hello, "b/proto/x.proto": hello},
			`a/proto/x.proto and b/proto/x.proto would both be imported as "x.proto"`,
		},
		"go.mod without a module": {
			map[string]string{"go.mod": "go 1.26.0\n", "a.proto": hello},
			"names no module",
		},
		"no UTF-8": {
			map[string]string{"go.mod": goModText, "a.proto": "syntax = \"proto3\";\npackage \xff;\n"},
			"a.proto:2:9: the text is no UTF-8",
		},
		"too large": {
			map[string]string{"go.mod": goModText, "a.proto": strings.Repeat("\n", maxProto+1)},
			"a.proto is larger than 1 MiB",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := writeTree(t, tc.files)
			before := list(t, dir)
			_, err := Gen(t.Context(), dir)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error is\n%v\nwant\n%s", err, tc.want)
			}
			if diff := cmp.Diff(before, list(t, dir)); diff != "" {
				t.Errorf("files (-before +after):\n%s", diff)
			}
		})
	}
}

func TestGenProblems(t *testing.T) {
	t.Parallel()
	dir := writeTree(t, map[string]string{"go.mod": goModText, "a.proto": strings.Repeat("message\n", 100)})
	_, err := Gen(t.Context(), dir)
	var failed *ProtoError
	if !errors.As(err, &failed) {
		t.Fatalf("error is %v, want a %T", err, failed)
	}
	if got := len(failed.Problems); got == 0 || got > maxProblems {
		t.Errorf("there are %d problems, want some and at most %d", got, maxProblems)
	}
}

func TestGenTouchesOnlyWhatChanges(t *testing.T) {
	t.Parallel()
	dir := writeTree(t, map[string]string{"go.mod": goModText, "proto/hello.proto": hello, "proto/other.proto": "syntax = \"proto3\";\npackage hello;\n"})
	if _, err := Gen(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	result, err := Gen(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if result.Sources != 2 || result.Written != nil {
		t.Errorf("the second run compiled %d files and wrote %q, want 2 and none", result.Sources, result.Written)
	}
	if err := os.WriteFile(filepath.Join(dir, "proto/hello.proto"), []byte(hello+"message More {}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	result, err = Gen(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"proto/hello.pb.go"}, result.Written); diff != "" {
		t.Errorf("written (-want +got):\n%s", diff)
	}
	want := []string{"go.mod", "proto/hello.pb.go", "proto/hello.proto", "proto/other.pb.go", "proto/other.proto"}
	if diff := cmp.Diff(want, list(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestGenCancelled(t *testing.T) {
	t.Parallel()
	dir := writeTree(t, map[string]string{"go.mod": goModText, "proto/hello.proto": hello})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Gen(ctx, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want %v", err, context.Canceled)
	}
}

func TestGenBadDirectories(t *testing.T) {
	t.Parallel()
	dir := writeTree(t, map[string]string{"go.mod": goModText, "file": "", "proto/hello.proto": hello, "proto/hello.pb.go/in the way": ""})
	for _, name := range []string{"absent", "file"} {
		if _, err := Gen(t.Context(), filepath.Join(dir, name)); err == nil {
			t.Errorf("Gen in %q gives no error", name)
		}
	}
	before := list(t, dir)
	if _, err := Gen(t.Context(), dir); err == nil {
		t.Error("Gen over a directory gives no error")
	}
	if diff := cmp.Diff(before, list(t, dir)); diff != "" {
		t.Errorf("files (-before +after):\n%s", diff)
	}
}

// A link may lead anywhere, so it is neither followed nor replaced from outside.
func TestGenLinks(t *testing.T) {
	t.Parallel()
	outside := writeTree(t, map[string]string{"outside.proto": "broken", "target": "precious"})
	dir := writeTree(t, map[string]string{"go.mod": goModText, "proto/hello.proto": hello})
	for from, to := range map[string]string{
		"proto/linked.proto": "outside.proto",
		"linked":             ".",
		"proto/hello.pb.go":  "target",
	} {
		if err := os.Symlink(filepath.Join(outside, to), filepath.Join(dir, from)); err != nil {
			t.Skip(err)
		}
	}
	if _, err := Gen(t.Context(), dir); err == nil {
		t.Error("Gen over a link gives no error")
	}
	content, err := os.ReadFile(filepath.Join(outside, "target"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(content), "precious"; got != want {
		t.Errorf("the target of the link is %q, want %q", got, want)
	}
}

// The code of Micro 3 is made where it is, and where it is asked for.
func TestGenMicro(t *testing.T) {
	t.Parallel()
	service := "syntax = \"proto3\";\npackage hello;\nimport \"hello.proto\";\nservice Greet { rpc Say(Hello) returns (Hello); }\n"
	for name, tc := range map[string]struct {
		there []string
		opts  []GenOption
		want  []string
	}{
		"nowhere":       {nil, nil, []string{"proto/greet.pb.go", "proto/greet_grpc.pb.go", "proto/hello.pb.go"}},
		"where it is":   {[]string{"proto/greet.pb.micro.go"}, nil, []string{"proto/greet.pb.go", "proto/greet.pb.micro.go", "proto/hello.pb.go"}},
		"beside gRPC's": {[]string{"proto/greet.pb.micro.go", "proto/greet_grpc.pb.go"}, nil, []string{"proto/greet.pb.go", "proto/greet.pb.micro.go", "proto/greet_grpc.pb.go", "proto/hello.pb.go"}},
		"asked for":     {nil, []GenOption{Micro()}, []string{"proto/greet.pb.go", "proto/greet.pb.micro.go", "proto/greet_grpc.pb.go", "proto/hello.pb.go"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := map[string]string{"go.mod": goModText, "proto/hello.proto": hello, "proto/greet.proto": service}
			for _, f := range tc.there {
				files[f] = "package old\n"
			}
			dir := writeTree(t, files)
			result, err := Gen(t.Context(), dir, tc.opts...)
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(result.Written)
			if diff := cmp.Diff(tc.want, result.Written); diff != "" {
				t.Errorf("written (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzGen(f *testing.F) {
	f.Add(hello)
	f.Add("syntax = \"proto2\";\npackage a.b;\nmessage A { optional group G = 1 { required A a = 1; } extensions 5; }\nextend A { optional int32 x = 5; }\n")
	f.Add("edition = \"2023\";\noption features.field_presence = IMPLICIT;\nmessage M { map<string, M> m = 1; oneof o { int32 a = 2; } }\n")
	f.Add("syntax = \"proto3\";\nservice S { rpc M(stream S.R) returns (stream S.R); }\n")
	f.Fuzz(func(t *testing.T, text string) {
		sources := []source{{path: "proto/a.proto", text: []byte(text)}}
		m := goModule{path: "example.com/m", sub: "."}
		if err := nameSources(m, sources); err != nil {
			t.Fatal(err)
		}
		_, _, _ = emit(t.Context(), m, sources, func(string) (grpc, micro bool) { return true, true }) // it must only not panic
	})
}
