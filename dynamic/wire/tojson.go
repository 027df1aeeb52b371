package wire

import (
	"cmp"
	"slices"
)

// EncodeOptions tell how JSON is written. The zero value is compact JSON as the
// mapping of protobuf has it.
type EncodeOptions struct {
	// UseProtoNames writes the names of fields as the schema has them.
	UseProtoNames bool

	// UseEnumNumbers writes the numbers of enum values.
	UseEnumNumbers bool

	// EmitUnpopulated writes fields that are absent too, except members of
	// oneofs and extensions: the zero value of those without presence, [], {}
	// and null.
	EmitUnpopulated bool

	// EmitDefaultValues is EmitUnpopulated without the fields that would be
	// null.
	EmitDefaultValues bool

	// AllowPartial accepts messages in which required fields are missing.
	AllowPartial bool

	// MaxDepth is how deeply messages may be nested: [MaxDepth] when it is 0 or
	// greater than that.
	MaxDepth int

	// Resolve, if not nil, returns the types of messages in an Any that the
	// table does not have, by their full names. They may be of other tables.
	Resolve func(name string) (Message, bool)
}

// AppendJSON appends JSON for the message whose wire form is given to dst and
// returns the longer slice. On an error it returns dst as it was, and an
// [*Error]. The two slices must not overlap; data is only read.
//
// The output is stable: fields are in the order of their declaration, extensions
// behind them by name, and the entries of maps in the order of their keys. It is
// safe for concurrent use.
func (m Message) AppendJSON(dst, data []byte, o EncodeOptions) ([]byte, error) {
	e, _ := m.t.encoders.Get().(*encoder)
	if e == nil {
		e = new(encoder)
	}
	e.reset(m.t, dst, data, o)
	err := e.document(m.i)
	out := e.out
	e.release(m.t)
	if err != nil {
		return dst, err.finish()
	}
	return out, nil
}

// encoder turns one message in wire form into JSON.
type encoder struct {
	home  *Table
	t     *Table // of the present message: in an Any it can be another one
	in    []byte
	out   []byte
	begin int // where the JSON begins in out
	opts  EncodeOptions

	streaming bool // see stream.go

	left    int // how many messages may still be nested
	deepest int // how many whatever left says, which begins anew in an Any
	partial int // of how many Any the present message is a part: nothing is required there

	// Both are stacks: each open message has its part at the end.
	occs   []occurrence
	oneofs []oneofState
	// entries are the same for the open maps.
	entries []entry

	groups map[int]groupBounds // of groups in groups, by where their contents begin
}

// occurrence is where a field occurs in the wire form of a message.
type occurrence struct {
	sequence uint32 // counts the occurrences in the message
	local    uint16 // position of the field in its message
	wireType uint8
	bits     uint64 // the value; for what has a length, or is a group, its span: start<<32 | end
}

func spanBits(start, end int) uint64 { return uint64(start)<<32 | uint64(end) }

// hasSpan reports whether the bits are a span; the kind of the field alone does
// not say it, for tables that no compiler made.
func (o occurrence) hasSpan() bool { return o.wireType == wireBytes || o.wireType == wireStart }

func (o occurrence) start() int {
	if !o.hasSpan() {
		return 0
	}
	return int(o.bits >> 32)
}

func (o occurrence) end() int {
	if !o.hasSpan() {
		return 0
	}
	return int(o.bits & (1<<32 - 1))
}

// oneofState is which member of a oneof came last, and from which occurrence on
// no other did.
type oneofState struct {
	member uint32
	since  uint32
}

func (e *encoder) reset(t *Table, dst, data []byte, o EncodeOptions) {
	if o.MaxDepth <= 0 || o.MaxDepth > MaxDepth {
		o.MaxDepth = MaxDepth
	}
	e.home, e.in, e.out, e.begin = t, data, dst, len(dst)
	e.opts, e.groups, e.streaming = o, nil, !o.EmitUnpopulated && !o.EmitDefaultValues
	e.rewind()
}

// rewind goes back to the beginning of the input.
func (e *encoder) rewind() {
	e.t, e.out = e.home, e.out[:e.begin]
	e.left, e.deepest, e.partial = e.opts.MaxDepth, MaxDepth, 0
	e.occs, e.oneofs, e.entries = e.occs[:0], e.oneofs[:0], e.entries[:0]
}

// release gives the encoder back, without what belongs to the caller.
func (e *encoder) release(t *Table) {
	e.home, e.t, e.in, e.out = nil, nil, nil, nil
	e.opts, e.groups = EncodeOptions{}, nil
	if 16*cap(e.occs)+8*cap(e.oneofs)+24*cap(e.entries) <= maxKept {
		t.encoders.Put(e)
	}
}

