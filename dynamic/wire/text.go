package wire

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// ordinary returns how many bytes at the start of b stand for themselves in a
// JSON string and are ASCII.
func ordinary(b []byte) int {
	i := 0
	for ; i+8 <= len(b); i += 8 {
		if found := special(binary.LittleEndian.Uint64(b[i:])); found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	// What is left is looked at together with what was before, or by fours.
	var rest uint64
	switch n := len(b); {
	case n == i:
		return n
	case n >= 8:
		rest = binary.LittleEndian.Uint64(b[n-8:])
	case n >= 4:
		rest = uint64(binary.LittleEndian.Uint32(b)) | uint64(binary.LittleEndian.Uint32(b[n-4:]))<<32
	default:
		rest = uint64(b[0]) | uint64(b[n/2])<<8 | uint64(b[n-1])<<16 | 0x6161616161000000
	}
	if special(rest) == 0 {
		return len(b)
	}
	for ; i < len(b); i++ {
		if c := b[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			break
		}
	}
	return i
}

const ones = 0x0101010101010101

// special sets the high bit of bytes in w that do not stand for themselves in a
// JSON string or are not ASCII: exactly that of the lowest, and of those above it
// perhaps more.
func special(w uint64) uint64 {
	return (w | (w - ones*0x20) | ((w ^ ones*'"') - ones) | ((w ^ ones*'\\') - ones)) & (ones * 0x80)
}

// appendString appends a JSON string, false when s is not UTF-8.
func appendString(dst, s []byte) ([]byte, bool) {
	const hex = "0123456789abcdef"
	if n := len(dst); cap(dst)-n >= len(s)+2 && ordinary(s) == len(s) {
		dst = dst[:n+len(s)+2]
		dst[n] = '"'
		copy(dst[n+1:], s)
		dst[len(dst)-1] = '"'
		return dst, true
	}
	dst = append(dst, '"')
	for {
		n := ordinary(s)
		dst = append(dst, s[:n]...)
		s = s[n:]
		if len(s) == 0 {
			return append(dst, '"'), true
		}
		switch c := s[0]; {
		case c >= utf8.RuneSelf:
			r, n := utf8.DecodeRune(s)
			if r == utf8.RuneError && n == 1 {
				return dst, false
			}
			dst = append(dst, s[:n]...)
			s = s[n:]
			continue
		case c == '"', c == '\\':
			dst = append(dst, '\\', c)
		case c == '\b':
			dst = append(dst, '\\', 'b')
		case c == '\f':
			dst = append(dst, '\\', 'f')
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		s = s[1:]
	}
}

// lexString looks at the JSON string at the start of b, which is a quote. It
// returns the length with both quotes and whether there are escapes inside,
// which it does not look at. When there is no string, reason says why and n is
// where.
func lexString(b []byte) (n int, escaped bool, reason string) {
	i := 1
	for {
		i += ordinary(b[i:])
		if i >= len(b) {
			return i, false, unexpectedEnd
		}
		switch c := b[i]; {
		case c == '"':
			return i + 1, escaped, ""
		case c == '\\':
			escaped = true
			if i += 2; i > len(b) {
				return len(b), false, unexpectedEnd
			}
		case c < ' ':
			return i, false, "control character in a string"
		default:
			r, n := utf8.DecodeRune(b[i:])
			if r == utf8.RuneError && n == 1 {
				return i, false, "invalid UTF-8 in a string"
			}
			i += n
		}
	}
}

const unexpectedEnd = "unexpected end of input"

// unescape appends what the inside of a JSON string means, false when there is
// an escape that means nothing.
func unescape(dst, s []byte) ([]byte, bool) {
	for {
		i := bytes.IndexByte(s, '\\')
		if i < 0 {
			return append(dst, s...), true
		}
		dst = append(dst, s[:i]...)
		if i+1 >= len(s) {
			return dst, false
		}
		c := s[i+1]
		s = s[i+2:]
		switch c {
		case '"', '\\', '/':
			dst = append(dst, c)
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r, ok := hex4(s)
			if !ok {
				return dst, false
			}
			s = s[4:]
			if utf16.IsSurrogate(r) {
				if len(s) < 2 || s[0] != '\\' || s[1] != 'u' {
					return dst, false
				}
				low, ok := hex4(s[2:])
				if r = utf16.DecodeRune(r, low); !ok || r == utf8.RuneError {
					return dst, false
				}
				s = s[6:]
			}
			dst = utf8.AppendRune(dst, r)
		default:
			return dst, false
		}
	}
}

// hex4 returns the value of the four hexadecimal digits at the start of b.
func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range b[:4] {
		switch {
		case isDigit(c):
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}
