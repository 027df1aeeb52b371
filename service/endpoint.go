package service

import (
	"context"
	"fmt"
	"reflect"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

var (
	contextType = reflect.TypeFor[context.Context]()
	errorType   = reflect.TypeFor[error]()
	messageType = reflect.TypeFor[proto.Message]()
	// oldMessageType is what generators before 2020 made.
	oldMessageType = reflect.TypeFor[protoadapt.MessageV1]()
)

// isMessage reports whether t is a pointer to a generated message.
func isMessage(t reflect.Type) bool {
	return t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct && (t.Implements(messageType) || t.Implements(oldMessageType))
}

// descriptorOf returns what a message type is generated from.
func descriptorOf(message reflect.Type) protoreflect.MessageDescriptor {
	m, ok := reflect.TypeAssert[proto.Message](reflect.Zero(message))
	if !ok {
		m = protoadapt.MessageV2Of(reflect.New(message.Elem()).Interface().(protoadapt.MessageV1))
	}
	return m.ProtoReflect().Descriptor()
}

// endpoint is a method of a handler that has one of the forms of
// [Service.Handle].
type endpoint struct {
	name   string
	method reflect.Value
	// The messages that the form names; nil where it leaves them open.
	req, rsp reflect.Type
	// fills is set when the answer is a parameter and not a result.
	fills bool
	// stream is set when the method takes one.
	stream *streamType
}

// parseEndpoint tells whether a method has one of the forms.
func parseEndpoint(name string, method reflect.Value) (endpoint, bool) {
	e := endpoint{name: name, method: method}
	t := method.Type()
	if t.IsVariadic() || t.NumIn() < 2 || t.NumIn() > 3 || t.In(0) != contextType {
		return e, false
	}
	in, out := t.NumIn(), t.NumOut()
	if out == 0 || t.Out(out-1) != errorType {
		return e, false
	}
	if isMessage(t.In(1)) {
		e.req = t.In(1)
	}
	if in == 2 && out == 2 {
		e.rsp = t.Out(0)
		return e, e.req != nil && isMessage(e.rsp)
	}
	if out != 1 {
		return e, false
	}
	last := t.In(in - 1)
	if in == 3 && isMessage(last) {
		e.rsp, e.fills = last, true
		return e, e.req != nil
	}
	st, ok := parseStream(last)
	if !ok || in == 3 && e.req == nil {
		return e, false
	}
	if in == 2 {
		e.req = st.receives
	}
	e.rsp, e.stream = st.sends, &st
	return e, true
}

// serves reports whether the endpoint can answer a gRPC method.
func (e endpoint) serves(m protoreflect.MethodDescriptor) bool {
	if e.name != methodName(m) {
		return false
	}
	if e.method.Type().NumIn() == 2 && e.stream != nil && e.stream.typ == microStream {
		return m.IsStreamingClient() || m.IsStreamingServer() // the first message comes by the stream too
	}
	takesOne := e.stream == nil || e.method.Type().NumIn() == 3
	if takesOne == m.IsStreamingClient() || (e.stream != nil) != (m.IsStreamingClient() || m.IsStreamingServer()) {
		return false
	}
	untyped := e.stream != nil && e.stream.untyped
	return fits(e.req, m.Input(), untyped && !takesOne) && fits(e.rsp, m.Output(), untyped)
}

// methodName returns how Go code calls a gRPC method: as in its .proto file, but exported
// and without underscores.
func methodName(m protoreflect.MethodDescriptor) string {
	var b strings.Builder
	for word := range strings.SplitSeq(string(m.Name()), "_") {
		if word != "" {
			b.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return b.String()
}

func fits(message reflect.Type, want protoreflect.MessageDescriptor, open bool) bool {
	if message == nil {
		return open
	}
	return descriptorOf(message).FullName() == want.FullName()
}

// form writes how a Go method for a gRPC method looks.
func form(m protoreflect.MethodDescriptor) string {
	in, out := goName(m.Input()), goName(m.Output())
	switch {
	case m.IsStreamingClient() && m.IsStreamingServer():
		return fmt.Sprintf("%s(context.Context, *service.BidiStream[%s, %s]) error", methodName(m), in, out)
	case m.IsStreamingClient():
		return fmt.Sprintf("%s(context.Context, *service.ClientStream[%s, %s]) error", methodName(m), in, out)
	case m.IsStreamingServer():
		return fmt.Sprintf("%s(context.Context, *%s, *service.ServerStream[%s]) error", methodName(m), in, out)
	}
	return fmt.Sprintf("%s(context.Context, *%s) (*%s, error)", methodName(m), in, out)
}

// goName returns the name of a message's Go type, or what is nearest to it.
func goName(m protoreflect.MessageDescriptor) string {
	t, err := protoregistry.GlobalTypes.FindMessageByName(m.FullName())
	if err != nil {
		return string(m.FullName())
	}
	return reflect.TypeOf(t.Zero().Interface()).Elem().String()
}

// unary answers a call of one message each way, as a [grpc.MethodDesc] does.
func (e endpoint) unary(path string) grpc.MethodHandler {
	call := func(ctx context.Context, req any) (any, error) {
		in := []reflect.Value{reflect.ValueOf(ctx), reflect.ValueOf(req)}
		if !e.fills {
			out := e.method.Call(in)
			return out[0].Interface(), asError(out[1])
		}
		rsp := reflect.New(e.rsp.Elem())
		err := asError(e.method.Call(append(in, rsp))[0])
		return rsp.Interface(), err
	}
	return func(impl any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
		req := reflect.New(e.req.Elem()).Interface()
		if err := decode(req); err != nil {
			return nil, err
		}
		if intercept == nil {
			return call(ctx, req)
		}
		return intercept(ctx, req, &grpc.UnaryServerInfo{Server: impl, FullMethod: path}, call)
	}
}

// streaming answers a call with a stream, as a [grpc.StreamDesc] does.
func (e endpoint) streaming() grpc.StreamHandler {
	return func(_ any, s grpc.ServerStream) error {
		in := []reflect.Value{reflect.ValueOf(s.Context())}
		if e.method.Type().NumIn() == 3 {
			req := reflect.New(e.req.Elem())
			if err := s.RecvMsg(req.Interface()); err != nil {
				return err
			}
			in = append(in, req)
		}
		return asError(e.method.Call(append(in, e.stream.wrap(s)))[0])
	}
}

func asError(v reflect.Value) error {
	err, _ := reflect.TypeAssert[error](v)
	return err
}
