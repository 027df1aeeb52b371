// Package describe shows elements of a schema to people and programs: as a tree, as
// the .proto file that it could have come from, as JSON Schema. It writes what the
// schema says, control characters and all: who shows it on a terminal cleans it.
package describe

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/micro/micro/v3/dynamic"
)

// ErrNotFound means that no element of the schema has the name.
var ErrNotFound = errors.New("not found")

// AmbiguousError says that a name could mean several elements.
type AmbiguousError struct {
	Name       string
	Candidates []string // full names, in order
}

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("%q could be %s", e.Name, strings.Join(e.Candidates, ", "))
}

// Find returns the service, method, message or enum with a name: the full one, or an
// end of it that begins after a dot, in any case; a method also as SERVICE/METHOD. What is
// spelled exactly goes before what is not. The error is [ErrNotFound] or an
// [AmbiguousError].
func Find(s *dynamic.Schema, name string) (protoreflect.Descriptor, error) {
	typed := strings.TrimPrefix(strings.ReplaceAll(name, "/", "."), ".")
	if d, err := s.Files().FindDescriptorByName(protoreflect.FullName(typed)); err == nil && shown(d) {
		return d, nil
	}
	var exact, folded []protoreflect.Descriptor
	for d := range elements(s.Files()) {
		full := string(d.FullName())
		switch {
		case endsWith(full, typed):
			exact = append(exact, d)
		case endsWith(strings.ToLower(full), strings.ToLower(typed)):
			folded = append(folded, d)
		}
	}
	found := exact
	if len(found) == 0 {
		found = folded
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("%q: %w", name, ErrNotFound)
	case 1:
		return found[0], nil
	}
	e := &AmbiguousError{Name: name}
	for _, d := range found {
		e.Candidates = append(e.Candidates, string(d.FullName()))
	}
	slices.Sort(e.Candidates)
	return nil, e
}

func endsWith(full, end string) bool {
	return full == end || strings.HasSuffix(full, "."+end)
}

// Names returns the full names of all elements that [Find] finds, in order.
func Names(s *dynamic.Schema) []string {
	var names []string
	for d := range elements(s.Files()) {
		names = append(names, string(d.FullName()))
	}
	slices.Sort(names)
	return names
}

// shown reports whether an element is of a kind that is described.
func shown(d protoreflect.Descriptor) bool {
	switch d.(type) {
	case protoreflect.ServiceDescriptor, protoreflect.MethodDescriptor, protoreflect.MessageDescriptor, protoreflect.EnumDescriptor:
		return true
	default:
		return false
	}
}

// elements yields services, methods, messages and enums.
func elements(files *protoregistry.Files) func(yield func(protoreflect.Descriptor) bool) {
	return func(yield func(protoreflect.Descriptor) bool) {
		files.RangeFiles(func(fd protoreflect.FileDescriptor) bool {
			services := fd.Services()
			for i := range services.Len() {
				if !yield(services.Get(i)) {
					return false
				}
				methods := services.Get(i).Methods()
				for k := range methods.Len() {
					if !yield(methods.Get(k)) {
						return false
					}
				}
			}
			return types(fd, yield)
		})
	}
}

// scope is a file, or a message with others in it.
type scope interface {
	Messages() protoreflect.MessageDescriptors
	Enums() protoreflect.EnumDescriptors
}

func types(in scope, yield func(protoreflect.Descriptor) bool) bool {
	for i := range in.Enums().Len() {
		if !yield(in.Enums().Get(i)) {
			return false
		}
	}
	for i := range in.Messages().Len() {
		m := in.Messages().Get(i)
		if m.IsMapEntry() {
			continue
		}
		if !yield(m) || !types(m, yield) {
			return false
		}
	}
	return true
}

// summary returns the first paragraph of an element's comment on one line.
func summary(d protoreflect.Descriptor) string {
	text, _, _ := strings.Cut(dynamic.Comment(d), "\n\n")
	return strings.Join(strings.Fields(text), " ")
}
