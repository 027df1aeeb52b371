package front

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"github.com/micro/micro/v3/dynamic/request"
	"github.com/micro/micro/v3/dynamic/wire"
)

// exampleFields is how many flags an example has, beside those that have to be there.
const exampleFields = 3

// maxExampleDepth bounds how deep an example goes for what has to be there.
const maxExampleDepth = 5

// example returns flags of a request that can be pasted: all that are required, and
// a few more.
func (h *help) example(in wire.Message) string {
	var b strings.Builder
	for _, f := range h.exampleFlags(in, "", 0) {
		name := "--" + f.name
		if first, _, nested := strings.Cut(f.name, "."); isOption(first) && !nested {
			name = flagName(f.name)
		}
		b.WriteString(" " + name + "=" + inShell(f.value))
	}
	return b.String()
}

// exampleFlag is the name of a field, with those of the messages around it, and its
// value.
type exampleFlag struct{ name, value string }

func (h *help) exampleFlags(m wire.Message, prefix string, depth int) []exampleFlag {
	chosen := map[string]bool{} // of oneofs
	var flags []exampleFlag
	extra := exampleFields
	if depth > 0 {
		extra = 1
	}
	for _, f := range namedFields(m) {
		required := h.required(f.Field)
		sub, isMessage := f.Message()
		nested := isMessage && !f.IsMap() && sub.WellKnown() == 0
		switch {
		case required:
		case f.Deprecated() || extra == 0 || isMessage && !f.IsMap():
			continue
		case f.IsMap():
			if _, isMessage := f.Value().Message(); isMessage {
				continue
			}
		}
		if o, ok := f.Oneof(); ok {
			if chosen[o.Name()] {
				continue
			}
			chosen[o.Name()] = true
		}
		if !required {
			extra--
		}
		if !nested {
			flags = append(flags, exampleFlag{prefix + f.name, h.exampleValue(f.Field)})
			continue
		}
		path := prefix + f.name
		if f.IsList() {
			path += ".0"
		}
		var below []exampleFlag
		if depth < maxExampleDepth {
			below = h.exampleFlags(sub, path+".", depth+1)
		}
		if len(below) == 0 {
			below = []exampleFlag{{prefix + f.name, "{}"}}
		}
		flags = append(flags, below...)
	}
	return flags
}

// exampleValue returns a value that a field takes, and most services will.
func (h *help) exampleValue(f wire.Field) string {
	rules := h.docs.Of(f).Rules
	if f.IsMap() {
		key, value := exampleOf(f.Key(), rules, "keys"), exampleOf(f.Value(), rules, "values")
		if f.Key().Kind() == wire.StringKind && len(allowed(rules, "keys")) == 0 {
			key = "key"
		}
		return key + "=" + value
	}
	if f.IsList() {
		return exampleOf(f, rules, "items")
	}
	return exampleOf(f, rules, "")
}

// exampleOf returns a value by the rules for it, or for a part of it.
func exampleOf(f wire.Field, rules, of string) string {
	if sub, ok := f.Message(); ok {
		if sub.WellKnown() == wire.Wrapper {
			f, _ = sub.FieldByNumber(1)
		} else {
			return exampleWellKnown(sub)
		}
	}
	if values := allowed(rules, of); len(values) > 0 && f.Kind() != wire.EnumKind {
		return values[0]
	}
	switch f.Kind() {
	case wire.StringKind:
		return exampleText(f.Name(), ruleOf(rules, of))
	case wire.BytesKind:
		return "text"
	case wire.BoolKind:
		return "true"
	case wire.EnumKind:
		e, _ := f.Enum()
		name := "0"
		for v := range e.Values() {
			if name == "0" || !v.Deprecated() {
				name = v.Name() // the last: the first is mostly "unspecified"
			}
		}
		return name
	case wire.FloatKind, wire.DoubleKind:
		return exampleNumber(1.5, ruleOf(rules, of), 0.5)
	default:
		return exampleNumber(1, ruleOf(rules, of), 1)
	}
}

func exampleWellKnown(m wire.Message) string {
	switch m.WellKnown() {
	case wire.Timestamp:
		return "now"
	case wire.Duration:
		return "1m30s"
	case wire.FieldMask:
		return "name"
	case wire.ListValue:
		return "[]"
	case wire.Value:
		return "text"
	default:
		return "{}"
	}
}

// ruleOf returns the rules of protovalidate for a value, or a part of it.
func ruleOf(rules, of string) map[string]any {
	var all map[string]map[string]any
	_ = json.Unmarshal([]byte(rules), &all)
	for _, r := range all {
		if r == nil {
			continue // what is no rule of a type, such as required
		}
		if of == "" {
			return r
		}
		below, _ := r[of].(map[string]any)
		for _, r := range below {
			if r, ok := r.(map[string]any); ok {
				return r
			}
		}
	}
	return nil
}

// exampleText returns a text that keeps the rules which are easy to keep.
func exampleText(field string, rules map[string]any) string {
	for name, text := range map[string]string{
		"email": "alice@example.com", "hostname": "example.com", "ip": "192.0.2.1", "ipv4": "192.0.2.1", "ipv6": "2001:db8::1",
		"uri": "https://example.com", "uriRef": "/path", "address": "example.com", "uuid": "123e4567-e89b-42d3-a456-426614174000",
		"tuuid": "123e4567e89b42d3a456426614174000", "hostAndPort": "example.com:443",
	} {
		if rules[name] == true {
			return text
		}
	}
	text := "text"
	if request.Fold(field) == "name" {
		text = "Alice"
	}
	prefix, _ := rules["prefix"].(string)
	suffix, _ := rules["suffix"].(string)
	text = prefix + text + suffix
	const most = 1000 // nobody pastes more
	exact := number(rules["len"])
	letters := []rune(text)
	for float64(len(letters)) < min(max(number(rules["minLen"]), exact), most) {
		letters = append(letters, 'x')
	}
	for _, n := range []float64{exact, number(rules["maxLen"])} {
		if n > 0 && float64(len(letters)) > n {
			letters = letters[:int(n)]
		}
	}
	return string(letters)
}

// exampleNumber returns a number within bounds; step is what keeps it off a bound
// that is not in them.
func exampleNumber(v float64, rules map[string]any, step float64) string {
	if _, ok := rules["gt"]; ok && v <= number(rules["gt"]) {
		v = number(rules["gt"]) + step
	}
	if _, ok := rules["gte"]; ok {
		v = max(v, number(rules["gte"]))
	}
	if _, ok := rules["lt"]; ok && v >= number(rules["lt"]) {
		v = number(rules["lt"]) - step
	}
	if _, ok := rules["lte"]; ok {
		v = min(v, number(rules["lte"]))
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

// number reads a number of protobuf's JSON, 0 when it is none.
func number(v any) float64 {
	switch v := v.(type) {
	case float64:
		return v
	case string:
		if f, err := strconv.ParseFloat(v, 64); err == nil && !math.IsNaN(f) {
			return f
		}
	}
	return 0
}

// inShell writes a value so that a shell takes it for one word.
func inShell(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=@%+,", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
