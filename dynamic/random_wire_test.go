package dynamic

import (
	"math"
	"math/rand/v2"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// wireGen writes wire forms of messages: fields in any order, any number of
// times, packed or not, and a little wrong now and then.
type wireGen struct {
	*rand.Rand
	api   *api
	names []string // of messages, for Any
	exts  map[protoreflect.FullName][]protoreflect.FieldDescriptor
	wrong int // one value in so many is wrong, 0 for none
	depth int
}

func (g *wireGen) one(in int) bool { return in > 0 && g.IntN(in) == 0 }

func (g *wireGen) message(d protoreflect.MessageDescriptor) []byte {
	g.depth++
	defer func() { g.depth-- }()
	var b []byte
	fields := []protoreflect.FieldDescriptor{}
	for i := range d.Fields().Len() {
		fields = append(fields, d.Fields().Get(i))
	}
	fields = append(fields, g.exts[d.FullName()]...)
	for _, f := range fields {
		if f.Cardinality() == protoreflect.Required && g.depth < 8 && !g.one(2*g.wrong) {
			b = g.field(b, f)
		}
	}
	if d.FullName().Parent() == "google.protobuf" && !g.one(4) {
		return g.wellKnown(b, d)
	}
	if len(fields) == 0 || g.depth > 5 {
		return b
	}
	for range g.IntN(min(2*len(fields), 12)) {
		b = g.field(b, fields[g.IntN(len(fields))])
		if g.one(20) {
			b = g.unknown(b, []protowire.Number{3000, 3001, 1<<29 - 1, 1 << 29}[g.IntN(4-3/(1+g.wrong))])
		}
	}
	return b
}

// wellKnown writes a message of google.protobuf that is mostly valid.
func (g *wireGen) wellKnown(b []byte, d protoreflect.MessageDescriptor) []byte {
	fields := d.Fields()
	switch d.Name() {
	case "Any":
		name := "google.protobuf." + wellKnownNames[g.IntN(len(wellKnownNames))]
		if g.one(2) {
			name = g.names[g.IntN(len(g.names))]
		}
		m, err := g.api.files.FindDescriptorByName(protoreflect.FullName(name))
		if err != nil || g.depth > 5 {
			return b
		}
		b = protowire.AppendTag(b, 1, protowire.BytesType)
		b = protowire.AppendString(b, "type.googleapis.com/"+name)
		b = protowire.AppendTag(b, 2, protowire.BytesType)
		return protowire.AppendBytes(b, g.message(m.(protoreflect.MessageDescriptor)))
	case "Timestamp", "Duration":
		seconds := []int64{0, 1, -1, 253402300799, 253402300800, -62135596800, -62135596801, 315576000000, 315576000001, -315576000000, 1700000000}
		nanos := []int64{0, 1, 1000, 1000000, 999999999, 1000000000, -1, -999999999, 500000000}
		b = protowire.AppendTag(b, 1, protowire.VarintType)
		s := seconds[g.IntN(len(seconds))]
		if g.one(2) {
			s = g.Int64N(253402300799+62135596800) - 62135596800
		}
		b = protowire.AppendVarint(b, uint64(s))
		if g.one(2) {
			b = protowire.AppendTag(b, 2, protowire.VarintType)
			b = protowire.AppendVarint(b, uint64(nanos[g.IntN(len(nanos))]))
		}
		return b
	case "FieldMask":
		paths := []string{"a", "a.b", "foo_bar", "foo_bar.baz_qux", "fooBar", "a__b", "_a", "a_", "1", "", "a.", "a_1", "foo_Bar"}
		for range g.IntN(3) {
			b = protowire.AppendTag(b, 1, protowire.BytesType)
			b = protowire.AppendString(b, paths[g.IntN(len(paths)-g.IntN(9))])
		}
		return b
	case "Value":
		return g.field(b, fields.Get(g.IntN(fields.Len())))
	default:
		for range g.IntN(3) {
			if fields.Len() > 0 {
				b = g.field(b, fields.Get(0))
			}
		}
		return b
	}
}

// field writes an occurrence of a field.
func (g *wireGen) field(b []byte, f protoreflect.FieldDescriptor) []byte {
	if g.one(4 * g.wrong) {
		return g.unknown(b, f.Number())
	}
	switch {
	case f.IsMap():
		var entry []byte
		for range 1 + g.IntN(3)/2 {
			if !g.one(6) {
				entry = g.field(entry, f.MapKey())
			}
			if !g.one(6) {
				entry = g.field(entry, f.MapValue())
			}
			if g.one(30) {
				entry = g.unknown(entry, protowire.Number(3+g.IntN(3)))
			}
		}
		b = g.tag(b, f.Number(), protowire.BytesType)
		return protowire.AppendBytes(b, entry)
	case f.IsList() && packable(f.Kind()) && g.one(2):
		var values []byte
		for range g.IntN(4) {
			values = g.value(values, f)
		}
		if g.one(4 * g.wrong) {
			values = append(values, 0xff)
		}
		b = g.tag(b, f.Number(), protowire.BytesType)
		return protowire.AppendBytes(b, values)
	default:
		b = g.tag(b, f.Number(), wireTypeOf(f.Kind()))
		return g.value(b, f)
	}
}

// tag writes a tag, longer than it needs to be now and then.
func (g *wireGen) tag(b []byte, n protowire.Number, t protowire.Type) []byte {
	b = protowire.AppendTag(b, n, t)
	if g.one(60) {
		b[len(b)-1] |= 0x80
		b = append(b, 0)
	}
	return b
}

func packable(k protoreflect.Kind) bool {
	t := wireTypeOf(k)
	return t != protowire.BytesType && t != protowire.StartGroupType
}

func wireTypeOf(k protoreflect.Kind) protowire.Type {
	switch k {
	case protoreflect.DoubleKind, protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind:
		return protowire.Fixed64Type
	case protoreflect.FloatKind, protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind:
		return protowire.Fixed32Type
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind:
		return protowire.BytesType
	case protoreflect.GroupKind:
		return protowire.StartGroupType
	default:
		return protowire.VarintType
	}
}

func (g *wireGen) value(b []byte, f protoreflect.FieldDescriptor) []byte {
	switch f.Kind() {
	case protoreflect.MessageKind:
		return protowire.AppendBytes(b, g.message(f.Message()))
	case protoreflect.GroupKind:
		return g.tag(append(b, g.message(f.Message())...), f.Number(), protowire.EndGroupType)
	case protoreflect.StringKind:
		s := []string{"", "a", "text", "naïve", "😀\u2028", "\x00\x1f\"\\/", "<&>", "long" + strings.Repeat("x", 130)}[g.IntN(8)]
		if g.one(4 * g.wrong) {
			s = "\xff" + s
		}
		return protowire.AppendString(b, s)
	case protoreflect.BytesKind:
		n := make([]byte, g.IntN(9))
		for i := range n {
			n[i] = byte(g.Uint32())
		}
		return protowire.AppendBytes(b, n)
	case protoreflect.EnumKind:
		if g.one(2) {
			values := f.Enum().Values()
			return protowire.AppendVarint(b, uint64(values.Get(g.IntN(values.Len())).Number()))
		}
		return protowire.AppendVarint(b, g.varint())
	case protoreflect.FloatKind:
		return protowire.AppendFixed32(b, math.Float32bits(float32(g.float())))
	case protoreflect.DoubleKind:
		return protowire.AppendFixed64(b, math.Float64bits(g.float()))
	default:
		switch wireTypeOf(f.Kind()) {
		case protowire.Fixed32Type:
			return protowire.AppendFixed32(b, uint32(g.varint()))
		case protowire.Fixed64Type:
			return protowire.AppendFixed64(b, g.varint())
		default:
			return protowire.AppendVarint(b, g.varint())
		}
	}
}

func (g *wireGen) varint() uint64 {
	switch g.IntN(6) {
	case 0:
		return g.Uint64()
	case 1:
		return uint64(int64(int32(g.Uint32())))
	case 2:
		return []uint64{0, 1, math.MaxUint32, math.MaxInt32, math.MaxInt64, math.MaxUint64, 1 << 31, 1 << 32, 1 << 63}[g.IntN(9)]
	default:
		return uint64(g.IntN(4))
	}
}

func (g *wireGen) float() float64 {
	switch g.IntN(4) {
	case 0:
		return []float64{0, math.Copysign(0, -1), math.NaN(), math.Inf(1), math.Inf(-1), 1e21, 1e-7, 1e20, math.MaxFloat64, 5e-324, 0.1}[g.IntN(11)]
	case 1:
		return math.Float64frombits(g.Uint64())
	default:
		return float64(g.IntN(1000)) / 8
	}
}

// unknown writes a field of any wire type.
func (g *wireGen) unknown(b []byte, n protowire.Number) []byte {
	switch t := protowire.Type(g.IntN(8)); t {
	case protowire.VarintType:
		return protowire.AppendVarint(protowire.AppendTag(b, n, t), g.varint())
	case protowire.Fixed32Type:
		return protowire.AppendFixed32(protowire.AppendTag(b, n, t), g.Uint32())
	case protowire.Fixed64Type:
		return protowire.AppendFixed64(protowire.AppendTag(b, n, t), g.Uint64())
	case protowire.BytesType:
		return protowire.AppendBytes(protowire.AppendTag(b, n, t), []byte{1, 2, 3})
	case protowire.StartGroupType:
		b = protowire.AppendTag(b, n, t)
		for range g.IntN(3) {
			if g.depth++; g.depth < 20 {
				b = g.unknown(b, []protowire.Number{1, 2, 19000, 1 << 29, 1<<31 - 1}[g.IntN(5)])
			}
			g.depth--
		}
		if g.one(g.wrong) {
			return b
		}
		return protowire.AppendTag(b, n, protowire.EndGroupType)
	default:
		if g.one(g.wrong) {
			return protowire.AppendTag(b, n, t)
		}
		return b
	}
}
