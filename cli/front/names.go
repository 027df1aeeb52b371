package front

import (
	"cmp"
	"slices"
	"strings"

	"github.com/micro/micro/v3/dynamic/request"
	"github.com/micro/micro/v3/dynamic/wire"
)

// What help and completion call things. There are many ways to write a name, and
// these write each in one: with small letters and dashes, where no other name in its
// place differs in nothing else.

// endpoint is a method, and the words after the service's name that mean it.
type endpoint struct {
	method  wire.Method
	service string // the full name of its gRPC service
	folded  string // its name
	name    string // and as it is typed
	words   []string
	own     bool // of the gRPC service that is called like the service
}

// scoped is the folded name of a method, in a gRPC service or in all of those that
// are, or are not, the service's own.
type scoped struct {
	service string
	own     bool
	method  string
}

// endpoints returns the methods of a service, without those that are there for tools
// only: those of its own gRPC service first, then by their names. What it does
// grows with how many there are, and not with the square.
func endpoints(t *wire.Table, service string) []endpoint {
	var all []endpoint
	count := map[scoped]int{}    // methods with a name: of the service's own, of others, of each gRPC service
	services := map[string]int{} // gRPC services with a short name
	for s := range t.Services() {
		full := s.Name()
		own := request.Means(service, full)
		if request.Plumbing(full) && !own {
			continue
		}
		services[request.Fold(request.ShortName(full))]++
		for m := range s.Methods() {
			name := m.Name()
			e := endpoint{method: m, service: full, folded: request.Fold(name), name: kebab(name), own: own}
			all = append(all, e)
			count[scoped{"", own, e.folded}]++
			count[scoped{full, own, e.folded}]++
		}
	}
	for i := range all {
		e := &all[i]
		short := request.ShortName(e.service)
		hidden := !e.own && count[scoped{"", true, e.folded}] > 0
		switch {
		case count[scoped{"", e.own, e.folded}] == 1 && !hidden:
			e.words = []string{e.name}
		case services[request.Fold(short)] == 1 && count[scoped{e.service, e.own, e.folded}] == 1:
			e.words = []string{kebab(short), e.name}
		default:
			e.words = []string{strings.TrimPrefix(e.method.Path(), "/")}
		}
	}
	slices.SortStableFunc(all, func(a, b endpoint) int {
		return cmp.Or(boolInt(b.own)-boolInt(a.own), cmp.Compare(a.service, b.service), cmp.Compare(a.name, b.name))
	})
	return all
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// commandWords returns the words after the service's name that mean a method: as
// few as do, but not none.
func commandWords(t *wire.Table, service string, m wire.Method) string {
	for _, e := range endpoints(t, service) {
		if e.method == m {
			return strings.Join(e.words, " ")
		}
	}
	return strings.TrimPrefix(m.Path(), "/")
}

// namedField is a field, and its part of a flag's name.
type namedField struct {
	wire.Field

	name string
}

// namedFields returns the fields of a message, in the order of their declaration.
func namedFields(m wire.Message) []namedField {
	var all []namedField
	count := map[string]int{}
	for f := range m.Fields() {
		all = append(all, namedField{f, kebab(f.Name())})
		name, jsonName := request.Fold(f.Name()), request.Fold(f.JSONName())
		if count[name]++; jsonName != name {
			count[jsonName]++
		}
	}
	for i := range all {
		f := &all[i]
		if f.name == "" || strings.Trim(f.name, "-") != f.name || count[request.Fold(f.Name())] > 1 || count[request.Fold(f.JSONName())] > 1 {
			f.name = exactName(m, f.Field)
		}
	}
	return all
}

// exactName returns a name that only this field has, as the schema writes it.
func exactName(m wire.Message, f wire.Field) string {
	if found, ok := m.Field(f.Name()); ok && found == f {
		return f.Name()
	}
	return f.JSONName()
}

// flagName returns the flag of a field of the request; one with the name of an
// option gets a dot.
func flagName(field string) string {
	if isOption(field) {
		return "--." + field
	}
	return "--" + field
}

// isOption reports whether a long flag is not one of a field.
func isOption(name string) bool {
	return name == "help" || slices.ContainsFunc(options(), func(o option) bool { return request.Fold(o.name) == request.Fold(name) })
}

// kebab writes a name as people type it: "PingPong" and "ping_pong" are ping-pong.
func kebab(s string) string {
	var b strings.Builder
	b.Grow(len(s) + 4)
	for i := range len(s) {
		c := s[i]
		upper := c >= 'A' && c <= 'Z'
		switch {
		case c == '_':
			c = '-'
		case upper && i > 0 && s[i-1] != '_' && (s[i-1] < 'A' || s[i-1] > 'Z' || i+1 < len(s) && s[i+1] >= 'a' && s[i+1] <= 'z'):
			b.WriteByte('-')
		}
		if upper {
			c += 'a' - 'A'
		}
		b.WriteByte(c)
	}
	return b.String()
}
