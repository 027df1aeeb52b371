package wire

import (
	"slices"
	"strconv"
)

// UnknownField is a field in a wire form that the schema does not have: the sender
// knows a newer one. JSON cannot express it.
type UnknownField struct {
	Path    string // of the first message that has it: items[2]; empty for the whole
	Message string // the full name of the type that lacks it
	Number  int
	Count   int // how often it occurs
}

// maxUnknown bounds how many unknown fields are told apart.
const maxUnknown = 100

// UnknownFields returns the fields that [Message.AppendJSON] leaves out because the
// schema does not have them, or has them with another type: each once, in the order
// in which they occur, and at most 100. Of data that is no wire form it returns what
// came before the damage.
func (m Message) UnknownFields(data []byte) []UnknownField {
	if len(data) > maxInput {
		return nil
	}
	u := unknownScan{e: encoder{home: m.t, t: m.t, in: data}}
	u.message(m, 0, len(data), "", MaxDepth)
	return u.found
}

// unknownScan walks a wire form and notes what it does not know.
type unknownScan struct {
	e     encoder // reads tags and values; it writes nothing
	found []UnknownField
}

func (u *unknownScan) note(m Message, number uint32, path string) {
	i := slices.IndexFunc(u.found, func(f UnknownField) bool { return f.Number == int(number) && f.Message == m.Name() })
	switch {
	case i >= 0:
		u.found[i].Count++
	case len(u.found) < maxUnknown:
		u.found = append(u.found, UnknownField{Path: path, Message: m.Name(), Number: int(number), Count: 1})
	}
}

// message walks the fields from pos to end, and reports whether they are well-formed.
func (u *unknownScan) message(m Message, pos, end int, path string, depth int) bool {
	if depth <= 0 {
		return false
	}
	if m.WellKnown() == Any {
		return u.any(m, pos, end, path, depth)
	}
	e, v, counts := &u.e, m.view(), map[uint32]int{}
	for pos < end {
		tag, next, err := e.varint(pos, end)
		number, wireType := tag>>3, uint8(tag&7)
		if err != nil || number == 0 || number > maxFieldNumber {
			return false
		}
		pos = next
		local, known := m.t.fieldNumbered(&v, uint32(number), 0)
		var o occurrence
		if known {
			f := m.t.local(&v, local)
			e.t = m.t
			if o, next, known, err = e.occurrence(f, wireType, pos, end); err != nil {
				return false
			}
		}
		if !known {
			u.note(m, uint32(number), path)
			if pos, err = e.skip(uint32(number), wireType, pos, end); err != nil {
				return false
			}
			continue
		}
		pos = next
		f := Field{m.t, v.start + local}
		if inner, ok := f.Message(); ok && o.hasSpan() {
			at := join(path, f, counts[local])
			counts[local]++
			if !u.message(inner, o.start(), o.end(), at, depth-1) {
				return false
			}
		}
	}
	return true
}

// any walks the message in an Any, when its type is known.
func (u *unknownScan) any(m Message, pos, end int, path string, depth int) bool {
	e := &u.e
	var url, value occurrence
	for pos < end {
		tag, next, err := e.varint(pos, end)
		if err != nil {
			return false
		}
		pos = next
		if number := tag >> 3; tag&7 != wireBytes || number != 1 && number != 2 {
			u.note(m, uint32(number), path)
			if pos, err = e.skip(uint32(number), uint8(tag&7), pos, end); err != nil {
				return false
			}
			continue
		}
		start, next, err := e.length(pos, end)
		if err != nil {
			return false
		}
		o := occurrence{wireType: wireBytes, bits: spanBits(start, next)}
		if tag>>3 == 1 {
			url = o
		} else {
			value = o
		}
		pos = next
	}
	typ, ok := m.t.resolve(e.in[url.start():url.end()], nil)
	return !ok || u.message(typ, value.start(), value.end(), path, depth-1)
}

// join returns the path of the n-th value of a field of the message at a path.
func join(path string, f Field, n int) string {
	if path != "" {
		path += "."
	}
	path += f.Name()
	if f.IsList() || f.IsMap() {
		path += "[" + strconv.Itoa(n) + "]"
	}
	return path
}
