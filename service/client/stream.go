package client

import (
	"context"
	"sync/atomic"

	"google.golang.org/grpc"
)

// Stream is a call of many messages. One goroutine may send and one receive at a time.
// It ends when a Recv fails, or with its context.
type Stream interface {
	// Context returns the context of the call.
	Context() context.Context
	// Request returns what is called.
	Request() Request
	// Send sends a message. It blocks while the service does not keep up. The error
	// is [io.EOF] when the call has ended; Recv tells why.
	Send(msg any) error
	// Recv waits for the next message. The error is [io.EOF] when the service has
	// sent its last.
	Recv(msg any) error
	// Error returns why the last Send or Recv failed, nil if it did not.
	Error() error
	// Close says that nothing more is sent; what the service answers can still be
	// received.
	Close() error
}

type stream struct {
	grpc   grpc.ClientStream
	req    Request
	single bool // the service takes one message
	state  atomic.Pointer[error]
}

func (s *stream) Context() context.Context { return s.grpc.Context() }
func (s *stream) Request() Request         { return s.req }

func (s *stream) Send(msg any) error {
	err := s.grpc.SendMsg(msg)
	if err == nil && s.single {
		err = s.grpc.CloseSend() // a service that takes one message waits for it
	}
	return s.note(err)
}

func (s *stream) Recv(msg any) error { return s.note(s.grpc.RecvMsg(msg)) }
func (s *stream) Close() error       { return s.grpc.CloseSend() }

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

var _ Stream = (*stream)(nil)
