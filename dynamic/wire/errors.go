package wire

import (
	"errors"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Errors that callers tell apart with [errors.Is]; what is returned is an
// [*Error] with one of these as its cause, or with none.
var (
	// ErrUnsupported means that the table does not take the message: convert it
	// with protojson, and count how often that happens.
	ErrUnsupported = errors.New("not supported by compiled tables")

	// ErrUnknownType means that an Any names a type that neither the table nor
	// Resolve knows.
	ErrUnknownType = errors.New("unknown type")
)

// Error says what is wrong with an input, and where.
type Error struct {
	Path   string // of the value in the message: items[2].price; empty for the whole
	Offset int    // in the input, of the byte at which it was noticed
	Reason string // what is wrong: expected a number, got string

	// Missing is the name, in JSON, of the required field that the message at Path does
	// not have; empty for other errors.
	Missing string

	segments []segment // of Path, innermost first, until it is made
	cause    error
}

// Error returns path and reason: "items[2].price: expected a number, got string".
func (e *Error) Error() string {
	if e.Path == "" {
		return e.Reason
	}
	return e.Path + ": " + e.Reason
}

// Unwrap returns [ErrUnsupported], [ErrUnknownType] or nil.
func (e *Error) Unwrap() error { return e.cause }

// unsupported returns the error for a message that the table does not take.
func (t *Table) unsupported(m *view, offset int) *Error {
	return &Error{
		Offset: offset,
		Reason: "message " + t.string(m.name()) + ": " + ErrUnsupported.Error(),
		cause:  ErrUnsupported,
	}
}

// unknownType returns the error for an Any with a type that nobody knows.
func unknownType(url []byte, offset int) *Error {
	return &Error{Offset: offset, Reason: ErrUnknownType.Error() + " " + excerpt(url), cause: ErrUnknownType}
}

// excerpt quotes what an error speaks of, shortened.
func excerpt(b []byte) string {
	const most = 40
	if len(b) > most {
		return strconv.Quote(string(b[:most])) + "…"
	}
	return strconv.Quote(string(b))
}

// segment is one step of a path.
type segment struct {
	kind  segmentKind
	name  string // of a field, or a key of a map in quotes
	index int    // of an element
}

type segmentKind uint8

const (
	fieldSegment segmentKind = iota
	elementSegment
	keySegment
)

// in adds the field that the error is in.
func (e *Error) in(name []byte) *Error {
	e.segments = append(e.segments, segment{kind: fieldSegment, name: printable(name)})
	return e
}

// at adds the element that the error is at.
func (e *Error) at(index int) *Error {
	e.segments = append(e.segments, segment{kind: elementSegment, index: index})
	return e
}

// under adds the key that the error is at, as it stands in JSON.
func (e *Error) under(key []byte) *Error {
	e.segments = append(e.segments, segment{kind: keySegment, name: printable(key)})
	return e
}

// maxName bounds what is shown of a name: it can be as long as the input.
const maxName = 100

// printable returns a name as it may be shown to people: it can come from anybody.
func printable(name []byte) string {
	if len(name) == 0 {
		return `""`
	}
	more := ""
	if len(name) > maxName {
		name, more = name[:maxName], "…"
	}
	for _, r := range string(name) {
		if r == utf8.RuneError || !strconv.IsPrint(r) {
			return strconv.Quote(string(name)) + more
		}
	}
	return string(name) + more
}

// maxSegments bounds the length of a path; the middle of a longer one is left
// out.
const maxSegments = 32

// finish makes the path and returns the error for callers of the package.
func (e *Error) finish() error {
	e.Offset = max(e.Offset, 0)
	slices.Reverse(e.segments)
	var path []byte
	for i, s := range e.segments {
		if n := len(e.segments); n > maxSegments && i >= maxSegments/2 && i < n-maxSegments/2 {
			if i == maxSegments/2 {
				path = append(path, "…"...)
			}
			continue
		}
		switch s.kind {
		case elementSegment:
			path = append(path, '[')
			path = strconv.AppendInt(path, int64(s.index), 10)
			path = append(path, ']')
		case keySegment:
			path = append(path, '[')
			path = append(path, s.name...)
			path = append(path, ']')
		default:
			if len(path) > 0 {
				path = append(path, '.')
			}
			path = append(path, s.name...)
		}
	}
	e.Path, e.segments = string(path), nil
	return e
}
