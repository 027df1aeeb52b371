package dynamic

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

// Limits of a schema, far above what people write and far below what hurts:
// descriptors come from strangers. Package protodesc needs time and memory that
// are not linear in some of these.
const (
	maxSchemaSize    = 64 << 20  // bytes of the descriptors
	maxFiles         = 10_000    // files
	maxElements      = 1_000_000 // messages, fields, values, methods and so on
	maxNesting       = 64        // messages in messages
	maxNames         = 32 << 20  // bytes of all full names
	maxPublicImports = 1_000_000 // ways to get somewhere by public imports
)

// NewFiles builds the descriptors of a schema, which must be complete: every
// import is in it. It bounds what a hostile schema costs, which says what limit
// it exceeds. The set is only read.
func NewFiles(set *descriptorpb.FileDescriptorSet) (*protoregistry.Files, error) {
	if err := checkLimits(set); err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	files, err := protodesc.NewFiles(set)
	if err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	return files, nil
}

func checkLimits(set *descriptorpb.FileDescriptorSet) error {
	if n := proto.Size(set); n > maxSchemaSize {
		return fmt.Errorf("%d bytes, at most %d are allowed", n, maxSchemaSize)
	}
	if n := len(set.GetFile()); n > maxFiles {
		return fmt.Errorf("%d files, at most %d are allowed", n, maxFiles)
	}
	var c counter
	for _, f := range set.GetFile() {
		c.file(f)
	}
	switch {
	case c.elements > maxElements:
		return fmt.Errorf("more than %d elements", maxElements)
	case c.names > maxNames:
		return fmt.Errorf("more than %d bytes of names", maxNames)
	case c.tooDeep:
		return fmt.Errorf("messages nested more than %d levels deep", maxNesting)
	}
	return checkImports(set)
}

// counter sums up what building a descriptor costs.
type counter struct {
	elements int
	names    int // bytes of full names
	tooDeep  bool
}

func (c *counter) add(scope int, name string) {
	c.elements++
	c.names += scope + 1 + len(name)
}

func (c *counter) file(f *descriptorpb.FileDescriptorProto) {
	scope := len(f.GetPackage())
	c.enums(scope, f.GetEnumType())
	c.fields(scope, f.GetExtension())
	for _, m := range f.GetMessageType() {
		c.message(scope, 1, m)
	}
	for _, s := range f.GetService() {
		c.add(scope, s.GetName())
		for _, m := range s.GetMethod() {
			c.add(scope+1+len(s.GetName()), m.GetName())
		}
	}
}

func (c *counter) message(scope, depth int, m *descriptorpb.DescriptorProto) {
	if depth > maxNesting {
		c.tooDeep = true
		return
	}
	c.add(scope, m.GetName())
	scope += 1 + len(m.GetName())
	c.fields(scope, m.GetField())
	c.fields(scope, m.GetExtension())
	c.enums(scope, m.GetEnumType())
	for _, o := range m.GetOneofDecl() {
		c.add(scope, o.GetName())
	}
	for _, n := range m.GetNestedType() {
		c.message(scope, depth+1, n)
	}
}

func (c *counter) fields(scope int, fields []*descriptorpb.FieldDescriptorProto) {
	for _, f := range fields {
		c.add(scope, f.GetName())
	}
}

func (c *counter) enums(scope int, enums []*descriptorpb.EnumDescriptorProto) {
	for _, e := range enums {
		c.add(scope, e.GetName())
		for _, v := range e.GetValue() {
			c.add(scope, v.GetName())
		}
	}
}

// checkImports bounds the number of ways in which files get at each other by
// public imports: protodesc follows every one of them, and a few dozen files are
// enough for more than it could ever follow.
func checkImports(set *descriptorpb.FileDescriptorSet) error {
	files := make(map[string]*descriptorpb.FileDescriptorProto, len(set.GetFile()))
	for _, f := range set.GetFile() {
		files[f.GetName()] = f
	}
	// ways is how many public imports a file leads to, itself not among them;
	// -1 while that is being counted.
	ways := make(map[string]int, len(files))
	var count func(name string) (int, error)
	count = func(name string) (int, error) {
		if n, ok := ways[name]; ok {
			if n < 0 {
				return 0, fmt.Errorf("import cycle in file %q", name)
			}
			return n, nil
		}
		ways[name] = -1
		sum := 0
		f := files[name]
		for _, i := range f.GetPublicDependency() {
			if i < 0 || int(i) >= len(f.GetDependency()) {
				return 0, fmt.Errorf("file %q: no such public import: %d", name, i)
			}
			n, err := count(f.GetDependency()[i])
			if err != nil {
				return 0, err
			}
			if sum += 1 + n; sum > maxPublicImports {
				return 0, errors.New("too many ways to get at a file by public imports")
			}
		}
		ways[name] = sum
		return sum, nil
	}
	total := 0
	for _, f := range set.GetFile() {
		for _, dep := range f.GetDependency() {
			n, err := count(dep)
			if err != nil {
				return err
			}
			if total += n; total > maxPublicImports {
				return errors.New("too many ways to get at a file by public imports")
			}
		}
	}
	return nil
}
