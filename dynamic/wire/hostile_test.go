package wire

import (
	"bytes"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// seal gives a table that was tampered with valid checksums and sizes.
func seal(b []byte) {
	if len(b) < headerSize {
		return
	}
	copy(b, magic)
	put(b[atVersion:], Version)
	core := min(max(le(b[atCoreSize:]), headerSize), uint32(len(b)))
	put(b[atCoreSize:], core)
	put(b[atDocsSize:], uint32(len(b))-core)
	put(b[atDocsSum:], crc32.ChecksumIEEE(b[core:]))
	put(b[atCoreSum:], checksum(b[:core]))
}

// exercise uses everything that a table has. It fails by panicking or by not
// coming to an end.
func exercise(b []byte) {
	t, err := Open(b)
	if err != nil {
		return
	}
	describe(t)
	docs, _ := t.Docs()
	t.Extension("b.size")
	t.Method("a.Greeter.Hello")
	t.declares("a.Node.side")
	var messages []Message
	for m := range t.Messages() {
		docs.Of(m)
		messages = append(messages, m)
	}
	for _, m := range messages[:min(len(messages), 50)] {
		m.Field("child_nodes")
		m.FieldByNumber(400)
		for _, in := range testJSON {
			_, _ = m.AppendWire(nil, []byte(in), DecodeOptions{DiscardUnknown: true, MaxDepth: 20})
		}
		for _, in := range testWire {
			_, _ = m.AppendJSON(nil, []byte(in), EncodeOptions{MaxDepth: 20})
			_, _ = m.AppendJSON(nil, []byte(in), EncodeOptions{MaxDepth: 20, AllowPartial: true, EmitDefaultValues: true})
		}
	}
}

// testJSON and testWire are inputs that meet as much of the test schema as may be.
var (
	testJSON = []string{
		`{"name":"a","childNodes":[{"must":1},{"must":"2","name":"b"}],"labels":{"a":1,"b":"2"},"color":"BLUE","left":"-1","maybe":true,` +
			`"say \"n\"":[1,-2,3],"detail":{"@type":"x/a.Empty"},"must":1.5,"[b.size]":7,"[a.group]":{"must":1}}`,
		`{"child_nodes":[],"labels":{},"right":"AAEC","numbers":[],"detail":{"must":1,"@type":"a.Node"},"must":"NaN","x":[{"y":null}]}`,
		`"text"`, `[1]`, `12`, `null`, `{"@type":"a.Node"}`,
		`{"a":[1,"x",null,true,{"b":{}}]}`, `"1.5s"`, `"2026-01-01T00:00:00.5Z"`, `"aB,c"`,
		`{"code":1,"details":[{"@type":"google.rpc.ErrorInfo","metadata":{"a":"b"}},{"value":[{}],"@type":"google.protobuf.ListValue"}]}`,
	}
	testWire = []string{
		"\x0a\x01a\x12\x0d\x0a\x01b\x81\x19\x00\x00\x00\x00\x00\x00\xf8\x3f\x1a\x0c\x0a\x01k\x11\x01\x00\x00\x00\x00\x00\x00\x00\x28\x01\x38\x01\x42\x03\x01\x02\x03\x48\x05" +
			"\x52\x0a\x0a\x08x/a.Node\xc3\x3e\x0a\x01g\x81\x19\x00\x00\x00\x00\x00\x00\xf8\x3f\xc4\x3e\xc8\x3e\x07\x81\x19\x00\x00\x00\x00\x00\x00\xf8\x3f",
		"\x81\x19\x00\x00\x00\x00\x00\x00\xf8\x3f\x0a\x01a\x28\x01\x32\x01x\x28\x02\x12\x00\x0a\x01b\x12\x00",
		"\x08\x01\x10\x02", "\x0a\x00", "\x12\x02\x08\x01",
		// {"a":[true,"x"]} as a Struct and [1,{"a":null}] as a Value.
		"\x0a\x10\x0a\x01a\x12\x0b\x32\x09\x0a\x02\x20\x01\x0a\x03\x1a\x01x",
		"\x32\x18\x0a\x09\x11\x00\x00\x00\x00\x00\x00\xf0\x3f\x0a\x0b\x2a\x09\x0a\x07\x0a\x01a\x12\x02\x08\x00",
		"\x08\x01\x1a\x1d\x0a\x1ba/google.protobuf.ListValue\x1a\x1b\x0a\x14google.rpc.ErrorInfo\x12\x03\x0a\x01r",
	}
)

// TestInputs makes sure that the inputs are good for something.
func TestInputs(t *testing.T) {
	t.Parallel()
	node, _ := openTest(t).Message("a.Node")
	if _, err := node.AppendWire(nil, []byte(testJSON[0]), DecodeOptions{}); err != nil {
		t.Error(err)
	}
	if _, err := node.AppendJSON(nil, []byte(testWire[0]), EncodeOptions{}); err != nil {
		t.Error(err)
	}
	table, err := OpenBuiltin()
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"google.protobuf.Struct", "google.protobuf.Value", "google.rpc.Status"} {
		m, _ := table.Message(name)
		if _, err := m.AppendJSON(nil, []byte(testWire[len(testWire)-3+i]), EncodeOptions{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestHostile opens tables that no compiler made and uses what opens.
func TestHostile(t *testing.T) {
	t.Parallel()
	tables := [][]byte{compileTest(t, true), builtin}
	for _, good := range tables {
		exercise(good)
	}
	seed, rounds := uint64(0), 3000
	if soak := os.Getenv("MICRO_SOAK"); soak != "" {
		var err error
		if seed, err = strconv.ParseUint(soak, 10, 32); err != nil {
			t.Fatal(err)
		}
		rounds = 300_000
	}
	rnd := rand.New(rand.NewPCG(seed, 2))
	for i := range rounds {
		bad := bytes.Clone(tables[i%len(tables)])
		for range 1 + rnd.IntN(8) {
			i := rnd.IntN(len(bad))
			switch rnd.IntN(4) {
			case 0:
				bad[i] = byte(rnd.Uint32())
			case 1:
				bad[i] = 0xff
			case 2: // a whole number
				put(bad[min(i&^3, len(bad)-4):], rnd.Uint32())
			case 3: // a small one, which means something more often
				put(bad[min(i&^3, len(bad)-4):], rnd.Uint32N(16))
			}
		}
		seal(bad)
		exercise(bad)
	}
}

// TestHostileMap has a map whose keys are such maps.
func TestHostileMap(t *testing.T) {
	t.Parallel()
	b := compileTest(t, true)
	table, err := Open(b)
	if err != nil {
		t.Fatal(err)
	}
	entry, _ := table.Message("a.Node.LabelsEntry")
	key := b[le(b[atDirectory+8*secFields:])+fieldSize*entry.view().start:]
	put(key[8:], le(key[8:])|flagMap)
	put(key[12:], entry.i)
	seal(b)
	exercise(b)
}

func FuzzOpen(f *testing.F) {
	f.Add(compileTest(f, true), true)
	f.Add(compileTest(f, false), false)
	f.Add([]byte(magic), true)
	f.Fuzz(func(_ *testing.T, b []byte, sealed bool) {
		if sealed {
			seal(b)
		}
		exercise(b)
	})
}

func FuzzAppendWire(f *testing.F) {
	table := openTest(f)
	node, _ := table.Message("a.Node")
	for _, in := range testJSON {
		f.Add([]byte(in), true)
	}
	f.Fuzz(func(t *testing.T, in []byte, discard bool) {
		out, err := node.AppendWire(nil, in, DecodeOptions{DiscardUnknown: discard})
		if err != nil {
			return
		}
		if _, err := node.AppendJSON(nil, out, EncodeOptions{}); err != nil {
			t.Errorf("%s gives %x, which has no JSON: %v", in, out, err)
		}
	})
}

func FuzzAppendJSON(f *testing.F) {
	table := openTest(f)
	node, _ := table.Message("a.Node")
	for _, in := range testWire {
		f.Add([]byte(in), true)
	}
	f.Fuzz(func(t *testing.T, in []byte, partial bool) {
		json, err := node.AppendJSON(nil, in, EncodeOptions{AllowPartial: partial})
		if err != nil {
			return
		}
		out, err := node.AppendWire(nil, json, DecodeOptions{AllowPartial: partial})
		if err != nil {
			t.Fatalf("%x gives %s, which has no wire form: %v", in, json, err)
		}
		again, err := node.AppendJSON(nil, out, EncodeOptions{AllowPartial: partial})
		if err != nil || !bytes.Equal(again, json) {
			t.Errorf("%x gives %s, and that %s (%v)", in, json, again, err)
		}
	})
}
