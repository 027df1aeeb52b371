package dynamic

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/micro/micro/v3/dynamic/wire"
)

// docs finds what a schema says for people. A nil docs finds nothing.
type docs struct {
	rules *rules
}

func (d *docs) of(of protoreflect.Descriptor) wire.Doc {
	if d == nil {
		return wire.Doc{}
	}
	return wire.Doc{Comment: comment(of)}
}

func (d *docs) ofField(f protoreflect.FieldDescriptor) wire.Doc {
	if d == nil {
		return wire.Doc{}
	}
	doc := wire.Doc{Comment: comment(f), Required: f.Cardinality() == protoreflect.Required}
	options, err := proto.Marshal(f.Options())
	if err != nil || len(options) == 0 {
		return doc
	}
	doc.Required = doc.Required || behavesRequired(options)
	if d.rules != nil {
		text, required := d.rules.of(options)
		doc.Rules, doc.Required = text, doc.Required || required
	}
	return doc
}

// comment returns what the source says before and behind an element, without the
// space that a comment begins with.
func comment(d protoreflect.Descriptor) string {
	at := d.ParentFile().SourceLocations().ByDescriptor(d)
	var lines []string
	for _, c := range []string{at.LeadingComments, at.TrailingComments} {
		for line := range strings.Lines(c) {
			lines = append(lines, strings.TrimRight(strings.TrimPrefix(line, " "), " \t\r\n"))
		}
	}
	return strings.ToValidUTF8(strings.TrimSpace(strings.Join(lines, "\n")), "\uFFFD")
}

// fieldBehavior is the number of google.api.field_behavior in FieldOptions, and
// behaviorRequired that of REQUIRED in its enum.
const (
	fieldBehavior    = 1052
	behaviorRequired = 2
)

// behavesRequired reports whether google.api.field_behavior says REQUIRED.
func behavesRequired(options []byte) bool {
	required := false
	eachField(options, fieldBehavior, func(typ protowire.Type, b []byte) {
		if typ == protowire.BytesType {
			b, _ = protowire.ConsumeBytes(b)
		}
		for len(b) > 0 {
			v, n := protowire.ConsumeVarint(b)
			if n < 0 {
				return
			}
			required = required || v == behaviorRequired
			b = b[n:]
		}
	})
	return required
}

// eachField calls f with the wire type and the value of each field with a number
// in a message.
func eachField(message []byte, number protowire.Number, f func(protowire.Type, []byte)) {
	for len(message) > 0 {
		num, typ, n := protowire.ConsumeTag(message)
		if n < 0 {
			return
		}
		m := protowire.ConsumeFieldValue(num, typ, message[n:])
		if m < 0 {
			return
		}
		if num == number {
			f(typ, message[n:n+m])
		}
		message = message[n+m:]
	}
}

// rules reads the rules of protovalidate in the options of fields.
type rules struct {
	number   protowire.Number // of the extension of FieldOptions
	message  wire.Message     // its type
	required protowire.Number // of the field that tells that a value must be there; may be 0
}

// newRules returns nil when the schema has no such rules.
func newRules(files *protoregistry.Files) (*rules, error) {
	d, _ := files.FindDescriptorByName("buf.validate.field")
	x, ok := d.(protoreflect.ExtensionDescriptor)
	if !ok || x.Message() == nil {
		return nil, nil
	}
	table, err := Compile(files, CompileOptions{})
	if err != nil {
		return nil, err
	}
	t, err := wire.Open(table)
	if err != nil {
		return nil, err
	}
	r := &rules{number: x.Number()}
	if r.message, ok = t.Message(string(x.Message().FullName())); !ok {
		return nil, fmt.Errorf("compile schema: %s is missing", x.Message().FullName())
	}
	if f := x.Message().Fields().ByName("required"); f != nil && f.Kind() == protoreflect.BoolKind {
		r.required = f.Number()
	}
	return r, nil
}

// of returns the rules in the options of a field as JSON, nothing when there are
// none or they make no sense.
func (r *rules) of(options []byte) (text string, required bool) {
	var merged []byte
	eachField(options, r.number, func(typ protowire.Type, b []byte) {
		if v, n := protowire.ConsumeBytes(b); typ == protowire.BytesType && n >= 0 {
			merged = append(merged, v...)
		}
	})
	if len(merged) == 0 {
		return "", false
	}
	eachField(merged, r.required, func(typ protowire.Type, b []byte) {
		v, _ := protowire.ConsumeVarint(b)
		required = typ == protowire.VarintType && v != 0
	})
	json, err := r.message.AppendJSON(nil, merged, wire.EncodeOptions{AllowPartial: true})
	if err != nil {
		return "", required
	}
	return string(json), required
}
