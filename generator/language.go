package generator

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/template"
	"text/template/parse"
	"unicode/utf8"

	"golang.org/x/mod/modfile"

	"github.com/micro/micro/v3/internal/sdk"
)

// The language of templates is that of text/template without what repeats or keeps
// something: no range, no templates in templates, no variables. A template is a
// stranger's, and so the time and the memory that it takes follow from its size.

// maxTemplateText is how large a file may be that is rendered, and maxRendered how
// large it may become.
const (
	maxTemplateText = 1 << 20
	maxRendered     = 4 << 20
)

// functions are what templates can call, beside those of allowed.
func functions() template.FuncMap {
	return template.FuncMap{
		"lower":   func(s string) string { return strings.ToLower(s) },
		"upper":   func(s string) string { return strings.ToUpper(s) },
		"quote":   quote,
		"version": moduleVersion,
	}
}

// allowed reports whether templates can call a function that text/template has.
func allowed(function string) bool {
	switch function {
	case "and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge", "len":
		return true
	}
	_, ours := functions()[function]
	return ours
}

// quote writes a value as a string of Go, JSON and YAML.
func quote(s string) (string, error) {
	if len(s) > 4*maxValue {
		return "", errors.New("the text to quote is too long")
	}
	return strconv.Quote(s), nil
}

// moduleVersion returns the version of a module that the SDK is built with.
func moduleVersion(path string) (string, error) {
	f, err := modfile.Parse("go.mod", sdk.ProjectMod(), nil)
	if err != nil {
		return "", err
	}
	for _, r := range f.Require {
		if r.Mod.Path == path {
			return r.Mod.Version, nil
		}
	}
	return "", fmt.Errorf("the SDK does not need a module %s", path)
}

// execute renders a text, which is called name in errors.
func execute(name, text string, data map[string]any) ([]byte, error) {
	switch {
	case !strings.Contains(text, "{{"):
		return []byte(text), nil
	case len(text) > maxTemplateText:
		return nil, fmt.Errorf("%s is larger than %d MiB", name, maxTemplateText>>20)
	case !utf8.ValidString(text):
		return nil, fmt.Errorf("%s is no text: a file that ends in .tmpl must be UTF-8", name)
	}
	t, err := template.New(name).Option("missingkey=error").Funcs(functions()).Parse(text)
	if err != nil {
		return nil, languageError(err)
	}
	if len(t.Templates()) > 1 {
		return nil, fmt.Errorf("%s: a template may not define templates", name)
	}
	if t.Tree == nil {
		return nil, nil
	}
	if err := check(t.Root); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	out := limitedBuffer{left: maxRendered}
	if err := t.Execute(&out, data); err != nil {
		return nil, languageError(err)
	}
	return out.buf.Bytes(), nil
}

// languageError drops what only a programmer of the generator knows.
func languageError(err error) error {
	return errors.New(strings.TrimPrefix(err.Error(), "template: "))
}

// check refuses what is not part of the language.
func check(node parse.Node) error {
	refuse := func(what string) error { return fmt.Errorf("a template may not have %s in it: {{%s}}", what, node) }
	switch n := node.(type) {
	case *parse.ListNode:
		if n == nil {
			return nil
		}
		return checkAll(n.Nodes)
	case *parse.TextNode, *parse.CommentNode, *parse.BoolNode, *parse.DotNode, *parse.FieldNode, *parse.NilNode, *parse.NumberNode, *parse.StringNode:
		return nil
	case *parse.ActionNode:
		return check(n.Pipe)
	case *parse.IfNode:
		return checkAll([]parse.Node{n.Pipe, n.List, n.ElseList})
	case *parse.WithNode:
		return checkAll([]parse.Node{n.Pipe, n.List, n.ElseList})
	case *parse.PipeNode:
		if len(n.Decl) > 0 {
			return refuse("variables")
		}
		for _, c := range n.Cmds {
			if err := checkAll(c.Args); err != nil {
				return err
			}
		}
		return nil
	case *parse.VariableNode:
		if n.Ident[0] != "$" {
			return refuse("variables")
		}
		return nil
	case *parse.IdentifierNode:
		if !allowed(n.Ident) {
			return refuse("this function")
		}
		return nil
	case *parse.RangeNode:
		return errors.New("a template may not have loops in it: {{range}}")
	case *parse.TemplateNode:
		return refuse("other templates")
	default:
		return refuse("this")
	}
}

func checkAll(nodes []parse.Node) error {
	for _, n := range nodes {
		if err := check(n); err != nil {
			return err
		}
	}
	return nil
}

// limitedBuffer is a buffer that does not grow beyond a size.
type limitedBuffer struct {
	buf  bytes.Buffer
	left int
}

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, fmt.Errorf("it becomes larger than %d MiB", maxRendered>>20)
	}
	return b.buf.Write(p)
}
