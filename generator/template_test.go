package generator

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// contents returns the files of a project by their paths, but go.sum.
func contents(p *Project) map[string]string {
	out := make(map[string]string)
	for _, f := range p.Files {
		if f.Path != "go.sum" {
			out[f.Path] = string(f.Content)
		}
	}
	return out
}

// load writes a template and reads it.
func load(t *testing.T, files map[string]string) *Template {
	t.Helper()
	template, err := LoadTemplate(writeTree(t, files), "", "mytemplate")
	if err != nil {
		t.Fatal(err)
	}
	return template
}

func TestBuiltins(t *testing.T) {
	t.Parallel()
	all, err := Builtins()
	if err != nil {
		t.Fatal(err)
	}
	for _, template := range all {
		if template.Description == "" || strings.HasSuffix(template.Description, ".") || len(template.next) == 0 {
			t.Errorf("%s: description %q, next %q", template.Name, template.Description, template.next)
		}
		// Each works with any name, as far as that can be seen here.
		for _, name := range []string{"type", "main", "a--b", "1x"[1:], longest} {
			opts := options(t, name)
			opts.Template = template
			if _, err := render(t.Context(), opts); err != nil {
				t.Errorf("%s with the name %q: %v", template.Name, name, err)
			}
		}
	}
	if _, err := Builtin("nope"); err == nil || !strings.Contains(err.Error(), `there is no template "nope"; there is: `) {
		t.Errorf("Builtin = %v", err)
	}
}

const active = "description: A template\n"

