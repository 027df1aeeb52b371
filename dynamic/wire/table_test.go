package wire

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func compileTest(tb testing.TB, docs bool) []byte {
	tb.Helper()
	b, err := testSchema().Compile(docs)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func openTest(tb testing.TB) *Table {
	tb.Helper()
	t, err := Open(compileTest(tb, true))
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

func TestOpenDamaged(t *testing.T) {
	t.Parallel()
	good := compileTest(t, true)
	table, err := Open(good)
	if err != nil {
		t.Fatal(err)
	}
	core := len(good) - len(table.docs)

	tests := []struct {
		name  string
		bytes []byte
		want  error
	}{
		{"nothing", nil, ErrForeign},
		{"something else", bytes.Repeat([]byte("{}"), 1000), ErrForeign},
		{"only the magic", []byte(magic), ErrForeign},
		{"newer", slices.Concat([]byte(magic), []byte{Version + 1}, good[len(magic)+1:]), ErrVersion},
		{"older", slices.Concat([]byte(magic), []byte{Version - 1}, good[len(magic)+1:]), ErrVersion},
		{"a byte more", append(bytes.Clone(good), 0), ErrDamaged},
		{"without the docs", good[:core], ErrDamaged},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if _, err := Open(test.bytes); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}

	t.Run("cut off anywhere", func(t *testing.T) {
		t.Parallel()
		for n := range good {
			if _, err := Open(good[:n]); err == nil {
				t.Errorf("opened at %d of %d bytes", n, len(good))
			}
		}
	})
	t.Run("any bit", func(t *testing.T) {
		t.Parallel()
		for i := range good {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << (i % 8)
			table, err := Open(bad)
			if err == nil && i >= core {
				_, err = table.Docs()
			}
			if err == nil {
				t.Errorf("a flipped bit in byte %d went unnoticed", i)
			}
		}
	})
}

// TestPosition opens a table at odd addresses: it is read where it lies.
func TestPosition(t *testing.T) {
	t.Parallel()
	good := compileTest(t, true)
	for shift := range 8 {
		moved := append(make([]byte, shift), good...)[shift:]
		table, err := Open(moved)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := table.Method("a.Greeter.Hello"); !ok {
			t.Errorf("nothing found at an address shifted by %d", shift)
		}
	}
}

// described is what the accessors say, for comparison.
type described struct {
	Services []string
	Messages map[string][]string
	Enums    map[string][]string
}

func describe(t *Table) described {
	d := described{Messages: map[string][]string{}, Enums: map[string][]string{}}
	for s := range t.Services() {
		line := s.Name()
		if s.Deprecated() {
			line += " deprecated"
		}
		d.Services = append(d.Services, line)
		for m := range s.Methods() {
			line := m.Path() + " " + m.Name() + " "
			if m.ClientStreaming() {
				line += "stream "
			}
			line += m.Input().Name() + " -> "
			if m.ServerStreaming() {
				line += "stream "
			}
			line += m.Output().Name()
			if m.Deprecated() {
				line += " deprecated"
			}
			if m.Service() != s {
				line += " elsewhere"
			}
			d.Services = append(d.Services, line)
		}
	}
	for m := range t.Messages() {
		var lines []string
		for f := range m.Fields() {
			lines = append(lines, describeField(f))
		}
		for f := range m.Extensions() {
			lines = append(lines, "extension "+describeField(f))
		}
		for o := range m.Oneofs() {
			members := []string{"oneof", o.Name()}
			for f := range o.Fields() {
				members = append(members, f.Name())
			}
			lines = append(lines, strings.Join(members, " "))
		}
		d.Messages[m.Name()] = lines
	}
	for e := range t.Enums() {
		var lines []string
		for v := range e.Values() {
			line := v.Name()
			if v.Deprecated() {
				line += " deprecated"
			}
			lines = append(lines, line)
		}
		d.Enums[e.Name()] = lines
	}
	return d
}

func describeField(f Field) string {
	words := []string{f.Name(), f.JSONName()}
	switch {
	case f.IsMap():
		words = append(words, "map<"+f.Key().Kind().String()+","+f.Value().Kind().String()+">")
	case f.IsList():
		words = append(words, "repeated", f.Kind().String())
	default:
		words = append(words, f.Kind().String())
	}
	if m, ok := f.Message(); ok && !f.IsMap() {
		words = append(words, m.Name())
	}
	if e, ok := f.Enum(); ok {
		words = append(words, e.Name())
	}
	if o, ok := f.Oneof(); ok {
		words = append(words, "in", o.Name())
	}
	if text, ok := f.Default(); ok {
		words = append(words, "=", text)
	}
	for _, flag := range []struct {
		name string
		set  bool
	}{
		{"required", f.Cardinality() == Required},
		{"presence", f.HasPresence()},
		{"packed", f.IsPacked()},
		{"extension", f.IsExtension()},
		{"deprecated", f.Deprecated()},
	} {
		if flag.set {
			words = append(words, flag.name)
		}
	}
	return strings.Join(words, " ")
}

func TestAccessors(t *testing.T) {
	t.Parallel()
	want := described{
		Services: []string{
			"a.Greeter",
			"/a.Greeter/Collect Collect stream a.Node -> a.Node deprecated",
			"/a.Greeter/Hello Hello a.Node -> a.Empty",
			"/a.Greeter/Watch Watch a.Empty -> stream a.Node",
			"z.Last deprecated",
		},
		Messages: map[string][]string{
			"a.Empty": nil,
			"a.Node": {
				"name name string",
				"child_nodes childNodes repeated message a.Node",
				"labels labels map<string,fixed64>",
				"color color enum a.Color presence",
				"left left int64 in side presence",
				"right right bytes in side presence",
				"maybe maybe bool presence",
				"numbers say \"n\" repeated sint32 packed deprecated",
				"detail detail message google.protobuf.Any presence",
				"must must double = 1.5 required presence",
				"extension a.group [a.group] group a.Node presence extension",
				"extension b.size [b.size] uint32 presence extension",
				"oneof side left right",
			},
			"google.protobuf.Any": {"type_url typeUrl string", "value value bytes"},
		},
		Enums: map[string][]string{"a.Color": {"NONE", "RED", "ALSO_RED deprecated", "BLUE"}},
	}
	if diff := cmp.Diff(want, describe(openTest(t))); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestLookUp(t *testing.T) {
	t.Parallel()
	table := openTest(t)
	node, _ := table.Message("a.Node")
	color, _ := table.Enum("a.Color")
	name := func(s interface{ Name() string }, ok bool) string {
		if !ok {
			return "none"
		}
		return s.Name()
	}
	tests := []struct{ what, got, want string }{
		{"method with dots", name(table.Method("a.Greeter.Hello")), "Hello"},
		{"method with a slash", name(table.Method("a.Greeter/Watch")), "Watch"},
		{"method by its path", name(table.Method("/a.Greeter/Collect")), "Collect"},
		{"method of another service", name(table.Method("/z.Last/Collect")), "none"},
		{"method without a service", name(table.Method("Hello")), "none"},
		{"no method", name(table.Method("")), "none"},
		{"service", name(table.Service("z.Last")), "z.Last"},
		{"no service", name(table.Service("z.Las")), "none"},
		{"map entry", name(table.Message("a.Node.LabelsEntry")), "a.Node.LabelsEntry"},
		{"no message", name(table.Message("a.Color")), "none"},
		{"extension", name(table.Extension("b.size")), "b.size"},
		{"no extension", name(table.Extension("b.siz")), "none"},
		{"field by JSON name", name(node.Field("childNodes")), "child_nodes"},
		{"field by name", name(node.Field("child_nodes")), "child_nodes"},
		{"field by odd name", name(node.Field(`say "n"`)), "numbers"},
		{"field that is an extension", name(node.Field("[a.group]")), "a.group"},
		{"no field", name(node.Field("a.group")), "none"},
		{"field by number in order", name(node.FieldByNumber(2)), "child_nodes"},
		{"field by number out of order", name(node.FieldByNumber(9)), "color"},
		{"field by number far away", name(node.FieldByNumber(400)), "must"},
		{"extension by number", name(node.FieldByNumber(1000)), "a.group"},
		{"no such number", name(node.FieldByNumber(11)), "none"},
		{"impossible number", name(node.FieldByNumber(-1)), "none"},
		{"value", name(color.Value("ALSO_RED")), "ALSO_RED"},
		{"no value", name(color.Value("red")), "none"},
		{"value by number", name(color.ValueByNumber(-5)), "RED"},
		{"value by great number", name(color.ValueByNumber(1 << 20)), "BLUE"},
		{"no value of a number", name(color.ValueByNumber(1)), "none"},
	}
	for _, test := range tests {
		if test.got != test.want {
			t.Errorf("%s: got %s, want %s", test.what, test.got, test.want)
		}
	}
}

func TestSource(t *testing.T) {
	t.Parallel()
	table := openTest(t)
	if got, want := table.Source(), ([32]byte{1, 2, 3}); got != want {
		t.Errorf("got %x, want %x", got, want)
	}
	if !bytes.Equal(table.Bytes(), compileTest(t, true)) {
		t.Error("the table is not what it was opened from")
	}
}

func TestDocs(t *testing.T) {
	t.Parallel()
	table := openTest(t)
	docs, err := table.Docs()
	if err != nil {
		t.Fatal(err)
	}
	node, _ := table.Message("a.Node")
	greeter, _ := table.Service("a.Greeter")
	hello, _ := greeter.Method("Hello")
	numbers, _ := node.Field("numbers")
	name, _ := node.Field("name")
	color, _ := table.Enum("a.Color")
	red, _ := color.Value("RED")
	oneofs := slices.Collect(node.Oneofs())
	tests := []struct {
		what string
		of   Element
		want Doc
	}{
		{"service", greeter, Doc{Comment: "Greeter says hello."}},
		{"method", hello, Doc{Comment: "Hello says it once."}},
		{"message", node, Doc{Comment: "Node is a part of a tree."}},
		{"field", numbers, Doc{Comment: "What is counted.", Rules: `{"repeated":{"minItems":"1"}}`, Required: true}},
		{"field without docs", name, Doc{}},
		{"oneof", oneofs[0], Doc{Comment: "One of both."}},
		{"enum without docs", color, Doc{}},
		{"value", red, Doc{Comment: "As blood."}},
	}
	for _, test := range tests {
		if got := docs.Of(test.of); got != test.want {
			t.Errorf("%s: got %+v, want %+v", test.what, got, test.want)
		}
	}
	other := openTest(t)
	stranger, _ := other.Service("a.Greeter")
	if got := docs.Of(stranger); got != (Doc{}) {
		t.Errorf("docs of an element of another table: %+v", got)
	}
}

func TestWithoutDocs(t *testing.T) {
	t.Parallel()
	with, without := compileTest(t, true), compileTest(t, false)
	if len(without) >= len(with) {
		t.Errorf("%d bytes without docs, %d with", len(without), len(with))
	}
	table, err := Open(without)
	if err != nil {
		t.Fatal(err)
	}
	docs, err := table.Docs()
	if err != nil {
		t.Fatal(err)
	}
	greeter, _ := table.Service("a.Greeter")
	if got := docs.Of(greeter); got != (Doc{}) {
		t.Errorf("got %+v", got)
	}
}

func TestDamagedDocs(t *testing.T) {
	t.Parallel()
	b := compileTest(t, true)
	b[len(b)-1] ^= 1
	table, err := Open(b)
	if err != nil {
		t.Fatalf("the core is whole: %v", err)
	}
	if _, err := table.Docs(); !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v, want %v", err, ErrDamaged)
	}
}
