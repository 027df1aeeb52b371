package tui

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	tea "charm.land/bubbletea/v2"

	"github.com/micro/micro/v3/dynamic/request"
	"github.com/micro/micro/v3/dynamic/wire"
)

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
