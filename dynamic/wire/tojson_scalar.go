package wire

import (
	"encoding/base64"
	"math"
	"strconv"
)

// singular writes a value that is not a message.
func (e *encoder) singular(f *fieldRec, o occurrence) *Error {
	switch f.kind() {
	case StringKind:
		return e.string(o.start(), o.end())
	case BytesKind:
		e.out = appendBytes(e.out, e.in[o.start():o.end()])
	default:
		e.out = e.appendScalar(e.out, f, o.bits)
	}
	return nil
}

// string writes a string, which must be UTF-8 whatever the schema demands.
func (e *encoder) string(start, end int) *Error {
	out, ok := appendString(e.out, e.in[start:end])
	if !ok {
		return e.fail(start, notUTF8)
	}
	e.out = out
	return nil
}

// appendBytes appends bytes as JSON has them.
func appendBytes(dst, b []byte) []byte {
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, b)
	return append(dst, '"')
}

// appendScalar appends a value of a numeric kind, as numeric returns it.
func (e *encoder) appendScalar(dst []byte, f *fieldRec, v uint64) []byte {
	switch f.kind() {
	case BoolKind:
		return strconv.AppendBool(dst, v != 0)
	case EnumKind:
		return e.appendEnum(dst, f, int32(v))
	case Int32Kind, Sint32Kind, Sfixed32Kind:
		return strconv.AppendInt(dst, int64(int32(v)), 10)
	case Uint32Kind, Fixed32Kind:
		return strconv.AppendUint(dst, v, 10)
	case Int64Kind, Sint64Kind, Sfixed64Kind:
		dst = append(dst, '"')
		dst = strconv.AppendInt(dst, int64(v), 10)
		return append(dst, '"')
	case Uint64Kind, Fixed64Kind:
		dst = append(dst, '"')
		dst = strconv.AppendUint(dst, v, 10)
		return append(dst, '"')
	case FloatKind:
		return appendFloat(dst, float64(math.Float32frombits(uint32(v))), 32)
	case DoubleKind:
		return appendFloat(dst, math.Float64frombits(v), 64)
	default:
		return append(dst, "null"...) // a table that no compiler made
	}
}

// appendEnum appends the name of a number when it has one.
func (e *encoder) appendEnum(dst []byte, f *fieldRec, number int32) []byte {
	rec := e.t.enum(f.typ())
	if rec.flags()&flagNullValue != 0 {
		return append(dst, "null"...)
	}
	if !e.opts.UseEnumNumbers {
		if i, ok := e.t.enumNumbered(rec, number); ok {
			dst = append(dst, '"')
			dst = append(dst, e.t.text(e.t.value(rec.values()+i).name())...)
			return append(dst, '"')
		}
	}
	return strconv.AppendInt(dst, int64(number), 10)
}
