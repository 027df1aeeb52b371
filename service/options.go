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
)

// Option sets something of a service; see [New]. Of two options for the same
// thing the later one counts, but for the functions of BeforeStart, AfterStart,
// BeforeStop and AfterStop, which are all called, in order.
type Option func(*options)

type options struct {
	name, version, address string
	metadata               map[string]string
	handleSignal           bool
	stopTimeout            time.Duration
	logger                 *slog.Logger
	grpc                   []grpc.ServerOption

	beforeStart, afterStart, beforeStop, afterStop []func() error

	// What tests replace.
	getenv   func(string) string
	announce io.Writer
}

// resolve completes the options by what the platform and the program's name say.
func (o *options) resolve() {
	if v := o.getenv("MICRO_SERVICE_NAME"); v != "" {
		o.name = v
	}
	if v := o.getenv("MICRO_SERVICE_VERSION"); v != "" {
		o.version = v
	}
	if o.name == "" && len(os.Args) > 0 {
		o.name = strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe")
	}
}

// Name sets the name that the service runs under where no platform decides it,
// by MICRO_SERVICE_NAME.
func Name(name string) Option { return func(o *options) { o.name = name } }

// Version sets the version that the service runs as where no platform decides
// it, by MICRO_SERVICE_VERSION.
func Version(version string) Option { return func(o *options) { o.version = version } }

// Address sets where the service listens, as host:port; the host may be left out
// and the port may be 0, for a free one. Without this option the environment
// decides: MICRO_SERVICE_ADDRESS as host:port, else PORT. When that is silent
// too, the service takes a free port of 127.0.0.1.
//
// Where a platform runs the service, it listens where the platform calls it:
// MICRO_ADDRESS goes before everything else.
func Address(address string) Option { return func(o *options) { o.address = address } }

// Metadata sets what the service tells about itself.
func Metadata(md map[string]string) Option {
	return func(o *options) { o.metadata = maps.Clone(md) }
}

// HandleSignal sets whether [Service.Run] stops the service on SIGTERM and
// SIGINT, which it does unless told otherwise.
func HandleSignal(b bool) Option { return func(o *options) { o.handleSignal = b } }

// StopTimeout sets how long [Service.Run] lets calls in progress take when it
// stops; 8 s unless told otherwise, which is less than the 10 s after which the
// platform kills a service.
func StopTimeout(d time.Duration) Option { return func(o *options) { o.stopTimeout = d } }

// Logger sets where the service logs what happens to it, which is
// [github.com/micro/micro/v3/service/logger.Default] unless told otherwise.
func Logger(l *slog.Logger) Option { return func(o *options) { o.logger = l } }

// ServerOptions adds options of the gRPC server, such as interceptors by
// [grpc.ChainUnaryInterceptor] or limits by [grpc.MaxRecvMsgSize].
func ServerOptions(opts ...grpc.ServerOption) Option {
	return func(o *options) { o.grpc = append(o.grpc, opts...) }
}

// BeforeStart adds a function that is called before the service listens. An
// error ends the start.
func BeforeStart(f func() error) Option {
	return func(o *options) { o.beforeStart = append(o.beforeStart, f) }
}

// AfterStart adds a function that is called when the service listens. An error
// stops the service.
func AfterStart(f func() error) Option {
	return func(o *options) { o.afterStart = append(o.afterStart, f) }
}

// BeforeStop adds a function that is called when the service begins to stop,
// while it still answers calls: the place to end streams that would go on for
// ever. An error does not keep the service from stopping; it is returned in the
// end.
func BeforeStop(f func() error) Option {
	return func(o *options) { o.beforeStop = append(o.beforeStop, f) }
}

// AfterStop adds a function that is called when the last call has ended: the
// place to close what handlers use. Its error is returned in the end.
func AfterStop(f func() error) Option {
	return func(o *options) { o.afterStop = append(o.afterStop, f) }
}
