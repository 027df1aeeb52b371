// Package logger writes the log of a service, to standard error.
//
// It is a set of short functions over [log/slog]. The environment decides how
// it writes:
//
//	MICRO_LOG_LEVEL   debug, info (when not set), warn or error
//	MICRO_LOG_FORMAT  text (when not set) or json
//
// Code that logs with attributes, or that is given its logger, takes a
// [*slog.Logger]: [Default] is the one that the functions write to.
package logger

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
)

// Default returns the logger that the functions of this package write to. It is
// made when it is first needed, and is the same from then on.
func Default() *slog.Logger { return standard() }

var standard = sync.OnceValue(func() *slog.Logger { return New(os.Stderr, os.Getenv) })

// New returns a logger that writes to w and is set up by the variables that
// getenv returns, such as [os.Getenv]. In JSON each line names the service and
// its version, which the platform gives as MICRO_SERVICE_NAME and
// MICRO_SERVICE_VERSION, because such lines are read away from where they were
// written. A value that is not known is reported as the first line.
func New(w io.Writer, getenv func(string) string) *slog.Logger {
	var level slog.Level
	var unknown []any
	switch v := getenv("MICRO_LOG_LEVEL"); strings.ToLower(v) {
	case "debug", "trace":
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
	var l *slog.Logger
	switch v := getenv("MICRO_LOG_FORMAT"); strings.ToLower(v) {
	case "json":
		l = slog.New(slog.NewJSONHandler(w, opts))
		for _, a := range [][2]string{{"service", "MICRO_SERVICE_NAME"}, {"version", "MICRO_SERVICE_VERSION"}} {
			if v := getenv(a[1]); v != "" {
				l = l.With(a[0], v)
			}
		}
	default:
		l = slog.New(slog.NewTextHandler(w, opts))
		if v != "" && !strings.EqualFold(v, "text") {
			unknown = append(unknown, "MICRO_LOG_FORMAT", v)
		}
	}
	if unknown != nil {
		l.Warn("the environment has a value that the logger does not know", unknown...)
	}
	return l
}

// Debug logs what helps to find a fault. It joins its arguments as [fmt.Sprint]
// does, and so do Info, Warn, Error and Fatal.
func Debug(args ...any) { log(slog.LevelDebug, args...) }

// Info logs what happens.
func Info(args ...any) { log(slog.LevelInfo, args...) }

// Warn logs what is not right and does no harm yet.
func Warn(args ...any) { log(slog.LevelWarn, args...) }

// Error logs what went wrong.
func Error(args ...any) { log(slog.LevelError, args...) }

// Fatal logs why the program cannot go on, and ends it with exit code 1.
// Deferred functions do not run.
func Fatal(args ...any) {
	log(slog.LevelError, args...)
	exit()
}

// Debugf is [Debug] with a format, as of [fmt.Sprintf].
func Debugf(format string, args ...any) { logf(slog.LevelDebug, format, args...) }

// Infof is [Info] with a format.
func Infof(format string, args ...any) { logf(slog.LevelInfo, format, args...) }

// Warnf is [Warn] with a format.
func Warnf(format string, args ...any) { logf(slog.LevelWarn, format, args...) }

// Errorf is [Error] with a format.
func Errorf(format string, args ...any) { logf(slog.LevelError, format, args...) }

// Fatalf is [Fatal] with a format.
func Fatalf(format string, args ...any) {
	logf(slog.LevelError, format, args...)
	exit()
}

// log and logf make the text only when somebody will read it.

func log(level slog.Level, args ...any) {
	ctx := context.Background()
	if l := Default(); l.Enabled(ctx, level) {
		l.Log(ctx, level, fmt.Sprint(args...))
	}
}

func logf(level slog.Level, format string, args ...any) {
	ctx := context.Background()
	if l := Default(); l.Enabled(ctx, level) {
		l.Log(ctx, level, fmt.Sprintf(format, args...))
	}
}

func exit() {
	os.Exit(1) //nolint:forbidigo // to end the program is what Fatal is for
}
