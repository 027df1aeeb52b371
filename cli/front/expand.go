package front

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// UnsetError says that a value has the name of an environment variable that there
// is none of.
type UnsetError struct{ Name string }

func (e *UnsetError) Error() string {
	return fmt.Sprintf("the environment variable %s is not set, or empty", e.Name)
}

func (e *UnsetError) hint() string {
	return fmt.Sprintf("set %[1]s; if you mean the text ${%[1]s}, write $${%[1]s}", e.Name)
}

// expand puts the values of environment variables for ${NAME}; $${ stands for ${.
// Anything else in braces is text like any other.
func expand(s string, getenv func(string) string) (string, error) {
	return expandWith(s, getenv, func(_ int, v string) (string, error) { return v, nil })
}

// expandJSON does the same in JSON. Within a string the value is text; elsewhere it
// has to be JSON itself, so that no value changes what it does not stand for.
func expandJSON(text []byte, getenv func(string) string) ([]byte, error) {
	s := string(text)
	out, err := expandWith(s, getenv, func(at int, v string) (string, error) {
		if inString(s[:at]) {
			var b bytes.Buffer
			enc := json.NewEncoder(&b)
			enc.SetEscapeHTML(false)
			if err := enc.Encode(v); err != nil {
				return "", err
			}
			quoted := strings.TrimSuffix(b.String(), "\n")
			return quoted[1 : len(quoted)-1], nil
		}
		if !json.Valid([]byte(v)) {
			return "", &Error{
				Message: "the body has the value of an environment variable outside of quotes, and it is not JSON",
				Hint:    `put it in quotes: "${NAME}"`,
				Exit:    ExitUsage,
			}
		}
		return v, nil
	})
	return []byte(out), err
}

func expandWith(s string, getenv func(string) string, value func(at int, v string) (string, error)) (string, error) {
	if getenv == nil || !strings.Contains(s, "${") {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		rest := s[i:]
		name, whole := reference(rest)
		switch {
		case strings.HasPrefix(rest, "$${"):
			b.WriteString("${")
			i += len("$${")
		case name != "":
			v := getenv(name)
			if v == "" {
				return "", &UnsetError{name}
			}
			v, err := value(i, v)
			if err != nil {
				return "", err
			}
			b.WriteString(v)
			i += whole
		default:
			b.WriteByte(s[i])
			i++
		}
	}
	return b.String(), nil
}

// reference returns the name in a ${NAME} that s begins with, and how long that is;
// no name when it begins otherwise.
func reference(s string) (name string, size int) {
	rest, ok := strings.CutPrefix(s, "${")
	if !ok {
		return "", 0
	}
	for i, c := range []byte(rest) {
		switch {
		case c == '_', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9' && i > 0:
		case c == '}' && i > 0:
			return rest[:i], len("${") + i + 1
		default:
			return "", 0
		}
	}
	return "", 0
}

// inString reports whether JSON that ends here is within a string.
func inString(s string) bool {
	in := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			in = !in
		case s[i] == '\\' && in:
			i++
		}
	}
	return in
}
