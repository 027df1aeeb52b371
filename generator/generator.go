// Package generator makes the code that a machine can write: new projects, by
// [New], and Go code from .proto files, by [Gen].
package generator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"text/template"

	"golang.org/x/mod/module"

	"github.com/micro/micro/v3/internal/sdk"
	"github.com/micro/micro/v3/templates"
)

// Options say what project to make.
type Options struct {
	Dir      string // where; it need not exist, nor be empty
	Name     string // of the service; see [CheckName]
	Module   string // the path of the Go module; the name when empty, if Go allows it
	Template string // the kind of project, of [Templates]; "service" when empty

	// The SDK that the project is built against: its version, and the absolute
	// path of the directory that it is unpacked in.
	SDKVersion string
	SDKDir     string
}

// Templates returns the names of the kinds of project that there are.
func Templates() []string {
	entries, err := fs.ReadDir(templates.FS, ".")
	if err != nil {
		return nil // the root of an embedded file system is always there
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

// New makes a project that builds and passes its own tests at once, and returns
// its files in the order of their paths. It writes all of them or none: when one
// exists the error is a [*ConflictError].
func New(opts Options) ([]File, error) {
	files, err := render(opts)
	if err != nil {
		return nil, err
	}
	if err := createTree(opts.Dir, files); err != nil {
		return nil, err
	}
	return files, nil
}

// data is what templates are rendered with.
type data struct {
	names
	Module string
	Binary string // what `go build` calls the program
}

func render(opts Options) ([]File, error) {
	n, err := parseName(opts.Name)
	if err != nil {
		return nil, err
	}
	if opts.Dir == "" {
		return nil, errors.New("no directory is given")
	}
	if opts.Module == "" {
		opts.Module = defaultModule(opts.Name)
	}
	if err := checkModule(opts.Module); err != nil {
		return nil, err
	}
	d := data{names: n, Module: opts.Module, Binary: binaryName(opts.Module)}
	files, err := renderTemplate(opts.Template, d)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if folder, _, ok := strings.Cut(f.Path, "/"); ok && folder == d.Binary {
			return nil, fmt.Errorf("%q cannot be the name of a project: it has a folder %s, so the program cannot be called that", d.Binary, folder)
		}
	}
	mod, err := goMod(opts)
	if err != nil {
		return nil, err
	}
	files = append(files, File{"go.mod", mod}, File{"go.sum", sdk.ProjectSum()})
	code, err := generate(opts.Module, files)
	if err != nil {
		return nil, err
	}
	files = append(files, code...)
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return files, nil
}

func renderTemplate(name string, d data) ([]File, error) {
	if name == "" {
		name = "service"
	}
	if !slices.Contains(Templates(), name) {
		return nil, fmt.Errorf("there is no template %q; there is: %s", name, strings.Join(Templates(), ", "))
	}
	tree, err := fs.Sub(templates.FS, name)
	if err != nil {
		return nil, err
	}
	var files []File
	err = fs.WalkDir(tree, ".", func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := fs.ReadFile(tree, p)
		if err != nil {
			return err
		}
		at, err := execute(p, strings.TrimSuffix(p, ".tmpl"), d)
		if err != nil {
			return err
		}
		content, err := execute(p, string(text), d)
		files = append(files, File{string(at), content})
		return err
	})
	return files, err
}

func execute(name, text string, d data) ([]byte, error) {
	t, err := template.New(name).Option("missingkey=error").Parse(text)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = t.Execute(&out, d)
	return out.Bytes(), err
}

// generate returns the Go code of the .proto files among files.
func generate(modulePath string, files []File) ([]File, error) {
	var sources []source
	for _, f := range files {
		if path.Ext(f.Path) == ".proto" {
			sources = append(sources, source{path: f.Path, text: f.Content})
		}
	}
	m := goModule{path: modulePath, sub: "."}
	if err := nameSources(m, sources); err != nil {
		return nil, err
	}
	code, _, err := emit(context.Background(), m, sources, func(string) (grpc, micro bool) { return true, false })
	return code, err
}

// binaryName returns what the Go command calls the program in the root of a
// module.
func binaryName(modulePath string) string {
	prefix, _, ok := module.SplitPathVersion(modulePath)
	if !ok || prefix == "" {
		prefix = modulePath
	}
	return path.Base(prefix)
}
