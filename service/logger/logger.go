// Package logger writes the log of a service, to standard error.
//
// It is a set of short functions over [log/slog]. The environment decides how
// it writes:
//
//	MICRO_LOG_LEVEL   trace, debug, info (when not set), warn or error
//	MICRO_LOG_FORMAT  text (when not set) or json
//
// Code that logs with attributes, or that is given its logger, takes a
// [*slog.Logger]: [Default] is the one that the functions write to. A line that is
// logged with the context of a call says which call it is about:
//
//	logger.Default().InfoContext(ctx, "greeted", "name", req.GetName())
//
// has request_id, trace_id, namespace, service, version and endpoint besides. Other
// services that the call went through say the same request_id and trace_id.
package logger

import (
	"context"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"

	"github.com/micro/micro/v3/service/internal/call"
	"github.com/micro/micro/v3/service/internal/telemetry"
)

// Default returns the logger that the functions of this package write to. It is
// made when it is first needed, and is the same from then on.
func Default() *slog.Logger { return standard() }

var standard = sync.OnceValue(func() *slog.Logger { return New(os.Stderr, os.Getenv) })

// levelTrace is below all that slog has a name for.
const levelTrace = slog.LevelDebug - 4

// New returns a logger that writes to w and is set up by the variables that
// getenv returns, such as [os.Getenv]. In JSON each line names the service and
// its version, which the platform gives as MICRO_SERVICE_NAME and
// MICRO_SERVICE_VERSION, because such lines are read away from where they were
// written. A value that is not known is reported as the first line.
func New(w io.Writer, getenv func(string) string) *slog.Logger {
	var level slog.Level
	var unknown []any
	switch v := getenv("MICRO_LOG_LEVEL"); strings.ToLower(v) {
	case "trace":
		level = levelTrace
	case "debug":
		level = slog.LevelDebug
	case "", "info":
	case "warn", "warning":
		level = slog.LevelWarn
	case "error", "fatal":
		level = slog.LevelError
	default:
		unknown = append(unknown, "MICRO_LOG_LEVEL", v)
	}
	opts := &slog.HandlerOptions{Level: level}
	var h slog.Handler
	switch v := getenv("MICRO_LOG_FORMAT"); strings.ToLower(v) {
	case "json":
		h = &handler{slog.NewJSONHandler(w, opts), getenv("MICRO_SERVICE_NAME"), getenv("MICRO_SERVICE_VERSION")}
	default:
		h = Handler(slog.NewTextHandler(w, opts))
		if v != "" && !strings.EqualFold(v, "text") {
			unknown = append(unknown, "MICRO_LOG_FORMAT", v)
		}
	}
	l := slog.New(h)
	if unknown != nil {
		l.Warn("the environment has a value that the logger does not know", unknown...)
	}
	return l
}

// Handler returns a handler that writes to h and adds to each line of a call which call
// it is about. It is for loggers that are set up otherwise than by [New].
func Handler(h slog.Handler) slog.Handler { return &handler{Handler: h} }

type handler struct {
	slog.Handler
	service, version string // for lines of no call; empty: they do not say
}

func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	service, version := h.service, h.version
	if c := call.From(ctx); c != nil {
		service, version = c.Service, c.Version
		add(&r, "request_id", c.RequestID)
		add(&r, "trace_id", telemetry.TraceID(ctx))
		add(&r, "namespace", c.Namespace)
		add(&r, "endpoint", c.Endpoint)
	}
	add(&r, "service", service)
	add(&r, "version", version)
	return h.Handler.Handle(ctx, r)
}

func add(r *slog.Record, key, value string) {
	if value != "" {
		r.AddAttrs(slog.String(key, value))
	}
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &handler{h.Handler.WithAttrs(attrs), h.service, h.version}
}

func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{h.Handler.WithGroup(name), h.service, h.version}
}

// Trace logs every step. It joins its arguments as [fmt.Sprint] does, and so do
// Debug, Info, Warn, Error and Fatal.
func Trace(args ...any) { DefaultLogger.Log(TraceLevel, args...) }

// Debug logs what helps to find a fault.
func Debug(args ...any) { DefaultLogger.Log(DebugLevel, args...) }

// Info logs what happens.
func Info(args ...any) { DefaultLogger.Log(InfoLevel, args...) }

// Warn logs what is not right and does no harm yet.
func Warn(args ...any) { DefaultLogger.Log(WarnLevel, args...) }

// Error logs what went wrong.
func Error(args ...any) { DefaultLogger.Log(ErrorLevel, args...) }

// Fatal logs why the program cannot go on, and ends it with exit code 1.
// Deferred functions do not run.
func Fatal(args ...any) {
	DefaultLogger.Log(FatalLevel, args...)
	exit()
}

// Tracef is [Trace] with a format, as of [fmt.Sprintf].
func Tracef(format string, args ...any) { DefaultLogger.Logf(TraceLevel, format, args...) }

// Debugf is [Debug] with a format.
func Debugf(format string, args ...any) { DefaultLogger.Logf(DebugLevel, format, args...) }

// Infof is [Info] with a format.
func Infof(format string, args ...any) { DefaultLogger.Logf(InfoLevel, format, args...) }

// Warnf is [Warn] with a format.
func Warnf(format string, args ...any) { DefaultLogger.Logf(WarnLevel, format, args...) }

// Errorf is [Error] with a format.
func Errorf(format string, args ...any) { DefaultLogger.Logf(ErrorLevel, format, args...) }

// Fatalf is [Fatal] with a format.
func Fatalf(format string, args ...any) {
	DefaultLogger.Logf(FatalLevel, format, args...)
	exit()
}

func exit() {
	os.Exit(1) //nolint:forbidigo // to end the program is what Fatal is for
}
