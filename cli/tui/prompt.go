package tui

import (
	"strings"
	"unicode"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
)

// prompt is a line that somebody types into, at the bottom of the screen.
type prompt struct {
	label string
	text  []rune
	at    int // where the next rune goes
	// changed is told of each change, done of the end of it; complete returns what
	// Tab makes of the text.
	changed  func(text string)
	done     func(text string) tea.Cmd
	complete func(text string) string
	// move is what keys do that move in what is shown above; nil: nothing.
	move func(a action)
}

// minTyped is the room that what is typed has, before its label is cut.
const minTyped = 12

// maxTyped bounds what is typed or pasted into a prompt.
const maxTyped = 1000

// insert puts text where the cursor is, without what is no printable character.
func (p *prompt) insert(text string) {
	for _, r := range text {
		if r == utf8.RuneError || !unicode.IsPrint(r) || len(p.text) >= maxTyped {
			continue
		}
		p.text = append(p.text[:p.at], append([]rune{r}, p.text[p.at:]...)...)
		p.at++
	}
}

// key does what a key means in a prompt, and reports whether it ended the prompt.
func (p *prompt) key(key, text string) (done, cancelled bool) {
	before := string(p.text)
	switch key {
	case "enter":
		return true, false
	case "esc":
		return false, true
	case "left", "ctrl+b":
		p.at = max(0, p.at-1)
	case "right", "ctrl+f":
		p.at = min(len(p.text), p.at+1)
	case "home", "ctrl+a":
		p.at = 0
	case "end", "ctrl+e":
		p.at = len(p.text)
	case "backspace", "ctrl+h":
		if p.at == 0 {
			return false, len(p.text) == 0
		}
		p.text, p.at = append(p.text[:p.at-1], p.text[p.at:]...), p.at-1
	case "delete", "ctrl+d":
		if p.at < len(p.text) {
			p.text = append(p.text[:p.at], p.text[p.at+1:]...)
		}
	case "ctrl+u":
		p.text, p.at = p.text[p.at:], 0
	case "ctrl+k":
		p.text = p.text[:p.at]
	case "ctrl+w":
		p.deleteWord()
	case "tab":
		if p.complete != nil {
			p.text = []rune(p.complete(string(p.text)))
			p.at = len(p.text)
		}
	case "up", "down", "pgup", "pgdown":
		if p.move != nil {
			p.move(map[string]action{"up": actUp, "down": actDown, "pgup": actPageUp, "pgdown": actPageDown}[key])
		}
	default:
		p.insert(text)
	}
	if after := string(p.text); after != before && p.changed != nil {
		p.changed(after)
	}
	return false, false
}

func (p *prompt) deleteWord() {
	begin := p.at
	for begin > 0 && p.text[begin-1] == ' ' {
		begin--
	}
	for begin > 0 && p.text[begin-1] != ' ' {
		begin--
	}
	p.text, p.at = append(p.text[:begin], p.text[p.at:]...), begin
}

// view returns the line, and the column of the cursor in it. Of a text that is too
// long the part around the cursor is shown.
func (p *prompt) view(width int) (string, int) {
	before, after := string(p.text[:p.at]), string(p.text[p.at:])
	label := p.label
	if ansi.StringWidth(label) > width-minTyped { // what is typed has to be seen
		label = ansi.TruncateLeft(label, ansi.StringWidth(label)-max(0, width-minTyped), "")
	}
	room := max(1, width-ansi.StringWidth(label)-1)
	if n := ansi.StringWidth(before); n > room {
		before = ansi.TruncateLeft(before, n-room+1, "…")
	}
	line := label + before
	return fit(line+after, width), min(ansi.StringWidth(line), max(0, width-1))
}

// completeWord returns the longest beginning that all words have which begin with text.
func completeWord(text string, words []string) string {
	found, ok := "", false
	for _, w := range words {
		if !strings.HasPrefix(w, text) {
			continue
		}
		if !ok {
			found, ok = w, true
			continue
		}
		for !strings.HasPrefix(w, found) {
			found = found[:len(found)-1]
		}
	}
	if !ok {
		return text
	}
	return found
}
