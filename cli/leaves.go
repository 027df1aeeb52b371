package cli

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/micro/micro/v3/dynamic/wire"
)

// What people read of a message are its leaves: the values in it that are no messages,
// each with the path to it.

// leaf is a value in a message.
type leaf struct {
	path string // name.of.field
	text string // as people read it
	zero bool   // it is what an absent value is
}

// node is JSON, the members of objects in their order.
type node struct {
	kind  json.Delim // '{', '[', or 0 for a scalar
	text  string     // of a scalar; of a string without quotes
	isStr bool
	keys  []string
	items []node
	raw   []byte // as it stands
}

// parseNode reads JSON that was made here.
func parseNode(b []byte) (node, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	n, err := readNode(dec, b)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func readNode(dec *json.Decoder, all []byte) (node, error) {
	t, err := dec.Token()
	if err != nil {
		return node{}, err
	}
	end := dec.InputOffset()
	switch v := t.(type) {
	case json.Delim:
		n := node{kind: v}
		for dec.More() {
			if v == '{' {
				key, err := dec.Token()
				if err != nil {
					return node{}, err
				}
				name, _ := key.(string)
				n.keys = append(n.keys, name)
			}
			item, err := readNode(dec, all)
			if err != nil {
				return node{}, err
			}
			n.items = append(n.items, item)
		}
		_, err := dec.Token()
		n.raw = all[end-1 : dec.InputOffset()]
		return n, err
	case string:
		return node{text: v, isStr: true}, nil
	case nil:
		return node{text: "null"}, nil
	default:
		return node{text: fmt.Sprint(v)}, nil
	}
}

// isMessages reports whether a field is a list of messages that JSON has as objects.
func isMessages(f wire.Field) bool {
	m, ok := f.Message()
	return ok && f.IsList() && isPlain(m)
}

// isPlain reports whether a message is the object of its fields in JSON.
func isPlain(m wire.Message) bool { return m.WellKnown() == 0 || m.WellKnown() == wire.Empty }

// flatten returns the leaves of a message. Lists of messages are taken apart when deep
// is set, by the positions of their elements, else they are a leaf.
func flatten(out []leaf, m wire.Message, n node, prefix string, deep bool) []leaf {
	for i, key := range n.keys {
		f, ok := m.Field(key)
		if !ok {
			continue // "@type", which the message in an Any has
		}
		out = flattenField(out, f, n.items[i], prefix+f.Name(), deep)
	}
	return out
}

func flattenField(out []leaf, f wire.Field, v node, path string, deep bool) []leaf {
	switch inner, isMessage := f.Message(); {
	case f.IsMap():
		return flattenMap(out, f.Value(), v, path, deep)
	case isMessages(f) && deep:
		for i, item := range v.items {
			out = flatten(out, inner, item, path+"."+strconv.Itoa(i)+".", deep)
		}
		return out
	case f.IsList():
		if isMessages(f) {
			return append(out, leaf{path, compactNode(v), len(v.items) == 0})
		}
		var texts []string
		for _, item := range v.items {
			texts = append(texts, readable(f, item))
		}
		return append(out, leaf{path, strings.Join(texts, ","), len(texts) == 0})
	case isMessage && isPlain(inner) && v.kind == '{' && len(v.keys) > 0:
		return flatten(out, inner, v, path+".", deep)
	default:
		return append(out, leaf{path, readable(f, v), isZero(f, v)})
	}
}

// flattenMap returns the entries of a map: a leaf each, or all in one.
func flattenMap(out []leaf, value wire.Field, v node, path string, deep bool) []leaf {
	if deep {
		for i, key := range v.keys {
			out = flattenField(out, value, v.items[i], path+"."+key, deep)
		}
		return out
	}
	var texts []string
	for i, key := range v.keys {
		texts = append(texts, key+"="+readable(value, v.items[i]))
	}
	return append(out, leaf{path, strings.Join(texts, ","), len(texts) == 0})
}

// isZero reports whether a value is that of an absent field, as far as JSON shows.
func isZero(f wire.Field, v node) bool {
	if v.kind != 0 {
		return len(v.items) == 0
	}
	if e, ok := f.Enum(); ok {
		zero, named := e.ValueByNumber(0)
		return named && v.text == zero.Name()
	}
	return v.text == "" || v.text == "0" || v.text == "false" && !v.isStr || v.text == "null" && !v.isStr
}

// readable returns a value of a field as people read it.
func readable(f wire.Field, v node) string {
	m, isMessage := f.Message()
	switch {
	case v.kind != 0:
		return compactNode(v)
	case f.Kind() == wire.BytesKind && v.isStr:
		return readableBytes(v.text)
	case isMessage && m.WellKnown() == wire.Timestamp:
		return readableTime(v.text)
	case isMessage && m.WellKnown() == wire.Duration:
		return readableDuration(v.text)
	case isMessage && m.WellKnown() == wire.Wrapper:
		for value := range m.Fields() {
			return readable(value, v)
		}
	}
	return v.text
}

func compactNode(v node) string {
	if v.kind == 0 {
		return v.text
	}
	return string(v.raw)
}

// shownBytes is how many bytes of a value people are shown.
const shownBytes = 16

func readableBytes(text string) string {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return text
	}
	if len(b) <= shownBytes {
		return hex.EncodeToString(b)
	}
	return fmt.Sprintf("%x… (%d bytes)", b[:shownBytes], len(b))
}

// readableTime returns a time as it is here: 2026-01-02 15:04:05.
func readableTime(text string) string {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return text
	}
	return t.Local().Format("2006-01-02 15:04:05.999999999")
}

// readableDuration returns a duration without units that are nothing: 1h30m.
func readableDuration(text string) string {
	d, err := time.ParseDuration(text)
	if err != nil {
		return text // longer than the 292 years that Go has
	}
	s := d.String()
	for _, nothing := range []struct{ suffix, keep string }{{"m0s", "m"}, {"h0m", "h"}} {
		if rest, ok := strings.CutSuffix(s, nothing.suffix); ok {
			s = rest + nothing.keep
		}
	}
	return s
}
