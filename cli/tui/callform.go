package tui

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/micro/micro/v3/dynamic/request"
	"github.com/micro/micro/v3/dynamic/wire"
)

// callRow is a row of the form: of the request, or of what is sent beside it.
type callRow struct {
	request.Row
	option optionRow
	index  int // of a header
}

type optionRow int

const (
	noOption optionRow = iota
	headersRow
	headerRow
	timeoutRow
)

// id tells rows apart; those of options are no names of fields.
func (r callRow) id() string {
	if r.option != noOption {
		return fmt.Sprintf("\x00\x00%d %d", r.option, r.index)
	}
	return r.ID()
}

// refresh makes the rows and the JSON of the request anew.
func (s *callScreen) refresh(m *Model) {
	s.rows = s.rows[:0]
	all := s.form.Rows()
	for _, r := range all {
		s.rows = append(s.rows, callRow{Row: r})
	}
	s.rows = append(s.rows, callRow{option: headersRow})
	for i := range s.headers {
		s.rows = append(s.rows, callRow{option: headerRow, index: i})
	}
	s.rows = append(s.rows, callRow{option: timeoutRow})

	s.problem, s.problemAt = "", ""
	s.problems = map[string]string{}
	note := func(at, text string) {
		if i := request.RowOf(all, at); i >= 0 {
			s.problems[all[i].ID()] = text
		}
	}
	if at, err := s.form.Problem(); err != nil {
		s.problem, s.problemAt = err.Error(), at
		note(at, s.problem)
	}
	for _, at := range slices.Sorted(maps.Keys(s.wrong)) {
		note(at, s.wrong[at])
	}
	rows := make([]row, 0, len(s.rows))
	for _, r := range s.rows {
		id := r.id()
		rows = append(rows, row{id: id, cells: s.cells(m, r, s.problems[id])})
	}
	s.fields.set(rows)
	s.showJSON(m)
}

// showJSON fills the other tab.
func (s *callScreen) showJSON(m *Model) {
	if s.tab != tabJSON {
		return
	}
	s.json.clear()
	for l := range strings.Lines(prettyJSON(s.form.JSON())) {
		if l = strings.TrimRight(l, "\n"); len(l) > maxAnswerLine {
			l = strings.ToValidUTF8(l[:maxAnswerLine], "") + "…"
		}
		s.json.add(line{text: m.config.Line(l)})
	}
	if s.problem != "" {
		s.json.add(line{text: m.config.Line("✗ " + s.problemText()), tone: bad})
	}
	s.json.page = max(1, m.height-3)
	s.json.act(actTop)
}

// maxIndent bounds how far a field is to the right.
const maxIndent = 12

// cells are the cells of a row.
func (s *callScreen) cells(m *Model, r callRow, wrong string) []cell {
	label, kind, value, t := s.texts(r)
	label = strings.Repeat("  ", min(r.Depth, maxIndent)) + marker(r) + label
	c := []cell{{text: m.config.Line(label)}, {text: m.config.Line(kind), tone: dim}, {text: m.config.Line(value), tone: t}}
	if r.IsSet || r.option == headerRow {
		c[0].tone = strong
	}
	if wrong != "" {
		c[0].tone, c[2].tone = bad, bad
		c[2].text = m.config.Line("✗ " + wrong + strings.TrimSuffix(" · "+value, " · "+notSet))
	}
	return c
}

// marker says whether there is more below a row.
func marker(r callRow) string {
	switch r.Kind {
	case request.MessageRow, request.ListRow, request.MapRow:
		if r.option != noOption {
			return "  "
		}
		if r.Open {
			return "▾ "
		}
		return "▸ "
	default:
		return "  "
	}
}

// notSet stands for the value of what is not set, which is not the same as empty.
const notSet = "·"

