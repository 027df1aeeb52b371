package request

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/micro/micro/v3/dynamic/wire"
)

// Form is a request that somebody fills in. Its one truth is the JSON of the request;
// [Form.Rows] shows that with the fields that are not set, and what is done to a row
// changes it. What fails changes nothing. It is not safe for concurrent use.
type Form struct {
	m    wire.Message
	root *node
	open map[string]bool // rows that somebody opened or closed, by their paths
}

// NewForm returns the form of a request that is JSON; nil is one with nothing set.
func NewForm(m wire.Message, text []byte) (*Form, error) {
	f := &Form{m: m, root: newObject(), open: map[string]bool{}}
	if text != nil {
		return f, f.SetJSON(text)
	}
	if empty := zeroMessage(m); empty != "{}" {
		return f, setMessage(f.root, m, empty, Values{})
	}
	return f, nil
}

// JSON returns the request.
func (f *Form) JSON() []byte { return f.root.appendTo(nil) }

// IsEmpty reports whether nothing is set.
func (f *Form) IsEmpty() bool { return string(f.JSON()) == "{}" }

// SetJSON replaces the request. Its fields need not be those of the message; see
// [Form.Problem].
func (f *Form) SetJSON(text []byte) error {
	t, err := parseTree(text)
	if err != nil {
		return fmt.Errorf("it is not JSON: %w", err)
	}
	if t.kind != object && zeroMessage(f.m) == "{}" && f.m.WellKnown() != wire.Wrapper {
		return errors.New("it is not a JSON object, as a message is")
	}
	f.root = t
	return nil
}

// Problem returns what is wrong with the request: where, as [Row.Flag] has it, or empty
// for all of it, and why. It returns nil when nothing is, and when that is not known
// because tables do not take the message.
func (f *Form) Problem() (flag string, err error) {
	_, err = f.m.AppendWire(nil, f.JSON(), wire.DecodeOptions{})
	if err == nil || errors.Is(err, wire.ErrUnsupported) {
		return "", nil
	}
	at, ok := errors.AsType[*wire.Error](err)
	if !ok {
		return "", err
	}
	path := at.Path
	if at.Missing != "" {
		path = strings.TrimPrefix(path+"."+at.Missing, ".")
	}
	if flag, ok = FlagPath(f.m, path); !ok {
		flag = path
	}
	return flag, errors.New(at.Reason)
}

// Set gives a row a value, as [Body.Set] reads it. The other members of a oneof are not
// set any more then.
func (f *Form) Set(r Row, value string, v Values) error {
	if !r.hasValue() {
		return fmt.Errorf("%s is no field that has a value", r.Label)
	}
	return f.change(func(b *Body) error {
		if r.isMember {
			b.root.removeMembers(r)
		}
		if len(r.path) == 0 {
			return setMessage(b.root, f.m, value, v)
		}
		return b.setInside(b.root, f.m, r.path, value, v)
	})
}

// SetZero gives a row the value that it has when it is not set: with presence, that is
// something else.
func (f *Form) SetZero(r Row) error {
	text := ""
	switch {
	case !r.hasValue(): // which Set says
	case len(r.path) == 0:
		text = zeroMessage(f.m)
	default:
		text = zero(r.Field)
	}
	return f.Set(r, text, Values{})
}

// Unset takes a row out: a field, an element, an entry, what was chosen of a oneof.
func (f *Form) Unset(r Row) {
	if r.Kind == OneofRow {
		f.root.removeMembers(r)
		return
	}
	if len(r.at) > 0 {
		f.root.removeAt(r.at)
	}
}

// Choose makes a field the one of its oneof that is set.
func (f *Form) Choose(r Row, member wire.Field) error {
	return f.SetZero(Row{
		Field: member, Oneof: r.Oneof, isMember: true, at: r.at,
		path: append(slices.Clone(r.path), member.JSONName()),
	})
}

// Element returns the row that a list has behind its last element, or a map for a key.
// It is there once it is set.
func (f *Form) Element(r Row, key string) (Row, error) {
	e := Row{Field: r.Field, Label: key, Entry: true}
	if r.Kind == MapRow {
		k, err := mapKey(r.Field.Key(), key)
		if err != nil {
			return e, err
		}
		e.Field, key = r.Field.Value(), k
	} else {
		key = strconv.Itoa(r.Size)
	}
	e.path, e.at = append(slices.Clone(r.path), key), append(slices.Clone(r.at), key)
	e.Kind, e.Type = kindOf(e.Field, true), elementName(e.Field)
	f.open[rowID(r.path)] = true
	return e, nil
}

