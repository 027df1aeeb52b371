package front

import (
	"io"
	"unicode/utf8"

	"github.com/micro/micro/v3/dynamic/wire"
)

// lineWidth is how wide an answer may be to be printed on one line.
const lineWidth = 80

// PrintJSON writes compact JSON for a person: on one line when that is short, else
// indented, and without control characters. For FormatJSON it is one line, as it
// is, which programs read line by line.
func PrintJSON(w io.Writer, compact []byte, f Format) error {
	var b []byte
	if f == FormatJSON {
		b = append(b, compact...)
	} else {
		compact = appendPrintableJSON(nil, compact)
		b = appendSpaced(b, compact)
		if utf8.RuneCount(b) > lineWidth {
			b = wire.AppendIndent(b[:0], compact, "  ")
		}
	}
	_, err := w.Write(append(b, '\n'))
	return err
}

// appendSpaced appends JSON with a space after each colon and comma.
func appendSpaced(dst, compact []byte) []byte {
	inString := false
	for i := 0; i < len(compact); i++ {
		c := compact[i]
		dst = append(dst, c)
		switch {
		case inString && c == '\\' && i+1 < len(compact):
			i++
			dst = append(dst, compact[i])
		case c == '"':
			inString = !inString
		case !inString && (c == ':' || c == ','):
			dst = append(dst, ' ')
		}
	}
	return dst
}
