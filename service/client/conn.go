package client

import (
	"context"
	"slices"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/micro/micro/v3/service/internal/platform"
)

// Conn is a connection to a service, whichever of its instances answers. The clients
// that grpc-go's generator makes take it. It is safe for concurrent use.
type Conn struct {
	service string                   // empty: the one that has what is called
	through grpc.ClientConnInterface // nil: that of the process
	options CallOptions
}

// To returns a connection to the service of a name, in the namespace of the service that
// this program is. Nothing happens before the first call.
func To(service string, opts ...CallOption) *Conn { return Through(nil, service, opts...) }

// Through is [To] by a connection to a server that the caller has made.
func Through(conn grpc.ClientConnInterface, service string, opts ...CallOption) *Conn {
	return &Conn{service: service, through: conn, options: newCallOptions(CallOptions{}, opts)}
}

// Invoke makes a call for generated code. Without a deadline of its context, or of
// [WithRequestTimeout], it has 10 s.
func (c *Conn) Invoke(ctx context.Context, method string, req, rsp any, opts ...grpc.CallOption) error {
	ctx, cancel := c.options.limited(ctx)
	defer cancel()
	return c.invoke(ctx, method, req, rsp, append(slices.Clip(opts), c.options.policy(nil))...)
}

// NewStream begins a call of many messages for generated code.
func (c *Conn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return c.newStream(ctx, desc, method, append(slices.Clip(opts), c.options.policy(nil))...)
}

func (c *Conn) invoke(ctx context.Context, method string, req, rsp any, opts ...grpc.CallOption) error {
	conn, err := c.conn()
	if err != nil {
		return err
	}
	return conn.Invoke(c.named(ctx), method, req, rsp, opts...)
}

func (c *Conn) newStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	conn, err := c.conn()
	if err != nil {
		return nil, err
	}
	return conn.NewStream(c.named(ctx), desc, method, opts...)
}

func (c *Conn) conn() (grpc.ClientConnInterface, error) {
	if c.through != nil {
		return c.through, nil
	}
	return platform.Conn()
}

// named tells the server which service is called.
func (c *Conn) named(ctx context.Context) context.Context {
	if c.service == "" {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, "micro-service", c.service)
}

var _ grpc.ClientConnInterface = (*Conn)(nil)

// direct holds connections to addresses that are called without the server between.
type direct struct {
	mu    sync.Mutex
	conns map[string]*grpc.ClientConn
}

func newDirect() *direct { return &direct{conns: map[string]*grpc.ClientConn{}} }

func (d *direct) to(address string) (*grpc.ClientConn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c := d.conns[address]; c != nil {
		return c, nil
	}
	c, err := platform.Direct(address)
	if err == nil {
		d.conns[address] = c
	}
	return c, err
}
