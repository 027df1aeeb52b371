package dynamic

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// wellKnownFiles are the files of the messages with a JSON form of their own.
func wellKnownFiles() []*descriptorpb.FileDescriptorProto {
	var list []*descriptorpb.FileDescriptorProto
	for _, f := range []protoreflect.FileDescriptor{
		anypb.File_google_protobuf_any_proto,
		durationpb.File_google_protobuf_duration_proto,
		emptypb.File_google_protobuf_empty_proto,
		fieldmaskpb.File_google_protobuf_field_mask_proto,
		structpb.File_google_protobuf_struct_proto,
		timestamppb.File_google_protobuf_timestamp_proto,
		wrapperspb.File_google_protobuf_wrappers_proto,
	} {
		list = append(list, protodesc.ToFileDescriptorProto(f))
	}
	return list
}

var wellKnownNames = strings.Fields("Any Duration Empty FieldMask Struct Value ListValue Timestamp " +
	"BoolValue Int32Value Int64Value UInt32Value UInt64Value FloatValue DoubleValue StringValue BytesValue")

// schemaGen makes random schemas. What it makes is valid most of the time.
type schemaGen struct {
	*rand.Rand
	messages []string // full names with a leading dot, of all files
	enums    []genEnum
	n        int
}

type genEnum struct {
	name   string
	closed bool
	zero   bool // begins with zero
}

// randomSchema returns a schema and the full names of its messages.
func randomSchema(seed uint64) (*descriptorpb.FileDescriptorSet, []string) {
	g := &schemaGen{Rand: rand.New(rand.NewPCG(seed, 1))}
	set := &descriptorpb.FileDescriptorSet{File: wellKnownFiles()}
	var imports []string
	for _, f := range set.File {
		imports = append(imports, f.GetName())
	}
	for i := range 1 + g.IntN(2) {
		f := g.file(i, imports)
		set.File = append(set.File, f)
		imports = append(imports, f.GetName())
	}
	names := make([]string, len(g.messages))
	for i, m := range g.messages {
		names[i] = m[1:]
	}
	return set, names
}

type genFile struct {
	*descriptorpb.FileDescriptorProto
	proto3, editions bool
}

func (g *schemaGen) file(i int, imports []string) *descriptorpb.FileDescriptorProto {
	f := genFile{FileDescriptorProto: &descriptorpb.FileDescriptorProto{
		Name:       new(fmt.Sprintf("file%d.proto", i)),
		Package:    new([]string{"pkg", "deep.er.pkg"}[i]),
		Dependency: imports,
	}}
	switch g.IntN(4) {
	case 0:
		f.Syntax = new("proto2")
	case 1:
		f.Syntax, f.proto3 = new("proto3"), true
	case 2:
		f.Syntax, f.editions, f.Edition = new("editions"), true, descriptorpb.Edition_EDITION_2023.Enum()
	case 3:
		f.Syntax, f.editions, f.Edition = new("editions"), true, descriptorpb.Edition_EDITION_2024.Enum()
	}
	if f.editions && g.IntN(3) == 0 {
		f.Options = &descriptorpb.FileOptions{Features: g.features()}
	}
	for range g.IntN(3) {
		f.EnumType = append(f.EnumType, g.enum(f, "."+f.GetPackage()))
	}
	// The messages are named before they have fields: they may be recursive.
	var nested []*descriptorpb.DescriptorProto
	for range 1 + g.IntN(4) {
		m := &descriptorpb.DescriptorProto{Name: new(g.name("M"))}
		full := "." + f.GetPackage() + "." + m.GetName()
		g.messages = append(g.messages, full)
		if g.IntN(3) == 0 {
			n := &descriptorpb.DescriptorProto{Name: new(g.name("N"))}
			g.messages = append(g.messages, full+"."+n.GetName())
			m.NestedType = append(m.NestedType, n)
			nested = append(nested, n)
		}
		if g.IntN(3) == 0 {
			m.EnumType = append(m.EnumType, g.enum(f, full))
		}
		f.MessageType = append(f.MessageType, m)
	}
	for i, m := range f.MessageType {
		g.fill(f, m, "."+f.GetPackage()+"."+m.GetName())
		for _, n := range nested {
			for _, have := range m.NestedType {
				if n == have {
					g.fill(f, n, "."+f.GetPackage()+"."+m.GetName()+"."+n.GetName())
				}
			}
		}
		if !f.proto3 && g.IntN(2) == 0 {
			m.ExtensionRange = []*descriptorpb.DescriptorProto_ExtensionRange{{Start: proto.Int32(1000), End: proto.Int32(2000)}}
			for x := range 1 + g.IntN(4) {
				ext := g.field(f, nil, "."+f.GetPackage(), int32(1000+100*i+x))
				if ext.GetLabel() == descriptorpb.FieldDescriptorProto_LABEL_REQUIRED {
					continue
				}
				ext.Extendee = new("." + f.GetPackage() + "." + m.GetName())
				if g.IntN(3) == 0 {
					m.Extension = append(m.Extension, ext)
				} else {
					f.Extension = append(f.Extension, ext)
				}
			}
		}
	}
	return f.FileDescriptorProto
}