// SetOpen shows what is below a row, or no more.
func (f *Form) SetOpen(r Row, open bool) { f.open[rowID(r.path)] = open }

// change does something to a copy of the request, which then takes its place.
func (f *Form) change(do func(b *Body) error) error {
	t, err := parseTree(f.JSON())
	if err != nil {
		return err
	}
	b := &Body{root: t}
	if err := do(b); err != nil {
		return err
	}
	f.root = b.root
	return nil
}

// removeAt takes out what is at the end of a path of keys and numbers of elements.
func (n *node) removeAt(at []string) {
	last := len(at) - 1
	for _, key := range at[:last] {
		if n = n.below(key); n == nil {
			return
		}
	}
	if n.kind == array {
		if i, err := strconv.Atoi(at[last]); err == nil && i < len(n.list) {
			n.list = slices.Delete(n.list, i, i+1)
		}
		return
	}
	n.remove(at[last])
}

// below returns what is at a key, or is the element of that number; nil for nothing.
func (n *node) below(key string) *node {
	switch n.kind {
	case object:
		return n.child[key]
	case array:
		if i, err := strconv.Atoi(key); err == nil && i >= 0 && i < len(n.list) {
			return n.list[i]
		}
	default:
	}
	return nil
}

// removeMembers takes out the members of a oneof, whose message a row of it or of one of
// its members is in, but for the row itself.
func (n *node) removeMembers(r Row) {
	parent := r.at
	if r.Kind != OneofRow {
		parent = parent[:max(0, len(parent)-1)]
	}
	for _, key := range parent {
		if n = n.below(key); n == nil {
			return
		}
	}
	for other := range r.Oneof.Fields() {
		if r.Kind == OneofRow || other != r.Field {
			n.remove(other.JSONName())
			n.remove(other.Name())
		}
	}
}

// FlagPath returns the names that lead to a field which is given by its path, such as
// address.city, items[0].name or items.0.name: with dots, as flags have them. It is
// false when the message has no such field.
func FlagPath(m wire.Message, path string) (string, bool) {
	var out []string
	isMessage, isKey := true, false
	for i, part := range pathParts(path) {
		f, ok := wire.Field{}, false
		if isMessage && !isKey {
			f, ok = m.Field(part)
		}
		switch {
		case isKey || !isMessage || !ok && i > 0:
			out = append(out, quoted(part)) // the key of a map, an index, or the server's own idea
			isKey = false
			continue
		case !ok:
			return "", false
		case f.IsMap():
			m, isMessage = f.Value().Message()
			isKey = true
		default:
			m, isMessage = f.Message()
		}
		out = append(out, f.Name())
	}
	return strings.Join(out, "."), len(out) > 0
}

// quoted returns a part of a name, in quotes when it has dots.
func quoted(part string) string {
	if strings.Contains(part, ".") {
		return strconv.Quote(part)
	}
	return part
}

// pathParts splits the path of a field at dots and brackets; what is in quotes stays
// together.
func pathParts(path string) []string {
	var parts []string
	for path != "" {
		if quoted, err := strconv.QuotedPrefix(path); err == nil && path[0] == '"' {
			name, _ := strconv.Unquote(quoted)
			parts = append(parts, name)
			path = strings.TrimPrefix(path[len(quoted):], ".")
			continue
		}
		if rest, ok := strings.CutPrefix(path, "["); ok {
			if quoted, err := strconv.QuotedPrefix(rest); err == nil {
				key, _ := strconv.Unquote(quoted)
				parts = append(parts, key)
				path = strings.TrimPrefix(strings.TrimPrefix(rest[len(quoted):], "]"), ".")
				continue
			}
			index, rest, _ := strings.Cut(rest, "]")
			parts = append(parts, index)
			path = strings.TrimPrefix(rest, ".")
			continue
		}
		i := strings.IndexAny(path, ".[")
		if i < 0 {
			return append(parts, path)
		}
		parts = append(parts, path[:i])
		path = strings.TrimPrefix(path[i:], ".")
	}
	return parts
}
