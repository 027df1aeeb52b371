package request

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/micro/micro/v3/dynamic/wire"
)

// RowKind is what can be done with a row of a form.
type RowKind uint8

// The kinds of rows.
const (
	ValueRow   RowKind = iota // a value that is typed, as for a flag
	SwitchRow                 // a boolean
	EnumRow                   // one of the values of an enum
	JSONRow                   // a message that is typed as JSON: of any fields, or of a list
	MessageRow                // a message with rows of its own
	ListRow                   // its elements are rows
	MapRow                    // its entries are
	OneofRow                  // which of its fields is set
	UnknownRow                // a key of the JSON that is no field
	MoreRow                   // more elements than there are rows for; Size is how many
)

// Row is a line of a form.
type Row struct {
	Kind  RowKind
	Label string // the name of the field, the number of an element, the key of an entry
	Depth int    // below how many others it is
	// Flag is the name that leads to it, with dots, as flags have it.
	Flag string
	// Type is what people call the type of the value.
	Type string
	// Field is the field that it is, or whose element or value of an entry it is; the
	// zero one for a oneof, the request itself and what is no field. Entry says that it is
	// an element or an entry, which has a value as long as it is there.
	Field wire.Field
	Entry bool
	Oneof wire.Oneof // of a oneof and of its fields
	// IsSet: it is in the JSON, or has fields that are. Value is what it has there, as
	// Set takes it.
	IsSet bool
	Value string
	// Size is how many elements, entries or fields that are set it has, or how many bytes.
	Size int
	// Open: what is below it follows.
	Open bool

	path     []string // names as Set takes them
	at       []string // keys and numbers in the JSON
	isMember bool     // of Oneof, which has to be asked of before it is set
}

const (
	// maxRows bounds the rows of a form, and maxElements those of a list or a map.
	// All are in the JSON.
	maxRows     = 5000
	maxElements = 200
)

// ID tells rows apart.
func (r Row) ID() string {
	switch r.Kind {
	case OneofRow:
		return rowID(append(slices.Clone(r.path), "", r.Oneof.Name()))
	case MoreRow:
		return rowID(append(slices.Clone(r.path), "", ""))
	default:
		return rowID(r.path)
	}
}

// hasValue reports whether the row can be given a value.
func (r Row) hasValue() bool { return r.Kind != OneofRow && r.Kind != UnknownRow && r.Kind != MoreRow }

func rowID(path []string) string { return strings.Join(path, "\x00") }

// Rows returns the rows, those of a message in the order in which it declares its
// fields.
func (f *Form) Rows() []Row {
	w := rowMaker{form: f}
	if zeroMessage(f.m) != "{}" || f.m.WellKnown() == wire.Struct || f.m.WellKnown() == wire.Any {
		w.add(Row{Kind: kindOfMessage(f.m), Label: "request", Type: ShortName(f.m.Name()), IsSet: true, Value: messageText(f.root, f.m)})
		return w.rows
	}
	w.message(f.m, f.root, Row{Depth: -1})
	return w.rows
}

// RowOf returns the place of the row that a name leads to, with dots as [Row.Flag] has
// it, or else of the nearest one above it; -1 when there is none.
func RowOf(rows []Row, flag string) int {
	found := -1
	for i, r := range rows {
		rest, ok := strings.CutPrefix(flag, r.Flag)
		if r.Flag == "" || !ok || rest != "" && rest[0] != '.' {
			continue
		}
		if found < 0 || len(r.Flag) > len(rows[found].Flag) {
			found = i
		}
	}
	return found
}

// rowMaker makes the rows of a form.
type rowMaker struct {
	form *Form
	rows []Row
}

func (w *rowMaker) add(r Row) {
	if len(w.rows) < maxRows {
		w.rows = append(w.rows, r)
	}
}

func (w *rowMaker) full() bool { return len(w.rows) >= maxRows }

// below returns the row of what a row has below it.
func below(parent Row, label, path, at string) Row {
	r := Row{Label: label, Depth: parent.Depth + 1, Flag: quoted(label)}
	if parent.Flag != "" {
		r.Flag = parent.Flag + "." + r.Flag
	}
	r.path = append(slices.Clone(parent.path), path)
	r.at = append(slices.Clone(parent.at), at)
	return r
}

