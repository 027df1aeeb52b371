package front

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// rule is one of protovalidate's: its name in JSON, what a number of it means to
// people ("%s" is its value), and for a switch what it says.
type rule struct{ name, value, on string }

// rulesInOrder are the rules that have words of their own, in the order in which
// they are told. Others are told by their names.
func rulesInOrder() []rule {
	return []rule{
		{"const", "Only %s", ""},
		{"in", "One of %s", ""},
		{"notIn", "None of %s", ""},
		{"len", "%s characters", ""},
		{"minLen", "At least %s characters", ""},
		{"maxLen", "At most %s characters", ""},
		{"lenBytes", "%s bytes", ""},
		{"minBytes", "At least %s bytes", ""},
		{"maxBytes", "At most %s bytes", ""},
		{"minItems", "At least %s of them", ""},
		{"maxItems", "At most %s of them", ""},
		{"minPairs", "At least %s keys", ""},
		{"maxPairs", "At most %s keys", ""},
		{"gt", "More than %s", ""},
		{"gte", "At least %s", ""},
		{"lt", "Less than %s", ""},
		{"lte", "At most %s", ""},
		{"within", "Within %s of now", ""},
		{"pattern", "Matches %s", ""},
		{"prefix", "Begins with %s", ""},
		{"suffix", "Ends with %s", ""},
		{"contains", "Contains %s", ""},
		{"notContains", "Without %s", ""},
		{"email", "", "An email address"},
		{"hostname", "", "A host name"},
		{"ip", "", "An IP address"},
		{"ipv4", "", "An IPv4 address"},
		{"ipv6", "", "An IPv6 address"},
		{"uri", "", "A URI"},
		{"uriRef", "", "A URI or a part of one"},
		{"address", "", "A host name or IP address"},
		{"hostAndPort", "", "HOST:PORT"},
		{"uuid", "", "A UUID"},
		{"tuuid", "", "A UUID without dashes"},
		{"ulid", "", "A ULID"},
		{"unique", "", "No two alike"},
		{"definedOnly", "", "Only a value that has a name"},
		{"finite", "", "Neither infinite nor NaN"},
		{"ltNow", "", "In the past"},
		{"gtNow", "", "In the future"},
		{"items", "Each: %s", ""},
		{"keys", "Keys: %s", ""},
		{"values", "Values: %s", ""},
	}
}

// rulesText tells the rules of a field, which are JSON, in sentences. Required is not
// among them.
func rulesText(rules string) string {
	if rules == "" {
		return ""
	}
	var all map[string]json.RawMessage
	if json.Unmarshal([]byte(rules), &all) != nil {
		return ""
	}
	return tellRules(all, 0)
}

// maxRuleDepth bounds rules of the elements of elements.
const maxRuleDepth = 3

func tellRules(all map[string]json.RawMessage, depth int) string {
	var sentences []string
	for _, kind := range slices.Sorted(maps.Keys(all)) {
		var of map[string]json.RawMessage
		switch {
		case kind == "cel":
			sentences = append(sentences, tellCEL(all[kind])...)
		case json.Unmarshal(all[kind], &of) == nil:
			sentences = append(sentences, tellKind(of, depth)...)
		}
	}
	return strings.Join(sentences, ". ")
}

// tellCEL returns what the expressions of a field say when they do not hold.
func tellCEL(raw json.RawMessage) []string {
	var rules []struct{ Message, Expression string }
	if json.Unmarshal(raw, &rules) != nil {
		return nil
	}
	var told []string
	for _, r := range rules {
		if r.Message == "" {
			r.Message = r.Expression
		}
		told = append(told, r.Message)
	}
	return told
}

// tellKind tells the rules for the type of a field.
func tellKind(of map[string]json.RawMessage, depth int) []string {
	var told []string
	for _, r := range rulesInOrder() {
		raw, ok := of[r.name]
		if !ok {
			continue
		}
		delete(of, r.name)
		value := tellValue(raw)
		switch {
		case r.on != "":
			if value == "true" {
				told = append(told, r.on)
			}
		case strings.HasSuffix(r.value, ": %s"):
			var below map[string]json.RawMessage
			if depth < maxRuleDepth && json.Unmarshal(raw, &below) == nil {
				if text := tellRules(below, depth+1); text != "" {
					told = append(told, fmt.Sprintf(r.value, lowerFirst(text)))
				}
			}
		default:
			text := fmt.Sprintf(r.value, value)
			if value == "1" {
				text = strings.TrimSuffix(text, "s")
			}
			told = append(told, text)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(of)) {
		if name != "example" && name != "strict" {
			told = append(told, kebab(name)+" "+tellValue(of[name]))
		}
	}
	return told
}

// lowerFirst writes a sentence as it goes on behind a colon.
func lowerFirst(s string) string {
	if len(s) > 1 && s[0] >= 'A' && s[0] <= 'Z' && (s[1] == ' ' || s[1] >= 'a' && s[1] <= 'z') {
		return string(s[0]+'a'-'A') + s[1:]
	}
	return s
}

// tellValue writes a value without the quotes of JSON; a list with commas.
func tellValue(raw json.RawMessage) string {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) == nil {
		var values []string
		for _, v := range list[:min(len(list), maxInline)] {
			values = append(values, tellValue(v))
		}
		if len(list) > maxInline {
			values = append(values, "…")
		}
		return strings.Join(values, ", ")
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	return string(raw)
}

// allowed returns the values that the rules of a field allow, when they list them:
// for a value, or for "keys", "values" or "items" of it.
func allowed(rules, of string) []string {
	var all map[string]map[string]json.RawMessage
	// A rule that is no object, such as required, leaves the others.
	_ = json.Unmarshal([]byte(rules), &all)
	for _, r := range all {
		if of != "" {
			if raw, ok := r[of]; ok {
				return allowed(string(raw), "")
			}
			continue
		}
		for _, name := range []string{"in", "const"} {
			var values []json.RawMessage
			raw, ok := r[name]
			if !ok {
				continue
			}
			if json.Unmarshal(raw, &values) != nil {
				values = []json.RawMessage{raw}
			}
			var texts []string
			for _, v := range values {
				texts = append(texts, tellValue(v))
			}
			return texts
		}
	}
	return nil
}
