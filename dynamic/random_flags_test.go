package dynamic

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// flagGen writes messages as people type them: a path and a value for each flag, in
// one of the ways that there are.
type flagGen struct {
	*rand.Rand
	api *api
	out [][2]string
	err error
}

func (g *flagGen) put(path, value string) { g.out = append(g.out, [2]string{path, value}) }

// name returns a name of a field, written somehow.
func (g *flagGen) name(f protoreflect.FieldDescriptor) string {
	if f.IsExtension() {
		return `"[` + string(f.FullName()) + `]"`
	}
	name := string(f.Name())
	switch g.IntN(6) {
	case 0:
		return strings.ToUpper(name)
	case 1:
		return strings.ReplaceAll(name, "_", "-")
	case 2:
		return strings.ReplaceAll(name, "_", "")
	default:
		return name
	}
}

// below returns a path that goes on with a field of a message: with a dot, or what
// also stands for one.
func (g *flagGen) below(path string, f protoreflect.FieldDescriptor) string {
	name := g.name(f)
	switch {
	case path == "":
		return name
	case g.IntN(4) > 0 || f.IsExtension() || strings.HasSuffix(path, `"`) || len(path) > 100:
		return path + "." + name
	default:
		return path + []string{"-", "_"}[g.IntN(2)] + name
	}
}

// fields writes the fields of a message that has them.
func (g *flagGen) fields(path string, m protoreflect.Message) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		at := g.below(path, f)
		switch {
		case f.IsMap():
			g.mapOf(at, f, v.Map())
		case f.IsList():
			g.list(at, f, v.List())
		default:
			g.one(at, f, v)
		}
		return g.err == nil
	})
}

// one writes a single value.
func (g *flagGen) one(path string, f protoreflect.FieldDescriptor, v protoreflect.Value) {
	if f.Message() != nil && g.isPlain(f) && g.IntN(4) > 0 {
		n := len(g.out)
		g.fields(path, v.Message())
		if len(g.out) > n {
			return
		}
	}
	g.put(path, g.text(f, v))
}

// isPlain reports whether the fields of a message may be given one by one.
func (g *flagGen) isPlain(f protoreflect.FieldDescriptor) bool {
	return f.Message().FullName().Parent() != "google.protobuf"
}

func (g *flagGen) list(path string, f protoreflect.FieldDescriptor, l protoreflect.List) {
	switch g.IntN(4) {
	case 0:
		for _, i := range g.Perm(l.Len()) {
			g.one(fmt.Sprintf("%s.%d", path, i), f, l.Get(i))
		}
		return
	case 1:
		if f.Message() == nil {
			items := make([]string, l.Len())
			for i := range items {
				items[i] = g.item(g.text(f, l.Get(i)))
			}
			g.put(path, strings.Join(items, ","))
			return
		}
	case 2:
		var items []json.RawMessage
		for i := range l.Len() {
			items = append(items, g.json(f, l.Get(i)))
		}
		b, err := json.Marshal(items)
		g.fail(err)
		g.put(path, string(b))
		return
	}
	for i := range l.Len() {
		text := g.text(f, l.Get(i))
		switch {
		case f.Message() == nil:
			text = g.item(text)
		case strings.HasPrefix(text, "["):
			text = "[" + text + "]"
		}
		g.put(path, text)
	}
}

// item writes an item of a list with commas.
func (g *flagGen) item(text string) string {
	if text == "" || strings.ContainsAny(text, `,"[{`) || g.IntN(5) == 0 {
		return `"` + strings.ReplaceAll(text, `"`, `""`) + `"`
	}
	return text
}

func (g *flagGen) mapOf(path string, f protoreflect.FieldDescriptor, m protoreflect.Map) {
	style := g.IntN(3)
	m.Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
		key := k.String()
		value := f.MapValue()
		switch {
		case style == 0 || strings.Contains(key, `"`) && value.Message() != nil:
			b, err := json.Marshal(map[string]json.RawMessage{key: g.json(value, v)})
			g.fail(err)
			g.put(path, string(b))
		case style == 1 && !strings.Contains(key, `"`):
			g.one(path+`."`+key+`"`, value, v)
		default:
			text := key + "=" + g.text(value, v)
			if value.Message() == nil {
				text = g.item(text)
			}
			g.put(path, text)
		}
		return g.err == nil
	})
}

// text writes a value as that of a flag.
func (g *flagGen) text(f protoreflect.FieldDescriptor, v protoreflect.Value) string {
	switch f.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		b := g.json(f, v)
		switch f.Message().FullName() {
		case "google.protobuf.Timestamp", "google.protobuf.Duration", "google.protobuf.FieldMask":
			var s string
			g.fail(json.Unmarshal(b, &s))
			return s
		}
		if inner := f.Message().Fields().ByNumber(1); !g.isPlain(f) && f.Message().Fields().Len() == 1 && inner.Message() == nil {
			return g.text(inner, v.Message().Get(inner))
		}
		return string(b)
	case protoreflect.BytesKind:
		switch g.IntN(3) {
		case 0:
			return "hex:" + hex.EncodeToString(v.Bytes())
		case 1:
			return "base64:" + base64.RawURLEncoding.EncodeToString(v.Bytes())
		default:
			return "base64:" + base64.StdEncoding.EncodeToString(v.Bytes())
		}
	case protoreflect.EnumKind:
		if known := f.Enum().Values().ByNumber(v.Enum()); known != nil && g.IntN(3) > 0 {
			return string(known.Name())
		}
		return strconv.Itoa(int(v.Enum()))
	case protoreflect.FloatKind:
		return strconv.FormatFloat(v.Float(), 'g', -1, 32)
	case protoreflect.DoubleKind:
		return strconv.FormatFloat(v.Float(), 'g', -1, 64)
	default:
		return v.String()
	}
}

// json writes a value as JSON.
func (g *flagGen) json(f protoreflect.FieldDescriptor, v protoreflect.Value) json.RawMessage {
	switch f.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		b, err := protojson.MarshalOptions{Resolver: g.api.types, AllowPartial: true, UseProtoNames: g.IntN(2) == 0}.Marshal(v.Message().Interface())
		g.fail(err)
		return b
	case protoreflect.BytesKind:
		return json.RawMessage(quote(base64.StdEncoding.EncodeToString(v.Bytes())))
	case protoreflect.EnumKind:
		return json.RawMessage(strconv.Itoa(int(v.Enum())))
	case protoreflect.StringKind:
		return json.RawMessage(quote(v.String()))
	case protoreflect.BoolKind:
		return json.RawMessage(v.String())
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return json.RawMessage(quote(strings.NewReplacer("+Inf", "Infinity", "-Inf", "-Infinity").Replace(g.text(f, v))))
	default:
		return json.RawMessage(quote(v.String()))
	}
}

func (g *flagGen) fail(err error) {
	if g.err == nil {
		g.err = err
	}
}
