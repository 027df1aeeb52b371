// Package registry tells which services there are in the namespace of a service, and what
// they answer.
//
//	services, err := registry.ListServices()
//
// To call a service nobody has to ask here: package client calls it by its name.
package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	registryv1 "github.com/micro/micro/v3/proto/micro/registry/v1"
	"github.com/micro/micro/v3/service/internal/platform"
)

// ErrNotFound means that no instance of the service runs.
var ErrNotFound = errors.New("service not found")

// Service is one version of a service.
type Service struct {
	Name      string            `json:"name"`
	Version   string            `json:"version"`
	Metadata  map[string]string `json:"metadata"`
	Endpoints []*Endpoint       `json:"endpoints"`
	Nodes     []*Node           `json:"nodes"`
}

// Node is an instance of a service.
type Node struct {
	Id       string            `json:"id"`
	Address  string            `json:"address"` // empty for who may call it only through the server
	Metadata map[string]string `json:"metadata"`
}

// Endpoint is what can be called.
type Endpoint struct {
	Name     string `json:"name"` // as "Service.Method"
	Request  *Value `json:"request"`
	Response *Value `json:"response"`
	// Metadata has "path", the path of gRPC, "comment", and "stream" for calls of
	// many messages.
	Metadata map[string]string `json:"metadata"`
}

// Value is a message.
type Value struct {
	Name   string   `json:"name"`
	Type   string   `json:"type"` // the full name
	Values []*Value `json:"values"`
}

// Client reads a registry. It is safe for concurrent use.
type Client struct{ api registryv1.RegistryClient }

// New returns a client on a connection to a server. Who calls is the connection's
// business.
func New(conn grpc.ClientConnInterface) *Client {
	return &Client{registryv1.NewRegistryClient(conn)}
}

// Default returns the client that the functions of this package use, which calls as the
// service.
func Default() (*Client, error) {
	conn, err := platform.Conn()
	if err != nil {
		return nil, err
	}
	return New(conn), nil
}

// List returns the services that run, ordered by name, without their endpoints.
func (c *Client) List(ctx context.Context) ([]*Service, error) {
	rsp, err := c.api.List(ctx, &registryv1.ListRequest{})
	if err != nil {
		return nil, fmt.Errorf("registry: list: %w", err)
	}
	var all []*Service
	for _, s := range rsp.GetServices() {
		all = append(all, versions(s)...)
	}
	return all, nil
}

// Get returns the versions of a service that run, with their endpoints: those of the
// newest.
func (c *Client) Get(ctx context.Context, name string) ([]*Service, error) {
	rsp, err := c.api.Get(ctx, &registryv1.GetRequest{Name: name})
	if status.Code(err) == codes.NotFound {
		return nil, fmt.Errorf("registry: %q: %w", name, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("registry: get %q: %w", name, err)
	}
	return versions(rsp.GetService()), nil
}

// Change is a service after a change.
type Change struct {
	Name     string
	Services []*Service // its versions, without endpoints; none: the last instance is gone
}

// Watch yields the services as they are, and then each change, until the loop ends. An
// error is yielded last.
func (c *Client) Watch(ctx context.Context) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stream, err := c.api.Watch(ctx, &registryv1.WatchRequest{})
		for err == nil {
			var rsp *registryv1.WatchResponse
			if rsp, err = stream.Recv(); err != nil {
				break
			}
			if s := rsp.GetService(); s != nil && !yield(Change{s.GetName(), versions(s)}, nil) {
				return
			}
		}
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF // a watch does not end by itself
		}
		yield(Change{}, fmt.Errorf("registry: watch: %w", err))
	}
}

// versions makes a service of each version of the instances, oldest first.
func versions(s *registryv1.Service) []*Service {
	var all []*Service
	for _, in := range s.GetInstances() {
		i := slices.IndexFunc(all, func(v *Service) bool { return v.Version == in.GetVersion() })
		if i < 0 {
			i = len(all)
			all = append(all, &Service{Name: s.GetName(), Version: in.GetVersion(), Endpoints: endpoints(s)})
		}
		all[i].Nodes = append(all[i].Nodes, &Node{Id: in.GetId(), Address: in.GetAddress(), Metadata: map[string]string{"schema": in.GetSchemaDigest()}})
	}
	return all
}

func endpoints(s *registryv1.Service) []*Endpoint {
	var all []*Endpoint
	for _, e := range s.GetEndpoints() {
		md := map[string]string{"path": e.GetPath()}
		if e.GetComment() != "" {
			md["comment"] = e.GetComment()
		}
		if e.GetClientStreaming() || e.GetServerStreaming() {
			md["stream"] = "true"
		}
		all = append(all, &Endpoint{Name: e.GetName(), Request: message(e.GetRequest()), Response: message(e.GetResponse()), Metadata: md})
	}
	return all
}

func message(fullName string) *Value {
	return &Value{Name: fullName[strings.LastIndexByte(fullName, '.')+1:], Type: fullName}
}

// Registry reads a registry without a context, as Micro 3 had it.
type Registry interface {
	// GetService is [Client.Get].
	GetService(name string, opts ...GetOption) ([]*Service, error)
	// ListServices is [Client.List].
	ListServices(opts ...ListOption) ([]*Service, error)
	// String returns what it is, "micro".
	String() string
}

// GetOption says where to look for a service.
type GetOption func(*readOptions)

// ListOption says where to look for services.
type ListOption func(*readOptions)

type readOptions struct{ namespace string }

// GetDomain looks in another namespace than that of the service.
func GetDomain(ns string) GetOption { return func(o *readOptions) { o.namespace = ns } }

// ListDomain looks in another namespace than that of the service.
func ListDomain(ns string) ListOption { return func(o *readOptions) { o.namespace = ns } }

// DefaultRegistry is what the functions of this package use: the client of [Default],
// which gives up after 10 s. Tests may put another in its place.
var DefaultRegistry Registry = standard{} //nolint:gochecknoglobals // the name that services use

// GetService returns the versions of a service; see [Client.Get]. [ErrNotFound] is the error
// itself, for what compares it with ==.
func GetService(name string, opts ...GetOption) ([]*Service, error) {
	return DefaultRegistry.GetService(name, opts...)
}

// ListServices returns the services that run; see [Client.List].
func ListServices(opts ...ListOption) ([]*Service, error) {
	return DefaultRegistry.ListServices(opts...)
}

// timeout bounds what has no context.
const timeout = 10 * time.Second

// standard is the registry of the server that runs the service.
type standard struct{}

func (standard) String() string { return "micro" }

func (standard) GetService(name string, opts ...GetOption) ([]*Service, error) {
	var o readOptions
	for _, opt := range opts {
		opt(&o)
	}
	services, err := o.read(func(ctx context.Context, c *Client) ([]*Service, error) { return c.Get(ctx, name) })
	if errors.Is(err, ErrNotFound) {
		return nil, ErrNotFound
	}
	return services, err
}

func (standard) ListServices(opts ...ListOption) ([]*Service, error) {
	var o readOptions
	for _, opt := range opts {
		opt(&o)
	}
	return o.read(func(ctx context.Context, c *Client) ([]*Service, error) { return c.List(ctx) })
}

func (o readOptions) read(f func(context.Context, *Client) ([]*Service, error)) ([]*Service, error) {
	c, err := Default()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if o.namespace != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "micro-namespace", o.namespace)
	}
	return f(ctx, c)
}
