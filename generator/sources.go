package generator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/bufbuild/protocompile/ast"
	"github.com/bufbuild/protocompile/parser"
	"github.com/bufbuild/protocompile/reporter"
	"golang.org/x/mod/modfile"
)

// maxProto is the size in bytes up to which a .proto file is read. From larger ones
// made for it, the parser takes gigabytes of memory.
const maxProto = 1 << 20

// source is a .proto file.
type source struct {
	path string // below the directory that is generated in, with slashes
	name string // by which other files import it
	text []byte
}

// goModule says in which Go module a directory lies.
type goModule struct {
	path string // of the module; empty when there is none
	sub  string // of the directory in the module, with slashes; "." is its root
}

// findModule looks for go.mod in dir and above. That there is none is no error.
func findModule(dir string) (goModule, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return goModule{}, err
	}
	for sub, at := ".", abs; ; {
		text, err := os.ReadFile(filepath.Join(at, "go.mod"))
		if err == nil {
			m, err := moduleOf(text, sub)
			if err != nil {
				return goModule{}, fmt.Errorf("%s: %w", filepath.Join(at, "go.mod"), err)
			}
			return m, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return goModule{}, err
		}
		up := filepath.Dir(at)
		if up == at {
			return goModule{sub: "."}, nil
		}
		sub, at = path.Join(filepath.Base(at), sub), up
	}
}

// moduleOf returns the module of a go.mod file, for a directory in it.
func moduleOf(goMod []byte, sub string) (goModule, error) {
	name := modfile.ModulePath(goMod)
	if name == "" {
		return goModule{}, errors.New("it names no module")
	}
	return goModule{path: name, sub: sub}, nil
}

// importPath returns the path of the Go package in a folder below the
// directory; empty when there is no module.
func (m goModule) importPath(folder string) string {
	if m.path == "" {
		return ""
	}
	return path.Join(m.path, m.sub, folder)
}

// readSources reads the .proto files below dir, in the order of their paths. As
// ./... does, it leaves out hidden folders, testdata, vendor and other modules.
func readSources(ctx context.Context, dir string) ([]source, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	var sources []source
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if d.IsDir() {
			if name != "." && foreign(root, name) {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".proto" || !d.Type().IsRegular() {
			return nil
		}
		text, err := readLimited(root, name)
		if err != nil {
			return err
		}
		sources = append(sources, source{path: name, text: text})
		return nil
	})
	return sources, err
}

// foreign reports whether the Go command would leave a folder out of ./...
func foreign(root *os.Root, folder string) bool {
	switch base := path.Base(folder); {
	case base[0] == '.', base[0] == '_', base == "testdata", base == "vendor", base == "node_modules":
		return true
	}
	_, err := root.Lstat(path.Join(folder, "go.mod"))
	return err == nil
}

func readLimited(root *os.Root, name string) ([]byte, error) {
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxProto+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxProto {
		return nil, fmt.Errorf("%s is larger than %d MiB", name, maxProto>>20)
	}
	return text, nil
}

// nameSources sets the names by which the files import each other. They are the
// same wherever in a module the generator is started: a file below a folder
// proto is named from there, as protobuf's "folder = package" has it, any other
// from the root of the module. Where files import each other with proto/ in
// front, their names have it too.
func nameSources(m goModule, sources []source) error {
	at := make(map[string]bool, len(sources)) // paths in the module
	for i, s := range sources {
		sources[i].name = path.Join(m.sub, s.path)
		at[sources[i].name] = true
	}
	long := make(map[string]bool) // the proto folders that are part of the names
	for _, s := range sources {
		parent, _, ok := cutProto(s.name)
		if !ok {
			continue
		}
		for _, imp := range imports(s) {
			if strings.HasPrefix(imp, "proto/") && at[path.Join(parent, imp)] {
				long[parent] = true
			}
		}
	}
	taken := make(map[string]string, len(sources))
	for i, s := range sources {
		if parent, below, ok := cutProto(s.name); ok && long[parent] {
			sources[i].name = path.Join("proto", below)
		} else if ok {
			sources[i].name = below
		}
		name := sources[i].name
		if other, ok := taken[name]; ok {
			return fmt.Errorf("%s and %s would both be imported as %q; generate in their directories one by one, or rename one", other, s.path, name)
		}
		taken[name] = s.path
	}
	return nil
}

// cutProto cuts the path of a file around its outermost folder proto.
func cutProto(p string) (parent, below string, ok bool) {
	parent, below, ok = strings.Cut("/"+p, "/proto/")
	return strings.TrimPrefix(parent, "/"), below, ok
}

// imports returns what a file imports, as far as it can be parsed.
func imports(s source) (names []string) {
	// The parser panics on some malformed files. The compiler reports them.
	defer func() { _ = recover() }()
	ignore := reporter.NewReporter(func(reporter.ErrorWithPos) error { return nil }, nil)
	file, err := parser.Parse(s.path, strings.NewReader(string(s.text)), reporter.NewHandler(ignore))
	if file == nil || err != nil && !errors.Is(err, reporter.ErrInvalidSource) {
		return nil
	}
	for _, decl := range file.Decls {
		if imp, ok := decl.(*ast.ImportNode); ok {
			names = append(names, imp.Name.AsString())
		}
	}
	return names
}
