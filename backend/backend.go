// Package backend opens the engines behind the contracts by their URLs. It is
// the only importer of drivers.
package backend

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/micro/micro/v3/backend/backup"
	"github.com/micro/micro/v3/backend/embedded"
	"github.com/micro/micro/v3/backend/events"
	eventsembedded "github.com/micro/micro/v3/backend/events/embedded"
	"github.com/micro/micro/v3/backend/runtime"
	runtimedocker "github.com/micro/micro/v3/backend/runtime/docker"
	runtimeembedded "github.com/micro/micro/v3/backend/runtime/embedded"
	"github.com/micro/micro/v3/backend/store"
	storeembedded "github.com/micro/micro/v3/backend/store/embedded"
)

// Config says which engines to open.
type Config struct {
	DataDir string
	Store   string // a URL, for example "embedded:"
	Events  string // a URL, for example "embedded:"
	Runtime string // a URL, for example "embedded:", "embedded:?confine=no" or "docker:"
	Logger  *slog.Logger
	// Memory keeps what the embedded engines hold in memory, for tests: it is gone
	// when they are closed.
	Memory bool
	// Fatal is called once when an engine can no longer keep its promises, and
	// the process has to end.
	Fatal func(error)
}

// Backend is a set of open engines.
type Backend struct {
	Store  store.Store
	Events events.Engine
	config Config
	close  []func() error
}

// ErrEngine marks a URL that names no engine.
var ErrEngine = errors.New("no such engine")

// checkEngine returns an error unless a URL has one of the schemes that are known.
func checkEngine(url string, known ...string) error {
	s, _, ok := strings.Cut(url, ":")
	if !ok || !slices.Contains(known, s) {
		return fmt.Errorf("%w: %q; the known ones are %s", ErrEngine, url, strings.Join(known, ", "))
	}
	return nil
}

// Open opens the engines that hold data. Close it when nothing uses them any more.
func Open(ctx context.Context, c Config) (*Backend, error) {
	if err := checkEngine(c.Store, "embedded"); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if err := checkEngine(c.Events, "embedded"); err != nil {
		return nil, fmt.Errorf("events: %w", err)
	}
	if _, err := parseRuntime(c.Runtime); err != nil {
		return nil, fmt.Errorf("runtime: %w", err)
	}
	b := &Backend{config: c}
	if err := b.open(ctx); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

func (b *Backend) open(ctx context.Context) error {
	unlock, err := lockDataDir(b.config.DataDir)
	if err != nil {
		return err
	}
	b.onClose(func() error { unlock(); return nil })
	replaced, err := backup.Finish(b.config.DataDir)
	if err != nil {
		return fmt.Errorf("finish a restore that was interrupted: %w", err)
	}
	if replaced != "" {
		b.config.Logger.Info("a restore that was interrupted is finished", "replaced", replaced)
	}
	o := embedded.Options{Logger: b.config.Logger, Fatal: b.config.Fatal}
	if b.config.Memory {
		o.FS = embedded.Memory()
	}
	db, err := embedded.Open(ctx, filepath.Join(b.config.DataDir, "store"), o)
	if err != nil {
		return err
	}
	b.onClose(db.Close)
	s, err := storeembedded.Open(ctx, db, storeembedded.Options{})
	if err != nil {
		return err
	}
	b.onClose(s.Close)
	e, err := eventsembedded.Open(ctx, db, eventsembedded.Options{})
	if err != nil {
		return err
	}
	b.onClose(e.Close)
	b.Store, b.Events = s, e
	return nil
}

func (b *Backend) onClose(f func() error) { b.close = append(b.close, f) }

// runtimeConfig is what the URL of a runtime says.
type runtimeConfig struct {
	unconfined bool   // see [runtimeembedded.Config]
	engine     string // see [runtimedocker.Config]; empty: the embedded runtime
}

// parseRuntime reads the URL of a runtime.
func parseRuntime(text string) (c runtimeConfig, err error) {
	if err := checkEngine(text, "embedded", "docker"); err != nil {
		return c, err
	}
	u, err := url.Parse(text)
	if err != nil {
		return c, err
	}
	options, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return c, err
	}
	if u.Scheme == "docker" {
		c.engine, err = engineAddress(u)
		return c, err
	}
	for name := range options {
		switch value := options.Get(name); {
		case name == "confine" && (value == "yes" || value == "no"):
			c.unconfined = value == "no"
		default:
			return c, fmt.Errorf("%w: %q; what can be said of it is confine=yes or confine=no", ErrEngine, text)
		}
	}
	if u.Opaque+u.Host+u.Path != "" {
		return c, fmt.Errorf("%w: %q; it has no address", ErrEngine, text)
	}
	return c, nil
}

// engineAddress returns where the engine of a URL is. Containers are reached on loopback,
// so it is on this machine.
func engineAddress(u *url.URL) (string, error) {
	host := u.Hostname()
	ip := net.ParseIP(host)
	switch {
	case u.Opaque+u.RawQuery+u.Fragment != "" || u.User != nil, host != "" && (u.Path != "" || u.Port() == ""):
		return "", fmt.Errorf("%w: %q; want docker:, docker:///PATH/OF/SOCKET or docker://127.0.0.1:PORT", ErrEngine, u)
	case host != "" && host != "localhost" && (ip == nil || !ip.IsLoopback()):
		return "", fmt.Errorf("%w: %q; it has to be on this machine, where its containers are reached", ErrEngine, u)
	case host != "":
		return "tcp://" + u.Host, nil
	case u.Path != "":
		return "unix://" + u.Path, nil
	default:
		return runtimedocker.DefaultEngine, nil
	}
}

// OpenRuntime opens what services run on. The caller closes it.
func (b *Backend) OpenRuntime(ctx context.Context, images runtime.OpenImage) (runtime.Runtime, error) {
	c, err := parseRuntime(b.config.Runtime)
	if err != nil {
		return nil, err
	}
	if c.engine != "" {
		return runtimedocker.Open(ctx, runtimedocker.Config{
			Dir:       filepath.Join(b.config.DataDir, "containers"),
			Engine:    c.engine,
			OpenImage: images,
			Logger:    b.config.Logger,
		})
	}
	return runtimeembedded.Open(ctx, runtimeembedded.Config{
		Dir:        filepath.Join(b.config.DataDir, "runtime"),
		Private:    b.config.DataDir,
		OpenImage:  images,
		Logger:     b.config.Logger,
		Unconfined: c.unconfined,
	})
}

// Close closes the engines in the order in which they depend on each other.
func (b *Backend) Close() error {
	var errs []error
	for _, f := range slices.Backward(b.close) {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}
