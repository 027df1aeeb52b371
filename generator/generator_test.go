package generator

import (
	"errors"
	"flag"
	"go/format"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/micro/micro/v3/internal/sdk"
)

var update = flag.Bool("update", false, "write what is compared with the files in testdata")

// options for a project in a directory that does not exist.
func options(t *testing.T, name string) Options {
	t.Helper()
	service, err := Builtin(DefaultTemplate)
	if err != nil {
		t.Fatal(err)
	}
	return Options{
		Template:   service,
		Dir:        filepath.Join(t.TempDir(), name),
		Name:       name,
		SDKVersion: "v3.0.0-sdk-000000000000",
		SDKDir:     filepath.Join(t.TempDir(), "sdk", "v3.0.0-sdk-000000000000"),
	}
}

// golden are the files of a project that the templates make; the rest is made by
// code that has tests of its own.
var golden = []string{
	".gitignore",
	"README.md",
	"handler/helloworld.go",
	"handler/helloworld_test.go",
	"main.go",
	"micro.yaml",
	"proto/helloworld.proto",
}

func TestNew(t *testing.T) {
	t.Parallel()
	opts := options(t, "helloworld")
	project, err := New(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	files := project.Files
	want := append(slices.Clip(golden), "go.mod", "go.sum", "proto/helloworld.pb.go", "proto/helloworld_grpc.pb.go")
	var got []string
	for _, f := range files {
		got = append(got, f.Path)
		content, err := os.ReadFile(filepath.Join(opts.Dir, filepath.FromSlash(f.Path)))
		if err != nil {
			t.Error(err)
		}
		if string(content) != string(f.Content) {
			t.Errorf("%s is not what New returns", f.Path)
		}
		if path.Ext(f.Path) == ".go" {
			if formatted, err := format.Source(f.Content); err != nil || string(formatted) != string(f.Content) {
				t.Errorf("%s is not as gofmt has it: %v", f.Path, err)
			}
		}
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(want)), got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(got, list(t, opts.Dir)); diff != "" {
		t.Errorf("files in the directory (-want +got):\n%s", diff)
	}
	if leftover := list(t, filepath.Dir(opts.Dir)); len(leftover) != len(got) {
		t.Errorf("there is more beside the project: %q", leftover)
	}
	for _, name := range golden {
		content, err := os.ReadFile(filepath.Join(opts.Dir, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		compareGolden(t, path.Join("testdata/helloworld", name), content)
	}
}

func compareGolden(t *testing.T, name string, got []byte) {
	t.Helper()
	// Go and git shall not take the files for their own.
	name = filepath.FromSlash(name + ".golden")
	if *update {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func TestNewGoMod(t *testing.T) {
	t.Parallel()
	opts := options(t, "helloworld")
	opts.Module = "github.com/alice/helloworld"
	opts.SDKDir = filepath.Join(t.TempDir(), "a folder", "sdk")
	project, err := render(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range project.Files {
		switch f.Path {
		case "go.mod":
			for _, want := range []string{
				"module github.com/alice/helloworld\n",
				"\tgithub.com/micro/micro/v3 v3.0.0-sdk-000000000000\n",
				"\nreplace github.com/micro/micro/v3 => \"" + opts.SDKDir + "\"\n",
			} {
				if !strings.Contains(string(f.Content), want) {
					t.Errorf("go.mod is\n%s\nwant it to contain %q", f.Content, want)
				}
			}
		case "go.sum":
			if string(f.Content) != string(sdk.ProjectSum()) {
				t.Error("go.sum is not that of the SDK")
			}
		case "main.go":
			if want := "\"github.com/alice/helloworld/handler\"\n"; !strings.Contains(string(f.Content), want) {
				t.Errorf("main.go is\n%s\nwant it to contain %q", f.Content, want)
			}
		}
	}
}

// longest is the longest name that there can be.
var longest = strings.Repeat("a", 63)

func TestNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]names{
		"helloworld": {"helloworld", "Helloworld", "helloworld", "helloworld"},
		"my-service": {"my-service", "MyService", "myservice", "myservice"},
		"a":          {"a", "A", "a", "a"},
		"a1-2b":      {"a1-2b", "A12b", "a12b", "a12b"},
		"a--b":       {"a--b", "AB", "ab", "ab"},
		"type":       {"type", "Type", "type", "typepb"},
		"main":       {"main", "Main", "main", "mainpb"},
		"foo-linux":  {"foo-linux", "FooLinux", "foolinux", "foolinux"},
		"foo-test":   {"foo-test", "FooTest", "footest", "footest"},
		"string":     {"string", "String", "string", "string"},
		longest:      {longest, "A" + longest[1:], longest, longest},
	} {
		got, err := parseName(name)
		if err != nil {
			t.Errorf("parseName(%q): %v", name, err)
		}
		if got != want {
			t.Errorf("parseName(%q) = %+v, want %+v", name, got, want)
		}
	}
}

func TestBadNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"":                      "the name is empty",
		"Hello":                 `"Hello" begins with 'H'`,
		"1hello":                `"1hello" begins with '1'`,
		"-hello":                `"-hello" begins with '-'`,
		"hello-":                `"hello-" ends with -`,
		"hello_world":           `"hello_world" has '_' in it`,
		"hello.world":           `"hello.world" has '.' in it`,
		"../hello":              `"../hello" begins with '.'`,
		"a/../../hello":         `"a/../../hello" has '/' in it`,
		`a\b`:                   `"a\\b" has '\\' in it`,
		"héllo":                 `"héllo" has 'é' in it`,
		"a\x00b":                `"a\x00b" has '\x00' in it`,
		"a\nb":                  `"a\nb" has '\n' in it`,
		"a\xff":                 `"a\xff" has`,
		"\xffa":                 `"\xffa" begins with`,
		"a{{.Module}}":          `has '{' in it`,
		longest + "a":           `"aaaaaaaaaaaaaaaaaaaa"… has 64 characters`,
		"call-request":          `"call-request" cannot be the name of a service: its code would have two types CallRequest`,
		"handler":               `"handler" cannot be the name of a project`,
		"proto":                 `"proto" cannot be the name of a project`,
		"con":                   "disallowed as path element",
		strings.Repeat("é", 64): "has 128 characters",
	} {
		opts := options(t, "x")
		opts.Name = name
		_, err := New(t.Context(), opts)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New of %q = %v, want an error with %s", name, err, want)
		}
		if _, err := os.Lstat(opts.Dir); err == nil {
			t.Errorf("New of %q has made a directory", name)
		}
	}
}

func TestModules(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"net", "main", "all", "go", "testdata"} {
		if got, want := defaultModule(name), "example.com/"+name; got != want {
			t.Errorf("defaultModule(%q) = %q, want %q", name, got, want)
		}
	}
	if got, want := defaultModule("greeter"), "greeter"; got != want {
		t.Errorf("defaultModule = %q, want %q", got, want)
	}
	for module, want := range map[string]string{
		"net":                  `"net" cannot be the path of a module`,
		"go/greeter":           `"go/greeter" cannot be the path of a module`,
		"github.com/a/../b":    "malformed import path",
		"/greeter":             "malformed import path",
		"greeter\"\nimport \"": "malformed import path",
		"example.com/proto":    `"proto" cannot be the name of a project`,
		"example.com/proto/v2": `"proto" cannot be the name of a project`,
	} {
		opts := options(t, "greeter")
		opts.Module = module
		if _, err := New(t.Context(), opts); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New of module %q = %v, want an error with %s", module, err, want)
		}
	}
}

