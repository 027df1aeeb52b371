package main

import (
	"bytes"
	"fmt"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/micro/micro/v3/dynamic"
)

// apiPages returns the pages of the APIs in a serialized FileDescriptorSet, by their
// names: one for each proto package that has services.
func apiPages(apis []byte) (map[string][]byte, error) {
	schema, err := dynamic.ParseSchema(apis)
	if err != nil {
		return nil, err
	}
	pages := map[string][]byte{}
	for _, s := range schema.Services() {
		fd := s.ParentFile()
		if name := string(fd.Package()) + ".md"; pages[name] == nil {
			pages[name] = apiPage(fd)
		}
	}
	return pages, nil
}

// apiPage returns the page of a .proto file.
func apiPage(fd protoreflect.FileDescriptor) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s# %s\n", notice, fd.Package())
	about(&b, commentAt(fd, protoreflect.SourcePath{12})) // above the syntax
	for i := range fd.Services().Len() {
		s := fd.Services().Get(i)
		fmt.Fprintf(&b, "\n## %s\n", s.Name())
		about(&b, dynamic.Comment(s))
		for j := range s.Methods().Len() {
			m := s.Methods().Get(j)
			fmt.Fprintf(&b, "\n### %s.%s\n\n    rpc %s(%s%s) returns (%s%s)\n", s.Name(), m.Name(), m.Name(),
				stream(m.IsStreamingClient()), localName(m.Input()), stream(m.IsStreamingServer()), localName(m.Output()))
			about(&b, dynamic.Comment(m))
		}
	}
	b.WriteString("\n## Messages\n")
	messages(&b, fd.Messages())
	enums(&b, fd.Enums())
	return b.Bytes()
}

// messages describes messages, and those that are declared in them.
func messages(b *bytes.Buffer, all protoreflect.MessageDescriptors) {
	for i := range all.Len() {
		m := all.Get(i)
		if m.IsMapEntry() {
			continue
		}
		fmt.Fprintf(b, "\n### %s\n", localName(m))
		about(b, dynamic.Comment(m))
		if m.Fields().Len() > 0 {
			b.WriteString("\n| field | type | |\n| --- | --- | --- |\n")
		}
		for j := range m.Fields().Len() {
			f := m.Fields().Get(j)
			text := cell(dynamic.Comment(f))
			if o := f.ContainingOneof(); o != nil && !o.IsSynthetic() {
				text = strings.TrimSpace("one of " + escape(string(o.Name())) + ". " + text)
			}
			fmt.Fprintf(b, "| `%s` | %s | %s |\n", f.Name(), fieldType(f), text)
		}
		messages(b, m.Messages())
		enums(b, m.Enums())
	}
}

func enums(b *bytes.Buffer, all protoreflect.EnumDescriptors) {
	for i := range all.Len() {
		e := all.Get(i)
		fmt.Fprintf(b, "\n### %s\n", localName(e))
		about(b, dynamic.Comment(e))
		b.WriteString("\n| value | number | |\n| --- | --- | --- |\n")
		for j := range e.Values().Len() {
			v := e.Values().Get(j)
			fmt.Fprintf(b, "| `%s` | %d | %s |\n", v.Name(), v.Number(), cell(dynamic.Comment(v)))
		}
	}
}

// about writes what a comment says as paragraphs.
func about(b *bytes.Buffer, comment string) {
	if comment != "" {
		fmt.Fprintf(b, "\n%s\n", markdown(comment))
	}
}

// cell returns a comment as the cell of a table.
func cell(comment string) string {
	return strings.ReplaceAll(escape(strings.Join(strings.Fields(comment), " ")), "|", `\|`)
}

func stream(streams bool) string {
	if streams {
		return "stream "
	}
	return ""
}

// localName returns the name of something in its package, and the full one of what is in
// another.
func localName(d protoreflect.Descriptor) string {
	full := string(d.FullName())
	if own, ok := strings.CutPrefix(full, string(d.ParentFile().Package())+"."); ok && strings.HasPrefix(full, "micro.") {
		return own
	}
	return full
}

// fieldType returns the type of a field, which leads to what is on the same page.
func fieldType(f protoreflect.FieldDescriptor) string {
	one := func(f protoreflect.FieldDescriptor) string {
		var d protoreflect.Descriptor
		switch {
		case f.Message() != nil:
			d = f.Message()
		case f.Enum() != nil:
			d = f.Enum()
		default:
			return f.Kind().String()
		}
		if d.ParentFile() != f.ParentFile() {
			return string(d.FullName())
		}
		return fmt.Sprintf("[%s](#%s)", localName(d), strings.ToLower(strings.ReplaceAll(localName(d), ".", "")))
	}
	switch {
	case f.IsMap():
		return fmt.Sprintf("map of %s to %s", one(f.MapKey()), one(f.MapValue()))
	case f.IsList():
		return "list of " + one(f)
	case f.HasOptionalKeyword():
		return "optional " + one(f)
	}
	return one(f)
}

// commentAt returns the comment above a place of a file.
func commentAt(fd protoreflect.FileDescriptor, at protoreflect.SourcePath) string {
	text := fd.SourceLocations().ByPath(at).LeadingComments
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, " ")
	}
	return strings.Join(lines, "\n")
}
