package wire

import "hash/crc32"

// The docs, when a table has them, follow the core:
//
//	count u32, then for each documented element in order of its id
//	id u32, flags u32, comment ref, rules ref
//	strings, which the references mean
//
// An id is a kind of element and a position: kind<<28 | position.
const (
	docsHeader = 8
	docSize    = 24
	docKind    = 28

	docRequired = 1 << 0
)

// The kinds of elements that have docs.
const (
	elemService = 1 + iota
	elemMethod
	elemMessage
	elemField
	elemOneof
	elemEnum
	elemValue
)

// Element is what a schema can say something about: [Service], [Method],
// [Message], [Field], [Oneof], [Enum] and [EnumValue].
type Element interface {
	element() (t *Table, kind, position uint32)
}

func (s Service) element() (*Table, uint32, uint32)   { return s.t, elemService, s.i }
func (m Method) element() (*Table, uint32, uint32)    { return m.t, elemMethod, m.i }
func (m Message) element() (*Table, uint32, uint32)   { return m.t, elemMessage, m.i }
func (f Field) element() (*Table, uint32, uint32)     { return f.t, elemField, f.i }
func (o Oneof) element() (*Table, uint32, uint32)     { return o.t, elemOneof, o.i }
func (e Enum) element() (*Table, uint32, uint32)      { return e.t, elemEnum, e.i }
func (v EnumValue) element() (*Table, uint32, uint32) { return v.t, elemValue, v.i }

// Doc is what a schema says about an element for people.
type Doc struct {
	Comment  string // of the source, without comment signs
	Rules    string // of protovalidate for a field, as JSON; may be empty
	Required bool   // a field that proto2, google.api.field_behavior or a rule requires
}

// Docs are what a schema says about its elements for people; only help and
// completion read them.
type Docs struct {
	t       *Table
	entries []byte
	strings []byte
}

// Docs verifies the docs and returns them. A table without any has docs that say
// nothing. The core is usable whatever Docs returns.
func (t *Table) Docs() (Docs, error) {
	if len(t.docs) == 0 {
		return Docs{t: t}, nil
	}
	if len(t.docs) < docsHeader || crc32.ChecksumIEEE(t.docs) != t.sum {
		return Docs{}, ErrDamaged
	}
	end := docsHeader + docSize*uint64(le(t.docs))
	if end > uint64(len(t.docs)) {
		return Docs{}, ErrDamaged
	}
	return Docs{t: t, entries: t.docs[docsHeader:end], strings: t.docs[end:]}, nil
}

// Of returns what the docs say of an element of their table, nothing for one of
// another.
func (d Docs) Of(e Element) Doc {
	t, kind, position := e.element()
	if t != d.t || position >= 1<<docKind {
		return Doc{}
	}
	id := kind<<docKind | position
	i, j := 0, len(d.entries)/docSize
	for i < j {
		h := int(uint(i+j) >> 1)
		entry := d.entries[h*docSize:]
		switch got := le(entry); {
		case got < id:
			i = h + 1
		case got > id:
			j = h
		default:
			return Doc{
				Comment:  d.text(leRef(entry[8:])),
				Rules:    d.text(leRef(entry[16:])),
				Required: le(entry[4:])&docRequired != 0,
			}
		}
	}
	return Doc{}
}

func (d Docs) text(r ref) string {
	end := uint64(r.off) + uint64(r.size)
	if end > uint64(len(d.strings)) {
		return ""
	}
	return string(d.strings[r.off:end])
}
