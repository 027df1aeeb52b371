package wire

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"math"
	"slices"
	"strconv"
)

// field reads the value of a field and appends the field, or nothing when the
// value is what an absent field means. It reports whether there is a value: a
// name that an enum does not have is none when it is discarded.
func (d *decoder) field(f *fieldRec) (set bool, err *Error) {
	switch {
	case f.card() != Repeated:
		return d.singular(f, f.flags()&flagPresence == 0)
	case f.flags()&flagMap != 0:
		return true, d.mapField(f)
	default:
		return true, d.list(f)
	}
}

// singular reads a value that is not repeated and appends number and value.
// Implicit leaves a zero value out.
func (d *decoder) singular(f *fieldRec, implicit bool) (set bool, err *Error) {
	kind, number := f.kind(), f.number()
	switch kind {
	case MessageKind:
		d.tag(number, wireBytes)
		pos, extra := d.openLength()
		if err := d.message(f.typ()); err != nil {
			return false, err
		}
		d.closeLength(pos, extra)
	case GroupKind:
		d.tag(number, wireStart)
		if err := d.message(f.typ()); err != nil {
			return false, err
		}
		d.tag(number, wireEnd)
	case StringKind:
		text, err := d.text()
		if err != nil {
			return false, err
		}
		if len(text) > 0 || !implicit {
			d.tag(number, wireBytes)
			d.bytes(text)
		}
	case BytesKind:
		mark := len(d.out)
		d.tag(number, wireBytes)
		n, err := d.base64()
		if err != nil {
			return false, err
		}
		if n == 0 && implicit {
			d.out = d.out[:mark]
		}
	default:
		v, ok, err := d.scalar(f)
		if !ok {
			return false, err
		}
		if v != 0 || !implicit {
			d.tag(number, kind.wireType())
			d.fixed(kind, v)
		}
	}
	return true, nil
}

// quickString is singular for most of all values: strings that are ASCII and
// have nothing to escape. When it returns false nothing was read.
func (d *decoder) quickString(f *fieldRec) bool {
	start := d.pos + 1
	if start >= len(d.in) || d.in[start-1] != '"' {
		return false
	}
	end := start + ordinary(d.in[start:])
	if end >= len(d.in) || d.in[end] != '"' {
		return false
	}
	d.pos = end + 1
	if start < end || f.flags()&flagPresence != 0 {
		out := appendVarint(d.out, uint64(f.number())<<3|wireBytes)
		out = appendVarint(out, uint64(end-start))
		d.out = append(out, d.in[start:end]...)
	}
	return true
}

// list reads an array as the values of a repeated field.
func (d *decoder) list(f *fieldRec) *Error {
	if d.pos >= len(d.in) || d.in[d.pos] != '[' {
		return d.expected("array")
	}
	if err := d.open(); err != nil {
		return err
	}
	packed := f.flags()&flagPacked != 0 && f.kind().packable()
	mark := len(d.out)
	var pos, extra int
	if packed {
		d.tag(f.number(), wireBytes)
		pos, extra = d.openLength()
	}
	for i := 0; ; i++ {
		if ok, err := d.more(i == 0, ']'); err != nil {
			return err
		} else if !ok {
			break
		}
		var err *Error
		if packed {
			var v uint64
			var ok bool
			if v, ok, err = d.scalar(f); ok {
				d.fixed(f.kind(), v)
			}
		} else {
			_, err = d.singular(f, false)
		}
		if err != nil {
			return err.at(i)
		}
	}
	switch {
	case !packed:
	case len(d.out) == pos+1:
		d.out = d.out[:mark]
	default:
		d.closeLength(pos, extra)
	}
	return nil
}

// mapField reads an object as the entries of a map.
func (d *decoder) mapField(f *fieldRec) *Error {
	if d.pos >= len(d.in) || d.in[d.pos] != '{' {
		return d.expected("object")
	}
	if err := d.open(); err != nil {
		return err
	}
	key, value := d.t.entry(f)
	keys := len(d.keys)
	for first := true; ; first = false {
		if ok, err := d.more(first, '}'); err != nil {
			return err
		} else if !ok {
			break
		}
		mark, at := len(d.out), d.pos
		d.tag(f.number(), wireBytes)
		pos, extra := d.openLength()
		name, err := d.key()
		if err != nil {
			return err
		}
		lo := len(d.out)
		if !d.mapKey(key, name) {
			return d.fail(at, "not a key of a map from "+key.kind().String()).under(d.quotedKey(at))
		}
		span := keySpan{lo: lo, hi: len(d.out), offset: at}
		set, err := d.singular(value, false)
		if err != nil {
			return err.under(d.quotedKey(at))
		}
		if set {
			d.closeLength(pos, extra)
		} else {
			span = d.drop(span)
			d.out = d.out[:mark]
		}
		d.keys = append(d.keys, span)
	}
	err := d.uniqueKeys(d.keys[keys:])
	d.keys = d.keys[:keys]
	return err
}

