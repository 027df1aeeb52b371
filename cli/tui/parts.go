package tui

import (
	"fmt"
	"slices"
	"time"
)

// PartState is how a part of some work does.
type PartState int

// The states of a part.
const (
	Busy PartState = iota
	Well
	Ill
)

// Part is how one of several things does that a command works on, such as a service that
// is built.
type Part struct {
	// ID tells parts apart; those that came first are shown first.
	ID    string
	Name  string
	State PartState
	// Text says in a line what is done, or what became of it.
	Text string
	// Details are lines that explain the text, such as those of a compiler.
	Details []string

	since time.Time // when it became busy
}

// spinnerTime is the time from one picture of a spinner to the next.
const spinnerTime = 100 * time.Millisecond

// Spinner returns the sign of something that has gone on for so long.
func Spinner(elapsed time.Duration) string {
	frames := []string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}
	return frames[max(0, int(elapsed/spinnerTime))%len(frames)]
}

// show takes how a part does now.
func (s *outputScreen) show(m *Model, p Part) {
	p.Name, p.Text, p.since = m.config.Line(p.Name), m.config.Line(p.Text), m.config.Now()
	for i, d := range p.Details {
		p.Details[i] = m.config.Line(tabs(d))
	}
	at := slices.IndexFunc(s.parts, func(q Part) bool { return q.ID == p.ID })
	if at < 0 {
		s.parts = append(s.parts, p)
		return
	}
	if s.parts[at].State == Busy && p.State == Busy {
		p.since = s.parts[at].since
	}
	s.parts[at] = p
}

// busy reports whether a part is under way.
func (s *outputScreen) busy() bool {
	return slices.ContainsFunc(s.parts, func(p Part) bool { return p.State == Busy })
}

// partsView returns a line for each part and the details of those that are ill, in so
// many lines at most. When there is no room for all, those that are well give way.
func (s *outputScreen) partsView(m *Model, width, most int) []string {
	if len(s.parts) == 0 || most < 1 {
		return nil
	}
	parts := slices.Clone(s.parts)
	hidden := 0
	if len(parts) > most {
		slices.SortStableFunc(parts, func(a, b Part) int { return wellness(a) - wellness(b) })
		hidden = len(parts) - (most - 1)
		parts = parts[:most-1]
	}
	name := 0
	for _, p := range parts {
		name = max(name, min(len([]rune(p.Name)), width/3))
	}
	spare := most - len(parts)
	if hidden > 0 {
		spare = 0
	}
	var lines []string
	for _, p := range parts {
		lines = append(lines, m.partLine(p, name, width))
		for i, d := range p.Details {
			if spare == 0 {
				break
			}
			spare--
			if spare == 0 && i < len(p.Details)-1 {
				d = fmt.Sprintf("… and %d more lines", len(p.Details)-i)
			}
			lines = append(lines, m.palette.paint(dim, fit("  "+d, width)))
		}
	}
	if hidden > 0 {
		lines = append(lines, m.palette.paint(dim, fit(fmt.Sprintf("  and %d more", hidden), width)))
	}
	return lines
}

// wellness orders parts by how much somebody wants to see them.
func wellness(p Part) int {
	return slices.Index([]PartState{Ill, Busy, Well}, p.State)
}

func (m *Model) partLine(p Part, name, width int) string {
	mark, t := "✓", good
	switch p.State {
	case Busy:
		elapsed := m.config.Now().Sub(p.since)
		mark, t = Spinner(elapsed), accent
		if elapsed > time.Second {
			p.Text += fmt.Sprintf("  %s", elapsed.Truncate(time.Second))
		}
	case Ill:
		mark, t = "✗", bad
	case Well:
	}
	return fit(m.palette.paint(t, mark+" "+fit(p.Name, name))+"  "+p.Text, width)
}
