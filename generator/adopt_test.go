package generator

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/micro/micro/v3/internal/sdk"
)

// plainRepository is a module that knows little of micro.
func plainRepository() map[string]string {
	return map[string]string{
		"go.mod":     "module github.com/owner/hello\n\ngo 1.20\n\nrequire google.golang.org/grpc v1.0.0\n",
		"go.sum":     "example.com/b v1.0.0 h1:b=\nexample.com/a v1.0.0 h1:a=\n",
		"micro.yaml": "# hello\ninstances: 2\nname: hello # the name\nenv: {name: hello}\n",
		"hello.go": `// Package hello is at the root.
package hello

// Name is not that of a service.
const Name = "hello"
`,
		"hello_test.go": "package hello_test\n\nimport (\n\t\"testing\"\n\n\t\"github.com/owner/hello\"\n)\n\nfunc Test(*testing.T) { _ = hello.Name }\n",
		"cmd/main.go": `package main

import (
	"fmt"

	"github.com/micro/micro/v3/service"
	"github.com/owner/hello"
	h "github.com/owner/hello"
	_ "github.com/owner/hello/internal/x"
	_ "github.com/owner/hello2"
)

func main() {
	service.New(service.Name("hello"), service.Version("hello"))
	fmt.Println("github.com/owner/hello", hello.Name, h.Name)
}
`,
		"internal/x/x.go":        "package x\n",
		"testdata/broken.go":     "package\n",
		"proto/hello.proto":      "syntax = \"proto3\";\npackage hello;\nimport \"google/api/annotations.proto\";\noption go_package = \"github.com/owner/hello/proto;hello\";\n",
		"proto/other.proto":      "option go_package = \"github.com/owner/hello2/proto\";\n",
		"logo.png":               "\x89PNG\x00",
		"{{.Service}}.tmpl":      "{{.Service}}",
		".github/workflows/x":    "x",
		"node_modules/.git/HEAD": "x",
	}
}

