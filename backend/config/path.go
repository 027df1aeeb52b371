package config

import (
	"iter"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of a path.
const (
	maxPath  = 512 // bytes
	maxName  = 128 // bytes of a name in it
	maxDepth = 16  // names
)

// path is the names of the members of objects, from the outermost in.
type path []string

// parsePath reads names with dots between them; a dot or a backslash in a name has a
// backslash before it. The empty string is the empty path.
func parsePath(s string) (path, error) {
	if s == "" {
		return nil, nil
	}
	if len(s) > maxPath {
		return nil, invalid("a path of %d bytes, and %d are allowed", len(s), maxPath)
	}
	var p path
	var name strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '.':
			p = append(p, name.String())
			name.Reset()
		case '\\':
			if i++; i == len(s) || s[i] != '.' && s[i] != '\\' {
				return nil, invalid("the path %q has a backslash that is not before a dot or another one", s)
			}
			name.WriteByte(s[i])
		default:
			name.WriteByte(c)
		}
	}
	p = append(p, name.String())
	return p, p.check()
}

// check returns what is wrong with a path.
func (p path) check() error {
	if len(p) > maxDepth {
		return invalid("a path of %d names, and %d are allowed: %.100q", len(p), maxDepth, p.String())
	}
	for _, name := range p {
		switch {
		case name == "":
			return invalid("the path %q has an empty name", p.String())
		case len(name) > maxName:
			return invalid("a name of %d bytes in a path, and %d are allowed: %.100q", len(name), maxName, name)
		case !utf8.ValidString(name):
			return invalid("the name %q is no UTF-8", name)
		case strings.ContainsFunc(name, unicode.IsControl):
			return invalid("the name %q has a control character", name)
		}
	}
	if n := len(p.String()); n > maxPath {
		return invalid("a path of %d bytes, and %d are allowed", n, maxPath)
	}
	return nil
}

// String returns the path as [parsePath] reads it. There is one string for each path.
func (p path) String() string {
	var b strings.Builder
	for i, name := range p {
		if i > 0 {
			b.WriteByte('.')
		}
		for j := range len(name) {
			if name[j] == '.' || name[j] == '\\' {
				b.WriteByte('\\')
			}
			b.WriteByte(name[j])
		}
	}
	return b.String()
}

// below returns the path of a member of the object at p.
func (p path) below(name string) path {
	return append(slices.Clip(p), name)
}

// ancestors yields what a path, as a string, is below of, but for the empty path, from
// the outermost in.
func ancestors(at string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := 0; i < len(at); i++ {
			if at[i] == '\\' {
				i++
			} else if at[i] == '.' && !yield(at[:i]) {
				return
			}
		}
	}
}

// within reports whether a path is another one or below it, both as strings.
func within(at, prefix string) bool {
	rest, ok := strings.CutPrefix(at, prefix)
	return ok && (prefix == "" || rest == "" || rest[0] == '.')
}