// quotedKey returns the member name at an offset, with quotes, for a path.
func (d *decoder) quotedKey(at int) []byte {
	n, _, _ := lexString(d.in[at:])
	return d.in[at : at+n]
}

// mapKey appends a key, false when the name is none of its kind.
func (d *decoder) mapKey(f *fieldRec, name []byte) bool {
	kind := f.kind()
	if kind == StringKind {
		d.tag(f.number(), wireBytes)
		d.bytes(name)
		return true
	}
	var v uint64
	var err error
	switch kind {
	case BoolKind:
		switch string(name) {
		case "true":
			v = 1
		case "false":
		default:
			return false
		}
	case Int32Kind, Sint32Kind, Sfixed32Kind:
		var n int64
		n, err = strconv.ParseInt(string(name), 10, 32)
		v = encodeInt(kind, n)
	case Int64Kind, Sint64Kind, Sfixed64Kind:
		var n int64
		n, err = strconv.ParseInt(string(name), 10, 64)
		v = encodeInt(kind, n)
	case Uint32Kind, Fixed32Kind:
		v, err = strconv.ParseUint(string(name), 10, 32)
	case Uint64Kind, Fixed64Kind:
		v, err = strconv.ParseUint(string(name), 10, 64)
	default:
		return false
	}
	d.tag(f.number(), kind.wireType())
	d.fixed(kind, v)
	return err == nil
}

// drop keeps a key whose entry is discarded.
func (d *decoder) drop(k keySpan) keySpan {
	lo := len(d.dropped)
	d.dropped = append(d.dropped, d.out[k.lo:k.hi]...)
	return keySpan{lo: lo, hi: len(d.dropped), offset: k.offset, dropped: true}
}

func (d *decoder) keyBytes(k keySpan) []byte {
	if k.dropped {
		return d.dropped[k.lo:k.hi]
	}
	return d.out[k.lo:k.hi]
}

// uniqueKeys returns an error when a key occurs again that has an entry. It
// changes the order.
func (d *decoder) uniqueKeys(keys []keySpan) *Error {
	if len(keys) < 2 {
		return nil
	}
	slices.SortFunc(keys, func(a, b keySpan) int {
		if c := bytes.Compare(d.keyBytes(a), d.keyBytes(b)); c != 0 {
			return c
		}
		return cmp.Compare(a.offset, b.offset)
	})
	taken := !keys[0].dropped
	for i, k := range keys[1:] {
		switch {
		case !bytes.Equal(d.keyBytes(keys[i]), d.keyBytes(k)):
			taken = !k.dropped
		case taken:
			return d.fail(k.offset, "duplicate key").under(d.quotedKey(k.offset))
		default:
			taken = !k.dropped
		}
	}
	return nil
}

// text reads a string. The bytes are valid until the next one is read.
func (d *decoder) text() ([]byte, *Error) {
	if d.pos >= len(d.in) || d.in[d.pos] != '"' {
		return nil, d.expected("string")
	}
	return d.string()
}

// bytes appends a length and what has it.
func (d *decoder) bytes(b []byte) {
	d.out = append(appendVarint(d.out, uint64(len(b))), b...)
}

// base64 reads a string and appends the bytes that it means behind their length,
// which it returns. Both alphabets are understood, with padding and without.
func (d *decoder) base64() (int, *Error) {
	at := d.pos
	text, err := d.text()
	if err != nil {
		return 0, err
	}
	enc := base64.StdEncoding
	if bytes.IndexByte(text, '-') >= 0 || bytes.IndexByte(text, '_') >= 0 {
		enc = base64.URLEncoding
	}
	if len(text)%4 != 0 {
		if enc == base64.StdEncoding {
			enc = base64.RawStdEncoding
		} else {
			enc = base64.RawURLEncoding
		}
	}
	// The length is nearly always as long as that of the estimate.
	pos := len(d.out)
	d.out = appendVarint(d.out, uint64(enc.DecodedLen(len(text))))
	head := len(d.out) - pos
	out, e := enc.AppendDecode(d.out, text)
	if e != nil {
		return 0, d.fail(at, "invalid base64")
	}
	n := len(out) - pos - head
	size := varintSize(uint64(n))
	if size != head {
		copy(out[pos+size:], out[pos+head:])
		out = out[:pos+size+n]
	}
	binary.PutUvarint(out[pos:pos+size], uint64(n))
	d.out = out
	return n, nil
}

