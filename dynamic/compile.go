// Package dynamic works with APIs that are known only at run time: a schema, as a
// server, an image or .proto files give it, is compiled to tables, and from then
// on these are all that a call needs.
//
//	FileDescriptorSet ─ NewFiles ─ Compile ─ wire.Open ─ JSON ⇄ wire form
//
// What the tables do not take goes through the descriptors themselves.
package dynamic

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/micro/micro/v3/dynamic/wire"
)

// CompileOptions tell what becomes part of a table.
type CompileOptions struct {
	// Docs makes what the schema says for people a part: comments, which fields
	// are required, and rules of protovalidate.
	Docs bool

	// Source is the digest of the schema, which the table carries.
	Source [32]byte
}

// Compile makes a table for all that files declares, which [wire.Open] reads.
// The same files give the same bytes. The error says what a table cannot hold;
// single messages that it cannot convert are in it as such, see
// [wire.ErrUnsupported].
func Compile(files *protoregistry.Files, o CompileOptions) ([]byte, error) {
	c := compiler{
		messages: map[protoreflect.FullName]int{},
		enums:    map[protoreflect.FullName]int{},
	}
	c.collect(files)
	if o.Docs {
		rules, err := newRules(files)
		if err != nil {
			return nil, err
		}
		c.docs = &docs{rules: rules}
	}
	schema, err := c.schema()
	if err != nil {
		return nil, fmt.Errorf("compile schema: %w", err)
	}
	schema.Source = o.Source
	return schema.Compile(o.Docs)
}

// compiler turns descriptors into the schema of a table.
type compiler struct {
	services   []protoreflect.ServiceDescriptor
	list       []protoreflect.MessageDescriptor
	messages   map[protoreflect.FullName]int // positions in list
	enumList   []protoreflect.EnumDescriptor
	enums      map[protoreflect.FullName]int
	extensions map[protoreflect.FullName][]protoreflect.ExtensionDescriptor // by what they extend

	docs *docs // nil when the table has none
}

// collect lists what the files declare.
func (c *compiler) collect(files *protoregistry.Files) {
	c.extensions = map[protoreflect.FullName][]protoreflect.ExtensionDescriptor{}
	files.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		for i := range f.Services().Len() {
			c.services = append(c.services, f.Services().Get(i))
		}
		c.collectTypes(f)
		return true
	})
}

// scope is what declares types: a file or a message.
type scope interface {
	Messages() protoreflect.MessageDescriptors
	Enums() protoreflect.EnumDescriptors
	Extensions() protoreflect.ExtensionDescriptors
}

func (c *compiler) collectTypes(s scope) {
	for i := range s.Enums().Len() {
		e := s.Enums().Get(i)
		c.enums[e.FullName()] = len(c.enumList)
		c.enumList = append(c.enumList, e)
	}
	for i := range s.Extensions().Len() {
		x := s.Extensions().Get(i)
		of := x.ContainingMessage().FullName()
		c.extensions[of] = append(c.extensions[of], x)
	}
	for i := range s.Messages().Len() {
		m := s.Messages().Get(i)
		c.messages[m.FullName()] = len(c.list)
		c.list = append(c.list, m)
		c.collectTypes(m)
	}
}

func (c *compiler) schema() (*wire.Schema, error) {
	s := &wire.Schema{}
	for _, d := range c.services {
		service, err := c.service(d)
		if err != nil {
			return nil, err
		}
		s.Services = append(s.Services, service)
	}
	for _, d := range c.list {
		message, err := c.message(d)
		if err != nil {
			return nil, err
		}
		s.Messages = append(s.Messages, message)
	}
	for _, d := range c.enumList {
		s.Enums = append(s.Enums, c.enum(d))
	}
	return s, nil
}

func (c *compiler) service(d protoreflect.ServiceDescriptor) (wire.ServiceSchema, error) {
	s := wire.ServiceSchema{Name: string(d.FullName()), Deprecated: deprecated(d), Doc: c.docs.of(d)}
	for i := range d.Methods().Len() {
		m := d.Methods().Get(i)
		input, ok1 := c.messages[m.Input().FullName()]
		output, ok2 := c.messages[m.Output().FullName()]
		if !ok1 || !ok2 {
			return s, fmt.Errorf("method %s: a type is missing", m.FullName())
		}
		s.Methods = append(s.Methods, wire.MethodSchema{
			Name:            string(m.Name()),
			Input:           input,
			Output:          output,
			ClientStreaming: m.IsStreamingClient(),
			ServerStreaming: m.IsStreamingServer(),
			Deprecated:      deprecated(m),
			Doc:             c.docs.of(m),
		})
	}
	return s, nil
}

