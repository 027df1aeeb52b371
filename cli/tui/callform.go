package tui

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	tea "charm.land/bubbletea/v2"

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
		s.json.add(line{text: m.config.Line("✗ " + strings.TrimPrefix(s.problemAt+": "+s.problem, ": ")), tone: bad})
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

// actOnForm does what an action means for the chosen row.
func (s *callScreen) actOnForm(m *Model, a action) tea.Cmd {
	if s.fields.act(a) {
		return nil
	}
	r, ok := s.chosen()
	if !ok {
		return nil
	}
	if r.option != noOption {
		s.actOnOption(m, r, a)
		return nil
	}
	switch a {
	case actEnter:
		s.enter(m, r.Row)
	case actEdit:
		s.editValue(m, r.Row)
	case actRight, actLeft:
		s.form.SetOpen(r.Row, a == actRight)
		s.refresh(m)
	case actUnset:
		s.form.Unset(r.Row)
		s.changed(m, r.Row)
	case actDefault:
		s.taken(m, r.Row, s.form.SetZero(r.Row))
	default: // it means nothing here
	}
	return nil
}

// changed shows what was done to a row.
func (s *callScreen) changed(m *Model, r request.Row) {
	for at := range s.wrong {
		if at == r.Flag || strings.HasPrefix(at, r.Flag+".") {
			delete(s.wrong, at)
		}
	}
	s.refresh(m)
}

// taken shows that a row was changed, or why it cannot be.
func (s *callScreen) taken(m *Model, r request.Row, err error) bool {
	s.changed(m, r)
	if err == nil {
		return true
	}
	m.say(bad, err.Error())
	if r.Flag != "" {
		s.wrong[r.Flag] = err.Error()
		s.refresh(m)
	}
	return false
}

// enter does what is done most with a row of its kind.
func (s *callScreen) enter(m *Model, r request.Row) {
	switch r.Kind {
	case request.SwitchRow:
		s.taken(m, r, s.form.Set(r, strconv.FormatBool(r.Value != "true"), request.Values{}))
	case request.EnumRow:
		s.chooseValue(m, r)
	case request.OneofRow:
		s.chooseMember(m, r)
	case request.MessageRow:
		s.form.SetOpen(r, !r.Open)
		s.refresh(m)
	case request.ListRow:
		s.addElement(m, r, "")
	case request.MapRow:
		m.typeLine("key of "+r.Label, "", func(key string) (tea.Cmd, bool) { return nil, s.addElement(m, r, key) })
	case request.UnknownRow:
		m.say(warn, "the message has no such field; x takes it out")
	case request.MoreRow:
		m.say(warn, "what there is more is in the JSON: Tab")
	case request.JSONRow:
		s.editValue(m, r)
	default:
		s.typeValue(m, r)
	}
}

// typeLine has a line of text typed, and again with it when it is not taken.
func (m *Model) typeLine(label, text string, take func(text string) (tea.Cmd, bool)) {
	p := &prompt{label: m.config.Line(label + ": "), text: []rune(text), at: len([]rune(text))}
	p.done = func(text string) tea.Cmd {
		cmd, ok := take(text)
		if !ok {
			m.prompt = p
		}
		return cmd
	}
	m.prompt = p
}

// typeValue has a value typed in a line, or where it has several, in the editor.
func (s *callScreen) typeValue(m *Model, r request.Row) {
	if len([]rune(r.Value)) > maxTyped || !isPlainLine(r.Value) {
		s.editValue(m, r)
		return
	}
	m.typeLine(r.Label, r.Value, func(text string) (tea.Cmd, bool) { return s.set(m, r, text) })
}

// isPlainLine reports whether a text can be typed into a prompt.
func isPlainLine(text string) bool {
	p := &prompt{}
	p.insert(text)
	return string(p.text) == text
}

// editValue has a value edited in several lines.
func (s *callScreen) editValue(m *Model, r request.Row) {
	text := r.Value
	switch r.Kind {
	case request.JSONRow:
		if text == "" {
			text = "{}"
		}
		text = prettyJSON([]byte(text))
	case request.ValueRow:
	default:
		m.say(warn, "it is no text; Tab shows all as JSON")
		return
	}
	m.edit(firstOf(r.Flag, r.Label)+" "+r.Type, text, func(text string) error {
		s.changed(m, r)
		if err := s.form.Set(r, text, request.Values{Now: m.config.Now}); err != nil {
			return err
		}
		s.refresh(m)
		return nil
	})
}

// fileWanted says that a value is in a file.
type fileWanted struct{ name string }

func (e *fileWanted) Error() string { return "read " + e.name }

// set gives a row a value that was typed. What is in a file is read beside the model.
func (s *callScreen) set(m *Model, r request.Row, text string) (tea.Cmd, bool) {
	v := request.Values{Now: m.config.Now, ReadFile: func(name string) ([]byte, error) { return nil, &fileWanted{name} }}
	err := s.form.Set(r, text, v)
	wanted, ok := errors.AsType[*fileWanted](err)
	if !ok {
		return nil, s.taken(m, r, err)
	}
	m.say(dim, "reads "+wanted.name)
	return m.readFile(wanted.name, func(m *Model, content []byte, err error) {
		if err == nil {
			v.ReadFile = func(string) ([]byte, error) { return content, nil }
			err = s.form.Set(r, text, v)
		}
		if s.taken(m, r, err) {
			m.say(good, fmt.Sprintf("%d bytes of %s", len(content), wanted.name))
		}
	}), true
}

