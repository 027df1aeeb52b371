package tui

import (
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"
)

// helpKey does what a key means on the help page.
func (m *Model) helpKey(key string) tea.Cmd {
	k, _ := find(m.keys, placeText, key)
	switch k.action {
	case actUp:
		m.helpTop--
	case actDown:
		m.helpTop++
	case actPageUp:
		m.helpTop -= max(1, m.height-3)
	case actPageDown:
		m.helpTop += max(1, m.height-3)
	case actTop:
		m.helpTop = 0
	case actBottom:
		m.helpTop = len(m.helpLines())
	case actQuit, actHelp, actBack:
		m.help = false
	default:
	}
	m.helpTop = max(0, min(m.helpTop, len(m.helpLines())-1))
	return nil
}

// helpLines says what keys do on the topmost screen, its own before those that are the
// same everywhere.
func (m *Model) helpLines() []string {
	var lines []string
	for _, g := range slices.Backward(m.keys) {
		if !g.here(m.top().place()) {
			continue
		}
		lines = append(lines, m.palette.paint(headline, g.Title))
		for _, k := range g.Keys {
			text := k.Help
			if k.Changes && m.readOnly() {
				text += " (not while read-only)"
			}
			lines = append(lines, "  "+m.palette.paint(accent, fit(k.Names(), 24))+" "+text)
		}
	}
	if m.alone {
		return lines
	}
	return append(lines, m.palette.paint(headline, "Screens, behind :"), "  "+strings.Join(m.words(), ", "))
}

func (m *Model) helpView(width, height int) []string {
	all := m.helpLines()
	m.helpTop = max(0, min(m.helpTop, len(all)-height))
	var lines []string
	for _, l := range all[m.helpTop:] {
		lines = append(lines, fit(l, width))
	}
	return padLines(lines, width, height)
}
