package tui

import (
	"regexp"
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// filter leaves lines out: those that do not match, or with a "!" before it those that
// do. It is a regular expression, or when it is none, what has to be there. Case does
// not matter.
type filter struct {
	text    string
	pattern *regexp.Regexp
	inverse bool
}

func newFilter(text string) filter {
	f := filter{text: text}
	expr, inverse := strings.CutPrefix(text, "!")
	f.inverse = inverse
	if expr == "" {
		return f
	}
	var err error
	if f.pattern, err = regexp.Compile("(?i)" + expr); err != nil {
		f.pattern = regexp.MustCompile("(?i)" + regexp.QuoteMeta(expr))
	}
	return f
}

// shows reports whether a text is left in.
func (f filter) shows(text string) bool {
	if f.pattern == nil {
		return true
	}
	return f.pattern.MatchString(ansi.Strip(text)) != f.inverse
}
