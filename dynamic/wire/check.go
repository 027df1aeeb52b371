package wire

import "unicode/utf8"

// check verifies that an occurrence of a field which does not count, because a
// later one replaces it, is well-formed: bad input is an error wherever it is.
func (e *encoder) check(f *fieldRec, o occurrence) *Error {
	kind := f.kind()
	switch {
	case f.flags()&flagMap != 0:
		return e.checkEntry(f, o)
	case kind.isMessage():
		e.occs = append(e.occs, o)
		n := len(e.occs)
		err := e.checkMessage(f.typ(), n-1, n)
		e.occs = e.occs[:n-1]
		return err
	case kind == StringKind:
		if f.flags()&flagUTF8 != 0 && !utf8.Valid(e.in[o.start():o.end()]) {
			return e.fail(o.start(), notUTF8)
		}
	case o.wireType == wireBytes && kind != BytesKind:
		for pos := o.start(); pos < o.end(); {
			_, next, err := e.numeric(kind, pos, o.end())
			if err != nil {
				return err
			}
			pos = next
		}
	}
	return nil
}

// checkMessage verifies the message that the occurrences lo to hi together make.
func (e *encoder) checkMessage(i uint32, lo, hi int) *Error {
	m := e.t.view(i)
	if err := e.enter(&m, lo, hi); err != nil {
		return err
	}
	occs, oneofs := len(e.occs), len(e.oneofs)
	err := e.scan(&m, lo, hi)
	for i := occs; i < len(e.occs) && err == nil; i++ {
		o := e.occs[i]
		f := e.t.local(&m, uint32(o.local))
		if err = e.check(f, o); err != nil {
			err = err.in(e.t.text(f.jsonName()))
		}
	}
	e.occs, e.oneofs = e.occs[:occs], e.oneofs[:oneofs]
	e.leave()
	return err
}

// checkEntry verifies an entry of a map.
func (e *encoder) checkEntry(f *fieldRec, o occurrence) *Error {
	key, value := e.t.entry(f)
	occs := len(e.occs)
	e.left--
	n, err := e.entry(key, value, o)
	if err == nil {
		err = e.check(key, n.key)
	}
	for i := n.lo; i < n.hi && err == nil; i++ {
		err = e.check(value, e.occs[i])
	}
	e.left++
	e.occs = e.occs[:occs]
	return err
}
