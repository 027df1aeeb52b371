package wire

import (
	"bytes"
	"sort"
	"strings"
)

// declares reports whether the schema has anything of that full name. It is
// asked for any number of names that anybody may think of.
func (t *Table) declares(name string) bool {
	if _, ok := t.Message(name); ok {
		return true
	}
	if _, ok := t.Enum(name); ok {
		return true
	}
	if _, ok := t.Service(name); ok {
		return true
	}
	if _, ok := t.Extension(name); ok {
		return true
	}
	scope := scopeOf(name)
	local := strings.TrimPrefix(name[len(scope):], ".")
	if s, ok := t.Service(scope); ok {
		_, ok := s.Method(local)
		return ok
	}
	if m, ok := t.Message(scope); ok && m.declares(local) {
		return true
	}
	return t.declaresValue(scope, local)
}

// scopeOf returns what is before the last dot of a full name.
func scopeOf(name string) string { return name[:max(strings.LastIndexByte(name, '.'), 0)] }

// declares reports whether a field or a oneof has the name.
func (m Message) declares(name string) bool {
	if f, ok := m.Field(name); ok && f.Name() == name {
		return true
	}
	v := m.view()
	for i := range clamp(v.oneofs(), v.oneofCount(), len(m.t.oneofs)/oneofSize) {
		if string(m.t.text(m.t.oneof(v.oneofs()+i).name())) == name {
			return true
		}
	}
	return false
}

// declaresValue reports whether an enum that is declared in a scope has a value
// of that name: values belong to the scope of their enum.
func (t *Table) declaresValue(scope, name string) bool {
	_, ok := sort.Find(len(t.scoped)/scopedSize, func(i int) int {
		v := t.value(positionAt(t.scoped, uint32(i)))
		of := t.text(t.enum(v.enum()).name())
		if c := compare(scope, of[:max(bytes.LastIndexByte(of, '.'), 0)]); c != 0 {
			return c
		}
		return compare(name, t.text(v.name()))
	})
	return ok
}

func isLetter(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_'
}

// isFullName reports whether s is made of identifiers with dots between them.
func isFullName(s []byte) bool {
	start := true
	for _, c := range s {
		switch {
		case c == '.' && !start:
			start = true
		case isLetter(c), isDigit(c) && !start:
			start = false
		default:
			return false
		}
	}
	return !start
}

// appendSnakeCase appends the name of a field for its JSON name.
func appendSnakeCase(dst, s []byte) []byte {
	for _, c := range s {
		if 'A' <= c && c <= 'Z' {
			dst = append(dst, '_')
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

// appendCamelCase appends the JSON name for the name of a field.
func appendCamelCase(dst, s []byte) []byte {
	upper := false
	for _, c := range s {
		if c != '_' {
			if upper && 'a' <= c && c <= 'z' {
				c -= 'a' - 'A'
			}
			dst = append(dst, c)
		}
		upper = c == '_'
	}
	return dst
}
