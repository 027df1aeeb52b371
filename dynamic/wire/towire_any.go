package wire

import "bytes"

// typeKey is the member that names the type of what is in an Any.
const typeKey = "@type"

// any reads a google.protobuf.Any: an object with the fields of the message that
// "@type" names, or with its JSON form in "value" when it has one of its own.
//
// As protojson does, it counts the arrays and objects in the object, and not
// only the messages, against the depth that is left.
func (d *decoder) any() *Error {
	if d.pos >= len(d.in) || d.in[d.pos] != '{' {
		return d.expected("object")
	}
	maxDepth := d.maxDepth
	d.maxDepth = min(maxDepth, d.depth+1+d.left)
	start := d.pos
	at, err := d.findType()
	d.pos = start
	switch {
	case err != nil:
		return err
	case at < 0:
		err = d.anyOfNothing()
	default:
		err = d.anyOf(start, at)
	}
	d.maxDepth = maxDepth
	return err
}

// findType returns the offset of the value of "@type" in the object at the
// position, -1 when it has none. It moves the position.
//
// When "@type" does not come first the object is read to its end, and what was
// found for the objects in it is remembered: nothing is read twice for this.
func (d *decoder) findType() (at int, err *Error) {
	start := d.pos
	d.pos++
	if d.space() == '"' {
		name, err := d.key()
		if err != nil {
			return 0, err
		}
		if string(name) == typeKey {
			return d.pos, nil
		}
	}
	if start >= d.typesEnd {
		d.pos = start
		if d.types == nil {
			d.types = map[int]int{}
		}
		d.findTypes = true
		err := d.skipValue()
		d.findTypes = false
		if err != nil {
			return 0, err
		}
		d.typesEnd = d.pos
	}
	if at, ok := d.types[start]; ok {
		return at, nil
	}
	return -1, nil
}

// anyOfNothing reads an object without "@type", which must be empty.
func (d *decoder) anyOfNothing() *Error {
	start := d.pos
	if err := d.open(); err != nil {
		return err
	}
	if ok, err := d.more(true, '}'); !ok {
		return err
	}
	if !d.opts.DiscardUnknown {
		return d.fail(start, `"@type" is missing`)
	}
	d.pos = start
	d.depth--
	return d.skip(d.left)
}

// anyOf reads the object that begins at start and has its type at another
// offset.
func (d *decoder) anyOf(start, at int) *Error {
	d.pos = at
	url, err := d.text()
	if err != nil {
		return err.in([]byte(typeKey))
	}
	if len(url) == 0 {
		return d.fail(at, "empty").in([]byte(typeKey))
	}
	d.tag(1, wireBytes)
	d.bytes(url)
	typ, ok := d.t.resolve(url, d.opts.Resolve)
	if !ok {
		return unknownType(url, at).in([]byte(typeKey))
	}
	d.pos = start

	mark := len(d.out)
	d.tag(2, wireBytes)
	pos, extra := d.openLength()
	outer := d.t
	d.t = typ.t
	d.partial++
	if err := d.anyContent(typ.view()); err != nil {
		return err
	}
	d.partial--
	d.t = outer
	if len(d.out) == pos+1 {
		d.out = d.out[:mark]
		return nil
	}
	d.closeLength(pos, extra)
	return nil
}

// resolve returns the message that a type URL means.
func (t *Table) resolve(url []byte, other func(name string) (Message, bool)) (Message, bool) {
	name := string(url[bytes.LastIndexByte(url, '/')+1:])
	if m, ok := t.Message(name); ok || other == nil {
		return m, ok
	}
	m, ok := other(name)
	return m, ok && m.IsValid()
}

// anyContent reads the object of an Any that contains a message m.
func (d *decoder) anyContent(m view) *Error {
	if m.flags()&flagUnsupported != 0 {
		return d.t.unsupported(&m, d.pos)
	}
	if w := m.wellKnown(); w != 0 {
		return d.anyValue(&m, w)
	}
	if d.left <= 0 {
		return d.fail(d.pos, tooDeep)
	}
	d.left--
	err := d.fields(&m, true)
	d.left++
	return err
}

// anyValue reads an object with the members "@type" and "value".
func (d *decoder) anyValue(m *view, w WellKnown) *Error {
	start := d.pos
	if err := d.open(); err != nil {
		return err
	}
	var seenType, seenValue bool
	for first := true; ; first = false {
		if ok, err := d.more(first, '}'); err != nil {
			return err
		} else if !ok {
			break
		}
		at := d.pos
		name, err := d.key()
		if err != nil {
			return err
		}
		switch string(name) {
		case typeKey:
			err = d.typeMember(at, &seenType)
		case "value":
			if seenValue {
				return d.fail(at, "duplicate field").in([]byte("value"))
			}
			seenValue = true
			if err = d.wellKnown(m, w); err != nil {
				err = err.in([]byte("value"))
			}
		default:
			if !d.opts.DiscardUnknown {
				return d.fail(at, "unknown field").in(name)
			}
			err = d.skip(d.left)
		}
		if err != nil {
			return err
		}
	}
	if !seenValue && w != Empty {
		return d.fail(start, `"value" is missing`)
	}
	return nil
}

// typeMember reads the value of "@type", which may be there once.
func (d *decoder) typeMember(at int, seen *bool) *Error {
	if *seen {
		return d.fail(at, "duplicate field").in([]byte(typeKey))
	}
	*seen = true
	_, err := d.text()
	return err
}
