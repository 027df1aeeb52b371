package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

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
	enc := yaml.NewEncoder(w)
	enc.SetIndent(2)
	if err := enc.Encode(n); err != nil {
		return err
	}
	return enc.Close()
}

// tableWriter writes rows in columns, without lines around them.
type tableWriter struct{ w *tabwriter.Writer }

func newTable(w io.Writer) *tableWriter {
	return &tableWriter{tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)}
}

// row writes a row. What a cell has of control characters is not written as such: a
// tab or a line end would break the table, and others the terminal.
func (t *tableWriter) row(cells ...string) {
	clean := make([]string, len(cells))
	for i, c := range cells {
		clean[i] = front.Line(c)
	}
	fmt.Fprintln(t.w, strings.TrimRight(strings.Join(clean, "\t"), "\t"))
}

func (t *tableWriter) flush() error { return t.w.Flush() }
