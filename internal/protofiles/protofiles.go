// Package protofiles turns compiled .proto files into what they are sent and kept as.
package protofiles

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// WithImports returns files and all that they import, each once and after what it
// imports. They are copies of the caller's.
func WithImports[F protoreflect.FileDescriptor](files ...F) ([]*descriptorpb.FileDescriptorProto, error) {
	c := collector{seen: map[string]bool{}}
	for _, f := range files {
		if err := c.add(f); err != nil {
			return nil, err
		}
	}
	return c.files, nil
}

type collector struct {
	files []*descriptorpb.FileDescriptorProto
	seen  map[string]bool // by path
}

func (c *collector) add(f protoreflect.FileDescriptor) error {
	if c.seen[f.Path()] {
		return nil
	}
	c.seen[f.Path()] = true
	for i := range f.Imports().Len() {
		if err := c.add(f.Imports().Get(i).FileDescriptor); err != nil {
			return err
		}
	}
	var original *descriptorpb.FileDescriptorProto
	if result, ok := f.(interface {
		FileDescriptorProto() *descriptorpb.FileDescriptorProto
	}); ok { // of a compiler, which has it
		original = result.FileDescriptorProto()
	} else {
		original = protodesc.ToFileDescriptorProto(f)
	}
	// A compiler's own message may not be changed, and has options of types that only
	// it knows; a copy by way of the wire has neither.
	wire, err := proto.MarshalOptions{Deterministic: true}.Marshal(original)
	if err != nil {
		return err
	}
	fd := &descriptorpb.FileDescriptorProto{}
	if err := proto.Unmarshal(wire, fd); err != nil {
		return err
	}
	c.files = append(c.files, fd)
	return nil
}
