package request

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/micro/micro/v3/dynamic/wire"
)

// splitPath cuts a name at its dots, but not within quotes.
func splitPath(s string) []string {
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
	return append(parts, b.String())
}

// setPath sets what a path leads to below a message.
func setPath(n *node, m wire.Message, path []string, value string, v Values) error {
	f, rest, ok := findField(m, path[0])
	if !ok {
		return &UnknownFieldError{path[0], m}
	}
	if rest != "" {
		path = append([]string{path[0], rest}, path[1:]...)
	}
	if err := checkOneof(n, f); err != nil {
		return err
	}
	key := f.JSONName()
	if len(path) == 1 {
		if clears(f, value) {
			n.get(key)
			n.remove(key)
			return nil
		}
		return setValue(n.get(key), f, value, v)
	}
	return setBelow(n.get(key), f, path[1:], value, v)
}

// setBelow goes on into a field with the rest of a path.
func setBelow(n *node, f wire.Field, path []string, value string, v Values) error {
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
		return setPath(entry, sub, path[1:], value, v)
	case f.IsList():
		i, err := strconv.Atoi(path[0])
		if err != nil || i < 0 {
			return fmt.Errorf("%s is a list: name an element by its number, as in %s.0", f.Name(), f.Name())
		}
		e, err := n.at(i)
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
		return setPath(e, sub, path[1:], value, v)
	default:
		sub, ok := f.Message()
		if !ok {
			return fmt.Errorf("%s is of type %s and has no fields", f.Name(), f.Kind())
		}
		switch sub.WellKnown() {
		case wire.Struct:
			return setFree(n, path, value)
		case wire.Value:
			return setFree(n, path, value)
		default:
			return setPath(n, sub, path, value, v)
		}
	}
}

// findField finds the field that the beginning of a path's part names: all of it,
// or as much as goes before a '-' or '_', in which case the rest is the path below.
func findField(m wire.Message, part string) (f wire.Field, rest string, ok bool) {
	if f, ok := m.Field(part); ok {
		return f, "", true
	}
	if f, ok := foldedField(m, part); ok {
		return f, "", true
	}
	for i := len(part) - 1; i > 0; i-- {
		if part[i] != '-' && part[i] != '_' {
			continue
		}
		f, ok := foldedField(m, part[:i])
		if !ok {
			continue
		}
		if f.IsMap() || f.IsList() {
			return f, part[i+1:], true
		}
		if sub, isMessage := f.Message(); isMessage {
			if _, _, ok := findField(sub, part[i+1:]); ok || sub.WellKnown() == wire.Struct {
				return f, part[i+1:], true
			}
		}
	}
	return wire.Field{}, "", false
}

// foldedField finds a field whatever the case of its name, and '-' and '_' in it.
// Two fields that differ in nothing else have to be named exactly.
func foldedField(m wire.Message, name string) (found wire.Field, ok bool) {
	want := Fold(name)
	n := 0
	for f := range m.Fields() {
		if Fold(f.Name()) == want || Fold(f.JSONName()) == want {
			found = f
			n++
		}
	}
	return found, n == 1
}

// UnknownFieldError says that a message has no such field.
type UnknownFieldError struct {
	name    string
	message wire.Message
}

func (e *UnknownFieldError) Error() string {
	return fmt.Sprintf("%s has no field %q", ShortName(e.message.Name()), e.name)
}

// Near returns the field that may have been meant; empty when none is like it.
func (e *UnknownFieldError) Near() string {
	var names []string
	for f := range e.message.Fields() {
		names = append(names, f.Name())
	}
	return Nearest(e.name, names)
}

// checkOneof refuses two members of a oneof.
func checkOneof(n *node, f wire.Field) error {
	o, ok := f.Oneof()
	if !ok {
		return nil
	}
	for other := range o.Fields() {
		if other.Number() != f.Number() && n.has(other.JSONName()) {
			return fmt.Errorf("only one of %s can be set: %s is set already", o.Name(), other.Name())
		}
	}
	return nil
}

// clears reports whether a value means that the field is not to be set.
func clears(f wire.Field, value string) bool {
	if value != "null" {
		return false
	}
	if sub, ok := f.Message(); ok && !f.IsMap() {
		switch sub.WellKnown() {
		case wire.Value:
			return false // null is one of its values
		case wire.Wrapper:
			inner, _ := sub.FieldByNumber(1)
			return inner.Kind() != wire.StringKind
		default:
			return true
		}
	}
	return f.Kind() != wire.StringKind && f.Kind() != wire.BytesKind
}

// setFree sets a path within a google.protobuf.Struct or Value.
func setFree(n *node, path []string, value string) error {
	for _, p := range path {
		n = n.get(p)
	}
	n.set(freeValue(value))
	return nil
}

// IsSwitch reports whether a path leads to a single boolean, which needs no value.
func IsSwitch(m wire.Message, name string) bool {
	path := splitPath(strings.TrimPrefix(name, "."))
	for i := 0; i < len(path); i++ {
		f, rest, ok := findField(m, path[i])
		if !ok || f.IsMap() || f.IsList() {
			return false
		}
		if rest != "" {
			path = append(append(path[:i:i], path[i], rest), path[i+1:]...)
		}
		sub, isMessage := f.Message()
		if !isMessage {
			return f.Kind() == wire.BoolKind && i == len(path)-1
		}
		m = sub
	}
	return false
}
