package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"math/big"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/micro/micro/v3/cli/front"
)

// readYAML yields the documents of YAML as JSON, as they come.
func readYAML(r io.Reader) iter.Seq2[front.Message, error] {
	return func(yield func(front.Message, error) bool) {
		dec := yaml.NewDecoder(r)
		for {
			var n yaml.Node
			err := dec.Decode(&n)
			if errors.Is(err, io.EOF) {
				return
			}
			var text []byte
			if err == nil {
				text, err = yamlToJSON(&n)
			}
			if err != nil {
				yield(front.Message{}, fmt.Errorf("is not YAML: %s", strings.TrimPrefix(err.Error(), "yaml: ")))
				return
			}
			if !yield(front.Message{JSON: text}, nil) {
				return
			}
		}
	}
}

// yamlToJSON returns a YAML document as JSON with the keys in their order. Numbers
// stay as exact as they are written; what JSON has no number for becomes the text
// that protobuf's JSON has for it.
func yamlToJSON(n *yaml.Node) ([]byte, error) {
	var w yamlWriter
	if err := w.value(n, 0); err != nil {
		return nil, err
	}
	return w.out.Bytes(), nil
}

// maxYAMLDepth bounds nesting, which an alias of what it stands in has no end of.
const maxYAMLDepth = 1000

// maxYAML bounds the JSON that a document becomes.
const maxYAML = 64 << 20

// yamlWriter writes YAML as JSON. What it writes is bounded: aliases can ask for any
// size.
type yamlWriter struct{ out bytes.Buffer }

func (w *yamlWriter) value(n *yaml.Node, depth int) error {
	if depth > maxYAMLDepth {
		return fmt.Errorf("line %d: it is nested more than %d deep", n.Line, maxYAMLDepth)
	}
	if w.out.Len() > maxYAML {
		return fmt.Errorf("line %d: it has more than %d bytes", n.Line, maxYAML)
	}
	switch n.Kind {
	case yaml.DocumentNode:
		if first := n.Content[0]; first.Kind == yaml.ScalarNode && first.Tag == "!!null" && first.Value == "" {
			w.out.WriteString("{}") // nothing but comments
			return nil
		}
		return w.value(n.Content[0], depth)
	case yaml.AliasNode:
		return w.value(n.Alias, depth+1)
	case yaml.MappingNode:
		return w.mapping(n, depth)
	case yaml.SequenceNode:
		w.out.WriteByte('[')
		for i, e := range n.Content {
			if i > 0 {
				w.out.WriteByte(',')
			}
			if err := w.value(e, depth+1); err != nil {
				return err
			}
		}
		w.out.WriteByte(']')
		return nil
	case yaml.ScalarNode:
		return w.scalar(n)
	default: // nothing at all
		w.out.WriteString("{}")
		return nil
	}
}

func (w *yamlWriter) mapping(n *yaml.Node, depth int) error {
	pairs, err := yamlPairs(n, depth)
	if err != nil {
		return err
	}
	w.out.WriteByte('{')
	for i, p := range pairs {
		if i > 0 {
			w.out.WriteByte(',')
		}
		w.text(p.key)
		w.out.WriteByte(':')
		if err := w.value(p.value, depth+1); err != nil {
			return err
		}
	}
	w.out.WriteByte('}')
	return nil
}

type yamlPair struct {
	key    string
	value  *yaml.Node
	merged bool // from another mapping, by <<
}

