package wire

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"
)

// entry is one entry of a map.
type entry struct {
	key    occurrence // of the key, or what stands for an absent one; its sequence counts the entries
	lo, hi uint32     // occurrences of the value; none when it is absent
}

// mapField writes the entries that occur from lo to hi in the order of their
// keys. Of those with one key the last counts.
func (e *encoder) mapField(f *fieldRec, lo, hi int) *Error {
	key, value := e.t.entry(f)
	kind := key.kind()
	occs, entries := len(e.occs), len(e.entries)
	e.left-- // a map takes part in the nesting, as its entries are messages
	ordered := true
	for i := lo; i < hi; i++ {
		n, err := e.entry(key, value, e.occs[i])
		if err != nil {
			return err
		}
		n.key.sequence = uint32(i)
		ordered = ordered && (i == lo || e.compareKeys(kind, e.entries[len(e.entries)-1].key, n.key) < 0)
		e.entries = append(e.entries, n)
	}
	if !ordered {
		slices.SortFunc(e.entries[entries:], func(a, b entry) int {
			if c := e.compareKeys(kind, a.key, b.key); c != 0 {
				return c
			}
			return cmp.Compare(a.key.sequence, b.key.sequence)
		})
	}
	err := e.writeEntries(key, value, entries)
	e.left++
	e.occs, e.entries = e.occs[:occs], e.entries[:entries]
	return err
}

// entry reads one entry and notes the occurrences of its value. Key and value
// may occur more than once there: the last counts, and messages are merged.
func (e *encoder) entry(key, value *fieldRec, o occurrence) (n entry, err *Error) {
	n.lo = uint32(len(e.occs))
	n.hi = n.lo
	for pos, end := o.start(), o.end(); pos < end; {
		at := pos
		tag := uint64(e.in[pos])
		pos++
		if tag >= 0x80 {
			if tag, pos, err = e.varint(at, end); err != nil {
				return n, err
			}
		}
		number, wireType := tag>>3, uint8(tag&7)
		if number == 0 || number > maxFieldNumber {
			return n, e.fail(at, malformed)
		}
		var v occurrence
		ok := false
		switch number {
		case 1:
			if v, pos, ok, err = e.occurrence(key, wireType, pos, end); ok {
				err = e.replaceKey(&n, key, v)
			}
		case 2:
			if v, pos, ok, err = e.occurrence(value, wireType, pos, end); ok {
				err = e.addValue(&n, value, v)
			}
		}
		if !ok && err == nil {
			pos, err = e.skip(uint32(number), wireType, pos, end)
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// replaceKey notes one more occurrence of the key of an entry.
func (e *encoder) replaceKey(n *entry, key *fieldRec, k occurrence) *Error {
	err := e.check(key, n.key)
	n.key = k
	return err
}

// addValue notes one more occurrence of the value of an entry.
func (e *encoder) addValue(n *entry, value *fieldRec, v occurrence) *Error {
	if n.hi > n.lo && !value.kind().isMessage() {
		err := e.check(value, e.occs[n.lo])
		e.occs[n.lo] = v
		return err
	}
	e.occs = append(e.occs, v)
	n.hi++
	return nil
}

// writeEntries writes the entries from an index on as an object.
func (e *encoder) writeEntries(key, value *fieldRec, from int) *Error {
	kind := key.kind()
	e.out = append(e.out, '{')
	begin := len(e.out)
	for i := from; i < len(e.entries); i++ {
		n := e.entries[i]
		if i+1 < len(e.entries) && e.compareKeys(kind, n.key, e.entries[i+1].key) == 0 {
			for _, v := range e.occs[n.lo:n.hi] {
				if err := e.check(value, v); err != nil {
					return err
				}
			}
			continue
		}
		if len(e.out) > begin {
			e.out = append(e.out, ',')
		}
		lo := len(e.out)
		if err := e.mapKey(kind, n.key); err != nil {
			return err
		}
		hi := len(e.out)
		e.out = append(e.out, ':')
		if err := e.mapValue(value, n); err != nil {
			return err.under(e.out[lo:hi])
		}
	}
	e.out = append(e.out, '}')
	return nil
}

// compareKeys orders keys: strings by their bytes, numbers by their value, false
// before true.
func (e *encoder) compareKeys(kind Kind, a, b occurrence) int {
	switch kind {
	case StringKind:
		return bytes.Compare(e.in[a.start():a.end()], e.in[b.start():b.end()])
	case Sfixed32Kind:
		return cmp.Compare(int32(a.bits), int32(b.bits))
	case Int32Kind, Sint32Kind, Int64Kind, Sint64Kind, Sfixed64Kind:
		return cmp.Compare(int64(a.bits), int64(b.bits))
	default:
		return cmp.Compare(a.bits, b.bits)
	}
}

// mapKey writes a key as a string.
func (e *encoder) mapKey(kind Kind, k occurrence) *Error {
	if kind == StringKind {
		return e.string(k.start(), k.end())
	}
	e.out = append(e.out, '"')
	switch kind {
	case BoolKind:
		e.out = strconv.AppendBool(e.out, k.bits != 0)
	case Sfixed32Kind:
		e.out = strconv.AppendInt(e.out, int64(int32(k.bits)), 10)
	case Int32Kind, Sint32Kind, Int64Kind, Sint64Kind, Sfixed64Kind:
		e.out = strconv.AppendInt(e.out, int64(k.bits), 10)
	default:
		e.out = strconv.AppendUint(e.out, k.bits, 10)
	}
	e.out = append(e.out, '"')
	return nil
}

// mapValue writes the value of an entry.
func (e *encoder) mapValue(value *fieldRec, n entry) *Error {
	switch {
	case !value.kind().isMessage() && n.lo == n.hi:
		e.zero(value)
		return nil
	case !value.kind().isMessage():
		return e.singular(value, e.occs[n.lo])
	case n.lo == n.hi:
		e.left++ // an absent value is not nested
		err := e.message(value.typ(), int(n.lo), int(n.hi), nil)
		e.left--
		return err
	case e.streaming && n.hi == n.lo+1:
		return e.streamed(value.typ(), e.occs[n.lo])
	default:
		return e.message(value.typ(), int(n.lo), int(n.hi), nil)
	}
}
