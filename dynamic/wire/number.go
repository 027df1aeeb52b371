package wire

import (
	"math"
	"strconv"
)

// delimits reports whether a byte may follow a number or a word in JSON.
func delimits(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
		c == '-', c == '+', c == '.', c == '_':
		return false
	default:
		return true
	}
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// lexNumber returns the length of the JSON number at the start of b, 0 when
// there is none.
//
// As protojson does, it takes an exponent without digits when something follows
// it: "1e," is a number, "1e" alone is not.
func lexNumber(b []byte) int {
	i := 0
	if i < len(b) && b[i] == '-' {
		i++
	}
	switch {
	case i >= len(b):
		return 0
	case b[i] == '0':
		i++
	case isDigit(b[i]):
		for i < len(b) && isDigit(b[i]) {
			i++
		}
	default:
		return 0
	}
	if i+1 < len(b) && b[i] == '.' && isDigit(b[i+1]) {
		i += 2
		for i < len(b) && isDigit(b[i]) {
			i++
		}
	}
	if i+1 < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if b[i] == '+' || b[i] == '-' {
			i++
			if i == len(b) {
				return 0
			}
		}
		for i < len(b) && isDigit(b[i]) {
			i++
		}
	}
	if i < len(b) && !delimits(b[i]) {
		return 0
	}
	return i
}

// maxDigits is how many digits the greatest integer has.
const maxDigits = 20

// integer returns the value of a JSON number, false when it is no integer or
// does not fit into 64 bits and a sign. Every lexical form of an integer is one:
// 1.0, 100e-2, 0.5e1.
func integer(b []byte) (magnitude uint64, negative, ok bool) {
	if len(b) > 0 && b[0] == '-' {
		negative, b = true, b[1:]
	}
	if n, ok := digits(b); ok {
		return n, negative && n > 0, true
	}
	whole, fraction, exponent := split(b)
	if len(whole) == 0 && len(fraction) == 0 {
		return 0, false, true
	}
	exp := 0
	if len(exponent) > 0 {
		n, err := strconv.ParseInt(string(exponent), 10, 32)
		if err != nil {
			return 0, false, false
		}
		exp = int(n)
	}
	// The digits are those of whole and fraction, shifted by exp.
	zeros := 0
	if exp >= 0 {
		if len(fraction) > exp || len(whole)+exp > maxDigits {
			return 0, false, false
		}
		zeros = exp - len(fraction)
	} else {
		keep := len(whole) + exp
		if len(fraction) > 0 || keep < 0 {
			return 0, false, false
		}
		for _, c := range whole[keep:] {
			if c != '0' {
				return 0, false, false
			}
		}
		whole = whole[:keep]
	}
	for _, part := range [...][]byte{whole, fraction} {
		for _, c := range part {
			if magnitude, ok = shift(magnitude, c-'0'); !ok {
				return 0, false, false
			}
		}
	}
	for range zeros {
		if magnitude, ok = shift(magnitude, 0); !ok {
			return 0, false, false
		}
	}
	return magnitude, negative, true
}

// digits returns the value of a number that is nothing but digits, and not so
// many that it could overflow.
func digits(b []byte) (n uint64, ok bool) {
	if len(b) == 0 || len(b) >= maxDigits {
		return 0, false
	}
	for _, c := range b {
		if !isDigit(c) {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return n, true
}

// shift appends a digit to a number.
func shift(n uint64, digit byte) (uint64, bool) {
	if n > math.MaxUint64/10 {
		return 0, false
	}
	n = n*10 + uint64(digit)
	return n, n >= uint64(digit)
}

// split returns the parts of a JSON number without its sign: the digits before
// the point without a leading zero, those behind it without trailing ones, and
// the exponent with its sign.
func split(b []byte) (whole, fraction, exponent []byte) {
	i := 0
	for i < len(b) && isDigit(b[i]) {
		i++
	}
	whole, b = b[:i], b[i:]
	if len(whole) == 1 && whole[0] == '0' {
		whole = nil
	}
	if len(b) > 0 && b[0] == '.' {
		i = 1
		for i < len(b) && isDigit(b[i]) {
			i++
		}
		fraction, b = b[1:i], b[i:]
		for len(fraction) > 0 && fraction[len(fraction)-1] == '0' {
			fraction = fraction[:len(fraction)-1]
		}
	}
	if len(b) > 0 {
		exponent = b[1:]
	}
	return whole, fraction, exponent
}

// signed returns the value of a JSON number as a signed integer of so many bits.
func signed(b []byte, bits uint) (int64, bool) {
	m, negative, ok := integer(b)
	limit := uint64(1) << (bits - 1)
	switch {
	case !ok:
		return 0, false
	case negative:
		return -int64(m), m <= limit
	default:
		return int64(m), m < limit
	}
}

// unsigned returns the value of a JSON number as an unsigned integer of so many
// bits.
func unsigned(b []byte, bits uint) (uint64, bool) {
	m, negative, ok := integer(b)
	return m, ok && !negative && (bits == 64 || m < 1<<bits)
}

// appendFloat appends a number as JSON has it, with the fewest digits that give
// it back.
func appendFloat(dst []byte, f float64, bits int) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, `"NaN"`...)
	case math.IsInf(f, +1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(dst, `"-Infinity"`...)
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 {
		if bits == 64 && (abs < 1e-6 || abs >= 1e21) ||
			bits == 32 && (float32(abs) < 1e-6 || float32(abs) >= 1e21) {
			format = 'e'
		}
	}
	dst = strconv.AppendFloat(dst, f, format, -1, bits)
	if n := len(dst); format == 'e' && n >= 4 && dst[n-4] == 'e' && dst[n-3] == '-' && dst[n-2] == '0' {
		dst[n-2] = dst[n-1] // e-09 is e-9
		dst = dst[:n-1]
	}
	return dst
}