// yamlPairs returns the entries of a mapping, those among them that it has from
// others by the key <<.
func yamlPairs(n *yaml.Node, depth int) ([]yamlPair, error) {
	if depth > maxYAMLDepth {
		return nil, fmt.Errorf("line %d: it is nested more than %d deep", n.Line, maxYAMLDepth)
	}
	var pairs []yamlPair
	at := map[string]int{}
	add := func(p yamlPair, line int) error {
		i, has := at[p.key]
		switch {
		case !has:
			at[p.key] = len(pairs)
			pairs = append(pairs, p)
		case p.merged: // what is there counts more
		case pairs[i].merged:
			pairs[i] = p
		default:
			return fmt.Errorf("line %d: the key %q is there twice", line, p.key)
		}
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.ShortTag() == "!!merge" {
			merged, err := yamlMerged(v, depth)
			if err != nil {
				return nil, err
			}
			for _, p := range merged {
				p.merged = true
				if err := add(p, k.Line); err != nil {
					return nil, err
				}
			}
			continue
		}
		for k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		if k.Kind != yaml.ScalarNode {
			return nil, fmt.Errorf("line %d: a key is text, and not a list or a mapping", k.Line)
		}
		if err := add(yamlPair{key: yamlKey(k), value: v}, k.Line); err != nil {
			return nil, err
		}
	}
	return pairs, nil
}

// yamlMerged returns the entries of the mapping, or the mappings, that << names.
func yamlMerged(n *yaml.Node, depth int) ([]yamlPair, error) {
	switch n.Kind {
	case yaml.AliasNode:
		return yamlMerged(n.Alias, depth+1)
	case yaml.MappingNode:
		return yamlPairs(n, depth+1)
	case yaml.SequenceNode:
		var all []yamlPair
		for _, e := range n.Content {
			pairs, err := yamlMerged(e, depth+1)
			if err != nil {
				return nil, err
			}
			if all = append(all, pairs...); len(all) > maxYAML/16 {
				return nil, fmt.Errorf("line %d: it has too many entries", n.Line)
			}
		}
		return all, nil
	default:
		return nil, fmt.Errorf("line %d: << takes a mapping", n.Line)
	}
}

// yamlKey returns a key as JSON has it: that of a map of numbers is the number.
func yamlKey(k *yaml.Node) string {
	switch k.ShortTag() {
	case "!!int":
		if i, ok := yamlInt(k.Value); ok {
			return i
		}
	case "!!bool":
		return strings.ToLower(k.Value)
	}
	return k.Value
}

func (w *yamlWriter) scalar(n *yaml.Node) error {
	switch n.ShortTag() {
	case "!!null":
		w.out.WriteString("null")
		return nil
	case "!!bool":
		w.out.WriteString(strings.ToLower(n.Value))
		return nil
	case "!!int":
		if i, ok := yamlInt(n.Value); ok {
			w.out.WriteString(i)
			return nil
		}
	case "!!float":
		return w.float(n)
	case "!!binary":
		w.text(strings.Join(strings.Fields(n.Value), ""))
		return nil
	}
	w.text(n.Value)
	return nil
}

// yamlInt returns a whole number in decimal.
func yamlInt(s string) (string, bool) {
	i, ok := new(big.Int).SetString(strings.TrimPrefix(strings.ReplaceAll(s, "_", ""), "+"), 0)
	if !ok {
		return "", false
	}
	return i.String(), true
}

func (w *yamlWriter) float(n *yaml.Node) error {
	switch strings.ToLower(strings.TrimLeft(n.Value, "+-")) {
	case ".nan":
		w.out.WriteString(`"NaN"`)
		return nil
	case ".inf":
		if strings.HasPrefix(n.Value, "-") {
			w.out.WriteString(`"-Infinity"`)
			return nil
		}
		w.out.WriteString(`"Infinity"`)
		return nil
	}
	if json.Valid([]byte(n.Value)) {
		w.out.WriteString(n.Value)
		return nil
	}
	f, err := strconv.ParseFloat(strings.ReplaceAll(n.Value, "_", ""), 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		return fmt.Errorf("line %d: %q is no number", n.Line, n.Value)
	}
	w.out.Write(strconv.AppendFloat(nil, f, 'g', -1, 64))
	return nil
}

// text writes a JSON string.
func (w *yamlWriter) text(s string) {
	enc := json.NewEncoder(&w.out)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s)               // a string can always be encoded
	w.out.Truncate(w.out.Len() - 1) // the end of the line
}
