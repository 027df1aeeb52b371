package logger

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
)

// Logger is a logger as Micro 3 had it. New code takes a [*slog.Logger].
type Logger interface {
	// Init sets options.
	Init(opts ...Option) error
	// Options returns what was set.
	Options() Options
	// Fields returns a logger whose lines have these fields besides.
	Fields(fields map[string]any) Logger
	// Log writes a line of its arguments, joined as [fmt.Sprint] does.
	Log(level Level, args ...any)
	// Logf is Log with a format.
	Logf(level Level, format string, args ...any)
	// String returns the name of the logger.
	String() string
}

// DefaultLogger is what the functions of this package write to: [Default], unless a
// program puts another in its place.
var DefaultLogger Logger = NewHelper(&logger{to: Default}) //nolint:gochecknoglobals // the name that services use

// Level says how much a line matters.
type Level int8

// The levels.
const (
	TraceLevel Level = iota - 2
	DebugLevel
	InfoLevel
	WarnLevel
	ErrorLevel
	FatalLevel
)

// levels has the names, from [TraceLevel] on.
var levels = []string{"trace", "debug", "info", "warn", "error", "fatal"}

func (l Level) String() string {
	if l < TraceLevel || l > FatalLevel {
		return fmt.Sprintf("level(%d)", int8(l))
	}
	return levels[l-TraceLevel]
}

// Enabled reports whether lines of another level are written where l is the lowest.
func (l Level) Enabled(other Level) bool { return other >= l }

// GetLevel returns the level of a name.
func GetLevel(name string) (Level, error) {
	i := slices.Index(levels, strings.ToLower(name))
	if i < 0 {
		return InfoLevel, fmt.Errorf("%q is none of the levels %s", name, strings.Join(levels, ", "))
	}
	return TraceLevel + Level(i), nil //nolint:gosec // there are few
}

func (l Level) slog() slog.Level {
	switch l {
	case TraceLevel:
		return levelTrace
	case DebugLevel:
		return slog.LevelDebug
	case WarnLevel:
		return slog.LevelWarn
	case ErrorLevel, FatalLevel:
		return slog.LevelError
	default:
		return slog.LevelInfo
	}
}

// Option sets something of a [Logger].
type Option func(*Options)

// Options are what the options of a [Logger] have set.
type Options struct {
	Level  Level // the lowest that is written
	Fields map[string]any
	Out    io.Writer
}

// WithLevel sets the lowest level that is written.
func WithLevel(l Level) Option { return func(o *Options) { o.Level = l } }

// WithFields sets fields of every line.
func WithFields(fields map[string]any) Option { return func(o *Options) { o.Fields = fields } }

// WithOutput sets where lines are written.
func WithOutput(w io.Writer) Option { return func(o *Options) { o.Out = w } }

// logger is a [Logger] over slog.
type logger struct {
	to     func() *slog.Logger
	opts   Options
	fields []any // of slog
}

// NewLogger returns a logger that writes text, to standard error and from the level
// info on unless told otherwise.
func NewLogger(opts ...Option) Logger {
	l := new(logger)
	_ = l.Init(append([]Option{WithLevel(InfoLevel), WithOutput(os.Stderr)}, opts...)...) // it never fails
	return NewHelper(l)
}

func (l *logger) Init(opts ...Option) error {
	for _, o := range opts {
		o(&l.opts)
	}
	if l.opts.Out != nil {
		s := slog.New(Handler(slog.NewTextHandler(l.opts.Out, &slog.HandlerOptions{Level: l.opts.Level.slog()})))
		l.to = func() *slog.Logger { return s }
	}
	l.fields = pairs(l.opts.Fields)
	return nil
}

func (l *logger) Options() Options { return l.opts }
func (*logger) String() string     { return "slog" }

func (l *logger) Fields(fields map[string]any) Logger {
	out := *l
	out.opts.Fields = maps.Clone(l.opts.Fields)
	if out.opts.Fields == nil {
		out.opts.Fields = map[string]any{}
	}
	maps.Copy(out.opts.Fields, fields)
	out.fields = pairs(out.opts.Fields)
	return NewHelper(&out)
}

