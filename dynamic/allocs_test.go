//go:build !race

package dynamic

import (
	"testing"

	"github.com/micro/micro/v3/dynamic/wire"
)

// TestAllocs holds the conversions to no allocation with buffers that are large
// enough. The race detector makes pools forget, so it is not there with it.
func TestAllocs(t *testing.T) {
	a := orderAPI(t)
	_, m := a.message(t, "shop.v1.Order")
	in := orderJSON(t)
	dst := make([]byte, 0, 8<<10)
	data, err := m.AppendWire(nil, in, wire.DecodeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := m.AppendWire(dst, in, wire.DecodeOptions{}); err != nil {
			t.Error(err)
		}
	}); n >= 1 {
		t.Errorf("%v allocations from JSON", n)
	}
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := m.AppendJSON(dst, data, wire.EncodeOptions{}); err != nil {
			t.Error(err)
		}
	}); n >= 1 {
		t.Errorf("%v allocations to JSON", n)
	}
}
