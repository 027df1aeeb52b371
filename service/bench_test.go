package service

import (
	"context"
	"testing"

	"google.golang.org/grpc"

	"github.com/micro/micro/v3/service/testdata/greet"
)

// BenchmarkDispatch compares what it costs to get from grpc to a method of a
// plain struct with what generated code needs for the same.
func BenchmarkDispatch(b *testing.B) {
	desc, _, err := describe(new(Named))
	if err != nil {
		b.Fatal(err)
	}
	decode := func(v any) error {
		v.(*greet.HelloRequest).Name = "Alice"
		return nil
	}
	for name, tc := range map[string]struct {
		desc *grpc.ServiceDesc
		impl any
	}{
		"struct":    {desc, new(Named)},
		"generated": {&greet.Greeter_ServiceDesc, Generated{}},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := tc.desc.Methods[0].Handler(tc.impl, context.Background(), decode, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkHandle(b *testing.B) {
	for b.Loop() {
		if _, _, err := describe(new(Greeter)); err != nil {
			b.Fatal(err)
		}
	}
}
