package wire

import "strconv"

// reader reads JSON. It is a part of the decoder that knows nothing of messages.
type reader struct {
	in      []byte
	pos     int
	scratch []byte // of the last string that had escapes

	depth    int // arrays and objects that are open
	maxDepth int // how many may be

	// While findTypes is set, skip notes where the values of "@type" are, by where
	// their objects begin. It has done so for all objects before typesEnd that
	// are in one with a note.
	findTypes bool
	types     map[int]int
	typesEnd  int
}

// fail returns an error at an offset.
func (r *reader) fail(offset int, reason string) *Error {
	return &Error{Offset: offset, Reason: reason}
}

// unexpected returns the error for what is at the position.
func (r *reader) unexpected() *Error {
	if r.pos >= len(r.in) {
		return r.fail(r.pos, unexpectedEnd)
	}
	return r.fail(r.pos, "syntax error: unexpected "+r.found())
}

// expected returns the error for a value of another type than the wanted one.
func (r *reader) expected(want string) *Error {
	if r.pos >= len(r.in) {
		return r.fail(r.pos, unexpectedEnd)
	}
	return r.fail(r.pos, "expected "+want+", got "+r.found())
}

// found names the token at the position.
func (r *reader) found() string {
	switch c := r.in[r.pos]; {
	case c == '{':
		return "object"
	case c == '[':
		return "array"
	case c == '"':
		return "string"
	case r.word("null"):
		return "null"
	case r.word("true"):
		return "true"
	case r.word("false"):
		return "false"
	case lexNumber(r.in[r.pos:]) > 0:
		return "number"
	case c >= 0x80 || c < ' ':
		return "byte 0x" + strconv.FormatUint(uint64(c), 16)
	default:
		return strconv.QuoteRune(rune(c))
	}
}

// word reports whether a word is at the position.
func (r *reader) word(w string) bool {
	end := r.pos + len(w)
	return end <= len(r.in) && string(r.in[r.pos:end]) == w && (end == len(r.in) || delimits(r.in[end]))
}

// space skips white space and returns the byte that follows, 0 at the end.
func (r *reader) space() byte {
	if r.pos < len(r.in) && r.in[r.pos] > ' ' {
		return r.in[r.pos]
	}
	return r.skipSpace()
}

func (r *reader) skipSpace() byte {
	for ; r.pos < len(r.in); r.pos++ {
		switch c := r.in[r.pos]; c {
		case ' ', '\n', '\r', '\t':
		default:
			return c
		}
	}
	return 0
}

// open enters an array or object, whose first byte is at the position.
func (r *reader) open() *Error {
	r.pos++
	r.depth++
	if r.depth > r.maxDepth {
		return r.fail(r.pos-1, tooDeep)
	}
	return nil
}

const tooDeep = "nested too deeply"

// more is called in an array or object before each element: at the beginning
// with first, then behind each value. It reports whether there is another
// element and leaves the position at it; otherwise it leaves the array or
// object, which ends with closing.
func (r *reader) more(first bool, closing byte) (bool, *Error) {
	c := r.space()
	if c == closing {
		r.pos++
		r.depth--
		return false, nil
	}
	if first {
		return true, nil
	}
	if c != ',' {
		return false, r.unexpected()
	}
	r.pos++
	if r.space() == closing {
		return false, r.unexpected()
	}
	return true, nil
}

// string reads the string at the position. The bytes are valid until the next
// call.
func (r *reader) string() ([]byte, *Error) {
	start := r.pos
	// Most strings are ASCII and have nothing to escape.
	if end := start + 1 + ordinary(r.in[start+1:]); end < len(r.in) && r.in[end] == '"' {
		r.pos = end + 1
		return r.in[start+1 : end], nil
	}
	n, escaped, reason := lexString(r.in[start:])
	if reason != "" {
		return nil, r.fail(start+n, reason)
	}
	r.pos += n
	inside := r.in[start+1 : r.pos-1]
	if !escaped {
		return inside, nil
	}
	text, ok := unescape(r.scratch[:0], inside)
	r.scratch = text
	if !ok {
		return nil, r.fail(start, "invalid escape in a string")
	}
	return text, nil
}

// key reads the name of a member at the position and the colon behind it, and
// leaves the position at the value. The bytes are valid until the next call of
// string or key.
func (r *reader) key() ([]byte, *Error) {
	if r.pos >= len(r.in) || r.in[r.pos] != '"' {
		return nil, r.unexpected()
	}
	name, err := r.string()
	if err != nil {
		return nil, err
	}
	if r.space() != ':' {
		return nil, r.unexpected()
	}
	r.pos++
	r.space()
	return name, nil
}

// number reads the number at the position, nothing when there is none.
func (r *reader) number() []byte {
	n := lexNumber(r.in[r.pos:])
	r.pos += n
	return r.in[r.pos-n : r.pos]
}

// skip reads the value at the position, in which at most limit arrays and
// objects may be nested.
func (r *reader) skip(limit int) *Error {
	saved := r.maxDepth
	r.maxDepth = min(saved, r.depth+limit)
	err := r.skipValue()
	r.maxDepth = saved
	return err
}

func (r *reader) skipValue() *Error {
	if r.pos >= len(r.in) {
		return r.unexpected()
	}
	switch c := r.in[r.pos]; {
	case c == '{':
		return r.skipObject()
	case c == '[':
		if err := r.open(); err != nil {
			return err
		}
		for first := true; ; first = false {
			if ok, err := r.more(first, ']'); !ok {
				return err
			}
			if err := r.skipValue(); err != nil {
				return err
			}
		}
	case c == '"':
		_, err := r.string()
		return err
	case r.word("null"), r.word("true"):
		r.pos += len("null")
	case r.word("false"):
		r.pos += len("false")
	case len(r.number()) == 0:
		return r.unexpected()
	}
	return nil
}

func (r *reader) skipObject() *Error {
	start := r.pos
	if err := r.open(); err != nil {
		return err
	}
	for first := true; ; first = false {
		if ok, err := r.more(first, '}'); !ok {
			return err
		}
		name, err := r.key()
		if err != nil {
			return err
		}
		if r.findTypes && string(name) == typeKey {
			if _, ok := r.types[start]; !ok {
				r.types[start] = r.pos
			}
		}
		if err := r.skipValue(); err != nil {
			return err
		}
	}
}
