package main

import (
	"iter"
	"strings"
	"unicode"
	"unicode/utf8"
)

// paragraphs yields the parts of a text between empty lines; code is set for those that
// are indented.
func paragraphs(text string) iter.Seq2[string, bool] {
	return func(yield func(string, bool) bool) {
		for part := range strings.SplitSeq(text, "\n\n") {
			part = strings.Trim(part, "\n")
			if part != "" && !yield(part, strings.HasPrefix(part, "  ")) {
				return
			}
		}
	}
}

// markdown returns plain text as Markdown.
func markdown(text string) string {
	var parts []string
	for part, code := range paragraphs(text) {
		if code {
			parts = append(parts, indented(part))
		} else {
			parts = append(parts, escape(part))
		}
	}
	return strings.Join(parts, "\n\n")
}

// indented returns the lines of a text as a block of code, where they are not already.
func indented(text string) string {
	lines := strings.Split(strings.Trim(text, "\n"), "\n")
	for i, line := range lines {
		if line = strings.TrimPrefix(line, "  "); line != "" {
			lines[i] = "    " + line
		}
	}
	return strings.Join(lines, "\n")
}

// escape keeps Markdown from taking something in a text for its own: a "_" within a word
// is none of that.
func escape(text string) string {
	var b strings.Builder
	before := ' '
	for i, c := range text {
		after, _ := utf8.DecodeRuneInString(text[i+utf8.RuneLen(c):])
		if strings.ContainsRune("\\*<`", c) || c == '_' && (!isWord(before) || !isWord(after)) {
			b.WriteByte('\\')
		}
		b.WriteRune(c)
		before = c
	}
	return b.String()
}

func isWord(c rune) bool { return unicode.IsLetter(c) || unicode.IsDigit(c) }