func (g *schemaGen) name(prefix string) string {
	g.n++
	return fmt.Sprintf("%s%d", prefix, g.n)
}

func (g *schemaGen) features() *descriptorpb.FeatureSet {
	fs := &descriptorpb.FeatureSet{}
	if g.IntN(3) == 0 {
		fs.FieldPresence = descriptorpb.FeatureSet_IMPLICIT.Enum()
	}
	if g.IntN(3) == 0 {
		fs.RepeatedFieldEncoding = descriptorpb.FeatureSet_EXPANDED.Enum()
	}
	if g.IntN(3) == 0 {
		fs.Utf8Validation = descriptorpb.FeatureSet_NONE.Enum()
	}
	if g.IntN(3) == 0 {
		fs.MessageEncoding = descriptorpb.FeatureSet_DELIMITED.Enum()
	}
	return fs
}

func (g *schemaGen) enum(f genFile, scope string) *descriptorpb.EnumDescriptorProto {
	e := &descriptorpb.EnumDescriptorProto{Name: new(g.name("E"))}
	closed := !f.proto3 && !f.editions
	if f.editions && g.IntN(3) == 0 {
		closed = true
		e.Options = &descriptorpb.EnumOptions{Features: &descriptorpb.FeatureSet{EnumType: descriptorpb.FeatureSet_CLOSED.Enum()}}
	}
	used := map[int32]bool{}
	alias := false
	for i := range 1 + g.IntN(6) {
		number := int32(i)
		switch {
		case i == 0 && closed && g.IntN(2) == 0:
			number = g.Int32N(20) - 10
		case i > 0 && g.IntN(3) == 0:
			number = int32(g.Uint32())
		}
		alias = alias || used[number]
		used[number] = true
		e.Value = append(e.Value, &descriptorpb.EnumValueDescriptorProto{
			Name:   new(g.name("VALUE_")),
			Number: new(number),
		})
	}
	if g.IntN(4) == 0 && !alias {
		alias = true
		e.Value = append(e.Value, &descriptorpb.EnumValueDescriptorProto{
			Name:   new(g.name("ALIAS_")),
			Number: new(e.Value[g.IntN(len(e.Value))].GetNumber()),
		})
	}
	if alias {
		if e.Options == nil {
			e.Options = &descriptorpb.EnumOptions{}
		}
		e.Options.AllowAlias = new(true)
	}
	g.enums = append(g.enums, genEnum{scope + "." + e.GetName(), closed, e.Value[0].GetNumber() == 0})
	return e
}

