package generator

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What a template may ask for at most.
const (
	maxVariables = 50
	maxValue     = 1000 // bytes of a value
)

// Variable is a value that a template asks for.
type Variable struct {
	Name     string   // how it is named in the template and with --set
	Prompt   string   // the question to ask
	Default  string   // may have {{ }} in it; of no meaning when it is required
	Required bool     // there is no default
	Choices  []string // the values that it can have; empty: any
	Bool     bool     // it is true or false
}

// Check says whether a value is one that the variable can have.
func (v Variable) Check(value string) error {
	_, err := v.parse(value)
	return err
}

func (v Variable) parse(value string) (any, error) {
	switch {
	case len(value) > maxValue:
		return nil, fmt.Errorf("%s is longer than %d bytes", v.Name, maxValue)
	case !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl):
		return nil, fmt.Errorf("%s is %q: a value is one line of text", v.Name, value)
	case v.Required && value == "":
		return nil, fmt.Errorf("%s may not be empty", v.Name)
	case v.Bool:
		switch strings.ToLower(value) {
		case "true", "yes", "y":
			return true, nil
		case "false", "no", "n":
			return false, nil
		}
		return nil, fmt.Errorf("%s is %q: it must be true or false", v.Name, value)
	case len(v.Choices) > 0 && !slices.Contains(v.Choices, value):
		return nil, fmt.Errorf("%s is %q: it must be one of %s", v.Name, value, strings.Join(v.Choices, ", "))
	}
	return value, nil
}

// variableName is what variables are called: apart from the values that every template
// has, which begin with a capital.
var variableName = regexp.MustCompile(`^[a-z][a-zA-Z0-9_]{0,63}$`)

func (t *Template) add(v Variable) error {
	if !variableName.MatchString(v.Name) {
		return fmt.Errorf("a variable is called %q: a name is made of letters, digits and _, and begins with one of a-z", v.Name)
	}
	if t.has(v.Name) {
		return fmt.Errorf("there are two variables %q", v.Name)
	}
	if v.Bool && len(v.Choices) > 0 {
		return fmt.Errorf("%q is true or false, and has choices", v.Name)
	}
	if v.Prompt == "" {
		v.Prompt = v.Name
	}
	t.Variables = append(t.Variables, v)
	return nil
}

// has reports whether there is a variable of a name.
func (t *Template) has(name string) bool {
	return slices.ContainsFunc(t.Variables, func(v Variable) bool { return v.Name == name })
}

// values adds the values of the template's variables to the data.
func (t *Template) values(opts Options, data map[string]any) error {
	for name := range opts.Values {
		if !t.has(name) {
			return &ValueError{Template: t, Name: name, Reason: "the template has no variable of that name"}
		}
	}
	for _, v := range t.Variables {
		text, err := execute("the default of "+v.Name, v.Default, data)
		if err != nil {
			return fmt.Errorf("%s: %w", templateManifest, err)
		}
		v.Default = string(text)
		value, given := opts.Values[v.Name]
		switch {
		case given:
		case opts.Ask != nil:
			if value, err = opts.Ask(v); err != nil {
				return err
			}
		case v.Required:
			return &ValueError{Template: t, Name: v.Name, Reason: "the template needs a value for it"}
		default:
			value = v.Default
		}
		if data[v.Name], err = v.parse(value); err != nil {
			return &ValueError{Template: t, Name: v.Name, Reason: err.Error()}
		}
	}
	return nil
}

// ValueError tells of a value that a template cannot take, or lacks.
type ValueError struct {
	Template *Template
	Name     string // of the variable
	Reason   string
}

// Error names the variable and the ones that there are.
func (e *ValueError) Error() string {
	var names []string
	for _, v := range e.Template.Variables {
		names = append(names, v.Name)
	}
	if e.Template.has(e.Name) {
		return fmt.Sprintf("variable %q: %s", e.Name, e.Reason)
	}
	if len(names) == 0 {
		return fmt.Sprintf("variable %q: the template has no variables", e.Name)
	}
	return fmt.Sprintf("variable %q: %s; it has: %s", e.Name, e.Reason, strings.Join(names, ", "))
}
