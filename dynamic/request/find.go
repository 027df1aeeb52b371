package request

import (
	"slices"
	"strings"

	"github.com/micro/micro/v3/dynamic/wire"
)

// maxDashed bounds the length of a name whose '-' and '_' may stand for dots.
const maxDashed = 256

// findField finds the field that the beginning of a path's part names: all of it,
// or as much as goes before a '-' or '_'. In that case below is the path that the
// rest of it means.
func findField(m wire.Message, part string) (f wire.Field, below []string, ok bool) {
	return finder{}.find(m, part)
}

// finder remembers where it looked for nothing: a message may have any number of
// ways into itself, and a name can take each of them at every '-'.
type finder map[place]bool

// place is the rest of a name, in a message.
type place struct {
	message string
	rest    int
}

func (d finder) find(m wire.Message, part string) (f wire.Field, below []string, ok bool) {
	if f, ok := oneField(m, part); ok {
		return f, nil, true
	}
	here := place{m.Name(), len(part)}
	if len(part) > maxDashed || d[here] {
		return wire.Field{}, nil, false
	}
	for _, end := range prefixes(m, part) {
		rest := part[end+1:]
		f, ok := oneField(m, part[:end])
		if !ok || rest == "" {
			continue
		}
		if f.IsMap() || f.IsList() {
			return f, []string{rest}, true
		}
		sub, isMessage := f.Message()
		if !isMessage {
			continue
		}
		if next, below, ok := d.find(sub, rest); ok {
			return f, append([]string{next.JSONName()}, below...), true
		}
		if sub.WellKnown() == wire.Struct {
			return f, []string{rest}, true
		}
	}
	d[here] = true
	return wire.Field{}, nil, false
}

// oneField finds a field by its name, whatever the case and '-' and '_' in it. Two
// fields that differ in nothing else have to be named exactly.
func oneField(m wire.Message, name string) (wire.Field, bool) {
	if f, ok := m.Field(name); ok {
		return f, true
	}
	if same := foldedFields(m, name); len(same) == 1 {
		return same[0], true
	}
	return wire.Field{}, false
}

// foldedFields returns the fields that a name means when case, '-' and '_' do not
// count.
func foldedFields(m wire.Message, name string) []wire.Field {
	var found []wire.Field
	for f := range m.Fields() {
		if begins(name, f.Name()) == len(name) || begins(name, f.JSONName()) == len(name) {
			found = append(found, f)
		}
	}
	return found
}

// prefixes returns where the names of fields end that a name may begin with, the
// longest first. A '-' or '_' comes there.
func prefixes(m wire.Message, part string) []int {
	var ends []int
	for f := range m.Fields() {
		for _, name := range []string{f.Name(), f.JSONName()} {
			end := begins(part, name)
			if end <= 0 || end == len(part) || part[end] != '-' && part[end] != '_' || slices.Contains(ends, end) {
				continue
			}
			ends = append(ends, end)
		}
	}
	slices.SortFunc(ends, func(a, b int) int { return b - a })
	return ends
}

// begins returns how much of a name is another whose case, '-' and '_' do not
// count, -1 when it does not begin with that. What does not count and ends the name
// belongs to it.
func begins(part, name string) int {
	i := 0
	for _, c := range []byte(name) {
		if c == '-' || c == '_' {
			continue
		}
		for i < len(part) && (part[i] == '-' || part[i] == '_') {
			i++
		}
		if i == len(part) || lower(part[i]) != lower(c) {
			return -1
		}
		i++
	}
	if strings.Trim(part[i:], "-_") == "" {
		return len(part)
	}
	return i
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}