func (g *schemaGen) fill(f genFile, m *descriptorpb.DescriptorProto, full string) {
	count := g.IntN(12)
	if g.IntN(20) == 0 {
		count = 60 + g.IntN(20) // more than fit into a word of bits
	}
	number := int32(0)
	for range count {
		switch {
		case g.IntN(8) == 0:
			number += 1 + g.Int32N(30)
		default:
			number++
		}
		if number >= 900 {
			return
		}
		m.Field = append(m.Field, g.field(f, m, full, number))
	}
	if g.IntN(3) == 0 {
		g.Shuffle(len(m.Field), func(i, j int) { m.Field[i], m.Field[j] = m.Field[j], m.Field[i] })
	}
	g.oneofs(f, m)
}

// oneofs makes runs of singular fields members of oneofs, and proto3 fields
// optional.
func (g *schemaGen) oneofs(f genFile, m *descriptorpb.DescriptorProto) {
	free := func(i int) bool {
		return i < len(m.Field) && m.Field[i].GetLabel() == descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL &&
			m.Field[i].OneofIndex == nil && m.Field[i].Options.GetFeatures() == nil
	}
	for range g.IntN(3) {
		i := g.IntN(len(m.Field) + 1)
		n := 0
		for ; n < 1+g.IntN(3) && free(i+n); n++ {
			m.Field[i+n].OneofIndex = new(int32(len(m.OneofDecl)))
		}
		if n > 0 {
			m.OneofDecl = append(m.OneofDecl, &descriptorpb.OneofDescriptorProto{Name: new(g.name("oneof_"))})
		}
	}
	for i := range m.Field {
		if f.proto3 && free(i) && g.IntN(5) == 0 {
			m.Field[i].Proto3Optional = new(true)
			m.Field[i].OneofIndex = new(int32(len(m.OneofDecl)))
			m.OneofDecl = append(m.OneofDecl, &descriptorpb.OneofDescriptorProto{Name: new("_" + m.Field[i].GetName())})
		}
	}
}

// field makes a field of m, or an extension when m is nil.
func (g *schemaGen) field(f genFile, m *descriptorpb.DescriptorProto, full string, number int32) *descriptorpb.FieldDescriptorProto {
	fd := &descriptorpb.FieldDescriptorProto{
		Name:   new(g.name([]string{"field_", "a_b_c", "x", "camelCase", "UPPER_", "_under_"}[g.IntN(6)])),
		Number: new(number),
		Label:  descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
	}
	if m != nil && g.IntN(10) == 0 {
		fd.JsonName = new(g.name([]string{"json-", "naïve ", "say \"hi\" ", "a\\b", "tab\t", "ключ", "\u2028"}[g.IntN(7)]))
	}
	repeated := g.IntN(4) == 0
	if repeated {
		fd.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
	}
	switch {
	case m != nil && g.IntN(6) == 0:
		g.mapField(f, m, full, fd)
		return fd
	case m != nil && !f.proto3 && !f.editions && g.IntN(10) == 0:
		// A group: a message of the same name, in the same scope.
		group := &descriptorpb.DescriptorProto{Name: new(g.name("Group"))}
		m.NestedType = append(m.NestedType, group)
		fd.Name = new(strings.ToLower(group.GetName()))
		fd.Type = descriptorpb.FieldDescriptorProto_TYPE_GROUP.Enum()
		fd.TypeName = new(full + "." + group.GetName())
		for i := range 1 + g.IntN(4) {
			group.Field = append(group.Field, g.field(f, nil, full+"."+group.GetName(), int32(i+1)))
		}
		return fd
	}
	g.typ(f, fd, false)
	scalar := fd.GetType() != descriptorpb.FieldDescriptorProto_TYPE_MESSAGE
	text := fd.GetType() == descriptorpb.FieldDescriptorProto_TYPE_STRING || fd.GetType() == descriptorpb.FieldDescriptorProto_TYPE_BYTES
	if repeated && scalar && !text && g.IntN(3) == 0 && !f.editions {
		fd.Options = &descriptorpb.FieldOptions{Packed: new(g.IntN(2) == 0)}
	}
	if !repeated && m != nil && !f.proto3 && !f.editions && g.IntN(12) == 0 {
		fd.Label = descriptorpb.FieldDescriptorProto_LABEL_REQUIRED.Enum()
	}
	if f.editions && g.IntN(4) == 0 {
		fd.Options = &descriptorpb.FieldOptions{Features: g.fieldFeatures(fd, m != nil, repeated, scalar, text)}
	}
	return fd
}

