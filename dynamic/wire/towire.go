package wire

import (
	"cmp"
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
)

// DecodeOptions tell how JSON is read. The zero value is strict.
type DecodeOptions struct {
	// DiscardUnknown ignores fields and names of enum values that the schema
	// does not have, which are errors otherwise.
	DiscardUnknown bool

	// AllowPartial accepts messages in which required fields are missing.
	AllowPartial bool

	// MaxDepth is how deeply messages may be nested: [MaxDepth] when it is 0 or
	// greater than that.
	MaxDepth int

	// Resolve, if not nil, returns the types of messages in an Any that the
	// table does not have, by their full names. They may be of other tables.
	Resolve func(name string) (Message, bool)
}

// MaxDepth is how deeply messages may be nested, unless an option says less.
const MaxDepth = 10_000

// maxInput bounds inputs, whose offsets are kept in 32 bits.
const maxInput = math.MaxInt32

// AppendWire appends the wire form of the message that json describes to dst and
// returns the longer slice. On an error it returns dst as it was, and an
// [*Error]. The two slices must not overlap; json is only read.
//
// The fields are in the order of the JSON. It is safe for concurrent use.
func (m Message) AppendWire(dst, json []byte, o DecodeOptions) ([]byte, error) {
	d, _ := m.t.decoders.Get().(*decoder)
	if d == nil {
		d = new(decoder)
	}
	d.reset(m.t, dst, json, o)
	err := d.document(m.i)
	out := d.out
	d.release(m.t)
	if err != nil {
		return dst, err.finish()
	}
	return out, nil
}

// decoder turns one JSON document into wire form.
type decoder struct {
	reader
	t       *Table
	opts    DecodeOptions
	left    int // how many messages may still be nested
	partial int // of how many Any the present value is a part: nothing is required there

	out     []byte
	patches []patch // lengths that did not fit
	extra   int     // how many bytes the patches will insert

	seen []uint64  // a stack: bits for the open messages that have many fields
	keys []keySpan // a stack: the keys of the open maps

	dropped []byte // keys that are not in out
}

// patch is a length that needs more than the one byte that was left for it.
type patch struct {
	pos    int // of that byte
	length int
}

// keySpan is where a map key lies in out, and in the input. That of an entry whose
// value was discarded lies in dropped.
type keySpan struct {
	lo, hi  int
	offset  int
	dropped bool
}

func (d *decoder) reset(t *Table, dst, json []byte, o DecodeOptions) {
	if o.MaxDepth <= 0 || o.MaxDepth > MaxDepth {
		o.MaxDepth = MaxDepth
	}
	d.t, d.opts, d.left, d.partial = t, o, o.MaxDepth, 0
	d.in, d.pos, d.depth, d.maxDepth = json, 0, 0, math.MaxInt
	d.types, d.typesEnd, d.findTypes = nil, 0, false
	d.out = dst
	d.patches, d.extra = d.patches[:0], 0
	d.seen, d.keys, d.dropped = d.seen[:0], d.keys[:0], d.dropped[:0]
}

// maxKept bounds the buffers that a decoder or encoder keeps for the next call.
const maxKept = 1 << 16

// release gives the decoder back, without what belongs to the caller.
func (d *decoder) release(t *Table) {
	d.t, d.in, d.out, d.opts, d.types = nil, nil, nil, DecodeOptions{}, nil
	if cap(d.scratch)+cap(d.dropped)+32*cap(d.keys)+8*cap(d.seen)+16*cap(d.patches) <= maxKept {
		t.decoders.Put(d)
	}
}

func (d *decoder) document(message uint32) *Error {
	if len(d.in) > maxInput {
		return d.fail(0, "larger than 2 GiB")
	}
	d.space()
	if err := d.message(message); err != nil {
		return err
	}
	d.space()
	if d.pos != len(d.in) {
		return d.unexpected()
	}
	d.applyPatches()
	return nil
}

// openLength leaves a byte for a length, which closeLength fills in.
func (d *decoder) openLength() (pos, extra int) {
	pos = len(d.out)
	d.out = append(d.out, 0)
	return pos, d.extra
}

func (d *decoder) closeLength(pos, extra int) {
	n := len(d.out) - pos - 1 + d.extra - extra
	if n < 0x80 {
		d.out[pos] = byte(n)
		return
	}
	d.patches = append(d.patches, patch{pos, n})
	d.extra += varintSize(uint64(n)) - 1
}

// applyPatches makes room for the lengths that need more than a byte, moving
// every byte at most once.
func (d *decoder) applyPatches() {
	if len(d.patches) == 0 {
		return
	}
	slices.SortFunc(d.patches, func(a, b patch) int { return cmp.Compare(a.pos, b.pos) })
	end := len(d.out)
	d.out = slices.Grow(d.out, d.extra)[:end+d.extra]
	to := len(d.out)
	for _, p := range slices.Backward(d.patches) {
		n := end - (p.pos + 1)
		copy(d.out[to-n:to], d.out[p.pos+1:end])
		to -= n
		size := varintSize(uint64(p.length))
		to -= size
		binary.PutUvarint(d.out[to:to+size], uint64(p.length))
		end = p.pos
	}
}

