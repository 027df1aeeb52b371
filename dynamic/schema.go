package dynamic

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

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

	"github.com/micro/micro/v3/dynamic/wire"
)

// MaxSchema bounds a serialized schema in bytes.
const MaxSchema = 16 << 20

// ErrSchema marks a schema that cannot be used; the text says why.
var ErrSchema = errors.New("unusable schema")

// Schema is what a server speaks. It is immutable.
type Schema struct {
	raw    []byte
	files  *protoregistry.Files
	digest string

	slow     atomic.Int64
	once     sync.Once
	table    *wire.Table
	tableErr error
}

// ParseSchema reads a serialized google.protobuf.FileDescriptorSet, which it
// keeps. Files may come in any order; those of google.protobuf may be left out.
func ParseSchema(raw []byte) (*Schema, error) {
	if len(raw) > MaxSchema {
		return nil, fmt.Errorf("%w: it has %d bytes; at most %d are taken", ErrSchema, len(raw), MaxSchema)
	}
	set := &descriptorpb.FileDescriptorSet{}
	if err := unmarshal(raw, set); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSchema, err)
	}
	addWellKnown(set)
	files, err := NewFiles(set)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSchema, err)
	}
	return &Schema{raw: raw, files: files, digest: Digest(raw)}, nil
}

// Digest returns the digest that a serialized schema is known by.
func Digest(raw []byte) string {
	sum := sha256.Sum256(raw)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// addWellKnown adds the files of google.protobuf that are imported and missing.
func addWellKnown(set *descriptorpb.FileDescriptorSet) {
	have := map[string]bool{}
	for _, f := range set.GetFile() {
		have[f.GetName()] = true
	}
	for files := set.GetFile(); len(files) > 0; {
		var added []*descriptorpb.FileDescriptorProto
		for _, f := range files {
			for _, name := range f.GetDependency() {
				if have[name] {
					continue
				}
				if fd, err := wellKnownFile(name); err == nil {
					have[name] = true
					added = append(added, protodesc.ToFileDescriptorProto(fd))
				}
			}
		}
		set.File = append(set.File, added...)
		files = added // they import others
	}
}

// wellKnownFile returns a file of google.protobuf, and nothing else that happens to
// be linked into this program.
func wellKnownFile(path string) (protoreflect.FileDescriptor, error) {
	if !strings.HasPrefix(path, "google/protobuf/") {
		return nil, protoregistry.NotFound
	}
	return protoregistry.GlobalFiles.FindFileByPath(path)
}

// Raw returns the bytes that the schema was read from; they must not be changed.
func (s *Schema) Raw() []byte { return s.raw }

// Digest returns the digest of the schema, as "sha256:HEX".
func (s *Schema) Digest() string { return s.digest }

// Files returns the files of the schema, with all that they import.
func (s *Schema) Files() *protoregistry.Files { return s.files }

// Services returns the gRPC services, ordered by full name.
func (s *Schema) Services() []protoreflect.ServiceDescriptor {
	var out []protoreflect.ServiceDescriptor
	s.files.RangeFiles(func(fd protoreflect.FileDescriptor) bool {
		for i := range fd.Services().Len() {
			out = append(out, fd.Services().Get(i))
		}
		return true
	})
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

// Table returns the compiled form of the schema, made at the first call. It is
// safe for concurrent use.
func (s *Schema) Table() (*wire.Table, error) {
	s.once.Do(func() {
		raw, err := s.Compile()
		if err != nil {
			s.tableErr = err
			return
		}
		s.table, s.tableErr = wire.Open(raw)
	})
	return s.table, s.tableErr
}

// Compile returns the compiled form of the schema, with its comments, as bytes to
// keep.
func (s *Schema) Compile() ([]byte, error) {
	return Compile(s.files, CompileOptions{Docs: true, Source: sha256.Sum256(s.raw)})
}
