package wire

// Schema is what a table is compiled from: plain data, which package dynamic
// fills from descriptors. Names are full unless they say otherwise. Positions
// are into Messages and Enums of the schema; the order of the elements of a
// schema does not matter for the table.
type Schema struct {
	Services []ServiceSchema
	Messages []MessageSchema
	Enums    []EnumSchema

	Source [32]byte // the digest of what the schema was made from, if there is one
}

// ServiceSchema describes a service.
type ServiceSchema struct {
	Name       string
	Methods    []MethodSchema
	Deprecated bool
	Doc        Doc
}

// MethodSchema describes a method.
type MethodSchema struct {
	Name            string // without that of the service
	Input, Output   int    // positions of messages
	ClientStreaming bool
	ServerStreaming bool
	Deprecated      bool
	Doc             Doc
}

// MessageSchema describes a message.
type MessageSchema struct {
	Name       string
	Fields     []FieldSchema // in order of declaration
	Extensions []FieldSchema // in any order
	Oneofs     []OneofSchema // in order of declaration

	WellKnown   WellKnown
	MapEntry    bool // it stands for the entries of a map: a key and a value
	Unsupported bool // conversions return ErrUnsupported
	Deprecated  bool
	Doc         Doc
}

// FieldSchema describes a field or an extension.
type FieldSchema struct {
	Name     string   // full for an extension, else local
	JSONName string   // an extension's is its name in brackets
	TextName string   // differs from Name for what looks like a group
	Names    []string // all that are understood in JSON; no other field of the message has them

	Number      int
	Kind        Kind
	Cardinality Cardinality
	Type        int // position of the message or the enum, by kind
	Oneof       int // position in the oneofs of the message, -1 for none

	Packed     bool
	Presence   bool   // the zero value differs from an absent field
	UTF8       bool   // a string that is not UTF-8 is an error in the wire form
	HasDefault bool   // the schema gives one
	Default    string // as it is written there, without quotes
	Deprecated bool
	Doc        Doc
}

// OneofSchema describes a oneof.
type OneofSchema struct {
	Name      string // local
	Synthetic bool   // it only stands for a proto3 optional
	Doc       Doc
}

// EnumSchema describes an enum.
type EnumSchema struct {
	Name       string
	Values     []ValueSchema // in order of declaration
	Closed     bool
	NullValue  bool // it is google.protobuf.NullValue
	Deprecated bool
	Doc        Doc
}

// ValueSchema describes a value of an enum.
type ValueSchema struct {
	Name       string // without that of the enum
	Number     int32
	Deprecated bool
	Doc        Doc
}
