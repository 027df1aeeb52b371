package request

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/micro/micro/v3/dynamic/wire"
)

// Body is the JSON of a request that is being made. The zero value is not usable;
// see [NewBody] and [ParseBody].
type Body struct {
	root  *node
	added int // elements of lists that nobody named
	depth int // of the message that is being set
}

// NewBody returns an empty body.
func NewBody() *Body { return &Body{root: newObject()} }

// ParseBody reads a body that is a JSON object, with nothing after it.
func ParseBody(text []byte) (*Body, error) {
	t, err := parseTree(text)
	if err != nil {
		return nil, fmt.Errorf("is not JSON: %w", err)
	}
	if t.kind != object {
		return nil, errors.New("is not a JSON object")
	}
	return &Body{root: t}, nil
}

// JSON returns the body as JSON.
func (b *Body) JSON() []byte { return b.root.appendTo(nil) }

// IsEmpty reports whether nothing was set.
func (b *Body) IsEmpty() bool { return b.root.kind == object && len(b.root.keys) == 0 }

// Set puts a value where a path says, into the JSON of a message:
//
//	name              a field, by its name or its JSON name, in any case
//	address.city      a field of a message; also address-city and address_city
//	items.0.name      a field of an element of a list
//	labels.key        an entry of a map; a key with dots is quoted
//
// The value is read by the type of the field; see the files of this package. null
// means not set, unless the field is of text or bytes or has null among its
// values. The values of a list that is set several times are added; of anything
// else the last one counts. After an error the body is not to be used.
func (b *Body) Set(m wire.Message, path, value string, v Values) error {
	parts, err := splitPath(strings.TrimPrefix(path, "."))
	if err != nil {
		return err
	}
	b.depth = 0
	return b.setInside(b.root, m, parts, value, v)
}

// Has reports whether the body has the field of a message that a path begins with,
// by whichever of its names.
func (b *Body) Has(m wire.Message, path string) bool {
	parts, err := splitPath(strings.TrimPrefix(path, "."))
	if err != nil || len(parts) == 0 {
		return false
	}
	f, _, ok := findField(m, parts[0])
	if !ok {
		return false
	}
	c := b.root.child[b.root.keyOf(m, f)]
	return c != nil && c.kind != absent
}

// node is a JSON value that fields are put into. It keeps the order of keys.
type node struct {
	kind  nodeKind
	raw   []byte // of a scalar: its JSON
	keys  []string
	child map[string]*node
	list  []*node
}

type nodeKind uint8

const (
	absent nodeKind = iota // not set: left out
	scalar
	object
	array
)

func newObject() *node { return &node{kind: object, child: map[string]*node{}} }

// get returns the value of a key, made when there is none. The node becomes an
// object.
func (n *node) get(key string) *node {
	if n.kind != object {
		*n = *newObject()
	}
	c := n.child[key]
	if c == nil {
		c = &node{}
		n.child[key] = c
		n.keys = append(n.keys, key)
	}
	return c
}

// remove takes a key out of an object.
func (n *node) remove(key string) {
	if n.child[key] == nil {
		return
	}
	delete(n.child, key)
	n.keys = slices.DeleteFunc(n.keys, func(k string) bool { return k == key })
}

// append adds an element to a list. The node becomes a list.
func (n *node) append(e *node) {
	if n.kind != array {
		*n = node{kind: array}
	}
	n.list = append(n.list, e)
}

// set makes the node a scalar.
func (n *node) set(raw []byte) { *n = node{kind: scalar, raw: raw} }

// appendTo appends the JSON of the node.
func (n *node) appendTo(b []byte) []byte {
	switch n.kind {
	case scalar:
		return append(b, n.raw...)
	case array:
		b = append(b, '[')
		for i, e := range n.list {
			if i > 0 {
				b = append(b, ',')
			}
			b = e.appendTo(b)
		}
		return append(b, ']')
	case object:
		b = append(b, '{')
		first := true
		for _, k := range n.keys {
			c := n.child[k]
			if c.kind == absent {
				continue
			}
			if !first {
				b = append(b, ',')
			}
			first = false
			b = append(b, quote(k)...)
			b = append(b, ':')
			b = c.appendTo(b)
		}
		return append(b, '}')
	default:
		return append(b, "null"...)
	}
}

// quote returns s, which must be UTF-8, as a JSON string.
func quote(s string) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string can always be encoded
	return bytes.TrimRight(b.Bytes(), "\n")
}

// maxDepth bounds nesting in a body.
const maxDepth = 1000

// parseTree reads one JSON value, and nothing after it. Its scalars stay as they
// are written.
func parseTree(b []byte) (*node, error) {
	if !utf8.Valid(b) {
		return nil, errors.New("it is no UTF-8 text")
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	n, err := readTree(dec, b, 0)
	if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("there is more after the JSON value, at byte %d", dec.InputOffset())
	}
	return n, nil
}

func readTree(dec *json.Decoder, b []byte, depth int) (*node, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("it is nested more than %d deep", maxDepth)
	}
	before := dec.InputOffset()
	tok, err := dec.Token()
	if err != nil {
		return nil, jsonError(err)
	}
	n := &node{}
	switch v := tok.(type) {
	case json.Delim:
		if v == '{' {
			n = newObject()
		} else {
			*n = node{kind: array}
		}
		for dec.More() {
			if v == '[' {
				e, err := readTree(dec, b, depth+1)
				if err != nil {
					return nil, err
				}
				n.list = append(n.list, e)
				continue
			}
			before := dec.InputOffset()
			key, err := dec.Token()
			if err != nil {
				return nil, jsonError(err)
			}
			k, _ := key.(string) // the decoder takes nothing else for a key
			if halfPair(text(b, before, dec.InputOffset())) {
				return nil, fmt.Errorf("the key %q has half of a surrogate pair", k)
			}
			if n.child[k] != nil {
				return nil, fmt.Errorf("the key %q is there twice", k)
			}
			c, err := readTree(dec, b, depth+1)
			if err != nil {
				return nil, err
			}
			*n.get(k) = *c
		}
		if _, err := dec.Token(); err != nil { // the end of it
			return nil, jsonError(err)
		}
	case string:
		n.set(text(b, before, dec.InputOffset()))
	case json.Number:
		n.set([]byte(v))
	case bool:
		n.set(fmt.Appendf(nil, "%t", v))
	case nil:
		n.set([]byte("null"))
	}
	return n, nil
}

// text returns the JSON string that ends a part of b.
func text(b []byte, start, end int64) []byte {
	part := b[start:end]
	return part[bytes.IndexByte(part, '"'):]
}

// halfPair reports whether a JSON string has an escape that is half of a
// character, which the decoder replaces by another.
func halfPair(text []byte) bool {
	for i := 0; i+1 < len(text); i += 2 {
		for i < len(text) && text[i] != '\\' {
			i++
		}
		if r := escaped(text[min(i, len(text)):]); utf16.IsSurrogate(r) {
			if utf16.DecodeRune(r, escaped(text[i+6:])) == utf8.RuneError {
				return true
			}
			i += 10
		}
	}
	return false
}

// escaped returns the character that text begins with as \uXXXX, -1 when it begins
// otherwise.
func escaped(text []byte) rune {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return -1
	}
	v, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	if err != nil {
		return -1
	}
	return rune(v)
}

func jsonError(err error) error {
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("%w, at byte %d", err, syntax.Offset)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("it ends in the middle")
	default:
		return err
	}
}
