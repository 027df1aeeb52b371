package dynamic

import (
	"fmt"
	"strconv"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// wellKnown writes the JSON form of a message that has one of its own.
func (g *jsonGen) wellKnown(d protoreflect.MessageDescriptor) {
	g.depth++
	defer func() { g.depth-- }()
	switch d.Name() {
	case "Any":
		g.any()
	case "Timestamp":
		g.text(g.timestamp())
	case "Duration":
		g.text(g.duration())
	case "FieldMask":
		g.text(g.odd([]string{"", "a", "a.b", "fooBar", "fooBar,baz.quxQuux", "a1", " a ", "A", "FooBar", "a.Bc"},
			[]string{"foo_bar", "a,", ",", "a, b", "a..b", "1a", "é"}))
	case "Struct":
		g.structValue()
	case "ListValue":
		g.listValue()
	case "Value":
		g.anyValue()
	case "Empty":
		g.put("{")
		if g.one(4 * g.wrong) {
			g.put(`"a":`)
			g.junk()
		}
		g.put("}")
	default:
		g.value(d.Fields().ByNumber(1))
	}
}

func (g *jsonGen) timestamp() string {
	if g.one(3) {
		return g.odd([]string{
			"0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z", "0000-12-31T23:59:59-01:00", "2024-02-29T12:00:00Z", "2024-01-01T1:00:00Z",
			"2024-01-01T00:00:00,5Z", "2024-01-01T00:00:00,1234567890Z", "2024-01-01T00:00:00+23:59", "2000-02-29T00:00:00Z", "2100-02-28T23:59:59.5Z",
			"2024-01-01T00:00:00-00:00",
		}, []string{
			"0000-12-31T23:59:59Z", "10000-01-01T00:00:00Z", "9999-12-31T23:59:59-01:00", "2023-02-29T12:00:00Z", "2024-13-01T00:00:00Z",
			"2024-01-01T24:00:00Z", "2024-01-01T00:00:60Z", "2024-01-01t00:00:00z", "2024-01-01 00:00:00Z", "2024-01-01T00:00:00.Z",
			"2024-01-01T00:00:00.1234567890Z", "2024-01-01T00:00:00+24:00", "2024-01-01T00:00:00+0100", "2024-01-01T00:00:00", "2024-01-01",
			"1900-02-29T00:00:00Z", "", "Z", "-001-01-01T00:00:00Z", "2024-01-01T00:00:00.5.5Z",
		})
	}
	s := fmt.Sprintf("%04d-%02d-%02dT%02d:%02d:%02d", 2+g.IntN(9997), 1+g.IntN(12), 1+g.IntN(28), g.IntN(24), g.IntN(60), g.IntN(60))
	if g.one(2) {
		s += "." + strconv.Itoa(g.IntN(1_000_000_000))
	}
	if g.one(3) {
		return s + fmt.Sprintf("%c%02d:%02d", "+-"[g.IntN(2)], g.IntN(24), g.IntN(60))
	}
	return s + "Z"
}

func (g *jsonGen) duration() string {
	if g.one(2) {
		return g.odd([]string{
			"0s", "1s", "-1s", "+1s", ".5s", "-.5s", "1.s", ".s", "0.0s", "1.123456789s", "-0.000000001s", "315576000000s", "-315576000000.999999999s",
		}, []string{
			"s", "", "1", "00s", "01s", "1.1234567890s", "315576000001s", "99999999999999999999s", "1e3s", "1.5", "- 1s", "1h", "--1s", "+-1s", "1.-5s", "-s",
		})
	}
	return fmt.Sprintf("%d.%ds", g.IntN(1_000_000)-500_000, g.IntN(1000))
}

func (g *jsonGen) anyValue() {
	switch n := g.IntN(8); {
	case n == 0:
		g.put("null")
	case n == 1:
		g.put([]string{"true", "false"}[g.IntN(2)])
	case n == 2:
		g.put(g.integer())
	case n == 3:
		g.put(strconv.FormatFloat(g.NormFloat64(), 'g', -1, 64))
	case n == 4 && g.depth < 8:
		g.structValue()
	case n == 5 && g.depth < 8:
		g.listValue()
	default:
		g.text(g.string())
	}
}

func (g *jsonGen) structValue() {
	g.depth++
	defer func() { g.depth-- }()
	g.put("{")
	first := true
	for i := range g.IntN(4) {
		g.comma(&first)
		g.text(g.odd([]string{g.string() + strconv.Itoa(i)}, []string{g.string()}))
		g.put(":")
		g.anyValue()
	}
	g.put("}")
}

func (g *jsonGen) listValue() {
	g.depth++
	defer func() { g.depth-- }()
	g.put("[")
	first := true
	for range g.IntN(4) {
		g.comma(&first)
		g.anyValue()
	}
	g.put("]")
}

// any writes an Any, in which more is wrong than elsewhere.
func (g *jsonGen) any() {
	if g.one(10) {
		g.put("{}")
		return
	}
	name := "google.protobuf." + wellKnownNames[g.IntN(len(wellKnownNames))]
	if g.one(2) {
		name = g.names[g.IntN(len(g.names))]
	}
	d, err := g.api.files.FindDescriptorByName(protoreflect.FullName(name))
	if err != nil || g.depth > 6 {
		g.put("{}")
		return
	}
	wrong := g.wrong / 10
	url := []string{"type.googleapis.com/", "/", "a/b/", ""}[g.IntN(4)] + name
	if g.one(wrong) {
		url = []string{"", "x", "type.googleapis.com/", "type.googleapis.com/unknown.Type", "google.protobuf.NullValue"}[g.IntN(5)]
	}
	typ := func(first *bool) {
		g.comma(first)
		g.text("@type")
		g.put(":")
		if g.one(wrong) {
			g.junk()
			return
		}
		g.text(url)
	}
	g.put("{")
	first := true
	before := g.one(2)
	if before {
		typ(&first)
	}
	if g.one(wrong) {
		g.comma(&first)
		g.text([]string{"unknown", "value", "[google.protobuf.Any]"}[g.IntN(3)])
		g.put(":")
		g.junk()
	}
	if m := d.(protoreflect.MessageDescriptor); m.FullName().Parent() != "google.protobuf" {
		g.members(m, &first)
	} else if (m.Name() != "Empty" || g.one(2)) && !g.one(wrong) {
		g.comma(&first)
		g.put(`"value":`)
		g.wellKnown(m)
	}
	if before == g.one(wrong) {
		typ(&first)
	}
	g.put("}")
}
