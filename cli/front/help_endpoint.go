package front

import (
	"strings"

	"github.com/micro/micro/v3/dynamic/request"
	"github.com/micro/micro/v3/dynamic/wire"
)

// endpointPage writes how an endpoint is called: its fields as flags, an example,
// and what it answers with.
func (h *help) endpointPage(p *page, m wire.Method) {
	if text := h.comment(m); text != "" {
		p.text("", text)
	}
	if m.Deprecated() || m.Service().Deprecated() {
		p.heading("It is deprecated: the schema says not to use it any more.")
	}
	words := commandWords(h.t, h.service, m)
	p.heading("Usage:")
	p.wrap("  ", "      ", "micro "+h.service+" "+words+h.usage(m.Input()))
	if m.ClientStreaming() {
		p.heading("It takes a stream: each JSON value on standard input is a message. With flags or a body it is one message.")
	}
	f := &fields{help: h, types: map[string]string{}}
	f.add(p, m.Input())
	p.heading("Example:")
	p.line("  %s", h.paste(words+h.example(m.Input())))
	h.answer(p, m)
	p.heading("Options:")
	p.rows(optionRows())
}

// usage returns what comes behind the words of an endpoint.
func (h *help) usage(in wire.Message) string {
	var required strings.Builder
	n := 0
	for _, f := range namedFields(in) {
		n++
		if h.required(f.Field) {
			required.WriteString(" " + requiredFlag(f))
			n--
		}
	}
	if n == 0 && required.Len() == 0 {
		return ""
	}
	if n > 0 {
		required.WriteString(" [--FIELD=VALUE...]")
	}
	return required.String() + " [@FILE | - | JSON]"
}

// requiredFlag returns how usage shows a field that has to be there.
func requiredFlag(f namedField) string {
	sub, ok := f.Message()
	if !ok || f.IsMap() || sub.WellKnown() != 0 {
		return flagName(f.name) + "=" + strings.ToUpper(strings.ReplaceAll(f.name, "-", "_"))
	}
	path := "--" + f.name
	if f.IsList() {
		path += ".0"
	}
	return path + ".FIELD=VALUE"
}

// required reports whether a request is refused without a field: by its schema, or
// by what that says of the service's own checks.
func (h *help) required(f wire.Field) bool {
	return f.Cardinality() == wire.Required || h.docs.Of(f).Required
}

// answer writes what an endpoint answers with.
func (h *help) answer(p *page, m wire.Method) {
	out := m.Output()
	name, stream := request.ShortName(out.Name()), ""
	if m.ServerStreaming() {
		stream = "a stream of "
	}
	switch all := namedFields(out); {
	case len(all) == 0:
		p.heading("Answers with %s%s, which has no fields.", stream, name)
	case out == m.Input() && out.WellKnown() == 0:
		p.heading("Answers with %s%s, which has the fields of the request.", stream, name)
	default:
		p.heading("Answers with %s%s:", stream, name)
		var rows []row
		for _, f := range all {
			rows = append(rows, row{f.Name() + " " + request.TypeName(f.Field), h.fieldText(f.Field)})
		}
		p.rows(rows)
	}
}

func optionRows() []row {
	var rows []row
	for _, o := range options() {
		name := "    --" + o.name
		if o.short != "" {
			name = "-" + o.short + ", --" + o.name
		}
		if o.value != "" {
			name += " " + o.value
		}
		rows = append(rows, row{name, o.help})
	}
	return append(rows, row{"-h, --help", "show this page"})
}
