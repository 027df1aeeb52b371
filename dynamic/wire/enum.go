package wire

import (
	"bytes"
	"iter"
)

// Enum is an enum type of a table.
type Enum struct {
	t *Table
	i uint32
}

// EnumValue is a name of a number in an enum.
type EnumValue struct {
	t *Table
	i uint32
}

// Enums yields the enums in the order of their full names.
func (t *Table) Enums() iter.Seq[Enum] {
	return func(yield func(Enum) bool) {
		for i := range uint32(len(t.enums) / enumSize) {
			if !yield(Enum{t, i}) {
				return
			}
		}
	}
}

// Enum returns the enum with a full name, false when there is none.
func (t *Table) Enum(name string) (Enum, bool) {
	i, ok := t.find(len(t.enums)/enumSize, name, func(i uint32) ref { return t.enum(i).name() })
	return Enum{t, i}, ok
}

func (e Enum) rec() *enumRec { return e.t.enum(e.i) }

// Name returns the full name: "pkg.Enum".
func (e Enum) Name() string { return e.t.string(e.rec().name()) }

// Closed reports whether other numbers than the named ones are foreign to it.
func (e Enum) Closed() bool { return e.rec().flags()&flagClosed != 0 }

// Deprecated reports whether the schema says not to use the enum any more.
func (e Enum) Deprecated() bool { return e.rec().flags()&flagDeprecated != 0 }

// Values yields the names in the order of their declaration, aliases among them.
func (e Enum) Values() iter.Seq[EnumValue] {
	return func(yield func(EnumValue) bool) {
		start := e.rec().values()
		for i := range e.t.valueCount(e.rec()) {
			if !yield(EnumValue{e.t, start + i}) {
				return
			}
		}
	}
}

// Value returns the value with a name, false when there is none.
func (e Enum) Value(name string) (EnumValue, bool) {
	i, ok := e.t.enumNamed(e.rec(), []byte(name))
	return EnumValue{e.t, e.rec().values() + i}, ok
}

// ValueByNumber returns the first declared value with a number, false when there
// is none.
func (e Enum) ValueByNumber(number int32) (EnumValue, bool) {
	i, ok := e.t.enumNumbered(e.rec(), number)
	return EnumValue{e.t, e.rec().values() + i}, ok
}

func (v EnumValue) rec() *valueRec { return v.t.value(v.i) }

// Name returns the name, which is without that of the enum.
func (v EnumValue) Name() string { return v.t.string(v.rec().name()) }

// Number returns the number.
func (v EnumValue) Number() int32 { return v.rec().number() }

// Deprecated reports whether the schema says not to use the value any more.
func (v EnumValue) Deprecated() bool { return v.rec().flags()&flagDeprecated != 0 }

func (t *Table) valueCount(e *enumRec) uint32 {
	return clamp(e.values(), e.count(), len(t.values)/valueSize)
}

// enumNamed returns the position of a value within its enum.
func (t *Table) enumNamed(e *enumRec, name []byte) (uint32, bool) {
	n := t.valueCount(e)
	i, j := uint32(0), clamp(e.byName(), n, len(t.index)/indexSize)
	for i < j {
		h := (i + j) / 2
		local := t.position(e.byName() + h)
		if local >= n {
			return none, false
		}
		switch bytes.Compare(name, t.text(t.value(e.values()+local).name())) {
		case 0:
			return local, true
		case +1:
			i = h + 1
		default:
			j = h
		}
	}
	return none, false
}

// enumNumbered returns the position of the first value with a number.
func (t *Table) enumNumbered(e *enumRec, number int32) (uint32, bool) {
	n := t.valueCount(e)
	// Most enums number their values as they declare them.
	if i := uint32(number); i < n && t.value(e.values()+i).number() == number && e.numberCount() == n {
		return i, true
	}
	i, j := uint32(0), clamp(e.byNumber(), min(e.numberCount(), n), len(t.index)/indexSize)
	for i < j {
		h := (i + j) / 2
		local := t.position(e.byNumber() + h)
		if local >= n {
			return none, false
		}
		switch v := t.value(e.values() + local).number(); {
		case v == number:
			return local, true
		case v < number:
			i = h + 1
		default:
			j = h
		}
	}
	return none, false
}
