package dynamic

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	reflectv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

// ErrNoReflection means that the server does not tell what it speaks.
var ErrNoReflection = errors.New("the server has no gRPC reflection")

// The two versions of reflection differ in the name of the service alone.
const (
	reflectV1      = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
	reflectV1alpha = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
)

// Reflect asks a server for its whole schema, by reflection v1 or else v1alpha, and
// returns it serialized: the same bytes for the same schema. The error is
// [ErrNoReflection] when it has neither, and [ErrSchema] when what it tells
// cannot be used.
func Reflect(ctx context.Context, conn grpc.ClientConnInterface) (raw []byte, err error) {
	err = converse(ctx, conn, func(r *reflection) error {
		services, err := r.services()
		if err != nil {
			return err
		}
		raw, err = r.collect(services)
		return err
	})
	return raw, err
}

// ReflectServices asks a server for the full names of its services, but for those of
// reflection itself, and returns them ordered. Errors are those of [Reflect].
func ReflectServices(ctx context.Context, conn grpc.ClientConnInterface) (names []string, err error) {
	err = converse(ctx, conn, func(r *reflection) error {
		names, err = r.services()
		return err
	})
	return names, err
}

// Reflected is what a server tells of one of its services.
type Reflected struct {
	Service string // its full name
	Schema  []byte // serialized, as [ParseSchema] takes it
	Probe   Probe
}

// ReflectService asks a server for its services, and for the schema of the one that
// pick takes of them; an error of pick is returned as it is. Other errors are those of
// [Reflect].
func ReflectService(ctx context.Context, conn grpc.ClientConnInterface, pick func(services []string) (string, error)) (*Reflected, error) {
	out := &Reflected{}
	err := converse(ctx, conn, func(r *reflection) error {
		services, err := r.services()
		if err != nil {
			return err
		}
		if out.Service, err = pick(services); err != nil {
			return err
		}
		r.record = newRecord()
		if out.Schema, err = r.collect([]string{out.Service}); err != nil {
			return err
		}
		out.Probe = Probe{Method: r.method, Requests: r.record.requests, Sum: r.record.answers()}
		return nil
	})
	return out, err
}

// converse calls talk with a conversation in the version of reflection that the server
// has. Talk may be called a second time, when the first was to no avail.
func converse(ctx context.Context, conn grpc.ClientConnInterface, talk func(*reflection) error) error {
	err := converseIn(ctx, conn, reflectV1, talk)
	switch status.Code(err) {
	case codes.Unimplemented, codes.Unavailable, codes.Unauthenticated:
		// Proxies in between answer for a service that they do not know in
		// several ways.
		oldErr := converseIn(ctx, conn, reflectV1alpha, talk)
		if oldErr == nil {
			return nil
		}
		if status.Code(err) == codes.Unimplemented {
			err = oldErr
		}
	default:
	}
	if status.Code(err) == codes.Unimplemented {
		return ErrNoReflection
	}
	return err
}

func converseIn(ctx context.Context, conn grpc.ClientConnInterface, method string, talk func(*reflection) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := openReflection(ctx, conn, method)
	if err != nil {
		return err
	}
	return talk(&reflection{stream: s, method: method})
}

func openReflection(ctx context.Context, conn grpc.ClientConnInterface, method string) (grpc.ClientStream, error) {
	return conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method,
		grpc.MaxCallRecvMsgSize(MaxSchema), grpc.ForceCodecV2(BytesCodec{}))
}

// reflection is a stream of questions, each followed by its answer.
type reflection struct {
	stream grpc.ClientStream
	method string
	record *record // nil when nobody wants one
}

// collect returns the files of services and what they import, serialized.
func (r *reflection) collect(services []string) ([]byte, error) {
	c := newCollector()
	for _, name := range services {
		files, err := r.symbol(name)
		if err != nil {
			return nil, fmt.Errorf("service %s: %w", name, err)
		}
		if err := c.add(files); err != nil {
			return nil, err
		}
		if !c.services[name] {
			return nil, fmt.Errorf("%w: asked for the service %q, the server sent other files", ErrSchema, name)
		}
	}
	for {
		path := c.missing()
		if path == "" {
			return c.marshal()
		}
		files, err := r.file(path)
		if err != nil {
			return nil, fmt.Errorf("file %s: %w", path, err)
		}
		if err := c.add(files); err != nil {
			return nil, err
		}
		if c.files[path] == nil {
			return nil, fmt.Errorf("%w: asked for %q, the server sent other files", ErrSchema, path)
		}
	}
}

