package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"
)

// Hidden is the string that stands for a secret which is not shown.
const Hidden = "[secret]"

// marker is the only member of an object that stands for a secret.
const marker = "$secret"

// leaf is a value that is no object, or an empty one.
type leaf struct {
	Value    json.RawMessage `json:"value,omitempty"`
	Sealed   []byte          `json:"sealed,omitempty"` // in the place of Value
	Revision int64           `json:"revision"`         // that set it
}

func (l leaf) secret() bool { return l.Sealed != nil }

// leaves are those of a tree, by their paths: no path of them is below another one.
type leaves map[string]leaf

// paths returns the paths of the leaves at and below a path, in order.
func (ls leaves) paths(prefix string) []string {
	if ls.has(prefix) {
		return []string{prefix}
	}
	var paths []string
	for at := range ls {
		if within(at, prefix) {
			paths = append(paths, at)
		}
	}
	slices.Sort(paths)
	return paths
}

func (ls leaves) has(at string) bool {
	_, ok := ls[at]
	return ok
}

// above returns the leaf that something at a path would be below of; empty when there
// is none.
func (ls leaves) above(at string) string {
	for above := range ancestors(at) {
		if ls.has(above) {
			return above
		}
	}
	return ""
}

// size returns what leaves count for [MaxTotal].
func (ls leaves) size() int {
	n := 0
	for at, l := range ls {
		n += len(at) + len(l.Value) + len(l.Sealed) + valueCost
	}
	return n
}

// place is what the secret at a path is sealed for.
func place(ns, at string) string { return nowKey(ns) + "/" + at }

func (c *Config) open(ns, at string, l leaf) ([]byte, error) {
	plain, err := c.box.Open(place(ns, at), l.Sealed)
	if err != nil {
		return nil, fmt.Errorf("the secret %q of namespace %q: %w", at, ns, err)
	}
	return plain, nil
}

// shown returns a leaf as JSON.
func (c *Config) shown(ns, at string, l leaf, show Show) ([]byte, error) {
	switch {
	case !l.secret():
		return l.Value, nil
	case show == Hide:
		return []byte(`"` + Hidden + `"`), nil
	}
	plain, err := c.open(ns, at, l)
	if err == nil && show == Mark {
		plain = slices.Concat([]byte(`{"`+marker+`":`), plain, []byte("}"))
	}
	return plain, err
}

// value returns what is at a path; its JSON is nil when there is nothing.
func (c *Config) value(ns string, all leaves, p path, show Show) (Value, error) {
	var v Value
	var root node
	for _, at := range all.paths(p.String()) {
		l := all[at]
		b, err := c.shown(ns, at, l, show)
		if err != nil {
			return Value{}, err
		}
		full, err := parsePath(at)
		if err != nil {
			return Value{}, fmt.Errorf("a stored path: %w", err)
		}
		root.put(full[len(p):], b)
		if l.secret() {
			v.Secrets = append(v.Secrets, at)
		}
	}
	var b bytes.Buffer
	root.write(&b)
	v.JSON = b.Bytes()
	return v, nil
}

// node is a part of a tree that is put together.
type node struct {
	value   []byte // of a leaf
	members map[string]*node
}

func (n *node) put(p path, value []byte) {
	for _, name := range p {
		if n.members == nil {
			n.members = map[string]*node{}
		}
		if n.members[name] == nil {
			n.members[name] = &node{}
		}
		n = n.members[name]
	}
	n.value = value
}

// write writes a node as JSON, members in the order of their names, and nothing for an
// empty one.
func (n *node) write(b *bytes.Buffer) {
	if n.members == nil {
		b.Write(n.value)
		return
	}
	b.WriteByte('{')
	for i, name := range slices.Sorted(maps.Keys(n.members)) {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(encode(name))
		b.WriteByte(':')
		n.members[name].write(b)
	}
	b.WriteByte('}')
}

// input is a leaf as it is asked for.
type input struct {
	value  json.RawMessage
	secret bool
}

// flatten returns the leaves of a value that is to be set at p, by their paths.
func flatten(p path, value []byte, secret bool) (map[string]input, error) {
	if !utf8.Valid(value) {
		return nil, invalid("the value is no UTF-8")
	}
	// What is larger cannot be taken in any form: parsing it would be work for nothing.
	if len(value) > 2*MaxTotal {
		return nil, invalid("a value of %d bytes, and %d are allowed in all", len(value), MaxTotal)
	}
	var b bytes.Buffer
	if err := json.Compact(&b, value); err != nil {
		return nil, invalid("the value is no JSON: %v", err)
	}
	in := map[string]input{}
	return in, flattenInto(in, p, b.Bytes(), secret)
}

func flattenInto(in map[string]input, p path, value json.RawMessage, secret bool) error {
	if err := p.check(); err != nil {
		return err
	}
	if value[0] == '{' {
		var members map[string]json.RawMessage
		if err := json.Unmarshal(value, &members); err != nil {
			return invalid("the value is no JSON: %v", err)
		}
		if inner, ok := members[marker]; ok && len(members) == 1 {
			return flattenInto(in, p, inner, true)
		}
		for name, member := range members {
			if err := flattenInto(in, p.below(name), member, secret); err != nil {
				return err
			}
		}
		if len(members) > 0 || len(p) == 0 {
			return nil
		}
	}
	if len(p) == 0 {
		return invalid("the whole configuration is an object, and nothing else can be set in its place")
	}
	if len(value) > MaxValue {
		return invalid("the value %q has %d bytes, and %d are allowed", p.String(), len(value), MaxValue)
	}
	if len(in) == MaxTotal/valueCost {
		return invalid("more values than %d at once", len(in))
	}
	in[p.String()] = input{value: value, secret: secret}
	return nil
}

// encode returns JSON without the escapes that are for HTML.
func encode(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(fmt.Sprintf("config: what JSON cannot hold: %v", err))
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
