package snippet

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/micro/micro/v3/dynamic/request"
	"github.com/micro/micro/v3/dynamic/wire"
)

// Template is an example of a value: what stands in a request, and what is to be
// known about it.
type Template struct {
	scalar string // its JSON; empty for the others
	fields []exampleField
	list   bool // the fields are elements
}

// exampleField is a field of a message, an entry of a map or an element of a list.
type exampleField struct {
	key     string
	notes   []string
	value   *Template // nil when it is only told about
	instead string    // what could be written: "phone: text", for one that is only told about
}

// maxTemplate bounds the fields of an example, and maxTemplateDepth how deep it
// goes: types can have any number of ways into each other.
const (
	maxTemplate      = 2000
	maxTemplateDepth = 12
)

// templater makes examples of messages.
type templater struct {
	docs  wire.Docs
	left  int
	above []string // the messages that the next one is in
}

// NewTemplate returns an example of a message, with a value for each field, one for
// each oneof, and none that would have the message in itself.
func NewTemplate(t *wire.Table, m wire.Message) *Template {
	docs, err := t.Docs()
	if err != nil {
		docs = wire.Docs{} // an example without comments
	}
	tr := &templater{docs: docs, left: maxTemplate}
	return tr.message(m)
}

func (t *templater) message(m wire.Message) *Template {
	switch m.WellKnown() {
	case wire.Any:
		if len(t.above) == 0 {
			return &Template{}
		}
		return &Template{fields: []exampleField{{
			key:   "@type",
			notes: []string{"the name of a message; its fields stand beside it"},
			value: &Template{scalar: quoteJSON("type.googleapis.com/" + t.above[0])},
		}}}
	case wire.Timestamp:
		return &Template{scalar: `"2026-01-02T15:04:05Z"`}
	case wire.Duration:
		return &Template{scalar: `"90s"`}
	case wire.FieldMask:
		return &Template{scalar: `"name"`}
	case wire.Wrapper:
		inner, _ := m.FieldByNumber(1)
		return t.one(inner)
	case wire.Struct:
		return &Template{fields: []exampleField{{key: "key", value: &Template{scalar: `"any value"`}}}}
	case wire.ListValue:
		return &Template{list: true, fields: []exampleField{{value: &Template{scalar: `"any value"`}}}}
	case wire.Value:
		return &Template{scalar: `"any value"`}
	default:
	}
	t.above = append(t.above, m.Name())
	defer func() { t.above = t.above[:len(t.above)-1] }()
	out := &Template{}
	chosen := map[wire.Oneof]string{}
	for f := range m.Fields() {
		if t.left--; t.left < 0 {
			break
		}
		field := exampleField{key: f.JSONName(), notes: t.notes(f)}
		o, inOneof := f.Oneof()
		first, has := chosen[o]
		switch {
		case f.Deprecated():
			field.notes = append(field.notes, "deprecated")
		case inOneof && has:
			field.notes = append(field.notes, fmt.Sprintf("one of %s: instead of %s", o.Name(), first))
		case !t.fits(f):
			field.notes = append(field.notes, "a "+request.ShortName(typeOf(f))+" as above")
		default:
			field.value = t.field(f)
		}
		if inOneof && field.value != nil {
			chosen[o] = f.JSONName()
			about := "one of " + o.Name()
			if text := t.docs.Of(o).Comment; text != "" {
				about += ": " + strings.Join(strings.Fields(text), " ")
			}
			field.notes = append(field.notes, about)
		}
		if field.value == nil {
			field.instead = t.instead(f)
		}
		out.fields = append(out.fields, field)
	}
	return out
}

// fits reports whether a field can be shown without an end of it.
func (t *templater) fits(f wire.Field) bool {
	if f.IsMap() {
		f = f.Value()
	}
	m, ok := f.Message()
	if !ok || m.WellKnown() != 0 && m.WellKnown() != wire.Empty {
		return true
	}
	for _, above := range t.above {
		if above == m.Name() {
			return false
		}
	}
	return len(t.above) < maxTemplateDepth
}

func typeOf(f wire.Field) string {
	if f.IsMap() {
		f = f.Value()
	}
	if m, ok := f.Message(); ok {
		return m.Name()
	}
	return f.Kind().String()
}

func (t *templater) field(f wire.Field) *Template {
	switch {
	case f.IsMap():
		key := t.one(f.Key()).scalar
		if f.Key().Kind() == wire.StringKind {
			key = `"key"`
		}
		return &Template{fields: []exampleField{{key: strings.Trim(key, `"`), value: t.one(f.Value())}}}
	case f.IsList():
		return &Template{list: true, fields: []exampleField{{value: t.one(f)}}}
	default:
		return t.one(f)
	}
}

// one returns an example of a single value.
func (t *templater) one(f wire.Field) *Template {
	if m, ok := f.Message(); ok {
		return t.message(m)
	}
	return &Template{scalar: exampleScalar(f)}
}

