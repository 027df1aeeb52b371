package wire

// Kind is the type of a field. The values are those of
// google.protobuf.FieldDescriptorProto.Type.
type Kind uint8

// The kinds.
const (
	DoubleKind Kind = 1 + iota
	FloatKind
	Int64Kind
	Uint64Kind
	Int32Kind
	Fixed64Kind
	Fixed32Kind
	BoolKind
	StringKind
	GroupKind
	MessageKind
	BytesKind
	Uint32Kind
	EnumKind
	Sfixed32Kind
	Sfixed64Kind
	Sint32Kind
	Sint64Kind
)

// String returns the keyword of the protobuf language: "int32", "message".
func (k Kind) String() string {
	names := [...]string{
		"invalid", "double", "float", "int64", "uint64", "int32", "fixed64", "fixed32", "bool", "string",
		"group", "message", "bytes", "uint32", "enum", "sfixed32", "sfixed64", "sint32", "sint64",
	}
	if int(k) < len(names) {
		return names[k]
	}
	return names[0]
}

// Wire types of protobuf's encoding.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireStart   = 3
	wireEnd     = 4
	wireFixed32 = 5
)

// wireType returns how a value of the kind is encoded when it is not packed.
func (k Kind) wireType() uint8 {
	switch k {
	case DoubleKind, Fixed64Kind, Sfixed64Kind:
		return wireFixed64
	case FloatKind, Fixed32Kind, Sfixed32Kind:
		return wireFixed32
	case StringKind, BytesKind, MessageKind:
		return wireBytes
	case GroupKind:
		return wireStart
	default:
		return wireVarint
	}
}

// isVarint reports whether values are encoded in groups of seven bits.
func (k Kind) isVarint() bool {
	const varints = 1<<Int64Kind | 1<<Uint64Kind | 1<<Int32Kind | 1<<BoolKind | 1<<Uint32Kind | 1<<EnumKind | 1<<Sint32Kind | 1<<Sint64Kind
	return varints>>k&1 != 0
}

// packable reports whether repeated values may share one length.
func (k Kind) packable() bool {
	t := k.wireType()
	return t != wireBytes && t != wireStart
}

// isMessage reports whether values are messages, however they are delimited.
func (k Kind) isMessage() bool { return k == MessageKind || k == GroupKind }

// Cardinality tells how often a field may occur. The values are those of
// google.protobuf.FieldDescriptorProto.Label.
type Cardinality uint8

// The cardinalities.
const (
	Optional Cardinality = 1 + iota
	Required
	Repeated
)

// WellKnown tells which of the messages with a JSON form of their own a message
// is; the zero value is none.
type WellKnown uint8

// The messages of google.protobuf that have a JSON form of their own.
const (
	Any WellKnown = 1 + iota
	Timestamp
	Duration
	Wrapper // BoolValue, Int32Value, …
	Struct
	ListValue
	Value
	FieldMask
	Empty // its form in an Any is special
)
