package request

import (
	"slices"
	"strings"

	"github.com/micro/micro/v3/dynamic/wire"
)

// Target is what the name of a flag leads to.
type Target struct {
	Field wire.Field
	// Part says that it is an element of the field, which is a list; the value of a
	// key of a map is a field itself.
	Part bool
}

// Message returns the message whose fields a name goes on to behind the target;
// false when it has none, or is a list or a map.
func (t Target) Message() (wire.Message, bool) {
	if t.Field.IsMap() || t.Field.IsList() && !t.Part {
		return wire.Message{}, false
	}
	return t.Field.Message()
}

// Lookup returns what a name leads to in a message, as [Body.Set] understands it;
// false for one that leads nowhere, and for what is within a Struct or a Value,
// which may have anything.
func Lookup(m wire.Message, name string) (Target, bool) {
	path, err := splitPath(strings.TrimPrefix(name, "."))
	if err != nil {
		return Target{}, false
	}
	for range maxDepth {
		f, below, ok := findField(m, path[0])
		if !ok {
			return Target{}, false
		}
		if path = slices.Concat(below, path[1:]); len(path) == 0 {
			return Target{Field: f}, true
		}
		switch {
		case f.IsMap():
			f, path = f.Value(), path[1:]
		case f.IsList():
			if end := strings.IndexAny(path[0], "-_"); end > 0 && end+1 < len(path[0]) {
				path = slices.Concat([]string{path[0][:end], path[0][end+1:]}, path[1:])
			}
			if _, err := index(path[0]); err != nil {
				return Target{}, false
			}
			path = path[1:]
		}
		if len(path) == 0 {
			return Target{Field: f, Part: f.IsList()}, true
		}
		if m, ok = f.Message(); !ok {
			return Target{}, false
		}
	}
	return Target{}, false
}
