package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/micro/micro/v3/service/internal/platform"
)

// Default returns the client that the functions of the package use: of the table
// that is called like the service, on the server that runs it.
func Default() (*Client, error) {
	conn, err := platform.Conn()
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	name, _ := platform.Service()
	return New(conn).Table(name), nil
}

// Store is a store without a context, as Micro 3 had it.
type Store interface {
	// Init says which table of which database it is.
	Init(opts ...StoreOption) error
	// Options returns what was set.
	Options() StoreOptions
	// Read is [Client.Read].
	Read(key string, opts ...ReadOption) ([]*Record, error)
	// Write is [Client.Write].
	Write(r *Record, opts ...WriteOption) error
	// Delete is [Client.Delete], in the table of [DeleteFrom].
	Delete(key string, opts ...DeleteOption) error
	// List is [Client.List].
	List(opts ...ListOption) ([]string, error)
	// Close does nothing where others use it as well.
	Close() error
	// String returns what it is, "micro".
	String() string
}

// StoreOption sets something of a [Store].
type StoreOption func(*StoreOptions) //nolint:revive // the name that services use

// StoreOptions are what the options of a [Store] have set.
type StoreOptions struct { //nolint:revive // the name that services use
	Database, Table string
}

// Database says which database it is.
func Database(name string) StoreOption { return func(o *StoreOptions) { o.Database = name } }

// Table says which table it is.
func Table(name string) StoreOption { return func(o *StoreOptions) { o.Table = name } }

// DefaultStore is what the functions of this package use: the client of [Default], which
// gives up after 10 s. Tests may put another in its place.
var DefaultStore Store = new(standard) //nolint:gochecknoglobals // the name that services use

// Read returns the record of a key, or with [Prefix] or [Suffix] those that these
// select, ordered by key; the key does not count then. With [ReadPrefix] or [ReadSuffix]
// it is what keys begin or end with. [ErrNotFound] when the key has none.
func Read(key string, opts ...ReadOption) ([]*Record, error) { return DefaultStore.Read(key, opts...) }

// Write sets a record.
func Write(r *Record, opts ...WriteOption) error { return DefaultStore.Write(r, opts...) }

// Delete removes the record of a key. It is no error when there is none.
func Delete(key string, opts ...DeleteOption) error { return DefaultStore.Delete(key, opts...) }

// List returns the keys of all records, or of those that the options select, in order.
func List(opts ...ListOption) ([]string, error) { return DefaultStore.List(opts...) }

// timeout bounds what has no context.
const timeout = 10 * time.Second

// standard is the store of the server that runs the service.
type standard struct{ options StoreOptions }

func (s *standard) Init(opts ...StoreOption) error {
	for _, o := range opts {
		o(&s.options)
	}
	return nil
}

func (s *standard) Options() StoreOptions { return s.options }
func (*standard) Close() error            { return nil }
func (*standard) String() string          { return "micro" }

// do calls f with a client and a context that ends after the timeout. What was written for
// Micro 3 compares [ErrNotFound] with ==.
func (s *standard) do(f func(context.Context, *Client) error) error {
	c, err := Default()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err = f(ctx, c.in(s.options.Database, s.options.Table)); errors.Is(err, ErrNotFound) {
		return ErrNotFound
	}
	return err
}

func (s *standard) Read(key string, opts ...ReadOption) (records []*Record, err error) {
	err = s.do(func(ctx context.Context, c *Client) (err error) {
		records, err = c.Read(ctx, key, opts...)
		return err
	})
	return records, err
}

func (s *standard) Write(r *Record, opts ...WriteOption) error {
	return s.do(func(ctx context.Context, c *Client) error {
		_, err := c.Write(ctx, r, opts...)
		return err
	})
}

func (s *standard) Delete(key string, opts ...DeleteOption) error {
	var in place
	for _, o := range opts {
		o(&in)
	}
	return s.do(func(ctx context.Context, c *Client) error { return c.in(in.database, in.table).Delete(ctx, key) })
}

func (s *standard) List(opts ...ListOption) (keys []string, err error) {
	err = s.do(func(ctx context.Context, c *Client) (err error) {
		keys, err = c.List(ctx, opts...)
		return err
	})
	return keys, err
}
