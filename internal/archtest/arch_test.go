package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/micro/micro/v3"

// pkg is what `go list` says of a package; paths are relative to the module, "." is
// its root.
type pkg struct {
	ImportPath string
	Dir        string
	Doc        string
	GoFiles    []string
	Imports    []string
}

// ours returns the path below the module's root, false for a foreign package.
func ours(importPath string) (string, bool) {
	if importPath == module {
		return ".", true
	}
	return strings.CutPrefix(importPath, module+"/")
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Dir,Doc,GoFiles,Imports", "./...")
	cmd.Dir = "../.."
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var pkgs []pkg
	dec := json.NewDecoder(bytes.NewReader(out))
	for {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

// block returns the lines of the fenced block of docs/ARCHITECTURE.md with the
// given info string.
func block(t *testing.T, info string) []string {
	t.Helper()
	text, err := os.ReadFile("../../docs/ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "\n```"+info+"\n")
	if !ok {
		t.Fatalf("docs/ARCHITECTURE.md has no %s block", info)
	}
	body, _, _ := strings.Cut(rest, "\n```")
	return strings.Split(strings.TrimSpace(body), "\n")
}

// matches reports whether a package is meant by a pattern: itself or, where
// the pattern ends in /*, something below it. A pattern also means the
// packages below it that have no pattern of their own; see mostSpecific.
func matches(pattern, p string) bool {
	if below, ok := strings.CutSuffix(pattern, "/*"); ok {
		return strings.HasPrefix(p, below+"/")
	}
	return p == pattern || pattern != "." && strings.HasPrefix(p, pattern+"/")
}

// mostSpecific returns the pattern that decides for a package: the longest.
func mostSpecific(patterns []string, p string) (string, bool) {
	best, found := "", false
	for _, pattern := range patterns {
		if matches(pattern, p) && (!found || len(pattern) > len(best)) {
			best, found = pattern, true
		}
	}
	return best, found
}

func TestImports(t *testing.T) {
	t.Parallel()
	allowed := map[string][]string{}
	var patterns []string
	for _, line := range block(t, "imports") {
		left, right, ok := strings.Cut(line, "->")
		if !ok {
			t.Fatalf("imports block: no -> in %q", line)
		}
		for l := range strings.FieldsSeq(left) {
			patterns = append(patterns, l)
			allowed[l] = append(allowed[l], strings.Fields(right)...)
		}
	}
	for _, p := range packages(t) {
		self, _ := ours(p.ImportPath)
		if strings.HasPrefix(self, "testdata/") || matches("bench", self) {
			continue
		}
		rule, ok := mostSpecific(patterns, self)
		if !ok {
			t.Errorf("%s: no line in the imports block speaks of it", self)
			continue
		}
		for _, imp := range p.Imports {
			target, ok := ours(imp)
			if !ok {
				continue
			}
			// Inside what one pattern covers there are no rules, but for drivers,
			// which do not know each other.
			if owner, _ := mostSpecific(patterns, target); owner == rule && !strings.HasSuffix(rule, "/*") {
				continue
			}
			if !slices.ContainsFunc(allowed[rule], func(pattern string) bool { return matches(pattern, target) }) {
				t.Errorf("%s imports %s: the line %q of docs/ARCHITECTURE.md does not allow it", self, target, rule)
			}
		}
	}
}

func TestFences(t *testing.T) {
	t.Parallel()
	for _, line := range block(t, "fences") {
		fields := strings.Fields(line)
		mod, allowed := fields[0], fields[1:]
		for _, p := range packages(t) {
			self, _ := ours(p.ImportPath)
			if slices.Contains(allowed, self) || matches("bench", self) {
				continue
			}
			for _, imp := range p.Imports {
				if imp == mod || strings.HasPrefix(imp, mod+"/") {
					t.Errorf("%s imports %s, which is open to %s only", self, imp, strings.Join(allowed, ", "))
				}
			}
		}
	}
}

// TestSDK holds what every user's service links.
func TestSDK(t *testing.T) {
	t.Parallel()
	open := []string{module, "google.golang.org/grpc", "google.golang.org/protobuf", "google.golang.org/genproto/googleapis/rpc", "go.opentelemetry.io/otel"}
	for _, p := range packages(t) {
		self, _ := ours(p.ImportPath)
		if !matches("service", self) && !matches("proto", self) || self == "service/servicetest" {
			continue
		}
		for _, imp := range p.Imports {
			std := !strings.Contains(strings.Split(imp, "/")[0], ".")
			if !std && !slices.ContainsFunc(open, func(m string) bool { return imp == m || strings.HasPrefix(imp, m+"/") }) {
				t.Errorf("%s imports %s: the SDK takes the standard library, grpc, protobuf and OpenTelemetry's API", self, imp)
			}
		}
	}
}

func TestSource(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		self, _ := ours(p.ImportPath)
		if p.Doc == "" && !strings.HasPrefix(self, "testdata/") && len(p.GoFiles) > 0 && !generatedOnly(p) {
			t.Errorf("%s has no package comment", self)
		}
		for _, imp := range p.Imports {
			if target, _ := ours(imp); imp == "testing" || strings.HasSuffix(target, "test") {
				if !strings.HasSuffix(self, "test") {
					t.Errorf("%s imports %s outside its tests", self, imp)
				}
			}
		}
		for _, name := range p.GoFiles {
			if strings.HasSuffix(name, ".pb.go") {
				continue
			}
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range f.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
					t.Errorf("%s has a func init", path.Join(self, name))
				}
			}
		}
	}
}

func generatedOnly(p pkg) bool {
	return !slices.ContainsFunc(p.GoFiles, func(f string) bool { return !strings.HasSuffix(f, ".pb.go") })
}

func TestModule(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(strings.TrimSpace(line), "replace") {
			t.Errorf("go.mod: %s", line)
		}
	}
}
