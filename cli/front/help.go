package front

import (
	"fmt"
	"io"
	"strings"

	"github.com/micro/micro/v3/dynamic/request"
	"github.com/micro/micro/v3/dynamic/wire"
)

// Help writes how the words of a command line are called, for a terminal of a width,
// 0 when that is unknown: what a service says of itself, with a line for each of its
// endpoints; those of one of its gRPC services when words name that; or how an
// endpoint is called. What is there to be pasted acts where the command line does. The
// error is a [request.NameError] for words that mean neither.
func Help(w io.Writer, width int, t *wire.Table, in Invocation, g Globals) error {
	service, words := in.Service, in.Words
	p := newPage(width)
	h := help{t: t, service: service, command: g.Command(), schema: in.schemaArgs()}
	h.docs, _ = t.Docs() // help goes without them
	if len(words) == 0 {
		h.servicePage(p, endpoints(t, service), true)
		return p.print(w)
	}
	m, err := request.Resolve(t, service, words)
	if err == nil {
		h.endpointPage(p, m)
		return p.print(w)
	}
	var of []endpoint
	for _, e := range endpoints(t, service) {
		if name := e.method.Service().Name(); len(words) == 1 && request.Means(words[0], name) {
			of = append(of, e)
		}
	}
	if len(of) == 0 {
		return err
	}
	h.servicePage(p, of, false)
	return p.print(w)
}

// print writes the page, all at once and nothing that a terminal would obey.
func (p *page) print(w io.Writer) error {
	_, err := io.WriteString(w, Lines(p.String()))
	return err
}

// help is what the pages are written from.
type help struct {
	t       *wire.Table
	docs    wire.Docs
	service string
	command string   // micro, with the flags that every command has
	schema  []string // the options that say where the schema comes from
}

// paste returns a command that can be pasted, out of what stands behind the service.
func (h *help) paste(words string) string {
	return strings.Join(append([]string{h.command, h.service, words}, h.schema...), " ")
}

func (h *help) comment(e wire.Element) string { return h.docs.Of(e).Comment }

// manyEndpoints is how many a page lists when there are several gRPC services. With
// more it lists those.
const manyEndpoints = 150

// servicePage writes endpoints under the gRPC services that they are of. The page of
// all of them says what those services say of themselves.
func (h *help) servicePage(p *page, all []endpoint, whole bool) {
	parts := byService(all)
	said := wire.Service{} // what has said already what it is
	if len(parts) > 0 && (len(parts) == 1 || parts[0][0].own) {
		said = parts[0][0].method.Service()
		if text := h.comment(said); text != "" {
			p.text("", text)
		}
	}
	p.heading("Usage:")
	p.wrap("  ", "      ", "micro "+h.service+" ENDPOINT [--FIELD=VALUE...] [@FILE | - | JSON]")
	switch {
	case len(parts) == 0:
		p.heading("It has no endpoints.")
		return
	case len(parts) == 1:
		p.heading("Endpoints:")
		p.rows(h.endpointRows(parts[0]))
	case len(all) > manyEndpoints:
		p.heading("Services:")
		p.rows(h.serviceRows(parts))
	default:
		for _, part := range parts {
			h.part(p, part, part[0].method.Service() == said)
		}
	}
	h.goOn(p, parts, whole)
}

// byService cuts endpoints where their gRPC service changes.
func byService(all []endpoint) [][]endpoint {
	var parts [][]endpoint
	for i, e := range all {
		if i == 0 || e.method.Service() != all[i-1].method.Service() {
			parts = append(parts, nil)
		}
		parts[len(parts)-1] = append(parts[len(parts)-1], e)
	}
	return parts
}

// part writes the endpoints of one of several gRPC services, and what that says of
// itself unless it is said.
func (h *help) part(p *page, part []endpoint, said bool) {
	s := part[0].method.Service()
	p.heading("Endpoints of %s%s:", s.Name(), deprecatedNote(s.Deprecated()))
	if text := firstParagraph(h.comment(s)); text != "" && !said {
		p.wrap("  ", "  ", text)
	}
	p.rows(h.endpointRows(part))
}

func (h *help) endpointRows(part []endpoint) []row {
	var rows []row
	for _, e := range part {
		text := firstSentence(h.comment(e.method)) + kindNote(e.method)
		rows = append(rows, row{strings.Join(e.words, " "), strings.TrimSpace(text)})
	}
	return rows
}

// serviceRows returns a row for each gRPC service of many.
func (h *help) serviceRows(parts [][]endpoint) []row {
	short := map[string]int{}
	for _, part := range parts {
		short[request.Fold(request.ShortName(part[0].method.Service().Name()))]++
	}
	var rows []row
	for _, part := range parts {
		s := part[0].method.Service()
		name := request.ShortName(s.Name())
		if short[request.Fold(name)] > 1 {
			name = s.Name()
		} else {
			name = kebab(name)
		}
		count := fmt.Sprintf(" (%d endpoints)", len(part))
		if len(part) == 1 {
			count = " (1 endpoint)"
		}
		rows = append(rows, row{name, strings.TrimSpace(firstSentence(h.comment(s)) + count + deprecatedNote(s.Deprecated()))})
	}
	return rows
}

// goOn says what can be asked next.
func (h *help) goOn(p *page, parts [][]endpoint, whole bool) {
	rows := []row{{h.paste("ENDPOINT --help"), "the fields of an endpoint, and an example"}}
	if whole && len(parts) > 1 {
		rows = append(rows, row{h.paste("SERVICE --help"), "the endpoints of one of these services"})
	}
	if m, err := request.Resolve(h.t, h.service, nil); err == nil && whole {
		rows = append(rows, row{h.paste("--FIELD=VALUE"), "calls " + commandWords(h.t, h.service, m) + ", whose name can be left out"})
	}
	p.heading("How to go on:")
	p.columns(rows, p.width)
}

// kindNote returns what else is to be known of a method.
func kindNote(m wire.Method) string {
	note := ""
	switch {
	case m.ClientStreaming() && m.ServerStreaming():
		note = " (streams both ways)"
	case m.ClientStreaming():
		note = " (takes a stream)"
	case m.ServerStreaming():
		note = " (answers with a stream)"
	}
	return note + deprecatedNote(m.Deprecated() || m.Service().Deprecated())
}

func deprecatedNote(deprecated bool) string {
	if deprecated {
		return " [deprecated]"
	}
	return ""
}
