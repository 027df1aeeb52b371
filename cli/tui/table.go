package tui

import (
	"slices"
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// column is a column of a table.
type column struct {
	title string
	most  int  // the widest that it gets; 0: as wide as its cells
	right bool // its cells end at the same place
	// rank is which columns are left out first when there is no room: those with the
	// highest. Those with 0 stay.
	rank int
}

// cell is a cell of a table.
type cell struct {
	text string
	tone tone
}

// row is a row of a table. Rows are told apart by their ids.
type row struct {
	id    string
	cells []cell
}

// table shows rows, of which one is chosen. It follows the chosen one when rows come
// and go.
type table struct {
	columns []column
	empty   string // what is said when there are no rows

	rows   []row
	shown  []int // rows that the filter shows
	widths []int
	filter filter
	marked map[string]bool
	chosen string // the id
	cursor int    // its place among those that are shown
	top    int
	page   int // rows that the last view had
}

// set replaces the rows.
func (t *table) set(rows []row) {
	t.rows = rows
	t.widths = make([]int, len(t.columns))
	for i, c := range t.columns {
		t.widths[i] = ansi.StringWidth(c.title)
	}
	for _, r := range rows {
		for i := range min(len(r.cells), len(t.columns)) {
			w := ansi.StringWidth(r.cells[i].text)
			if most := t.columns[i].most; most > 0 {
				w = min(w, most)
			}
			t.widths[i] = max(t.widths[i], w)
		}
	}
	t.refilter()
}

func (t *table) setFilter(f filter) {
	t.filter = f
	t.refilter()
}

func (t *table) refilter() {
	t.shown = t.shown[:0]
	at := -1
	var text strings.Builder
	for i, r := range t.rows {
		text.Reset()
		for _, c := range r.cells {
			text.WriteString(c.text)
			text.WriteByte(' ')
		}
		if !t.filter.shows(text.String()) {
			continue
		}
		if r.id == t.chosen {
			at = len(t.shown)
		}
		t.shown = append(t.shown, i)
	}
	if at >= 0 {
		t.cursor = at
	}
	t.choose(t.cursor)
}

// choose makes the row at a place the chosen one.
func (t *table) choose(at int) {
	t.cursor = max(0, min(at, len(t.shown)-1))
	if len(t.shown) > 0 {
		t.chosen = t.rows[t.shown[t.cursor]].id
	}
}

// selected returns the id of the chosen row.
func (t *table) selected() (string, bool) {
	if len(t.shown) == 0 {
		return "", false
	}
	return t.chosen, true
}

// selectedText returns the cells of the chosen row, to be copied.
func (t *table) selectedText() string {
	if len(t.shown) == 0 {
		return ""
	}
	var texts []string
	for _, c := range t.rows[t.shown[t.cursor]].cells {
		texts = append(texts, c.text)
	}
	return strings.TrimRight(strings.Join(texts, "  "), " ")
}

// act does what an action means in a table, and reports whether it means anything.
func (t *table) act(a action) bool {
	switch a {
	case actUp:
		t.choose(t.cursor - 1)
	case actDown:
		t.choose(t.cursor + 1)
	case actPageUp:
		t.choose(t.cursor - max(1, t.page-1))
	case actPageDown:
		t.choose(t.cursor + max(1, t.page-1))
	case actTop:
		t.choose(0)
	case actBottom:
		t.choose(len(t.shown) - 1)
	case actMark:
		if id, ok := t.selected(); ok {
			if t.marked == nil {
				t.marked = map[string]bool{}
			}
			if t.marked[id] {
				delete(t.marked, id)
			} else {
				t.marked[id] = true
			}
			t.choose(t.cursor + 1)
		}
	default:
		return false
	}
	return true
}

// picked returns the ids of the marked rows, or else that of the chosen one.
func (t *table) picked() []string {
	var ids []string
	for _, r := range t.rows {
		if t.marked[r.id] {
			ids = append(ids, r.id)
		}
	}
	if id, ok := t.selected(); ok && len(ids) == 0 {
		ids = append(ids, id)
	}
	return ids
}

const (
	// gap is the space between two columns.
	gap = 2
	// lastLeast is the room that the last column, which may be long, has in any case
	// before others are left out.
	lastLeast = 24
)

// fitting returns the columns that there is room for, and how wide each is.
func (t *table) fitting(width int) (columns, widths []int) {
	for i := range t.columns {
		columns = append(columns, i)
	}
	total := func() int {
		n := 1 + gap*(len(columns)-1)
		for at, i := range columns {
			if at == len(columns)-1 { // it has what is left
				n += min(t.widths[i], lastLeast)
			} else {
				n += t.widths[i]
			}
		}
		return n
	}
	for total() > width {
		worst := 0
		for at, i := range columns {
			if t.columns[i].rank > t.columns[columns[worst]].rank {
				worst = at
			}
		}
		if t.columns[columns[worst]].rank == 0 {
			break
		}
		columns = slices.Delete(columns, worst, worst+1)
	}
	room := max(0, width-1)
	for at, i := range columns {
		w := min(t.widths[i], room)
		if at == len(columns)-1 {
			w = room // the last has what is left
		}
		widths = append(widths, w)
		room = max(0, room-w-gap)
	}
	return columns, widths
}

// view returns the head and the rows around the chosen one, as many lines as height
// says. Without focus no row is chosen.
func (t *table) view(p palette, width, height int, focus bool) []string {
	if height <= 0 {
		return nil
	}
	if t.widths == nil {
		t.set(t.rows)
	}
	columns, widths := t.fitting(width)
	lines := []string{p.paint(headline, fit(t.line(columns, widths, " ", func(i int) cell { return cell{text: t.columns[i].title} }, nil), width))}
	if len(t.shown) == 0 {
		text := t.empty
		if len(t.rows) > 0 {
			text = "nothing matches " + t.filter.text
		}
		lines = append(lines, p.paint(dim, fit(" "+text, width)))
		return padLines(lines, width, height)
	}
	t.page = height - 1
	t.top = max(0, min(t.top, len(t.shown)-t.page))
	t.top = max(min(t.top, t.cursor), t.cursor-t.page+1)
	for at := t.top; at < min(len(t.shown), t.top+t.page); at++ {
		r := t.rows[t.shown[at]]
		mark := " "
		if t.marked[r.id] {
			mark = "*"
		}
		of := func(i int) cell {
			if i < len(r.cells) {
				return r.cells[i]
			}
			return cell{}
		}
		if focus && at == t.cursor {
			lines = append(lines, p.paint(chosen, fit(t.line(columns, widths, mark, of, nil), width)))
			continue
		}
		lines = append(lines, fit(t.line(columns, widths, mark, of, p.paint), width))
	}
	return padLines(lines, width, height)
}

// line returns a row; without paint it has no colours.
func (t *table) line(columns, widths []int, mark string, of func(i int) cell, paint func(tone, string) string) string {
	var b strings.Builder
	b.WriteString(mark)
	for at, i := range columns {
		c := of(i)
		text := fit(c.text, widths[at])
		if t.columns[i].right {
			text = fitRight(c.text, widths[at])
		}
		if paint != nil {
			text = paint(c.tone, text)
		}
		b.WriteString(text)
		if at < len(columns)-1 {
			b.WriteString(strings.Repeat(" ", gap))
		}
	}
	return b.String()
}

// padLines makes lines exactly so many.
func padLines(lines []string, width, height int) []string {
	for len(lines) < height {
		lines = append(lines, strings.Repeat(" ", max(0, width)))
	}
	return lines[:max(0, height)]
}
