package generator

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/micro/micro/v3/templates"
)

// What a template may have at most. It comes from anywhere, and is held in memory.
const (
	maxTemplateFiles = 2000
	maxTemplateFile  = 8 << 20  // bytes
	maxTemplateBytes = 32 << 20 // of all files
	maxManifestBytes = 64 << 10
)

// templateManifest is the file that says what a template is; it is no part of the
// projects. Where it is missing, projects are copies with other names in them.
const templateManifest = "template.yaml"

// Template is a kind of project: the files to make it of, and what there is to say
// and to ask about it. [Builtin] and [LoadTemplate] return one.
type Template struct {
	Name        string
	Description string // one sentence without a period; may be empty
	Variables   []Variable

	next   []string // commands to go on with
	files  []File
	active bool // files that end in .tmpl are rendered

	// The module that the files are in, and its go.mod and go.sum when those are in a
	// folder above.
	module   goModule
	mod, sum []byte
}

// DefaultTemplate is the template of a project for which none is named.
const DefaultTemplate = "service"

// Builtins returns the templates that micro comes with, ordered by their names.
func Builtins() ([]*Template, error) {
	entries, err := fs.ReadDir(templates.FS, ".")
	if err != nil {
		return nil, err
	}
	var all []*Template
	for _, e := range entries {
		sub, err := fs.Sub(templates.FS, e.Name())
		if err != nil {
			return nil, err
		}
		t, err := readTemplate(sub, e.Name())
		if err != nil {
			return nil, fmt.Errorf("template %s: %w", e.Name(), err)
		}
		all = append(all, t)
	}
	return all, nil
}

// Builtin returns the template that micro comes with under a name.
func Builtin(name string) (*Template, error) {
	all, err := Builtins()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, t := range all {
		if t.Name == name {
			return t, nil
		}
		names = append(names, t.Name)
	}
	return nil, fmt.Errorf("there is no template %q; there is: %s", name, strings.Join(names, ", "))
}

// LoadTemplate reads the template in a directory, of anybody's. It is found out here
// whether it is one; its size is bounded, and nothing outside is read but the go.mod
// and go.sum of the module that it is a part of, in dir and above, not above top.
func LoadTemplate(dir, top, name string) (*Template, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	t, err := readTemplate(root.FS(), name)
	if err != nil {
		return nil, err
	}
	if t.module.path == "" {
		err = t.findModule(dir, top)
	}
	return t, err
}

// findModule looks for the module of a template whose own folder has no go.mod.
func (t *Template) findModule(dir, top string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	for at := dir; at != top && filepath.Dir(at) != at; {
		at = filepath.Dir(at)
		mod, err := os.ReadFile(filepath.Join(at, "go.mod"))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		sub, err := filepath.Rel(at, dir)
		if err != nil {
			return err
		}
		if t.module, err = moduleOf(mod, filepath.ToSlash(sub)); err != nil {
			return fmt.Errorf("%s: %w", filepath.Join(at, "go.mod"), err)
		}
		t.mod = mod
		t.sum, err = os.ReadFile(filepath.Join(at, "go.sum"))
		return ignoreAbsent(err)
	}
	return nil
}

// readTemplate reads a template.
func readTemplate(fsys fs.FS, name string) (*Template, error) {
	files, err := readFiles(fsys)
	if err != nil {
		return nil, err
	}
	t := &Template{Name: name}
	for _, f := range files {
		switch f.Path {
		case templateManifest:
			if t.active, err = t.describe(f.Content); err != nil {
				return nil, fmt.Errorf("%s: %w", templateManifest, err)
			}
		case "go.mod":
			if t.module, err = moduleOf(f.Content, "."); err != nil {
				return nil, fmt.Errorf("go.mod: %w", err)
			}
		}
	}
	if t.active {
		files = slices.DeleteFunc(files, func(f File) bool { return f.Path == templateManifest })
	}
	if len(files) == 0 {
		return nil, errors.New("there are no files in it")
	}
	t.files = files
	return t, nil
}

