package telemetry

import (
	"context"
	"testing"

	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// A trace passes through a program that sets up nothing of OpenTelemetry.
func TestPassedOn(t *testing.T) {
	t.Parallel()
	ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("traceparent", traceparent, "tracestate", "a=b", "baggage", "user=alice"))
	ctx = Extract(ctx)
	if got := TraceID(ctx); got != "0af7651916cd43dd8448eb211c80319c" {
		t.Errorf("the trace is %q", got)
	}
	if got := baggage.FromContext(ctx).Member("user").Value(); got != "alice" {
		t.Errorf("the baggage is %q", got)
	}
	ctx, end := NewRecorder(trace.SpanKindServer).Start(ctx, "/a.B/C")
	ctx, endCall := NewRecorder(trace.SpanKindClient).Start(ctx, "/d.E/F")
	out, _ := metadata.FromOutgoingContext(Inject(ctx))
	for name, want := range map[string]string{"traceparent": traceparent, "tracestate": "a=b", "baggage": "user=alice"} {
		if got := out.Get(name); len(got) != 1 || got[0] != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	endCall(nil)
	end(status.Error(codes.Code(77), "unknown"))
	end(nil) // once is enough

	by := metadata.AppendToOutgoingContext(ctx, "traceparent", "by hand")
	if out, _ := metadata.FromOutgoingContext(Inject(by)); len(out.Get("traceparent")) != 1 {
		t.Errorf("what was set by hand is %q", out.Get("traceparent"))
	}
}

func TestNoTrace(t *testing.T) {
	t.Parallel()
	for _, ctx := range []context.Context{
		t.Context(),
		metadata.NewIncomingContext(t.Context(), metadata.Pairs("traceparent", "no trace")),
	} {
		ctx = Extract(ctx)
		if got := TraceID(ctx); got != "" {
			t.Errorf("the trace is %q", got)
		}
		if out, ok := metadata.FromOutgoingContext(Inject(ctx)); ok {
			t.Errorf("passed on is %v", out)
		}
	}
}

func TestFailed(t *testing.T) {
	t.Parallel()
	server, client := NewRecorder(trace.SpanKindServer), NewRecorder(trace.SpanKindClient)
	for code, want := range map[codes.Code][2]bool{
		codes.OK: {false, false}, codes.NotFound: {false, true}, codes.Internal: {true, true}, codes.Unavailable: {true, true}, codes.InvalidArgument: {false, true},
	} {
		if got := [2]bool{server.failed(code), client.failed(code)}; got != want {
			t.Errorf("%v is a failure of server and client: %v, want %v", code, got, want)
		}
	}
}

// BenchmarkStart is what a call costs that nobody records.
func BenchmarkStart(b *testing.B) {
	r := NewRecorder(trace.SpanKindServer)
	ctx := metadata.NewIncomingContext(b.Context(), metadata.Pairs("traceparent", traceparent))
	b.ReportAllocs()
	for b.Loop() {
		_, end := r.Start(Extract(ctx), "/a.B/C")
		end(nil)
	}
}
