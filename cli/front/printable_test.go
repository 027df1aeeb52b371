package front

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestPrintable(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, in, line, lines, colored string }{
		{"plain", "Hello, Welt — 世界 😀", "Hello, Welt — 世界 😀", "Hello, Welt — 世界 😀", "Hello, Welt — 世界 😀"},
		{"empty", "", "", "", ""},
		{"white space", "a\tb\nc", "a b c", "a\tb\nc", "a\tb c"},
		{"line ends of Windows", "a\r\nb", "a  b", "a\nb", "a  b"},
		{"carriage return that hides", "harmful\rharmless", "harmful harmless", `harmful\x0dharmless`, "harmful harmless"},
		{"backspace", "a\bb", `a\x08b`, `a\x08b`, `a\x08b`},
		{"bell and NUL", "\a\x00", `\x07\x00`, `\x07\x00`, `\x07\x00`},
		{"DEL", "a\x7f", `a\x7f`, `a\x7f`, `a\x7f`},
		{"colour", "\x1b[1;31mred\x1b[0m!", `\x1b[1;31mred\x1b[0m!`, `\x1b[1;31mred\x1b[0m!`, "\x1b[1;31mred\x1b[0m!\x1b[0m"},
		{"colour that does not end", "\x1b[38:2::1:2:3mx", `\x1b[38:2::1:2:3mx`, `\x1b[38:2::1:2:3mx`, "\x1b[38:2::1:2:3mx\x1b[0m"},
		{"short reset", "\x1b[m", `\x1b[m`, `\x1b[m`, "\x1b[m\x1b[0m"},
		{"clear the screen", "\x1b[2J\x1b[H", `\x1b[2J\x1b[H`, `\x1b[2J\x1b[H`, `\x1b[2J\x1b[H`},
		{"device status, which answers", "\x1b[6n", `\x1b[6n`, `\x1b[6n`, `\x1b[6n`},
		{"private mode that looks like a colour", "\x1b[?1m", `\x1b[?1m`, `\x1b[?1m`, `\x1b[?1m`},
		{"modifier keys that look like a colour", "\x1b[>4;1m", `\x1b[>4;1m`, `\x1b[>4;1m`, `\x1b[>4;1m`},
		{"colour with an intermediate", "\x1b[1 m", `\x1b[1 m`, `\x1b[1 m`, `\x1b[1 m`},
		{"cut off", "\x1b[3", `\x1b[3`, `\x1b[3`, `\x1b[3`},
		{"escape at the end", "x\x1b", `x\x1b`, `x\x1b`, `x\x1b`},
		{"window title", "\x1b]0;title\a", `\x1b]0;title\x07`, `\x1b]0;title\x07`, `\x1b]0;title\x07`},
		{"hyperlink", "\x1b]8;;http://x\x1b\\", `\x1b]8;;http://x\x1b\`, `\x1b]8;;http://x\x1b\`, `\x1b]8;;http://x\x1b\`},
		{"device control", "\x1bP$q\x1b\\", `\x1bP$q\x1b\`, `\x1bP$q\x1b\`, `\x1bP$q\x1b\`},
		{"C1 in UTF-8", "\u009b2J\u009d", `\u009b2J\u009d`, `\u009b2J\u009d`, `\u009b2J\u009d`},
		{"C1 as bytes", "\x9b2J", `\x9b2J`, `\x9b2J`, `\x9b2J`},
		{"an escape within a sequence", "\x1b[1\x1b[31m", `\x1b[1\x1b[31m`, `\x1b[1\x1b[31m`, `\x1b[1` + "\x1b[31m\x1b[0m"},
		{"no UTF-8", "na\xefve", `na\xefve`, `na\xefve`, `na\xefve`},
		{"half a rune", "😀"[:3], `\xf0\x9f\x98`, `\xf0\x9f\x98`, `\xf0\x9f\x98`},
		{"the replacement character itself", "\ufffd", "\ufffd", "\ufffd", "\ufffd"},
		{"no-break space is none", "a\u00a0b", "a\u00a0b", "a\u00a0b", "a\u00a0b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := Line(tt.in); got != tt.line {
				t.Errorf("Line(%q) = %q, want %q", tt.in, got, tt.line)
			}
			if got := Lines(tt.in); got != tt.lines {
				t.Errorf("Lines(%q) = %q, want %q", tt.in, got, tt.lines)
			}
			if got := Colored(tt.in); got != tt.colored {
				t.Errorf("Colored(%q) = %q, want %q", tt.in, got, tt.colored)
			}
		})
	}
}

// withoutColours takes SGR sequences out of a text, as a reader of this file would
// write it down and not as the code does.
func withoutColours(s string) string {
	for {
		i := strings.Index(s, "\x1b[")
		if i < 0 {
			return s
		}
		j := i + 2
		for j < len(s) && strings.IndexByte("0123456789;:", s[j]) >= 0 {
			j++
		}
		if j == len(s) || s[j] != 'm' {
			return s
		}
		s = s[:i] + s[j+1:]
	}
}

func FuzzPrintable(f *testing.F) {
	for _, s := range []string{"", "a\tb\r\n", "\x1b[31mx", "\x1b[2J", "\u009b1m", "\x9b", "\x1b\x1b[1m", "\x7f", "\xf0\x9f"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for name, got := range map[string]string{
			"Line":    Line(s),
			"Lines":   strings.NewReplacer("\n", "", "\t", "").Replace(Lines(s)),
			"Colored": strings.ReplaceAll(withoutColours(Colored(s)), "\t", ""),
		} {
			if strings.ContainsFunc(got, isControl) || !utf8.ValidString(got) {
				t.Errorf("%s(%q) leaves %q", name, s, got)
			}
		}
		if isPrintable(s) && (Line(s) != s || Lines(s) != s || Colored(s) != s) {
			t.Errorf("%q was changed", s)
		}
	})
}

func FuzzAppendPrintableJSON(f *testing.F) {
	for _, s := range []string{"", "a\x7fb", "\u0080\u009f\u00a0\u00bf", "\xc2", "é\u0085"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		in, err := json.Marshal(map[string]string{s: s})
		if err != nil {
			t.Fatal(err)
		}
		got := appendPrintableJSON(nil, in)
		if bytes.ContainsFunc(got, isControl) {
			t.Errorf("%q leaves %q", in, got)
		}
		var before, after map[string]string
		if err := json.Unmarshal(in, &before); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(got, &after); err != nil || !reflect.DeepEqual(before, after) {
			t.Errorf("%q became %q (%v)", in, got, err)
		}
	})
}