// whole is the offset of an error that is about a message, until its beginning
// is known.
const whole = -1

func (e *encoder) fail(offset int, reason string) *Error {
	return &Error{Offset: offset, Reason: reason}
}

func (e *encoder) document(message uint32) *Error {
	if len(e.in) > maxInput {
		return e.fail(0, "larger than 2 GiB")
	}
	if e.streaming {
		out, ok := e.streamMessage(message, 0, len(e.in), e.out)
		if ok {
			e.out = out
			return nil
		}
		e.rewind()
		e.streaming = false
	}
	e.occs = append(e.occs, occurrence{wireType: wireBytes, bits: spanBits(0, len(e.in))})
	return e.message(message, 0, 1, nil)
}

// message writes the message that the occurrences lo to hi together make. The
// type URL, if not nil, is that of the Any that contains it.
func (e *encoder) message(i uint32, lo, hi int, url []byte) *Error {
	m := e.t.view(i)
	if err := e.enter(&m, lo, hi); err != nil {
		return err
	}
	occs, oneofs := len(e.occs), len(e.oneofs)
	err := e.scan(&m, lo, hi)
	if err == nil {
		if w := m.wellKnown(); w != 0 && w != Empty {
			err = e.wellKnown(&m, w, occs, oneofs, url)
		} else {
			err = e.fields(&m, occs, oneofs, url)
		}
		if err != nil && err.Offset == whole && lo < hi {
			err.Offset = e.occs[lo].start()
		}
	}
	e.occs, e.oneofs = e.occs[:occs], e.oneofs[:oneofs]
	e.leave()
	return err
}

// enter begins a message, unless it may not be there.
func (e *encoder) enter(m *view, lo, hi int) *Error {
	at := whole
	if lo < hi {
		at = e.occs[lo].start()
	}
	switch {
	case e.left <= 0 || e.deepest <= 0:
		return e.fail(at, tooDeep)
	case m.flags()&flagUnsupported != 0:
		return e.t.unsupported(m, at)
	}
	e.left--
	e.deepest--
	return nil
}

// leave ends a message.
func (e *encoder) leave() {
	e.left++
	e.deepest++
}

// fields writes the fields that occur from occs on as an object.
func (e *encoder) fields(m *view, occs, oneofs int, url []byte) *Error {
	e.out = append(e.out, '{')
	begin := len(e.out)
	if url != nil {
		e.out = append(e.out, `"@type":`...)
		e.out, _ = appendString(e.out, url)
	}
	unset := e.opts.EmitUnpopulated || e.opts.EmitDefaultValues
	required, next := uint32(0), uint32(0)
	for i := occs; i < len(e.occs); {
		local := uint32(e.occs[i].local)
		j := i + 1
		for j < len(e.occs) && uint32(e.occs[j].local) == local {
			j++
		}
		if unset {
			e.unset(m, next, min(local, m.fields), begin)
		}
		next = local + 1
		f := e.t.local(m, local)
		if f.card() == Required {
			required++
		}
		var err *Error
		if j == i+1 && f.flags()&flagPlain != 0 {
			err = e.plain(f, e.occs[i], begin)
		} else {
			err = e.field(f, i, j, oneofs, begin)
		}
		if err != nil {
			return err.in(e.t.text(f.jsonName()))
		}
		i = j
	}
	if unset {
		e.unset(m, next, m.fields, begin)
	}
	if required != m.required() && !e.opts.AllowPartial && e.partial == 0 {
		return e.missing(m, occs)
	}
	e.out = append(e.out, '}')
	return nil
}

// missing returns the error for a required field that does not occur.
func (e *encoder) missing(m *view, occs int) *Error {
	for i := range m.all {
		f := e.t.local(m, i)
		if f.card() == Required && !slices.ContainsFunc(e.occs[occs:], func(o occurrence) bool { return uint32(o.local) == i }) {
			return e.fail(whole, missingField(e.t, f))
		}
	}
	return e.fail(whole, ErrDamaged.Error())
}

// key writes the name of a field; begin is where the first one would be.
func (e *encoder) key(f *fieldRec, begin int) {
	e.out = e.appendKey(e.out, f, begin)
}

// unset writes the fields from lo to hi as absent ones.
func (e *encoder) unset(m *view, lo, hi uint32, begin int) {
	for ; lo < hi; lo++ {
		f := e.t.local(m, lo)
		e.absent(f, begin)
	}
}

