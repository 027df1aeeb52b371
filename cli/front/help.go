package front

import (
	"fmt"
	"io"
	"strings"

	"github.com/micro/micro/v3/dynamic/request"
	"github.com/micro/micro/v3/dynamic/wire"
)

// ServiceHelp writes what a service says of itself: its endpoints, a line each.
func ServiceHelp(w io.Writer, t *wire.Table, service string) error {
	var b strings.Builder
	serviceHelp(&b, t, service)
	_, err := io.WriteString(w, Lines(b.String()))
	return err
}

func serviceHelp(w io.Writer, t *wire.Table, service string) {
	docs, err := t.Docs()
	has := err == nil
	doc := func(e wire.Element) string {
		if !has {
			return ""
		}
		return docs.Of(e).Comment
	}
	var rows [][2]string
	var about []string
	for s := range t.Services() {
		if request.Plumbing(s.Name()) && !request.Means(service, s.Name()) {
			continue
		}
		if text := doc(s); text != "" {
			about = append(about, text)
		}
		for m := range s.Methods() {
			rows = append(rows, [2]string{commandWords(t, service, m), strings.TrimSpace(firstSentence(doc(m)) + kindNote(m))})
		}
	}
	for _, a := range about {
		fmt.Fprintln(w, a)
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "Usage:\n  micro %s [ENDPOINT] [--FIELD=VALUE...] [@FILE | - | JSON]\n\n", service)
	fmt.Fprintln(w, "Endpoints:")
	writeRows(w, rows)
	fmt.Fprintf(w, "\nUse \"micro %s ENDPOINT --help\" for the fields of an endpoint.\n", service)
}

// EndpointHelp writes how an endpoint is called: its fields as flags, an example,
// and what it answers.
func EndpointHelp(w io.Writer, t *wire.Table, service string, m wire.Method) error {
	var b strings.Builder
	endpointHelp(&b, t, service, m)
	_, err := io.WriteString(w, Lines(b.String()))
	return err
}

func endpointHelp(w io.Writer, t *wire.Table, service string, m wire.Method) {
	docs, err := t.Docs()
	doc := func(e wire.Element) string {
		if err != nil {
			return ""
		}
		return docs.Of(e).Comment
	}
	if text := doc(m); text != "" {
		fmt.Fprintf(w, "%s\n\n", text)
	}
	words := strings.TrimSpace(service + " " + commandWords(t, service, m))
	fmt.Fprintf(w, "Usage:\n  micro %s [--FIELD=VALUE...] [@FILE | - | JSON]\n", words)
	if rows := fieldRows(m.Input(), doc); len(rows) > 0 {
		fmt.Fprintf(w, "\nFields of %s:\n", request.ShortName(m.Input().Name()))
		writeRows(w, rows)
	}
	fmt.Fprintf(w, "\nExample:\n  micro %s%s\n", words, exampleFlags(m.Input()))
	if rows := fieldRows(m.Output(), doc); len(rows) > 0 {
		fmt.Fprintf(w, "\nAnswers with %s%s:\n", kindWord(m), request.ShortName(m.Output().Name()))
		for i := range rows {
			rows[i][0] = strings.TrimLeft(rows[i][0], "-.")
		}
		writeRows(w, rows)
	}
	fmt.Fprintln(w, "\nOptions:")
	var rows [][2]string
	for _, o := range options() {
		name := "    --" + o.name
		if o.short != "" {
			name = "-" + o.short + ", --" + o.name
		}
		if o.value != "" {
			name += " " + o.value
		}
		rows = append(rows, [2]string{name, o.help})
	}
	writeRows(w, rows)
}

// commandWords returns the words after the service's name that mean a method: as
// few as do.
func commandWords(t *wire.Table, service string, m wire.Method) string {
	if found, err := request.Resolve(t, service, nil); err == nil && found.Path() == m.Path() {
		return kebab(m.Name()) // the word may be left out; help shows it
	}
	for _, words := range [][]string{{kebab(m.Name())}, {kebab(request.ShortName(m.Service().Name())), kebab(m.Name())}} {
		if found, err := request.Resolve(t, service, words); err == nil && found.Path() == m.Path() {
			return strings.Join(words, " ")
		}
	}
	return strings.TrimPrefix(m.Path(), "/")
}

