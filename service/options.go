package service

import (
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/micro/micro/v3/service/client"
	"github.com/micro/micro/v3/service/server"
)

// Option sets something of a service; see [New]. Of two options for the same
// thing the later one counts, but for functions that are called and wrappers, which
// all count, in order.
type Option func(*Options)

// Options are what the options of a service have set.
type Options struct {
	Name, Version string
	// Address is where the service is to listen; empty: where the environment says.
	Address  string
	Metadata map[string]string
	// Signal says that Run stops the service on SIGTERM and SIGINT.
	Signal bool

	BeforeStart, AfterStart, BeforeStop, AfterStop []func() error

	stopTimeout  time.Duration
	lease, renew time.Duration
	logger       *slog.Logger
	grpc         []grpc.ServerOption

	wrapHandler    []server.HandlerWrapper
	wrapSubscriber []server.SubscriberWrapper
	wrapClient     []client.Wrapper

	// What tests replace.
	getenv   func(string) string
	announce io.Writer
}

// resolve completes the options by what the platform and the program's name say.
func (o *Options) resolve() {
	if v := o.getenv("MICRO_SERVICE_NAME"); v != "" {
		o.Name = v
	}
	if v := o.getenv("MICRO_SERVICE_VERSION"); v != "" {
		o.Version = v
	}
	if o.Name == "" && len(os.Args) > 0 {
		o.Name = strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe")
	}
}

// Name sets the name that the service runs under where no platform decides it,
// by MICRO_SERVICE_NAME.
func Name(name string) Option { return func(o *Options) { o.Name = name } }

// Version sets the version that the service runs as where no platform decides
// it, by MICRO_SERVICE_VERSION.
func Version(version string) Option { return func(o *Options) { o.Version = version } }

// Address sets where the service listens, as host:port; the host may be left out
// and the port may be 0, for a free one. Without this option the environment
// decides: MICRO_SERVICE_ADDRESS as host:port, else PORT. When that is silent
// too, the service takes a free port of 127.0.0.1.
//
// Where a platform runs the service, it listens where the platform calls it:
// MICRO_ADDRESS goes before everything else.
func Address(address string) Option { return func(o *Options) { o.Address = address } }

// Metadata sets what the service tells about itself.
func Metadata(md map[string]string) Option {
	return func(o *Options) { o.Metadata = maps.Clone(md) }
}

// HandleSignal sets whether [Service.Run] stops the service on SIGTERM and
// SIGINT, which it does unless told otherwise.
func HandleSignal(b bool) Option { return func(o *Options) { o.Signal = b } }

// StopTimeout sets how long [Service.Run] lets calls in progress take when it
// stops; 8 s unless told otherwise, which is less than the 10 s after which the
// platform kills a service.
func StopTimeout(d time.Duration) Option { return func(o *Options) { o.stopTimeout = d } }

// Logger sets where the service logs what happens to it, which is
// [github.com/micro/micro/v3/service/logger.Default] unless told otherwise.
func Logger(l *slog.Logger) Option { return func(o *Options) { o.logger = l } }

// ServerOptions adds options of the gRPC server, such as interceptors by
// [grpc.ChainUnaryInterceptor] or limits by [grpc.MaxRecvMsgSize].
func ServerOptions(opts ...grpc.ServerOption) Option {
	return func(o *Options) { o.grpc = append(o.grpc, opts...) }
}

// WrapHandler adds wrappers around the handlers of all calls: the first is the outermost.
// The endpoints that every service has, of health and reflection, are not wrapped.
func WrapHandler(w ...server.HandlerWrapper) Option {
	return func(o *Options) { o.wrapHandler = append(o.wrapHandler, w...) }
}

// WrapSubscriber adds wrappers around the handling of all messages that come to
// subscribers: the first is the outermost.
func WrapSubscriber(w ...server.SubscriberWrapper) Option {
	return func(o *Options) { o.wrapSubscriber = append(o.wrapSubscriber, w...) }
}

// WrapClient adds wrappers around the client of [Service.Client]: the first is the
// outermost.
func WrapClient(w ...client.Wrapper) Option {
	return func(o *Options) { o.wrapClient = append(o.wrapClient, w...) }
}

// WrapCall adds wrappers around each call of the client of [Service.Client]: the first
// is the outermost.
func WrapCall(w ...client.CallWrapper) Option {
	return WrapClient(func(c client.Client) client.Client {
		_ = c.Init(client.WrapCall(w...)) // it never fails
		return c
	})
}

// RegisterTTL sets for how long a service that is run by hand is in the registry when it
// does not renew its lease; 30 s unless told otherwise. The server keeps the lease of
// what it runs itself.
func RegisterTTL(d time.Duration) Option { return func(o *Options) { o.lease = d } }

// RegisterInterval sets how often a service that is run by hand renews its lease; three
// times in its length unless told otherwise.
func RegisterInterval(d time.Duration) Option { return func(o *Options) { o.renew = d } }

// BeforeStart adds a function that is called before the service listens. An
// error ends the start.
func BeforeStart(f func() error) Option {
	return func(o *Options) { o.BeforeStart = append(o.BeforeStart, f) }
}

// AfterStart adds a function that is called when the service listens. An error
// stops the service.
func AfterStart(f func() error) Option {
	return func(o *Options) { o.AfterStart = append(o.AfterStart, f) }
}

// BeforeStop adds a function that is called when the service begins to stop: its health
// says so already, and it still answers calls. It is the place to end streams that
// would go on for ever. An error does not keep the service from stopping; it is returned in the
// end.
func BeforeStop(f func() error) Option {
	return func(o *Options) { o.BeforeStop = append(o.BeforeStop, f) }
}

// AfterStop adds a function that is called when the last call has ended: the
// place to close what handlers use. Its error is returned in the end.
func AfterStop(f func() error) Option {
	return func(o *Options) { o.AfterStop = append(o.AfterStop, f) }
}
