// Package generator makes the code that a machine can write: new projects, by
// [New], and Go code from .proto files, by [Gen].
package generator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/mod/module"
)

// Options say what project to make.
type Options struct {
	Template *Template // what to make it of
	Dir      string    // where; it need not exist, nor be empty
	Name     string    // of the service; see [CheckName]
	Module   string    // the path of the Go module; the name when empty, if Go allows it

	// Values are those of the template's variables, by their names.
	Values map[string]string
	// Ask returns a value for a variable that Values does not have; Default is then
	// what it would be. Nil: nobody is asked, and the defaults are taken.
	Ask func(v Variable) (string, error)

	// The SDK that the project is built against: its version, and the absolute
	// path of the directory that it is unpacked in.
	SDKVersion string
	SDKDir     string
}

// Project is what [New] has made.
type Project struct {
	Files []File   // in the order of their paths
	Notes []string // what the person should know
	Next  []string // commands to go on with, below its directory
}

// New makes a project of a template. It writes all of its files or none: when one
// exists the error is a [*ConflictError]. Those of the templates that come with micro
// build and pass their own tests at once.
//
// In a template that has a template.yaml, what stands in {{ }} in a file that ends in
// .tmpl, and in the path of any, is replaced. A file is left out when a part of its
// path is empty then.
//
// What a template has of a Go module becomes the module of the project: the paths of
// imports follow, as do the go_package of .proto files, the name in micro.yaml, and
// where go.mod leads to the SDK.
func New(ctx context.Context, opts Options) (*Project, error) {
	p, err := render(ctx, opts)
	if err != nil {
		return nil, err
	}
	if err := createTree(opts.Dir, p.Files); err != nil {
		return nil, err
	}
	return p, nil
}

func render(ctx context.Context, opts Options) (*Project, error) {
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
	t := opts.Template
	data := n.data(opts.Module)
	if err := t.values(opts, data); err != nil {
		return nil, err
	}
	p := &Project{}
	if p.Files, err = t.render(data); err != nil {
		return nil, err
	}
	if p.Next, err = t.commands(data); err != nil {
		return nil, err
	}
	if t.active {
		if err := p.checkTypes(n.Service); err != nil {
			return nil, err
		}
	}
	if err := p.adopt(t, opts); err != nil {
		return nil, err
	}
	if err := p.generate(ctx, opts); err != nil {
		return nil, err
	}
	slices.SortFunc(p.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return p, p.check(opts)
}

// commands returns what to go on with. It is shown to be typed, so a stranger can name
// commands of micro alone, and nothing that a shell takes for more than that.
func (t *Template) commands(data map[string]any) ([]string, error) {
	if len(t.next) == 0 {
		return []string{"micro run ."}, nil
	}
	var lines []string
	for _, line := range t.next {
		text, err := execute(templateManifest, line, data)
		if err != nil {
			return nil, err
		}
		if !strings.HasPrefix(string(text), "micro ") || bytes.ContainsAny(text, ";|&<>$`\n\r") {
			return nil, fmt.Errorf("%s: next has %q, which is not a command of micro and nothing else", templateManifest, text)
		}
		lines = append(lines, string(text))
	}
	return lines, nil
}

// render renders the files. One that ends in .tmpl goes before another of its name: a
// template can have a README of its own beside that of its projects.
func (t *Template) render(data map[string]any) ([]File, error) {
	var verbatim, rendered []File
	for _, f := range t.files {
		name, isTemplate := t.isTemplate(f)
		if t.active {
			at, err := execute(f.Path, name, data)
			if err != nil {
				return nil, err
			}
			name = string(at)
			if slices.Contains(strings.Split(name, "/"), "") {
				continue
			}
		}
		out := File{Path: name, Content: f.Content, Executable: f.Executable}
		if !isTemplate {
			verbatim = append(verbatim, out)
			continue
		}
		var err error
		if out.Content, err = execute(f.Path, string(f.Content), data); err != nil {
			return nil, err
		}
		rendered = append(rendered, out)
	}
	for _, f := range verbatim {
		if !slices.ContainsFunc(rendered, func(r File) bool { return r.Path == f.Path }) {
			rendered = append(rendered, f)
		}
	}
	return rendered, nil
}

// generate adds the Go code of the .proto files that have none.
func (p *Project) generate(ctx context.Context, opts Options) error {
	var sources []source
	has := make(map[string]bool)
	for _, f := range p.Files {
		has[f.Path] = true
		if path.Ext(f.Path) == ".proto" && len(f.Content) <= maxProto {
			sources = append(sources, source{path: f.Path, text: f.Content})
		}
	}
	if !has["go.mod"] || !slices.ContainsFunc(sources, func(s source) bool { return !has[goCode(s.path)] }) {
		return nil
	}
	m := goModule{path: opts.Module, sub: "."}
	err := nameSources(m, sources)
	var code []File
	if err == nil {
		code, _, err = emit(ctx, m, sources, func(string) (grpc, micro bool) { return true, false })
	}
	if err != nil && !opts.Template.active && ctx.Err() == nil {
		// The template has another way to do it.
		p.Notes = append(p.Notes, "no Go code was made of the .proto files: "+strings.ReplaceAll(err.Error(), "\n", "; "))
		return nil
	}
	if err != nil {
		return err
	}
	for _, f := range code {
		if !has[f.Path] {
			p.Files = append(p.Files, f)
		}
	}
	return nil
}

// goCode returns the path of the Go code of a .proto file.
func goCode(proto string) string { return strings.TrimSuffix(proto, ".proto") + ".pb.go" }

// check finds what would be wrong with the files in a directory.
func (p *Project) check(opts Options) error {
	binary := binaryName(opts.Module)
	at := make(map[string]string)
	for _, f := range p.Files {
		if err := checkPath(f.Path); err != nil {
			return err
		}
		// There are file systems that do not tell A from a.
		if other, ok := at[strings.ToLower(f.Path)]; ok {
			return fmt.Errorf("the template makes %q, and %q too", f.Path, other)
		}
		at[strings.ToLower(f.Path)] = f.Path
		if folder, _, ok := strings.Cut(f.Path, "/"); ok && folder == binary {
			return fmt.Errorf("%q cannot be the name of a project: it has a folder %s, so the program cannot be called that", binary, folder)
		}
	}
	return nil
}

// checkPath refuses a path that leads elsewhere, that some system cannot have, and
// what git would run or obey.
func checkPath(p string) error {
	if err := module.CheckFilePath(p); err != nil {
		return fmt.Errorf("the template makes a file that cannot be: %w", err)
	}
	for part := range strings.SplitSeq(p, "/") {
		if strings.EqualFold(part, ".git") {
			return fmt.Errorf("the template makes %q, which is git's own", p)
		}
	}
	return nil
}

// declaration finds what a .proto file declares outside of messages.
var declaration = regexp.MustCompile(`(?m)^(?:message|enum|service)\s+(\w+)`)

// checkTypes refuses a name of a service that a message of its API has.
func (p *Project) checkTypes(service string) error {
	for _, f := range p.Files {
		if path.Ext(f.Path) != ".proto" {
			continue
		}
		seen := make(map[string]bool)
		for _, m := range declaration.FindAllSubmatch(f.Content, -1) {
			if seen[string(m[1])] {
				return fmt.Errorf("%q cannot be the name of a service: its code would have two types %s", service, m[1])
			}
			seen[string(m[1])] = true
		}
	}
	return nil
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
