package front

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// What servers and services say is shown on terminals, which take some of it for
// orders: to write elsewhere, to change the title, to answer with what is then
// taken for typed. So whatever is printed for people goes through one of the
// functions of this file; for programs (-o json) it stays as it is.

// Line returns s as a part of one line: what would end the line or the cell of a
// table is a space, and every other control character is shown as an escape
// such as \x1b. So are bytes that are no UTF-8.
func Line(s string) string {
	return printable(s, func(b *strings.Builder, r rune, _ string) int {
		if r == '\n' || r == '\t' || r == '\r' {
			b.WriteByte(' ')
			return 1
		}
		return 0
	})
}

// Lines is [Line] for text of several lines, whose ends and tabs stay.
func Lines(s string) string {
	return printable(s, func(b *strings.Builder, r rune, rest string) int {
		switch {
		case r == '\n' || r == '\t':
			b.WriteByte(byte(r))
			return 1
		case strings.HasPrefix(rest, "\r\n"):
			b.WriteByte('\n')
			return 2
		default:
			return 0
		}
	})
}

// Colored is [Line] for what a service of the user's own writes: it may have colours
// and the like (SGR sequences), which end with the line. Tabs stay.
func Colored(s string) string {
	colored := false
	out := printable(s, func(b *strings.Builder, r rune, rest string) int {
		switch {
		case r == '\t':
			b.WriteByte('\t')
			return 1
		case r == '\n' || r == '\r':
			b.WriteByte(' ')
			return 1
		case r != '\x1b':
			return 0
		}
		n := sgr(rest)
		b.WriteString(rest[:n])
		colored = colored || n > 0
		return n
	})
	if colored {
		out += "\x1b[0m"
	}
	return out
}

// sgr returns the length of the SGR sequence that s begins with, 0 when it begins
// with none.
func sgr(s string) int {
	rest, ok := strings.CutPrefix(s, "\x1b[")
	if !ok {
		return 0
	}
	end := strings.IndexFunc(rest, func(r rune) bool { return (r < '0' || r > '9') && r != ';' && r != ':' })
	if end < 0 || rest[end] != 'm' {
		return 0
	}
	return len("\x1b[") + end + 1
}

// printable replaces control characters. For each of them special may write
// something else; it returns how many bytes of the rest that begins with the
// character that stands for, 0 to have it escaped.
func printable(s string, special func(b *strings.Builder, r rune, rest string) int) string {
	if isPrintable(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case !isControl(r):
			b.WriteString(s[i : i+size])
		default:
			if n := special(&b, r, s[i:]); n > 0 {
				size = n
			} else if r < utf8.RuneSelf {
				fmt.Fprintf(&b, `\x%02x`, r)
			} else {
				fmt.Fprintf(&b, `\u%04x`, r)
			}
		}
		i += size
	}
	return b.String()
}

func isPrintable(s string) bool {
	return !strings.ContainsFunc(s, isControl) && utf8.ValidString(s)
}

// isControl reports whether a character is of C0 or C1, or DEL. Some terminals take
// those of C1 for the escape sequences that they abbreviate.
func isControl(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }

// appendPrintableJSON appends JSON whose strings have no control characters: those
// that JSON allows in them are escaped, as it also allows.
func appendPrintableJSON(dst, json []byte) []byte {
	const hex = "0123456789abcdef"
	for len(json) > 0 {
		// DEL, or the first byte of U+0080 to U+00BF.
		i := bytes.IndexByte(json, 0x7f)
		if j := bytes.IndexByte(json, 0xc2); j >= 0 && (i < 0 || j < i) {
			i = j
		}
		if i < 0 {
			break
		}
		r, size := utf8.DecodeRune(json[i:])
		dst = append(dst, json[:i]...)
		if isControl(r) {
			dst = append(dst, '\\', 'u', '0', '0', hex[r>>4], hex[r&0xf])
		} else {
			dst = append(dst, json[i:i+size]...)
		}
		json = json[i+size:]
	}
	return append(dst, json...)
}
