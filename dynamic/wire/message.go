package wire

import (
	"bytes"
	"iter"
)

// Message is a message type of a table. The zero value is not valid and has only
// [Message.IsValid].
type Message struct {
	t *Table
	i uint32
}

// Messages yields the messages in the order of their full names, without those
// that stand for the entries of maps.
func (t *Table) Messages() iter.Seq[Message] {
	return func(yield func(Message) bool) {
		for i := range uint32(len(t.messages) / messageSize) {
			if t.message(i).flags()&flagMapEntry == 0 && !yield(Message{t, i}) {
				return
			}
		}
	}
}

// Message returns the message with a full name, false when there is none.
func (t *Table) Message(name string) (Message, bool) {
	i, ok := t.find(len(t.messages)/messageSize, name, func(i uint32) ref { return t.message(i).name() })
	return Message{t, i}, ok
}

func (m Message) rec() *messageRec { return m.t.message(m.i) }
func (m Message) view() view       { return m.t.view(m.i) }

// IsValid reports whether m is a message of a table.
func (m Message) IsValid() bool { return m.t != nil }

// Name returns the full name: "pkg.Message".
func (m Message) Name() string { return m.t.string(m.rec().name()) }

// WellKnown tells which message with a JSON form of its own m is, 0 for none.
func (m Message) WellKnown() WellKnown { return m.rec().wellKnown() }

// Deprecated reports whether the schema says not to use the message any more.
func (m Message) Deprecated() bool { return m.rec().flags()&flagDeprecated != 0 }

// Supported reports whether the tables take the message; [ErrUnsupported] is
// what the conversions of others return.
func (m Message) Supported() bool { return m.rec().flags()&flagUnsupported == 0 }

// Fields yields the fields in the order of their declaration, without
// extensions.
func (m Message) Fields() iter.Seq[Field] {
	return func(yield func(Field) bool) {
		v := m.view()
		for i := range v.fields {
			if !yield(Field{m.t, v.start + i}) {
				return
			}
		}
	}
}

// Extensions yields the extensions of the message that the schema knows, in the
// order of their full names.
func (m Message) Extensions() iter.Seq[Field] {
	return func(yield func(Field) bool) {
		v := m.view()
		for i := v.fields; i < v.all; i++ {
			if !yield(Field{m.t, v.start + i}) {
				return
			}
		}
	}
}

// Oneofs yields the oneofs in the order of their declaration, without those that
// only stand for a proto3 optional.
func (m Message) Oneofs() iter.Seq[Oneof] {
	return func(yield func(Oneof) bool) {
		start := m.rec().oneofs()
		for i := range clamp(start, m.rec().oneofCount(), len(m.t.oneofs)/oneofSize) {
			if m.t.oneof(start+i).flags()&flagSynthetic == 0 && !yield(Oneof{m.t, start + i}) {
				return
			}
		}
	}
}

// Field returns the field that a name means in JSON, false when there is none:
// its JSON name, its name in the schema, or the full name of an extension in
// brackets.
func (m Message) Field(name string) (Field, bool) {
	v := m.view()
	i, ok := m.t.fieldNamed(&v, []byte(name))
	return Field{m.t, v.start + i}, ok
}

// FieldByNumber returns the field or extension with a number, false when there
// is none.
func (m Message) FieldByNumber(number int) (Field, bool) {
	if number <= 0 || int64(number) > maxFieldNumber {
		return Field{}, false
	}
	v := m.view()
	i, ok := m.t.fieldNumbered(&v, uint32(number), 0)
	return Field{m.t, v.start + i}, ok
}

// fieldNamed returns the local position of the field that a name means in JSON.
func (t *Table) fieldNamed(v *view, name []byte) (uint32, bool) {
	lo := v.names()
	i, j := uint32(0), clamp(lo, v.nameCount(), len(t.names)/nameSize)
	for i < j {
		h := (i + j) / 2
		n := t.nameAt(lo + h)
		switch bytes.Compare(name, t.text(n.name())) {
		case 0:
			return n.local(), n.local() < v.all
		case +1:
			i = h + 1
		default:
			j = h
		}
	}
	return none, false
}

// isNumbered reports whether a field at a local position has a number.
func (v *view) isNumbered(t *Table, local, number uint32) bool {
	return local < v.all && t.local(v, local).number() == number
}

// maxFieldNumber is the greatest number that protobuf allows.
const maxFieldNumber = 1<<29 - 1

// fieldNumbered returns the local position of a field. The hint is that where it
// is likely to be.
func (t *Table) fieldNumbered(v *view, number, hint uint32) (uint32, bool) {
	if v.isNumbered(t, hint, number) {
		return hint, true
	}
	// Most messages number their fields as they declare them.
	if i := number - 1; i < v.fields && t.local(v, i).number() == number {
		return i, true
	}
	lo := v.byNumber()
	i, j := uint32(0), clamp(lo, v.all, len(t.index)/indexSize)
	for i < j {
		h := (i + j) / 2
		local := t.position(lo + h)
		if local >= v.all {
			return none, false
		}
		switch n := t.local(v, local).number(); {
		case n == number:
			return local, true
		case n < number:
			i = h + 1
		default:
			j = h
		}
	}
	return none, false
}
