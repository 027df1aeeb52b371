package server

import (
	"context"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// A request that is no message of its type, as one with text that is not UTF-8, is
// invalid. gRPC answers by itself that the server has failed as soon as its codec does,
// whatever a handler returns then. So the codec takes such a request, and leaves in it
// why it is none; whoever receives it finds that.

// unreadable is what the unknown fields of a message begin with that could not be read:
// the tag of a field that no message has.
const unreadable = 0

// lenientCodec is a codec that takes what cannot be read, and sends what is encoded
// already.
type lenientCodec struct{ encoding.CodecV2 }

func (c lenientCodec) Marshal(v any) (mem.BufferSlice, error) {
	if b, ok := v.(encoded); ok {
		return mem.BufferSlice{mem.SliceBuffer(b)}, nil
	}
	return c.CodecV2.Marshal(v)
}

func (c lenientCodec) Unmarshal(data mem.BufferSlice, v any) error {
	err := c.CodecV2.Unmarshal(data, v)
	m, ok := v.(proto.Message)
	if err == nil || !ok {
		return err
	}
	proto.Reset(m)
	m.ProtoReflect().SetUnknown(append([]byte{unreadable}, err.Error()...))
	return nil
}

// checkReadable returns nil when a message could be read.
func checkReadable(v any) error {
	m, ok := v.(proto.Message)
	if !ok {
		return nil
	}
	if why := m.ProtoReflect().GetUnknown(); len(why) > 0 && why[0] == unreadable {
		return withReason(codes.InvalidArgument, "the request is not a message of its type: "+string(why[1:]), "INVALID")
	}
	return nil
}

// registrar registers services whose unary methods refuse what could not be read, before
// any interceptor sees it.
type registrar struct{ *grpc.Server }

// RegisterService implements [grpc.ServiceRegistrar].
func (r registrar) RegisterService(d *grpc.ServiceDesc, impl any) {
	own := *d
	own.Methods = slices.Clone(d.Methods)
	for i, m := range d.Methods {
		own.Methods[i].Handler = func(srv any, ctx context.Context, decode func(any) error, chain grpc.UnaryServerInterceptor) (any, error) {
			return m.Handler(srv, ctx, func(req any) error {
				if err := decode(req); err != nil {
					return err
				}
				return checkReadable(req)
			}, chain)
		}
	}
	r.Server.RegisterService(&own, impl)
}

// readStream is a stream that refuses what could not be read.
type readStream struct{ grpc.ServerStream }

func (r readStream) RecvMsg(m any) error {
	if err := r.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	return checkReadable(m)
}
