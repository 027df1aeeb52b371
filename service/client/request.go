package client

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	micro "github.com/micro/micro/v3/service/context/metadata"
)

// Request describes a call.
type Request interface {
	// Service returns the name of the service.
	Service() string
	// Method and Endpoint return what is called, for example "Accounts.Get".
	Method() string
	Endpoint() string
	// ContentType returns how the message is written.
	ContentType() string
	// Body returns the message.
	Body() any
	// Stream reports whether it was said to be a call of many messages.
	Stream() bool
}

// NewRequest describes a call of an endpoint of a service. The endpoint is named as
// Service.Method, or by the path that gRPC has for it.
//
// The request is a message of the endpoint's type, and so is the answer; or one of them
// is something else that JSON can say, and the call is made by the schema that the
// registry has of the service.
func NewRequest(service, endpoint string, req any, opts ...RequestOption) Request {
	r := &request{service: service, endpoint: endpoint, body: req, options: RequestOptions{ContentType: "application/grpc+proto"}}
	for _, o := range opts {
		o(&r.options)
	}
	return r
}

// RequestOption says something of a request.
type RequestOption func(*RequestOptions)

// RequestOptions are what the options of a request have set.
type RequestOptions struct {
	ContentType string
	Stream      bool
}

// WithContentType says how the message is written. It changes nothing: a message is sent
// as the service understands it.
func WithContentType(ct string) RequestOption { return func(o *RequestOptions) { o.ContentType = ct } }

// StreamingRequest says that it is a call of many messages.
func StreamingRequest() RequestOption { return func(o *RequestOptions) { o.Stream = true } }

type request struct {
	service, endpoint string
	body              any
	options           RequestOptions
}

func (r *request) Service() string     { return r.service }
func (r *request) Method() string      { return r.endpoint }
func (r *request) Endpoint() string    { return r.endpoint }
func (r *request) ContentType() string { return r.options.ContentType }
func (r *request) Body() any           { return r.body }
func (r *request) Stream() bool        { return r.options.Stream }

// isMessage reports whether v is a generated message.
func isMessage(v any) bool {
	switch v.(type) {
	case proto.Message, protoadapt.MessageV1:
		return true
	default:
		return false
	}
}

// method is what an endpoint is on the wire.
type method struct {
	path          string
	clientStreams bool
}

// methods holds those that were found, by what was asked for.
var methods sync.Map //nolint:gochecknoglobals // what is in the program does not change

type methodKey struct {
	service, endpoint string
	body              reflect.Type
}

// find returns the method that an endpoint names, by the .proto files that are in this
// program: of the gRPC services with that name it is the one that takes the message, and
// of several the one in the package of the message or called like the service.
func find(service, endpoint string, body any) (method, error) {
	if strings.HasPrefix(endpoint, "/") {
		return method{path: endpoint, clientStreams: true}, nil
	}
	key := methodKey{service, endpoint, reflect.TypeOf(body)}
	if m, ok := methods.Load(key); ok {
		return m.(method), nil
	}
	name, verb, ok := cutEndpoint(endpoint)
	if !ok {
		return method{}, status.Errorf(codes.InvalidArgument, "the endpoint %q of %s is not of the form Service.Method", endpoint, service)
	}
	m := method{path: fmt.Sprintf("/%s.%s/%s", strings.ReplaceAll(service, "-", "_"), name, verb), clientStreams: true}
	var message protoreflect.MessageDescriptor
	switch v := body.(type) {
	case proto.Message:
		message = v.ProtoReflect().Descriptor()
	case protoadapt.MessageV1:
		message = protoadapt.MessageV2Of(v).ProtoReflect().Descriptor()
	default:
		return m, nil
	}
	best := 0
	protoregistry.GlobalFiles.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		s := f.Services().ByName(protoreflect.Name(name))
		if s == nil {
			return true
		}
		d := s.Methods().ByName(protoreflect.Name(verb))
		if d == nil || d.Input().FullName() != message.FullName() {
			return true
		}
		rank := 1
		if f.Package() == message.ParentFile().Package() {
			rank = 2
		}
		if string(f.Package()) == service {
			rank = 3
		}
		if rank > best {
			best = rank
			m = method{path: fmt.Sprintf("/%s/%s", s.FullName(), d.Name()), clientStreams: d.IsStreamingClient()}
		}
		return true
	})
	methods.Store(key, m)
	return m, nil
}

func cutEndpoint(endpoint string) (service, method string, ok bool) {
	service, method, ok = strings.Cut(endpoint, ".")
	return service, method, ok && service != "" && method != "" && !strings.ContainsAny(method, "./")
}

// forward returns a context whose calls have the metadata of it, as package
// context/metadata says, but for what belongs to one hop.
func forward(ctx context.Context) context.Context {
	md, ok := micro.FromContext(ctx)
	if !ok {
		return ctx
	}
	out, _ := metadata.FromOutgoingContext(ctx)
	pairs := make([]string, 0, 2*len(md))
	for name, value := range md {
		name = strings.ToLower(name)
		if len(out.Get(name)) == 0 && forwardable(name) {
			pairs = append(pairs, name, value)
		}
	}
	return metadata.AppendToOutgoingContext(ctx, pairs...)
}

func forwardable(name string) bool {
	switch name {
	case "micro-namespace":
		return true
	case "authorization", "cookie", "content-type", "content-length", "user-agent", "te", "connection", "host",
		"transfer-encoding", "upgrade", "x-request-id", "traceparent", "tracestate", "baggage":
		return false // of the hop, or passed on for every call
	}
	return !strings.HasPrefix(name, "micro-") && !strings.HasPrefix(name, "grpc-") && !strings.HasPrefix(name, ":")
}
