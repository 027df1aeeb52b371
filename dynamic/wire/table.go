// Package wire turns JSON into protobuf's wire form and back with compiled
// tables: without building messages, without the protobuf module, and without
// reading more of the schema than a call needs.
//
//	dynamic.Compile: schema → bytes     once, wherever the schema is made
//	Open: bytes → *Table                at each start, read in place
//	Message.AppendWire, AppendJSON      at each call
//
// The bytes are the cache on disk: they describe themselves, carry a version and
// checksums, and are safe to use whatever they contain. The semantics are those
// of protojson (google.golang.org/protobuf/encoding/protojson), which is also
// where what a table does not take goes: [ErrUnsupported] says so.
package wire

import (
	"errors"
	"hash/crc32"
	"sort"
	"sync"
)

// Errors of [Open] and [Table.Docs]. A caller that keeps tables as a cache
// treats them alike: the table is made again.
var (
	ErrForeign = errors.New("not a compiled table")
	ErrVersion = errors.New("a compiled table of another version")
	ErrDamaged = errors.New("a damaged compiled table")
)

// Table is a compiled schema. It is immutable and safe for concurrent use.
//
// Every access is checked against the bounds of the table and yields a zero
// record outside of them, so that contents that no compiler made give wrong
// answers or errors but neither panics nor loops.
type Table struct {
	raw  []byte // the whole of it
	docs []byte // not verified yet
	sum  uint32 // of docs

	services   []byte
	methods    []byte
	messages   []byte
	fields     []byte
	oneofs     []byte
	enums      []byte
	values     []byte
	names      []byte
	index      []byte
	extensions []byte
	scoped     []byte
	strings    []byte

	decoders sync.Pool // of *decoder
	encoders sync.Pool // of *encoder
}

// Open reads a table made by [Schema.Compile]. It keeps b, which must not change
// from then on. Bytes behind the table are an error, as are fewer than it says.
func Open(b []byte) (*Table, error) {
	if len(b) < headerSize || string(b[:len(magic)]) != magic {
		return nil, ErrForeign
	}
	if le(b[atVersion:]) != Version {
		return nil, ErrVersion
	}
	core, docs := uint64(le(b[atCoreSize:])), uint64(le(b[atDocsSize:]))
	if core < headerSize || core+docs != uint64(len(b)) {
		return nil, ErrDamaged
	}
	if le(b[atCoreSum:]) != checksum(b[:core]) {
		return nil, ErrDamaged
	}
	t := &Table{raw: b, docs: b[core:], sum: le(b[atDocsSum:])}
	for i, section := range [sections]*[]byte{
		&t.services, &t.methods, &t.messages, &t.fields, &t.oneofs, &t.enums,
		&t.values, &t.names, &t.index, &t.extensions, &t.scoped, &t.strings,
	} {
		entry := b[atDirectory+8*i:]
		lo := uint64(le(entry))
		hi := lo + uint64(le(entry[4:]))*sizeOf(i)
		if lo < headerSize || hi > core {
			return nil, ErrDamaged
		}
		*section = b[lo:hi:hi]
	}
	return t, nil
}

// checksum is over the core without the checksum itself.
func checksum(core []byte) uint32 {
	sum := crc32.ChecksumIEEE(core[:atCoreSum])
	return crc32.Update(sum, crc32.IEEETable, core[atCoreSum+4:])
}

// Bytes returns what the table was opened from. It must not be changed.
func (t *Table) Bytes() []byte { return t.raw }

// Source returns the digest of the schema that the table was compiled from, as
// the compiler's caller gave it; zero when it gave none.
func (t *Table) Source() [32]byte { return [32]byte(t.raw[atSource:]) }

// at returns the record of size n at position i, false outside of the section.
func at(section []byte, i uint32, n int) ([]byte, bool) {
	if uint64(i) >= uint64(len(section)/n) {
		return nil, false
	}
	return section[int(i)*n:], true
}