func (l *logger) Log(level Level, args ...any) {
	l.write(level, func() string { return fmt.Sprint(args...) })
}

func (l *logger) Logf(level Level, format string, args ...any) {
	l.write(level, func() string { return fmt.Sprintf(format, args...) })
}

// write makes the text only when somebody will read it.
func (l *logger) write(level Level, text func() string) {
	ctx := context.Background()
	if s := l.to(); s.Enabled(ctx, level.slog()) {
		s.Log(ctx, level.slog(), text(), l.fields...)
	}
}

func pairs(fields map[string]any) []any {
	var args []any
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		args = append(args, name, fields[name])
	}
	return args
}

// Fields returns a logger whose lines have these fields besides.
func Fields(fields map[string]any) *Helper { return NewHelper(DefaultLogger.Fields(fields)) }

// Init sets options of the [DefaultLogger].
func Init(opts ...Option) error { return DefaultLogger.Init(opts...) }

// Log writes a line at a level.
func Log(level Level, args ...any) { DefaultLogger.Log(level, args...) }

// Logf is [Log] with a format.
func Logf(level Level, format string, args ...any) { DefaultLogger.Logf(level, format, args...) }

// V reports whether a logger writes lines of a level, as far as its options tell.
func V(level Level, l Logger) bool {
	if own, ok := l.(interface{ enabled(level Level) bool }); ok {
		return own.enabled(level)
	}
	return l.Options().Level.Enabled(level)
}

func (l *logger) enabled(level Level) bool {
	return l.to().Enabled(context.Background(), level.slog())
}

// Helper is a [Logger] with a method for each level.
type Helper struct{ Logger }

// NewHelper returns a logger with a method for each level.
func NewHelper(l Logger) *Helper {
	if h, ok := l.(*Helper); ok {
		return h
	}
	return &Helper{l}
}

func (h *Helper) enabled(level Level) bool { return V(level, h.Logger) }

// Trace is [Trace] of this logger.
func (h *Helper) Trace(args ...any) { h.Log(TraceLevel, args...) }

// Tracef is [Tracef] of this logger.
func (h *Helper) Tracef(format string, args ...any) { h.Logf(TraceLevel, format, args...) }

// Debug is [Debug] of this logger.
func (h *Helper) Debug(args ...any) { h.Log(DebugLevel, args...) }

// Debugf is [Debugf] of this logger.
func (h *Helper) Debugf(format string, args ...any) { h.Logf(DebugLevel, format, args...) }

// Info is [Info] of this logger.
func (h *Helper) Info(args ...any) { h.Log(InfoLevel, args...) }

// Infof is [Infof] of this logger.
func (h *Helper) Infof(format string, args ...any) { h.Logf(InfoLevel, format, args...) }

// Warn is [Warn] of this logger.
func (h *Helper) Warn(args ...any) { h.Log(WarnLevel, args...) }

// Warnf is [Warnf] of this logger.
func (h *Helper) Warnf(format string, args ...any) { h.Logf(WarnLevel, format, args...) }

// Error is [Error] of this logger.
func (h *Helper) Error(args ...any) { h.Log(ErrorLevel, args...) }

// Errorf is [Errorf] of this logger.
func (h *Helper) Errorf(format string, args ...any) { h.Logf(ErrorLevel, format, args...) }

// Fatal is [Fatal] of this logger.
func (h *Helper) Fatal(args ...any) {
	h.Log(FatalLevel, args...)
	exit()
}

// Fatalf is [Fatalf] of this logger.
func (h *Helper) Fatalf(format string, args ...any) {
	h.Logf(FatalLevel, format, args...)
	exit()
}

// WithError returns a logger whose lines name an error.
func (h *Helper) WithError(err error) *Helper { return h.WithFields(map[string]any{"error": err}) }

// WithFields returns a logger whose lines have these fields besides.
func (h *Helper) WithFields(fields map[string]any) *Helper { return NewHelper(h.Fields(fields)) }