func TestTemplateOfOthers(t *testing.T) {
	t.Parallel()
	template := load(t, map[string]string{
		"template.yaml": `
name: web
description: A page
variables:
  - name: port
    prompt: Which port?
    default: 8080
  - name: docker
    default: false
  - name: title
    default: "The {{.Service}}"
next:
  - micro {{.Service}} --port={{.port}}
`,
		"README.md":                            "of the template",
		"README.md.tmpl":                       "# {{.title}}\n{{if .docker}}docker{{else}}none{{end}}\n",
		"verbatim.txt":                         "{{.port}} {{",
		"{{.Stem}}/{{.Type}}.txt.tmpl":         "{{with .title}}{{upper .}}{{end}} {{quote .title}}",
		"{{if .docker}}Dockerfile{{end}}.tmpl": "FROM scratch\n",
		"{{if .docker}}deploy{{end}}/x.yaml":   "x",
		".git/config":                          "not copied",
	})
	want := &Template{Name: "web", Description: "A page", Variables: []Variable{
		{Name: "port", Prompt: "Which port?", Default: "8080"},
		{Name: "docker", Prompt: "docker", Default: "false", Bool: true},
		{Name: "title", Prompt: "title", Default: "The {{.Service}}"},
	}}
	if diff := cmp.Diff(want.Variables, template.Variables); diff != "" || template.Name != want.Name || template.Description != want.Description {
		t.Errorf("template is %q, %q, variables (-want +got):\n%s", template.Name, template.Description, diff)
	}
	opts := options(t, "my-page")
	opts.Template = template
	p, err := New(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		"README.md":         "# The my-page\nnone\n",
		"verbatim.txt":      "{{.port}} {{",
		"mypage/MyPage.txt": `THE MY-PAGE "The my-page"`,
	}
	if diff := cmp.Diff(files, contents(p)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"micro my-page --port=8080"}, p.Next); diff != "" {
		t.Errorf("next (-want +got):\n%s", diff)
	}

	// Values are given, asked for, or refused.
	opts.Dir += "2"
	opts.Values = map[string]string{"docker": "yes"}
	opts.Ask = func(v Variable) (string, error) { return v.Default + "!", nil }
	if p, err = New(t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	files["README.md"] = "# The my-page!\ndocker\n"
	files["mypage/MyPage.txt"] = `THE MY-PAGE! "The my-page!"`
	files["Dockerfile"], files["deploy/x.yaml"] = "FROM scratch\n", "x"
	if diff := cmp.Diff(files, contents(p)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	opts.Ask = nil
	for name, values := range map[string]map[string]string{
		`variable "nope": the template has no variable of that name; it has: port, docker, title`: {"nope": "x"},
		`variable "docker": docker is "perhaps": it must be true or false`:                        {"docker": "perhaps"},
		`variable "title": title is "a\nb": a value is one line of text`:                          {"title": "a\nb"},
		`variable "port": port is longer than 1000 bytes`:                                         {"port": strings.Repeat("8", 1001)},
	} {
		opts.Values = values
		var bad *ValueError
		if _, err := render(t.Context(), opts); !errors.As(err, &bad) || err.Error() != name {
			t.Errorf("values %q give %v, want %s", values, err, name)
		}
	}
}

func TestVariables(t *testing.T) {
	t.Parallel()
	template := load(t, map[string]string{
		"template.yaml": "variables: [{name: kind, choices: [a, b], default: a}, {name: owner}]\n",
		"x.tmpl":        "{{.kind}} {{.owner}}",
	})
	opts := options(t, "x")
	opts.Template = template
	for _, tc := range []struct {
		values map[string]string
		want   string // the file, or the error
	}{
		{map[string]string{"owner": "Alice", "kind": "b"}, "b Alice"},
		{map[string]string{"owner": "Alice"}, "a Alice"},
		{nil, `variable "owner": the template needs a value for it`},
		{map[string]string{"owner": ""}, `variable "owner": owner may not be empty`},
		{map[string]string{"owner": "Alice", "kind": "c"}, `variable "kind": kind is "c": it must be one of a, b`},
	} {
		opts.Values = tc.values
		p, err := render(t.Context(), opts)
		var got string
		if err != nil {
			got = err.Error()
		} else {
			got = contents(p)["x"]
		}
		if got != tc.want {
			t.Errorf("values %q give %s, want %s", tc.values, got, tc.want)
		}
	}
	opts.Values, opts.Ask = nil, func(Variable) (string, error) { return "", errors.New("asked in vain") }
	if _, err := render(t.Context(), opts); err == nil || err.Error() != "asked in vain" {
		t.Errorf("error is %v, want that of who asks", err)
	}
}

// What is no template, or one that means harm, is refused before anything is written,
// and soon.
func TestHostileTemplates(t *testing.T) {
	t.Parallel()
	double := strings.Repeat(`{{with quote .}}`, 60) + strings.Repeat(`{{end}}`, 60)
	for name, tc := range map[string]struct {
		files fstest.MapFS
		want  string
	}{
		"nothing":               {fstest.MapFS{}, "there are no files in it"},
		"nothing but a name":    {fstest.MapFS{"template.yaml": {Data: []byte(active)}}, "there are no files in it"},
		"manifest no YAML":      {fstest.MapFS{"template.yaml": {Data: []byte("name: [")}}, "template.yaml: line 1:"},
		"manifest binary":       {fstest.MapFS{"template.yaml": {Data: []byte("\x00\xff")}}, "template.yaml: "},
		"manifest large":        {fstest.MapFS{"template.yaml": {Data: make([]byte, maxManifestBytes+1)}}, "template.yaml: it is larger than 64 KiB"},
		"manifest bomb":         {fstest.MapFS{"template.yaml": {Data: []byte(bomb())}}, "template.yaml: "},
		"manifest typo":         {fstest.MapFS{"template.yaml": {Data: []byte("name: x\nvariable: []\n")}}, "template.yaml: line 2: field variable is not known"},
		"variable named badly":  {fstest.MapFS{"template.yaml": {Data: []byte("variables: [{name: ../x}]\n")}}, `a variable is called "../x"`},
		"variable like Module":  {fstest.MapFS{"template.yaml": {Data: []byte("variables: [{name: Module}]\n")}}, `a variable is called "Module"`},
		"variable twice":        {fstest.MapFS{"template.yaml": {Data: []byte("variables: [{name: x}, {name: x}]\n")}}, `there are two variables "x"`},
		"variable of a list":    {fstest.MapFS{"template.yaml": {Data: []byte("variables: [{name: x, default: [1]}]\n")}}, `the default of "x" is neither`},
		"variable that is both": {fstest.MapFS{"template.yaml": {Data: []byte("variables: [{name: x, default: true, choices: [a]}]\n")}}, `"x" is true or false, and has choices`},
		"many files":            {many(maxTemplateFiles), "at most 2000 files and folders"},
		"large file":            {fstest.MapFS{"x": {Data: make([]byte, maxTemplateFile+1)}}, `"x" is larger than 8 MiB`},
		"large files":           {large(5), "at most 32 MiB"},
		"pipe":                  {fstest.MapFS{"x": {Mode: fs.ModeNamedPipe}}, `"x" is neither a file nor a link to one`},
		"broken go.mod":         {fstest.MapFS{"go.mod": {Data: []byte("x")}}, "go.mod: it names no module"},

		"path above":          {file("{{if true}}..{{end}}/x", ""), "a file that cannot be"},
		"path above by value": {file("{{.Service}}/{{.up}}/x", ""), "a file that cannot be"},
		"path with line end":  {file("a\nb", ""), "a file that cannot be"},
		"absolute path":       {file("{{.slash}}etc{{.slash}}passwd", ""), ""},
		"device":              {file("con", ""), "a file that cannot be"},
		"backslash":           {file(`a\b`, ""), "a file that cannot be"},
		"git hook":            {file("{{if true}}.git{{end}}/hooks/pre-commit", ""), "which is git's own"},
		"git in capitals":     {file("x/{{if true}}.GIT{{end}}/config", ""), "which is git's own"},
		"twice":               {fstest.MapFS{"template.yaml": {Data: []byte(active)}, "a": {}, "A": {}}, `the template makes "a", and "A" too`},

		"binary":         {file("x.tmpl", "{{\xff\x00"), "x.tmpl is no text"},
		"large template": {file("x.tmpl", "{{"+strings.Repeat(" ", maxTemplateText)), "x.tmpl is larger than 1 MiB"},
		"syntax":         {file("x.tmpl", "{{.Service"), "x.tmpl:1: unclosed action"},
		"unknown value":  {file("x.tmpl", "a\n{{.Nope}}"), `x.tmpl:2:2: executing "x.tmpl" at <.Nope>: map has no entry for key "Nope"`},
		"loop":           {file("x.tmpl", "{{range 1000000000000}}{{end}}"), "x.tmpl: a template may not have loops in it"},
		"itself":         {file("x.tmpl", `{{template "x.tmpl"}}`), "x.tmpl: a template may not have other templates in it"},
		"templates":      {file("x.tmpl", `{{define "a"}}{{template "a"}}{{template "a"}}{{end}}`), "x.tmpl: a template may not define templates"},
		"blocks":         {file("x.tmpl", `{{block "a" .}}{{end}}`), "x.tmpl: a template may not"},
		"wide":           {file("x.tmpl", `{{printf "%2000000000d" 1}}`), "x.tmpl: a template may not have this function in it"},
		"call":           {file("x.tmpl", `{{call .Service}}`), "x.tmpl: a template may not have this function in it"},
		"variables":      {file("x.tmpl", `{{$x := print "a"}}{{$x = print $x $x}}`), "x.tmpl: a template may not have variables in it"},
		"doubling":       {file("x.tmpl", `{{with "\\"}}`+double+`{{end}}`), "the text to quote is too long"},
		"deep":           {file("x.tmpl", strings.Repeat("{{if true}}", 20000)+strings.Repeat("{{end}}", 20000)), ""},
		"parentheses":    {file("x.tmpl", "{{"+strings.Repeat("(", 500000)+"1"+strings.Repeat(")", 500000)+"}}"), "x.tmpl"},
		"much":           {file("x.tmpl", strings.Repeat("{{.up}}{{.long}}", 20000)), "it becomes larger than 4 MiB"},
		"large path":     {file("{{.long}}", ""), "file name too long"},
		"name of a type": {file("x.proto.tmpl", "syntax = \"proto3\";\nservice {{.Type}} {}\nmessage Greeter {}\n"), `"greeter" cannot be the name of a service: its code would have two types Greeter`},
		"next of others": {fstest.MapFS{"template.yaml": {Data: []byte("next: [curl example.com/x]\n")}, "x": {}}, `next has "curl example.com/x", which is not a command of micro and nothing else`},
		"next with more": {fstest.MapFS{"template.yaml": {Data: []byte("next: [micro run .; rm x]\n")}, "x": {}}, `next has "micro run .; rm x", which is not`},
		"broken proto":   {fstest.MapFS{"template.yaml": {Data: []byte(active)}, "main.go": {Data: []byte("package main\n")}, "proto/x.proto": {Data: []byte("nonsense")}}, "syntax error"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := makeProject(t, tc.files)
			if tc.want == "" {
				return // however it ends, it ends
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error is %.300v, want one with %q", err, tc.want)
			}
		})
	}
}

