package request

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/micro/micro/v3/dynamic/wire"
)

// splitPath cuts a name at its dots, but not within quotes.
func splitPath(s string) ([]string, error) {
	if !utf8.ValidString(s) {
		return nil, errors.New("the name is no UTF-8 text")
	}
	if strings.Count(s, ".") >= maxDepth {
		return nil, errTooDeep
	}
	var parts []string
	var b strings.Builder
	quoted := false
	for _, r := range s {
		switch {
		case r == '"':
			quoted = !quoted
		case r == '.' && !quoted:
			parts = append(parts, b.String())
			b.Reset()
		default:
			b.WriteRune(r)
		}
	}
	if quoted {
		return nil, errors.New(`the name has a " that nothing closes`)
	}
	return append(parts, b.String()), nil
}

var errTooDeep = fmt.Errorf("the name is more than %d levels deep", maxDepth)

// setPath sets what a path leads to below a message.
func (b *Body) setPath(n *node, m wire.Message, path []string, value string, v Values) error {
	if b.depth++; b.depth > maxDepth {
		return errTooDeep
	}
	f, below, ok := findField(m, path[0])
	if !ok {
		return &UnknownFieldError{path[0], m}
	}
	if len(below) > 0 {
		path = slices.Concat(path[:1], below, path[1:])
	}
	key := n.keyOf(m, f)
	if len(path) == 1 && clears(f, value) {
		n.get(key)
		n.remove(key)
		return nil
	}
	if err := checkOneof(n, m, f); err != nil {
		return err
	}
	if len(path) == 1 {
		return setValue(n.get(key), f, value, v)
	}
	return b.setBelow(n.get(key), f, path[1:], value, v)
}

// setBelow goes on into a field with the rest of a path.
func (b *Body) setBelow(n *node, f wire.Field, path []string, value string, v Values) error {
	switch {
	case f.IsMap():
		key, err := mapKey(f.Key(), path[0])
		if err != nil {
			return err
		}
		entry := n.get(key)
		if len(path) == 1 {
			return setOne(entry, f.Value(), value, v)
		}
		sub, ok := f.Value().Message()
		if !ok {
			return fmt.Errorf("the values of %s have no fields", f.Name())
		}
		return b.setInside(entry, sub, path[1:], value, v)
	case f.IsList():
		if end := strings.IndexAny(path[0], "-_"); end > 0 && end+1 < len(path[0]) {
			path = slices.Concat([]string{path[0][:end], path[0][end+1:]}, path[1:])
		}
		i, err := index(path[0])
		if err != nil {
			return fmt.Errorf("%s is a list: %w", f.Name(), err)
		}
		e, err := b.element(n, f, i)
		if err != nil {
			return err
		}
		if len(path) == 1 {
			return setOne(e, f, value, v)
		}
		sub, ok := f.Message()
		if !ok {
			return fmt.Errorf("the elements of %s have no fields", f.Name())
		}
		return b.setInside(e, sub, path[1:], value, v)
	default:
		sub, ok := f.Message()
		if !ok {
			return fmt.Errorf("%s is of type %s and has no fields", f.Name(), f.Kind())
		}
		return b.setInside(n, sub, path, value, v)
	}
}

// setInside sets what a path leads to within a message, by the JSON form that it
// has.
func (b *Body) setInside(n *node, m wire.Message, path []string, value string, v Values) error {
	switch m.WellKnown() {
	case 0, wire.Empty:
		return b.setPath(n, m, path, value, v)
	case wire.Struct, wire.Value:
		return b.setFree(n, path, value)
	case wire.Wrapper:
		if inner, _ := m.FieldByNumber(1); len(path) == 1 && Fold(path[0]) == inner.Name() {
			return setOne(n, inner, value, v)
		}
	default:
	}
	return fmt.Errorf("a %s is one value; it has no %q", m.Name(), path[0])
}

// setFree sets a path within a google.protobuf.Struct or Value.
func (b *Body) setFree(n *node, path []string, value string) error {
	for _, p := range path {
		if n.kind != array {
			n = n.get(p)
			continue
		}
		i, err := index(p)
		if err == nil {
			n, err = b.element(n, wire.Field{}, i)
		}
		if err != nil {
			return fmt.Errorf("there is a list before %q: %w", p, err)
		}
	}
	return setAny(n, value)
}

// index reads the position of an element of a list.
func index(text string) (int, error) {
	i, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("an element is named by its number, from 0, and not %q", text)
	}
	return int(i), nil
}