// What lies outside of a table. Nobody writes to these.
var (
	noService serviceRec
	noMethod  methodRec
	noMessage messageRec
	noField   fieldRec
	noOneof   oneofRec
	noEnum    enumRec
	noValue   valueRec
	noName    nameRec
)

func (t *Table) service(i uint32) *serviceRec {
	if b, ok := at(t.services, i, serviceSize); ok {
		return (*serviceRec)(b)
	}
	return &noService
}

func (t *Table) method(i uint32) *methodRec {
	if b, ok := at(t.methods, i, methodSize); ok {
		return (*methodRec)(b)
	}
	return &noMethod
}

func (t *Table) message(i uint32) *messageRec {
	if b, ok := at(t.messages, i, messageSize); ok {
		return (*messageRec)(b)
	}
	return &noMessage
}

func (t *Table) field(i uint32) *fieldRec {
	if b, ok := at(t.fields, i, fieldSize); ok {
		return (*fieldRec)(b)
	}
	return &noField
}

func (t *Table) oneof(i uint32) *oneofRec {
	if b, ok := at(t.oneofs, i, oneofSize); ok {
		return (*oneofRec)(b)
	}
	return &noOneof
}

func (t *Table) enum(i uint32) *enumRec {
	if b, ok := at(t.enums, i, enumSize); ok {
		return (*enumRec)(b)
	}
	return &noEnum
}

func (t *Table) value(i uint32) *valueRec {
	if b, ok := at(t.values, i, valueSize); ok {
		return (*valueRec)(b)
	}
	return &noValue
}

func (t *Table) nameAt(i uint32) *nameRec {
	if b, ok := at(t.names, i, nameSize); ok {
		return (*nameRec)(b)
	}
	return &noName
}

// position returns what is at i in the index, none outside of it.
func (t *Table) position(i uint32) uint32 { return positionAt(t.index, i) }

// positionAt returns what is at i in a section of positions, none outside of it.
func positionAt(section []byte, i uint32) uint32 {
	if b, ok := at(section, i, indexSize); ok {
		return le(b)
	}
	return none
}

// text returns what a reference means, nothing when it points outside.
func (t *Table) text(r ref) []byte {
	end := uint64(r.off) + uint64(r.size)
	if end > uint64(len(t.strings)) {
		return nil
	}
	return t.strings[r.off:end:end]
}

func (t *Table) string(r ref) string { return string(t.text(r)) }

// clamp returns count, or what is there of it from start on in a section of n.
func clamp(start, count uint32, n int) uint32 {
	if uint64(start) >= uint64(n) {
		return 0
	}
	return uint32(min(uint64(count), uint64(n)-uint64(start)))
}

// view is a message record with its fields, of which it has no more than there
// are in the table. A field's position in the message is its local position;
// extensions follow the fields.
type view struct {
	*messageRec
	start  uint32 // position of the first field
	fields uint32 // how many are not extensions
	all    uint32 // how many there are
}

func (t *Table) view(i uint32) view {
	m := t.message(i)
	n, start := uint32(len(t.fields)/fieldSize), m.fields()
	fields := min(m.fieldCount(), maxLocal)
	all := min(fields+min(m.extCount(), maxLocal), maxLocal)
	if uint64(start)+uint64(all) > uint64(n) {
		return view{messageRec: m}
	}
	return view{m, start, fields, all}
}

// local returns the field at a local position.
func (t *Table) local(v *view, i uint32) *fieldRec { return t.field(v.start + i) }

// find returns the position of a name in a sorted section of n, false when it is
// not there.
func (t *Table) find(n int, name string, nameOf func(i uint32) ref) (uint32, bool) {
	i, ok := sort.Find(n, func(i int) int {
		return compare(name, t.text(nameOf(uint32(i))))
	})
	return uint32(i), ok
}

// compare is bytes.Compare without making bytes of the string.
func compare(s string, b []byte) int {
	switch {
	case s < string(b):
		return -1
	case s == string(b):
		return 0
	default:
		return +1
	}
}
