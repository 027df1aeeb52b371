package dynamic

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/micro/micro/v3/dynamic/wire"
)

// TestLengths nests messages and strings whose lengths are around those at which
// the length itself becomes longer.
func TestLengths(t *testing.T) {
	t.Parallel()
	var schemas fixtures
	a := schemas.load(t, "proto3.proto")
	d, m := a.message(t, "three.All")
	for _, n := range []int{0, 1, 100, 125, 126, 127, 128, 129, 16_379, 16_380, 16_381, 16_382, 16_383, 16_384} {
		text := strings.Repeat("x", n)
		for _, in := range []string{
			fmt.Sprintf(`{"fString":%q}`, text),
			fmt.Sprintf(`{"fMessage":{"fString":%q},"rMessage":[{},{"fMessage":{"fString":%q}}],"mMessage":{"1":{"oneString":%q}},"any":{"@type":"three.All","fString":%q}}`,
				text, text, text, text),
			`{"rInt32":[` + strings.TrimSuffix(strings.Repeat("1,", n), ",") + `]}`,
		} {
			if _, err := a.compareDecode(d, m, []byte(in), wire.DecodeOptions{}); err != nil {
				t.Errorf("%d: %.200v", n, err)
			}
		}
	}
}

// TestManyFields has more fields than there are bits in a word.
func TestManyFields(t *testing.T) {
	t.Parallel()
	a, err := newAPI(manyMessages(1, 300))
	if err != nil {
		t.Fatal(err)
	}
	d, m := a.message(t, "many.v1.Message0000")
	var in strings.Builder
	for i := 299; i >= 0; i -= 3 {
		fmt.Fprintf(&in, `,"someField%d":"%d"`, i, i)
	}
	object := "{" + in.String()[1:]
	for _, test := range []struct {
		name, in string
		accepted bool
	}{
		{"once", object + "}", true},
		{"twice", object + `,"some_field_299":""}`, false},
		{"twice in the middle", object + `,"some_field_128":"","someField128":""}`, false},
	} {
		accepted, err := a.compareDecode(d, m, []byte(test.in), wire.DecodeOptions{})
		if err != nil || accepted != test.accepted {
			t.Errorf("%s: got %t, want %t (%v)", test.name, accepted, test.accepted, err)
		}
	}
}

// TestNested has inputs that take a time which grows with the square of their
// size, or worse, if anything is looked at once for each level. Then it does not
// come to an end.
func TestNested(t *testing.T) {
	t.Parallel()
	const levels = 9000
	var schemas fixtures
	padding := strings.Repeat(" ", 4<<20)
	content := `"rInt32":[` + strings.Repeat("1,", 500_000) + "1]"

	t.Run("messages", func(t *testing.T) {
		t.Parallel()
		_, m := schemas.load(t, "proto3.proto").message(t, "three.All")
		in := strings.Repeat(`{"fMessage":`, levels) + "{" + content + "}" + strings.Repeat("}", levels)
		out := convert(t, m, in)
		if len(out) != len(in) {
			t.Errorf("%d bytes became %d", len(in), len(out))
		}
	})
	t.Run("any with the type behind", func(t *testing.T) {
		t.Parallel()
		_, m := schemas.load(t, "proto3.proto").message(t, "three.All")
		const depth = levels / 2
		in := strings.Repeat(`{"any":`, depth) + "{" + content + padding + `,"@type":"three.All"}` + strings.Repeat(`,"@type":"three.All"}`, depth-1) + "}"
		convert(t, m, in)
	})
	t.Run("unknown fields", func(t *testing.T) {
		t.Parallel()
		_, m := schemas.load(t, "proto3.proto").message(t, "three.All")
		in := strings.Repeat(`{"fMessage":`, levels/2) + `{"x":` + strings.Repeat("[", levels/2) + padding + strings.Repeat("]", levels/2) + "}" + strings.Repeat("}", levels/2)
		if _, err := m.AppendWire(nil, []byte(in), wire.DecodeOptions{DiscardUnknown: true}); err != nil {
			t.Error(err)
		}
	})
	t.Run("groups", func(t *testing.T) {
		t.Parallel()
		_, m := schemas.load(t, "editions.proto").message(t, "ed.Mixed")
		in := num(3, 1)
		in = append(in, bytes.Repeat(num(4, 1), 500_000)...)
		var data []byte
		for range levels {
			data = protowire.AppendTag(append(data, num(3, 1)...), 5, protowire.StartGroupType)
		}
		data = append(data, in...)
		for range levels {
			data = protowire.AppendTag(data, 5, protowire.EndGroupType)
		}
		if _, err := m.AppendJSON(nil, data, wire.EncodeOptions{}); err != nil {
			t.Error(err)
		}
		// And in the way that is slower, as a field comes twice.
		if _, err := m.AppendJSON(nil, append(data, num(3, 2)...), wire.EncodeOptions{}); err != nil {
			t.Error(err)
		}
	})
	t.Run("messages that come twice", func(t *testing.T) {
		t.Parallel()
		_, m := schemas.load(t, "proto3.proto").message(t, "three.All")
		// Every level is there twice, and is to be merged.
		var data []byte
		for range 16 {
			data = join(msg(19, data), msg(19, data), num(5, 1))
		}
		if _, err := m.AppendJSON(nil, data, wire.EncodeOptions{}); err != nil {
			t.Error(err)
		}
	})
	t.Run("too deep", func(t *testing.T) {
		t.Parallel()
		_, m := schemas.load(t, "proto3.proto").message(t, "three.All")
		in := strings.Repeat(`{"fMessage":`, 1_000_000)
		_, err := m.AppendWire(nil, []byte(in), wire.DecodeOptions{})
		if e := (&wire.Error{}); !errors.As(err, &e) || e.Reason != "nested too deeply" || len(e.Path) > 1000 {
			t.Errorf("got %.300v", err)
		}
		// An Any in an Any begins with a fresh depth, but not without end.
		_, err = m.AppendJSON(nil, msg(60, nestedAnys(wire.MaxDepth)), wire.EncodeOptions{})
		if e := (&wire.Error{}); !errors.As(err, &e) || e.Reason != "nested too deeply" {
			t.Errorf("got %.300v", err)
		}
	})
}