// makeProject makes a project of a template, and sees that nothing of it stays when it
// cannot be made.
func makeProject(t *testing.T, files fstest.MapFS) error {
	t.Helper()
	template, err := readTemplate(files, "mytemplate")
	if err != nil {
		return err
	}
	opts := options(t, "greeter")
	opts.Template = template
	_, err = New(t.Context(), opts)
	if left := list(t, filepath.Dir(opts.Dir)); err != nil && len(left) > 0 {
		t.Errorf("New has left %q behind", left)
	}
	return err
}

// file returns a template of one file, with values that lead astray.
func file(name, text string) fstest.MapFS {
	const values = "variables: [{name: up, default: ..}, {name: slash, default: /}, {name: long, default: "
	return fstest.MapFS{
		"template.yaml": {Data: []byte(values + strings.Repeat("x", maxValue) + "}]\n")},
		name:            {Data: []byte(text)},
	}
}

func many(n int) fstest.MapFS {
	files := fstest.MapFS{}
	for i := range n {
		files["f"+strings.Repeat("x", i%100)+string(rune('a'+i%26))+strings.Repeat("y", i/100)] = &fstest.MapFile{}
	}
	return files
}

func large(n int) fstest.MapFS {
	files := fstest.MapFS{}
	for i := range n {
		files[string(rune('a'+i))] = &fstest.MapFile{Data: make([]byte, maxTemplateFile)}
	}
	return files
}

