// Package config reads the configuration of the namespace that a service runs in, and
// tells when it changes.
//
//	key, err := config.Get("stripe.key", config.Secret(true))
//	port, err := config.Get("database.port")
//	p := port.Int(5432)
//
// Each Get asks the server, so that a change is seen at once, and without a restart.
// [Watch] tells of each change when it happens.
//
// The functions use the server that runs the service, as the service: see [Default].
// Code that is given its dependencies takes a [Client], whose methods have a context. A
// program that has its configuration elsewhere sets [DefaultConfig], or has a [Config].
package config

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	configv1 "github.com/micro/micro/v3/proto/micro/config/v1"
	"github.com/micro/micro/v3/service/internal/platform"
)

// ErrConflict is returned when the condition of [IfRevision] does not hold.
var ErrConflict = errors.New("the configuration was changed in between")

// Client reads and changes the configuration. It is safe for concurrent use.
type Client struct{ api configv1.ConfigClient }

// New returns a client that calls over a connection, which stays the caller's.
func New(conn grpc.ClientConnInterface) *Client {
	return &Client{api: configv1.NewConfigClient(conn)}
}

// Default returns the client that the functions of this package use. It calls the
// server at MICRO_PROXY, or else that of this machine, with the identity that the
// runtime gave the service, or else with the access token in MICRO_TOKEN.
func Default() (*Client, error) {
	conn, err := platform.Conn()
	if err != nil {
		return nil, err
	}
	return New(conn), nil
}

// Option says how something is read or set.
type Option func(*options)

type options struct {
	secret, merge bool
	ifRevision    *int64
}

func apply(opts []Option) options {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	return o
}

// Secret shows secrets where something is read, which are "[secret]" otherwise, and
// makes a secret of what is set.
func Secret(b bool) Option { return func(o *options) { o.secret = b } }

// Merge makes Set leave what is below the path and not in the value as it is.
func Merge() Option { return func(o *options) { o.merge = true } }

// IfRevision makes Set and Delete fail with [ErrConflict] unless nothing at the path or
// below was changed after a revision, which [Value.Revision] tells of what was read.
// With 0 they fail when there is something.
func IfRevision(revision int64) Option { return func(o *options) { o.ifRevision = &revision } }

// Get returns the value at a path of names with dots between them: of an object, all
// that is below it. Where there is none, the value does not exist, which is no error.
func (c *Client) Get(ctx context.Context, path string, opts ...Option) (Value, error) {
	o := apply(opts)
	rsp, err := c.api.Get(ctx, &configv1.GetRequest{Path: path, Secrets: o.secret})
	if status.Code(err) == codes.NotFound {
		return Value{}, nil
	}
	if err != nil {
		return Value{}, fmt.Errorf("config: get %q: %w", path, err)
	}
	return Value{json: []byte(rsp.GetJson()), revision: rsp.GetRevision()}, nil
}

// Set puts a value, as encoding/json writes it, at a path, in place of what was there
// and below. It returns the revision of the configuration.
func (c *Client) Set(ctx context.Context, path string, value any, opts ...Option) (int64, error) {
	b, err := json.Marshal(value)
	if err != nil {
		return 0, fmt.Errorf("config: set %q: %w", path, err)
	}
	o := apply(opts)
	rsp, err := c.api.Set(ctx, &configv1.SetRequest{Path: path, Json: string(b), Secret: o.secret, Merge: o.merge, IfRevision: o.ifRevision})
	if err != nil {
		return 0, changeError("set", path, err)
	}
	return rsp.GetRevision(), nil
}

// Delete removes what is at a path and below. That there is nothing is no error.
func (c *Client) Delete(ctx context.Context, path string, opts ...Option) error {
	_, err := c.api.Delete(ctx, &configv1.DeleteRequest{Path: path, IfRevision: apply(opts).ifRevision})
	if err == nil || status.Code(err) == codes.NotFound {
		return nil
	}
	return changeError("delete", path, err)
}

func changeError(what, path string, err error) error {
	if status.Code(err) == codes.Aborted {
		return fmt.Errorf("config: %s %q: %w", what, path, ErrConflict)
	}
	return fmt.Errorf("config: %s %q: %w", what, path, err)
}