// nestedAnys returns the wire form of an Any in an Any and so on.
func nestedAnys(levels int) []byte {
	typ := str(1, "google.protobuf.Any")
	buf := make([]byte, levels*(len(typ)+10))
	pos := len(buf)
	for range levels {
		head := protowire.AppendVarint(protowire.AppendTag(slices.Clip(typ), 2, protowire.BytesType), uint64(len(buf)-pos))
		pos -= len(head)
		copy(buf[pos:], head)
	}
	return buf[pos:]
}

// convert returns what becomes of JSON on the way there and back.
func convert(t *testing.T, m wire.Message, in string) []byte {
	t.Helper()
	data, err := m.AppendWire(nil, []byte(in), wire.DecodeOptions{})
	if err != nil {
		t.Fatalf("%.300v", err)
	}
	out, err := m.AppendJSON(nil, data, wire.EncodeOptions{})
	if err != nil {
		t.Fatalf("%.300v", err)
	}
	return out
}

// TestAppend appends to what is there, and leaves it alone when it fails.
func TestAppend(t *testing.T) {
	t.Parallel()
	a := orderAPI(t)
	_, m := a.message(t, "shop.v1.GetRequest")
	for _, spare := range []int{0, 1, 1000} {
		dst := append(make([]byte, 0, 3+spare), "abc"...)
		got, err := m.AppendWire(dst, []byte(`{"id":"x"}`), wire.DecodeOptions{})
		if want := "abc\x0a\x01x"; err != nil || string(got) != want {
			t.Errorf("got %q, want %q (%v)", got, want, err)
		}
		if got, err := m.AppendWire(dst, []byte(`{"id":"x"`), wire.DecodeOptions{}); err == nil || string(got) != "abc" {
			t.Errorf("got %q (%v)", got, err)
		}
		got, err = m.AppendJSON(dst, []byte("\x0a\x01x"), wire.EncodeOptions{})
		if want := `abc{"id":"x"}`; err != nil || string(got) != want {
			t.Errorf("got %q, want %q (%v)", got, want, err)
		}
		if got, err := m.AppendJSON(dst, []byte("\x0a\x01"), wire.EncodeOptions{}); err == nil || string(got) != "abc" {
			t.Errorf("got %q (%v)", got, err)
		}
	}
}

// TestConcurrent shares one table.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	a := orderAPI(t)
	_, m := a.message(t, "shop.v1.Order")
	in := orderJSON(t)
	want := convert(t, m, string(in))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 50 {
				if _, err := m.AppendWire(nil, in[:i], wire.DecodeOptions{}); err == nil {
					t.Error("half an order was taken")
				}
				data, err := m.AppendWire(nil, in, wire.DecodeOptions{})
				if err != nil {
					t.Error(err)
				}
				if got, err := m.AppendJSON(nil, data, wire.EncodeOptions{}); err != nil || !bytes.Equal(got, want) {
					t.Errorf("got %s (%v)", got, err)
				}
			}
		})
	}
	wg.Wait()
}

// TestResolve has an Any with a type of another table.
func TestResolve(t *testing.T) {
	t.Parallel()
	var schemas fixtures
	_, all := schemas.load(t, "proto3.proto").message(t, "three.All")
	_, order := schemas.load(t, "order.proto").message(t, "shop.v1.Order")
	asked := []string{}
	resolve := func(name string) (wire.Message, bool) {
		asked = append(asked, name)
		if name == "shop.v1.Order" {
			return order, true
		}
		return wire.Message{}, name == "not.Valid"
	}
	const in = `{"anys":[{"@type":"x/shop.v1.Order","id":"1","status":"STATUS_PAID"},{"@type":"x/three.All","any":{"@type":"x/shop.v1.Order","customer":{"fullName":"A"}}}]}`
	data, err := all.AppendWire(nil, []byte(in), wire.DecodeOptions{Resolve: resolve})
	if err != nil {
		t.Fatal(err)
	}
	got, err := all.AppendJSON(nil, data, wire.EncodeOptions{Resolve: resolve})
	if err != nil || string(got) != in {
		t.Errorf("got %s, want %s (%v)", got, in, err)
	}
	if want := 4; len(asked) != want {
		t.Errorf("asked for %q", asked)
	}
	for _, name := range []string{"not.Valid", "not.There"} {
		if _, err := all.AppendWire(nil, []byte(`{"any":{"@type":"`+name+`"}}`), wire.DecodeOptions{Resolve: resolve}); !errors.Is(err, wire.ErrUnknownType) {
			t.Errorf("%s: got %v", name, err)
		}
		if _, err := all.AppendJSON(nil, msg(60, str(1, name)), wire.EncodeOptions{Resolve: resolve}); !errors.Is(err, wire.ErrUnknownType) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestIndent indents what the tables write.
func TestIndent(t *testing.T) {
	t.Parallel()
	a := orderAPI(t)
	_, m := a.message(t, "shop.v1.Order")
	compact := convert(t, m, string(orderJSON(t)))
	var want bytes.Buffer
	if err := json.Indent(&want, compact, "", "\t"); err != nil {
		t.Fatal(err)
	}
	if got := wire.AppendIndent(nil, compact, "\t"); !bytes.Equal(got, want.Bytes()) {
		t.Errorf("got %s", got)
	}
}
