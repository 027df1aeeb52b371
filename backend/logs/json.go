package logs

import "strings"

// ofJSON looks for a level among the fields of an object, and of the object in its
// field "log". It builds nothing and does not mind where the object is cut off.
func ofJSON(s string) Level {
	for i := 1; ; {
		key, next := jsonString(s, i)
		if next < 0 {
			return 0
		}
		i = skipSpace(s, next)
		if i >= len(s) || s[i] != ':' {
			return 0
		}
		i = skipSpace(s, i+1)
		end := jsonValue(s, i)
		if l := ofField(key, s[i:end]); l != 0 {
			return l
		}
		i = end
	}
}

func ofField(key, value string) Level {
	value = strings.TrimRight(value, " \t")
	switch {
	case value == "":
		return 0
	case key == "log" && value[0] == '{':
		return ofJSON(value)
	case !isLevelKey(key):
		return 0
	case value[0] == '"':
		return ofName(strings.Trim(value, `"`))
	default:
		return ofNumber(value)
	}
}

// jsonString returns the next string in s from i on, with its escapes, and where s goes
// on behind it; -1 when there is none before the object ends.
func jsonString(s string, i int) (string, int) {
	for ; i < len(s) && s[i] != '"'; i++ {
		if s[i] == '}' {
			return "", -1
		}
	}
	if i >= len(s) {
		return "", -1
	}
	end := endOfString(s, i)
	return strings.Trim(s[i:end], `"`), end
}

// endOfString returns where the string ends that begins at i.
func endOfString(s string, i int) int {
	for i++; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(s)
}

// jsonValue returns where the value ends that begins at i.
func jsonValue(s string, i int) int {
	for depth := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			i = endOfString(s, i) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			depth--
		case ',':
			if depth == 0 {
				return i
			}
		}
	}
	return len(s)
}

func skipSpace(s string, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\t') {
		i++
	}
	return i
}
