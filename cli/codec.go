package cli

import (
	"fmt"

	"google.golang.org/grpc/mem"
)

// bytesCodec passes messages through as the bytes that they are: *[]byte.
type bytesCodec struct{}

// Name returns the name of the encoding that the bytes have.
func (bytesCodec) Name() string { return "proto" }

// Marshal takes a *[]byte.
func (bytesCodec) Marshal(v any) (mem.BufferSlice, error) {
	b, ok := v.(*[]byte)
	if !ok {
		return nil, fmt.Errorf("a %T instead of bytes", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(*b)}, nil
}

// Unmarshal fills a *[]byte.
func (bytesCodec) Unmarshal(data mem.BufferSlice, v any) error {
	b, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("a %T instead of bytes", v)
	}
	*b = data.Materialize()
	return nil
}
