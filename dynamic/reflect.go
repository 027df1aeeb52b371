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
func Reflect(ctx context.Context, conn grpc.ClientConnInterface) ([]byte, error) {
	raw, err := reflectWith(ctx, conn, reflectV1)
	switch status.Code(err) {
	case codes.Unimplemented, codes.Unavailable, codes.Unauthenticated:
		// Proxies in between answer for a service that they do not know in
		// several ways.
		old, oldErr := reflectWith(ctx, conn, reflectV1alpha)
		if oldErr == nil {
			return old, nil
		}
		if status.Code(err) == codes.Unimplemented {
			err = oldErr
		}
	default:
	}
	if status.Code(err) == codes.Unimplemented {
		return nil, ErrNoReflection
	}
	return raw, err
}

// reflectWith collects the files of all services and what they import.
func reflectWith(ctx context.Context, conn grpc.ClientConnInterface, method string) ([]byte, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := conn.NewStream(ctx, &reflectv1.ServerReflection_ServiceDesc.Streams[0], method, grpc.MaxCallRecvMsgSize(MaxSchema))
	if err != nil {
		return nil, err
	}
	r := reflection{s}
	services, err := r.services()
	if err != nil {
		return nil, err
	}
	c := newCollector()
	for _, name := range services {
		if strings.HasPrefix(name, "grpc.reflection.") {
			continue
		}
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

// reflection is a stream of questions, each followed by its answer.
type reflection struct{ grpc.ClientStream }

func (r reflection) ask(req *reflectv1.ServerReflectionRequest) (*reflectv1.ServerReflectionResponse, error) {
	_ = r.SendMsg(req) // its error is io.EOF; what it is comes with the answer
	rsp := &reflectv1.ServerReflectionResponse{}
	if err := r.RecvMsg(rsp); errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: the server ended the conversation in the middle", ErrSchema)
	} else if err != nil {
		return nil, err
	}
	if e := rsp.GetErrorResponse(); e != nil {
		return nil, status.Error(codes.Code(e.GetErrorCode()), e.GetErrorMessage())
	}
	return rsp, nil
}

// services returns the names of the services, ordered and each once.
func (r reflection) services() ([]string, error) {
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
		names = append(names, s.GetName())
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

func (r reflection) symbol(name string) ([][]byte, error) {
	rsp, err := r.ask(&reflectv1.ServerReflectionRequest{
		MessageRequest: &reflectv1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: name},
	})
	return rsp.GetFileDescriptorResponse().GetFileDescriptorProto(), err
}

func (r reflection) file(path string) ([][]byte, error) {
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