// texts returns what the cells of a row say.
func (s *callScreen) texts(r callRow) (label, kind, value string, t tone) {
	switch r.option {
	case headersRow:
		return "metadata", "-H", countOr(len(s.headers), "header", notSet), dim
	case headerRow:
		name, value, _ := strings.Cut(s.headers[r.index], ":")
		return "  " + name, "", strings.TrimSpace(value), plain
	case timeoutRow:
		if s.timeout == "" {
			return "timeout", "--timeout", notSet, dim
		}
		return "timeout", "--timeout", s.timeout, plain
	default:
	}
	label, kind, value, t = r.Label, r.Type, r.Value, plain
	if r.Field != (wire.Field{}) && !r.Entry && (s.docs.Of(r.Field).Required || r.Field.Cardinality() == wire.Required) {
		label += " *"
	}
	switch r.Kind {
	case request.ListRow:
		value, t = countOr(r.Size, "element", firstOf(value, notSet)), dim
	case request.MapRow:
		value, t = countOr(r.Size, "entry", firstOf(value, notSet)), dim
	case request.MoreRow:
		value, t = fmt.Sprintf("%d more, in the JSON", r.Size), dim
	case request.UnknownRow:
		kind = "unknown"
	default:
		switch {
		case !r.IsSet:
			value, t = notSet, dim
		case r.Kind == request.MessageRow && value == "":
			if r.Size == 0 {
				value, t = "{}", dim
			}
		case value == "":
			value = `""`
		case strings.HasPrefix(value, "base64:") && r.Size > 60:
			value = fmt.Sprintf("(%d bytes)", (r.Size-2)/4*3-strings.Count(value, "="))
		case len(value) > maxShown:
			value = strings.ToValidUTF8(value[:maxShown], "") + "…"
		}
	}
	return label, kind, value, t
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// countOr says how many there are.
func countOr(n int, what, none string) string {
	switch n {
	case 0:
		return none
	case 1:
		return "1 " + what
	default:
		return strconv.Itoa(n) + " " + strings.TrimSuffix(what, "y") + map[bool]string{true: "ies", false: "s"}[strings.HasSuffix(what, "y")]
	}
}

// help says what is known of the chosen field, in two lines.
func (s *callScreen) help(m *Model, width int) []string {
	r, ok := s.chosen()
	if !ok {
		return []string{"", ""}
	}
	about, comment := s.about(r)
	first := m.palette.paint(accent, fit(m.config.Line(about), width))
	if problem := s.problems[r.id()]; problem != "" {
		return []string{m.palette.paint(bad, fit(m.config.Line("✗ "+problem), width)), first}
	}
	return []string{first, m.palette.paint(dim, fit(m.config.Line(comment), width))}
}

// about says what a row is, and what the schema says of it.
func (s *callScreen) about(r callRow) (about, comment string) {
	switch r.option {
	case headersRow, headerRow:
		return "metadata that is sent beside the request, as NAME:VALUE", "Enter adds one; ${NAME} stands for an environment variable"
	case timeoutRow:
		return "give up after so long, for example 5s", ""
	default:
	}
	parts := []string{strings.TrimSpace(firstOf(r.Flag, r.Label) + "  " + r.Type)}
	if r.Kind == request.UnknownRow {
		return parts[0] + " no field of the message; x takes it out", ""
	}
	if r.Oneof != (wire.Oneof{}) {
		if r.Kind != request.OneofRow {
			parts = append(parts, "one of "+r.Oneof.Name())
		}
		comment = s.docs.Of(r.Oneof).Comment
	}
	if r.Field == (wire.Field{}) {
		return strings.Join(parts, ", "), oneLine(comment)
	}
	doc := s.docs.Of(r.Field)
	comment = firstOf(doc.Comment, comment)
	if sub, ok := r.Field.Message(); ok && comment == "" {
		comment = s.docs.Of(sub).Comment
	}
	if doc.Required || r.Field.Cardinality() == wire.Required {
		parts = append(parts, "required")
	}
	if text, ok := r.Field.Default(); ok {
		parts = append(parts, "default "+text)
	}
	if r.Field.HasPresence() && !r.Entry && r.Kind != request.MessageRow {
		parts = append(parts, "not set is something else than empty (d)")
	}
	if r.Field.Deprecated() {
		parts = append(parts, "deprecated")
	}
	if doc.Rules != "" {
		parts = append(parts, "rules "+doc.Rules)
	}
	return strings.Join(append(parts, howTo(r)...), ", "), oneLine(comment)
}

// howTo says how a value is written, where that is not plain.
func howTo(r callRow) []string {
	m, ok := r.Field.Message()
	switch {
	case ok && m.WellKnown() == wire.Timestamp:
		return []string{"2026-01-02, 2026-01-02T15:04:05Z, now, -2h"}
	case ok && m.WellKnown() == wire.Duration:
		return []string{"1h30m, 250ms, 2d"}
	case takesFile(r.Field):
		return []string{"text, @FILE, base64:…, hex:…"}
	default:
		return nil
	}
}

// takesFile reports whether the values of a field are bytes.
func takesFile(f wire.Field) bool {
	if m, ok := f.Message(); ok {
		if m.WellKnown() != wire.Wrapper {
			return false
		}
		f, _ = m.FieldByNumber(1)
	}
	return f.Kind() == wire.BytesKind
}

// chosen returns the row that keys act on.
func (s *callScreen) chosen() (callRow, bool) {
	id, ok := s.fields.selected()
	i := slices.IndexFunc(s.rows, func(r callRow) bool { return r.id() == id })
	if !ok || i < 0 {
		return callRow{}, false
	}
	return s.rows[i], true
}
