package wire

import (
	"bytes"
	"encoding/binary"
	"math"
	"strconv"
)

// wellKnown reads the JSON form of a message that has one of its own.
func (d *decoder) wellKnown(m *view, w WellKnown) *Error {
	first := d.t.local(m, 0)
	switch w {
	case Any:
		return d.any()
	case Timestamp:
		return d.instant(parseTimestamp, "timestamp")
	case Duration:
		return d.instant(parseDuration, "duration")
	case Wrapper:
		_, err := d.singular(first, true)
		return err
	case Struct:
		return d.mapField(first)
	case ListValue:
		return d.list(first)
	case Value:
		return d.value(m)
	case FieldMask:
		return d.fieldMask()
	case Empty:
		return d.empty()
	default:
		return d.fail(d.pos, ErrDamaged.Error())
	}
}

// instant reads a string as seconds and nanoseconds.
func (d *decoder) instant(parse func([]byte) (int64, int32, bool), what string) *Error {
	at := d.pos
	text, err := d.text()
	if err != nil {
		return err
	}
	seconds, nanos, ok := parse(text)
	if !ok {
		return d.fail(at, "not a "+what+": "+excerpt(text))
	}
	if seconds != 0 {
		d.tag(1, wireVarint)
		d.out = appendVarint(d.out, uint64(seconds))
	}
	if nanos != 0 {
		d.tag(2, wireVarint)
		d.out = appendVarint(d.out, uint64(int64(nanos)))
	}
	return nil
}

// The fields of google.protobuf.Value.
const (
	valueNull = 1 + iota
	valueNumber
	valueString
	valueBool
	valueStruct
	valueList
)

// value reads any JSON value as a google.protobuf.Value.
func (d *decoder) value(m *view) *Error {
	if d.pos >= len(d.in) {
		return d.unexpected()
	}
	switch c := d.in[d.pos]; {
	case c == '{', c == '[':
		number := uint32(valueStruct)
		if c == '[' {
			number = valueList
		}
		inner := d.t.view(d.t.local(m, number-1).typ())
		if inner.flags()&flagUnsupported != 0 {
			return d.t.unsupported(&inner, d.pos)
		}
		content := d.t.local(&inner, 0)
		d.tag(number, wireBytes)
		pos, extra := d.openLength()
		var err *Error
		if c == '[' {
			err = d.list(content)
		} else {
			err = d.mapField(content)
		}
		if err != nil {
			return err
		}
		d.closeLength(pos, extra)
	case c == '"':
		text, err := d.string()
		if err != nil {
			return err
		}
		d.tag(valueString, wireBytes)
		d.bytes(text)
	case d.word("null"):
		d.pos += len("null")
		d.tag(valueNull, wireVarint)
		d.out = append(d.out, 0)
	case d.word("true"):
		d.pos += len("true")
		d.tag(valueBool, wireVarint)
		d.out = append(d.out, 1)
	case d.word("false"):
		d.pos += len("false")
		d.tag(valueBool, wireVarint)
		d.out = append(d.out, 0)
	default:
		at := d.pos
		token := d.number()
		if len(token) == 0 {
			return d.expected("value")
		}
		f, err := strconv.ParseFloat(string(token), 64)
		if err != nil {
			return d.fail(at, "not a floating-point number of 64 bits: "+excerpt(token))
		}
		d.tag(valueNumber, wireFixed64)
		d.out = binary.LittleEndian.AppendUint64(d.out, math.Float64bits(f))
	}
	return nil
}

// fieldMask reads paths in lower camel case, separated by commas.
func (d *decoder) fieldMask() *Error {
	at := d.pos
	text, err := d.text()
	if err != nil {
		return err
	}
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return nil
	}
	for path := range bytes.SplitSeq(text, []byte(",")) {
		d.tag(1, wireBytes)
		pos, extra := d.openLength()
		d.out = appendSnakeCase(d.out, path)
		if bytes.IndexByte(path, '_') >= 0 || !isFullName(d.out[pos+1:]) {
			return d.fail(at, "not a path of a field mask: "+excerpt(path))
		}
		d.closeLength(pos, extra)
	}
	return nil
}

// empty reads an object without members.
func (d *decoder) empty() *Error {
	if d.pos >= len(d.in) || d.in[d.pos] != '{' {
		return d.expected("object")
	}
	if err := d.open(); err != nil {
		return err
	}
	for first := true; ; first = false {
		if ok, err := d.more(first, '}'); !ok {
			return err
		}
		at := d.pos
		name, err := d.key()
		if err != nil {
			return err
		}
		if err := d.unknown(name, at); err != nil {
			return err
		}
	}
}