// absent writes one field that is not there.
func (e *encoder) absent(f *fieldRec, begin int) {
	flags := f.flags()
	if f.oneof() != none || flags&flagPresence != 0 && !e.opts.EmitUnpopulated || flags&flagExtension != 0 {
		return
	}
	e.key(f, begin)
	switch {
	case flags&flagPresence != 0:
		e.out = append(e.out, "null"...)
	case flags&flagMap != 0:
		e.out = append(e.out, "{}"...)
	case f.card() == Repeated:
		e.out = append(e.out, "[]"...)
	default:
		e.zero(f)
	}
}

// zero writes the value that an absent field without presence has.
func (e *encoder) zero(f *fieldRec) {
	switch f.kind() {
	case StringKind, BytesKind:
		e.out = append(e.out, `""`...)
	default:
		e.out = e.appendScalar(e.out, f, e.zeroBits(f))
	}
}

// zeroBits returns the zero value of a numeric kind: for an enum its first value.
func (e *encoder) zeroBits(f *fieldRec) uint64 {
	if f.kind() != EnumKind {
		return 0
	}
	return uint64(int64(e.t.value(e.t.enum(f.typ()).values()).number()))
}

// field writes the field that occurs from lo to hi, unless what is there means
// that it is absent.
func (e *encoder) field(f *fieldRec, lo, hi, oneofs, begin int) *Error {
	flags := f.flags()
	mark := len(e.out)
	switch {
	case flags&flagMap != 0:
		e.key(f, begin)
		return e.mapField(f, lo, hi)
	case f.card() == Repeated:
		e.key(f, begin)
		some, err := e.list(f, lo, hi)
		if !some && err == nil {
			e.out = e.out[:mark]
			e.defaulted(f, begin)
		}
		return err
	}
	if flags&flagShared != 0 {
		// What came before another member of the oneof is gone, but had to be
		// well-formed.
		state, local := e.oneofAt(oneofs, f.oneof()), uint32(e.occs[lo].local)
		for lo < hi && (state.member != local || e.occs[lo].sequence < state.since) {
			if err := e.check(f, e.occs[lo]); err != nil {
				return err
			}
			lo++
		}
		if lo == hi {
			return nil
		}
	}
	if f.kind().isMessage() {
		e.key(f, begin)
		return e.message(f.typ(), lo, hi, nil)
	}
	for ; lo < hi-1; lo++ {
		if err := e.check(f, e.occs[lo]); err != nil {
			return err
		}
	}
	return e.plain(f, e.occs[lo], begin)
}

// plain writes a field that is neither repeated nor a message.
func (e *encoder) plain(f *fieldRec, o occurrence, begin int) *Error {
	if f.flags()&(flagPresence|flagExtension) == 0 && o.isZero() {
		e.defaulted(f, begin)
		return nil
	}
	e.key(f, begin)
	return e.singular(f, o)
}

// defaulted writes a field that is there but means the same as an absent one.
func (e *encoder) defaulted(f *fieldRec, begin int) {
	if e.opts.EmitUnpopulated || e.opts.EmitDefaultValues {
		e.absent(f, begin)
	}
}

// isZero reports whether the value of a scalar is its zero value.
func (o occurrence) isZero() bool {
	if o.wireType == wireBytes {
		return o.start() == o.end()
	}
	return o.bits == 0
}

// list writes the values that occur from lo to hi, and reports whether there are
// some.
func (e *encoder) list(f *fieldRec, lo, hi int) (some bool, err *Error) {
	e.out = append(e.out, '[')
	count := 0
	packable, isMessage := f.packable(), f.kind().isMessage()
	for i := lo; i < hi; i++ {
		o := e.occs[i]
		if packable && o.wireType == wireBytes {
			if count, err = e.packed(f, o, count); err != nil {
				return false, err
			}
			continue
		}
		if count > 0 {
			e.out = append(e.out, ',')
		}
		if isMessage {
			err = e.message(f.typ(), i, i+1, nil)
		} else {
			err = e.singular(f, o)
		}
		if err != nil {
			return false, err.at(count)
		}
		count++
	}
	e.out = append(e.out, ']')
	return count > 0, nil
}

// packed writes the values that share one length, of which count come before.
func (e *encoder) packed(f *fieldRec, o occurrence, count int) (int, *Error) {
	for pos := o.start(); pos < o.end(); count++ {
		v, next, err := e.numeric(f.kind(), pos, o.end())
		if err != nil {
			return count, err.at(count)
		}
		if count > 0 {
			e.out = append(e.out, ',')
		}
		e.out = e.appendScalar(e.out, f, v)
		pos = next
	}
	return count, nil
}

// sortOccurrences brings what belongs to one field together, in the order of
// declaration and for each field in that of the input.
func sortOccurrences(occs []occurrence) {
	slices.SortFunc(occs, func(a, b occurrence) int {
		return cmp.Or(cmp.Compare(a.local, b.local), cmp.Compare(a.sequence, b.sequence))
	})
}
