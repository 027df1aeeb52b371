package wire

import "encoding/binary"

// What can be wrong with a wire form.
const (
	truncated = "cut off"
	malformed = "malformed wire form"
	badGroup  = "a group does not end as it began"
	notUTF8   = "not UTF-8"
)

// scan notes where the fields of a message occur in the spans of the occurrences
// lo to hi, sorted by field, and which members of oneofs came last. It does not
// look into what it notes.
func (e *encoder) scan(m *view, lo, hi int) *Error {
	base, oneofs := len(e.occs), len(e.oneofs)
	if m.flags()&flagOneofs != 0 {
		for range min(m.oneofCount(), maxLocal) {
			e.oneofs = append(e.oneofs, oneofState{member: none})
		}
	}
	ordered, last, hint := true, uint32(0), uint32(0)
	for i := lo; i < hi; i++ {
		pos, end := e.occs[i].start(), e.occs[i].end()
		for pos < end {
			at := pos
			tag := uint64(e.in[pos])
			pos++
			if tag >= 0x80 {
				var err *Error
				if tag, pos, err = e.varint(at, end); err != nil {
					return err
				}
			}
			number, wireType := tag>>3, uint8(tag&7)
			if number == 0 || number > maxFieldNumber {
				return e.fail(at, malformed)
			}
			local, known := hint, true
			if !m.isNumbered(e.t, hint, uint32(number)) {
				local, known = e.t.fieldNumbered(m, uint32(number), hint)
			}
			if !known {
				var err *Error
				if pos, err = e.skip(uint32(number), wireType, pos, end); err != nil {
					return err
				}
				continue
			}
			f := e.t.local(m, local)
			if f.flags()&flagMap != 0 && e.left <= 0 {
				return e.fail(at, tooDeep).in(e.t.text(f.jsonName()))
			}
			next, err := e.note(f, wireType, pos, end)
			if err != nil {
				return err.in(e.t.text(f.jsonName()))
			}
			if next == 0 {
				if pos, err = e.skip(uint32(number), wireType, pos, end); err != nil {
					return err
				}
				continue
			}
			pos = next
			o := &e.occs[len(e.occs)-1]
			o.local, o.sequence = uint16(local), uint32(len(e.occs)-base)
			ordered = ordered && local >= last
			last, hint = local, local+1
			if f.flags()&flagShared != 0 {
				e.trackOneof(f, *o, oneofs)
			}
		}
	}
	if !ordered {
		sortOccurrences(e.occs[base:])
	}
	return nil
}

// trackOneof notes that a member of a oneof occurred.
func (e *encoder) trackOneof(f *fieldRec, o occurrence, oneofs int) {
	if s := e.oneofAt(oneofs, f.oneof()); s.member != uint32(o.local) {
		*s = oneofState{uint32(o.local), o.sequence}
	}
}

// oneofAt returns the state of a oneof of the message whose states begin at an
// index.
func (e *encoder) oneofAt(oneofs int, i uint32) *oneofState {
	if uint64(i) >= uint64(len(e.oneofs)-oneofs) {
		return &oneofState{member: none}
	}
	return &e.oneofs[oneofs+int(i)]
}

// note reads a value of a field and notes its occurrence. It returns where what
// follows begins, 0 when the wire type makes it an unknown field.
func (e *encoder) note(f *fieldRec, wireType uint8, pos, end int) (next int, err *Error) {
	o, next, ok, err := e.occurrence(f, wireType, pos, end)
	if !ok {
		return 0, err
	}
	e.occs = append(e.occs, o)
	return next, nil
}

// occurrence reads a value of a field, false when it has a wire type that no
// value of the field has, which makes it an unknown field.
func (e *encoder) occurrence(f *fieldRec, wireType uint8, pos, end int) (o occurrence, next int, ok bool, err *Error) {
	if wireType != f.wireType() && (wireType != wireBytes || !f.packable() || f.card() != Repeated) {
		return o, pos, false, nil
	}
	o.wireType = wireType
	switch wireType {
	case wireBytes:
		if pos < end && e.in[pos] < 0x80 {
			// Most of what there is, is short.
			if next := pos + 1 + int(e.in[pos]); next <= end {
				o.bits = spanBits(pos+1, next)
				return o, next, true, nil
			}
		}
		var start int
		if start, next, err = e.length(pos, end); err != nil {
			return o, pos, false, err
		}
		o.bits = spanBits(start, next)
	case wireStart:
		var stop int
		if stop, next, err = e.group(f.number(), pos, end); err != nil {
			return o, pos, false, err
		}
		o.bits = spanBits(pos, stop)
	default:
		if o.bits, next, err = e.numeric(f.kind(), pos, end); err != nil {
			return o, pos, false, err
		}
	}
	return o, next, true, nil
}

