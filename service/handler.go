package service

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// handler is a struct whose methods shall answer calls.
type handler struct {
	name      string // of its type
	value     reflect.Value
	endpoints []endpoint // ordered by name
}

// describe finds the gRPC service that v is for and describes it to grpc. The notes are
// what its author should know.
func describe(v any) (desc *grpc.ServiceDesc, notes []string, err error) {
	h, err := parseHandler(v)
	if err != nil {
		return nil, nil, err
	}
	service, err := h.find()
	if err != nil {
		return nil, nil, err
	}
	if err := h.check(service); err != nil {
		return nil, nil, err
	}
	desc = &grpc.ServiceDesc{
		ServiceName: string(service.FullName()),
		HandlerType: (*any)(nil),
		Metadata:    service.ParentFile().Path(),
	}
	for _, name := range h.others(service) {
		notes = append(notes, fmt.Sprintf("%s has no method %s: nobody can call that of %s", service.FullName(), name, typeName(v)))
	}
	for _, m := range methods(service) {
		e := h.endpoint(m)
		path := fmt.Sprintf("/%s/%s", service.FullName(), m.Name())
		if e == nil { // see check
			note := fmt.Sprintf("%s takes a stream that only generated code can make: register %s with the function that the generated code has for it", path[1:], typeName(v))
			notes = append(notes, note)
			desc.Streams = append(desc.Streams, grpc.StreamDesc{
				StreamName:    string(m.Name()),
				Handler:       func(any, grpc.ServerStream) error { return status.Error(codes.Unimplemented, note) },
				ServerStreams: m.IsStreamingServer(),
				ClientStreams: m.IsStreamingClient(),
			})
			continue
		}
		if e.stream == nil {
			desc.Methods = append(desc.Methods, grpc.MethodDesc{MethodName: string(m.Name()), Handler: e.unary(path)})
			continue
		}
		desc.Streams = append(desc.Streams, grpc.StreamDesc{
			StreamName:    string(m.Name()),
			Handler:       e.streaming(),
			ServerStreams: m.IsStreamingServer(),
			ClientStreams: m.IsStreamingClient(),
		})
	}
	return desc, notes, nil
}

func parseHandler(v any) (*handler, error) {
	value := reflect.ValueOf(v)
	t := reflect.TypeOf(v)
	if t == nil || t.Kind() == reflect.Pointer && value.IsNil() {
		return nil, errors.New("it is nil; pass a struct, as in new(T)")
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil, errors.New("it is no struct; pass one, as in new(T)")
	}
	h := &handler{name: t.Name(), value: value}
	for i := range value.NumMethod() {
		if e, ok := parseEndpoint(value.Type().Method(i).Name, value.Method(i)); ok {
			h.endpoints = append(h.endpoints, e)
		}
	}
	return h, nil
}

// find returns the gRPC service that the endpoints are meant for.
func (h *handler) find() (protoreflect.ServiceDescriptor, error) {
	near := h.near()
	for _, s := range near {
		if string(s.Name()) == h.name {
			return s, nil
		}
	}
	var fit, more []protoreflect.ServiceDescriptor // more: the handler has methods that are none of it
	for _, s := range services(protoregistry.GlobalFiles.RangeFiles) {
		switch {
		case h.check(s) != nil:
		case len(h.others(s)) > 0:
			more = append(more, s)
		default:
			fit = append(fit, s)
		}
	}
	if len(fit) == 0 {
		fit = more
	}
	if len(fit) > 1 {
		// Methods that leave their messages open fit more than one.
		named := slices.DeleteFunc(slices.Clone(fit), func(s protoreflect.ServiceDescriptor) bool { return string(s.Name()) != h.name })
		if len(named) != 1 {
			return nil, fmt.Errorf("its methods are those of more than one gRPC service, %s; give it the name of the one that is meant", list(fit))
		}
		fit = named
	}
	likely := h.likely(near)
	switch {
	case len(fit) == 1:
		return fit[0], nil
	case len(likely) == 1:
		return likely[0], nil // for what check says about it
	case len(near) > 0:
		return nil, fmt.Errorf("it is none of the gRPC services of its messages, %s; give it the name of the one that is meant", list(near))
	case len(h.endpoints) > 0:
		return nil, fmt.Errorf("there is no gRPC service with a method %s for its messages in the .proto files of this program", h.endpoints[0].name)
	}
	return nil, errors.New("it has no method that can answer a call, as M(context.Context, *Req) (*Rsp, error) would; " + h.hint())
}

