package tui

import (
	tea "charm.land/bubbletea/v2"
)

// listScreen is a list that one question fills, again and again.
type listScreen struct {
	where, name string
	table       table
	ask         feed
	// rows makes rows of what the feed handed over; fill has those of a list without one.
	rows func(m *Model, msg tea.Msg) []row
	fill func(m *Model) []row
	// open opens a row.
	open func(m *Model, id string) tea.Cmd
	// other does what other actions mean for a row; nil when there are none.
	other  func(m *Model, a action, id string) tea.Cmd
	copied func(id string) string
}

func (s *listScreen) place() string      { return s.where }
func (s *listScreen) title() string      { return s.name }
func (s *listScreen) setFilter(f filter) { s.table.setFilter(f) }
func (s *listScreen) filtered() filter   { return s.table.filter }

func (s *listScreen) feeds() []feed {
	if s.ask.run == nil {
		return nil
	}
	return []feed{s.ask}
}

func (s *listScreen) selection() string {
	if id, ok := s.table.selected(); ok && s.copied != nil {
		return s.copied(id)
	}
	return s.table.selectedText()
}

func (s *listScreen) receive(m *Model, msg tea.Msg) {
	switch {
	case s.fill != nil:
		s.table.set(s.fill(m))
	case msg != nil:
		s.table.set(s.rows(m, msg))
	}
}

func (s *listScreen) act(m *Model, a action) tea.Cmd {
	if s.table.act(a) {
		return nil
	}
	id, ok := s.table.selected()
	switch {
	case !ok:
		return nil
	case a == actEnter && s.open != nil:
		return s.open(m, id)
	case s.other != nil:
		return s.other(m, a, id)
	}
	return nil
}

func (s *listScreen) view(m *Model, width, height int) []string {
	empty := s.table.empty
	if m.waits(s) {
		s.table.empty = "asking the server…"
	}
	lines := s.table.view(m.palette, width, height, true)
	s.table.empty = empty
	return lines
}
