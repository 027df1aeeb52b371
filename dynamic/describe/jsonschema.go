package describe

import (
	"encoding/json"
	"errors"
	"io"
	"maps"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/micro/micro/v3/dynamic"
)

// ErrNoType means that the element is no type of values.
var ErrNoType = errors.New("only messages, enums and methods have a JSON Schema")

// JSONSchema writes the JSON Schema (draft 2020-12) of a message or an enum in
// protobuf's JSON mapping; of a method, that of its request. It takes what the
// mapping writes, and of what the mapping reads besides that the numbers of enums and
// 64-bit numbers that are no strings. The error is [ErrNoType] for another element.
func JSONSchema(w io.Writer, d protoreflect.Descriptor) error {
	if m, ok := d.(protoreflect.MethodDescriptor); ok {
		d = m.Input()
	}
	s := &schema{defs: object{}}
	root := object{"$schema": "https://json-schema.org/draft/2020-12/schema"}
	switch d := d.(type) {
	case protoreflect.MessageDescriptor:
		maps.Copy(root, s.message(d))
	case protoreflect.EnumDescriptor:
		maps.Copy(root, s.enum(d))
	default:
		return ErrNoType
	}
	if len(s.defs) > 0 {
		root["$defs"] = s.defs
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(root)
}

// object is a piece of a JSON Schema.
type object = map[string]any

type schema struct{ defs object }

func ref(d protoreflect.Descriptor) object {
	return object{"$ref": "#/$defs/" + string(d.FullName())}
}

func (s *schema) message(m protoreflect.MessageDescriptor) object {
	if known, ok := wellKnownSchema(m); ok {
		return known
	}
	if _, ok := s.defs[string(m.FullName())]; ok {
		return ref(m)
	}
	properties := object{}
	def := object{"type": "object", "properties": properties, "additionalProperties": false}
	describeIn(def, m)
	s.defs[string(m.FullName())] = def // before its fields: they may lead back to it
	var required []string
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		property := s.field(f)
		describeIn(property, f)
		properties[f.JSONName()] = property
		if f.Cardinality() == protoreflect.Required {
			required = append(required, f.JSONName())
		}
	}
	if required != nil {
		def["required"] = required
	}
	var exclusive []any
	for i := range m.Oneofs().Len() {
		if o := m.Oneofs().Get(i); !o.IsSynthetic() {
			exclusive = append(exclusive, atMostOne(o))
		}
	}
	if exclusive != nil {
		def["allOf"] = exclusive
	}
	return ref(m)
}

// atMostOne says that no two members of a oneof are there.
func atMostOne(o protoreflect.OneofDescriptor) object {
	var each []any
	for i := range o.Fields().Len() {
		each = append(each, object{"required": []string{o.Fields().Get(i).JSONName()}})
	}
	return object{"oneOf": append(each, object{"not": object{"anyOf": each}})}
}

// describeIn puts into a schema what the comment and the options of an element say.
// Beside a reference both hold since draft 2019-09.
func describeIn(o object, d protoreflect.Descriptor) {
	if c := dynamic.Comment(d); c != "" {
		o["description"] = c
	}
	if deprecated(d) != "" {
		o["deprecated"] = true
	}
}

func (s *schema) enum(e protoreflect.EnumDescriptor) object {
	if e.FullName() == "google.protobuf.NullValue" {
		return object{"type": "null"}
	}
	var names []any
	for i := range e.Values().Len() {
		names = append(names, string(e.Values().Get(i).Name()))
	}
	def := object{"anyOf": []any{object{"type": "string", "enum": names}, object{"type": "integer"}}}
	describeIn(def, e)
	s.defs[string(e.FullName())] = def
	return ref(e)
}

func (s *schema) field(f protoreflect.FieldDescriptor) object {
	switch {
	case f.IsMap():
		o := object{"type": "object", "additionalProperties": s.value(f.MapValue())}
		switch key := f.MapKey(); key.Kind() {
		case protoreflect.BoolKind:
			o["propertyNames"] = object{"enum": []any{"true", "false"}}
		case protoreflect.StringKind:
		default:
			o["propertyNames"] = object{"pattern": wholeNumber}
		}
		return o
	case f.IsList():
		return object{"type": "array", "items": s.value(f)}
	default:
		return s.value(f)
	}
}

const wholeNumber = "^-?[0-9]+$"

func (s *schema) value(f protoreflect.FieldDescriptor) object {
	switch f.Kind() {
	case protoreflect.BoolKind:
		return object{"type": "boolean"}
	case protoreflect.StringKind:
		return object{"type": "string"}
	case protoreflect.BytesKind:
		return object{"type": "string", "contentEncoding": "base64"}
	case protoreflect.EnumKind:
		return s.enum(f.Enum())
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return s.message(f.Message())
	default:
		return number(f.Kind())
	}
}

func number(k protoreflect.Kind) object {
	switch k {
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return object{"anyOf": []any{object{"type": "number"}, object{"enum": []any{"NaN", "Infinity", "-Infinity"}}}}
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind, protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return object{"type": []any{"string", "integer"}, "pattern": wholeNumber}
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return object{"type": "integer", "minimum": 0, "maximum": uint32(1<<32 - 1)}
	default:
		return object{"type": "integer", "minimum": -1 << 31, "maximum": 1<<31 - 1}
	}
}

// wellKnownSchema returns the schema of a type that has a JSON form of its own.
func wellKnownSchema(m protoreflect.MessageDescriptor) (object, bool) {
	switch m.FullName() {
	case "google.protobuf.Timestamp":
		return object{"type": "string", "format": "date-time"}, true
	case "google.protobuf.Duration":
		return object{"type": "string", "pattern": `^-?[0-9]+(\.[0-9]{1,9})?s$`}, true
	case "google.protobuf.FieldMask":
		return object{"type": "string"}, true
	case "google.protobuf.Struct":
		return object{"type": "object"}, true
	case "google.protobuf.ListValue":
		return object{"type": "array"}, true
	case "google.protobuf.Value":
		return object{}, true
	case "google.protobuf.Empty":
		return object{"type": "object", "maxProperties": 0}, true
	case "google.protobuf.Any":
		return object{"type": "object", "properties": object{"@type": object{"type": "string"}}}, true
	case "google.protobuf.BoolValue", "google.protobuf.StringValue", "google.protobuf.BytesValue",
		"google.protobuf.Int32Value", "google.protobuf.UInt32Value", "google.protobuf.Int64Value",
		"google.protobuf.UInt64Value", "google.protobuf.FloatValue", "google.protobuf.DoubleValue":
		inner := (&schema{}).value(m.Fields().ByNumber(1))
		return object{"anyOf": []any{inner, object{"type": "null"}}}, true
	default:
		return nil, false
	}
}
