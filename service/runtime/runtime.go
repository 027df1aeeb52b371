// Package runtime tells what should run in the namespace of a service, and whether it
// does.
package runtime

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
	"github.com/micro/micro/v3/service/internal/platform"
)

// ErrNotFound means that there is no such service.
var ErrNotFound = errors.New("not found")

// Service is something that should run, and how it does.
type Service struct {
	Name    string
	Version string
	Source  string
	// Metadata has "image", "instances", "release", and "error" when something is
	// wrong.
	Metadata map[string]string
	Status   ServiceStatus
}

// ServiceStatus is how a service does.
type ServiceStatus int

// The statuses.
const (
	Unknown ServiceStatus = iota
	Pending
	Building
	Starting
	Running
	Stopping
	Stopped
	Error
)

func (s ServiceStatus) String() string {
	names := [...]string{"unknown", "pending", "building", "starting", "running", "stopping", "stopped", "error"}
	if s < 0 || int(s) >= len(names) {
		return "unknown"
	}
	return names[s]
}

// Client reads a runtime. It is safe for concurrent use.
type Client struct{ api runtimev1.RuntimeClient }

// New returns a client on a connection to a server. Who calls is the connection's
// business.
func New(conn grpc.ClientConnInterface) *Client { return &Client{runtimev1.NewRuntimeClient(conn)} }

// Default returns the client that the functions of this package use, which calls as the
// service.
func Default() (*Client, error) {
	conn, err := platform.Conn()
	if err != nil {
		return nil, err
	}
	return New(conn), nil
}

// ReadOption says what to read.
type ReadOption func(*readOptions)

type readOptions struct{ service, version, namespace string }

// ReadService reads one service.
func ReadService(name string) ReadOption { return func(o *readOptions) { o.service = name } }

// ReadVersion reads services of one version.
func ReadVersion(version string) ReadOption { return func(o *readOptions) { o.version = version } }

// ReadNamespace reads another namespace than that of the service.
func ReadNamespace(ns string) ReadOption { return func(o *readOptions) { o.namespace = ns } }

// Read returns the services that should run, ordered by name. With [ReadService] there
// is one, or the error is [ErrNotFound].
func (c *Client) Read(ctx context.Context, opts ...ReadOption) ([]*Service, error) {
	var o readOptions
	for _, opt := range opts {
		opt(&o)
	}
	if o.namespace != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "micro-namespace", o.namespace)
	}
	var found []*runtimev1.Service
	if o.service != "" {
		rsp, err := c.api.Get(ctx, &runtimev1.GetRequest{Name: o.service})
		if status.Code(err) == codes.NotFound {
			return nil, fmt.Errorf("runtime: %q: %w", o.service, ErrNotFound)
		}
		if err != nil {
			return nil, fmt.Errorf("runtime: read %q: %w", o.service, err)
		}
		found = append(found, rsp.GetService())
	} else {
		rsp, err := c.api.List(ctx, &runtimev1.ListRequest{})
		if err != nil {
			return nil, fmt.Errorf("runtime: read: %w", err)
		}
		found = rsp.GetServices()
	}
	var all []*Service
	for _, s := range found {
		if o.version == "" || s.GetSpec().GetVersion() == o.version {
			all = append(all, service(s))
		}
	}
	return all, nil
}

func service(s *runtimev1.Service) *Service {
	st := s.GetStatus()
	out := &Service{
		Name:    s.GetName(),
		Version: s.GetSpec().GetVersion(),
		Source:  s.GetSpec().GetSource().GetAddress(),
		Status:  phase(st.GetPhase()),
		Metadata: map[string]string{
			"image":     s.GetSpec().GetImage(),
			"instances": strconv.Itoa(max(int(s.GetInstances()), 1)),
			"release":   strconv.FormatInt(st.GetRelease(), 10),
		},
	}
	if st.GetReason() != "" {
		out.Metadata["error"] = st.GetReason()
	}
	return out
}

func phase(p runtimev1.Phase) ServiceStatus {
	switch p {
	case runtimev1.Phase_PHASE_PENDING:
		return Pending
	case runtimev1.Phase_PHASE_STARTING:
		return Starting
	case runtimev1.Phase_PHASE_RUNNING:
		return Running
	case runtimev1.Phase_PHASE_UNHEALTHY, runtimev1.Phase_PHASE_CRASHED:
		return Error
	case runtimev1.Phase_PHASE_STOPPING:
		return Stopping
	case runtimev1.Phase_PHASE_STOPPED:
		return Stopped
	default:
		return Unknown
	}
}

// Read is [Client.Read] of the client of [Default]; it gives up after 10 s. [ErrNotFound] is
// the error itself, for what compares it with ==.
func Read(opts ...ReadOption) ([]*Service, error) {
	c, err := Default()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	services, err := c.Read(ctx, opts...)
	if errors.Is(err, ErrNotFound) {
		return nil, ErrNotFound
	}
	return services, err
}