// addElement adds an element to a list, or an entry to a map, and has its value typed
// when that is text.
func (s *callScreen) addElement(m *Model, of request.Row, key string) bool {
	e, err := s.form.Element(of, key)
	if err != nil {
		return s.taken(m, of, err)
	}
	switch e.Kind {
	case request.EnumRow:
		s.refresh(m)
		s.chooseValue(m, e)
		return true
	case request.ValueRow:
		s.refresh(m)
		m.typeLine(of.Label+"."+e.Label, "", func(text string) (tea.Cmd, bool) { return s.set(m, e, text) })
		return true
	default:
	}
	ok := s.taken(m, of, s.form.SetZero(e))
	s.fields.chosen = callRow{Row: e}.id()
	s.fields.refilter()
	return ok
}

// chooseValue chooses one of the values of an enum.
func (s *callScreen) chooseValue(m *Model, r request.Row) {
	f := r.Field
	if sub, ok := f.Message(); ok { // a wrapper, which no enum has; but a table may say so
		f, _ = sub.FieldByNumber(1)
	}
	e, ok := f.Enum()
	if !ok {
		return
	}
	p := newPickScreen(r.Label, column{title: "VALUE", most: 60}, column{title: "NUMBER", right: true, rank: 1}, column{title: "COMMENT"})
	p.fill = func(m *Model) []row {
		var rows []row
		for v := range e.Values() {
			rows = append(rows, row{id: v.Name(), cells: []cell{
				{text: m.config.Line(v.Name()), tone: strong}, {text: strconv.Itoa(int(v.Number())), tone: dim}, {text: m.config.Line(oneLine(s.docs.Of(v).Comment)), tone: dim},
			}})
		}
		return rows
	}
	p.open = func(m *Model, name string) tea.Cmd {
		m.pop()
		s.taken(m, r, s.form.Set(r, name, request.Values{}))
		return nil
	}
	p.table.chosen = r.Value
	m.choose(p)
}

// chooseMember chooses which field of a oneof is set.
func (s *callScreen) chooseMember(m *Model, r request.Row) {
	const none = "\x00"
	members := map[string]wire.Field{}
	p := newPickScreen(r.Label, column{title: "FIELD", most: 60}, column{title: "TYPE", most: 28, rank: 1}, column{title: "COMMENT"})
	p.fill = func(m *Model) []row {
		rows := []row{{id: none, cells: []cell{{text: "(none)", tone: dim}}}}
		for f := range r.Oneof.Fields() {
			members[f.Name()] = f
			rows = append(rows, row{id: f.Name(), cells: []cell{
				{text: m.config.Line(f.Name()), tone: strong}, {text: m.config.Line(request.TypeName(f)), tone: dim}, {text: m.config.Line(oneLine(s.docs.Of(f).Comment)), tone: dim},
			}})
		}
		return rows
	}
	p.open = func(m *Model, name string) tea.Cmd {
		m.pop()
		if name == none {
			s.form.Unset(r)
			s.changed(m, r)
			return nil
		}
		if name != r.Value {
			s.taken(m, r, s.form.Choose(r, members[name]))
		}
		return nil
	}
	p.table.chosen = r.Value
	m.choose(p)
}

// actOnOption does what an action means for what is sent beside the request.
func (s *callScreen) actOnOption(m *Model, r callRow, a action) {
	switch {
	case a == actEnter && r.option == headersRow:
		m.typeLine("metadata NAME:VALUE", "", func(text string) (tea.Cmd, bool) { return nil, s.setHeader(m, len(s.headers), text) })
	case a == actEnter && r.option == headerRow:
		m.typeLine("metadata NAME:VALUE", s.headers[r.index], func(text string) (tea.Cmd, bool) { return nil, s.setHeader(m, r.index, text) })
	case a == actEnter && r.option == timeoutRow:
		m.typeLine("timeout", s.timeout, func(text string) (tea.Cmd, bool) {
			s.timeout = strings.TrimSpace(text)
			s.refresh(m)
			return nil, true
		})
	case a == actUnset && r.option == headerRow:
		s.headers = slices.Delete(s.headers, r.index, r.index+1)
		s.refresh(m)
	case a == actUnset && r.option == headersRow:
		s.headers = nil
		s.refresh(m)
	case a == actUnset && r.option == timeoutRow:
		s.timeout = ""
		s.refresh(m)
	}
}

// setHeader changes metadata, or adds some. Whether it may be sent is said when it is.
func (s *callScreen) setHeader(m *Model, i int, text string) bool {
	if name, _, ok := strings.Cut(text, ":"); !ok || strings.TrimSpace(name) == "" {
		m.say(bad, "metadata has the form NAME:VALUE")
		return text == ""
	}
	if i == len(s.headers) {
		s.headers = append(s.headers, "")
	}
	s.headers[i] = text
	s.refresh(m)
	return true
}
