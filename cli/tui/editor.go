package tui

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
)

// editor is a text of several lines that somebody changes, in the place of the screen.
// Ctrl-S takes it, and Esc as well; what cannot be taken stays, with the reason, until a
// second Esc gives the change up.
type editor struct {
	title string
	lines [][]rune
	x, y  int // where the next rune goes
	size  int // runes, with the ends of lines
	top   int
	left  int
	rows  int // that the last view had

	// line returns text that does nothing to a terminal, and take takes the whole text.
	line func(string) string
	take func(text string) error

	before  string // the text when it was opened
	problem string // why it could not be taken
}

// maxEdited bounds a text that is edited, in runes.
const maxEdited = 256 << 10

// edit opens an editor.
func (m *Model) edit(title, text string, take func(text string) error) {
	if utf8.RuneCountInString(text) > maxEdited {
		m.say(warn, "it is too long to be edited here")
		return
	}
	e := &editor{title: title, before: text, line: m.config.Line, take: take, lines: [][]rune{nil}}
	e.insert(text)
	e.x, e.y = 0, 0
	m.editor = e
}

func (e *editor) text() string {
	var b strings.Builder
	for i, l := range e.lines {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(string(l))
	}
	return b.String()
}

// insert puts text where the cursor is.
func (e *editor) insert(text string) {
	e.problem = ""
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	var all [][]rune
	var now []rune
	for _, r := range text {
		if e.size >= maxEdited {
			break
		}
		e.size++
		if r == '\n' {
			all, now = append(all, now), nil
			continue
		}
		now = append(now, r)
	}
	line := e.lines[e.y]
	before, after := line[:e.x:e.x], line[e.x:]
	if len(all) == 0 {
		e.lines[e.y] = append(append(before, now...), after...)
		e.x += len(now)
		return
	}
	all[0] = append(before, all[0]...)
	last := append(slices.Clip(now), after...)
	rest := append([][]rune{}, e.lines[e.y+1:]...)
	e.lines = append(append(append(e.lines[:e.y], all...), last), rest...)
	e.y, e.x = e.y+len(all), len(now)
}

// delete takes out the rune before the cursor, or the end of the line before.
func (e *editor) delete() {
	line := e.lines[e.y]
	switch {
	case e.x > 0:
		e.lines[e.y] = append(line[:e.x-1:e.x-1], line[e.x:]...)
		e.x--
	case e.y > 0:
		before := e.lines[e.y-1]
		e.x = len(before)
		e.lines[e.y-1] = append(slices.Clip(before), line...)
		e.lines = append(e.lines[:e.y], e.lines[e.y+1:]...)
		e.y--
	default:
		return
	}
	e.size--
	e.problem = ""
}

// key does what a key means, and reports whether it ended the editor.
func (e *editor) key(key, text string) (ended bool) {
	line := e.lines[e.y]
	switch key {
	case "esc", "ctrl+s":
		return e.end(key == "esc")
	case "enter":
		e.insert("\n")
	case "tab":
		e.insert("  ")
	case "backspace", "ctrl+h":
		e.delete()
	case "delete", "ctrl+d":
		if e.x < len(line) || e.y < len(e.lines)-1 {
			e.move(1)
			e.delete()
		}
	case "ctrl+u":
		e.size -= e.x
		e.lines[e.y], e.x, e.problem = line[e.x:], 0, ""
	case "ctrl+k":
		e.size -= len(line) - e.x
		e.lines[e.y], e.problem = line[:e.x:e.x], ""
	case "left", "ctrl+b":
		e.move(-1)
	case "right", "ctrl+f":
		e.move(1)
	case "home", "ctrl+a":
		e.x = 0
	case "end", "ctrl+e":
		e.x = len(line)
	case "up":
		e.y--
	case "down":
		e.y++
	case "pgup":
		e.y -= max(1, e.rows-1)
	case "pgdown":
		e.y += max(1, e.rows-1)
	default:
		if !strings.ContainsFunc(text, func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }) {
			e.insert(text)
		}
	}
	e.y = max(0, min(e.y, len(e.lines)-1))
	e.x = min(e.x, len(e.lines[e.y]))
	return false
}

// end takes the text, and reports whether that is the end of the editor.
func (e *editor) end(mayGiveUp bool) bool {
	text := e.text()
	if text == e.before || mayGiveUp && e.problem != "" {
		return true
	}
	if err := e.take(text); err != nil {
		e.problem = err.Error()
		return false
	}
	return true
}

// move goes by one rune, to the next line at the end of one.
func (e *editor) move(by int) {
	switch {
	case by < 0 && e.x > 0, by > 0 && e.x < len(e.lines[e.y]):
		e.x += by
	case by < 0 && e.y > 0:
		e.y--
		e.x = len(e.lines[e.y])
	case by > 0 && e.y < len(e.lines)-1:
		e.y, e.x = e.y+1, 0
	}
}

// view returns the lines around the cursor, below the title.
func (e *editor) view(m *Model, width, height int) []string {
	e.rows = max(1, height-1)
	e.top = max(min(e.top, e.y), e.y-e.rows+1)
	column := e.column()
	if column < e.left || column >= e.left+width {
		e.left = max(0, column-width/2)
	}
	out := []string{m.palette.paint(headline, fit(e.line(e.title), width))}
	for y := e.top; y < min(len(e.lines), e.top+e.rows); y++ {
		out = append(out, fit(ansi.TruncateLeft(e.shown(e.lines[y]), e.left, ""), width))
	}
	return padLines(out, width, height)
}

// shown returns runes as they are shown: control characters as escapes.
func (e *editor) shown(runes []rune) string {
	return e.line(strings.ReplaceAll(string(runes), "\t", "    "))
}

// column is how far the cursor is from the beginning of its line, in cells.
func (e *editor) column() int { return ansi.StringWidth(e.shown(e.lines[e.y][:e.x])) }

// cursor returns where the cursor is on a terminal.
func (e *editor) cursor(width, height int) *tea.Cursor {
	row := height - 1 - e.rows + e.y - e.top
	return tea.NewCursor(max(0, min(e.column()-e.left, width-1)), max(0, min(row, height-1)))
}

// lastLine says what keys do, or what is wrong.
func (e *editor) lastLine(m *Model) string {
	if e.problem != "" {
		return m.palette.paint(bad, fit(e.line("✗ "+e.problem+" (Esc gives the change up)"), m.width))
	}
	return fit(m.footKey("Esc", "done")+m.footKey("Ctrl-S", "done")+m.footKey("Ctrl-U, Ctrl-K", "delete to the left, right"), m.width)
}