// exampleScalar returns the JSON of an example of a scalar.
func exampleScalar(f wire.Field) string {
	if e, ok := f.Enum(); ok {
		if e.Name() == "google.protobuf.NullValue" {
			return "null"
		}
		name := "0"
		n := 0
		for v := range e.Values() {
			if name = quoteJSON(v.Name()); n == 1 {
				break // the first is mostly "unspecified"
			}
			n++
		}
		return name
	}
	switch f.Kind() {
	case wire.StringKind:
		if request.Fold(f.Name()) == "name" {
			return `"Alice"`
		}
		return `"text"`
	case wire.BytesKind:
		return `"dGV4dA=="`
	case wire.BoolKind:
		return "true"
	case wire.FloatKind, wire.DoubleKind:
		return "1.5"
	default:
		return "1"
	}
}

// instead returns what could be written for a field that is only told about.
func (t *templater) instead(f wire.Field) string {
	if _, ok := f.Message(); ok && (f.IsMap() || !t.fits(f)) {
		if f.IsList() {
			return f.JSONName() + ": []"
		}
		return f.JSONName() + ": {}"
	}
	v := t.field(f)
	return f.JSONName() + ": " + string(v.AppendJSON(nil))
}

// notes returns what the schema says of a field, a line each.
func (t *templater) notes(f wire.Field) []string {
	var notes []string
	doc := t.docs.Of(f)
	if doc.Comment != "" {
		notes = strings.Split(doc.Comment, "\n")
	}
	if doc.Required {
		notes = append(notes, "required")
	}
	if doc.Rules != "" {
		notes = append(notes, "rules: "+doc.Rules)
	}
	of := f
	if f.IsMap() {
		of = f.Value()
	}
	if e, ok := of.Enum(); ok {
		var names []string
		for v := range e.Values() {
			names = append(names, v.Name())
		}
		notes = append(notes, "values: "+strings.Join(names, ", "))
	}
	if f.Kind() == wire.BytesKind {
		notes = append(notes, "base64")
	}
	return notes
}

// quoteJSON returns s as a JSON string.
func quoteJSON(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return `""` // a string can always be encoded
	}
	return string(b)
}

// AppendJSON appends the example as JSON on one line.
func (t *Template) AppendJSON(b []byte) []byte {
	if t.scalar != "" {
		return append(b, t.scalar...)
	}
	open, end := byte('{'), byte('}')
	if t.list {
		open, end = '[', ']'
	}
	b = append(b, open)
	first := true
	for _, f := range t.fields {
		if f.value == nil {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		if !t.list {
			b = append(append(b, quoteJSON(f.key)...), ':')
		}
		b = f.value.AppendJSON(b)
	}
	return append(b, end)
}

// hasValues reports whether there is anything but comments.
func (t *Template) hasValues() bool {
	for _, f := range t.fields {
		if f.value != nil {
			return true
		}
	}
	return false
}

// YAML returns the example as YAML with comments.
func (t *Template) YAML() string {
	var b strings.Builder
	t.writeYAML(&b, "")
	return b.String()
}

// writeYAML writes the example at an indentation. Its scalars are those of JSON, which
// YAML has too.
func (t *Template) writeYAML(b *strings.Builder, indent string) {
	if t.scalar != "" {
		b.WriteString(indent + t.scalar + "\n")
		return
	}
	if !t.hasValues() {
		t.comments(b, indent)
		b.WriteString(indent + "{}\n")
		return
	}
	for _, f := range t.fields {
		for _, n := range f.notes {
			b.WriteString(strings.TrimRight(indent+"# "+n, " ") + "\n")
		}
		if f.value == nil {
			b.WriteString(indent + "# " + f.instead + "\n")
			continue
		}
		head := indent + "-"
		if !t.list {
			head = indent + yamlName(f.key) + ":"
		}
		v := f.value
		switch {
		case v.scalar != "":
			b.WriteString(head + " " + v.scalar + "\n")
		case !v.hasValues():
			b.WriteString(head + " {}\n")
			v.comments(b, indent+"  ")
		default:
			b.WriteString(head + "\n")
			v.writeYAML(b, indent+"  ")
		}
	}
}

// comments writes what is told about fields that have no value.
func (t *Template) comments(b *strings.Builder, indent string) {
	for _, f := range t.fields {
		for _, n := range f.notes {
			b.WriteString(strings.TrimRight(indent+"# "+n, " ") + "\n")
		}
		b.WriteString(indent + "# " + f.instead + "\n")
	}
}

// yamlName returns a key of YAML that is a text, whatever it looks like.
func yamlName(key string) string {
	for i, c := range key {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9' || i == 0) {
			return quoteJSON(key)
		}
	}
	switch strings.ToLower(key) {
	case "null", "true", "false", "yes", "no", "on", "off", "y", "n":
		return quoteJSON(key)
	}
	return key
}