func TestPlainRepository(t *testing.T) {
	t.Parallel()
	opts := options(t, "greeter")
	opts.Template = load(t, plainRepository())
	opts.Module = "example.com/team/my-greeter"
	p, err := New(t.Context(), opts)
	if err != nil {
		// The names of Windows have no { in them, but git's may.
		t.Fatal(err)
	}
	want := plainRepository()
	delete(want, "node_modules/.git/HEAD")
	delete(want, "go.sum")
	want["go.mod"] = "module example.com/team/my-greeter\n\ngo 1.20\n\nrequire google.golang.org/grpc v1.0.0\n"
	want["micro.yaml"] = "# hello\ninstances: 2\nname: greeter # the name\nenv: {name: hello}\n"
	want["hello.go"] = strings.Replace(want["hello.go"], "package hello", "package my_greeter", 1)
	want["hello_test.go"] = "package my_greeter_test\n\nimport (\n\t\"testing\"\n\n\thello \"example.com/team/my-greeter\"\n)\n\nfunc Test(*testing.T) { _ = hello.Name }\n"
	want["cmd/main.go"] = `package main

import (
	"fmt"

	"github.com/micro/micro/v3/service"
	hello "example.com/team/my-greeter"
	h "example.com/team/my-greeter"
	_ "example.com/team/my-greeter/internal/x"
	_ "github.com/owner/hello2"
)

func main() {
	service.New(service.Name("greeter"), service.Version("hello"))
	fmt.Println("github.com/owner/hello", hello.Name, h.Name)
}
`
	want["proto/hello.proto"] = strings.Replace(want["proto/hello.proto"], "github.com/owner/hello/proto;hello", "example.com/team/my-greeter/proto;hello", 1)
	if diff := cmp.Diff(want, contents(p)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if len(p.Notes) != 1 || !strings.HasPrefix(p.Notes[0], "no Go code was made of the .proto files: ") {
		t.Errorf("notes are %q", p.Notes)
	}
}

// A folder of a module becomes a module of its own.
func TestFolderOfRepository(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"go.mod":             "module github.com/owner/services\n\ngo 1.15\n\nrequire (\n\tgithub.com/micro/micro/v3 v3.4.0\n\tgoogle.golang.org/grpc v1.26.0\n\tgoogle.golang.org/genproto v0.0.0-20200526211855-cb27e3aa2013\n\texample.com/own v1.0.0\n)\n\nreplace github.com/micro/micro/v3 => ../micro\n\nreplace google.golang.org/grpc => google.golang.org/grpc v1.26.0\n",
		"go.sum":             "example.com/own v1.0.0 h1:x=\n",
		"hello/main.go":      "package main\n\nimport \"github.com/owner/services/hello/handler\"\n",
		"hello/handler/h.go": "package handler\n",
		"other/x.go":         "package other\n",
		"hello/sub/x.proto":  "syntax = \"proto3\";\npackage x;\noption go_package = \"./sub;x\";\nmessage M {}\n",
	}
	dir := writeTree(t, files)
	template, err := LoadTemplate(filepath.Join(dir, "hello"), dir, "hello")
	if err != nil {
		t.Fatal(err)
	}
	opts := options(t, "greeter")
	opts.Template = template
	p, err := render(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	got := contents(p)
	if want := "package main\n\nimport \"greeter/handler\"\n"; got["main.go"] != want {
		t.Errorf("main.go is\n%s\nwant\n%s", got["main.go"], want)
	}
	if got["sub/x.pb.go"] == "" {
		t.Error("there is no Go code of the .proto file")
	}
	for _, want := range []string{
		"module greeter\n", "go 1.26.0\n", "\tgithub.com/micro/micro/v3 " + opts.SDKVersion + "\n", "\texample.com/own v1.0.0\n",
		"replace github.com/micro/micro/v3 => " + opts.SDKDir + "\n", "\tgolang.org/x/net v0",
		"\tgoogle.golang.org/genproto v0.0.0-20230526161137-0005af68ea54\n",
	} {
		if !strings.Contains(got["go.mod"], want) {
			t.Errorf("go.mod is\n%s\nwant it to contain %q", got["go.mod"], want)
		}
	}
	for _, not := range []string{"../micro", "\tgoogle.golang.org/grpc v1.26.0"} {
		if strings.Contains(got["go.mod"], not) {
			t.Errorf("go.mod is\n%s\nwant nothing of %q in it", got["go.mod"], not)
		}
	}
	if sum := string(p.file("go.sum").Content); !strings.HasPrefix(sum, "example.com/own v1.0.0 h1:x=\n") || !strings.Contains(sum, sdk.DividedSum) || !strings.Contains(sum, strings.TrimSpace(string(sdk.ProjectSum()[:100]))[:50]) {
		t.Errorf("go.sum is %.200q", sum)
	}

	// What it needs of the rest does not come along.
	files["hello/main.go"] = "package main\n\nimport _ \"github.com/owner/services/other\"\n"
	dir = writeTree(t, files)
	if opts.Template, err = LoadTemplate(filepath.Join(dir, "hello"), dir, "hello"); err != nil {
		t.Fatal(err)
	}
	if _, err := render(t.Context(), opts); err == nil || err.Error() != "main.go imports github.com/owner/services/other, which is not part of the template" {
		t.Errorf("error is %v", err)
	}
	// Nothing above the top counts.
	if template, err = LoadTemplate(filepath.Join(dir, "hello"), filepath.Join(dir, "hello"), "hello"); err != nil || template.module.path != "" {
		t.Errorf("LoadTemplate takes the module %q of above: %v", template.module.path, err)
	}
}

func TestAdoptWithoutModule(t *testing.T) {
	t.Parallel()
	opts := options(t, "greeter")
	for name, tc := range map[string]struct {
		files map[string]string
		want  bool
	}{
		"Go":         {map[string]string{"main.go": "package main\n"}, true},
		"no Go":      {map[string]string{"main.py": "print()\n", "proto/x.proto": "syntax = \"proto3\";\n"}, false},
		"other YAML": {map[string]string{"micro.yaml": "- name: x\n"}, false},
	} {
		opts.Template = load(t, tc.files)
		p, err := render(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.file("go.mod") != nil; got != tc.want {
			t.Errorf("%s: there is a go.mod: %v, want %v", name, got, tc.want)
		}
		for at, text := range tc.files {
			if string(p.file(at).Content) != text {
				t.Errorf("%s: %s has changed to %q", name, at, p.file(at).Content)
			}
		}
	}
}

func TestLocalReplace(t *testing.T) {
	t.Parallel()
	opts := options(t, "greeter")
	opts.Template = load(t, map[string]string{"go.mod": "module m\n\nreplace example.com/x => ../x\n\nreplace example.com/y => ./y\n"})
	p, err := render(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"go.mod replaces example.com/x by ../x, which is not part of the template"}, p.Notes); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
}
