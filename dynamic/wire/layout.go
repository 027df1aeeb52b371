package wire

import "encoding/binary"

// The format, version 2. Numbers are little-endian. A reference is an offset
// into the strings and a length, four bytes each; a position in a section is
// counted in records. Nothing points outside of the table, so it can lie
// anywhere and be read where it lies.
//
//	header      magic, version, sizes, checksums, source, directory
//	services    by full name
//	methods     of each service together, by path
//	messages    by full name, map entries among them
//	fields      of each message together in order of declaration, then its extensions by full name
//	oneofs      of each message together in order of declaration
//	enums       by full name
//	values      of each enum together in order of declaration
//	names       what JSON may call the fields of each message, in order
//	index       positions in the order of something else: by number, by name, folded or not
//	extensions  positions of all extensions in fields, by full name
//	scoped      positions of all values, by the scope of their enum and by name
//	strings     names, keys ready for output, defaults
//	docs        the optional second part with a checksum of its own; see docs.go
//
// The core is all but the docs. Whatever changes the meaning of a byte
// increments the version: a table is a cache, nobody needs to read an old one.
const (
	magic = "\x8eMWT\r\n\x1a\n"

	// Version is the version of the format: tables of another one are not read.
	Version = 2

	headerSize    = 160
	serviceSize   = 24
	methodSize    = 32
	messageSize   = 64
	fieldSize     = 64
	oneofSize     = 16
	enumSize      = 32
	valueSize     = 20
	nameSize      = 12
	indexSize     = 4
	extensionSize = 4
	scopedSize    = 4
	stringSize    = 1

	none = 1<<32 - 1 // a position that is not there

	// maxLocal bounds the fields and extensions of one message, as protoc does.
	maxLocal = 1<<16 - 1
)

// Where things lie in the header.
const (
	atVersion   = 8
	atCoreSize  = 12
	atCoreSum   = 16
	atDocsSize  = 20
	atDocsSum   = 24
	atSource    = 32
	atDirectory = 64
)

// The sections, in the order of the directory.
const (
	secServices = iota
	secMethods
	secMessages
	secFields
	secOneofs
	secEnums
	secValues
	secNames
	secIndex
	secExtensions
	secScoped
	secStrings
	sections
)

// sizeOf returns the size of a record of a section.
func sizeOf(section int) uint64 {
	return [sections]uint64{
		serviceSize, methodSize, messageSize, fieldSize, oneofSize, enumSize,
		valueSize, nameSize, indexSize, extensionSize, scopedSize, stringSize,
	}[section]
}

// Flags of records.
const (
	flagDeprecated = 1 << iota // of all kinds

	// Of methods.
	flagClientStream
	flagServerStream

	// Of messages.
	flagMapEntry
	flagUnsupported
	flagOneofs // has oneofs of more than one member

	// Of fields.
	flagPacked
	flagUTF8
	flagPresence
	flagMap
	flagExtension
	flagDefault
	flagShared // in a oneof with others
	flagPlain  // neither that nor repeated nor a message

	// Of oneofs.
	flagSynthetic

	// Of enums.
	flagClosed
	flagNullValue

	// Of services.
	flagNamesakes // has methods that are not the only ones with their name
)

// The records, as they lie in the table. Constant offsets into arrays of a
// known size need no bounds checks.
type (
	serviceRec [serviceSize]byte
	methodRec  [methodSize]byte
	messageRec [messageSize]byte
	fieldRec   [fieldSize]byte
	oneofRec   [oneofSize]byte
	enumRec    [enumSize]byte
	valueRec   [valueSize]byte
	nameRec    [nameSize]byte
)

// ref is a reference to bytes among the strings.
type ref struct{ off, size uint32 }

func le(b []byte) uint32     { return binary.LittleEndian.Uint32(b) }
func put(b []byte, v uint32) { binary.LittleEndian.PutUint32(b, v) }
func leRef(b []byte) ref     { return ref{le(b[0:4]), le(b[4:8])} }
func putRef(b []byte, r ref) { put(b[0:4], r.off); put(b[4:8], r.size) }

