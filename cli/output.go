package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/micro/micro/v3/cli/front"
)

// format is how a command prints what it got.
type format string

const (
	asTable format = "table"
	asJSON  format = "json"
	asYAML  format = "yaml"
)

// outputFlag adds -o to a command.
func outputFlag(cmd *cobra.Command, f *format) {
	*f = asTable
	cmd.Flags().VarP(f, "output", "o", "how to print: table, json or yaml")
	completeFlag(cmd, "output", cobra.FixedCompletions([]cobra.Completion{"table", "json", "yaml"}, cobra.ShellCompDirectiveNoFileComp))
}

func (f *format) String() string { return string(*f) }

// Type is what help calls the value.
func (f *format) Type() string { return "format" }

// Set takes the value of the flag.
func (f *format) Set(s string) error {
	switch v := format(s); v {
	case asTable, asJSON, asYAML:
		*f = v
		return nil
	default:
		return fmt.Errorf("%q is none of table, json, yaml", s)
	}
}

// print writes a message as JSON or YAML, or the table that table writes.
func (f format) print(w io.Writer, m proto.Message, table func(*tableWriter)) error {
	if f == asTable {
		t := newTable(w)
		table(t)
		return t.flush()
	}
	b, err := stableJSON(m)
	if err != nil {
		return err
	}
	if f == asJSON {
		_, err = w.Write(b)
		return err
	}
	return jsonToYAML(w, b)
}

// element writes a message of a stream: JSON on one line, a YAML document, or what
// table writes.
func (f format) element(w io.Writer, m proto.Message, table func(io.Writer) error) error {
	if f == asTable {
		return table(w)
	}
	b, err := compactJSON(m)
	if err != nil {
		return err
	}
	if f == asJSON {
		_, err = w.Write(append(b, '\n'))
		return err
	}
	if _, err := io.WriteString(w, "---\n"); err != nil {
		return err
	}
	return jsonToYAML(w, b)
}

// stableJSON returns the message's JSON, indented, the same bytes each time.
func stableJSON(m proto.Message) ([]byte, error) {
	b, err := compactJSON(m)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, b, "", "  "); err != nil {
		return nil, err
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// compactJSON returns the message's JSON on one line, the same bytes each time:
// protojson varies its spaces on purpose.
func compactJSON(m proto.Message) ([]byte, error) {
	b, err := protojson.Marshal(m)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = json.Compact(&out, b)
	return out.Bytes(), err
}

// jsonToYAML writes JSON as YAML, its keys in the order in which they come.
func jsonToYAML(w io.Writer, b []byte) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	n, err := yamlNode(dec)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(n); err != nil {
		return err
	}
	if err := enc.Close(); err != nil {
		return err
	}
	_, err = w.Write(out.Bytes())
	return err
}

// yamlNode reads a JSON value. JSON is nearly YAML, but a parser of that refuses
// some characters in strings and long keys.
func yamlNode(dec *json.Decoder) (*yaml.Node, error) {
	tok, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch v := tok.(type) {
	case json.Delim:
		n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		if v == '[' {
			n = &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		}
		for dec.More() { // a key is a value before its own
			c, err := yamlNode(dec)
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, c)
		}
		_, err = dec.Token() // the end of it
		return n, err
	case string:
		n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: v}
		if strings.Contains(v, "\n") && strings.Contains("\n"+v, "\n\t") {
			n.Style = yaml.DoubleQuotedStyle // a block whose line begins with a tab cannot be read again
		}
		return n, nil
	case json.Number:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: v.String()}, nil // as it is written, of any size
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(v)}, nil
	default:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}, nil
	}
}

// tableWriter writes rows in columns, without lines around them. Nothing is written
// before flush.
type tableWriter struct {
	w    io.Writer
	rows [][]string
}

func newTable(w io.Writer) *tableWriter { return &tableWriter{w: w} }

// row adds a row. What a cell has of control characters is not written as such: a
// tab or a line end would break the table, and others the terminal.
func (t *tableWriter) row(cells ...string) {
	clean := make([]string, len(cells))
	for i, c := range cells {
		clean[i] = front.Line(c)
	}
	t.rows = append(t.rows, clean)
}

// flush writes the rows. The cells of a column are as wide as the widest that has
// another behind it in its row.
func (t *tableWriter) flush() error {
	var widths []int
	for _, row := range t.rows {
		for i := range len(row) - 1 {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	var out strings.Builder
	for _, row := range t.rows {
		var line strings.Builder
		for i, c := range row {
			line.WriteString(c)
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", widths[i]+2-utf8.RuneCountInString(c)))
			}
		}
		out.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	_, err := io.WriteString(t.w, out.String())
	return err
}
