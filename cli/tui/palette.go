package tui

import (
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// tone is what a piece of text means, and so which colour it has.
type tone int

const (
	plain  tone = iota
	strong      // what stands out
	dim         // what may be passed over
	good
	warn
	bad
	accent   // names of keys and of places
	chosen   // the row that keys act on
	headline // the first line and the heads of tables
)

// palette has the colours of a theme. Nothing is said by colour alone.
type palette struct {
	light, none bool
}

func newPalette(theme string) palette {
	return palette{light: theme == "light", none: theme == "none"}
}

// style returns how a tone looks. The colours are those that the terminal has for
// their names, but where these cannot be read on white.
func (p palette) style(t tone) ansi.Style {
	var s ansi.Style
	pick := func(dark, light ansi.Color) ansi.Style {
		switch {
		case p.none:
			return s
		case p.light:
			return s.ForegroundColor(light)
		default:
			return s.ForegroundColor(dark)
		}
	}
	switch t {
	case strong:
		return s.Bold()
	case dim:
		return pick(ansi.IndexedColor(245), ansi.IndexedColor(243))
	case good:
		return pick(ansi.Green, ansi.IndexedColor(28))
	case warn:
		return pick(ansi.Yellow, ansi.IndexedColor(130)).Bold()
	case bad:
		return pick(ansi.BrightRed, ansi.IndexedColor(160)).Bold()
	case accent:
		return pick(ansi.Cyan, ansi.IndexedColor(25))
	case chosen:
		return s.Reverse(true)
	case headline:
		return pick(ansi.Cyan, ansi.IndexedColor(25)).Bold()
	default:
		return s
	}
}

// paint returns text in a tone.
func (p palette) paint(t tone, text string) string {
	s := p.style(t)
	if len(s) == 0 || text == "" {
		return text
	}
	return s.Styled(text)
}

// fit returns text that is exactly so wide: cut, or with spaces behind it.
func fit(text string, width int) string {
	if width <= 0 {
		return ""
	}
	n := ansi.StringWidth(text)
	if n > width {
		text = ansi.Truncate(text, width, "…")
		n = ansi.StringWidth(text)
	}
	return text + strings.Repeat(" ", max(0, width-n))
}

// fitRight is fit with the spaces before the text.
func fitRight(text string, width int) string {
	if n := ansi.StringWidth(text); n < width {
		return strings.Repeat(" ", width-n) + text
	}
	return fit(text, width)
}

// ends returns a line with one text at its left and one at its right; the left one
// gives way.
func ends(left, right string, width int) string {
	n := ansi.StringWidth(right)
	if n == 0 || n+2 > width {
		return fit(left, width)
	}
	return fit(left, width-n-1) + " " + right
}
