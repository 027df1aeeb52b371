package wire

import "iter"

// Field is a field or an extension of a message.
type Field struct {
	t *Table
	i uint32
}

// Oneof is a group of fields of which at most one is set.
type Oneof struct {
	t *Table
	i uint32
}

// Extension returns the extension with a full name, false when there is none.
func (t *Table) Extension(name string) (Field, bool) {
	i, ok := t.find(len(t.extensions)/extensionSize, name, func(i uint32) ref {
		return t.field(positionAt(t.extensions, i)).name()
	})
	return Field{t, positionAt(t.extensions, i)}, ok
}

func (f Field) rec() *fieldRec { return f.t.field(f.i) }

// Name returns the name in the schema: "customer_id". That of an extension is
// its full name.
func (f Field) Name() string { return f.t.string(f.rec().name()) }

// JSONName returns the name in JSON: "customerId", "[pkg.extension]".
func (f Field) JSONName() string { return f.t.string(f.rec().jsonName()) }

// Number returns the number that stands for the field in the wire form.
func (f Field) Number() int { return int(f.rec().number()) }

// Kind returns the type of a value; that of a map is [MessageKind].
func (f Field) Kind() Kind { return f.rec().kind() }

// Cardinality tells how often the field may occur; a map is repeated.
func (f Field) Cardinality() Cardinality { return f.rec().card() }

// IsMap reports whether the field is a map from [Field.Key] to [Field.Value].
func (f Field) IsMap() bool { return f.rec().flags()&flagMap != 0 }

// IsList reports whether the field is repeated and not a map.
func (f Field) IsList() bool { return f.rec().card() == Repeated && !f.IsMap() }

// IsExtension reports whether the field is declared outside of its message.
func (f Field) IsExtension() bool { return f.rec().flags()&flagExtension != 0 }

// IsPacked reports whether repeated values share one length in the wire form.
func (f Field) IsPacked() bool { return f.rec().flags()&flagPacked != 0 }

// HasPresence reports whether the zero value differs from an absent field.
func (f Field) HasPresence() bool { return f.rec().flags()&flagPresence != 0 }

// Deprecated reports whether the schema says not to use the field any more.
func (f Field) Deprecated() bool { return f.rec().flags()&flagDeprecated != 0 }

// Key returns the key of a map. Only for a map.
func (f Field) Key() Field { return Field{f.t, f.t.message(f.rec().typ()).fields()} }

// Value returns the value of a map. Only for a map.
func (f Field) Value() Field { return Field{f.t, f.t.message(f.rec().typ()).fields() + 1} }

// Parent returns the message that the field is of; that which it extends for an
// extension.
func (f Field) Parent() Message { return Message{f.t, f.rec().parent()} }

// Message returns the type of the values, false unless they are messages.
func (f Field) Message() (Message, bool) {
	return Message{f.t, f.rec().typ()}, f.Kind().isMessage()
}

// Enum returns the type of the values, false unless they are of an enum.
func (f Field) Enum() (Enum, bool) { return Enum{f.t, f.rec().typ()}, f.Kind() == EnumKind }

// Oneof returns the oneof that the field is in, false when there is none. That
// of a proto3 optional does not count.
func (f Field) Oneof() (Oneof, bool) {
	if f.rec().oneof() == none {
		return Oneof{}, false
	}
	o := Oneof{f.t, f.t.message(f.rec().parent()).oneofs() + f.rec().oneof()}
	return o, o.rec().flags()&flagSynthetic == 0
}

// Default returns the default that the schema gives, as it is written there
// without quotes; false when it gives none.
func (f Field) Default() (string, bool) {
	return f.t.string(f.rec().defaultText()), f.rec().flags()&flagDefault != 0
}

func (o Oneof) rec() *oneofRec { return o.t.oneof(o.i) }

// Name returns the name in the schema.
func (o Oneof) Name() string { return o.t.string(o.rec().name()) }

// Fields yields the members in the order of their declaration.
func (o Oneof) Fields() iter.Seq[Field] {
	return func(yield func(Field) bool) {
		for f := range (Message{o.t, o.rec().parent()}).Fields() {
			if other, ok := f.Oneof(); ok && other == o && !yield(f) {
				return
			}
		}
	}
}

// entry returns the fields of the entries of a map. Neither can be repeated: the
// zero field stands for what is, which no compiler makes.
func (t *Table) entry(f *fieldRec) (key, value *fieldRec) {
	v := t.view(f.typ())
	key, value = t.local(&v, 0), t.local(&v, 1)
	if key.repeats() || key.kind().isMessage() {
		key = &noField
	}
	if value.repeats() {
		value = &noField
	}
	return key, value
}

func (r *fieldRec) repeats() bool { return r.card() == Repeated || r.flags()&flagMap != 0 }
