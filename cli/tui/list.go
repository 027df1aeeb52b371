package tui

import (
	"fmt"
	"strings"

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
	// more asks for the next page; nil when there are none. Beyond says how to find what
	// no page has.
	more   func()
	beyond string

	goesOn bool // there is another page
	full   bool // there is more than is asked for
}

func (s *listScreen) place() string      { return s.where }
func (s *listScreen) setFilter(f filter) { s.table.setFilter(f) }
func (s *listScreen) filtered() filter   { return s.table.filter }

func (s *listScreen) feeds() []feed {
	if s.ask.run == nil {
		return nil
	}
	return []feed{s.ask}
}

// title says how many rows there are when those are not all.
func (s *listScreen) title() string {
	switch {
	case s.full:
		return strings.TrimSuffix(fmt.Sprintf("%s (first %d; %s", s.name, len(s.table.rows), s.beyond), "; ") + ")"
	case s.goesOn:
		return fmt.Sprintf("%s (first %d, more below)", s.name, len(s.table.rows))
	default:
		return s.name
	}
}

func (s *listScreen) selection() string {
	if id, ok := s.table.selected(); ok && s.copied != nil {
		return s.copied(id)
	}
	return s.table.selectedText()
}

func (s *listScreen) receive(m *Model, msg tea.Msg) {
	if s.fill != nil {
		s.table.set(s.fill(m))
		return
	}
	if msg == nil {
		return
	}
	s.table.set(s.rows(m, msg))
	if p, ok := msg.(listedPages); ok {
		s.goesOn, s.full = p.state()
	}
}

// near asks for the next page when the chosen row is near the last one.
func (s *listScreen) near() {
	if s.goesOn && s.table.cursor >= len(s.table.shown)-max(1, s.table.page) {
		s.goesOn = false // until it is there
		s.more()
	}
}

func (s *listScreen) act(m *Model, a action) tea.Cmd {
	if s.table.act(a) {
		s.near()
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
