package service

import (
	"context"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/micro/micro/v3/service/context/metadata"
	"github.com/micro/micro/v3/service/internal/call"
	"github.com/micro/micro/v3/service/server"
)

// wrapUnary calls a handler through the wrappers of [WrapHandler]. These see the answer
// as a message that is filled, which is then the answer.
func (s *Service) wrapUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if len(s.opts.wrapHandler) == 0 || standard(info.FullMethod) {
		return handler(ctx, req)
	}
	rsp := newAnswer(info.FullMethod)
	inner := func(ctx context.Context, _ server.Request, filled any) error {
		out, err := handler(ctx, req)
		if err != nil {
			return err
		}
		to, ok := filled.(proto.Message)
		if from, isMessage := out.(proto.Message); ok && isMessage && from.ProtoReflect().Descriptor() == to.ProtoReflect().Descriptor() {
			proto.Reset(to)
			proto.Merge(to, from)
		} else {
			rsp = out // of a type that was not known before
		}
		return nil
	}
	err := s.wrapped(inner)(ctx, newRequest(ctx, info.FullMethod, req, false), rsp)
	if err != nil {
		return nil, err
	}
	return rsp, nil
}

// wrapStream is wrapUnary for a call of many messages.
func (s *Service) wrapStream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if len(s.opts.wrapHandler) == 0 || standard(info.FullMethod) {
		return handler(srv, ss)
	}
	inner := func(ctx context.Context, _ server.Request, _ any) error { return handler(srv, &begun{ss, ctx}) }
	st := newStream(ss)
	return s.wrapped(inner)(ss.Context(), st.req, st)
}

// wrapped returns a function with all wrappers around it.
func (s *Service) wrapped(f server.HandlerFunc) server.HandlerFunc {
	for _, wrap := range slices.Backward(s.opts.wrapHandler) {
		f = wrap(f)
	}
	return f
}

// newAnswer returns an empty message of the type that a method answers with; nil when it
// is not in this program.
func newAnswer(path string) any {
	name := strings.ReplaceAll(strings.TrimPrefix(path, "/"), "/", ".")
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
	if err != nil {
		return nil
	}
	m, ok := d.(protoreflect.MethodDescriptor)
	if !ok {
		return nil
	}
	t, err := protoregistry.GlobalTypes.FindMessageByName(m.Output().FullName())
	if err != nil {
		return nil
	}
	return t.New().Interface()
}

// request is a [server.Request].
type request struct {
	service, endpoint string
	header            metadata.Metadata
	body              any
	stream            bool
}

func newRequest(ctx context.Context, path string, body any, stream bool) *request {
	r := &request{body: body, stream: stream, endpoint: strings.TrimPrefix(path, "/")}
	if c := call.From(ctx); c != nil {
		r.service, r.endpoint = c.Service, c.Endpoint
	}
	r.header, _ = metadata.FromContext(ctx)
	return r
}

func (r *request) Service() string           { return r.service }
func (r *request) Method() string            { return r.endpoint }
func (r *request) Endpoint() string          { return r.endpoint }
func (*request) ContentType() string         { return "application/grpc+proto" }
func (r *request) Header() map[string]string { return r.header }
func (r *request) Body() any                 { return r.body }
func (r *request) Stream() bool              { return r.stream }

var _ server.Request = (*request)(nil)
