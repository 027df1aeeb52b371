// Package server is what the generated code of a service registers handlers with:
//
//	pb.RegisterHelloworldHandler(srv.Server(), new(handler.Helloworld))
//
// A [Server] is had from service.Service, which describes it and its life cycle.
package server

import (
	"context"

	"google.golang.org/grpc"
)

// Server takes handlers and subscribers.
type Server interface {
	// Code that grpc-go's generator made registers with it as well.
	grpc.ServiceRegistrar

	// Handle makes a handler answer calls. What is wrong with it is returned here,
	// and again when the service starts.
	Handle(Handler) error
	// NewHandler makes a handler of a struct, or of a pointer to one. Its methods
	// have the forms that service.Service.Handle describes; the stream of one may
	// be a [Stream].
	NewHandler(v any, opts ...HandlerOption) Handler
	// Subscribe makes a subscriber get what is published to its topic, from when the
	// service is started.
	Subscribe(Subscriber) error
	// NewSubscriber makes a subscriber of a function, or of a struct with methods, as
	// service.Service.Subscribe describes.
	NewSubscriber(topic string, v any, opts ...SubscriberOption) Subscriber

	// Options returns what the service is.
	Options() Options
	// String returns "grpc".
	String() string
}

// Options are what a server is.
type Options struct {
	// Name and Version are those of the service.
	Name, Version string
	// Id tells the instances of a service apart.
	Id string
	// Address is where it listens, empty before it does.
	Address string
	// Metadata is what the service tells about itself.
	Metadata map[string]string
}

// Option is a name that generated code refers to. What a service is, the options of
// package service say.
type Option func(*Options)

// Handler is a struct whose methods answer calls.
type Handler struct {
	name    string
	value   any
	options HandlerOptions
}

// NewHandler returns a handler.
func NewHandler(name string, v any, opts ...HandlerOption) Handler {
	h := Handler{name: name, value: v, options: HandlerOptions{Metadata: map[string]map[string]string{}}}
	for _, o := range opts {
		o(&h.options)
	}
	return h
}

// Name returns the name of the struct.
func (h Handler) Name() string { return h.name }

// Handler returns the struct.
func (h Handler) Handler() any { return h.value }

// Options returns what was said of it.
func (h Handler) Options() HandlerOptions { return h.options }

// HandlerOptions are what is said of a handler.
type HandlerOptions struct {
	// Internal handlers are not for other services. It is for rules to see to that.
	Internal bool
	// Metadata says something of endpoints, by their names, such as "Helloworld.Call".
	Metadata map[string]map[string]string
}

// HandlerOption says something of a handler.
type HandlerOption func(*HandlerOptions)

// EndpointMetadata says something of an endpoint.
func EndpointMetadata(endpoint string, md map[string]string) HandlerOption {
	return func(o *HandlerOptions) { o.Metadata[endpoint] = md }
}

// InternalHandler marks a handler as not being for other services.
func InternalHandler(b bool) HandlerOption { return func(o *HandlerOptions) { o.Internal = b } }

// HandlerFunc answers a call: it reads the request and fills the response, both of them
// messages. Of a call with a stream the response is that [Stream].
type HandlerFunc func(ctx context.Context, req Request, rsp any) error

// HandlerWrapper does something around each call, for example counts it or refuses it.
type HandlerWrapper func(HandlerFunc) HandlerFunc

// Request is a call as a [HandlerFunc] sees it.
type Request interface {
	// Service returns the name of the service that is called.
	Service() string
	// Method and Endpoint return what is called, for example "Helloworld.Call".
	Method() string
	Endpoint() string
	// ContentType returns how messages are written, "application/grpc+proto".
	ContentType() string
	// Header returns what came along: see package context/metadata.
	Header() map[string]string
	// Body returns the message; nil of a call with a stream.
	Body() any
	// Stream reports whether it is a call with a stream.
	Stream() bool
}

// Stream is a call of many messages. One goroutine may send and one receive at a time.
type Stream interface {
	// Context returns the context of the call.
	Context() context.Context
	// Request returns what is called.
	Request() Request
	// Send sends a message. It blocks while the client does not keep up.
	Send(msg any) error
	// Recv waits for the next message. The error is [io.EOF] when the client has
	// sent its last.
	Recv(msg any) error
	// Error returns why the last Send or Recv failed, nil if it did not.
	Error() error
	// Close does nothing: the stream ends when its handler returns.
	Close() error
}
