// Package request makes the request of a method out of what people type: it finds
// the method that words mean, and puts values where the names of fields lead. It
// is what a command line, a query string and a form have in common.
package request

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/micro/micro/v3/dynamic/wire"
)

// NameError says that the words of a command name no method, or several.
type NameError struct {
	Message string
	// Candidates are the endpoints that could have been meant: all of them when
	// several match, the nearest when none does, with how many more there are.
	Candidates []string
	Ambiguous  bool
}

func (e *NameError) Error() string {
	if len(e.Candidates) == 0 {
		return e.Message
	}
	return e.Message + strings.Join(e.Candidates, ", ")
}

// Resolve returns the method that the words after a service's name mean:
//
//	micro helloworld                 Helloworld.Call
//	micro helloworld ping-pong       Helloworld.PingPong
//	micro foo bar baz                Bar.Baz of the service foo
//	micro foo Bar.Baz                the same
//	micro foo pkg.Bar/Baz            the same
//
// Case, '-' and '_' in a name do not count, unless two names differ in nothing else.
func Resolve(t *wire.Table, service string, words []string) (wire.Method, error) {
	switch len(words) {
	case 0:
		return resolveMethod(t, service, "Call", words)
	case 1:
		if i := strings.LastIndexAny(words[0], "./"); i >= 0 {
			return resolveIn(t, words[0][:i], words[0][i+1:], words[0])
		}
		return resolveMethod(t, service, words[0], words)
	case 2:
		return resolveIn(t, words[0], words[1], strings.Join(words, " "))
	default:
		return wire.Method{}, &NameError{Message: fmt.Sprintf("%q is no endpoint: it takes at most two words, SERVICE METHOD", strings.Join(words, " "))}
	}
}

// Means reports whether a word is the name of a gRPC service, or an end of it that
// begins after a dot; case, '-' and '_' do not count.
func Means(word, service string) bool { return endsWith(Fold(service), Fold(word)) }

// endsWith reports whether a full name is a shorter one, or ends with it after a dot.
func endsWith(full, short string) bool { return full == short || strings.HasSuffix(full, "."+short) }

// Fold makes names comparable.
func Fold(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '-' || r == '_':
			return -1
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		default:
			return r
		}
	}, s)
}

// ShortName returns the last part of a full name.
func ShortName(full string) string { return full[strings.LastIndexByte(full, '.')+1:] }

// Endpoint returns the name that people know a method by: Service.Method.
func Endpoint(m wire.Method) string { return ShortName(m.Service().Name()) + "." + m.Name() }

// Plumbing reports whether a gRPC service is there for tools and not part of
// what a service is for.
func Plumbing(name string) bool {
	return name == "grpc.health.v1.Health" || strings.HasPrefix(name, "grpc.reflection.")
}

// resolveMethod looks for a method by its name alone: in the gRPC service that is
// called like the service, else in all of them.
func resolveMethod(t *wire.Table, service, method string, words []string) (wire.Method, error) {
	var own, others []wire.Method
	for s := range t.Services() {
		is := Means(service, s.Name())
		for m := range s.Named(method) {
			switch {
			case is:
				own = append(own, m)
			case !Plumbing(s.Name()):
				others = append(others, m)
			}
		}
	}
	found := own
	if len(found) == 0 {
		found = others
	}
	what := fmt.Sprintf("service %s has no endpoint %q", service, strings.Join(words, " "))
	if len(words) == 0 {
		what = fmt.Sprintf("service %s has no endpoint Call, so say which to call", service)
	}
	return choose(t, found, service, method, method, what)
}

// resolveIn looks for a method of the gRPC service that a full name, or the end of
// one, means.
func resolveIn(t *wire.Table, grpcService, method, typed string) (wire.Method, error) {
	grpcService = strings.TrimPrefix(grpcService, "/")
	want := Fold(grpcService)
	var found []wire.Method
	for s := range t.Services() {
		if !endsWith(Fold(s.Name()), want) {
			continue
		}
		found = slices.AppendSeq(found, s.Named(method))
	}
	return choose(t, found, grpcService, method, typed, fmt.Sprintf("there is no endpoint %q", typed))
}

// choose returns the only method, or the one whose names are more like those that
// were typed than those of any other.
func choose(t *wire.Table, found []wire.Method, service, method, typed, none string) (wire.Method, error) {
	for _, like := range []func(m wire.Method) bool{
		// What is named in full is meant, also when it is the end of a longer name.
		func(m wire.Method) bool { return m.Service().Name() == service },
		func(m wire.Method) bool { return Fold(m.Service().Name()) == Fold(service) },
		func(m wire.Method) bool { return strings.HasSuffix("."+m.Service().Name(), "."+service) },
		func(m wire.Method) bool { return m.Name() == method },
	} {
		if better := slices.DeleteFunc(slices.Clone(found), func(m wire.Method) bool { return !like(m) }); len(better) > 0 {
			found = better
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		e := &NameError{Message: none, Candidates: nearest(t, typed)}
		if len(e.Candidates) > 0 {
			e.Message += "; it has "
		}
		return wire.Method{}, e
	default:
		var names []string
		for _, m := range found {
			names = append(names, strings.TrimPrefix(m.Path(), "/"))
		}
		return wire.Method{}, &NameError{Message: fmt.Sprintf("%q could be ", typed), Candidates: names, Ambiguous: true}
	}
}

// maxCandidates bounds how many endpoints a message lists.
const maxCandidates = 8

// nearest returns the endpoints whose names are nearest to what was typed.
func nearest(t *wire.Table, typed string) []string {
	type candidate struct {
		name     string
		distance int
	}
	var all []candidate
	want := Fold(ShortName(strings.ReplaceAll(typed, "/", ".")))
	for s := range t.Services() {
		if Plumbing(s.Name()) {
			continue
		}
		for m := range s.Methods() {
			all = append(all, candidate{Endpoint(m), Distance(want, Fold(m.Name()))})
		}
	}
	slices.SortFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), cmp.Compare(a.name, b.name))
	})
	var names []string
	for _, c := range all[:min(len(all), maxCandidates)] {
		names = append(names, c.name)
	}
	if more := len(all) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return names
}

// Nearest returns the name that is most like what was typed, of several the one that is
// as long; empty when none is like enough to be meant.
func Nearest(typed string, names []string) string {
	best, found := len(typed)/3+2, ""
	for _, n := range names {
		d := Distance(Fold(typed), Fold(n))
		if d < best || d == best && found != "" && len(n) == len(typed) && len(found) != len(typed) {
			best, found = d, n
		}
	}
	return found
}

// Distance returns how many letters have to be changed, added, removed or swapped
// with the next to make one string of the other (Damerau and Levenshtein, in the
// form that edits no part twice).
func Distance(a, b string) int {
	const limit = 64 // nobody mistypes more
	a, b = a[:min(len(a), limit)], b[:min(len(b), limit)]
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
