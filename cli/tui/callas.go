package tui

import (
	"bytes"
	"context"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"
)

// asScreen is a call as a command and as programs, to be copied.
type asScreen struct {
	table table
	texts map[string]string // by language
}

// openAs shows the call in other languages. What cannot be written in one of them says
// why.
func (s *callScreen) openAs(m *Model) tea.Cmd {
	calls, args := m.session.Calls, s.args(true)
	m.say(dim, "writes the call in other languages…")
	return m.later(func(ctx context.Context) tea.Msg {
		texts := map[string]string{}
		for _, language := range calls.Languages {
			var out bytes.Buffer
			err := calls.Call(ctx, append(slices.Clone(args), "--as", language), strings.NewReader(""), &out)
			texts[language] = strings.TrimRight(out.String(), "\n")
			if err != nil {
				texts[language] = "# not possible: " + err.Error()
			}
		}
		return laterMsg{func(m *Model) tea.Cmd {
			if m.top() != screen(s) {
				return nil // somebody went elsewhere meanwhile
			}
			m.push(newAsScreen(m, calls.Languages, texts))
			return nil
		}}
	})
}

func newAsScreen(m *Model, languages []string, texts map[string]string) *asScreen {
	s := &asScreen{texts: texts, table: table{empty: "there is none", columns: []column{{title: "LANGUAGE"}, {title: "CALL"}}}}
	var rows []row
	for _, l := range languages {
		first, _, more := strings.Cut(texts[l], "\n")
		if more {
			first += " …"
		}
		rows = append(rows, row{id: l, cells: []cell{{text: m.config.Line(l), tone: strong}, {text: m.config.Line(first), tone: dim}}})
	}
	s.table.set(rows)
	return s
}

func (s *asScreen) place() string                  { return placeAs }
func (s *asScreen) title() string                  { return "as" }
func (s *asScreen) feeds() []feed                  { return nil }
func (s *asScreen) receive(*Model, tea.Msg)        {}
func (s *asScreen) setFilter(f filter)             { s.table.setFilter(f) }
func (s *asScreen) filtered() filter               { return s.table.filter }
func (s *asScreen) selection() string              { id, _ := s.table.selected(); return s.texts[id] }
func (s *asScreen) act(_ *Model, a action) tea.Cmd { s.table.act(a); return nil }

// view shows the languages, and below them the call in the chosen one as it is copied.
func (s *asScreen) view(m *Model, width, height int) []string {
	lines := s.table.view(m.palette, width, min(len(s.table.rows)+1, max(2, height/2)), true)
	lines = append(lines, m.palette.paint(dim, fit(strings.Repeat("─", max(0, width)), width)))
	for l := range strings.Lines(s.selection()) {
		lines = append(lines, hardWrapped(m.config.Line(tabs(strings.TrimRight(l, "\n"))), width)...)
	}
	return padLines(lines, width, height)
}
