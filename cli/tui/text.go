package tui

import (
	"strings"

	tea "charm.land/bubbletea/v2"
)

// textScreen is a text of several lines, such as what a command wrote.
type textScreen struct {
	name  string
	lines lines
	waits []string // the command that writes it, until it has ended
}

// keptText is how many lines of a text are kept.
const keptText = 20_000

func newTextScreen(name, empty string) *textScreen {
	return &textScreen{name: name, lines: newLines(keptText, empty)}
}

// showOutput opens what a command writes.
func (m *Model) showOutput(name string, args []string) tea.Cmd {
	t := newTextScreen(name, "asking the server…")
	t.waits = args
	m.push(t)
	session := m.session
	return m.run(&session, args)
}

// show fills the screen with what a command wrote.
func (s *textScreen) show(m *Model, r ranMsg) {
	for l := range strings.Lines(r.out) {
		s.lines.add(line{text: m.config.Colored(tabs(strings.TrimRight(l, "\r\n")))})
	}
	if r.err != nil {
		s.lines.add(line{text: m.config.Line(m.config.Explain(r.err)), tone: bad})
	}
	s.lines.page = max(1, m.height-2)
	s.lines.act(actTop)
}

func (s *textScreen) place() string                    { return placeText }
func (s *textScreen) title() string                    { return s.name }
func (s *textScreen) feeds() []feed                    { return nil }
func (s *textScreen) receive(*Model, tea.Msg)          {}
func (s *textScreen) setFilter(f filter)               { s.lines.setFilter(f) }
func (s *textScreen) filtered() filter                 { return s.lines.filter }
func (s *textScreen) selection() string                { return s.lines.selection() }
func (s *textScreen) act(_ *Model, a action) tea.Cmd   { s.lines.act(a); return nil }
func (s *textScreen) view(m *Model, w, h int) []string { return s.lines.view(m.palette, w, h) }
