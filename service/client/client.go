// Package client calls other services by their names. The server finds an instance that
// answers, and tells it who calls.
//
// What grpc-go's generator made for a service takes the connection of [To]:
//
//	accounts := accountspb.NewAccountsClient(client.To("accounts"))
//	rsp, err := accounts.Get(ctx, &accountspb.GetRequest{Id: id})
//
// A call carries on what its context is part of: its deadline, its trace, the id of the
// request, and for whom it is made. It is made as the service that makes it.
//
// A call that no service has got is made again: when the server cannot be reached, or no
// instance of the service runs yet. One that a service may have got is made again only
// if [Idempotent] says so. Both within a budget, so that who is overloaded is not called
// all the more.
//
// The code that Micro 3 generated takes a [Client] in the place of a connection, which
// does the same: that of service.Service, or [DefaultClient].
package client

import (
	"context"
	"slices"

	"google.golang.org/grpc"

	"github.com/micro/micro/v3/service/errors"
	"github.com/micro/micro/v3/service/internal/platform"
)

// Client makes calls that are described by a [Request]. Its errors are those of package
// errors. It is safe for concurrent use, but for Init.
type Client interface {
	// Init sets options for all calls; the error is nil.
	Init(opts ...Option) error
	// Options returns what was set.
	Options() Options
	// NewRequest describes a call of an endpoint, such as "Accounts.Get", of a
	// service. See [NewRequest].
	NewRequest(service, endpoint string, req any, opts ...RequestOption) Request
	// Call makes a call and fills rsp with the answer.
	Call(ctx context.Context, req Request, rsp any, opts ...CallOption) error
	// Stream makes a call of many messages.
	Stream(ctx context.Context, req Request, opts ...CallOption) (Stream, error)
	// NewMessage returns a message for Publish.
	NewMessage(topic string, payload any, opts ...MessageOption) Message
	// Publish publishes a message, which is written as JSON unless it is a []byte. What
	// goes along with a call goes along with it, but for who makes it.
	Publish(ctx context.Context, m Message, opts ...PublishOption) error
	// String returns "grpc".
	String() string
}

// DefaultClient is the client of this process. It has the wrappers of the service that
// the process is: see service.WrapClient.
var DefaultClient = New(nil) //nolint:gochecknoglobals // the name that services use

// New returns a client that calls through a server that it has a connection to. Who
// calls is the connection's business. For nil it is that of this process, which calls
// as the service.
func New(conn grpc.ClientConnInterface, opts ...Option) Client {
	c := &client{conn: conn, direct: newDirect(), schemas: newSchemas(conn)}
	_ = c.Init(opts...) // it never fails
	return c
}

// Call is [Client.Call] of the [DefaultClient].
func Call(ctx context.Context, req Request, rsp any, opts ...CallOption) error {
	return DefaultClient.Call(ctx, req, rsp, opts...)
}

type client struct {
	conn    grpc.ClientConnInterface // nil: that of the process
	direct  *direct
	schemas *schemas
	opts    Options
}

func (c *client) Init(opts ...Option) error {
	for _, o := range opts {
		o(&c.opts)
	}
	return nil
}

func (c *client) Options() Options { return c.opts }
func (*client) String() string     { return "grpc" }

func (c *client) NewRequest(service, endpoint string, req any, opts ...RequestOption) Request {
	return NewRequest(service, endpoint, req, opts...)
}

// options returns what counts for one call.
func (c *client) options(opts []CallOption) CallOptions {
	all := c.opts.CallOptions
	all.CallWrappers = slices.Clip(all.CallWrappers)
	return newCallOptions(all, opts)
}

func (c *client) Call(ctx context.Context, req Request, rsp any, opts ...CallOption) error {
	o := c.options(opts)
	call := CallFunc(c.call)
	for _, wrap := range slices.Backward(o.CallWrappers) {
		call = wrap(call)
	}
	return asError(call(forward(ctx), o.address(), req, rsp, o))
}

// call is the innermost [CallFunc]. With an address it calls who listens there.
func (c *client) call(ctx context.Context, address string, req Request, rsp any, o CallOptions) error {
	conn, err := c.to(address, req, o)
	if err != nil {
		return err
	}
	ctx, cancel := o.limited(ctx)
	defer cancel()
	if !isMessage(req.Body()) || !isMessage(rsp) {
		return c.schemas.call(ctx, conn, req, rsp, o.policy(req))
	}
	m, err := find(req.Service(), req.Endpoint(), req.Body())
	if err != nil {
		return err
	}
	return conn.invoke(ctx, m.path, req.Body(), rsp, o.policy(req))
}

// to returns the connection for a call.
func (c *client) to(address string, req Request, o CallOptions) (*Conn, error) {
	conn := &Conn{service: req.Service(), through: c.conn, options: o}
	if address != "" {
		direct, err := c.direct.to(address)
		if err != nil {
			return nil, err
		}
		conn.service, conn.through = "", direct
	}
	return conn, nil
}

func (c *client) Stream(ctx context.Context, req Request, opts ...CallOption) (Stream, error) {
	o := c.options(opts)
	s, err := c.stream(forward(ctx), req, o)
	return s, asError(err)
}

func (c *client) stream(ctx context.Context, req Request, o CallOptions) (Stream, error) {
	conn, err := c.to(o.address(), req, o)
	if err != nil {
		return nil, err
	}
	m, err := find(req.Service(), req.Endpoint(), req.Body())
	if err != nil {
		return nil, err
	}
	cancel := context.CancelFunc(func() {})
	if o.StreamTimeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, o.StreamTimeout)
	}
	desc := &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}
	s, err := conn.newStream(ctx, desc, m.path, o.policy(req), grpc.OnFinish(func(error) { cancel() }))
	if err != nil {
		cancel()
		return nil, err
	}
	return &stream{grpc: s, req: req, single: !m.clientStreams}, nil
}

// Refused reports whether no service has got anything of a call that failed with an
// error of this package, or of the clients that use a [Conn]: to make it again does no
// harm, whatever it is.
func Refused(err error) bool { return platform.Refused(err) }

// asError returns an error as one of package errors.
func asError(err error) error {
	if err == nil {
		return nil
	}
	return errors.FromError(err)
}

var _ Client = (*client)(nil)
