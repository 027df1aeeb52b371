package dynamic

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/micro/micro/v3/dynamic/wire"
)

func marshal(tb testing.TB, m proto.Message) []byte {
	tb.Helper()
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// orderSchema returns the serialized schema of the shop, with comments.
func orderSchema(tb testing.TB) []byte {
	tb.Helper()
	return marshal(tb, compileProto(tb, "order.proto"))
}

func TestParseSchema(t *testing.T) {
	t.Parallel()
	set := compileProto(t, "order.proto")
	slices.Reverse(set.File) // files come in any order
	raw := marshal(t, set)
	s, err := ParseSchema(raw)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(s.Raw(), raw) {
		t.Error("Raw: got other bytes than those that were read")
	}
	if got, want := s.Digest(), Digest(raw); got != want || len(got) != len("sha256:")+64 {
		t.Errorf("Digest: got %s, want %s", got, want)
	}
	var got []string
	for _, svc := range s.Services() {
		for i := range svc.Methods().Len() {
			m := svc.Methods().Get(i)
			got = append(got, Endpoint(m)+" "+Path(m)+" "+strings.SplitN(Comment(m), "\n", 2)[0])
		}
	}
	want := []string{
		"Orders.Place /shop.v1.Orders/Place Place takes an order.",
		"Orders.Watch /shop.v1.Orders/Watch Watch follows an order.",
		"Orders.Import /shop.v1.Orders/Import ",
		"Orders.Haggle /shop.v1.Orders/Haggle ",
	}
	if !slices.Equal(got, want) {
		t.Errorf("endpoints:\ngot  %q\nwant %q", got, want)
	}

	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			table, err := s.Table()
			if err != nil {
				t.Error(err)
				return
			}
			if _, ok := table.Method("shop.v1.Orders.Place"); !ok {
				t.Error("the table has no Place")
			}
		})
	}
	wg.Wait()
}

// TestParseSchemaNoServices takes a schema of nothing.
func TestParseSchemaNoServices(t *testing.T) {
	t.Parallel()
	s, err := ParseSchema(nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Services(); len(got) != 0 {
		t.Errorf("got %v, want no services", got)
	}
	if _, err := s.Table(); err != nil {
		t.Error(err)
	}
}

// TestWellKnownFiles adds the files of google.protobuf that a schema leaves out, with
// what they import, and no others that this program happens to have.
func TestWellKnownFiles(t *testing.T) {
	t.Parallel()
	importing := func(names ...string) []byte {
		return marshal(t, setOf(file("a.proto", func(f *descriptorpb.FileDescriptorProto) { f.Dependency = names })))
	}
	for _, names := range [][]string{
		{"google/protobuf/timestamp.proto"},
		{"google/protobuf/api.proto"}, // which imports others
		{"google/protobuf/type.proto", "google/protobuf/any.proto"},
		{"google/protobuf/descriptor.proto"},
	} {
		if _, err := ParseSchema(importing(names...)); err != nil {
			t.Errorf("%q: %v", names, err)
		}
	}
	for _, name := range []string{"grpc/health/v1/health.proto", "google/protobuf/nothing.proto", "google/rpc/status.proto", ""} {
		if _, err := ParseSchema(importing(name)); !errors.Is(err, ErrSchema) {
			t.Errorf("%q: got %v, want ErrSchema", name, err)
		}
	}

	own := file("google/protobuf/timestamp.proto", func(f *descriptorpb.FileDescriptorProto) {
		f.Package = new("google.protobuf")
		f.MessageType = []*descriptorpb.DescriptorProto{{Name: new("Own")}}
	})
	s, err := ParseSchema(marshal(t, setOf(own, file("a.proto", func(f *descriptorpb.FileDescriptorProto) {
		f.Dependency = []string{"google/protobuf/timestamp.proto"}
	}))))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Files().FindDescriptorByName("google.protobuf.Own"); err != nil {
		t.Errorf("a file that is there was replaced: %v", err)
	}
}

// repeated returns the wire form of a bytes field over and over, within others.
func repeated(times int, numbers ...protowire.Number) []byte {
	b := bytes.Repeat(append(protowire.AppendTag(nil, numbers[len(numbers)-1], protowire.BytesType), 0), times)
	for _, n := range slices.Backward(numbers[:len(numbers)-1]) {
		b = protowire.AppendBytes(protowire.AppendTag(nil, n, protowire.BytesType), b)
	}
	return b
}

func TestHostileSchemas(t *testing.T) {
	t.Parallel()
	good := orderSchema(t)
	deep := nest(1)
	for range 5_000 {
		deep = &descriptorpb.DescriptorProto{Name: new("M"), NestedType: []*descriptorpb.DescriptorProto{deep}}
	}
	for _, test := range []struct {
		name string
		raw  []byte
		want string
	}{
		{"too large", make([]byte, MaxSchema+1), fmt.Sprintf("it has %d bytes", MaxSchema+1)},
		{"not a schema", []byte("<html>"), "proto"},
		{"cut off", good[:len(good)-1], "proto"},
		{"an import that is missing", marshal(t, setOf(file("a.proto", func(f *descriptorpb.FileDescriptorProto) { f.Dependency = []string{"b.proto"} }))), `could not resolve import "b.proto"`},
		{"a file twice", marshal(t, setOf(file("a.proto", nil), file("a.proto", nil))), "multiple times"},
		{"no end of files", repeated(MaxSchema/2, 1), "more than 2000000 parts"},
		{"no end of messages", repeated(MaxSchema/2-10, 1, 4), "more than 2000000 parts"},
		{"no end of comments", repeated(MaxSchema/2-10, 1, 9, 1), "more than 2000000 parts"},
		{"deep", marshal(t, setOf(file("a.proto", func(f *descriptorpb.FileDescriptorProto) { f.MessageType = append(f.MessageType, deep) }))), "levels deep"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseSchema(test.raw)
			if !errors.Is(err, ErrSchema) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want ErrSchema with %q", err, test.want)
			}
		})
	}
}

