// Package telemetry traces and measures calls by OpenTelemetry's API. Where a program
// sets up no provider of it, nothing is recorded, and the trace of a caller is passed on
// all the same.
package telemetry

import (
	"context"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// scope is who records.
const scope = "github.com/micro/micro/v3/service"

// w3c is how traces are passed on where the program says nothing else.
var w3c = propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})

func propagator() propagation.TextMapPropagator {
	if p := otel.GetTextMapPropagator(); len(p.Fields()) > 0 {
		return p
	}
	return w3c
}

// carrier lets a propagator read and write metadata.
type carrier metadata.MD

func (c carrier) Get(name string) string {
	if v := metadata.MD(c).Get(name); len(v) > 0 {
		return v[0]
	}
	return ""
}

func (c carrier) Set(name, value string) { metadata.MD(c).Set(name, value) }

func (c carrier) Keys() []string {
	names := make([]string, 0, len(c))
	for name := range c {
		names = append(names, name)
	}
	return names
}

// Extract returns a context that has the trace of the caller.
func Extract(ctx context.Context) context.Context {
	md, ok := metadata.FromIncomingContext(ctx)
	if !ok {
		return ctx
	}
	return propagator().Extract(ctx, carrier(md))
}

// Inject returns a context whose calls have the trace of it. What the caller set by hand
// counts.
func Inject(ctx context.Context) context.Context {
	c := carrier{}
	propagator().Inject(ctx, c)
	if len(c) == 0 {
		return ctx
	}
	out, _ := metadata.FromOutgoingContext(ctx)
	pairs := make([]string, 0, 4)
	for name, values := range c {
		if len(out.Get(name)) == 0 {
			pairs = append(pairs, name, values[0])
		}
	}
	return metadata.AppendToOutgoingContext(ctx, pairs...)
}

// Recorder records the calls of one side. It is safe for concurrent use.
type Recorder struct {
	kind     trace.SpanKind
	tracer   trace.Tracer
	duration metric.Float64Histogram
	methods  sync.Map // of path to *method
}

// method is what is the same for all calls of a method.
type method struct {
	name  string
	start []trace.SpanStartOption
	codes [17]metric.MeasurementOption // by the code that a call ended with
}

// NewRecorder returns a recorder for a server, or for a client.
func NewRecorder(kind trace.SpanKind) *Recorder {
	r := &Recorder{kind: kind, tracer: otel.Tracer(scope)}
	name, description := "rpc.client.call.duration", "How long calls took that were made."
	if kind == trace.SpanKindServer {
		name, description = "rpc.server.call.duration", "How long calls took that were answered."
	}
	// It fails for a name that is none; what it returns can be used anyhow.
	r.duration, _ = otel.Meter(scope).Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(description),
		metric.WithExplicitBucketBoundaries(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10))
	return r
}

func (r *Recorder) method(path string) *method {
	if m, ok := r.methods.Load(path); ok {
		return m.(*method)
	}
	m := &method{name: strings.TrimPrefix(path, "/")}
	attrs := []attribute.KeyValue{attribute.String("rpc.system.name", "grpc"), attribute.String("rpc.method", m.name)}
	m.start = []trace.SpanStartOption{trace.WithSpanKind(r.kind), trace.WithAttributes(attrs...)}
	for code := range m.codes {
		m.codes[code] = metric.WithAttributeSet(attribute.NewSet(append(attrs, statusCode(codes.Code(code)))...)) //nolint:gosec // a code of the array
	}
	stored, _ := r.methods.LoadOrStore(path, m)
	return stored.(*method)
}

func statusCode(c codes.Code) attribute.KeyValue {
	return attribute.String("rpc.response.status_code", c.String())
}

// Start begins a call of a method that exists, since all that were called are kept in
// memory. What it returns ends the call, the first time that it is called.
func (r *Recorder) Start(ctx context.Context, path string) (context.Context, func(error)) {
	m := r.method(path)
	began := time.Now()
	ctx, span := r.tracer.Start(ctx, m.name, m.start...)
	var once sync.Once
	return ctx, func(err error) {
		once.Do(func() {
			code := status.Code(err)
			if span.IsRecording() {
				span.SetAttributes(statusCode(code))
				if r.failed(code) {
					span.SetStatus(otelcodes.Error, status.Convert(err).Message())
				}
			}
			span.End()
			if int(code) < len(m.codes) && r.duration.Enabled(ctx) {
				r.duration.Record(ctx, time.Since(began).Seconds(), m.codes[code])
			}
		})
	}
}

// Process begins the handling of a message of a topic. What it returns ends it.
func Process(ctx context.Context, topic string) (context.Context, func(error)) {
	ctx, span := otel.Tracer(scope).Start(ctx, "process "+topic, trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
		attribute.String("messaging.system", "micro"),
		attribute.String("messaging.operation.type", "process"),
		attribute.String("messaging.destination.name", topic),
	))
	return ctx, func(err error) {
		if err != nil {
			span.SetStatus(otelcodes.Error, err.Error())
		}
		span.End()
	}
}

// failed reports whether a code is a failure of this side: of a server, that is what is
// not the caller's fault.
func (r *Recorder) failed(c codes.Code) bool {
	if r.kind != trace.SpanKindServer {
		return c != codes.OK
	}
	switch c {
	case codes.Unknown, codes.DeadlineExceeded, codes.Unimplemented, codes.Internal, codes.Unavailable, codes.DataLoss:
		return true
	default:
		return false
	}
}

// TraceID returns the id of the trace of a context, empty when there is none.
func TraceID(ctx context.Context) string {
	if c := trace.SpanContextFromContext(ctx); c.HasTraceID() {
		return c.TraceID().String()
	}
	return ""
}
