package front

import (
	"fmt"
	"slices"
	"strings"

	"github.com/micro/micro/v3/dynamic/request"
	"github.com/micro/micro/v3/dynamic/wire"
)

// Bounds of what a page shows of a schema: there are some without end.
const (
	maxGroups    = 30
	maxFieldRows = 400
	maxInline    = 8 // values of an enum beside its field
)

// fields writes the fields of a request: those of each message under a heading of
// its own, by the flag that leads there first.
type fields struct {
	*help

	types map[string]string // the flag that leads to a message, by its full name
	queue []group
	enums []wire.Enum
	rows  int
}

// group is a message, and the beginning of the names of its fields.
type group struct {
	prefix  string
	message wire.Message
}

// add writes the fields of a request and of what is in it.
func (fs *fields) add(p *page, in wire.Message) {
	fs.types[in.Name()] = ""
	fs.queue = []group{{"", in}}
	for n := 0; len(fs.queue) > 0; n++ {
		g := fs.queue[0]
		fs.queue = fs.queue[1:]
		if n == maxGroups || fs.rows > maxFieldRows {
			p.heading("There are fields below --%s and others too; \"micro %s --help\" has no room for them.", strings.TrimSuffix(g.prefix, "."), fs.service)
			break
		}
		fs.group(p, g)
	}
	for _, e := range fs.enums {
		fs.values(p, e)
	}
}

// values writes the values of an enum, a line each when they have comments.
func (fs *fields) values(p *page, e wire.Enum) {
	p.heading("Values of %s:", request.ShortName(e.Name()))
	var rows []row
	var names []string
	told := false
	for v := range e.Values() {
		if len(rows) == maxFieldRows {
			rows, names = append(rows, row{"…", ""}), append(names, "…")
			break
		}
		text := joinText(deprecatedText(v.Deprecated()), firstParagraph(fs.comment(v)))
		rows, names = append(rows, row{v.Name(), text}), append(names, v.Name())
		told = told || text != ""
	}
	if told {
		p.rows(rows)
	} else {
		p.wrap("  ", "  ", strings.Join(names, ", "))
	}
}

// group writes the fields of a message: first those that go together with all
// others, then the oneofs.
func (fs *fields) group(p *page, g group) {
	all := namedFields(g.message)
	if len(all) == 0 {
		return
	}
	name := request.ShortName(g.message.Name())
	if g.prefix == "" {
		p.heading("Fields of %s:", name)
	} else {
		p.heading("Fields of --%s (%s):", strings.TrimSuffix(g.prefix, "."), name)
		if text := firstSentence(fs.comment(g.message)); text != "" {
			p.wrap("  ", "  ", text+".")
		}
	}
	var rows []row
	for _, f := range all {
		if _, ok := f.Oneof(); !ok {
			rows = append(rows, fs.row(g, f))
		}
	}
	for o := range g.message.Oneofs() {
		rows = append(rows, row{"", joinText("One of "+o.Name(), firstParagraph(fs.comment(o)))})
		for _, f := range all {
			if of, ok := f.Oneof(); ok && of == o {
				rows = append(rows, fs.row(g, f))
			}
		}
	}
	p.rows(rows)
}

// row returns the row of a field, and remembers what is to be shown of its type.
func (fs *fields) row(g group, f namedField) row {
	fs.rows++
	path := g.prefix + f.name
	flag := "--" + path
	if g.prefix == "" {
		flag = flagName(path)
	}
	r := row{flag + " " + request.TypeName(f.Field), fs.fieldText(f.Field)}
	value := f.Field
	switch {
	case f.IsMap():
		value = f.Value()
		path += ".KEY"
	case f.IsList():
		path += ".0"
	}
	if e, ok := value.Enum(); ok {
		fs.enum(e)
	}
	sub, ok := value.Message()
	if !ok || sub.WellKnown() != 0 || !hasFields(sub) {
		return r
	}
	switch seen, ok := fs.types[sub.Name()]; {
	case !ok:
		fs.types[sub.Name()] = path
		fs.queue = append(fs.queue, group{path + ".", sub})
	case seen == "":
		r.text = joinText(r.text, fmt.Sprintf("Fields as those of the request: --%s.FIELD", path))
	default:
		r.text = joinText(r.text, fmt.Sprintf("Fields as those of --%s: --%s.FIELD", seen, path))
	}
	return r
}

// enum remembers an enum whose values a row cannot tell.
func (fs *fields) enum(e wire.Enum) {
	n, told := 0, true
	for v := range e.Values() {
		n++
		told = told && fs.comment(v) == "" && !v.Deprecated()
	}
	if told && n <= maxInline {
		return
	}
	if slices.Contains(fs.enums, e) {
		return
	}
	fs.enums = append(fs.enums, e)
}

func hasFields(m wire.Message) bool {
	for range m.Fields() {
		return true
	}
	return false
}

// fieldText returns what is to be known of a field beside its name and type.
func (h *help) fieldText(f wire.Field) string {
	d := h.docs.Of(f)
	text := deprecatedText(f.Deprecated())
	if h.required(f) {
		text = joinText(text, "Required")
	}
	text = joinText(text, firstParagraph(d.Comment))
	if value, ok := f.Default(); ok {
		text = joinText(text, "Default "+value)
	}
	if e, ok := enumOf(f); ok {
		text = joinText(text, "("+enumValues(e)+")")
	}
	return joinText(text, rulesText(d.Rules))
}

// enumOf returns the enum of the values of a field.
func enumOf(f wire.Field) (wire.Enum, bool) {
	if f.IsMap() {
		f = f.Value()
	}
	return f.Enum()
}

func deprecatedText(deprecated bool) string {
	if deprecated {
		return "Deprecated"
	}
	return ""
}

// joinText puts sentences behind each other.
func joinText(a, b string) string {
	switch {
	case a == "":
		return b
	case b == "":
		return a
	case strings.HasPrefix(b, "(") || strings.ContainsAny(a[len(a)-1:], ".!?:;"):
		return a + " " + b
	default:
		return a + ". " + b
	}
}

// enumValues returns the names of an enum's values, the first of many.
func enumValues(e wire.Enum) string {
	var values []string
	for v := range e.Values() {
		if len(values) == maxInline {
			values = append(values, "…")
			break
		}
		values = append(values, v.Name())
	}
	return strings.Join(values, ", ")
}
