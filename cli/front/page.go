package front

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// page is text for a terminal: paragraphs and rows that break between words.
type page struct {
	strings.Builder

	width int
}

// Widths of a page. Lines that are longer than the widest are hard to read.
const (
	unknownWidth  = 80
	narrowest     = 40
	widest        = 120
	widestLeft    = 34 // of the left column of rows
	narrowestText = 24 // of the right column
)

// newPage returns an empty page for a terminal of a width, 0 when that is unknown.
func newPage(width int) *page {
	if width <= 0 {
		width = unknownWidth
	}
	return &page{width: min(max(width, narrowest), widest)}
}

// heading begins a part of the page.
func (p *page) heading(format string, args ...any) {
	if p.Len() > 0 {
		p.WriteByte('\n')
	}
	p.wrap("", "", fmt.Sprintf(format, args...))
}

// line writes a line that does not break: a command to paste.
func (p *page) line(format string, args ...any) {
	fmt.Fprintf(p, format+"\n", args...)
}

// text writes what a comment says. Its paragraphs are filled, and lines that begin
// with a space or as the items of a list stay as they are.
func (p *page) text(indent, s string) {
	var paragraph []string
	flush := func() {
		if len(paragraph) > 0 {
			p.wrap(indent, indent, strings.Join(paragraph, " "))
		}
		paragraph = paragraph[:0]
	}
	for line := range strings.SplitSeq(strings.TrimSpace(s), "\n") {
		switch {
		case strings.TrimSpace(line) == "":
			flush()
			p.WriteByte('\n')
		case isLaidOut(line):
			flush()
			p.WriteString(indent + strings.TrimRight(line, " \t\r") + "\n")
		default:
			paragraph = append(paragraph, strings.TrimRight(line, " \t\r"))
		}
	}
	flush()
}

// isLaidOut reports whether a line of a comment has to stay a line.
func isLaidOut(line string) bool {
	return strings.ContainsAny(line[:1], " \t-*|#>") || strings.HasPrefix(line, "```")
}

// row is a line of two columns. Its text breaks within its column; without a left
// one it is a line between the others.
type row struct{ left, text string }

// rows writes rows, all of whose texts begin in one column. What is too long for the
// left one has its text below it.
func (p *page) rows(rows []row) { p.columns(rows, widestLeft) }

// columns is [page.rows] with a width of its own for the left column.
func (p *page) columns(rows []row, widest int) {
	left := 0
	for _, r := range rows {
		if n := utf8.RuneCountInString(r.left); n <= widest {
			left = max(left, n)
		}
	}
	if p.width-left-4 < narrowestText {
		left = 4
	}
	indent := strings.Repeat(" ", left+4)
	for _, r := range rows {
		n := utf8.RuneCountInString(r.left)
		switch {
		case r.left == "":
			p.wrap("  ", "    ", r.text)
		case r.text == "":
			p.line("  %s", r.left)
		case n > left:
			p.line("  %s", r.left)
			p.wrap(indent, indent, r.text)
		default:
			p.wrap("  "+r.left+strings.Repeat(" ", left-n+2), indent, r.text)
		}
	}
}

// wrap writes words, the first line behind one text and the others behind another.
func (p *page) wrap(first, indent, text string) {
	at, empty := utf8.RuneCountInString(first), true
	p.WriteString(first)
	for word := range strings.FieldsSeq(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case empty:
		case at+1+n > p.width:
			p.WriteString("\n" + indent)
			at = utf8.RuneCountInString(indent)
		default:
			p.WriteByte(' ')
			at++
		}
		p.WriteString(word)
		at, empty = at+n, false
	}
	p.WriteByte('\n')
}

// firstSentence returns the first sentence of a comment without its full stop.
func firstSentence(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	for i := range len(s) {
		if s[i] == '.' && (i+1 == len(s) || s[i+1] == ' ') {
			return s[:i]
		}
	}
	return s
}

// firstParagraph returns the first paragraph of a comment, as one line.
func firstParagraph(s string) string {
	if i := strings.Index(s, "\n\n"); i >= 0 {
		s = s[:i]
	}
	return strings.Join(strings.Fields(s), " ")
}