// scalar reads a value of a numeric kind and returns it as the wire form has it,
// false when there is an error or an enum's name that is discarded.
func (d *decoder) scalar(f *fieldRec) (v uint64, ok bool, err *Error) {
	if d.pos >= len(d.in) {
		return 0, false, d.unexpected()
	}
	at := d.pos
	switch kind := f.kind(); kind {
	case BoolKind:
		switch {
		case d.word("true"):
			d.pos += len("true")
			return 1, true, nil
		case d.word("false"):
			d.pos += len("false")
			return 0, true, nil
		}
		return 0, false, d.expected("true or false")
	case EnumKind:
		return d.enum(f)
	case FloatKind:
		return d.float(32)
	case DoubleKind:
		return d.float(64)
	case Int32Kind, Sint32Kind, Sfixed32Kind, Int64Kind, Sint64Kind, Sfixed64Kind, Uint32Kind, Fixed32Kind, Uint64Kind, Fixed64Kind:
		token, err := d.numeral()
		if err != nil {
			return 0, false, err
		}
		if v, ok = parseInteger(kind, token); !ok {
			return 0, false, d.fail(at, "not a value of "+kind.String()+": "+excerpt(token))
		}
		return v, true, nil
	default:
		return 0, false, d.fail(at, ErrDamaged.Error())
	}
}

// numeral reads a number or a string that contains one.
func (d *decoder) numeral() ([]byte, *Error) {
	at := d.pos
	if d.in[at] == '"' {
		text, err := d.string()
		if err != nil {
			return nil, err
		}
		if len(text) == 0 || lexNumber(text) != len(text) {
			return nil, d.fail(at, "expected number, got string "+excerpt(text))
		}
		return text, nil
	}
	token := d.number()
	if len(token) == 0 {
		return nil, d.expected("number")
	}
	return token, nil
}

// parseInteger returns a number as the wire form of an integer kind has it.
func parseInteger(kind Kind, token []byte) (uint64, bool) {
	switch kind {
	case Uint32Kind, Fixed32Kind:
		return unsigned(token, 32)
	case Uint64Kind, Fixed64Kind:
		return unsigned(token, 64)
	case Int32Kind, Sint32Kind, Sfixed32Kind:
		n, ok := signed(token, 32)
		return encodeInt(kind, n), ok
	default:
		n, ok := signed(token, 64)
		return encodeInt(kind, n), ok
	}
}

// encodeInt returns a signed integer as the wire form of its kind has it.
func encodeInt(kind Kind, n int64) uint64 {
	switch kind {
	case Sint32Kind, Sint64Kind:
		return uint64(n<<1) ^ uint64(n>>63)
	case Sfixed32Kind:
		return uint64(uint32(n))
	default:
		return uint64(n)
	}
}

// float reads a number, or a string that contains one or names a value that JSON
// has no number for.
func (d *decoder) float(size int) (uint64, bool, *Error) {
	at := d.pos
	var token []byte
	if d.in[at] == '"' {
		text, err := d.string()
		if err != nil {
			return 0, false, err
		}
		switch string(text) {
		case "NaN":
			return floatBits(math.NaN(), size), true, nil
		case "Infinity":
			return floatBits(math.Inf(+1), size), true, nil
		case "-Infinity":
			return floatBits(math.Inf(-1), size), true, nil
		}
		if len(text) == 0 || lexNumber(text) != len(text) {
			return 0, false, d.fail(at, "expected number, got string "+excerpt(text))
		}
		token = text
	} else if token = d.number(); len(token) == 0 {
		return 0, false, d.expected("number")
	}
	f, err := strconv.ParseFloat(string(token), size)
	if err != nil {
		return 0, false, d.fail(at, "not a floating-point number of "+strconv.Itoa(size)+" bits: "+excerpt(token))
	}
	return floatBits(f, size), true, nil
}

func floatBits(f float64, size int) uint64 {
	if size == 32 {
		return uint64(math.Float32bits(float32(f)))
	}
	return math.Float64bits(f)
}

// enum reads a name or a number. An enum's null is a value of NullValue alone.
func (d *decoder) enum(f *fieldRec) (uint64, bool, *Error) {
	e := d.t.enum(f.typ())
	at := d.pos
	switch c := d.in[at]; {
	case c == '"':
		name, err := d.string()
		if err != nil {
			return 0, false, err
		}
		if i, ok := d.t.enumNamed(e, name); ok {
			return uint64(int64(d.t.value(e.values() + i).number())), true, nil
		}
		if d.opts.DiscardUnknown {
			return 0, false, nil
		}
		return 0, false, d.fail(at, "no value of enum "+d.t.string(e.name())+": "+excerpt(name))
	case c == 'n' && d.word("null") && e.flags()&flagNullValue != 0:
		d.pos += len("null")
		return 0, true, nil
	}
	token := d.number()
	if len(token) == 0 {
		return 0, false, d.expected("name or number of enum " + d.t.string(e.name()))
	}
	n, ok := signed(token, 32)
	if !ok {
		return 0, false, d.fail(at, "not a number of an enum: "+excerpt(token))
	}
	return uint64(n), true, nil
}

// fixed appends a value of a numeric kind.
func (d *decoder) fixed(kind Kind, v uint64) {
	switch kind.wireType() {
	case wireFixed32:
		d.out = binary.LittleEndian.AppendUint32(d.out, uint32(v))
	case wireFixed64:
		d.out = binary.LittleEndian.AppendUint64(d.out, v)
	default:
		d.out = appendVarint(d.out, v)
	}
}
