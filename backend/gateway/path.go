package gateway

import (
	"fmt"
	"strings"
)

// target is what a path names: a service, and the words that name an endpoint of
// it.
type target struct {
	service string
	words   []string
}

// endpoint returns the name that rules would know the endpoint by, before the
// schema is looked at.
func (t target) endpoint() string {
	switch len(t.words) {
	case 0:
		return camel(t.service) + ".Call"
	case 1:
		return camel(t.service) + "." + camel(t.words[0])
	default:
		return camel(t.words[0]) + "." + camel(t.words[1])
	}
}

// parsePath reads a path:
//
//	/foo              Foo.Call of the service foo
//	/foo/bar          Foo.Bar
//	/foo/bar/baz      Bar.Baz
//	/v1/foo/bar       Foo.Bar of the service v1-foo
//	/foo/bar/baz/cat  Baz.Cat of the service foo-bar
//
// The names of services have no dots, so a service that Micro 3 would have called
// foo.bar is foo-bar.
func parsePath(path string) (target, error) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	for _, p := range parts {
		if p == "" || p == "." || p == ".." {
			return target{}, fmt.Errorf("the path %q names no service; it has the form /SERVICE/METHOD", path)
		}
	}
	switch {
	case len(parts) >= 2 && isVersion(parts[0]) && len(parts) <= 3:
		return target{service: parts[0] + "-" + parts[1], words: append([]string{camel(parts[1])}, method(parts[2:])...)}, nil
	case len(parts) <= 3:
		return target{service: parts[0], words: parts[1:]}, nil
	default:
		n := len(parts) - 2
		return target{service: strings.Join(parts[:n], "-"), words: parts[n:]}, nil
	}
}

// method returns the name of a method, Call when none is given.
func method(rest []string) []string {
	if len(rest) == 0 {
		return []string{"Call"}
	}
	return rest
}

// isVersion reports whether a part is like v1.
func isVersion(s string) bool {
	return len(s) > 1 && s[0] == 'v' && strings.Trim(s[1:], "0123456789") == ""
}

// camel writes "baz-xyz" as "BazXyz".
func camel(s string) string {
	var b strings.Builder
	up := true
	for _, r := range s {
		switch {
		case r == '-' || r == '_':
			up = true
			continue
		case up && r >= 'a' && r <= 'z':
			r -= 'a' - 'A'
		}
		up = false
		b.WriteRune(r)
	}
	return b.String()
}
