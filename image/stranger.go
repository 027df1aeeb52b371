package image

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
)

// What comes from a git address is a stranger's, and is built where the user's own files
// are. The go command runs nothing of it, but it reads what it is told to: these are the
// ways to tell it to read outside of the repository. Links that lead out were left out
// when it was checked out, and cgo, which could run programs, is off.

// checkStranger returns a [*BuildError] for a source that leads out of its repository.
// A directory of the user's own may do so.
func (b *builder) checkStranger(root string, mod *modfile.File) error {
	if !b.source.remote() {
		return nil
	}
	refuse := func(format string, args ...any) error {
		return &BuildError{Place: b.place(), Lines: []string{fmt.Sprintf(format, args...)}}
	}
	for _, r := range mod.Replace {
		required := slices.ContainsFunc(mod.Require, func(q *modfile.Require) bool { return q.Mod.Path == r.Old.Path })
		if required && r.New.Version == "" && !b.overridden(r.Old.Path) && !b.inside(root, r.New.Path) {
			return refuse("go.mod: replace %s => %s leads out of the repository", r.Old.Path, r.New.Path)
		}
	}
	name, err := b.outside()
	if err != nil {
		return err
	}
	if name != "" {
		return refuse("%s", name)
	}
	return nil
}

// overridden reports whether a module comes from an override, so that what the source
// replaces it by is not looked at.
func (b *builder) overridden(module string) bool {
	return slices.ContainsFunc(b.options.Overrides, func(o Override) bool { return o.Module == module })
}

// inside reports whether a path, seen from a directory of the source, stays in the
// repository.
func (b *builder) inside(dir, to string) bool {
	if !filepath.IsAbs(to) {
		to = filepath.Join(dir, filepath.FromSlash(to))
	}
	return within(b.source.root, to)
}

// outside returns what is wrong with the includes of a source's assembly, if anything.
func (b *builder) outside() (string, error) {
	found := ""
	err := filepath.WalkDir(b.source.root, func(file string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if ext := filepath.Ext(file); !e.Type().IsRegular() || ext != ".s" && ext != ".h" && ext != ".S" {
			return nil
		}
		include, err := b.include(file)
		if err != nil || include == "" {
			return err
		}
		rel, err := filepath.Rel(b.source.root, file)
		if err != nil {
			return err
		}
		found = fmt.Sprintf("%s: #include %q leads out of the repository", filepath.ToSlash(rel), include)
		return fs.SkipAll
	})
	return found, err
}

// include returns the first file that assembly includes and that lies outside of the
// repository.
func (b *builder) include(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		// The assembler takes the directive wherever a line begins, with any space.
		rest, ok := strings.CutPrefix(strings.TrimSpace(lines.Text()), "#")
		rest, include := strings.CutPrefix(strings.TrimSpace(rest), "include")
		if !ok || !include {
			continue
		}
		name := strings.Trim(strings.TrimSpace(rest), "\"<>'`")
		if path.IsAbs(name) || filepath.IsAbs(name) || !b.inside(filepath.Dir(file), name) || strings.Contains(name, "..") && !b.inside(b.source.Dir, name) {
			return name, nil
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return "", nil // no directive of that length has the name of a file
	}
	return "", lines.Err()
}

// checkWorkspace is [builder.checkStranger] of a workspace.
func (b *builder) checkWorkspace(work *modfile.WorkFile, name string) error {
	if !b.source.remote() {
		return nil
	}
	refuse := func(what, to string) error {
		return &BuildError{Place: b.place(), Lines: []string{fmt.Sprintf("go.work: %s %s leads out of the repository", what, to)}}
	}
	for _, u := range work.Use {
		if !within(b.source.root, abs(name, u.Path)) {
			return refuse("use", u.Path)
		}
	}
	for _, r := range work.Replace {
		if r.New.Version == "" && !b.overridden(r.Old.Path) && !within(b.source.root, abs(name, r.New.Path)) {
			return refuse("replace "+r.Old.Path+" =>", r.New.Path)
		}
	}
	return nil
}

// cgoLine returns a line that says what go does not: that a package has no file to build
// because it is for cgo. It is empty when that is not the reason.
func cgoLine(lines []string) string {
	for _, line := range lines {
		_, dir, ok := strings.Cut(line, "build constraints exclude all Go files in ")
		if !ok {
			continue
		}
		names, err := filepath.Glob(filepath.Join(strings.TrimSpace(dir), "*.go"))
		if err != nil {
			continue
		}
		for _, name := range names {
			if text, err := os.ReadFile(name); err == nil && strings.Contains(string(text), "import \"C\"") {
				return "that package needs cgo, and images are built without (CGO_ENABLED=0); --dockerfile can build it"
			}
		}
	}
	return ""
}
