package dynamic

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

// file returns a descriptor of a proto3 file.
func file(name string, change func(*descriptorpb.FileDescriptorProto)) *descriptorpb.FileDescriptorProto {
	f := &descriptorpb.FileDescriptorProto{Name: new(name), Package: new("p"), Syntax: new("proto3")}
	if change != nil {
		change(f)
	}
	return f
}

func setOf(files ...*descriptorpb.FileDescriptorProto) *descriptorpb.FileDescriptorSet {
	return &descriptorpb.FileDescriptorSet{File: files}
}

// nest returns a message with messages in messages.
func nest(levels int) *descriptorpb.DescriptorProto {
	m := &descriptorpb.DescriptorProto{Name: new("M")}
	for range levels - 1 {
		m = &descriptorpb.DescriptorProto{Name: new("M"), NestedType: []*descriptorpb.DescriptorProto{m}}
	}
	return m
}

// TestHostileFiles builds schemas that no compiler made. None of them takes long.
func TestHostileFiles(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		set  func() *descriptorpb.FileDescriptorSet
		want string
	}{
		{"import that is missing", func() *descriptorpb.FileDescriptorSet {
			return setOf(file("a.proto", func(f *descriptorpb.FileDescriptorProto) { f.Dependency = []string{"b.proto"} }))
		}, `could not resolve import "b.proto"`},
		{"import of itself", func() *descriptorpb.FileDescriptorSet {
			return setOf(file("a.proto", func(f *descriptorpb.FileDescriptorProto) { f.Dependency = []string{"a.proto"} }))
		}, "import cycle"},
		{"import cycle", func() *descriptorpb.FileDescriptorSet {
			return setOf(
				file("a.proto", func(f *descriptorpb.FileDescriptorProto) { f.Dependency = []string{"b.proto"} }),
				file("b.proto", func(f *descriptorpb.FileDescriptorProto) { f.Dependency = []string{"a.proto"} }),
			)
		}, "import cycle"},
		{"cycle of public imports", func() *descriptorpb.FileDescriptorSet {
			return setOf(
				file("a.proto", func(f *descriptorpb.FileDescriptorProto) {
					f.Dependency, f.PublicDependency = []string{"b.proto"}, []int32{0}
				}),
				file("b.proto", func(f *descriptorpb.FileDescriptorProto) {
					f.Dependency, f.PublicDependency = []string{"a.proto"}, []int32{0}
				}),
			)
		}, "import cycle"},
		{"public import that is none", func() *descriptorpb.FileDescriptorSet {
			return setOf(file("a.proto", func(f *descriptorpb.FileDescriptorProto) {
				f.Dependency, f.PublicDependency = []string{"b.proto"}, []int32{7}
			}), file("b.proto", nil), file("c.proto", func(f *descriptorpb.FileDescriptorProto) { f.Dependency = []string{"a.proto"} }))
		}, "public import"},
		{"public imports of public imports", func() *descriptorpb.FileDescriptorSet {
			// Each file imports the two before it: the ways double every other file.
			set := setOf(file("0.proto", nil), file("1.proto", nil))
			for i := 2; i < 100; i++ {
				set.File = append(set.File, file(fmt.Sprintf("%d.proto", i), func(f *descriptorpb.FileDescriptorProto) {
					f.Dependency = []string{fmt.Sprintf("%d.proto", i-1), fmt.Sprintf("%d.proto", i-2)}
					f.PublicDependency = []int32{0, 1}
				}))
			}
			return set
		}, "too many ways"},
		{"the same file twice", func() *descriptorpb.FileDescriptorSet {
			return setOf(file("a.proto", nil), file("a.proto", nil))
		}, "multiple times"},
		{"no name", func() *descriptorpb.FileDescriptorSet { return setOf(&descriptorpb.FileDescriptorProto{}) }, "file path"},
		{"10,000 levels", func() *descriptorpb.FileDescriptorSet {
			return setOf(file("a.proto", func(f *descriptorpb.FileDescriptorProto) {
				f.MessageType = []*descriptorpb.DescriptorProto{nest(9000)}
			}))
		}, "levels deep"},
		{"a name of a megabyte in many places", func() *descriptorpb.FileDescriptorSet {
			return setOf(file("a.proto", func(f *descriptorpb.FileDescriptorProto) {
				m := &descriptorpb.DescriptorProto{Name: new(strings.Repeat("m", 1<<20))}
				for i := range 100 {
					m.Field = append(m.Field, &descriptorpb.FieldDescriptorProto{Name: new(fmt.Sprint("f", i))})
				}
				f.MessageType = []*descriptorpb.DescriptorProto{m}
			}))
		}, "bytes of names"},
		{"too many files", func() *descriptorpb.FileDescriptorSet {
			set := setOf()
			for i := range maxFiles + 1 {
				set.File = append(set.File, file(strconv.Itoa(i), nil))
			}
			return set
		}, "files"},
		{"too many elements", func() *descriptorpb.FileDescriptorSet {
			value := &descriptorpb.EnumValueDescriptorProto{Name: new("V"), Number: proto.Int32(0)}
			return setOf(file("a.proto", func(f *descriptorpb.FileDescriptorProto) {
				f.EnumType = []*descriptorpb.EnumDescriptorProto{{Name: new("E"), Value: slices.Repeat([]*descriptorpb.EnumValueDescriptorProto{value}, maxElements+1)}}
			}))
		}, "elements"},
		{"type that is missing", func() *descriptorpb.FileDescriptorSet {
			return setOf(file("a.proto", func(f *descriptorpb.FileDescriptorProto) {
				f.MessageType = []*descriptorpb.DescriptorProto{{Name: new("M"), Field: []*descriptorpb.FieldDescriptorProto{{
					Name: new("f"), Number: proto.Int32(1), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
					Type: descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum(), TypeName: new(".p.N"),
				}}}}
			}))
		}, "cannot resolve type"},
		{"two fields of one number", func() *descriptorpb.FileDescriptorSet {
			set := manyMessages(1, 2)
			set.File[0].MessageType[0].Field[1].Number = proto.Int32(1)
			return set
		}, "conflicting fields"},
		{"message set", func() *descriptorpb.FileDescriptorSet {
			return setOf(file("a.proto", func(f *descriptorpb.FileDescriptorProto) {
				f.Syntax = new("proto2")
				f.MessageType = []*descriptorpb.DescriptorProto{{
					Name:    new("M"),
					Options: &descriptorpb.MessageOptions{MessageSetWireFormat: new(true)},
					ExtensionRange: []*descriptorpb.DescriptorProto_ExtensionRange{
						{Start: proto.Int32(4), End: proto.Int32(100)},
					},
				}}
			}))
		}, "MessageSet"},
		{"edition of the future", func() *descriptorpb.FileDescriptorSet {
			return setOf(file("a.proto", func(f *descriptorpb.FileDescriptorProto) {
				f.Syntax, f.Edition = new("editions"), descriptorpb.Edition_EDITION_MAX.Enum()
			}))
		}, "edition"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := NewFiles(test.set())
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %.200v, want %s", err, test.want)
			}
		})
	}
}

// TestDeepFiles compiles what is just within the limits.
func TestDeepFiles(t *testing.T) {
	t.Parallel()
	set := setOf(file("a.proto", func(f *descriptorpb.FileDescriptorProto) {
		f.MessageType = []*descriptorpb.DescriptorProto{nest(maxNesting)}
	}))
	a, err := newAPI(set)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := a.table.Message("p" + strings.Repeat(".M", maxNesting)); !ok {
		t.Error("the innermost message is missing")
	}
}

// FuzzCompile compiles whatever passes for a schema, and uses the table.
func FuzzCompile(f *testing.F) {
	for _, set := range []*descriptorpb.FileDescriptorSet{
		compileProto(f, "proto2.proto"), compileProto(f, "editions.proto"), manyMessages(2, 2),
	} {
		for _, file := range set.GetFile() {
			file.SourceCodeInfo = nil
		}
		b, err := proto.Marshal(set)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		set := &descriptorpb.FileDescriptorSet{}
		if proto.Unmarshal(b, set) != nil {
			return
		}
		a, err := newAPI(set)
		if err != nil {
			return
		}
		for m := range a.table.Messages() {
			if !m.IsValid() || m.Name() == "" {
				t.Errorf("a message without a name")
			}
		}
	})
}
