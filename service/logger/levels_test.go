package logger

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/metadata"

	"github.com/micro/micro/v3/service/internal/call"
	"github.com/micro/micro/v3/service/internal/telemetry"
)

// A line that is logged with the context of a call says which call it is about.
func TestLinesOfACall(t *testing.T) {
	t.Parallel()
	ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs(
		"micro-namespace", "acme", "x-request-id", "r1", "traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"))
	ctx = call.Incoming(telemetry.Extract(ctx), "greeter", "v2", "/greet.Greeter/Hello")
	for name, tt := range map[string]struct {
		format string
		ctx    context.Context //nolint:containedctx // what is tested
		want   string
	}{
		"text":       {"text", ctx, `level=INFO msg=greeted name=Alice request_id=r1 trace_id=0af7651916cd43dd8448eb211c80319c namespace=acme endpoint=Greeter.Hello service=greeter version=v2`},
		"json":       {"json", ctx, `{"level":"INFO","msg":"greeted","name":"Alice","request_id":"r1","trace_id":"0af7651916cd43dd8448eb211c80319c","namespace":"acme","endpoint":"Greeter.Hello","service":"greeter","version":"v2"}`},
		"of no call": {"json", t.Context(), `{"level":"INFO","msg":"greeted","name":"Alice","service":"own","version":"v1"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			l := New(&out, func(name string) string {
				return map[string]string{"MICRO_LOG_FORMAT": tt.format, "MICRO_SERVICE_NAME": "own", "MICRO_SERVICE_VERSION": "v1"}[name]
			})
			l.With("name", "Alice").InfoContext(tt.ctx, "greeted")
			if got := strings.TrimSpace(withoutTime(out.String())); got != tt.want {
				t.Errorf("the line is\n%s, want\n%s", got, tt.want)
			}
		})
	}
	var out bytes.Buffer
	slog.New(Handler(slog.NewTextHandler(&out, nil))).WithGroup("g").InfoContext(ctx, "greeted", "name", "Alice")
	if got := withoutTime(out.String()); !strings.Contains(got, "g.name=Alice") || !strings.Contains(got, "request_id=r1") {
		t.Errorf("in a group: %s", got)
	}
}

func TestLogger(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := NewLogger(WithOutput(&out), WithLevel(DebugLevel), WithFields(map[string]any{"b": 2, "a": 1})).(*Helper)
	l.Trace("not this")
	l.Tracef("not %s", "this")
	l.Debug("d", 1)
	l.Debugf("d%d", 2)
	l.Info("i", 1)
	l.Infof("i%d", 2)
	l.Warn("w", 1)
	l.Warnf("w%d", 2)
	l.Error("e", 1)
	l.Errorf("e%d", 2)
	l.WithError(errors.New("broken")).Log(InfoLevel, "with")
	l.WithFields(map[string]any{"a": 3}).Info("other")
	l.Fields(map[string]any{"c": 4}).Logf(InfoLevel, "%s", "more")
	want := `level=DEBUG msg=d1 a=1 b=2
level=DEBUG msg=d2 a=1 b=2
level=INFO msg=i1 a=1 b=2
level=INFO msg=i2 a=1 b=2
level=WARN msg=w1 a=1 b=2
level=WARN msg=w2 a=1 b=2
level=ERROR msg=e1 a=1 b=2
level=ERROR msg=e2 a=1 b=2
level=INFO msg=with a=1 b=2 error=broken
level=INFO msg=other a=3 b=2
level=INFO msg=more a=1 b=2 c=4
`
	if diff := cmp.Diff(want, withoutTime(out.String())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !V(DebugLevel, l) || V(TraceLevel, l) {
		t.Error("V does not know what is written")
	}
	if l.String() != "slog" || l.Options().Level != DebugLevel {
		t.Errorf("it is %s with %+v", l, l.Options())
	}
	if err := l.Init(WithLevel(ErrorLevel)); err != nil || V(WarnLevel, l) {
		t.Errorf("after Init: %v", err)
	}
	if NewHelper(l) != l {
		t.Error("a helper is helped")
	}
}

func TestLevels(t *testing.T) {
	t.Parallel()
	for l := TraceLevel; l <= FatalLevel; l++ {
		if got, err := GetLevel(strings.ToUpper(l.String())); got != l || err != nil {
			t.Errorf("GetLevel(%s) = %v, %v", l, got, err)
		}
	}
	if l, err := GetLevel("loud"); err == nil || l != InfoLevel {
		t.Errorf("GetLevel of no level = %v, %v", l, err)
	}
	if !WarnLevel.Enabled(ErrorLevel) || WarnLevel.Enabled(InfoLevel) {
		t.Error("Enabled is the other way round")
	}
	if got := Level(9).String(); got != "level(9)" {
		t.Errorf("a level of no name is %q", got)
	}
}

// own is a logger that a program puts in the place of ours.
type own struct {
	Logger
	lines []string
}

func (o *own) Log(l Level, args ...any) { o.lines = append(o.lines, l.String()) }

func (o *own) Logf(l Level, format string, _ ...any) {
	o.lines = append(o.lines, l.String()+" "+format)
}

// The functions write to what the program says. No other test runs at the same time.
func TestDefaultLogger(t *testing.T) {
	before := DefaultLogger
	defer func() { DefaultLogger = before }()
	o := new(own)
	DefaultLogger = o
	Trace("x")
	Debug("x")
	Info("x")
	Warn("x")
	Error("x")
	Log(InfoLevel, "x")
	Tracef("f")
	Debugf("f")
	Infof("f")
	Warnf("f")
	Errorf("f")
	Logf(InfoLevel, "f")
	want := []string{"trace", "debug", "info", "warn", "error", "info", "trace f", "debug f", "info f", "warn f", "error f", "info f"}
	if diff := cmp.Diff(want, o.lines); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