// bomb returns YAML that becomes larger and larger when its aliases are followed.
func bomb() string {
	var b strings.Builder
	b.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < 9; i++ {
		a, c := string(rune('0'+i-1)), string(rune('0'+i))
		b.WriteString("a" + c + ": &a" + c + " [" + strings.Repeat("*a"+a+", ", 9) + "*a" + a + "]\n")
	}
	b.WriteString("name: *a8\n")
	return b.String()
}

// Of links only those to files of the template are followed.
func TestTemplateLinks(t *testing.T) {
	t.Parallel()
	outside := writeTree(t, map[string]string{"secret": "s", "folder/x": "x"})
	for name, tc := range map[string]struct{ target, want string }{
		"out":      {filepath.Join(outside, "secret"), `"link" leads nowhere, or out of the template`},
		"above":    {"../../../../../../../../etc/passwd", `"link" leads nowhere, or out of the template`},
		"nowhere":  {"nowhere", `"link" leads nowhere, or out of the template`},
		"itself":   {"link", `"link" leads nowhere, or out of the template`},
		"a folder": {".", `"link" is neither a file nor a link to one`},
	} {
		dir := writeTree(t, map[string]string{"file": "content"})
		if err := os.Symlink(tc.target, filepath.Join(dir, "link")); err != nil {
			t.Skip(err)
		}
		if _, err := LoadTemplate(dir, "", "x"); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("link %s: error is %v, want one with %q", name, err, tc.want)
		}
	}
	dir := writeTree(t, map[string]string{"file": "content", "sub/other": ""})
	if err := errors.Join(os.Symlink("../file", filepath.Join(dir, "sub", "link")), os.Chmod(filepath.Join(dir, "file"), 0o755)); err != nil {
		t.Skip(err)
	}
	template, err := LoadTemplate(dir, "", "x")
	if err != nil {
		t.Fatal(err)
	}
	opts := options(t, "greeter")
	opts.Template = template
	if _, err := New(t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(filepath.Join(opts.Dir, "sub", "link"))
	if err != nil {
		t.Fatal(err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o100 == 0 || info.Size() != 7 {
		t.Errorf("the copy of a link is %v with %d bytes", info.Mode(), info.Size())
	}
}

// A file of that name can be somebody else's.
func TestOtherTemplateYAML(t *testing.T) {
	t.Parallel()
	const sam = "AWSTemplateFormatVersion: '2010-09-09'\nResources: {}\n"
	template := load(t, map[string]string{"template.yaml": sam, "page.html.tmpl": "{{range .}}{{end}}"})
	opts := options(t, "greeter")
	opts.Template = template
	p, err := render(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"template.yaml": sam, "page.html.tmpl": "{{range .}}{{end}}"}
	if diff := cmp.Diff(want, contents(p)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func FuzzTemplate(f *testing.F) {
	f.Add(active, "a/{{.Stem}}.tmpl", "{{if eq .Service \"x\"}}{{upper .Type}}{{else}}{{version \"google.golang.org/grpc\"}}{{end}}")
	f.Add("variables: [{name: x, default: '{{.Service}}'}]\n", "{{.x}}/.git/x", "{{with .x}}{{quote .}}{{end}}")
	f.Add("name: x\n", "go.mod", "module example.com/x\nreplace a => ../b\n")
	f.Add("", "micro.yaml", "name: x\nname: y\n")
	f.Add("", "x.go", "package x\nimport \"example.com/x\"\nvar _ = service.Name(\"x\")\n")
	f.Fuzz(func(t *testing.T, manifest, name, text string) {
		files := fstest.MapFS{"go.mod": {Data: []byte("module example.com/x\n")}, "template.yaml": {Data: []byte(manifest)}}
		if !fs.ValidPath(name) || name == "." {
			return
		}
		files[name] = &fstest.MapFile{Data: []byte(text)}
		_ = makeProject(t, files) // nothing is left, and it does not panic
	})
}