// TestSlow sends what the table does not take by way of protojson, and counts it.
func TestSlow(t *testing.T) {
	t.Parallel()
	// A google.protobuf.Value that is none.
	odd := file("google/protobuf/struct.proto", func(f *descriptorpb.FileDescriptorProto) {
		f.Package = new("google.protobuf")
		f.MessageType = []*descriptorpb.DescriptorProto{{Name: new("Value"), Field: []*descriptorpb.FieldDescriptorProto{{
			Name: new("other"), Number: proto.Int32(1), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
			Type: descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum(),
		}}}}
	})
	plain := file("plain.proto", func(f *descriptorpb.FileDescriptorProto) {
		f.MessageType = []*descriptorpb.DescriptorProto{{Name: new("Plain"), Field: odd.MessageType[0].Field}}
	})
	s, err := ParseSchema(marshal(t, setOf(odd, plain)))
	if err != nil {
		t.Fatal(err)
	}
	table, err := s.Table()
	if err != nil {
		t.Fatal(err)
	}
	m, _ := table.Message("p.Plain")
	data, err := s.Encode(m, []byte(`{"other":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := s.Decode(m, data); err != nil || string(text) != `{"other":"x"}` {
		t.Errorf("got %s, %v", text, err)
	}
	if _, err := s.Encode(m, []byte(`{"nothing":1}`)); err == nil {
		t.Error("an unknown field: got no error")
	}
	if got := s.Slow(); got != 0 {
		t.Errorf("what the table takes: got %d the slow way, want none", got)
	}

	v, _ := table.Message("google.protobuf.Value")
	if _, err := v.AppendWire(nil, []byte(`{}`), wire.DecodeOptions{}); !errors.Is(err, wire.ErrUnsupported) {
		t.Fatalf("got %v, want ErrUnsupported", err)
	}
	want := int64(0)
	for _, in := range []string{`{}`, `{"a`, `null`, `"x"`} {
		// protojson's word counts, whatever it is; here it panics.
		if _, err := s.Encode(v, []byte(in)); err == nil {
			t.Errorf("%s: got no error", in)
		}
		want++
		if got := s.Slow(); got != want {
			t.Errorf("%s: got %d the slow way, want %d", in, got, want)
		}
	}
	if _, err := s.Decode(v, []byte{0xff}); err == nil {
		t.Error("what is no message: got no error")
	}
	if got := s.Slow(); got != want+1 {
		t.Errorf("to JSON: got %d the slow way, want %d", got, want+1)
	}
}

// FuzzParseSchema takes any bytes for a schema, or says why not.
func FuzzParseSchema(f *testing.F) {
	f.Add(orderSchema(f))
	f.Add(repeated(10, 1, 4))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := ParseSchema(raw)
		if err != nil {
			if !errors.Is(err, ErrSchema) {
				t.Errorf("got %v, want ErrSchema", err)
			}
			return
		}
		_ = s.Services()
		_, _ = s.Table()
		_ = AddComments(raw, raw)
	})
}
