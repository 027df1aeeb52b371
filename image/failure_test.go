package image

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBuildErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		files map[string]string
		line  string // one of those that go says
		hint  string
	}{
		{
			name:  "does not compile",
			files: map[string]string{"go.mod": goMod, "main.go": "package main\n\nimport \"example.com/app/sub\"\n\nfunc main() { sub.X() }\n", "sub/x.go": "package sub\n\nfunc X() { y() }\n"},
			line:  "sub/x.go:3:12: undefined: y",
		},
		{
			name:  "does not parse",
			files: map[string]string{"go.mod": goMod, "main.go": "package main\n\nfunc main() {\n"},
			line:  "./main.go:4:1: syntax error: unexpected EOF",
		},
		{
			name:  "no go.mod",
			files: map[string]string{"main.go": goMain},
			line:  "go.mod file not found in the directory or one above it",
			hint:  "go mod init app",
		},
		{
			name:  "go.mod does not parse",
			files: map[string]string{"go.mod": "module\n", "main.go": goMain},
			line:  "go.mod:1: usage: module module/path",
		},
		{
			name:  "module that is not required",
			files: map[string]string{"go.mod": goMod, "main.go": "package main\n\nimport _ \"example.com/lib\"\n\nfunc main() {}\n"},
			line:  "main.go:3:8: no required module provides package example.com/lib; to add it:",
			hint:  "go get example.com/lib",
		},
		{
			name: "sum that is missing",
			files: map[string]string{
				"go.mod": goMod + "\nrequire example.com/lib v1.0.0\n", "main.go": "package main\n\nimport _ \"example.com/lib\"\n\nfunc main() {}\n",
			},
			line: "main.go:3:8: missing go.sum entry for module providing package example.com/lib (imported by example.com/app); to add:",
			hint: "go mod tidy",
		},
		{
			name:  "only for another platform",
			files: map[string]string{"go.mod": goMod, "main.go": "//go:build plan9\n\n" + goMain},
			line:  "package example.com/app: build constraints exclude all Go files in",
		},
		{
			name:  "needs cgo",
			files: map[string]string{"go.mod": goMod, "main.go": "package main\n\nimport \"C\"\n\nfunc main() {}\n"},
			line:  "package example.com/app: build constraints exclude all Go files in",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			temp := t.TempDir()
			s := source(t, test.files)
			_, err := Build(t.Context(), s, BuildOptions{TempDir: temp, Platforms: []string{"linux/amd64"}})
			var e *BuildError
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want a BuildError", err)
			}
			found := false
			for _, line := range e.Lines {
				found = found || strings.HasPrefix(line, test.line)
				if strings.Contains(line, temp) {
					t.Errorf("a file of ours is in %q", line)
				}
			}
			if !found || e.Hint != test.hint || e.Place != s.Dir || e.Error() == "" {
				t.Errorf("got %q with hint %q, want %q with %q", e.Lines, e.Hint, test.line, test.hint)
			}
			if left, err := os.ReadDir(temp); err != nil || len(left) != 0 {
				t.Errorf("%v is left (%v)", left, err)
			}
		})
	}
}

func TestPackageErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		files map[string]string
		want  PackageError
	}{
		{
			name: "programs below",
			files: map[string]string{
				"go.mod": goMod, "lib.go": "package lib\n",
				"cmd/a/main.go": goMain, "cmd/b/main.go": goMain, "internal/x.go": "package internal\n",
				"vendor/v/main.go": goMain, "testdata/t/main.go": goMain, ".hidden/main.go": goMain, "_x/main.go": goMain,
				"gen/main.go": "//go:build ignore\n\n" + goMain, "cmd/c/c_test.go": "package main\n",
			},
			want: PackageError{Name: "lib", Mains: []string{"./cmd/a", "./cmd/b"}},
		},
		{name: "no Go", files: map[string]string{"README.md": "x"}},
		{name: "tests only", files: map[string]string{"go.mod": goMod, "x_test.go": goMain}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := source(t, test.files)
			_, err := Build(t.Context(), s, BuildOptions{TempDir: t.TempDir()})
			var e *PackageError
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want a PackageError", err)
			}
			test.want.Place = s.Dir
			if diff := cmp.Diff(&test.want, e); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	s := source(t, map[string]string{"go.mod": goMod, "cmd/a/main.go": goMain})
	if _, err := Build(t.Context(), s, BuildOptions{TempDir: t.TempDir(), Package: "cmd/none"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want %v", err, ErrNotFound)
	}
	if i := buildImage(t, s, BuildOptions{Package: "./cmd/a"}); i.Name() != "app" {
		t.Errorf("got %q", i.Name())
	}
}

// script makes a command of a few lines of shell.
func script(t *testing.T, lines string) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("no shell")
	}
	path := filepath.Join(t.TempDir(), "go")
	writeProgram(t, path, "#!/bin/sh\n"+lines)
	return path
}

func TestNoGo(t *testing.T) {
	t.Parallel()
	s := source(t, map[string]string{"go.mod": goMod, "main.go": goMain})
	newer := source(t, map[string]string{"go.mod": "module example.com/app\n\ngo 1.999\n", "main.go": goMain})
	for name, test := range map[string]struct {
		source *Source
		o      BuildOptions
	}{
		"not installed":               {s, BuildOptions{Go: "no-such-go"}},
		"too old":                     {s, BuildOptions{Go: script(t, `echo '{"GOVERSION":"go1.18.1"}'`)}},
		"not go":                      {s, BuildOptions{Go: script(t, `echo hello`)}},
		"broken":                      {s, BuildOptions{Go: script(t, `echo no >&2; exit 3`)}},
		"older than the source wants": {newer, BuildOptions{Env: append(os.Environ(), "GOTOOLCHAIN=local")}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.o.TempDir = t.TempDir()
			if _, err := Build(t.Context(), test.source, test.o); !errors.Is(err, ErrGo) {
				t.Errorf("got %v, want %v", err, ErrGo)
			}
		})
	}
}
