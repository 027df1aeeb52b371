package client

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	registryv1 "github.com/micro/micro/v3/proto/micro/registry/v1"
)

// schemas are what the registry knows of services. Those that were read are kept until
// the server says that they are no longer spoken.
type schemas struct {
	registry *Conn

	mu    sync.Mutex
	known map[schemaKey]*schema
}

// schemaKey is a service, and the namespace that a call says.
type schemaKey struct{ namespace, service string }

// schema is what a service speaks.
type schema struct {
	digest string
	files  *protoregistry.Files
}

func newSchemas(conn grpc.ClientConnInterface) *schemas {
	return &schemas{registry: &Conn{through: conn}, known: map[schemaKey]*schema{}}
}

// call makes a call by the schema of the service. It asks for the schema when it has none
// yet, or has one of which the server says that no instance speaks it any more.
func (s *schemas) call(ctx context.Context, conn *Conn, req Request, rsp any, opts ...grpc.CallOption) error {
	name, verb, ok := cutEndpoint(req.Endpoint())
	if !ok {
		return status.Errorf(codes.InvalidArgument, "the endpoint %q of %s is not of the form Service.Method", req.Endpoint(), req.Service())
	}
	for fresh := false; ; fresh = true {
		schema, err := s.get(ctx, req.Service(), fresh)
		if err != nil {
			return err
		}
		m := methodIn(schema.files, name, verb)
		if m == nil && !fresh {
			continue
		}
		if m == nil {
			return status.Errorf(codes.Unimplemented, "the service %s has no endpoint %s", req.Service(), req.Endpoint())
		}
		in, err := toMessage(m.Input(), req.Body())
		if err != nil && !fresh {
			continue
		}
		if err != nil {
			return status.Errorf(codes.InvalidArgument, "the request of %s: %v", req.Endpoint(), err)
		}
		out := dynamicpb.NewMessage(m.Output())
		err = conn.invoke(metadata.AppendToOutgoingContext(ctx, "micro-schema", schema.digest), dynamicPath(m), in, out, opts...)
		if changed(err) && !fresh {
			continue
		}
		if err != nil {
			return err
		}
		return fromMessage(out, rsp)
	}
}

func dynamicPath(m protoreflect.MethodDescriptor) string {
	return fmt.Sprintf("/%s/%s", m.Parent().FullName(), m.Name())
}

// changed reports whether the server has refused a call because the service has another
// schema by now.
func changed(err error) bool {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetDomain() == "micro" && info.GetReason() == "SCHEMA_CHANGED" {
			return true
		}
	}
	return false
}

// get returns the schema of a service, as it was or fresh.
func (s *schemas) get(ctx context.Context, service string, fresh bool) (*schema, error) {
	key := schemaKey{service: service}
	if out, _ := metadata.FromOutgoingContext(ctx); len(out.Get("micro-namespace")) > 0 {
		key.namespace = out.Get("micro-namespace")[0]
	}
	s.mu.Lock()
	known := s.known[key]
	s.mu.Unlock()
	if known != nil && !fresh {
		return known, nil
	}
	rsp, err := registryv1.NewRegistryClient(s.registry).GetSchema(ctx, &registryv1.GetSchemaRequest{Service: service})
	if err != nil {
		return nil, err
	}
	set := new(descriptorpb.FileDescriptorSet)
	if err := proto.Unmarshal(rsp.GetFiles(), set); err != nil {
		return nil, fmt.Errorf("the schema of %s: %w", service, err)
	}
	files, err := protodesc.FileOptions{AllowUnresolvable: true}.NewFiles(set)
	if err != nil {
		return nil, fmt.Errorf("the schema of %s: %w", service, err)
	}
	known = &schema{digest: rsp.GetDigest(), files: files}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known[key] = known
	return known, nil
}

// methodIn returns the method of a schema that is called Service.Method, whatever its
// package; nil when there is none.
func methodIn(files *protoregistry.Files, service, method string) (found protoreflect.MethodDescriptor) {
	files.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		if s := f.Services().ByName(protoreflect.Name(service)); s != nil && !strings.HasPrefix(string(s.FullName()), "grpc.") {
			found = s.Methods().ByName(protoreflect.Name(method))
		}
		return found == nil
	})
	return found
}

// toMessage makes a message of something that JSON can say.
func toMessage(d protoreflect.MessageDescriptor, v any) (proto.Message, error) {
	switch m := v.(type) {
	case proto.Message:
		return m, nil
	case protoadapt.MessageV1:
		return protoadapt.MessageV2Of(m), nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	m := dynamicpb.NewMessage(d)
	if string(b) == "null" {
		return m, nil
	}
	return m, protojson.Unmarshal(b, m)
}

// fromMessage puts a message into what the caller wants it in.
func fromMessage(m proto.Message, v any) error {
	switch to := v.(type) {
	case proto.Message:
		return transfer(m, to)
	case protoadapt.MessageV1:
		return transfer(m, protoadapt.MessageV2Of(to))
	}
	b, err := protojson.MarshalOptions{UseProtoNames: true, EmitUnpopulated: true}.Marshal(m)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

// transfer moves a message from one type to another of the same form.
func transfer(from, to proto.Message) error {
	b, err := proto.Marshal(from)
	if err != nil {
		return err
	}
	return proto.Unmarshal(b, to)
}
