package dynamic

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/micro/micro/v3/dynamic/wire"
)

// The benchmarks measure the tables against dynamicpb with protojson in the same
// run and report how many times faster they are as "x". The message is an order
// of about 2 kB in wire form.

func orderAPI(tb testing.TB) *api {
	tb.Helper()
	a, err := newAPI(compileProto(tb, "order.proto"))
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

// ratio does one thing in two ways by turns and reports how many times faster
// the first is: the median of many rounds. Only the first counts as the
// benchmark.
func ratio(b *testing.B, fast, slow func()) {
	b.Helper()
	measure := func(f func(), n int) float64 {
		start := time.Now()
		for range n {
			f()
		}
		return float64(time.Since(start)) / float64(n)
	}
	measure(fast, 1000)
	measure(slow, 100)
	ratios := make([]float64, 101)
	for i := range ratios {
		ratios[i] = measure(slow, 20) / measure(fast, 200)
	}
	slices.Sort(ratios)
	b.ReportAllocs()
	for b.Loop() {
		fast()
	}
	b.ReportMetric(ratios[len(ratios)/2], "x")
}

// order returns the message that is measured, in both forms.
func order(b *testing.B, m wire.Message) (json, data []byte) {
	b.Helper()
	data, err := m.AppendWire(nil, orderJSON(b), wire.DecodeOptions{})
	if err != nil {
		b.Fatal(err)
	}
	if json, err = m.AppendJSON(nil, data, wire.EncodeOptions{}); err != nil {
		b.Fatal(err)
	}
	b.Logf("%d bytes of JSON, %d of wire form", len(json), len(data))
	return json, data
}

func BenchmarkTranscodeJSONToWire(b *testing.B) {
	a := orderAPI(b)
	d, m := a.message(b, "shop.v1.Order")
	in, _ := order(b, m)
	dst := make([]byte, 0, 4<<10)
	b.SetBytes(int64(len(in)))
	ratio(b, func() {
		if _, err := m.AppendWire(dst, in, wire.DecodeOptions{}); err != nil {
			b.Fatal(err)
		}
	}, func() {
		msg := dynamicpb.NewMessage(d)
		if err := protojson.Unmarshal(in, msg); err != nil {
			b.Fatal(err)
		}
		if _, err := proto.Marshal(msg); err != nil {
			b.Fatal(err)
		}
	})
}

func BenchmarkTranscodeWireToJSON(b *testing.B) {
	a := orderAPI(b)
	d, m := a.message(b, "shop.v1.Order")
	_, in := order(b, m)
	dst := make([]byte, 0, 8<<10)
	b.SetBytes(int64(len(in)))
	ratio(b, func() {
		if _, err := m.AppendJSON(dst, in, wire.EncodeOptions{}); err != nil {
			b.Fatal(err)
		}
	}, func() {
		msg := dynamicpb.NewMessage(d)
		if err := proto.Unmarshal(in, msg); err != nil {
			b.Fatal(err)
		}
		if _, err := protojson.Marshal(msg); err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkTranscodeUnordered has the fields in the order in which dynamicpb
// writes them, which is none: the tables do it in their slower way.
func BenchmarkTranscodeUnordered(b *testing.B) {
	a := orderAPI(b)
	d, m := a.message(b, "shop.v1.Order")
	_, in := order(b, m)
	msg := dynamicpb.NewMessage(d)
	if err := proto.Unmarshal(in, msg); err != nil {
		b.Fatal(err)
	}
	in, err := proto.Marshal(msg)
	if err != nil {
		b.Fatal(err)
	}
	dst := make([]byte, 0, 8<<10)
	b.SetBytes(int64(len(in)))
	ratio(b, func() {
		if _, err := m.AppendJSON(dst, in, wire.EncodeOptions{}); err != nil {
			b.Fatal(err)
		}
	}, func() {
		msg := dynamicpb.NewMessage(d)
		if err := proto.Unmarshal(in, msg); err != nil {
			b.Fatal(err)
		}
		if _, err := protojson.Marshal(msg); err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkTranscodeSmall is the request of a first service.
func BenchmarkTranscodeSmall(b *testing.B) {
	a := orderAPI(b)
	d, m := a.message(b, "shop.v1.GetRequest")
	in := []byte(`{"id":"Alice"}`)
	dst := make([]byte, 0, 64)
	ratio(b, func() {
		if _, err := m.AppendWire(dst, in, wire.DecodeOptions{}); err != nil {
			b.Fatal(err)
		}
	}, func() {
		msg := dynamicpb.NewMessage(d)
		if err := protojson.Unmarshal(in, msg); err != nil {
			b.Fatal(err)
		}
		if _, err := proto.Marshal(msg); err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkOpen opens the table of a service with a few hundred messages.
func BenchmarkOpen(b *testing.B) {
	files, err := NewFiles(manyMessages(300, 15))
	if err != nil {
		b.Fatal(err)
	}
	table, err := Compile(files, CompileOptions{})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(table)))
	for b.Loop() {
		if _, err := wire.Open(table); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	files, err := NewFiles(compileProto(b, "order.proto"))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := Compile(files, CompileOptions{Docs: true}); err != nil {
			b.Fatal(err)
		}
	}
}
