package tui

import (
	"fmt"
	"slices"
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// line is a line of a log or a text.
type line struct {
	prefix string // before the text, in a tone of its own
	text   string // with colours; see Config.Colored
	tone   tone
	time   string
	hidden bool // by the filter
}

// lines shows the last lines of something that grows, in a ring. It follows the end
// until somebody scrolls up; then it stays where it is, and counts what has come.
type lines struct {
	ring        []line
	first, next int // sequence numbers: of the oldest line that is kept, and of the next to come
	keep        int

	filter filter
	paused bool
	last   int // while paused: the sequence number of the line at the bottom
	since  int // while paused: the next that was to come when it began
	left   int // columns that are scrolled away
	wrap   bool
	times  bool
	page   int
	empty  string
}

// keptLines is how many lines of a log are kept.
const keptLines = 10_000

func newLines(keep int, empty string) lines {
	return lines{keep: keep, empty: empty}
}

// add appends a line; the oldest goes when there are too many.
func (l *lines) add(n line) {
	n.hidden = !l.filter.shows(n.prefix + n.text)
	if len(l.ring) < l.keep {
		l.ring = append(l.ring, n)
	} else {
		l.ring[l.next%l.keep] = n
		l.first++
	}
	l.next++
}

func (l *lines) at(seq int) *line { return &l.ring[seq%l.keep] }

func (l *lines) clear() {
	l.ring, l.first, l.next, l.paused = nil, 0, 0, false
}

func (l *lines) matches(seq int) bool { return !l.at(seq).hidden }

// setFilter looks at each line once, so that a frame does not.
func (l *lines) setFilter(f filter) {
	l.filter = f
	for seq := l.first; seq < l.next; seq++ {
		n := l.at(seq)
		n.hidden = !f.shows(n.prefix + n.text)
	}
}

// before returns the nearest line before seq that is shown.
func (l *lines) before(seq int) (int, bool) {
	for seq--; seq >= l.first; seq-- {
		if l.matches(seq) {
			return seq, true
		}
	}
	return 0, false
}

// after is before in the other direction.
func (l *lines) after(seq int) (int, bool) {
	for seq = max(seq+1, l.first); seq < l.next; seq++ {
		if l.matches(seq) {
			return seq, true
		}
	}
	return 0, false
}

// pause stays where it is.
func (l *lines) pause() {
	if l.paused {
		return
	}
	if last, ok := l.before(l.next); ok {
		l.paused, l.last, l.since = true, last, l.next
	}
}

// scroll moves by so many lines; at the end it follows again.
func (l *lines) scroll(by int) {
	if by < 0 {
		l.pause()
	}
	if !l.paused {
		return
	}
	for ; by < 0; by++ {
		if seq, ok := l.before(l.last); ok {
			l.last = seq
		}
	}
	for ; by > 0; by-- {
		seq, ok := l.after(l.last)
		if !ok {
			l.paused = false
			return
		}
		l.last = seq
	}
	l.keepFull()
}

// keepFull goes down until the page is full, as far as there is something.
func (l *lines) keepFull() {
	n := 1
	for seq, ok := l.before(l.last); ok && n < l.page; seq, ok = l.before(seq) {
		n++
	}
	for ; n < l.page; n++ {
		seq, ok := l.after(l.last)
		if !ok {
			return
		}
		l.last = seq
	}
}

// unseen counts the lines that have come since it stays where it is.
func (l *lines) unseen() int {
	if !l.paused {
		return 0
	}
	n := 0
	for seq := max(l.since, l.first); seq < l.next; seq++ {
		if l.matches(seq) {
			n++
		}
	}
	return n
}

// act does what an action means.
func (l *lines) act(a action) {
	switch a {
	case actUp:
		l.scroll(-1)
	case actDown:
		l.scroll(1)
	case actPageUp:
		l.scroll(-max(1, l.page-1))
	case actPageDown:
		l.scroll(max(1, l.page-1))
	case actTop:
		l.scroll(-l.keep)
	case actBottom:
		l.paused = false
	case actLeft:
		l.left = max(0, l.left-sideways)
	case actRight:
		l.left = min(maxLeft, l.left+sideways)
	case actWrap:
		l.wrap, l.left = !l.wrap, 0
	case actTimes:
		l.times = !l.times
	case actFollow:
		if l.paused {
			l.paused = false
		} else {
			l.pause()
		}
	case actClear:
		l.clear()
	default: // it means nothing here
	}
}

const (
	sideways = 16
	maxLeft  = 4096
)

// view returns the lines up to the last one that is shown.
func (l *lines) view(p palette, width, height int) []string {
	l.page = height
	if height <= 0 {
		return nil
	}
	seq := l.next
	if l.paused {
		seq = max(l.last, l.first) + 1
	}
	var out []string // from the bottom
	for len(out) < height {
		prev, ok := l.before(seq)
		if !ok {
			break
		}
		seq = prev
		rows := l.rows(p, l.at(seq), width)
		for _, row := range slices.Backward(rows) {
			out = append(out, row)
		}
	}
	if len(out) == 0 {
		text := l.empty
		if l.next > l.first {
			text = "nothing matches " + l.filter.text
		}
		return padLines([]string{p.paint(dim, fit(text, width))}, width, height)
	}
	out = out[:min(len(out), height)]
	slices.Reverse(out)
	return padLines(out, width, height)
}

// followed is view with a line below it that says whether it follows; ended says why
// there is nothing to follow.
func (l *lines) followed(p palette, width, height int, ended string) []string {
	if height < 2 {
		return padLines(nil, width, height)
	}
	state, t := "following", good
	switch {
	case ended != "":
		state, t = ended, dim
	case l.paused:
		state, t = fmt.Sprintf("paused, +%d new; End follows", l.unseen()), warn
	}
	return append(l.view(p, width, height-1), p.paint(t, fitRight(state, width)))
}

// rows returns a line as the rows that it takes.
func (l *lines) rows(p palette, n *line, width int) []string {
	text := n.text
	if n.tone != plain {
		text = p.paint(n.tone, ansi.Strip(text))
	}
	if n.prefix != "" {
		text = p.paint(accent, n.prefix) + text
	}
	if l.times && n.time != "" {
		text = p.paint(dim, n.time+" ") + text
	}
	if !l.wrap {
		if l.left > 0 {
			text = ansi.TruncateLeft(text, l.left, "")
		}
		return []string{fit(text, width)}
	}
	return hardWrapped(text, width)
}

// hardWrapped returns a line as the lines that it takes at a width.
func hardWrapped(text string, width int) []string {
	rows := strings.Split(ansi.Hardwrap(text, max(1, width), true), "\n")
	for i := range rows {
		rows[i] = fit(rows[i], width)
	}
	return rows
}

// tabs returns text with spaces in the place of tabs, as a terminal would show it.
func tabs(text string) string {
	if !strings.Contains(text, "\t") {
		return text
	}
	var b strings.Builder
	for i, part := range strings.Split(text, "\t") {
		if i > 0 {
			n := ansi.StringWidth(b.String())
			b.WriteString(strings.Repeat(" ", 8-n%8))
		}
		b.WriteString(part)
	}
	return b.String()
}

// selection returns the line at the bottom of what is shown.
func (l *lines) selection() string {
	end := l.next
	if l.paused {
		end = max(l.last, l.first) + 1
	}
	seq, ok := l.before(end)
	if !ok {
		return ""
	}
	return l.at(seq).text
}

// all returns all lines that the filter shows.
func (l *lines) all() string {
	var b strings.Builder
	for seq := l.first; seq < l.next; seq++ {
		if l.matches(seq) {
			b.WriteString(l.at(seq).prefix + l.at(seq).text + "\n")
		}
	}
	return strings.TrimSuffix(b.String(), "\n")
}
