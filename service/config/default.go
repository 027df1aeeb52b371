package config

import (
	"context"
	"time"
)

// Config reads and changes the configuration without a context.
type Config interface {
	Get(path string, opts ...Option) (Value, error)
	Set(path string, value any, opts ...Option) error
	Delete(path string, opts ...Option) error
}

// DefaultConfig is what the functions of this package use: the client of [Default], which
// gives up after 10 s. Tests may put another in its place.
var DefaultConfig Config = standard{} //nolint:gochecknoglobals // the name that services use

// Get returns the value at a path; see [Client.Get].
func Get(path string, opts ...Option) (Value, error) { return DefaultConfig.Get(path, opts...) }

// Set puts a value at a path; see [Client.Set]. Of an object that is there already, what
// the value does not have stays: it is as with [Merge].
func Set(path string, value any, opts ...Option) error {
	return DefaultConfig.Set(path, value, opts...)
}

// Delete removes what is at a path and below; see [Client.Delete].
func Delete(path string, opts ...Option) error { return DefaultConfig.Delete(path, opts...) }

// timeout bounds what has no context.
const timeout = 10 * time.Second

// standard is the configuration of the server that runs the service.
type standard struct{}

func (standard) Get(path string, opts ...Option) (Value, error) {
	c, err := Default()
	if err != nil {
		return Value{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return c.Get(ctx, path, opts...)
}

func (standard) Set(path string, value any, opts ...Option) error {
	c, err := Default()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	_, err = c.Set(ctx, path, value, append([]Option{Merge()}, opts...)...)
	return err
}

func (standard) Delete(path string, opts ...Option) error {
	c, err := Default()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return c.Delete(ctx, path, opts...)
}
