package trace_test

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/micro/micro/v3/backend/trace"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, env map[string]string) (*trace.Tracer, error) {
	t.Helper()
	return trace.Open(t.Context(), func(name string) string { return env[name] }, "v1", slog.New(slog.DiscardHandler))
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	const endpoint, forTraces = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	for name, tt := range map[string]struct {
		env  map[string]string
		is   bool
		want error
	}{
		"nothing":               {nil, false, nil},
		"a collector":           {map[string]string{endpoint: "http://127.0.0.1:1"}, true, nil},
		"one for traces":        {map[string]string{forTraces: "https://127.0.0.1:1/x"}, true, nil},
		"by gRPC":               {map[string]string{endpoint: "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, true, nil},
		"turned off":            {map[string]string{endpoint: "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"}, false, nil},
		"for others than these": {map[string]string{endpoint: "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"}, false, nil},
		"no scheme":             {map[string]string{endpoint: "127.0.0.1:4318"}, false, trace.ErrEnvironment},
		"no host":               {map[string]string{endpoint: "http://"}, false, trace.ErrEnvironment},
		"another scheme":        {map[string]string{endpoint: "ftp://x"}, false, trace.ErrEnvironment},
		"another protocol":      {map[string]string{endpoint: "http://x", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, false, trace.ErrEnvironment},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tracer, err := open(t, tt.env)
			if !errors.Is(err, tt.want) || (tracer != nil) != tt.is {
				t.Errorf("%v, %v", tracer, err)
			}
			if err := tracer.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Without a tracer nothing is changed, and nothing is allocated.
func TestNoTracer(t *testing.T) {
	var tracer *trace.Tracer
	md := metadata.Pairs("traceparent", "as it came")
	ctx := t.Context()
	n := testing.AllocsPerRun(100, func() {
		served, span := tracer.Serve(ctx, md, "/a.B/C")
		got, call := tracer.Call(served, md, "acme", "shop", "/a.B/C")
		call.To("a", "127.0.0.1:1")
		call.End(codes.OK)
		span.End(codes.Internal)
		if got.Get("traceparent")[0] != "as it came" {
			t.Error("the metadata was changed")
		}
	})
	if n > 0 {
		t.Errorf("%v allocations a call", n)
	}
	h := http.NewServeMux()
	if tracer.HTTP(h) != http.Handler(h) {
		t.Error("requests are traced")
	}
}

// A collector that is away, or refuses, holds up no call and not the end.
func TestNoCollector(t *testing.T) {
	t.Parallel()
	tracer, err := open(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	for range 10_000 {
		_, span := tracer.Serve(t.Context(), metadata.MD{}, "/a.B/C")
		span.End(codes.OK)
	}
	rec := httptest.NewRecorder()
	tracer.HTTP(http.NotFoundHandler()).ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	if rec.Code != http.StatusNotFound {
		t.Errorf("status %d", rec.Code)
	}
	if err := tracer.Close(); err != nil {
		t.Error(err)
	}
}
