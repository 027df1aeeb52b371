package front

import (
	"cmp"
	"iter"
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
	name    string // its own, as it is typed
	words   []string
	own     bool // of the gRPC service that is called like the service
}

// namer knows the words that mean the methods of a service.
type namer struct {
	t        *wire.Table
	service  string
	own      []wire.Service // those that are called like the service
	plumbing []wire.Service // those for tools, which are no part of it
	short    map[string]int // how many of the rest and its own have a short name, folded
}

func newNamer(t *wire.Table, service string) *namer {
	n := &namer{t: t, service: service, short: map[string]int{}}
	for s := range t.Services() {
		full := s.Name()
		switch {
		case request.Means(service, full):
			n.own = append(n.own, s)
		case request.Plumbing(full):
			n.plumbing = append(n.plumbing, s)
			continue
		}
		n.short[request.Fold(request.ShortName(full))]++
	}
	return n
}

// services yields the gRPC services of the service, and whether they are called like it.
func (n *namer) services() iter.Seq2[wire.Service, bool] {
	return func(yield func(wire.Service, bool) bool) {
		for s := range n.t.Services() {
			own := slices.Contains(n.own, s)
			if (own || !slices.Contains(n.plumbing, s)) && !yield(s, own) {
				return
			}
		}
	}
}

// endpoint returns a method with as few words as mean it, but not none.
func (n *namer) endpoint(m wire.Method, own bool) endpoint {
	s, name := m.Service(), m.Name()
	e := endpoint{method: m, service: s.Name(), name: kebab(name), own: own}
	alone := m.Namesakes() == 1
	if !alone {
		inOwn := named(name, n.own...)
		alone = own && inOwn == 1 || !own && inOwn == 0 && m.Namesakes()-named(name, n.plumbing...) == 1
	}
	short := request.ShortName(e.service)
	switch {
	case alone:
		e.words = []string{e.name}
	case n.short[request.Fold(short)] == 1 && named(name, s) == 1:
		e.words = []string{kebab(short), e.name}
	default:
		e.words = []string{strings.TrimPrefix(m.Path(), "/")}
	}
	return e
}

// named returns how many methods of gRPC services have a name, folded.
func named(name string, in ...wire.Service) (count int) {
	for _, s := range in {
		for range s.Named(name) {
			count++
		}
	}
	return count
}

// endpoints returns the methods of a service, without those that are there for tools
// only: those of its own gRPC service first, then by their names.
func endpoints(t *wire.Table, service string) []endpoint {
	var all []endpoint
	n := newNamer(t, service)
	for s, own := range n.services() {
		for m := range s.Methods() {
			all = append(all, n.endpoint(m, own))
		}
	}
	sortEndpoints(all)
	return all
}

// endpointsFor returns those endpoints that the next word can be of that is begun
// behind others, and perhaps more. It looks at no more methods than it has to.
func endpointsFor(t *wire.Table, service string, before []string, partial string) []endpoint {
	if len(before) > 1 || strings.Contains(partial, ".") {
		return endpoints(t, service)
	}
	var all []endpoint
	n := newNamer(t, service)
	for s, own := range n.services() {
		methods := s.Alike(partial)
		if full := s.Name(); len(before) == 0 {
			// The word may be its name, in front of those that it shares with others.
			short := request.ShortName(full)
			if _, begun := spelled(partial, kebab(short), short, full); begun && s.HasNamesakes() {
				methods = s.Methods()
			}
		} else if !request.Means(before[0], full) {
			continue
		}
		for m := range methods {
			all = append(all, n.endpoint(m, own))
		}
	}
	sortEndpoints(all)
	return all
}

func sortEndpoints(all []endpoint) {
	slices.SortStableFunc(all, func(a, b endpoint) int {
		return cmp.Or(boolInt(b.own)-boolInt(a.own), cmp.Compare(a.service, b.service), cmp.Compare(a.name, b.name))
	})
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
	n := newNamer(t, service)
	if slices.Contains(n.plumbing, m.Service()) {
		return strings.TrimPrefix(m.Path(), "/")
	}
	return strings.Join(n.endpoint(m, slices.Contains(n.own, m.Service())).words, " ")
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
