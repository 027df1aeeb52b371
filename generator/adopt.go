package generator

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/micro/micro/v3/internal/sdk"
)

// adopt makes the module of a project of the files that its template gave.
func (p *Project) adopt(t *Template, opts Options) error {
	mod, sum := p.content("go.mod"), p.content("go.sum")
	switch {
	case mod != nil: // the template's own
	case t.mod != nil:
		mod, sum = t.mod, t.sum
	case slices.ContainsFunc(p.Files, func(f File) bool { return path.Ext(f.Path) == ".go" }):
		mod, err := goMod(opts)
		p.set("go.mod", mod)
		p.set("go.sum", sdk.ProjectSum())
		return err
	default:
		return nil // another language
	}
	if from := t.module.importPath("."); from != "" {
		if err := p.rename(t, from, opts); err != nil {
			return err
		}
	}
	mod, sum, notes, err := adoptModule(mod, sum, opts)
	p.set("go.mod", mod)
	p.set("go.sum", sum)
	p.Notes = append(p.Notes, notes...)
	return err
}

// file returns a file of the project, nil when there is none. It is good until one is
// added.
func (p *Project) file(name string) *File {
	if i := slices.IndexFunc(p.Files, func(f File) bool { return f.Path == name }); i >= 0 {
		return &p.Files[i]
	}
	return nil
}

// content returns what is in a file, nil when there is none.
func (p *Project) content(name string) []byte {
	if f := p.file(name); f != nil {
		return f.Content
	}
	return nil
}

// set makes a file have a content.
func (p *Project) set(name string, content []byte) {
	if f := p.file(name); f != nil {
		f.Content = content
		return
	}
	p.Files = append(p.Files, File{Path: name, Content: content})
}

// rename makes a project of a template that is the Go package from: what is named
// after that is named after the module of the project, and what is named after the
// template's service after the project's.
func (p *Project) rename(t *Template, from string, opts Options) error {
	old := base(from)
	if f := p.file(manifestFile); f != nil {
		old = renameManifest(f, opts.Name)
	}
	for i := range p.Files {
		f := &p.Files[i]
		switch path.Ext(f.Path) {
		case ".go":
			if err := renameGo(f, from, opts.Module, old, opts.Name, t.module.path); err != nil {
				return err
			}
		case ".proto":
			renameProto(f, from, opts.Module)
		}
	}
	return nil
}

// manifestFile says how micro runs a service.
const manifestFile = "micro.yaml"

// renameManifest sets the name in a micro.yaml and returns the one that it had. What
// is no such file, or has no name, stays as it is.
func renameManifest(f *File, name string) (old string) {
	var doc yaml.Node
	if yaml.Unmarshal(f.Content, &doc) != nil || len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return ""
	}
	pairs := doc.Content[0].Content
	for i := 0; i+1 < len(pairs); i += 2 {
		value := pairs[i+1]
		if pairs[i].Value != "name" || value.Kind != yaml.ScalarNode || value.Line != pairs[i].Line {
			continue
		}
		lines := bytes.SplitAfter(f.Content, []byte("\n"))
		line := lines[value.Line-1]
		if at := bytes.Index(line, []byte(value.Value)); at >= 0 && value.Value != "" {
			lines[value.Line-1] = slices.Concat(line[:at], []byte(name), line[at+len(value.Value):])
			f.Content = bytes.Join(lines, nil)
			return value.Value
		}
	}
	return ""
}

// edit replaces a part of a file.
type edit struct {
	from, to int
	text     string
}

// renameGo renames in a Go file; one that is none, as there may be in testdata, stays as
// it is. An import of the module that the template is only a part of is an error: what
// it imports does not come along.
func renameGo(f *File, from, to, oldName, newName, module string) error {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, f.Path, f.Content, parser.SkipObjectResolution)
	if err != nil {
		return nil //nolint:nilerr // it is copied
	}
	offset := func(p token.Pos) int { return fset.PositionFor(p, false).Offset }
	var edits []edit
	replace := func(n ast.Node, text string) { edits = append(edits, edit{offset(n.Pos()), offset(n.End()), text}) }

	oldPackage, newPackage := base(from), goIdentifier(base(to))
	if name, test, _ := cutTest(file.Name.Name); path.Dir(f.Path) == "." && name == oldPackage {
		replace(file.Name, newPackage+test)
	}
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		renamed, ok := below(imported, from, to)
		if !ok {
			if _, inside := below(imported, module, ""); inside {
				return fmt.Errorf("%s imports %s, which is not part of the template", f.Path, imported)
			}
			continue
		}
		text := strconv.Quote(renamed)
		if imported == from && spec.Name == nil && oldPackage != newPackage {
			text = oldPackage + " " + text // what the code calls it
		}
		replace(spec.Path, text)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if lit := serviceName(n); lit != nil && lit.Value == strconv.Quote(oldName) {
			replace(lit, strconv.Quote(newName))
		}
		return true
	})
	f.Content = apply(f.Content, edits)
	return nil
}

// cutTest cuts the ending of a package of tests off.
func cutTest(name string) (before, test string, ok bool) {
	if before, ok = strings.CutSuffix(name, "_test"); ok {
		return before, "_test", true
	}
	return name, "", false
}

// serviceName returns the literal in a call service.Name("…"), else nil.
func serviceName(n ast.Node) *ast.BasicLit {
	call, ok := n.(*ast.CallExpr)
	if !ok || len(call.Args) != 1 {
		return nil
	}
	fun, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || fun.Sel.Name != "Name" {
		return nil
	}
	if pkg, ok := fun.X.(*ast.Ident); !ok || pkg.Name != "service" {
		return nil
	}
	lit, _ := call.Args[0].(*ast.BasicLit)
	return lit
}

// below returns where a path that is from, or below it, is when from has become to.
func below(p, from, to string) (string, bool) {
	rest, ok := strings.CutPrefix(p, from)
	if !ok || rest != "" && rest[0] != '/' {
		return "", false
	}
	return to + rest, true
}

// apply makes edits that do not overlap.
func apply(text []byte, edits []edit) []byte {
	slices.SortFunc(edits, func(a, b edit) int { return a.from - b.from })
	var out bytes.Buffer
	at := 0
	for _, e := range edits {
		out.Write(text[at:e.from])
		out.WriteString(e.text)
		at = e.to
	}
	out.Write(text[at:])
	return out.Bytes()
}

// goPackageOption finds the option of a .proto file.
var goPackageOption = regexp.MustCompile(`(?m)^(\s*option\s+go_package\s*=\s*")([^";]+)`)

// renameProto renames the Go package of a .proto file.
func renameProto(f *File, from, to string) {
	f.Content = goPackageOption.ReplaceAllFunc(f.Content, func(match []byte) []byte {
		parts := goPackageOption.FindSubmatch(match)
		if renamed, ok := below(string(parts[2]), from, to); ok {
			return append(slices.Clip(parts[1]), renamed...)
		}
		return match
	})
}