func (r *reflection) ask(req *reflectv1.ServerReflectionRequest) (*reflectv1.ServerReflectionResponse, error) {
	question, err := proto.MarshalOptions{Deterministic: true}.Marshal(req)
	if err != nil {
		return nil, err
	}
	_ = r.stream.SendMsg(&question) // its error is io.EOF; what it is comes with the answer
	var answer []byte
	if err := r.stream.RecvMsg(&answer); errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: the server ended the conversation in the middle", ErrSchema)
	} else if err != nil {
		return nil, err
	}
	if r.record != nil {
		r.record.add(question, answer)
	}
	rsp := &reflectv1.ServerReflectionResponse{}
	if err := proto.Unmarshal(answer, rsp); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSchema, err)
	}
	if e := rsp.GetErrorResponse(); e != nil {
		return nil, status.Error(codes.Code(e.GetErrorCode()), e.GetErrorMessage())
	}
	return rsp, nil
}

// services returns the names of the services but for those of reflection, ordered and
// each once.
func (r *reflection) services() ([]string, error) {
	rsp, err := r.ask(&reflectv1.ServerReflectionRequest{
		MessageRequest: &reflectv1.ServerReflectionRequest_ListServices{},
	})
	if err != nil {
		return nil, err
	}
	list := rsp.GetListServicesResponse()
	switch n := len(list.GetService()); {
	case list == nil:
		return nil, fmt.Errorf("%w: asked for its services, the server sent something else", ErrSchema)
	case n > maxFiles:
		return nil, fmt.Errorf("%w: %d services, at most %d are taken", ErrSchema, n, maxFiles)
	}
	var names []string
	for _, s := range list.GetService() {
		if !strings.HasPrefix(s.GetName(), "grpc.reflection.") {
			names = append(names, s.GetName())
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

func (r *reflection) symbol(name string) ([][]byte, error) {
	rsp, err := r.ask(&reflectv1.ServerReflectionRequest{
		MessageRequest: &reflectv1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: name},
	})
	return rsp.GetFileDescriptorResponse().GetFileDescriptorProto(), err
}

func (r *reflection) file(path string) ([][]byte, error) {
	rsp, err := r.ask(&reflectv1.ServerReflectionRequest{
		MessageRequest: &reflectv1.ServerReflectionRequest_FileByFilename{FileByFilename: path},
	})
	return rsp.GetFileDescriptorResponse().GetFileDescriptorProto(), err
}

// collector gathers files within limits.
type collector struct {
	files    map[string]*descriptorpb.FileDescriptorProto
	services map[string]bool // that the files declare, by full name
	order    []string        // the names of the files as they came
	next     int             // whose imports were not looked at yet
	dep      int

	seen     map[[sha256.Size]byte]bool // what came already
	size     int                        // bytes of the files
	received int                        // bytes of all that came
}

// maxReceived bounds what a server may send: some send a file again with every
// other that imports it.
const maxReceived = 16 * MaxSchema

func newCollector() *collector {
	return &collector{
		files:    map[string]*descriptorpb.FileDescriptorProto{},
		services: map[string]bool{},
		seen:     map[[sha256.Size]byte]bool{},
	}
}

func (c *collector) add(files [][]byte) error {
	for _, raw := range files {
		if c.received += len(raw); c.received > maxReceived {
			return fmt.Errorf("%w: the server sent more than %d bytes", ErrSchema, maxReceived)
		}
		sum := sha256.Sum256(raw)
		if c.seen[sum] {
			continue
		}
		c.seen[sum] = true
		c.size += len(raw)
		if c.size > MaxSchema || len(c.seen) > maxFiles {
			return fmt.Errorf("%w: more than %d files or %d bytes", ErrSchema, maxFiles, MaxSchema)
		}
		f := &descriptorpb.FileDescriptorProto{}
		if err := unmarshal(raw, f); err != nil {
			return fmt.Errorf("%w: %w", ErrSchema, err)
		}
		if c.files[f.GetName()] != nil {
			continue
		}
		c.files[f.GetName()] = f
		c.order = append(c.order, f.GetName())
		for _, s := range f.GetService() {
			c.services[strings.TrimPrefix(f.GetPackage()+"."+s.GetName(), ".")] = true
		}
	}
	return nil
}

// missing returns the path of a file that is imported and not here yet; empty
// when there is none.
func (c *collector) missing() string {
	for ; c.next < len(c.order); c.next, c.dep = c.next+1, 0 {
		deps := c.files[c.order[c.next]].GetDependency()
		for ; c.dep < len(deps); c.dep++ {
			if c.files[deps[c.dep]] == nil {
				if _, err := wellKnownFile(deps[c.dep]); err != nil {
					return deps[c.dep]
				}
			}
		}
	}
	return ""
}

func (c *collector) marshal() ([]byte, error) {
	set := &descriptorpb.FileDescriptorSet{}
	for _, name := range slices.Sorted(slices.Values(c.order)) {
		set.File = append(set.File, c.files[name])
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(set)
}