// Every name that is allowed must give code that compiles; the words that mean
// something in Go or in .proto files are those that could go wrong.
func TestWords(t *testing.T) {
	t.Parallel()
	for name := range strings.FieldsSeq(`
		break case chan const continue default defer else fallthrough for func go goto if import interface map package range return select struct switch type var
		any append error false init len new nil string true
		syntax edition message enum service rpc returns stream option reserved oneof extend optional repeated public weak to inf
		google grpc context codes status pb test linux main call request response`) {
		if _, err := render(t.Context(), options(t, name)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNewErrors(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(*Options)
		want   string
	}{
		"no directory": {func(o *Options) { o.Dir = "" }, "no directory is given"},
		"no SDK":       {func(o *Options) { o.SDKDir = "" }, `the directory of the SDK must be an absolute path, not ""`},
		"relative SDK": {func(o *Options) { o.SDKDir = "sdk" }, `the directory of the SDK must be an absolute path, not "sdk"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := options(t, "greeter")
			tc.change(&opts)
			if _, err := New(t.Context(), opts); err == nil || err.Error() != tc.want {
				t.Errorf("New = %v, want %s", err, tc.want)
			}
		})
	}
}

func TestNewInDirectory(t *testing.T) {
	t.Parallel()
	opts := options(t, "greeter")
	opts.Dir = writeTree(t, map[string]string{"LICENSE": "mine", "handler/own.go": "package handler\n"})
	project, err := New(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	files := project.Files
	if got, want := len(list(t, opts.Dir)), len(files)+2; got != want {
		t.Errorf("the directory has %d files, want %d", got, want)
	}
	before := list(t, opts.Dir)
	_, err = New(t.Context(), opts)
	var conflict *ConflictError
	if !errors.As(err, &conflict) {
		t.Fatalf("second New = %v, want a %T", err, conflict)
	}
	if got, want := len(conflict.Paths), len(files); got != want {
		t.Errorf("the error names %d files, want %d", got, want)
	}
	if got, want := err.Error(), filepath.Join(opts.Dir, ".gitignore")+" exists and 10 more; nothing was written"; got != want {
		t.Errorf("error is %q, want %q", got, want)
	}
	if diff := cmp.Diff(before, list(t, opts.Dir)); diff != "" {
		t.Errorf("files (-before +after):\n%s", diff)
	}
}

// What cannot be finished is undone.
func TestNewUndone(t *testing.T) {
	t.Parallel()
	for name, files := range map[string]map[string]string{
		"last file exists":          {"proto/greeter_grpc.pb.go": "mine"},
		"file in place of a folder": {"proto": "mine"},
		"folder in place of a file": {"micro.yaml/mine": ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := options(t, "greeter")
			opts.Dir = writeTree(t, files)
			before := list(t, opts.Dir)
			if _, err := New(t.Context(), opts); err == nil {
				t.Error("New gives no error")
			}
			if diff := cmp.Diff(before, list(t, opts.Dir)); diff != "" {
				t.Errorf("files (-before +after):\n%s", diff)
			}
			entries, err := os.ReadDir(opts.Dir)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := len(entries), 1; got != want {
				t.Errorf("the directory has %d entries, want %d", got, want)
			}
		})
	}
}

func TestNewBadPlaces(t *testing.T) {
	t.Parallel()
	dir := writeTree(t, map[string]string{"file": ""})
	outside := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(dir, "link")); err != nil {
		t.Skip(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "linked"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "linked", "handler")); err != nil {
		t.Fatal(err)
	}
	for name, at := range map[string]string{
		"a file":                   "file",
		"below a file":             "file/greeter",
		"a folder that leads away": "linked",
	} {
		opts := options(t, "greeter")
		opts.Dir = filepath.Join(dir, at)
		if _, err := New(t.Context(), opts); err == nil {
			t.Errorf("New in %s gives no error", name)
		}
	}
	if got := list(t, outside); got != nil {
		t.Errorf("New has written elsewhere: %q", got)
	}
	if got := list(t, filepath.Join(dir, "linked")); len(got) != 1 {
		t.Errorf("New has left %q behind", got)
	}
}

func TestNewReadOnly(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root may write everywhere")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{"", "greeter"} {
		opts := options(t, "greeter")
		opts.Dir = filepath.Join(dir, at)
		if _, err := New(t.Context(), opts); !errors.Is(err, os.ErrPermission) {
			t.Errorf("New in a directory that is read-only = %v, want %v", err, os.ErrPermission)
		}
	}
	if got := list(t, dir); got != nil {
		t.Errorf("New has left %q behind", got)
	}
}

func TestPointToSDK(t *testing.T) {
	t.Parallel()
	opts := options(t, "greeter")
	if _, err := New(t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	goMod := filepath.Join(opts.Dir, "go.mod")
	const version, sdkDir = "v3.0.0-sdk-111111111111", "/home/bob/sdk/v3.0.0-sdk-111111111111"
	for i, want := range []bool{true, false} {
		changed, err := PointToSDK(opts.Dir, version, sdkDir)
		if err != nil {
			t.Fatal(err)
		}
		if changed != want {
			t.Errorf("call %d changed = %v, want %v", i, changed, want)
		}
	}
	text, err := os.ReadFile(goMod)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\tgithub.com/micro/micro/v3 " + version + "\n", "\nreplace github.com/micro/micro/v3 => " + sdkDir + "\n"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("go.mod is\n%s\nwant it to contain %q", text, want)
		}
	}
	for name, text := range map[string]string{
		"a checkout of the owner's": strings.ReplaceAll(string(text), sdkDir, "../micro"),
		"no replace":                "module greeter\n",
	} {
		if err := os.WriteFile(goMod, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if changed, err := PointToSDK(opts.Dir, version, sdkDir); changed || err != nil {
			t.Errorf("%s: PointToSDK = %v, %v, want nothing changed", name, changed, err)
		}
	}
	if err := os.WriteFile(goMod, []byte("modul greeter\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := PointToSDK(opts.Dir, version, sdkDir); err == nil {
		t.Error("PointToSDK of a go.mod that is broken gives no error")
	}
}
