package image

import (
	"context"
	"errors"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/storage/memory"
	"github.com/google/go-cmp/cmp"
)

// What a stranger's repository tells the go command to read outside of it is refused
// before go sees it. The same in a directory of the user's own is the user's affair.
func TestStranger(t *testing.T) {
	t.Parallel()
	secret := t.TempDir()
	write(t, secret, map[string]string{
		"secret": "TOP SECRET", "go.mod": "module example.com/secret\n\ngo 1.26\n", "secret.go": "package secret\n\nconst Text = \"TOP SECRET\"\n",
	})
	importing := "package main\n\nimport \"example.com/secret\"\n\nfunc main() { println(secret.Text) }\n"
	assembly := func(include string) map[string]string {
		return map[string]string{
			"go.mod": goMod, "main.go": "package main\n\nfunc f()\n\nfunc main() { f() }\n",
			"f_amd64.s": "#include \"textflag.h\"\n# \tinclude \"" + include + "\"\n\nTEXT ·f(SB), NOSPLIT, $0\n\tRET\n",
		}
	}
	for _, test := range []struct {
		name  string
		files map[string]string
		want  string // of the error; empty: it is built
	}{
		{"nothing", map[string]string{"go.mod": goMod, "main.go": goMain}, ""},
		{"replaced inside", map[string]string{
			"go.mod":  goMod + "\nrequire example.com/secret v1.0.0\n\nreplace example.com/secret => ./own\n",
			"main.go": importing, "own/go.mod": "module example.com/secret\n", "own/x.go": "package secret\n\nconst Text = \"own\"\n",
		}, ""},
		{"replaced by an absolute directory", map[string]string{
			"go.mod":  goMod + "\nrequire example.com/secret v1.0.0\n\nreplace example.com/secret => " + secret + "\n",
			"main.go": importing,
		}, "go.mod: replace example.com/secret => " + secret + " leads out of the repository"},
		{"replaced by a directory above", map[string]string{
			"go.mod":  goMod + "\nrequire example.com/secret v1.0.0\n\nreplace example.com/secret => ../../../x\n",
			"main.go": importing,
		}, "leads out of the repository"},
		{"a workspace with a directory outside", map[string]string{
			"go.mod": goMod, "main.go": importing, "go.work": "go 1.26\n\nuse .\n\nuse " + secret + "\n",
		}, "go.work: use " + secret + " leads out of the repository"},
		{"a workspace that replaces", map[string]string{
			"go.mod": goMod, "main.go": importing, "go.work": "go 1.26\n\nuse .\n\nreplace example.com/secret => " + secret + "\n",
		}, "leads out of the repository"},
		{"assembly that includes itself", map[string]string{
			"go.mod": goMod, "main.go": "package main\n\nfunc f()\n\nfunc main() { f() }\n", "own.h": "#define X 1\n",
			"f_amd64.s": "#include \"textflag.h\"\n#include \"own.h\"\n\nTEXT ·f(SB), NOSPLIT, $0\n\tRET\n",
		}, ""},
		{"assembly that includes a secret", assembly(filepath.Join(secret, "secret")), "f_amd64.s: #include"},
		{"assembly that includes what is above", assembly("../../../secret"), "leads out of the repository"},
		{"a link out that is embedded", map[string]string{
			"go.mod": goMod, "main.go": "package main\n\nimport _ \"embed\"\n\n//go:embed link\nvar text string\n\nfunc main() { println(text) }\n",
		}, "pattern link: no matching files found"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if strings.HasPrefix(test.name, "assembly") && runtime.GOARCH != "amd64" {
				t.Skip("the assembly is for amd64")
			}
			dir := filepath.Join(t.TempDir(), "r")
			r := newRepository(t, dir)
			if strings.HasPrefix(test.name, "a link") {
				if err := os.Symlink(filepath.Join(secret, "secret"), filepath.Join(dir, "link")); err != nil {
					t.Fatal(err)
				}
			}
			r.commit(test.files)
			s, err := Fetch(t.Context(), "file://"+dir, FetchOptions{TempDir: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			i, err := Build(t.Context(), s, BuildOptions{TempDir: t.TempDir(), Platforms: []string{"linux/amd64"}})
			if i != nil {
				defer i.Close()
			}
			var said string
			if e, ok := errors.AsType[*BuildError](err); ok {
				said = strings.Join(e.Lines, "\n")
			} else if err != nil {
				said = err.Error()
			}
			if (err == nil) != (test.want == "") || !strings.Contains(said, test.want) {
				t.Errorf("got %v: %s, want %q", err, said, test.want)
			}
			if strings.Contains(said, "SECRET") {
				t.Errorf("the error has the secret: %s", said)
			}
		})
	}
	// The control: go does read it, when nobody looks at the source before.
	own := source(t, assembly(filepath.Join(secret, "secret")))
	if runtime.GOARCH == "amd64" {
		_, err := Build(t.Context(), own, BuildOptions{TempDir: t.TempDir(), Platforms: []string{"linux/amd64"}})
		if e, ok := errors.AsType[*BuildError](err); !ok || !strings.Contains(strings.Join(e.Lines, "\n"), "TOP") {
			t.Errorf("the assembler does not show what it reads (%v): is this test of any use?", err)
		}
	}
}

// A program that needs cgo, or a module that nobody gives, fails soon and says why.
func TestBuildFailsClearly(t *testing.T) {
	t.Parallel()
	closed := httptest.NewServer(nil)
	closed.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for name, test := range map[string]struct {
		files map[string]string
		want  string
	}{
		"cgo": {map[string]string{
			"go.mod": goMod, "main.go": "package main\n\nimport \"example.com/app/c\"\n\nfunc main() { c.X() }\n", "c/c.go": "package c\n\nimport \"C\"\n\nfunc X() {}\n",
		}, "that package needs cgo, and images are built without"},
		"a private module": {map[string]string{
			"go.mod":  goMod + "\nrequire corp.example/private v1.0.0\n",
			"go.sum":  "corp.example/private v1.0.0 h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\ncorp.example/private v1.0.0/go.mod h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
			"main.go": "package main\n\nimport _ \"corp.example/private\"\n\nfunc main() {}\n",
		}, "corp.example/private"},
	} {
		_, err := Build(ctx, source(t, test.files), BuildOptions{
			TempDir: t.TempDir(), Env: append(os.Environ(), "GOPROXY="+closed.URL, "GOFLAGS=-modcacherw", "GOMODCACHE="+t.TempDir(), "GONOPROXY=none"),
		})
		e, ok := errors.AsType[*BuildError](err)
		if !ok || !strings.Contains(strings.Join(e.Lines, "\n"), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
}

// Names of files can be nearly anything.
func TestStrangeNames(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("it does not allow such names")
	}
	o := objects{t, memory.NewStorage()}
	want := map[string]string{}
	var entries []entry
	for _, name := range []string{"\x1b[31mred", "-rf", "a\nb", "bom\ufeff", "\xff\xfe"} { // in git's order
		want[name] = "x"
		entries = append(entries, entry{"100644", name, o.blob("x")})
	}
	got, _, err := o.write(t.Context(), o.tree(entries...), roomy)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A .proto file may nest as deep as it likes: there is no schema then, and a program all
// the same.
func TestDeepProto(t *testing.T) {
	t.Parallel()
	s := source(t, map[string]string{
		"go.mod": goMod, "main.go": goMain,
		"deep.proto": "syntax = \"proto3\";\n" + strings.Repeat("message M {", 100_000) + strings.Repeat("}", 100_000),
	})
	// In a process of its own, which may not survive it.
	if os.Getenv("MICRO_DEEP_PROTO") == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestDeepProto$")
		cmd.Env = append(os.Environ(), "MICRO_DEEP_PROTO=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %.1000s", err, out)
		}
		return
	}
	buildImage(t, s, BuildOptions{})
}