// message adds the rows of the fields of a message; n is its JSON, nil when it has none.
func (w *rowMaker) message(m wire.Message, n *node, parent Row) {
	if n == nil || n.kind != object {
		n = newObject()
	}
	for f := range m.Fields() {
		if w.full() {
			return
		}
		o, in := f.Oneof()
		if !in {
			w.field(f, n, below(parent, f.Name(), f.JSONName(), n.keyOf(m, f)))
			continue
		}
		if first := firstMember(o); first == f {
			w.oneof(m, o, n, parent)
		}
	}
	if !m.Supported() {
		return // what its JSON may have the table does not tell
	}
	for _, key := range n.keys {
		f, ok := m.Field(key)
		switch {
		case !ok:
			r := below(parent, key, key, key)
			r.Kind, r.IsSet, r.Value = UnknownRow, true, jsonText(n.child[key])
			w.add(r)
		case f.IsExtension():
			w.field(f, n, below(parent, f.JSONName(), f.JSONName(), key))
		}
	}
}

func firstMember(o wire.Oneof) wire.Field {
	for f := range o.Fields() {
		return f
	}
	return wire.Field{}
}

// oneof adds the row of a oneof and of the members that are set: more than one are an
// error that is to be seen.
func (w *rowMaker) oneof(m wire.Message, o wire.Oneof, n *node, parent Row) {
	r := Row{Kind: OneofRow, Label: o.Name(), Type: "one of", Depth: parent.Depth + 1, Oneof: o, path: parent.path, at: parent.at}
	var set []wire.Field
	for f := range o.Fields() {
		if n.isSet(m, f) {
			set = append(set, f)
		}
	}
	if len(set) > 0 {
		r.IsSet, r.Value = true, set[0].Name()
	}
	w.add(r)
	for _, f := range set {
		member := below(parent, f.Name(), f.JSONName(), n.keyOf(m, f))
		member.Depth++
		member.Oneof, member.isMember = o, true
		w.field(f, n, member)
	}
}

// field adds the rows of a field of an object.
func (w *rowMaker) field(f wire.Field, n *node, r Row) {
	r.Field, r.Type = f, TypeName(f)
	c := n.child[r.at[len(r.at)-1]]
	if c != nil && (c.kind == absent || string(c.raw) == "null" && !takesNull(f)) {
		c = nil
	}
	switch {
	case f.IsMap():
		w.entries(f, c, r)
	case f.IsList():
		w.elements(c, r)
	default:
		w.one(c, r)
	}
}

// elements adds the rows of a list.
func (w *rowMaker) elements(n *node, r Row) {
	r.Kind = ListRow
	if n != nil {
		r.IsSet, r.Size = true, len(n.list)
		if n.kind != array {
			r.Value = jsonText(n) // which is wrong, and has to be seen
		}
	}
	r.Open = w.isOpen(r)
	w.add(r)
	if !r.Open || n == nil {
		return
	}
	for i, e := range n.list[:min(len(n.list), maxElements)] {
		at := strconv.Itoa(i)
		one := below(r, at, at, at)
		one.Field, one.Type, one.Entry = r.Field, elementName(r.Field), true
		w.one(e, one)
	}
	w.more(r)
}

// entries adds the rows of a map.
func (w *rowMaker) entries(f wire.Field, n *node, r Row) {
	r.Kind = MapRow
	if n != nil {
		r.IsSet, r.Size = true, len(n.keys)
		if n.kind != object {
			r.Value = jsonText(n)
		}
	}
	r.Open = w.isOpen(r)
	w.add(r)
	if !r.Open || n == nil {
		return
	}
	for _, key := range n.keys[:min(len(n.keys), maxElements)] {
		one := below(r, key, key, key)
		one.Field, one.Type, one.Entry = f.Value(), elementName(f.Value()), true
		w.one(n.child[key], one)
	}
	w.more(r)
}

func (w *rowMaker) more(of Row) {
	if of.Size > maxElements {
		w.add(Row{Kind: MoreRow, Label: "…", Depth: of.Depth + 1, Size: of.Size - maxElements, path: of.path, at: of.at})
	}
}

// one adds the row of a single value, and those below it.
func (w *rowMaker) one(n *node, r Row) {
	r.Kind = kindOf(r.Field, r.Entry)
	if n != nil {
		r.IsSet = true
		r.Value = valueText(n, r.Field)
		if r.Size = len(n.raw); n.kind == object {
			r.Size = len(n.keys)
		}
	}
	if r.Kind != MessageRow {
		w.add(r)
		return
	}
	r.Open = w.isOpen(r)
	w.add(r)
	if m, ok := r.Field.Message(); ok && r.Open {
		w.message(m, n, r)
	}
}

