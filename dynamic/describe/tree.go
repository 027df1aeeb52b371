package describe

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/micro/micro/v3/dynamic"
)

// Tree writes an element with all that it is made of, a line each with the first
// sentence of its comment. A message that was shown above is named only.
func Tree(w io.Writer, d protoreflect.Descriptor) error {
	t := &tree{seen: map[protoreflect.FullName]bool{}}
	t.root(d)
	return t.write(w)
}

// tree collects lines, and writes them when the widest is known.
type tree struct {
	lines []line
	seen  map[protoreflect.FullName]bool
}

type line struct{ text, comment string }

// branch is the text before what stands below a line.
type branch string

func (t *tree) add(text, comment string) { t.lines = append(t.lines, line{text, comment}) }

// children calls show for each of n lines with the two beginnings that it has: of
// the line itself, and of what is below it.
func (b branch) children(n int, show func(i int, own string, below branch)) {
	for i := range n {
		if i == n-1 {
			show(i, string(b)+"└─ ", b+"   ")
			continue
		}
		show(i, string(b)+"├─ ", b+"│  ")
	}
}

// maxComment is where the column of comments begins at the latest.
const maxComment = 60

func (t *tree) write(w io.Writer) error {
	width := 0
	for _, l := range t.lines {
		if n := utf8.RuneCountInString(l.text); l.comment != "" && n <= maxComment {
			width = max(width, n)
		}
	}
	var b strings.Builder
	for _, l := range t.lines {
		b.WriteString(l.text)
		if l.comment != "" {
			b.WriteString(strings.Repeat(" ", max(0, width-utf8.RuneCountInString(l.text))+2) + l.comment)
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (t *tree) root(d protoreflect.Descriptor) {
	for p := range strings.Lines(dynamic.Comment(d)) {
		t.add(strings.TrimSpace("// "+p), "")
	}
	switch d := d.(type) {
	case protoreflect.ServiceDescriptor:
		t.add("service "+string(d.FullName())+deprecated(d), "")
		branch("").children(d.Methods().Len(), func(i int, own string, _ branch) {
			m := d.Methods().Get(i)
			t.add(own+signature(m)+deprecated(m), summary(m))
		})
	case protoreflect.MethodDescriptor:
		t.add("rpc "+string(d.Parent().FullName())+"/"+signature(d)+deprecated(d), "")
		t.add("├─ "+streamed("request ", d.IsStreamingClient())+string(d.Input().FullName()), summary(d.Input()))
		t.fields("│  ", d.Input())
		t.add("└─ "+streamed("answer ", d.IsStreamingServer())+string(d.Output().FullName()), summary(d.Output()))
		t.fields("   ", d.Output())
	case protoreflect.MessageDescriptor:
		t.add("message "+string(d.FullName())+deprecated(d), "")
		t.fields("", d)
	case protoreflect.EnumDescriptor:
		t.add("enum "+string(d.FullName())+deprecated(d), "")
		t.values("", d)
	}
}

func signature(m protoreflect.MethodDescriptor) string {
	return fmt.Sprintf("%s(%s) returns (%s)", m.Name(),
		streamed("", m.IsStreamingClient())+string(m.Input().Name()),
		streamed("", m.IsStreamingServer())+string(m.Output().Name()))
}

func streamed(what string, is bool) string {
	if is {
		return what + "stream "
	}
	return what
}

// deprecated returns what is put behind an element that is no longer wanted.
func deprecated(d protoreflect.Descriptor) string {
	o, ok := d.Options().(interface{ GetDeprecated() bool })
	if ok && o.GetDeprecated() {
		return " (deprecated)"
	}
	return ""
}

func (t *tree) values(b branch, d protoreflect.EnumDescriptor) {
	b.children(d.Values().Len(), func(i int, own string, _ branch) {
		v := d.Values().Get(i)
		t.add(fmt.Sprintf("%s%s = %d%s", own, v.Name(), v.Number(), deprecated(v)), summary(v))
	})
}

// node is a field, or a oneof with its fields.
type node struct {
	field protoreflect.FieldDescriptor
	oneof protoreflect.OneofDescriptor
}

// nodes returns the fields of a message, those of a oneof together.
func nodes(m protoreflect.MessageDescriptor) []node {
	var out []node
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		o := f.ContainingOneof()
		switch {
		case o == nil || o.IsSynthetic():
			out = append(out, node{field: f})
		case o.Fields().Get(0) == f:
			out = append(out, node{oneof: o})
		}
	}
	return out
}

func (t *tree) fields(b branch, m protoreflect.MessageDescriptor) {
	t.seen[m.FullName()] = true
	all := nodes(m)
	b.children(len(all), func(i int, own string, below branch) {
		if o := all[i].oneof; o != nil {
			t.add(own+"oneof "+string(o.Name()), summary(o))
			below.children(o.Fields().Len(), func(k int, own string, below branch) {
				t.field(own, below, o.Fields().Get(k))
			})
			return
		}
		t.field(own, below, all[i].field)
	})
}

func (t *tree) field(own string, below branch, f protoreflect.FieldDescriptor) {
	text := own + string(f.Name()) + " " + TypeOf(f)
	if f.HasDefault() {
		text += " = " + defaultOf(f)
	}
	text += deprecated(f)
	value := f
	if f.IsMap() {
		value = f.MapValue()
	}
	switch m, e := value.Message(), value.Enum(); {
	case m != nil && !wellKnown(m) && t.seen[m.FullName()]:
		t.add(text+" …", summary(f))
	case m != nil && !wellKnown(m):
		t.add(text, summary(f))
		t.fields(below, m)
	case e != nil && !t.seen[e.FullName()] && !wellKnown(e):
		t.seen[e.FullName()] = true
		t.add(text, summary(f))
		t.values(below, e)
	default:
		t.add(text, summary(f))
	}
}

func defaultOf(f protoreflect.FieldDescriptor) string {
	switch f.Kind() {
	case protoreflect.EnumKind:
		return string(f.DefaultEnumValue().Name())
	case protoreflect.StringKind, protoreflect.BytesKind:
		return fmt.Sprintf("%q", f.Default())
	default:
		return f.Default().String()
	}
}

// TypeOf returns the type of a field as a .proto file has it, without package.
func TypeOf(f protoreflect.FieldDescriptor) string {
	switch {
	case f.IsMap():
		return fmt.Sprintf("map<%s, %s>", TypeOf(f.MapKey()), TypeOf(f.MapValue()))
	case f.IsList():
		return "repeated " + elementType(f)
	case f.Cardinality() == protoreflect.Required:
		return "required " + elementType(f)
	case f.HasOptionalKeyword():
		return "optional " + elementType(f)
	default:
		return elementType(f)
	}
}

func elementType(f protoreflect.FieldDescriptor) string {
	switch {
	case f.Enum() != nil:
		return string(f.Enum().Name())
	case f.Message() != nil:
		return string(f.Message().Name())
	default:
		return f.Kind().String()
	}
}

// wellKnown reports whether everybody knows what a type is made of.
func wellKnown(d protoreflect.Descriptor) bool {
	return d.ParentFile().Package() == "google.protobuf" && d.ParentFile().Path() != descriptorpb.File_google_protobuf_descriptor_proto.Path()
}
