package wire

import (
	"bytes"
	"math"
	"unicode/utf8"
)

// wellKnown writes the JSON form of a message that has one of its own, whose
// fields occur from occs on. The type URL, if not nil, is that of the Any that
// contains it.
func (e *encoder) wellKnown(m *view, w WellKnown, occs, oneofs int, url []byte) *Error {
	if url != nil {
		e.out = append(e.out, `{"@type":`...)
		e.out, _ = appendString(e.out, url)
		e.out = append(e.out, `,"value":`...)
	}
	first := e.t.local(m, 0)
	var err *Error
	switch w {
	case Any:
		err = e.any(m, occs)
	case Timestamp, Duration:
		err = e.instant(w, occs)
	case Wrapper:
		err = e.wrapper(first, occs)
	case Struct:
		err = e.mapField(first, occs, len(e.occs))
	case ListValue:
		_, err = e.list(first, occs, len(e.occs))
	case Value:
		err = e.value(m, occs, oneofs)
	case FieldMask:
		err = e.fieldMask(occs)
	default:
		err = e.fail(whole, ErrDamaged.Error())
	}
	if url != nil {
		e.out = append(e.out, '}')
	}
	return err
}

// last returns the last occurrence of a field that is not repeated, the zero
// value when there is none, and verifies the others.
func (e *encoder) last(m *view, local uint32, occs int) (o occurrence, err *Error) {
	f := e.t.local(m, local)
	for i := occs; i < len(e.occs); i++ {
		if uint32(e.occs[i].local) != local {
			continue
		}
		if err := e.check(f, o); err != nil {
			return o, err
		}
		o = e.occs[i]
	}
	return o, nil
}

// wrapper writes the value of a message with one field.
func (e *encoder) wrapper(f *fieldRec, occs int) *Error {
	for i := occs; i < len(e.occs)-1; i++ {
		if err := e.check(f, e.occs[i]); err != nil {
			return err
		}
	}
	if occs == len(e.occs) {
		e.zero(f)
		return nil
	}
	return e.singular(f, e.occs[len(e.occs)-1])
}

// instant writes a timestamp or a duration.
func (e *encoder) instant(w WellKnown, occs int) *Error {
	var seconds int64
	var nanos int32
	for _, o := range e.occs[occs:] {
		if o.local == 0 {
			seconds = int64(o.bits)
		} else {
			nanos = int32(o.bits)
		}
	}
	out, reason := appendInstant(e.out, w, seconds, nanos)
	if reason != "" {
		return e.fail(whole, reason)
	}
	e.out = out
	return nil
}

// appendInstant appends a timestamp or a duration, or returns why it has no form
// in JSON.
func appendInstant(dst []byte, w WellKnown, seconds int64, nanos int32) (out []byte, reason string) {
	switch {
	case w == Timestamp && (seconds < minTimestamp || seconds > maxTimestamp || nanos < 0 || nanos > maxNanos):
		return dst, "timestamp out of range"
	case w == Timestamp:
		return appendTimestamp(dst, seconds, nanos), ""
	case seconds < -maxDuration || seconds > maxDuration || nanos < -maxNanos || nanos > maxNanos:
		return dst, "duration out of range"
	case seconds > 0 && nanos < 0 || seconds < 0 && nanos > 0:
		return dst, "seconds and nanos of a duration have different signs"
	default:
		return appendDuration(dst, seconds, nanos), ""
	}
}

// value writes what a google.protobuf.Value contains, which must be something.
func (e *encoder) value(m *view, occs, oneofs int) *Error {
	state := e.oneofAt(oneofs, 0)
	lo, hi := len(e.occs), len(e.occs)
	for i := occs; i < len(e.occs); i++ {
		o := e.occs[i]
		if uint32(o.local) == state.member && o.sequence >= state.since {
			lo, hi = min(lo, i), i+1
			continue
		}
		if err := e.check(e.t.local(m, uint32(o.local)), o); err != nil {
			return err
		}
	}
	if lo == hi {
		return e.fail(whole, "a google.protobuf.Value without a value")
	}
	f := e.t.local(m, state.member)
	if f.kind().isMessage() {
		return e.message(f.typ(), lo, hi, nil)
	}
	for _, o := range e.occs[lo : hi-1] {
		if err := e.check(f, o); err != nil {
			return err
		}
	}
	o := e.occs[hi-1]
	if v := math.Float64frombits(o.bits); f.kind() == DoubleKind && (math.IsNaN(v) || math.IsInf(v, 0)) {
		return e.fail(whole, "a google.protobuf.Value that is no JSON number")
	}
	return e.singular(f, o)
}

// fieldMask writes paths in lower camel case, separated by commas.
func (e *encoder) fieldMask(occs int) *Error {
	e.out = append(e.out, '"')
	for i, o := range e.occs[occs:] {
		if i > 0 {
			e.out = append(e.out, ',')
		}
		path := e.in[o.start():o.end()]
		lo := len(e.out)
		e.out = appendCamelCase(e.out, path)
		hi := len(e.out)
		e.out = appendSnakeCase(e.out, e.out[lo:hi])
		if !isFullName(path) || !bytes.Equal(e.out[hi:], path) {
			return e.fail(o.start(), "a path of a field mask that JSON cannot express: "+excerpt(path))
		}
		e.out = e.out[:hi]
	}
	e.out = append(e.out, '"')
	return nil
}

// any writes the message that an Any contains.
func (e *encoder) any(m *view, occs int) *Error {
	u, err := e.last(m, 0, occs)
	if err != nil {
		return err
	}
	v, _ := e.last(m, 1, occs) // bytes are always well-formed
	url := e.in[u.start():u.end()]
	switch {
	case len(url) == 0 && v.start() == v.end():
		e.out = append(e.out, "{}"...)
		return nil
	case len(url) == 0:
		return e.fail(v.start(), "an Any without a type")
	case !utf8.Valid(url):
		return e.fail(u.start(), notUTF8)
	}
	typ, ok := e.t.resolve(url, e.opts.Resolve)
	if !ok {
		return unknownType(url, u.start())
	}
	outer, left := e.t, e.left
	e.t, e.left = typ.t, MaxDepth
	e.partial++
	n := len(e.occs)
	e.occs = append(e.occs, v)
	err = e.message(typ.i, n, n+1, url)
	e.occs = e.occs[:n]
	e.partial--
	e.t, e.left = outer, left
	return err
}