func (c *compiler) message(d protoreflect.MessageDescriptor) (wire.MessageSchema, error) {
	m := wire.MessageSchema{
		Name:       string(d.FullName()),
		MapEntry:   d.IsMapEntry(),
		Deprecated: deprecated(d),
		Doc:        c.docs.of(d),
	}
	var ok bool
	if m.WellKnown, ok = wellKnown(d); !ok {
		m.Unsupported = true
	}
	numbers := map[protoreflect.FieldNumber]bool{}
	for i := range d.Fields().Len() {
		f, err := c.field(d.Fields().Get(i))
		if err != nil {
			return m, err
		}
		m.Fields = append(m.Fields, f)
	}
	extensions := c.extensions[d.FullName()]
	slices.SortFunc(extensions, func(a, b protoreflect.ExtensionDescriptor) int {
		return cmp.Compare(a.FullName(), b.FullName())
	})
	for _, x := range extensions {
		if numbers[x.Number()] {
			// Which of the two is meant depends on who asks.
			m.Unsupported = true
			continue
		}
		numbers[x.Number()] = true
		f, err := c.field(x)
		if err != nil {
			return m, err
		}
		m.Extensions = append(m.Extensions, f)
	}
	for i := range d.Oneofs().Len() {
		o := d.Oneofs().Get(i)
		m.Oneofs = append(m.Oneofs, wire.OneofSchema{
			Name:      string(o.Name()),
			Synthetic: o.IsSynthetic(),
			Doc:       c.docs.of(o),
		})
	}
	nameFields(d, &m)
	return m, nil
}

func (c *compiler) field(d protoreflect.FieldDescriptor) (wire.FieldSchema, error) {
	f := wire.FieldSchema{
		Name:        string(d.Name()),
		JSONName:    d.JSONName(),
		TextName:    d.TextName(),
		Number:      int(d.Number()),
		Kind:        wire.Kind(d.Kind()),
		Cardinality: wire.Cardinality(d.Cardinality()),
		Oneof:       -1,
		Packed:      d.IsPacked(),
		Presence:    d.HasPresence(),
		UTF8:        enforcesUTF8(d),
		HasDefault:  d.HasDefault(),
		Deprecated:  deprecated(d),
		Doc:         c.docs.ofField(d),
	}
	if d.IsExtension() {
		f.Name = string(d.FullName())
	}
	if o := d.ContainingOneof(); o != nil {
		f.Oneof = o.Index()
	}
	if d.HasDefault() {
		f.Default = defaultText(d)
	}
	ok := true
	switch {
	case d.Message() != nil:
		f.Type, ok = c.messages[d.Message().FullName()]
	case d.Enum() != nil:
		f.Type, ok = c.enums[d.Enum().FullName()]
	}
	if !ok {
		return f, fmt.Errorf("field %s: its type is missing", d.FullName())
	}
	return f, nil
}

// nameFields gives the fields the names by which JSON may call them, each to one
// field only. That JSON cannot name a field makes a message one that tables do
// not take.
func nameFields(d protoreflect.MessageDescriptor, m *wire.MessageSchema) {
	taken := map[string]bool{}
	for i := range m.Fields {
		f := d.Fields().Get(i)
		names := []string{f.JSONName(), f.TextName()}
		if f.Kind() == protoreflect.GroupKind {
			names = append(names, strings.ToLower(f.JSONName()), strings.ToLower(f.TextName()))
		}
		for _, name := range names {
			if taken[name] || isBracketed(name) {
				continue
			}
			owner := d.Fields().ByJSONName(name)
			if owner == nil {
				owner = d.Fields().ByTextName(name)
			}
			if owner != nil {
				taken[name] = true
				of := &m.Fields[owner.Index()]
				of.Names = append(of.Names, name)
			}
		}
	}
	for i := range m.Extensions {
		f := &m.Extensions[i]
		f.Names = []string{"[" + f.Name + "]"}
	}
	for i := range m.Fields {
		if f := &m.Fields[i]; !utf8.ValidString(f.JSONName) {
			m.Unsupported = true
			f.JSONName = f.Name
		}
	}
	if m.Unsupported {
		for i := range m.Fields {
			m.Fields[i].Names = nil
		}
	}
}

// isBracketed reports whether a name means an extension in JSON.
func isBracketed(name string) bool {
	return strings.HasPrefix(name, "[") && strings.HasSuffix(name, "]")
}

func (c *compiler) enum(d protoreflect.EnumDescriptor) wire.EnumSchema {
	e := wire.EnumSchema{
		Name:       string(d.FullName()),
		Closed:     d.IsClosed(),
		NullValue:  d.FullName() == "google.protobuf.NullValue",
		Deprecated: deprecated(d),
		Doc:        c.docs.of(d),
	}
	for i := range d.Values().Len() {
		v := d.Values().Get(i)
		e.Values = append(e.Values, wire.ValueSchema{
			Name:       string(v.Name()),
			Number:     int32(v.Number()),
			Deprecated: deprecated(v),
			Doc:        c.docs.of(v),
		})
	}
	return e
}

// enforcesUTF8 reports whether a string that is not UTF-8 is an error in the wire
// form. For extensions the protobuf module answers as for proto2 even if editions
// say otherwise, and so do the tables.
func enforcesUTF8(d protoreflect.FieldDescriptor) bool {
	if d.Syntax() == protoreflect.Editions && !d.IsExtension() {
		if d, ok := d.(interface{ EnforceUTF8() bool }); ok {
			return d.EnforceUTF8()
		}
	}
	return d.Syntax() == protoreflect.Proto3
}

func deprecated(d protoreflect.Descriptor) bool {
	o, ok := d.Options().(interface{ GetDeprecated() bool })
	return ok && o.GetDeprecated()
}

// defaultText returns a default as people write it.
func defaultText(d protoreflect.FieldDescriptor) string {
	switch v := d.Default(); d.Kind() {
	case protoreflect.EnumKind:
		return string(d.DefaultEnumValue().Name())
	case protoreflect.BytesKind:
		quoted := strconv.QuoteToASCII(string(v.Bytes()))
		return quoted[1 : len(quoted)-1]
	default:
		return v.String()
	}
}
