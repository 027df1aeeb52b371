package wire

// There are two ways from wire form to JSON. Streaming writes what it reads and
// looks at every byte once. It demands what nearly all senders do: that the
// fields of each message come in the order of declaration, and each of them once
// or, if it is repeated, without others in between. Where that is not so, or
// anything else is unusual or wrong, the whole input is done again in the other
// way, which notes all fields of a message before it writes any. It decides what
// is an error; streaming only gives up. So no input costs more than twice.

// streamed is streamMessage for a value that something else contains.
func (e *encoder) streamed(i uint32, o occurrence) *Error {
	out, ok := e.streamMessage(i, o.start(), o.end(), e.out)
	if !ok {
		return e.fail(o.start(), "") // nobody sees it
	}
	e.out = out
	return nil
}

// streamMessage appends a message, false when it gives up.
func (e *encoder) streamMessage(i uint32, pos, end int, out []byte) ([]byte, bool) {
	m := e.t.view(i)
	if e.left <= 0 || e.deepest <= 0 || m.flags()&flagUnsupported != 0 {
		return out, false
	}
	w := m.wellKnown()
	if w != 0 && w != Empty && w != Timestamp && w != Duration {
		return e.noted(i, pos, end, out)
	}
	var ok bool
	e.left--
	e.deepest--
	if w == Timestamp || w == Duration {
		out, ok = e.streamInstant(w, pos, end, out)
	} else {
		out, ok = e.streamFields(&m, pos, end, out)
	}
	e.left++
	e.deepest++
	return out, ok
}

// noted appends a message in the other way.
func (e *encoder) noted(i uint32, pos, end int, out []byte) ([]byte, bool) {
	n := len(e.occs)
	e.occs = append(e.occs, occurrence{wireType: wireBytes, bits: spanBits(pos, end)})
	e.out = out
	err := e.message(i, n, n+1, nil)
	e.occs = e.occs[:n]
	return e.out, err == nil
}

// streamFields appends the fields of a message as an object.
func (e *encoder) streamFields(m *view, pos, end int, out []byte) ([]byte, bool) {
	out = append(out, '{')
	begin := len(out)
	var next, required uint32
	var oneofs uint64 // which are set, of the first 64
	for pos < end {
		tag := uint64(e.in[pos])
		pos++
		if tag >= 0x80 {
			var err *Error
			if tag, pos, err = e.varint(pos-1, end); err != nil {
				return out, false
			}
		}
		number := tag >> 3
		if number == 0 || number > maxFieldNumber {
			return out, false
		}
		local, ok := next, true
		if !m.isNumbered(e.t, local, uint32(number)) {
			if local, ok = e.t.fieldNumbered(m, uint32(number), next); ok && local < next {
				return out, false
			}
		}
		if !ok {
			var err *Error
			if pos, err = e.skip(uint32(number), uint8(tag&7), pos, end); err != nil {
				return out, false
			}
			continue
		}
		next = local + 1
		f := e.t.local(m, local)
		flags := f.flags()
		if flags&flagShared != 0 {
			o := f.oneof()
			if o >= 64 || oneofs>>o&1 != 0 {
				return out, false
			}
			oneofs |= 1 << o
		}
		switch {
		case flags&flagPlain != 0 && uint8(tag&7) == f.wireType():
			out, pos, ok = e.streamPlain(f, pos, end, begin, out)
		case f.card() == Repeated:
			out, pos, ok = e.streamRepeated(f, tag, pos, end, begin, out)
		default:
			out, pos, ok = e.streamSingular(f, tag, pos, end, begin, out)
		}
		if !ok {
			return out, false
		}
		if f.card() == Required {
			required++
		}
	}
	if required != m.required() && !e.opts.AllowPartial && e.partial == 0 {
		return out, false
	}
	return append(out, '}'), true
}

// appendKey appends the name of a field; begin is where the first one would be.
func (e *encoder) appendKey(out []byte, f *fieldRec, begin int) []byte {
	r := f.jsonKey()
	if e.opts.UseProtoNames {
		r = f.textKey()
	}
	key := e.t.text(r) // begins with a comma
	if len(out) == begin && len(key) > 0 {
		key = key[1:]
	}
	return append(out, key...)
}

// streamPlain appends a field that is neither repeated nor a message.
func (e *encoder) streamPlain(f *fieldRec, pos, end, begin int, out []byte) ([]byte, int, bool) {
	implicit := f.flags()&(flagPresence|flagExtension) == 0
	if f.wireType() != wireBytes {
		v, next, err := e.numeric(f.kind(), pos, end)
		switch {
		case err != nil:
			return out, pos, false
		case implicit && v == 0:
			return out, next, true
		default:
			return e.appendScalar(e.appendKey(out, f, begin), f, v), next, true
		}
	}
	start, next, err := e.length(pos, end)
	switch {
	case err != nil:
		return out, pos, false
	case implicit && start == next:
		return out, next, true
	}
	out = e.appendKey(out, f, begin)
	if f.kind() == BytesKind {
		return appendBytes(out, e.in[start:next]), next, true
	}
	out, ok := appendString(out, e.in[start:next])
	return out, next, ok
}

// appendText appends a string or bytes.
func (e *encoder) appendText(out []byte, f *fieldRec, start, end int) ([]byte, bool) {
	if f.kind() == BytesKind {
		return appendBytes(out, e.in[start:end]), true
	}
	return appendString(out, e.in[start:end])
}

