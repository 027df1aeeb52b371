package dynamic

import (
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/micro/micro/v3/dynamic/wire"
)

// shape is what the fields of a message with a JSON form of its own must be: the
// tables know them by heart.
type shape struct {
	is     wire.WellKnown
	fields []shapeField
}

type shapeField struct {
	kind protoreflect.Kind
	typ  protoreflect.FullName
	card protoreflect.Cardinality
}

func one(k protoreflect.Kind) shapeField { return shapeField{kind: k, card: protoreflect.Optional} }

func wrapper(k protoreflect.Kind) shape { return shape{wire.Wrapper, []shapeField{one(k)}} }

// shapeOf returns the shape of a message of google.protobuf with a JSON form of
// its own, false for all others.
func shapeOf(name protoreflect.Name) (shape, bool) {
	const (
		pkg      = "google.protobuf."
		message  = protoreflect.MessageKind
		repeated = protoreflect.Repeated
	)
	switch name {
	case "Any":
		return shape{wire.Any, []shapeField{one(protoreflect.StringKind), one(protoreflect.BytesKind)}}, true
	case "Timestamp":
		return shape{wire.Timestamp, []shapeField{one(protoreflect.Int64Kind), one(protoreflect.Int32Kind)}}, true
	case "Duration":
		return shape{wire.Duration, []shapeField{one(protoreflect.Int64Kind), one(protoreflect.Int32Kind)}}, true
	case "BoolValue":
		return wrapper(protoreflect.BoolKind), true
	case "Int32Value":
		return wrapper(protoreflect.Int32Kind), true
	case "Int64Value":
		return wrapper(protoreflect.Int64Kind), true
	case "UInt32Value":
		return wrapper(protoreflect.Uint32Kind), true
	case "UInt64Value":
		return wrapper(protoreflect.Uint64Kind), true
	case "FloatValue":
		return wrapper(protoreflect.FloatKind), true
	case "DoubleValue":
		return wrapper(protoreflect.DoubleKind), true
	case "StringValue":
		return wrapper(protoreflect.StringKind), true
	case "BytesValue":
		return wrapper(protoreflect.BytesKind), true
	case "Struct":
		return shape{wire.Struct, []shapeField{{message, pkg + "Struct.FieldsEntry", repeated}}}, true
	case "ListValue":
		return shape{wire.ListValue, []shapeField{{message, pkg + "Value", repeated}}}, true
	case "Value":
		return shape{wire.Value, []shapeField{
			{protoreflect.EnumKind, pkg + "NullValue", protoreflect.Optional},
			one(protoreflect.DoubleKind), one(protoreflect.StringKind), one(protoreflect.BoolKind),
			{message, pkg + "Struct", protoreflect.Optional},
			{message, pkg + "ListValue", protoreflect.Optional},
		}}, true
	case "FieldMask":
		return shape{wire.FieldMask, []shapeField{{kind: protoreflect.StringKind, card: repeated}}}, true
	case "Empty":
		return shape{wire.Empty, nil}, true
	default:
		return shape{}, false
	}
}

// wellKnown returns which message with a JSON form of its own d is, 0 for none;
// false when it has the name of one and is something else.
func wellKnown(d protoreflect.MessageDescriptor) (wire.WellKnown, bool) {
	if d.FullName().Parent() != "google.protobuf" {
		return 0, true
	}
	s, ok := shapeOf(d.Name())
	if !ok {
		return 0, true
	}
	if d.Fields().Len() != len(s.fields) || d.ExtensionRanges().Len() > 0 {
		return s.is, false
	}
	oneofs := 0
	if s.is == wire.Value {
		oneofs = 1
	}
	if d.Oneofs().Len() != oneofs {
		return s.is, false
	}
	for i, want := range s.fields {
		f := d.Fields().Get(i)
		got := shapeField{kind: f.Kind(), card: f.Cardinality()}
		switch {
		case f.Message() != nil:
			got.typ = f.Message().FullName()
		case f.Enum() != nil:
			got.typ = f.Enum().FullName()
		}
		presence := s.is == wire.Value
		if got != want || int(f.Number()) != i+1 || f.HasPresence() != presence || (f.ContainingOneof() != nil) != presence {
			return s.is, false
		}
	}
	if s.is == wire.Struct && !isStructEntry(d.Fields().Get(0)) {
		return s.is, false
	}
	return s.is, true
}

// isStructEntry reports whether a field is a map from strings to values.
func isStructEntry(f protoreflect.FieldDescriptor) bool {
	return f.IsMap() && f.MapKey().Kind() == protoreflect.StringKind &&
		f.MapValue().Message() != nil && f.MapValue().Message().FullName() == "google.protobuf.Value"
}
