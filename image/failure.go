package image

import (
	"fmt"
	"go/build"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// BuildError says why a source does not compile.
type BuildError struct {
	Place string   // the source: a directory or an address
	Lines []string // what go said; the names of files are relative to Place
	Hint  string   // a command that may help; empty when there is none
}

func (e *BuildError) Error() string {
	text := "build " + e.Place
	isHeading := func(line string) bool { return strings.HasPrefix(line, "# ") }
	if i := slices.IndexFunc(e.Lines, func(line string) bool { return !isHeading(line) }); i >= 0 {
		text += ": " + e.Lines[i]
	}
	if n := len(e.Lines) - 1; n > 0 {
		text += fmt.Sprintf(" (and %d more lines)", n)
	}
	return text
}

// PackageError says that a directory has no program.
type PackageError struct {
	Place string   // the source: a directory or an address
	Name  string   // of the package that is there; empty when there is none
	Mains []string // the main packages below, such as "./cmd/server"
}

func (e *PackageError) Error() string {
	text := "no Go files in " + e.Place
	if e.Name != "" {
		text = fmt.Sprintf("package %s in %s is not a program", e.Name, e.Place)
	}
	if len(e.Mains) > 0 {
		text += "; programs below it: " + strings.Join(e.Mains, ", ")
	}
	return text
}

// checkMain returns a [*PackageError] unless there is a main package where one
// is wanted. What else may be wrong go will say.
func (b *builder) checkMain() error {
	context := build.Default
	context.GOOS, context.GOARCH = b.platform.OS, b.platform.Architecture
	context.CgoEnabled = false
	context.BuildTags = []string{buildTags}
	dir := b.dir()
	name, files := packageName(&context, dir)
	if name == "main" || name == "" && files {
		return nil
	}
	return &PackageError{Place: b.place(), Name: name, Mains: mains(&context, dir)}
}

// packageName returns the name of the package in a directory, empty when no
// file is for the platform, and whether there are any files of Go.
func packageName(context *build.Context, dir string) (name string, files bool) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", false
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") || e.IsDir() {
			continue
		}
		files = true
		if match, err := context.MatchFile(dir, e.Name()); err != nil || !match {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, e.Name()), nil, parser.PackageClauseOnly)
		if err == nil {
			return f.Name.Name, true
		}
	}
	return "", files
}

// mains returns the main packages below a directory, at most ten. It looks at
// some thousand folders at most.
func mains(context *build.Context, dir string) []string {
	var found []string
	left := 5000
	ignore := NewIgnore(dir)
	_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // what cannot be read has no program for us
		}
		if left--; left < 0 || len(found) == 10 {
			return fs.SkipAll
		}
		if !e.IsDir() || path == dir {
			return nil
		}
		name := e.Name()
		rel, err := filepath.Rel(dir, path)
		if err != nil || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") ||
			slices.Contains([]string{"vendor", "testdata", "node_modules"}, name) || ignore.Match(filepath.ToSlash(rel), true) {
			return fs.SkipDir
		}
		if name, _ := packageName(context, path); name == "main" {
			found = append(found, "./"+filepath.ToSlash(rel))
		}
		return nil
	})
	return found
}

// failure makes an error of what go said.
func (b *builder) failure(e *exitError, m *modules) error {
	lines := make([]string, 0, len(e.lines))
	for _, line := range e.lines {
		lines = append(lines, m.clean(line))
	}
	if line := cgoLine(e.lines); line != "" {
		lines = append(lines, line)
	}
	text := strings.Join(lines, "\n")
	if strings.Contains(text, "requires go >= ") && strings.Contains(text, "GOTOOLCHAIN") {
		return fmt.Errorf("%w: %s", ErrGo, text)
	}
	return &BuildError{Place: b.place(), Lines: lines, Hint: hint(lines)}
}

// hint returns a command that may help with a failure. Where go says one, it does
// so on a line of its own.
func hint(lines []string) string {
	text := strings.Join(lines, "\n")
	switch {
	case strings.Contains(text, "inconsistent vendoring"):
		return "go mod vendor"
	case strings.Contains(text, "missing go.sum entry"), strings.Contains(text, "updates to go.mod needed"),
		strings.Contains(text, "checksum mismatch"):
		return "go mod tidy"
	}
	for _, line := range lines {
		if _, rest, ok := strings.Cut(line, "cannot find module providing package "); ok {
			name, _, _ := strings.Cut(rest, ":")
			return "go get " + name
		}
		command := strings.TrimSpace(line)
		if strings.HasPrefix(line, "\tgo ") && !strings.ContainsAny(command, "$;|&`") {
			return command
		}
	}
	return ""
}

// needsResolving reports whether go says that go.mod or go.sum does not have all that
// it needs: an override has made it need more, or, in a go.mod from before Go 1.17, made
// everything count that a module requires which it requires.
func needsResolving(err error) bool {
	text := ""
	if err, ok := err.(*BuildError); ok { //nolint:errorlint // failure makes it, and nothing wraps it
		text = strings.Join(err.Lines, "\n")
	}
	return strings.Contains(text, "updates to go.mod needed") || strings.Contains(text, "missing go.sum entry")
}