// maxAdded bounds how many elements of lists the names of fields make beyond
// those that they name. A few bytes could ask for any number of them.
const maxAdded = 10_000

// element returns an element of a list of a field, made with those before it when
// it is not there.
func (b *Body) element(n *node, f wire.Field, i int) (*node, error) {
	if n.kind != array {
		*n = node{kind: array}
	}
	if b.added += max(0, i-len(n.list)); b.added > maxAdded {
		return nil, fmt.Errorf("the element %d is too far behind the last one", i)
	}
	for len(n.list) <= i {
		n.list = append(n.list, filler(f))
	}
	return n.list[i], nil
}

// filler returns what stands where no element was set: an empty message, else
// nothing, which is not taken when it is still there in the end.
func filler(f wire.Field) *node {
	if f == (wire.Field{}) {
		return &node{}
	}
	if m, ok := f.Message(); ok && (m.WellKnown() == 0 || m.WellKnown() == wire.Empty || m.WellKnown() == wire.Struct) {
		return newObject()
	}
	return &node{}
}

// UnknownFieldError says that a message has no such field.
type UnknownFieldError struct {
	name    string
	message wire.Message
}

func (e *UnknownFieldError) Error() string {
	text := fmt.Sprintf("%s has no field %q", ShortName(e.message.Name()), e.name)
	if same := foldedFields(e.message, e.name); len(same) > 1 {
		var names []string
		for _, f := range same {
			names = append(names, f.Name())
		}
		text += "; it could be " + strings.Join(names, " or ")
	}
	return text
}

// Near returns the path with the field that may have been meant in the place of the
// unknown one; empty when none is like it.
func (e *UnknownFieldError) Near(path string) string {
	var names []string
	for f := range e.message.Fields() {
		names = append(names, f.Name())
	}
	near := Nearest(e.name, names)
	i := strings.Index("."+path+".", "."+e.name+".")
	if near == "" || i < 0 {
		return near
	}
	return path[:i] + near + path[i+len(e.name):]
}

// checkOneof refuses two members of a oneof.
func checkOneof(n *node, m wire.Message, f wire.Field) error {
	o, ok := f.Oneof()
	if !ok {
		return nil
	}
	for other := range o.Fields() {
		if other != f && n.isSet(m, other) {
			return fmt.Errorf("only one of %s can be set: %s is set already", o.Name(), other.Name())
		}
	}
	return nil
}

// keyOf returns the key that a field has in an object: the JSON name, or the name
// in the schema when the object has that, which JSON may use as well.
func (n *node) keyOf(m wire.Message, f wire.Field) string {
	if n.child[f.JSONName()] == nil && n.child[f.Name()] != nil {
		if same, ok := m.Field(f.Name()); ok && same == f {
			return f.Name()
		}
	}
	return f.JSONName()
}

// isSet reports whether an object has a value for a field.
func (n *node) isSet(m wire.Message, f wire.Field) bool {
	c := n.child[n.keyOf(m, f)]
	return c != nil && c.kind != absent && (takesNull(f) || string(c.raw) != "null")
}

// takesNull reports whether null is one of the values of a field.
func takesNull(f wire.Field) bool {
	if sub, ok := f.Message(); ok {
		return sub.WellKnown() == wire.Value
	}
	e, ok := f.Enum()
	return ok && isNullValue(e)
}

func isNullValue(e wire.Enum) bool { return e.Name() == "google.protobuf.NullValue" }

// clears reports whether a value means that the field is not to be set.
func clears(f wire.Field, value string) bool {
	if value != "null" {
		return false
	}
	if f.IsMap() {
		return true
	}
	kind := f.Kind()
	if sub, ok := f.Message(); ok && sub.WellKnown() == wire.Wrapper {
		inner, _ := sub.FieldByNumber(1)
		kind = inner.Kind()
	}
	return kind != wire.StringKind && kind != wire.BytesKind && !takesNull(f)
}

// IsSwitch reports whether a path leads to a single boolean, which needs no value.
func IsSwitch(m wire.Message, name string) bool {
	path, err := splitPath(strings.TrimPrefix(name, "."))
	if err != nil {
		return false
	}
	for i := 0; i < len(path); i++ {
		f, below, ok := findField(m, path[i])
		if !ok || f.IsMap() || f.IsList() {
			return false
		}
		path = slices.Insert(path, i+1, below...)
		sub, isMessage := f.Message()
		if !isMessage {
			return f.Kind() == wire.BoolKind && i == len(path)-1
		}
		m = sub
	}
	return false
}