// near returns the services in the proto packages of the endpoints' messages.
func (h *handler) near() []protoreflect.ServiceDescriptor {
	packages := make(map[protoreflect.FullName]bool)
	for _, e := range h.endpoints {
		for _, t := range []reflect.Type{e.req, e.rsp} {
			if t != nil {
				packages[descriptorOf(t).ParentFile().Package()] = true
			}
		}
	}
	return services(func(yield func(protoreflect.FileDescriptor) bool) {
		for p := range packages {
			protoregistry.GlobalFiles.RangeFilesByPackage(p, yield)
		}
	})
}

// likely returns those services of which the handler has the most methods, in
// whatever form.
func (h *handler) likely(all []protoreflect.ServiceDescriptor) (best []protoreflect.ServiceDescriptor) {
	most := 1
	for _, s := range all {
		n := 0
		for _, m := range methods(s) {
			if h.value.MethodByName(methodName(m)).IsValid() {
				n++
			}
		}
		switch {
		case n > most:
			most, best = n, []protoreflect.ServiceDescriptor{s}
		case n == most:
			best = append(best, s)
		}
	}
	return best
}

// services returns the services of files that have methods, ordered by name.
func services(files func(func(protoreflect.FileDescriptor) bool)) []protoreflect.ServiceDescriptor {
	var all []protoreflect.ServiceDescriptor
	files(func(f protoreflect.FileDescriptor) bool {
		for i := range f.Services().Len() {
			if s := f.Services().Get(i); s.Methods().Len() > 0 {
				all = append(all, s)
			}
		}
		return true
	})
	slices.SortFunc(all, func(a, b protoreflect.ServiceDescriptor) int {
		return strings.Compare(string(a.FullName()), string(b.FullName()))
	})
	return all
}

// check returns what keeps the handler from answering for a service: every
// method that it lacks or has in another form. One whose stream the code of Micro 3
// makes is let be: the rest of such a handler worked.
func (h *handler) check(service protoreflect.ServiceDescriptor) error {
	var errs []error
	for _, m := range methods(service) {
		if h.endpoint(m) != nil {
			continue
		}
		has := "it has no such method"
		if method := h.value.MethodByName(methodName(m)); method.IsValid() {
			if t := method.Type(); (m.IsStreamingClient() || m.IsStreamingServer()) && t.NumIn() > 1 && isGenerated(t.In(t.NumIn()-1)) {
				continue
			}
			has = "it has " + signature(methodName(m), method.Type())
		} else if _, ok := reflect.PointerTo(h.value.Type()).MethodByName(methodName(m)); ok {
			has = "that has a pointer receiver: pass a pointer"
		}
		errs = append(errs, fmt.Errorf("%s wants %s; %s", service.FullName(), form(m), has))
	}
	return errors.Join(errs...)
}

// others returns the endpoints that are of no method of a service.
func (h *handler) others(service protoreflect.ServiceDescriptor) (names []string) {
	for _, e := range h.endpoints {
		if !slices.ContainsFunc(methods(service), func(m protoreflect.MethodDescriptor) bool { return methodName(m) == e.name }) {
			names = append(names, e.name)
		}
	}
	return names
}

// endpoint returns the endpoint that answers a gRPC method, nil when there is
// none.
func (h *handler) endpoint(m protoreflect.MethodDescriptor) *endpoint {
	for i, e := range h.endpoints {
		if e.serves(m) {
			return &h.endpoints[i]
		}
	}
	return nil
}

// hint says what to look at when no method has one of the forms.
func (h *handler) hint() string {
	t := h.value.Type()
	if t.NumMethod() > 0 {
		m := t.Method(0)
		return "it has " + signature(m.Name, h.value.Method(0).Type())
	}
	if t.Kind() == reflect.Struct && reflect.PointerTo(t).NumMethod() > 0 {
		return "its methods have a pointer receiver: pass a pointer"
	}
	return "it has no exported method"
}

// signature writes a method as it is declared.
func signature(name string, method reflect.Type) string {
	text := strings.Replace(method.String(), "func", name, 1)
	for t := range method.Ins() {
		// To make a value of such an interface, code for its message is needed.
		if t.Kind() == reflect.Interface && t != serverStream && t.Implements(serverStream) {
			return text + ", whose stream only generated code can make: register it by the generated function and Server"
		}
	}
	return text
}

func methods(s protoreflect.ServiceDescriptor) []protoreflect.MethodDescriptor {
	all := make([]protoreflect.MethodDescriptor, s.Methods().Len())
	for i := range all {
		all[i] = s.Methods().Get(i)
	}
	return all
}

func list(all []protoreflect.ServiceDescriptor) string {
	names := make([]string, len(all))
	for i, s := range all {
		names[i] = string(s.FullName())
	}
	return strings.Join(names, ", ")
}

// typeName names the type of a handler for people.
func typeName(v any) string {
	if v == nil {
		return "nil"
	}
	return reflect.TypeOf(v).String()
}
