package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/dynamic/wire"
)

// tablePrinter writes an answer as a table: the messages of its only list of messages
// as rows, below them what else it says; without such a list a row for each value.
type tablePrinter struct {
	asJSONOf
	w io.Writer
}

func (p *tablePrinter) message(_ context.Context, data []byte) error {
	b, err := p.json(data, wire.EncodeOptions{})
	if err != nil {
		return err
	}
	n, err := parseNode(b)
	if err != nil {
		return err
	}
	if !isPlain(p.m) {
		_, err := fmt.Fprintln(p.w, front.Line(compactNode(n)))
		return err
	}
	t := newTable(p.w)
	if f, ok := listField(p.m); ok {
		return p.list(t, f, data, n)
	}
	return p.values(t, n)
}

// values writes a row for each value.
func (p *tablePrinter) values(t *tableWriter, n node) error {
	leaves := flatten(nil, p.m, n, "", true)
	if len(leaves) == 0 {
		return nil
	}
	t.row("NAME", "VALUE")
	for _, l := range leaves {
		t.row(l.path, l.text)
	}
	return t.flush()
}

// list writes a row for each message of a field, and the other values below.
func (p *tablePrinter) list(t *tableWriter, f wire.Field, data []byte, n node) error {
	b, err := p.json(data, wire.EncodeOptions{EmitDefaultValues: true})
	if err != nil {
		return err
	}
	full, err := parseNode(b)
	if err != nil {
		return err
	}
	element, _ := f.Message()
	var rows [][]leaf
	for i, key := range full.keys {
		if key != f.JSONName() {
			continue
		}
		for _, item := range full.items[i].items {
			rows = append(rows, flatten(nil, element, item, "", false))
		}
	}
	rest := node{kind: '{'}
	for i, key := range n.keys {
		if key != f.JSONName() {
			rest.keys, rest.items = append(rest.keys, key), append(rest.items, n.items[i])
		}
	}
	if len(rows) == 0 && len(rest.keys) > 0 {
		return p.values(t, rest)
	}
	columns := columnsOf(element, rows)
	if len(columns) > 0 {
		t.row(headings(columns)...)
	}
	for _, r := range rows {
		t.row(cells(columns, r)...)
	}
	if err := t.flush(); err != nil || len(rest.keys) == 0 {
		return err
	}
	fmt.Fprintln(p.w)
	return p.values(newTable(p.w), rest)
}

func (*tablePrinter) end() error { return nil }

// listField returns the only field of a message that is a list of messages.
func listField(m wire.Message) (field wire.Field, ok bool) {
	for f := range m.Fields() {
		if !isMessages(f) {
			continue
		}
		if ok {
			return field, false // which one would the rows be?
		}
		field, ok = f, true
	}
	return field, ok
}

// columnsOf returns the paths that some row has a value for, in the order of the
// schema; of rows that have none, the fields that are no messages.
func columnsOf(m wire.Message, rows [][]leaf) []string {
	var columns []string
	some := map[string]bool{}
	for _, r := range rows {
		at := 0
		for _, l := range r {
			i := slices.Index(columns, l.path)
			if i < 0 {
				i = at
				columns = slices.Insert(columns, at, l.path)
			}
			at = i + 1
			some[l.path] = some[l.path] || !l.zero
		}
	}
	columns = slices.DeleteFunc(columns, func(c string) bool { return !some[c] })
	if len(columns) > 0 {
		return columns
	}
	for f := range m.Fields() {
		if _, isMessage := f.Message(); !isMessage {
			columns = append(columns, f.Name())
		}
	}
	return columns
}

func headings(columns []string) []string {
	var out []string
	for _, c := range columns {
		out = append(out, strings.ToUpper(c))
	}
	return out
}

// cells returns the values of a row in the order of the columns.
func cells(columns []string, row []leaf) []string {
	out := make([]string, len(columns))
	for _, l := range row {
		if i := slices.Index(columns, l.path); i >= 0 {
			out[i] = l.text
		}
	}
	return out
}

// rowPrinter writes the messages of a stream as rows, each when it comes. The first
// says which columns there are; what a later one has besides stands behind them, by
// name. Columns grow when they have to.
type rowPrinter struct {
	asJSONOf
	w       io.Writer
	columns []string
	widths  []int
}

// fewColumns is how many columns are shown though they may be empty.
const fewColumns = 8

func (p *rowPrinter) message(_ context.Context, data []byte) error {
	b, err := p.json(data, wire.EncodeOptions{EmitDefaultValues: true})
	if err != nil {
		return err
	}
	n, err := parseNode(b)
	if err != nil {
		return err
	}
	if !isPlain(p.m) {
		_, err := fmt.Fprintln(p.w, front.Line(compactNode(n)))
		return err
	}
	row := flatten(nil, p.m, n, "", false)
	if p.columns == nil {
		if err := p.begin(row); err != nil {
			return err
		}
	}
	out := cells(p.columns, row)
	for _, l := range row {
		if !l.zero && !slices.Contains(p.columns, l.path) {
			out = append(out, l.path+"="+l.text)
		}
	}
	return p.write(out)
}

// begin chooses the columns and writes their names.
func (p *rowPrinter) begin(first []leaf) error {
	p.columns = []string{}
	for _, l := range first {
		if !l.zero || len(first) <= fewColumns {
			p.columns = append(p.columns, l.path)
		}
	}
	names := headings(p.columns)
	for i, c := range cells(p.columns, first) {
		p.widths = append(p.widths, max(utf8.RuneCountInString(front.Line(c)), utf8.RuneCountInString(names[i])))
	}
	if len(names) == 0 {
		return nil
	}
	return p.write(names)
}

func (p *rowPrinter) write(cells []string) error {
	var b strings.Builder
	for i, c := range cells {
		c = front.Line(c)
		b.WriteString(c)
		if i == len(cells)-1 {
			break
		}
		n := utf8.RuneCountInString(c)
		if i < len(p.widths) {
			p.widths[i] = max(p.widths[i], n)
			n = p.widths[i] - n
		} else {
			n = 0
		}
		b.WriteString(strings.Repeat(" ", n+2))
	}
	_, err := io.WriteString(p.w, strings.TrimRight(b.String(), " ")+"\n")
	return err
}

func (*rowPrinter) end() error { return nil }

// textPrinter writes the values of an answer alone, a line each: what scripts want of
// an answer with one field.
type textPrinter struct {
	asJSONOf
	w    io.Writer
	safe bool // the terminal is not to take any of it for orders
}

func (p *textPrinter) message(_ context.Context, data []byte) error {
	b, err := p.json(data, wire.EncodeOptions{EmitDefaultValues: p.single()})
	if err != nil {
		return err
	}
	n, err := parseNode(b)
	if err != nil {
		return err
	}
	var out strings.Builder
	p.texts(&out, n)
	text := out.String()
	if p.safe {
		text = front.Lines(text)
	}
	_, err = io.WriteString(p.w, text)
	return err
}

// single reports whether the message has one field, whose value is there always.
func (p *textPrinter) single() bool {
	n := 0
	for range p.m.Fields() {
		n++
	}
	return n == 1
}

// texts writes the scalars in JSON.
func (p *textPrinter) texts(w io.Writer, n node) {
	if n.kind == 0 {
		fmt.Fprintln(w, n.text)
	}
	for _, item := range n.items {
		p.texts(w, item)
	}
}

func (*textPrinter) end() error { return nil }
