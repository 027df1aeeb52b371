package front

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// kept is what is kept of an argument for the history: without the value where that is
// secret, which hidden then names by the flag that gives it again.
func (a typedArg) kept() (arg string, hidden []string) {
	switch {
	case !a.has && a.flag != "":
		return a.arg(), nil
	case (a.flag == "" || a.flag == "--json") && (a.value == "-" || strings.HasPrefix(a.value, "@")):
		return a.arg(), nil
	case a.flag == "" || a.flag == "--json":
		body, hidden := keptJSON(a.value)
		a.value = body
		return a.arg(), hidden
	case a.flag == "-H" || a.flag == "--header":
		name, value, _ := strings.Cut(a.value, ":")
		if IsSecret(name) && !isReference(value) {
			return "", []string{a.flag + " " + strings.TrimSpace(name)}
		}
	case IsSecret(a.flag) && !isReference(a.value):
		return "", []string{a.flag}
	case hasSecret(a.value):
		return "", []string{a.flag}
	}
	return a.arg(), nil
}

// IsSecret reports whether the name of a field, a header or a metadata key is one of
// what is neither kept nor shown.
func IsSecret(name string) bool {
	folded := strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r == '.' {
			return -1
		}
		return unicode.ToLower(r)
	}, name)
	for _, word := range []string{"password", "passwd", "passphrase", "token", "secret", "authorization", "cookie", "credential", "privatekey", "apikey"} {
		if strings.Contains(folded, word) {
			return true
		}
	}
	for part := range strings.FieldsFuncSeq(name, func(r rune) bool { return r == '-' || r == '_' || r == '.' }) {
		switch lower := strings.ToLower(part); {
		case strings.HasSuffix(lower, "key"), strings.HasSuffix(lower, "keys"), lower == "pwd", lower == "pin", lower == "otp", lower == "auth":
			return true
		}
	}
	return false
}

// isReference reports whether a value is nothing but what environment variables have,
// with the word before it that says what it is.
func isReference(value string) bool {
	value = strings.TrimSpace(value)
	for _, scheme := range []string{"Bearer ", "Basic ", "bearer ", "basic "} {
		value = strings.TrimPrefix(value, scheme)
	}
	parts := splitParts(value)
	for _, p := range parts {
		if p.Variable == "" {
			return false
		}
	}
	return true
}

// hasSecret reports whether the value of a flag is JSON, or pairs of a map, with a
// secret among them.
func hasSecret(value string) bool {
	if strings.HasPrefix(value, "{") || strings.HasPrefix(value, "[") {
		_, hidden := keptJSON(value)
		return len(hidden) > 0
	}
	if _, rest, ok := strings.Cut(value, "://"); ok {
		host, _, _ := strings.Cut(rest, "/")
		if user, _, ok := strings.Cut(host, "@"); ok && strings.Contains(user, ":") {
			return true // a password in an address
		}
	}
	for item := range strings.SplitSeq(value, ",") {
		if k, v, ok := strings.Cut(item, "="); ok && IsSecret(strings.Trim(k, `"`)) && !isReference(v) {
			return true
		}
	}
	return false
}

// masked stands for a secret in JSON.
const masked = "***"

// keptJSON returns JSON without its secrets, and the flags that give them again.
func keptJSON(text string) (kept string, hidden []string) {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		// It has environment variables outside of quotes, or is of another format.
		if isSecretText(text) {
			return masked, []string{"the body"}
		}
		return text, nil
	}
	if hidden = mask(v, "-", nil); len(hidden) == 0 {
		return text, nil // as it was typed
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(v) != nil {
		return masked, []string{"the body"}
	}
	return strings.TrimSuffix(b.String(), "\n"), hidden
}

// isSecretText reports whether something in a text is named like a secret.
func isSecretText(text string) bool {
	for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return !unicode.IsLetter(r) && r != '_' && r != '-' }) {
		if IsSecret(word) {
			return true
		}
	}
	return false
}

// mask replaces the secrets within a value, and returns hidden with their paths added.
func mask(v any, path string, hidden []string) []string {
	join := func(key string) string {
		if strings.Contains(key, ".") {
			key = `"` + key + `"`
		}
		if path == "-" {
			return "--" + key
		}
		return path + "." + key
	}
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			text, isText := v[k].(string)
			if IsSecret(k) && v[k] != nil && (!isText || !isReference(text)) {
				v[k] = masked
				hidden = append(hidden, join(k))
				continue
			}
			hidden = mask(v[k], join(k), hidden)
		}
	case []any:
		for i := range v {
			hidden = mask(v[i], join(strconv.Itoa(i)), hidden)
		}
	}
	return hidden
}

// Kept returns the arguments of a request as they are kept in the history, and the
// flags that have to be given again because their values are secret.
func (r *Request) Kept() (args, hidden []string) {
	for _, a := range r.typed {
		arg, flags := a.kept()
		if arg != "" {
			args = append(args, arg)
		}
		hidden = append(hidden, flags...)
	}
	return args, hidden
}
