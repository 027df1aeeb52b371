// Package dynamic handles APIs that are known only at run time: it gets the
// schema of a server, finds methods by the names that people use, and turns
// what they type into messages and back.
//
//	bytes of a FileDescriptorSet  →  Schema  →  Method
//
// A schema comes from strangers: everything here takes any bytes, and bounds the
// work that they can cause.
package dynamic

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	// The well-known types, for schemas that leave them out.
	_ "google.golang.org/protobuf/types/known/anypb"
	_ "google.golang.org/protobuf/types/known/apipb"
	_ "google.golang.org/protobuf/types/known/durationpb"
	_ "google.golang.org/protobuf/types/known/emptypb"
	_ "google.golang.org/protobuf/types/known/fieldmaskpb"
	_ "google.golang.org/protobuf/types/known/sourcecontextpb"
	_ "google.golang.org/protobuf/types/known/structpb"
	_ "google.golang.org/protobuf/types/known/timestamppb"
	_ "google.golang.org/protobuf/types/known/typepb"
	_ "google.golang.org/protobuf/types/known/wrapperspb"
)

// Limits of a schema.
const (
	MaxSchema = 16 << 20 // bytes of a serialized FileDescriptorSet
	maxFiles  = 10_000
)

// ErrSchema marks a schema that cannot be used; the text says why.
var ErrSchema = errors.New("unusable schema")

// Schema is what a server speaks. It is immutable.
type Schema struct {
	raw    []byte
	files  *protoregistry.Files
	order  []protoreflect.FileDescriptor // dependencies first
	digest string
}

// ParseSchema reads a serialized google.protobuf.FileDescriptorSet, which it
// keeps. Files may come in any order; well-known ones may be left out.
func ParseSchema(raw []byte) (*Schema, error) {
	if len(raw) > MaxSchema {
		return nil, fmt.Errorf("%w: it has %d bytes; at most %d are taken", ErrSchema, len(raw), MaxSchema)
	}
	set := &descriptorpb.FileDescriptorSet{}
	if err := proto.Unmarshal(raw, set); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSchema, err)
	}
	order, err := link(set.GetFile())
	if err != nil {
		return nil, err
	}
	s := &Schema{raw: raw, files: &protoregistry.Files{}}
	for _, f := range order {
		fd, err := protodesc.FileOptions{AllowUnresolvable: false}.New(f, resolver{s.files})
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrSchema, err)
		}
		if err := s.files.RegisterFile(fd); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrSchema, err)
		}
		s.order = append(s.order, fd)
	}
	s.digest = Digest(raw)
	return s, nil
}

