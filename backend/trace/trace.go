// Package trace follows calls through the server, and sends what it sees to a collector
// of OpenTelemetry when the environment names one:
//
//	caller ── traceparent ──▶ a span of the server's  ── traceparent ──▶ instance
//	                          and one of its call of the instance
//
// Where none is named nothing is sent, and the context of a trace (W3C) passes through
// as it came, like all metadata. What calls carry is never part of a span.
package trace

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	grpccodes "google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
)

// ErrEnvironment marks a variable of the environment that has no meaning.
var ErrEnvironment = errors.New("not valid")

// closeIn is how long the collector may take to get what is left in the end.
const closeIn = 3 * time.Second

// Tracer makes spans. A nil one makes none. All methods are safe for concurrent use.
type Tracer struct {
	tracer     trace.Tracer
	propagator propagation.TextMapPropagator
	close      func(context.Context) error
}

// Open returns a tracer that sends spans where the variables OTEL_EXPORTER_OTLP_… say,
// as OpenTelemetry's specification has them; nil when they name no collector. It does
// not wait for the collector. The error is [ErrEnvironment] when they make no sense.
func Open(ctx context.Context, getenv func(string) string, version string, log *slog.Logger) (*Tracer, error) {
	first := func(names ...string) (name, value string) {
		for _, n := range names {
			if v := getenv(n); v != "" {
				return n, v
			}
		}
		return "", ""
	}
	name, endpoint := first("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
	if endpoint == "" || strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") || getenv("OTEL_TRACES_EXPORTER") == "none" {
		return nil, nil //nolint:nilnil // a nil tracer makes no spans
	}
	if u, err := url.Parse(endpoint); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%s is %q, which is no address like http://127.0.0.1:4318: %w", name, endpoint, ErrEnvironment)
	}
	exporter, err := newExporter(ctx, first)
	if err != nil {
		return nil, err
	}
	r, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", "micro"), attribute.String("service.version", version)),
		resource.WithFromEnv(), // which counts more
	)
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w: %w", ErrEnvironment, err)
	}
	provider := sdk.NewTracerProvider(sdk.WithBatcher(&exporting{SpanExporter: exporter, log: log}), sdk.WithResource(r))
	return newTracer(provider, provider.Shutdown), nil
}

func newTracer(p trace.TracerProvider, shutdown func(context.Context) error) *Tracer {
	return &Tracer{
		tracer:     p.Tracer("github.com/micro/micro/v3"),
		propagator: propagation.TraceContext{},
		close:      shutdown,
	}
}

// newExporter returns what speaks the protocol that is asked for. Both read the other
// variables themselves.
func newExporter(ctx context.Context, first func(...string) (string, string)) (*otlptrace.Exporter, error) {
	switch name, protocol := first("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"); protocol {
	case "", "http/protobuf":
		return otlptracehttp.New(ctx)
	case "grpc":
		return otlptracegrpc.New(ctx)
	default:
		return nil, fmt.Errorf("%s is %q, none of http/protobuf and grpc: %w", name, protocol, ErrEnvironment)
	}
}

// exporting tells of what could not be sent, which ends nothing.
type exporting struct {
	sdk.SpanExporter

	log *slog.Logger
}

func (e *exporting) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	if err := e.SpanExporter.ExportSpans(ctx, spans); err != nil {
		e.log.Warn("spans are lost: the collector does not take them", "spans", len(spans), "err", err)
	}
	return nil
}

// Close sends what is left, and ends the connection to the collector.
func (t *Tracer) Close() error {
	if t == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeIn)
	defer cancel()
	_ = t.close(ctx) // what could not be sent was told
	return nil
}

// Span is the span of a call. The zero value is none.
type Span struct{ span trace.Span }

// To says which instance a call has come to.
func (s Span) To(id, address string) {
	if s.span != nil {
		s.span.SetAttributes(attribute.String("micro.instance", id), attribute.String("server.address", address))
	}
}

// End ends the span of a gRPC call with its code.
func (s Span) End(code grpccodes.Code) {
	if s.span == nil {
		return
	}
	s.span.SetAttributes(attribute.Int("rpc.grpc.status_code", int(code)))
	if code != grpccodes.OK {
		s.span.SetStatus(codes.Error, code.String())
	}
	s.span.End()
}

// Serve begins the span of a gRPC call that somebody makes, whose metadata may tell of
// the trace that it belongs to.
func (t *Tracer) Serve(ctx context.Context, md metadata.MD, path string) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	ctx, span := t.tracer.Start(t.propagator.Extract(ctx, carrier(md)), strings.TrimPrefix(path, "/"),
		trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(rpc(path)...))
	return ctx, Span{span}
}

// Call begins the span of a call of a service, and returns the metadata with which it is
// to be made; md is not changed.
func (t *Tracer) Call(ctx context.Context, md metadata.MD, namespace, service, path string) (metadata.MD, Span) {
	if t == nil {
		return md, Span{}
	}
	ctx, span := t.tracer.Start(ctx, strings.TrimPrefix(path, "/"), trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(rpc(path)...),
		trace.WithAttributes(attribute.String("micro.namespace", namespace), attribute.String("micro.service", service)))
	md = md.Copy()
	t.propagator.Inject(ctx, carrier(md))
	return md, Span{span}
}

// HTTP begins the span of each request, and ends it with the status of the response.
func (t *Tracer) HTTP(next http.Handler) http.Handler {
	if t == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, span := t.tracer.Start(t.propagator.Extract(r.Context(), propagation.HeaderCarrier(r.Header)), r.Method,
			trace.WithSpanKind(trace.SpanKindServer),
			trace.WithAttributes(attribute.String("http.request.method", r.Method), attribute.String("url.path", r.URL.Path)))
		defer span.End()
		answer := &response{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(answer, r.WithContext(ctx))
		span.SetAttributes(attribute.Int("http.response.status_code", answer.status))
		if answer.status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, "")
		}
	})
}

// response remembers its status.
type response struct {
	http.ResponseWriter

	status int
}

func (r *response) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// Unwrap is for [http.ResponseController].
func (r *response) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// Name gives the span of a request a name, when it is known what is called.
func Name(ctx context.Context, name string) { trace.SpanFromContext(ctx).SetName(name) }

// rpc says what is called.
func rpc(path string) []attribute.KeyValue {
	service, method, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return []attribute.KeyValue{
		attribute.String("rpc.system", "grpc"),
		attribute.String("rpc.service", service),
		attribute.String("rpc.method", method),
	}
}

// carrier is metadata as propagators see it.
type carrier metadata.MD

func (c carrier) Get(key string) string {
	if v := metadata.MD(c).Get(key); len(v) > 0 {
		return v[0]
	}
	return ""
}

func (c carrier) Set(key, value string) { metadata.MD(c).Set(key, value) }

func (c carrier) Keys() []string {
	keys := make([]string, 0, len(c))
	for k := range c {
		keys = append(keys, k)
	}
	return keys
}