// streamSingular appends a field that is a message, or a member of a oneof.
func (e *encoder) streamSingular(f *fieldRec, tag uint64, pos, end, begin int, out []byte) ([]byte, int, bool) {
	if uint8(tag&7) != f.wireType() {
		return out, pos, false
	}
	if f.flags()&flagShared != 0 && !f.kind().isMessage() {
		return e.streamPlain(f, pos, end, begin, out)
	}
	return e.streamElement(f, pos, end, e.appendKey(out, f, begin))
}

// streamElement appends a value that is a message.
func (e *encoder) streamElement(f *fieldRec, pos, end int, out []byte) ([]byte, int, bool) {
	var start, stop, next int
	var err *Error
	if f.kind() == GroupKind {
		start = pos
		stop, next, err = e.group(f.number(), pos, end)
	} else {
		start, next, err = e.length(pos, end)
		stop = next
	}
	if err != nil {
		return out, pos, false
	}
	out, ok := e.streamMessage(f.typ(), start, stop, out)
	return out, next, ok
}

// streamRepeated appends the values of a repeated field that follow each other.
func (e *encoder) streamRepeated(f *fieldRec, tag uint64, pos, end, begin int, out []byte) ([]byte, int, bool) {
	mark := len(out)
	out = e.appendKey(out, f, begin)
	if f.flags()&flagMap != 0 {
		return e.streamMap(f, tag, pos, end, out)
	}
	out = append(out, '[')
	first := len(out)
	wireType := uint8(tag & 7)
	for more := true; more; pos, more = e.sameTag(tag, pos, end) {
		var ok bool
		if wireType == wireBytes && f.packable() {
			out, pos, ok = e.streamPacked(f, pos, end, first, out)
		} else if wireType == f.wireType() {
			if len(out) > first {
				out = append(out, ',')
			}
			out, pos, ok = e.streamValue(f, pos, end, out)
		}
		if !ok {
			return out, pos, false
		}
	}
	if len(out) == first {
		return out[:mark], pos, true
	}
	return append(out, ']'), pos, true
}

// sameTag reads the next tag if it is the one given.
func (e *encoder) sameTag(tag uint64, pos, end int) (int, bool) {
	if pos == end {
		return pos, false
	}
	if tag < 0x80 {
		if uint64(e.in[pos]) == tag {
			return pos + 1, true
		}
		return pos, false
	}
	if got, next, err := e.varint(pos, end); err == nil && got == tag {
		return next, true
	}
	return pos, false
}

// streamValue appends one value of a list.
func (e *encoder) streamValue(f *fieldRec, pos, end int, out []byte) ([]byte, int, bool) {
	switch {
	case f.kind().isMessage():
		return e.streamElement(f, pos, end, out)
	case f.wireType() == wireBytes:
		start, next, err := e.length(pos, end)
		if err != nil {
			return out, pos, false
		}
		out, ok := e.appendText(out, f, start, next)
		return out, next, ok
	default:
		v, next, err := e.numeric(f.kind(), pos, end)
		if err != nil {
			return out, pos, false
		}
		return e.appendScalar(out, f, v), next, true
	}
}

// streamPacked appends the values that share one length; first is where the
// first value of the list would be.
func (e *encoder) streamPacked(f *fieldRec, pos, end, first int, out []byte) ([]byte, int, bool) {
	pos, stop, err := e.length(pos, end)
	if err != nil {
		return out, pos, false
	}
	for pos < stop {
		var v uint64
		if v, pos, err = e.numeric(f.kind(), pos, stop); err != nil {
			return out, pos, false
		}
		if len(out) > first {
			out = append(out, ',')
		}
		out = e.appendScalar(out, f, v)
	}
	return out, stop, true
}

// streamMap appends the entries of a map that follow each other.
func (e *encoder) streamMap(f *fieldRec, tag uint64, pos, end int, out []byte) ([]byte, int, bool) {
	if uint8(tag&7) != wireBytes || e.left <= 0 {
		return out, pos, false
	}
	n := len(e.occs)
	for more := true; more; pos, more = e.sameTag(tag, pos, end) {
		start, next, err := e.length(pos, end)
		if err != nil {
			return out, pos, false
		}
		e.occs = append(e.occs, occurrence{wireType: wireBytes, bits: spanBits(start, next)})
		pos = next
	}
	e.out = out
	err := e.mapField(f, n, len(e.occs))
	e.occs = e.occs[:n]
	return e.out, pos, err == nil
}

// streamInstant appends a timestamp or a duration.
func (e *encoder) streamInstant(w WellKnown, pos, end int, out []byte) ([]byte, bool) {
	const secondsTag, nanosTag = 1<<3 | wireVarint, 2<<3 | wireVarint
	var seconds, nanos uint64
	var err *Error
	if pos < end && e.in[pos] == secondsTag {
		if seconds, pos, err = e.varint(pos+1, end); err != nil {
			return out, false
		}
	}
	if pos < end && e.in[pos] == nanosTag {
		if nanos, pos, err = e.varint(pos+1, end); err != nil {
			return out, false
		}
	}
	if pos < end {
		return out, false
	}
	out, reason := appendInstant(out, w, int64(seconds), int32(nanos))
	return out, reason == ""
}