// Digest returns the digest that a serialized schema is known by.
func Digest(raw []byte) string {
	sum := sha256.Sum256(raw)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// link orders files so that each comes after those that it imports.
func link(files []*descriptorpb.FileDescriptorProto) ([]*descriptorpb.FileDescriptorProto, error) {
	if len(files) > maxFiles {
		return nil, fmt.Errorf("%w: it has %d files; at most %d are taken", ErrSchema, len(files), maxFiles)
	}
	byName := map[string]*descriptorpb.FileDescriptorProto{}
	for _, f := range files {
		if byName[f.GetName()] != nil {
			return nil, fmt.Errorf("%w: file %q twice", ErrSchema, f.GetName())
		}
		byName[f.GetName()] = f
	}
	const (
		entered = 1
		left    = 2
	)
	state := map[string]int{}
	var order []*descriptorpb.FileDescriptorProto
	// An explicit stack: the depth is up to whoever made the schema.
	type frame struct {
		file *descriptorpb.FileDescriptorProto
		next int
	}
	for _, root := range files {
		if state[root.GetName()] == left {
			continue
		}
		stack := []frame{{file: root}}
		state[root.GetName()] = entered
		for len(stack) > 0 {
			top := &stack[len(stack)-1]
			deps := top.file.GetDependency()
			if top.next == len(deps) {
				state[top.file.GetName()] = left
				order = append(order, top.file)
				stack = stack[:len(stack)-1]
				continue
			}
			name := deps[top.next]
			top.next++
			dep := byName[name]
			switch {
			case dep == nil:
				if _, err := protoregistry.GlobalFiles.FindFileByPath(name); err != nil {
					return nil, fmt.Errorf("%w: %q imports %q, which is missing", ErrSchema, top.file.GetName(), name)
				}
			case state[name] == entered:
				return nil, fmt.Errorf("%w: %q imports itself by way of %q", ErrSchema, name, top.file.GetName())
			case state[name] == 0:
				state[name] = entered
				stack = append(stack, frame{file: dep})
			}
		}
	}
	return order, nil
}

// resolver looks in a schema and then among the well-known types.
type resolver struct{ files *protoregistry.Files }

func (r resolver) FindFileByPath(path string) (protoreflect.FileDescriptor, error) {
	if fd, err := r.files.FindFileByPath(path); err == nil {
		return fd, nil
	}
	return wellKnown(protoregistry.GlobalFiles.FindFileByPath(path))
}

func (r resolver) FindDescriptorByName(name protoreflect.FullName) (protoreflect.Descriptor, error) {
	if d, err := r.files.FindDescriptorByName(name); err == nil {
		return d, nil
	}
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(name)
	if err != nil {
		return nil, err
	}
	if _, err := wellKnown(d.ParentFile(), nil); err != nil {
		return nil, err
	}
	return d, nil
}

// wellKnown hides what else happens to be linked into this program.
func wellKnown(fd protoreflect.FileDescriptor, err error) (protoreflect.FileDescriptor, error) {
	if err == nil && !strings.HasPrefix(fd.Path(), "google/protobuf/") {
		return nil, protoregistry.NotFound
	}
	return fd, err
}

// Raw returns the bytes that the schema was read from; they must not be changed.
func (s *Schema) Raw() []byte { return s.raw }

// Digest returns the digest of the schema, as "sha256:HEX".
func (s *Schema) Digest() string { return s.digest }

// Files returns the files of the schema, dependencies first.
func (s *Schema) Files() []protoreflect.FileDescriptor { return s.order }

// FindFileByPath finds a file, well-known ones included; the error is
// [protoregistry.NotFound].
func (s *Schema) FindFileByPath(path string) (protoreflect.FileDescriptor, error) {
	return resolver{s.files}.FindFileByPath(path)
}

// FindDescriptorByName finds an element by its full name, well-known types
// included; the error is [protoregistry.NotFound].
func (s *Schema) FindDescriptorByName(name protoreflect.FullName) (protoreflect.Descriptor, error) {
	return resolver{s.files}.FindDescriptorByName(name)
}

// Services returns the gRPC services, ordered by full name.
func (s *Schema) Services() []protoreflect.ServiceDescriptor {
	var out []protoreflect.ServiceDescriptor
	for _, fd := range s.order {
		for i := range fd.Services().Len() {
			out = append(out, fd.Services().Get(i))
		}
	}
	slices.SortFunc(out, func(a, b protoreflect.ServiceDescriptor) int {
		return strings.Compare(string(a.FullName()), string(b.FullName()))
	})
	return out
}

// Plumbing reports whether a gRPC service is there for tools and not part of
// what a server is for: health and reflection.
func Plumbing(service protoreflect.FullName) bool {
	return service == "grpc.health.v1.Health" || strings.HasPrefix(string(service), "grpc.reflection.")
}

// Path returns the gRPC path of a method: "/package.Service/Method".
func Path(m protoreflect.MethodDescriptor) string {
	return "/" + string(m.Parent().FullName()) + "/" + string(m.Name())
}

// Endpoint returns the short name of a method: "Service.Method".
func Endpoint(m protoreflect.MethodDescriptor) string {
	return string(m.Parent().Name()) + "." + string(m.Name())
}

// Comment returns what the schema says about an element, without indentation.
func Comment(d protoreflect.Descriptor) string {
	loc := d.ParentFile().SourceLocations().ByDescriptor(d)
	text := loc.LeadingComments
	if strings.TrimSpace(text) == "" {
		text = loc.TrailingComments
	}
	lines := strings.Split(strings.Trim(text, "\n"), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(strings.TrimPrefix(l, " "), " \t\r")
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}