func varintSize(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

func appendVarint(b []byte, v uint64) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

// tag appends the number of a field and the wire type of what follows.
func (d *decoder) tag(number uint32, wireType uint8) {
	d.out = appendVarint(d.out, uint64(number)<<3|uint64(wireType))
}

// message reads the message at the position and appends its fields.
func (d *decoder) message(i uint32) *Error {
	if d.left <= 0 {
		return d.fail(d.pos, tooDeep)
	}
	d.left--
	v := d.t.view(i)
	if v.flags()&flagUnsupported != 0 {
		return d.t.unsupported(&v, d.pos)
	}
	var err *Error
	if w := v.wellKnown(); w != 0 {
		err = d.wellKnown(&v, w)
	} else {
		err = d.fields(&v, false)
	}
	d.left++
	return err
}

// fields reads an object as the fields of a message. In an Any the member
// "@type" is not one of them.
func (d *decoder) fields(m *view, inAny bool) *Error {
	start := d.pos
	if d.pos >= len(d.in) || d.in[d.pos] != '{' {
		return d.expected("object")
	}
	if err := d.open(); err != nil {
		return err
	}
	stack := len(d.seen)
	seen := d.newMarks(m)
	required, next, null, seenType := uint32(0), uint32(0), uint32(none), false
	for first := true; ; first = false {
		if ok, err := d.more(first, '}'); err != nil {
			return err
		} else if !ok {
			break
		}
		at := d.pos
		local, name, err := d.member(m, next, inAny)
		switch {
		case err != nil:
			return err
		case local != none:
		case inAny && string(name) == typeKey:
			if err := d.typeMember(at, &seenType); err != nil {
				return err
			}
			continue
		default:
			if err := d.unknown(name, at); err != nil {
				return err
			}
			continue
		}
		next = local + 1
		f := d.t.local(m, local)
		if seen.mark(local) {
			return d.fail(at, "duplicate field").in(d.t.text(f.jsonName()))
		}
		if d.pos < len(d.in) && d.in[d.pos] == 'n' && d.word("null") && !d.takesNull(f) {
			d.pos += len("null")
			null = local
			continue
		}
		if f.flags()&flagShared != 0 && seen.mark(m.all+f.oneof()) {
			return d.conflict(m, f, at)
		}
		if f.kind() == StringKind && f.flags()&flagPlain != 0 && d.quickString(f) {
			if f.card() == Required {
				required++
			}
			continue
		}
		set, err := d.field(f)
		if err != nil {
			return err.in(d.t.text(f.jsonName()))
		}
		if set && f.card() == Required {
			required++
		}
	}
	d.seen = d.seen[:stack]
	if required != m.required() && !d.opts.AllowPartial && d.partial == 0 {
		return d.missing(m, &seen, null, start)
	}
	return nil
}

// marks are bits for the fields of an open message and, behind them, for its
// oneofs.
type marks struct {
	low  uint64
	high []uint64 // for those that do not fit, in decoder.seen
}

func (d *decoder) newMarks(m *view) marks {
	n := m.all
	if m.flags()&flagOneofs != 0 {
		n += min(m.oneofCount(), maxLocal)
	}
	if n <= 64 {
		return marks{}
	}
	begin := len(d.seen)
	for range n / 64 {
		d.seen = append(d.seen, 0)
	}
	return marks{high: d.seen[begin:]}
}

// mark sets a bit and reports whether it was set.
func (s *marks) mark(bit uint32) bool {
	word := &s.low
	if i := bit / 64; i > 0 {
		if uint64(i) > uint64(len(s.high)) {
			return false
		}
		word = &s.high[i-1]
	}
	was := *word&(1<<(bit%64)) != 0
	*word |= 1 << (bit % 64)
	return was
}

// conflict returns the error for a field of a oneof that has another one already.
func (d *decoder) conflict(m *view, f *fieldRec, at int) *Error {
	o := d.t.oneof(m.oneofs() + f.oneof())
	return d.fail(at, "another field of oneof "+d.t.string(o.name())+" is set already").in(d.t.text(f.jsonName()))
}

// member reads the name of a member, and returns which of the fields of m it
// means, or none and the name. It is quickest when the members come as the fields
// are declared: next is what follows the last one.
func (d *decoder) member(m *view, next uint32, inAny bool) (local uint32, name []byte, err *Error) {
	if !inAny {
		rest := d.in[d.pos:]
		for i := next; i < m.fields && i < next+3; i++ {
			key := d.t.text(d.t.local(m, i).jsonKey())
			if n := len(key) - 1; n > 0 && len(rest) >= n && string(rest[:n]) == string(key[1:]) {
				d.pos += n
				d.space()
				return i, nil, nil
			}
		}
	}
	name, err = d.key()
	if err != nil || inAny && string(name) == typeKey {
		return none, name, err
	}
	if local, ok := d.t.fieldNamed(m, name); ok {
		return local, nil, nil
	}
	return none, name, nil
}

// unknown reads the value of a member that the schema does not have.
func (d *decoder) unknown(name []byte, at int) *Error {
	if len(name) > 1 && name[0] == '[' && name[len(name)-1] == ']' && d.t.declares(string(name[1:len(name)-1])) {
		return d.fail(at, "not an extension of the message").in(name)
	}
	if !d.opts.DiscardUnknown {
		return d.fail(at, "unknown field").in(name)
	}
	return d.skip(d.left)
}

// missing returns the error for a required field that is not there.
func (d *decoder) missing(m *view, seen *marks, null uint32, at int) *Error {
	for i := range m.all {
		f := d.t.local(m, i)
		if f.card() == Required && (i == null || !seen.mark(i)) {
			err := d.fail(at, missingField(d.t, f))
			err.Missing = d.t.string(f.jsonName())
			return err
		}
	}
	return d.fail(at, ErrDamaged.Error())
}

func missingField(t *Table, f *fieldRec) string {
	return "required field " + t.string(f.jsonName()) + " is missing"
}

// takesNull reports whether null is a value of the field; otherwise it is as if
// the field were not there.
func (d *decoder) takesNull(f *fieldRec) bool {
	switch k := f.kind(); {
	case k == EnumKind:
		return d.t.enum(f.typ()).flags()&flagNullValue != 0
	case k.isMessage():
		return d.t.message(f.typ()).wellKnown() == Value
	default:
		return false
	}
}