// kebab writes a name as people type it: "PingPong" is ping-pong.
func kebab(s string) string {
	var b strings.Builder
	for i, r := range s {
		upper := r >= 'A' && r <= 'Z'
		if upper && i > 0 && (s[i-1] < 'A' || s[i-1] > 'Z' || i+1 < len(s) && s[i+1] >= 'a' && s[i+1] <= 'z') {
			b.WriteByte('-')
		}
		if upper {
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}

func kindWord(m wire.Method) string {
	if m.ServerStreaming() {
		return "a stream of "
	}
	return ""
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
	if m.Deprecated() {
		note += " [deprecated]"
	}
	return note
}

// fieldRows returns a row for each field: the flag with its type, what it means.
func fieldRows(m wire.Message, doc func(wire.Element) string) [][2]string {
	var rows [][2]string
	for f := range m.Fields() {
		note := firstSentence(doc(f))
		if e, ok := f.Enum(); ok {
			note = strings.TrimSpace(note + " (" + enumValues(e) + ")")
		}
		if o, ok := f.Oneof(); ok {
			note = strings.TrimSpace(note + " [one of " + o.Name() + "]")
		}
		if f.Deprecated() {
			note = strings.TrimSpace(note + " [deprecated]")
		}
		rows = append(rows, [2]string{flagName(f.Name()) + " " + typeName(f), note})
	}
	return rows
}

// enumValues returns the names of an enum's values, the first of many.
func enumValues(e wire.Enum) string {
	const most = 8
	var values []string
	for v := range e.Values() {
		if len(values) == most {
			values = append(values, "…")
			break
		}
		values = append(values, v.Name())
	}
	return strings.Join(values, ", ")
}

// flagName returns the flag of a field; one with the name of an option gets a dot.
func flagName(field string) string {
	if field == "help" {
		return "--.help"
	}
	for _, o := range options() {
		if request.Fold(o.name) == request.Fold(field) {
			return "--." + field
		}
	}
	return "--" + field
}

func typeName(f wire.Field) string {
	switch {
	case f.IsMap():
		return "map of " + typeName(f.Key()) + " to " + typeName(f.Value())
	case f.IsList():
		return "list of " + elementName(f)
	default:
		return elementName(f)
	}
}

func elementName(f wire.Field) string {
	if m, ok := f.Message(); ok {
		return request.ShortName(m.Name())
	}
	if e, ok := f.Enum(); ok {
		return request.ShortName(e.Name())
	}
	return f.Kind().String()
}

// exampleFlags returns flags that can be pasted, for the first fields.
func exampleFlags(m wire.Message) string {
	var b strings.Builder
	n := 0
	chosen := map[string]bool{} // of oneofs
	for f := range m.Fields() {
		if _, isMessage := f.Message(); isMessage && !f.IsMap() || f.Deprecated() || n == 3 {
			continue
		}
		if o, ok := f.Oneof(); ok {
			if chosen[o.Name()] {
				continue
			}
			chosen[o.Name()] = true
		}
		fmt.Fprintf(&b, " %s=%s", flagName(f.Name()), exampleValue(f))
		n++
	}
	return b.String()
}

func exampleValue(f wire.Field) string {
	if f.IsMap() {
		return "key=value"
	}
	switch f.Kind() {
	case wire.StringKind:
		if request.Fold(f.Name()) == "name" {
			return "Alice"
		}
		return "text"
	case wire.BoolKind:
		return "true"
	case wire.BytesKind:
		return "@file"
	case wire.EnumKind:
		e, _ := f.Enum()
		name := "0"
		for v := range e.Values() {
			name = v.Name() // the last: the first is mostly "unspecified"
		}
		return name
	case wire.FloatKind, wire.DoubleKind:
		return "1.5"
	default:
		return "1"
	}
}

func firstSentence(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	for i := range len(s) {
		if s[i] == '.' && (i+1 == len(s) || s[i+1] == ' ') {
			return s[:i]
		}
	}
	return s
}

func writeRows(w io.Writer, rows [][2]string) {
	width := 0
	for _, r := range rows {
		width = max(width, len(r[0]))
	}
	width = min(width, 40)
	for _, r := range rows {
		fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("  %-*s  %s", width, r[0], r[1]), " "))
	}
}