// readFiles returns the files of a template, ordered by their paths. A link to one of
// them is read as a copy of it; other links and what is no file are errors.
func readFiles(fsys fs.FS) ([]File, error) {
	var files []File
	entries, size := 0, 0
	err := fs.WalkDir(fsys, ".", func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entries++; entries > maxTemplateFiles {
			return fmt.Errorf("a template has at most %d files and folders", maxTemplateFiles)
		}
		if strings.EqualFold(e.Name(), ".git") {
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if e.IsDir() {
			return nil
		}
		f, err := readFile(fsys, p)
		if err != nil {
			return err
		}
		if size += len(f.Content); size > maxTemplateBytes {
			return fmt.Errorf("a template has at most %d MiB", maxTemplateBytes>>20)
		}
		files = append(files, f)
		return nil
	})
	return files, err
}

func readFile(fsys fs.FS, p string) (File, error) {
	info, err := fs.Stat(fsys, p)
	if err != nil {
		return File{}, fmt.Errorf("%q leads nowhere, or out of the template: %w", p, errors.Unwrap(err))
	}
	if !info.Mode().IsRegular() {
		return File{}, fmt.Errorf("%q is neither a file nor a link to one", p)
	}
	r, err := fsys.Open(p)
	if err != nil {
		return File{}, err
	}
	defer r.Close()
	content, err := io.ReadAll(io.LimitReader(r, maxTemplateFile+1))
	if err != nil {
		return File{}, err
	}
	if len(content) > maxTemplateFile {
		return File{}, fmt.Errorf("%q is larger than %d MiB", p, maxTemplateFile>>20)
	}
	return File{Path: p, Content: content, Executable: info.Mode()&0o111 != 0}, nil
}

// describe takes what the manifest says. It reports false for a file of the same name
// that has nothing of a manifest: others have use for the name too.
func (t *Template) describe(text []byte) (ours bool, err error) {
	if len(text) > maxManifestBytes {
		return false, fmt.Errorf("it is larger than %d KiB", maxManifestBytes>>10)
	}
	var keys map[string]yaml.Node
	if yaml.Unmarshal(text, &keys) == nil && len(keys) > 0 {
		for key := range keys {
			ours = ours || slices.Contains([]string{"name", "description", "variables", "next"}, key)
		}
		if !ours {
			return false, nil
		}
	}
	var m struct {
		Name        string
		Description string
		Variables   []struct {
			Name    string
			Prompt  string
			Default any
			Choices []string
		}
		Next []string
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&m); err != nil && !errors.Is(err, io.EOF) {
		return true, manifestError(err)
	}
	if m.Name != "" {
		t.Name = m.Name
	}
	t.Description, t.next = m.Description, m.Next
	if len(m.Variables) > maxVariables {
		return true, fmt.Errorf("a template has at most %d variables", maxVariables)
	}
	for _, given := range m.Variables {
		v := Variable{Name: given.Name, Prompt: given.Prompt, Choices: given.Choices, Required: given.Default == nil}
		switch d := given.Default.(type) {
		case nil:
		case bool:
			v.Bool, v.Default = true, strconv.FormatBool(d)
		case string, int, float64:
			v.Default = fmt.Sprint(d)
		default:
			return true, fmt.Errorf("the default of %q is neither text nor true or false", v.Name)
		}
		if err := t.add(v); err != nil {
			return true, err
		}
	}
	return true, nil
}

// manifestError says in a person's words what is wrong with a manifest.
func manifestError(err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	text = strings.TrimPrefix(text, "unmarshal errors:\n  ")
	before, _, typed := strings.Cut(text, " not found in type ")
	if typed {
		text = before + " is not known"
	}
	return errors.New(strings.ReplaceAll(text, "\n  ", "; "))
}

// isTemplate reports whether a file of an active template is rendered, and how it is
// called then.
func (t *Template) isTemplate(f File) (name string, ok bool) {
	if !t.active {
		return f.Path, false
	}
	return strings.CutSuffix(f.Path, ".tmpl")
}

// base returns the last element of a path, with slashes or not.
func base(p string) string { return path.Base(filepath.ToSlash(p)) }
