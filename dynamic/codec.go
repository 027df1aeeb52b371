package dynamic

import (
	"fmt"

	"google.golang.org/grpc/mem"
)

// BytesCodec is the codec of calls whose messages are the bytes that they are on the
// wire: *[]byte. What is received is the caller's.
type BytesCodec struct{}

// Name returns the name of the encoding that the bytes have.
func (BytesCodec) Name() string { return "proto" }

// Marshal takes a *[]byte.
func (BytesCodec) Marshal(v any) (mem.BufferSlice, error) {
	b, ok := v.(*[]byte)
	if !ok {
		return nil, fmt.Errorf("a %T instead of bytes", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(*b)}, nil
}

// Unmarshal fills a *[]byte.
func (BytesCodec) Unmarshal(data mem.BufferSlice, v any) error {
	b, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("a %T instead of bytes", v)
	}
	*b = data.Materialize()
	return nil
}