func (r *serviceRec) name() ref       { return leRef(r[0:8]) }
func (r *serviceRec) methods() uint32 { return le(r[8:12]) }
func (r *serviceRec) count() uint32   { return le(r[12:16]) }
func (r *serviceRec) flags() uint32   { return le(r[16:20]) }
func (r *serviceRec) byFold() uint32  { return le(r[20:24]) } // count local positions

func (r *methodRec) path() ref        { return leRef(r[0:8]) } // /pkg.Service/Method
func (r *methodRec) nameSize() uint32 { return le(r[8:12]) }
func (r *methodRec) input() uint32    { return le(r[12:16]) }
func (r *methodRec) output() uint32   { return le(r[16:20]) }
func (r *methodRec) flags() uint32    { return le(r[20:24]) }
func (r *methodRec) service() uint32  { return le(r[24:28]) }
func (r *methodRec) alike() uint32    { return le(r[28:32]) } // methods of the table with its name, folded

func (r *messageRec) name() ref            { return leRef(r[0:8]) }
func (r *messageRec) fields() uint32       { return le(r[8:12]) }
func (r *messageRec) fieldCount() uint32   { return le(r[12:16]) }
func (r *messageRec) extCount() uint32     { return le(r[16:20]) }
func (r *messageRec) oneofs() uint32       { return le(r[20:24]) }
func (r *messageRec) oneofCount() uint32   { return le(r[24:28]) }
func (r *messageRec) byNumber() uint32     { return le(r[28:32]) } // fieldCount+extCount local positions
func (r *messageRec) names() uint32        { return le(r[32:36]) }
func (r *messageRec) nameCount() uint32    { return le(r[36:40]) }
func (r *messageRec) required() uint32     { return le(r[40:44]) } // how many fields are required
func (r *messageRec) wellKnown() WellKnown { return WellKnown(r[44]) }
func (r *messageRec) flags() uint32        { return le(r[48:52]) }

func (r *fieldRec) number() uint32    { return le(r[0:4]) }
func (r *fieldRec) kind() Kind        { return Kind(r[4]) }
func (r *fieldRec) card() Cardinality { return Cardinality(r[5]) }
func (r *fieldRec) wireType() uint8   { return r[6] } // of the kind
func (r *fieldRec) packable() bool    { return r[7] != 0 }
func (r *fieldRec) flags() uint32     { return le(r[8:12]) }
func (r *fieldRec) typ() uint32       { return le(r[12:16]) }    // position of the message or enum
func (r *fieldRec) oneof() uint32     { return le(r[16:20]) }    // in its message
func (r *fieldRec) jsonKey() ref      { return leRef(r[20:28]) } // ,"name":
func (r *fieldRec) textKey() ref      { return leRef(r[28:36]) }
func (r *fieldRec) jsonName() ref     { return leRef(r[36:44]) }
func (r *fieldRec) name() ref         { return leRef(r[44:52]) } // full for an extension
func (r *fieldRec) defaultText() ref  { return leRef(r[52:60]) }
func (r *fieldRec) parent() uint32    { return le(r[60:64]) } // position of the message

func (r *oneofRec) name() ref      { return leRef(r[0:8]) }
func (r *oneofRec) flags() uint32  { return le(r[8:12]) }
func (r *oneofRec) parent() uint32 { return le(r[12:16]) }

func (r *enumRec) name() ref           { return leRef(r[0:8]) }
func (r *enumRec) values() uint32      { return le(r[8:12]) }
func (r *enumRec) count() uint32       { return le(r[12:16]) }
func (r *enumRec) byName() uint32      { return le(r[16:20]) } // count local positions
func (r *enumRec) byNumber() uint32    { return le(r[20:24]) } // numberCount local positions
func (r *enumRec) numberCount() uint32 { return le(r[24:28]) } // fewer than count where there are aliases
func (r *enumRec) flags() uint32       { return le(r[28:32]) }

func (r *valueRec) name() ref     { return leRef(r[0:8]) }
func (r *valueRec) number() int32 { return int32(le(r[8:12])) }
func (r *valueRec) flags() uint32 { return le(r[12:16]) }
func (r *valueRec) enum() uint32  { return le(r[16:20]) }

func (r *nameRec) name() ref     { return leRef(r[0:8]) }
func (r *nameRec) local() uint32 { return le(r[8:12]) }
