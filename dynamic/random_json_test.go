package dynamic

import (
	"encoding/base64"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// jsonGen writes JSON for messages: in every lexical form that there is, and a
// little wrong now and then.
type jsonGen struct {
	*rand.Rand
	api   *api
	names []string // of messages, for Any
	exts  map[protoreflect.FullName][]protoreflect.FieldDescriptor
	out   []byte
	wrong int // one value in so many is wrong, 0 for none
	depth int
}

func (g *jsonGen) one(in int) bool { return in > 0 && g.IntN(in) == 0 }

func (g *jsonGen) put(s string) { g.out = append(g.out, s...) }

func (g *jsonGen) space() {
	if g.one(30) {
		g.put([]string{" ", "\n", "\t", "\r", "  \n"}[g.IntN(5)])
	}
}

// text writes a JSON string with some escapes that it does not need.
func (g *jsonGen) text(s string) {
	g.put(`"`)
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			g.put(`\` + string(r))
		case r == '/' && g.one(4):
			g.put(`\/`)
		case r < ' ' || g.one(60):
			if r > 0xffff {
				r -= 0x10000
				g.put(fmt.Sprintf(`\u%04x\u%04X`, 0xd800+r>>10, 0xdc00+r&0x3ff))
			} else {
				g.put(fmt.Sprintf(`\u%04x`, r))
			}
		default:
			g.put(string(r))
		}
	}
	g.put(`"`)
}

// junk writes any JSON value, or something else.
func (g *jsonGen) junk() {
	values := []string{
		"null", "true", "false", "0", "-1", "1.5", `""`, `"x"`, "[]", "{}", `[[1],[2]]`, `{"a":{"b":[null]}}`, `{"@type":"x"}`,
		"nul", "tru", "1e", "01", "-", "+1", ".5", "1.", "1e+", "\"", "\x01", "[1,]", "{,}", `{"a"}`, `{"a":}`, "NaN", `"\ud800"`, `"\x"`, "'a'", "",
	}
	g.put(values[g.IntN(len(values))])
}

func (g *jsonGen) message(d protoreflect.MessageDescriptor) {
	if g.one(g.wrong) {
		g.junk()
		return
	}
	if d.FullName().Parent() == "google.protobuf" {
		g.wellKnown(d)
		return
	}
	g.put("{")
	first := true
	g.members(d, &first)
	g.put("}")
}

func (g *jsonGen) comma(first *bool) {
	g.space()
	if !*first {
		g.put(",")
		g.space()
	}
	*first = false
}

func (g *jsonGen) members(d protoreflect.MessageDescriptor, first *bool) {
	fields := []protoreflect.FieldDescriptor{}
	for i := range d.Fields().Len() {
		fields = append(fields, d.Fields().Get(i))
	}
	fields = append(fields, g.exts[d.FullName()]...)
	if g.one(3) {
		g.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
	}
	g.depth++
	defer func() { g.depth-- }()
	keep := 1 + g.IntN(4)
	oneofs := map[protoreflect.Name]bool{}
	for _, f := range fields {
		required := f.Cardinality() == protoreflect.Required && g.depth < 9 && !g.one(4*g.wrong)
		if !required && g.IntN(4) >= keep || !required && (g.depth > 6 || len(g.out) > 2000) {
			continue
		}
		if o := f.ContainingOneof(); o != nil {
			if oneofs[o.Name()] && !g.one(g.wrong/10) {
				continue
			}
			oneofs[o.Name()] = true
		}
		g.member(f, first)
		if g.one(4 * g.wrong) {
			g.member(f, first)
		}
	}
	if g.one(g.wrong) {
		g.comma(first)
		g.text(g.unknownName(d))
		g.put(":")
		g.junk()
	}
}

// unknownName returns a name that is no field of a message: among them those in
// brackets that mean something, but no extension of it.
func (g *jsonGen) unknownName(d protoreflect.MessageDescriptor) string {
	switch g.IntN(3) {
	case 0:
		return []string{"unknown", "", "[", "]", "[]", "@type", "value", "[unknown]", "[pkg.unknown]"}[g.IntN(9)]
	case 1:
		names := []protoreflect.FullName{
			"google.protobuf.Any", "google.protobuf.NullValue", "google.protobuf.NULL_VALUE", "google.protobuf.Value.kind",
			"google.protobuf.Any.value", "google.protobuf.Struct.FieldsEntry", "google.protobuf", "google.protobuf.Any.type_url.x", d.FullName(),
		}
		if d.Fields().Len() > 0 {
			names = append(names, d.Fields().Get(g.IntN(d.Fields().Len())).FullName())
		}
		for i := range d.Oneofs().Len() {
			names = append(names, d.Oneofs().Get(i).FullName())
		}
		for i := range d.ParentFile().Enums().Len() {
			names = append(names, d.ParentFile().Enums().Get(i).Values().Get(0).FullName())
		}
		return "[" + string(names[g.IntN(len(names))]) + "]"
	default:
		for _, name := range g.names {
			if list := g.exts[protoreflect.FullName(name)]; len(list) > 0 && g.one(2) {
				return "[" + string(list[0].FullName()) + "]"
			}
		}
		return "[pkg.x]"
	}
}

func (g *jsonGen) member(f protoreflect.FieldDescriptor, first *bool) {
	g.comma(first)
	name := f.JSONName()
	switch g.IntN(12) {
	case 0:
		name = f.TextName()
	case 1:
		name = strings.ToLower(name)
	}
	if g.one(8) {
		g.text(name)
	} else {
		g.put(quote(name))
	}
	g.space()
	g.put(":")
	g.space()
	switch {
	case g.one(25):
		g.put("null")
	case g.one(g.wrong):
		g.junk()
	case f.IsMap():
		g.mapValue(f)
	case f.IsList():
		g.put("[")
		first := true
		for range g.IntN(4) {
			g.comma(&first)
			g.value(f)
		}
		g.space()
		g.put("]")
	default:
		g.value(f)
	}
}

// quote is the one way in which names are written that need no other.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ':
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func (g *jsonGen) mapValue(f protoreflect.FieldDescriptor) {
	g.put("{")
	first := true
	for i := range g.IntN(4) {
		g.comma(&first)
		switch k := f.MapKey().Kind(); k {
		case protoreflect.StringKind:
			g.text(g.odd([]string{g.string() + strconv.Itoa(i)}, []string{"", g.string()}))
		case protoreflect.BoolKind:
			g.text(g.odd([]string{"true", "false"}, []string{"True", "1", ""}))
		default:
			key := strconv.FormatInt(int64(i*10+g.IntN(5)), 10)
			g.text(g.odd([]string{key, key, "0" + key}, []string{"+" + key, "-" + key, "1", g.integer()}))
		}
		g.put(":")
		g.value(f.MapValue())
	}
	g.put("}")
}

func (g *jsonGen) value(f protoreflect.FieldDescriptor) {
	if g.one(2 * g.wrong) {
		g.junk()
		return
	}
	switch f.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		g.message(f.Message())
	case protoreflect.BoolKind:
		g.put([]string{"true", "false"}[g.IntN(2)])
	case protoreflect.StringKind:
		g.text(g.string())
	case protoreflect.BytesKind:
		g.bytes()
	case protoreflect.EnumKind:
		values := f.Enum().Values()
		switch g.IntN(6) {
		case 0:
			g.put(strconv.Itoa(g.IntN(10) - 3))
		case 1:
			g.put(g.integer())
		case 2:
			g.put(g.odd([]string{"0", "1.0"}, []string{"null", `"VALUE_UNKNOWN"`, "2147483648", `"1"`}))
		default:
			g.put(quote(string(values.Get(g.IntN(values.Len())).Name())))
		}
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		g.number(g.float())
	default:
		g.number(g.integer())
	}
}

// number writes a number as it is or in quotes.
func (g *jsonGen) number(s string) {
	if g.one(3) || strings.HasSuffix(s, "y") || s == "NaN" && !g.one(g.wrong) {
		g.text(s)
		return
	}
	g.put(s)
}

// odd returns one of the values that are all right, or of those that are not when
// something may be wrong.
func (g *jsonGen) odd(right, wrong []string) string {
	if g.wrong > 0 && g.one(3) {
		return wrong[g.IntN(len(wrong))]
	}
	return right[g.IntN(len(right))]
}

// integer returns a number that all integer kinds have, unless something may be
// wrong.
func (g *jsonGen) integer() string {
	n := strconv.Itoa(g.IntN(300))
	switch g.IntN(16) {
	case 0:
		return g.odd(
			[]string{"-0", "0", "2147483647", "1e2", "12e1", "120e-1", "1E+2", "0.0e9999999999", "1.50e1", "1.0", "10.0e-1", "1000e-3", "0.00000000000000000001e20"},
			[]string{
				"2147483648", "-1", "-2147483648", "-2147483649", "4294967295", "4294967296", "9223372036854775807", "9223372036854775808",
				"-9223372036854775808", "-9223372036854775809", "18446744073709551615", "18446744073709551616", "99999999999999999999",
				"100000000000000000000", "1e19", "1e20", "1e9999999999", "1e-9999999999", "12e-1", "0.000000000000000000001e21", "1e", "1e+", "1.e1",
				"0e", "-", "-1.000",
			})
	case 1:
		if g.wrong > 0 {
			return strconv.FormatInt(int64(g.Uint64()), 10)
		}
	case 2:
		if g.wrong > 0 {
			return strconv.FormatInt(int64(int32(g.Uint32())), 10)
		}
	case 3:
		return n + ".0"
	case 4:
		return n + "e0"
	case 5:
		return n + "0E-1"
	case 6:
		return n + ".500e1"
	case 7:
		if g.wrong > 0 {
			return n + ".5"
		}
	}
	return n
}

func (g *jsonGen) float() string {
	switch g.IntN(4) {
	case 0:
		return g.odd(
			[]string{"3.4028235e38", "1e-400", "-0", "-0.0", "0.1", "1e-7", "1e21", "123456789012345678901234567890", "5e-324", "1.1754944e-38", "16777217"},
			[]string{"nan", "1e308", "1e309", "-1e39", "3.4028236e38", "1e", "1.", "Inf"})
	case 2:
		if g.one(2) {
			return []string{"NaN", "Infinity", "-Infinity"}[g.IntN(3)]
		}
		return "1.5"
	case 1:
		return strconv.FormatFloat(float64(math.Float32frombits(g.Uint32())), 'g', -1, 64)
	default:
		return strconv.FormatFloat(g.NormFloat64()*1000, 'f', g.IntN(6), 64)
	}
}

func (g *jsonGen) string() string {
	switch g.IntN(6) {
	case 0:
		return ""
	case 1:
		return []string{"naïve ключ", "\u2028\ufffd", "emoji 😀", "tab\tnew\nline", `"quoted" \ back`, "\x00\x1f\x7f", "a/b", "<&>"}[g.IntN(8)]
	case 2:
		return strings.Repeat("long ", 20+g.IntN(40))
	default:
		return "s" + strconv.Itoa(g.IntN(1000))
	}
}

func (g *jsonGen) bytes() {
	b := make([]byte, g.IntN(12))
	if g.one(8) {
		b = make([]byte, 100+g.IntN(200))
	}
	for i := range b {
		b[i] = byte(g.Uint32())
	}
	encodings := []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding, base64.RawURLEncoding}
	s := encodings[g.IntN(4)].EncodeToString(b)
	g.text(g.odd([]string{s}, []string{s, s + "=", s + "\n", strings.ReplaceAll(s, "A", "-/"), s + "x"}))
}