// varint reads a number in groups of seven bits.
func (e *encoder) varint(pos, end int) (uint64, int, *Error) {
	if pos < end {
		if c := e.in[pos]; c < 0x80 {
			return uint64(c), pos + 1, nil
		}
	}
	v, n := binary.Uvarint(e.in[pos:end])
	switch {
	case n > 0:
		return v, pos + n, nil
	case n == 0 && end-pos < binary.MaxVarintLen64:
		return 0, pos, e.fail(end, truncated)
	default:
		return 0, pos, e.fail(pos, malformed)
	}
}

// length reads a length and returns where what has it starts and ends.
func (e *encoder) length(pos, end int) (start, next int, err *Error) {
	var n uint64
	if pos < end && e.in[pos] < 0x80 {
		n, start = uint64(e.in[pos]), pos+1
	} else if n, start, err = e.varint(pos, end); err != nil {
		return 0, 0, err
	}
	if n > uint64(end-start) {
		return 0, 0, e.fail(end, truncated)
	}
	return start, start + int(n), nil
}

// numeric reads a value of a numeric kind as it is in the wire form; for the
// kinds of fixed size that is what the bytes are.
func (e *encoder) numeric(kind Kind, pos, end int) (uint64, int, *Error) {
	if pos < end && e.in[pos] < 0x80 && kind.isVarint() && kind != Sint32Kind && kind != Sint64Kind && kind != BoolKind {
		return uint64(e.in[pos]), pos + 1, nil
	}
	switch kind.wireType() {
	case wireFixed32:
		if end-pos < 4 {
			return 0, 0, e.fail(end, truncated)
		}
		return uint64(binary.LittleEndian.Uint32(e.in[pos:])), pos + 4, nil
	case wireFixed64:
		if end-pos < 8 {
			return 0, 0, e.fail(end, truncated)
		}
		return binary.LittleEndian.Uint64(e.in[pos:]), pos + 8, nil
	}
	v, next, err := e.varint(pos, end)
	switch kind {
	case BoolKind:
		if v != 0 {
			v = 1
		}
	case Int32Kind, EnumKind:
		v = uint64(int64(int32(v)))
	case Uint32Kind:
		v = uint64(uint32(v))
	case Sint32Kind:
		v = uint64(uint32(v))
		v = v>>1 ^ -(v & 1)
	case Sint64Kind:
		v = v>>1 ^ -(v & 1)
	default:
	}
	return v, next, err
}

// skip reads the value of an unknown field.
func (e *encoder) skip(number uint32, wireType uint8, pos, end int) (int, *Error) {
	switch wireType {
	case wireVarint:
		_, next, err := e.varint(pos, end)
		return next, err
	case wireFixed32:
		_, next, err := e.numeric(Fixed32Kind, pos, end)
		return next, err
	case wireFixed64:
		_, next, err := e.numeric(Fixed64Kind, pos, end)
		return next, err
	case wireBytes:
		_, next, err := e.length(pos, end)
		return next, err
	case wireStart:
		_, next, err := e.skipGroup(number, pos, end, MaxDepth, false)
		return next, err
	default:
		return 0, e.fail(pos, malformed)
	}
}

// group returns where a group of a known field ends and where what follows it
// begins. The ends of the groups in it are noted on the way, so that none is
// searched for twice.
func (e *encoder) group(number uint32, pos, end int) (stop, next int, err *Error) {
	if bounds, ok := e.groups[pos]; ok {
		return bounds.stop, bounds.next, nil
	}
	return e.skipGroup(number, pos, end, MaxDepth, true)
}

// groupBounds are where the contents of a group end, and its end.
type groupBounds struct{ stop, next int }

// skipGroup reads a group behind its first tag. Depth is how many groups may be
// nested in it; note tells to remember those.
func (e *encoder) skipGroup(number uint32, pos, end, depth int, note bool) (stop, next int, err *Error) {
	if depth < 0 {
		return 0, 0, e.fail(pos, tooDeep)
	}
	for {
		at := pos
		tag, next, err := e.varint(pos, end)
		if err != nil {
			return 0, 0, err
		}
		n, wireType := tag>>3, uint8(tag&7)
		if n == 0 || n > 1<<31-1 {
			return 0, 0, e.fail(at, malformed)
		}
		switch wireType {
		case wireEnd:
			if n != uint64(number) {
				return 0, 0, e.fail(at, badGroup)
			}
			return at, next, nil
		case wireStart:
			begin := next
			stop, after, err := e.skipGroup(uint32(n), begin, end, depth-1, note)
			if err != nil {
				return 0, 0, err
			}
			if note {
				if e.groups == nil {
					e.groups = map[int]groupBounds{}
				}
				e.groups[begin] = groupBounds{stop, after}
			}
			pos = after
		default:
			if pos, err = e.skip(uint32(n), wireType, next, end); err != nil {
				return 0, 0, err
			}
		}
	}
}
