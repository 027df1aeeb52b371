package service

import (
	"context"
	"reflect"
	"sync/atomic"

	"google.golang.org/grpc"

	"github.com/micro/micro/v3/service/server"
)

// ServerStream answers one message with many; see [Service.Handle]. Like every
// stream here it is used by the one goroutine that sends and the one that
// receives, as [grpc.ServerStream] says, and until the method returns.
//
// It has everything of a [grpc.ServerStreamingServer].
type ServerStream[Rsp any] struct{ grpc.ServerStream }

// Send sends a message. It blocks while the client does not keep up, and fails
// when the call has ended.
func (s *ServerStream[Rsp]) Send(m *Rsp) error { return s.SendMsg(m) }

// ClientStream answers many messages with one; see [Service.Handle].
//
// It has everything of a [grpc.ClientStreamingServer].
type ClientStream[Req, Rsp any] struct{ grpc.ServerStream }

// Recv waits for the next message. The error is [io.EOF] when the client has sent
// its last.
func (s *ClientStream[Req, Rsp]) Recv() (*Req, error) { return recv[Req](s) }

// SendAndClose sends the answer, which is due once, after the last message has
// been received.
func (s *ClientStream[Req, Rsp]) SendAndClose(m *Rsp) error { return s.SendMsg(m) }

// BidiStream takes and sends messages in any order; see [Service.Handle].
//
// It has everything of a [grpc.BidiStreamingServer].
type BidiStream[Req, Rsp any] struct{ grpc.ServerStream }

// Recv waits for the next message. The error is [io.EOF] when the client has sent
// its last.
func (s *BidiStream[Req, Rsp]) Recv() (*Req, error) { return recv[Req](s) }

// Send sends a message. It blocks while the client does not keep up, and fails
// when the call has ended.
func (s *BidiStream[Req, Rsp]) Send(m *Rsp) error { return s.SendMsg(m) }

func recv[Req any](s grpc.ServerStream) (*Req, error) {
	m := new(Req)
	if err := s.RecvMsg(m); err != nil {
		return nil, err
	}
	return m, nil
}

// The three types are what gRPC's generated code takes.
var (
	_ grpc.ServerStreamingServer[int]      = (*ServerStream[int])(nil)
	_ grpc.ClientStreamingServer[int, int] = (*ClientStream[int, int])(nil)
	_ grpc.BidiStreamingServer[int, int]   = (*BidiStream[int, int])(nil)
)

var (
	serverStream = reflect.TypeFor[grpc.ServerStream]()
	microStream  = reflect.TypeFor[server.Stream]()
)

// streamType is the type of a method's last parameter, when that is a stream.
type streamType struct {
	typ reflect.Type
	// The messages that it sends and receives; nil when it has no method for
	// that, or takes any message.
	sends, receives reflect.Type
	untyped         bool
}

// parseStream tells whether t is a stream that can be made from a
// [grpc.ServerStream]: this interface or part of it, or a pointer to a struct
// that embeds it and has no other field; or a [server.Stream].
func parseStream(t reflect.Type) (streamType, bool) {
	st := streamType{typ: t}
	switch {
	case t == microStream:
		st.untyped = true
		return st, true
	case t.Kind() == reflect.Interface:
		_, sends := t.MethodByName("SendMsg")
		_, receives := t.MethodByName("RecvMsg")
		st.untyped = true
		return st, serverStream.Implements(t) && (sends || receives)
	case t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.Struct || t.Elem().NumField() != 1:
		return st, false
	}
	if f := t.Elem().Field(0); f.Type != serverStream || !f.Anonymous {
		return st, false
	}
	for _, name := range []string{"Send", "SendAndClose"} {
		if m, ok := t.MethodByName(name); ok && m.Type.NumIn() == 2 && isMessage(m.Type.In(1)) {
			st.sends = m.Type.In(1)
		}
	}
	if m, ok := t.MethodByName("Recv"); ok && m.Type.NumOut() == 2 && isMessage(m.Type.Out(0)) {
		st.receives = m.Type.Out(0)
	}
	return st, st.sends != nil || st.receives != nil
}

// isGenerated reports whether t is a stream of the code that Micro 3 generated for a
// method: an interface whose values are made in that code.
func isGenerated(t reflect.Type) bool {
	if t.Kind() != reflect.Interface || t == microStream || serverStream.Implements(t) {
		return false
	}
	for _, name := range []string{"Context", "SendMsg", "RecvMsg"} {
		if _, ok := t.MethodByName(name); !ok {
			return false
		}
	}
	_, embeds := t.MethodByName("SendHeader") // as those of gRPC do
	return !embeds
}

// wrap returns a stream of the type over s.
func (t streamType) wrap(s grpc.ServerStream) reflect.Value {
	if t.typ == microStream {
		return reflect.ValueOf(newStream(s))
	}
	if t.untyped {
		return reflect.ValueOf(s)
	}
	v := reflect.New(t.typ.Elem())
	v.Elem().Field(0).Set(reflect.ValueOf(s))
	return v
}

// stream is a [server.Stream] over that of gRPC.
type stream struct {
	grpc  grpc.ServerStream
	req   *request
	state atomic.Pointer[error] // of the last operation
}

func newStream(s grpc.ServerStream) *stream {
	path, _ := grpc.MethodFromServerStream(s)
	return &stream{grpc: s, req: newRequest(s.Context(), path, nil, true)}
}

func (s *stream) Context() context.Context { return s.grpc.Context() }
func (s *stream) Request() server.Request  { return s.req }
func (s *stream) Send(m any) error         { return s.note(s.grpc.SendMsg(m)) }
func (s *stream) Recv(m any) error         { return s.note(s.grpc.RecvMsg(m)) }
func (*stream) Close() error               { return nil }

func (s *stream) note(err error) error {
	s.state.Store(&err)
	return err
}

func (s *stream) Error() error {
	if err := s.state.Load(); err != nil {
		return *err
	}
	return nil
}

var _ server.Stream = (*stream)(nil)