func (g *schemaGen) fieldFeatures(fd *descriptorpb.FieldDescriptorProto, member, repeated, scalar, text bool) *descriptorpb.FeatureSet {
	fs := &descriptorpb.FeatureSet{}
	switch {
	case repeated && scalar && !text:
		fs.RepeatedFieldEncoding = descriptorpb.FeatureSet_EXPANDED.Enum()
	case !scalar:
		fs.MessageEncoding = descriptorpb.FeatureSet_DELIMITED.Enum()
	case member && !repeated && g.IntN(4) == 0:
		fs.FieldPresence = descriptorpb.FeatureSet_LEGACY_REQUIRED.Enum()
	case member && !repeated && fd.GetType() != descriptorpb.FieldDescriptorProto_TYPE_ENUM:
		fs.FieldPresence = descriptorpb.FeatureSet_IMPLICIT.Enum()
	case fd.GetType() == descriptorpb.FieldDescriptorProto_TYPE_STRING:
		fs.Utf8Validation = descriptorpb.FeatureSet_NONE.Enum()
	}
	return fs
}

// typ gives a field a type: one that the value of a map may have if inMap.
func (g *schemaGen) typ(f genFile, fd *descriptorpb.FieldDescriptorProto, inMap bool) {
	switch n := g.IntN(10); {
	case n < 5:
		scalars := []descriptorpb.FieldDescriptorProto_Type{1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 15, 16, 17, 18}
		fd.Type = scalars[g.IntN(len(scalars))].Enum()
	case n < 6 && len(g.enums) > 0:
		e := g.enums[g.IntN(len(g.enums))]
		if f.proto3 && e.closed || inMap && !e.zero || f.editions && e.closed {
			fd.Type = descriptorpb.FieldDescriptorProto_TYPE_BYTES.Enum()
			return
		}
		fd.Type = descriptorpb.FieldDescriptorProto_TYPE_ENUM.Enum()
		fd.TypeName = new(e.name)
	case n < 7:
		fd.Type = descriptorpb.FieldDescriptorProto_TYPE_ENUM.Enum()
		fd.TypeName = new(".google.protobuf.NullValue")
	case n < 9:
		fd.Type = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum()
		fd.TypeName = new(".google.protobuf." + wellKnownNames[g.IntN(len(wellKnownNames))])
	default:
		fd.Type = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum()
		fd.TypeName = new(g.messages[g.IntN(len(g.messages))])
	}
}

func (g *schemaGen) mapField(f genFile, m *descriptorpb.DescriptorProto, full string, fd *descriptorpb.FieldDescriptorProto) {
	fd.Name = new(g.name("map"))
	fd.JsonName = nil
	name := "M" + fd.GetName()[1:] + "Entry"
	keys := []descriptorpb.FieldDescriptorProto_Type{3, 4, 5, 6, 7, 8, 9, 9, 9, 13, 15, 16, 17, 18}
	key := &descriptorpb.FieldDescriptorProto{
		Name: new("key"), Number: proto.Int32(1),
		Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
		Type:  keys[g.IntN(len(keys))].Enum(),
	}
	value := &descriptorpb.FieldDescriptorProto{
		Name: new("value"), Number: proto.Int32(2),
		Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
	}
	g.typ(f, value, true)
	m.NestedType = append(m.NestedType, &descriptorpb.DescriptorProto{
		Name:    new(name),
		Field:   []*descriptorpb.FieldDescriptorProto{key, value},
		Options: &descriptorpb.MessageOptions{MapEntry: new(true)},
	})
	fd.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
	fd.Type = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum()
	fd.TypeName = new(full + "." + name)
}