// isOpen reports whether what is below a row is shown: what is set, unless somebody said
// otherwise.
func (w *rowMaker) isOpen(r Row) bool {
	if open, said := w.form.open[rowID(r.path)]; said {
		return open
	}
	return r.IsSet
}

// kindOf returns the kind of the row of a field, or of an entry of it.
func kindOf(f wire.Field, entry bool) RowKind {
	switch {
	case f.IsMap():
		return MapRow
	case f.IsList() && !entry:
		return ListRow
	}
	if m, ok := f.Message(); ok {
		return kindOfMessage(m)
	}
	switch f.Kind() {
	case wire.BoolKind:
		return SwitchRow
	case wire.EnumKind:
		return EnumRow
	default:
		return ValueRow
	}
}

func kindOfMessage(m wire.Message) RowKind {
	switch m.WellKnown() {
	case wire.Timestamp, wire.Duration, wire.FieldMask:
		return ValueRow
	case wire.Wrapper:
		inner, _ := m.FieldByNumber(1)
		return kindOf(inner, false)
	case wire.Any, wire.Struct, wire.Value, wire.ListValue:
		return JSONRow
	default:
		return MessageRow
	}
}

// zero is what a field has when it is not set, as Set takes it.
func zero(f wire.Field) string {
	if m, ok := f.Message(); ok {
		return zeroMessage(m)
	}
	return zeroScalar(f)
}

func zeroScalar(f wire.Field) string {
	if text, ok := f.Default(); ok && f.Kind() != wire.BytesKind {
		return text
	}
	if e, ok := f.Enum(); ok {
		if isNullValue(e) {
			return "null"
		}
		for v := range e.Values() {
			return v.Name()
		}
		return "0"
	}
	switch f.Kind() {
	case wire.StringKind, wire.BytesKind:
		return ""
	case wire.BoolKind:
		return "false"
	default:
		return "0"
	}
}

func zeroMessage(m wire.Message) string {
	switch m.WellKnown() {
	case wire.Timestamp:
		return "1970-01-01T00:00:00Z"
	case wire.Duration:
		return "0s"
	case wire.FieldMask:
		return ""
	case wire.Wrapper:
		inner, _ := m.FieldByNumber(1)
		return zeroScalar(inner)
	case wire.ListValue:
		return "[]"
	case wire.Value:
		return "null"
	default:
		return "{}"
	}
}

// valueText returns JSON as the text that Set makes it of.
func valueText(n *node, f wire.Field) string {
	if m, ok := f.Message(); ok {
		return messageText(n, m)
	}
	text, isString := stringOf(n)
	switch {
	case !isString:
		return jsonText(n)
	case f.Kind() == wire.BytesKind:
		return bytesText(text)
	default:
		return text
	}
}

func messageText(n *node, m wire.Message) string {
	switch m.WellKnown() {
	case wire.Timestamp, wire.Duration, wire.FieldMask:
		if text, ok := stringOf(n); ok {
			return text
		}
	case wire.Wrapper:
		inner, _ := m.FieldByNumber(1)
		return valueText(n, inner)
	case wire.Any, wire.Struct, wire.Value, wire.ListValue:
		return jsonText(n)
	default:
		if n.kind == object {
			return ""
		}
	}
	return jsonText(n)
}

// stringOf returns the text of a JSON string.
func stringOf(n *node) (string, bool) {
	if n.kind != scalar || len(n.raw) == 0 || n.raw[0] != '"' {
		return "", false
	}
	var s string
	err := json.Unmarshal(n.raw, &s)
	return s, err == nil
}

func jsonText(n *node) string { return string(n.appendTo(nil)) }

// bytesText returns base64 as the bytes when these are text, which Set does not take
// for anything else.
func bytesText(encoded string) string {
	b, err := base64.StdEncoding.DecodeString(encoded)
	text := string(b)
	if err != nil || !utf8.Valid(b) || strings.HasPrefix(text, "@") || strings.HasPrefix(text, "hex:") || strings.HasPrefix(text, "base64:") ||
		strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' && r != '\t' }) {
		return "base64:" + encoded
	}
	return text
}

// TypeName returns what people call the type of a field.
func TypeName(f wire.Field) string {
	switch {
	case f.IsMap():
		return "map of " + elementName(f.Key()) + " to " + elementName(f.Value())
	case f.IsList():
		return "list of " + elementName(f)
	default:
		return elementName(f)
	}
}

func elementName(f wire.Field) string {
	if m, ok := f.Message(); ok {
		return ShortName(m.Name())
	}
	if e, ok := f.Enum(); ok {
		return ShortName(e.Name())
	}
	return f.Kind().String()
}
