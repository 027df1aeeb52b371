package front

import "strings"

// typedArg is an argument of a call as it was typed: a flag, its value, or a body.
type typedArg struct {
	flag  string // with its dashes; empty for a body
	value string
	has   bool // it has a value
}

// TypedHeader is metadata as it was typed, before environment variables are put in.
type TypedHeader struct {
	Name  string
	Value []Part
}

// Part is a part of a value: text, or the value of an environment variable.
type Part struct {
	Text     string
	Variable string
}

// TypedHeaders returns the metadata of a request as it was typed.
func (r *Request) TypedHeaders() []TypedHeader {
	var out []TypedHeader
	for _, a := range r.typed {
		if a.flag != "-H" && a.flag != "--header" {
			continue
		}
		name, value, _ := strings.Cut(a.value, ":")
		out = append(out, TypedHeader{strings.ToLower(strings.TrimSpace(name)), splitParts(strings.TrimSpace(value))})
	}
	return out
}

// splitParts splits a value at its ${NAME}.
func splitParts(s string) []Part {
	var parts []Part
	var text strings.Builder
	flush := func() {
		if text.Len() > 0 {
			parts = append(parts, Part{Text: text.String()})
			text.Reset()
		}
	}
	for i := 0; i < len(s); {
		name, size := reference(s[i:])
		switch {
		case strings.HasPrefix(s[i:], "$${"):
			text.WriteString("${")
			i += len("$${")
		case name != "":
			flush()
			parts = append(parts, Part{Variable: name})
			i += size
		default:
			text.WriteByte(s[i])
			i++
		}
	}
	flush()
	return parts
}

// TypedArgs returns what was typed behind the endpoint, without what asks for the
// call to be shown.
func (r *Request) TypedArgs() []string {
	var out []string
	for _, a := range r.typed {
		switch a.flag {
		case "--as", "--explain", "--dry-run", "--interactive", "-i":
		default:
			out = append(out, a.arg())
		}
	}
	return out
}

// TypedOptions are what was typed besides the fields and the body.
type TypedOptions struct {
	Headers []string // metadata, as NAME:VALUE
	Timeout string
	Others  []string // arguments
}

// TypedOptions returns the options of a command line as they were typed.
func (in Invocation) TypedOptions() (t TypedOptions) {
	for args := in.args; len(args) > 0; {
		name, value, has := cutOption(args[0])
		a := typedArg{flag: name, value: value, has: has}
		args = args[1:]
		o := optionNamed(name)
		if o != nil && o.value != "" && !has && len(args) > 0 {
			a.value, a.has, args = args[0], true, args[1:]
		}
		switch {
		case o == nil || o.name == "json" || o.name == "in" || o.name == "interactive":
		case o.name == "header":
			t.Headers = append(t.Headers, a.value)
		case o.name == "timeout":
			t.Timeout = a.value
		default:
			t.Others = append(t.Others, a.arg())
		}
	}
	return t
}

// arg returns the argument as one.
func (a typedArg) arg() string {
	switch {
	case a.flag == "":
		return a.value
	case !a.has:
		return a.flag
	default:
		return a.flag + "=" + a.value
	}
}
