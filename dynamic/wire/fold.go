package wire

import "strings"

// People write a name in many ways: case, '-' and '_' do not count. Folded, it has none
// of them.

// fold returns a name without what does not count.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == '_' {
			return -1
		}
		if r >= 'A' && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, name)
}

// compareFolded compares a name with one that is folded. The second result is whether
// it begins with that.
func compareFolded(name []byte, folded string) (order int, prefix bool) {
	for _, c := range name {
		if c == '-' || c == '_' {
			continue
		}
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		switch {
		case folded == "":
			return +1, true // it goes on
		case c < folded[0]:
			return -1, false
		case c > folded[0]:
			return +1, false
		}
		folded = folded[1:]
	}
	if folded != "" {
		return -1, false
	}
	return 0, true
}
