package server_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	"google.golang.org/protobuf/proto"

	registryv1 "github.com/micro/micro/v3/proto/micro/registry/v1"
)

// collector is a collector of OpenTelemetry.
type collector struct {
	collectorv1.UnimplementedTraceServiceServer

	mu    sync.Mutex
	spans []*tracev1.Span
	of    map[string]string // what the resource says of itself
}

func (c *collector) take(req *collectorv1.ExportTraceServiceRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range req.GetResourceSpans() {
		c.of = map[string]string{}
		for _, a := range r.GetResource().GetAttributes() {
			c.of[a.GetKey()] = a.GetValue().GetStringValue()
		}
		for _, s := range r.GetScopeSpans() {
			c.spans = append(c.spans, s.GetSpans()...)
		}
	}
}

// Export is how spans come by gRPC.
func (c *collector) Export(_ context.Context, req *collectorv1.ExportTraceServiceRequest) (*collectorv1.ExportTraceServiceResponse, error) {
	c.take(req)
	return &collectorv1.ExportTraceServiceResponse{}, nil
}

// ServeHTTP is how they come by HTTP.
func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	req := &collectorv1.ExportTraceServiceRequest{}
	if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, req) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.take(req)
}

// span returns the only span of a kind and a name.
func (c *collector) span(t *testing.T, kind tracev1.Span_SpanKind, name string) *tracev1.Span {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	var found *tracev1.Span
	for _, s := range c.spans {
		if s.GetKind() == kind && s.GetName() == name {
			if found != nil {
				t.Errorf("there are several spans %s of %s", kind, name)
			}
			found = s
		}
	}
	if found == nil {
		t.Fatalf("there is no span %s of %s among %v", kind, name, c.spans)
	}
	return found
}

// relay is a service that calls another one when it is called, and hands on what it
// knows of the trace, as the SDK does.
type relay struct {
	testpb.UnimplementedTestServiceServer

	mu   sync.Mutex
	got  []string // traceparent of each call
	next func(ctx context.Context) error
}

func (r *relay) UnaryCall(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	parent := strings.Join(md.Get("traceparent"), " ")
	r.mu.Lock()
	r.got = append(r.got, parent)
	r.mu.Unlock()
	if r.next != nil {
		return &testpb.SimpleResponse{}, r.next(metadata.AppendToOutgoingContext(ctx, "traceparent", parent, "tracestate", strings.Join(md.Get("tracestate"), ",")))
	}
	return &testpb.SimpleResponse{}, nil
}

func (r *relay) start(t *testing.T, s *testServer, name string) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	testpb.RegisterTestServiceServer(g, r)
	reflection.Register(g)
	done := make(chan error, 1)
	go func() { done <- g.Serve(l) }()
	t.Cleanup(func() {
		g.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	_, err = registryv1.NewRegistryClient(s.conn).Register(as(t, s.admin, ""), &registryv1.RegisterRequest{
		Instance: &registryv1.Instance{Service: name, Address: l.Addr().String()},
	})
	if err != nil {
		t.Fatal(err)
	}
}

const (
	traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	clients = "00-" + traceID + "-00f067aa0ba902b7-01"
	path    = "grpc.testing.TestService/UnaryCall"
)

// traced has a client call the service front by HTTP, which calls back, and returns the
// traces that the two were told of.
func traced(t *testing.T, s *testServer) (front, back string) {
	t.Helper()
	last := &relay{}
	last.start(t, s, "back")
	first := &relay{next: func(ctx context.Context) error {
		ctx = metadata.AppendToOutgoingContext(ctx, "micro-namespace", "acme", "micro-service", "back")
		_, err := testpb.NewTestServiceClient(s.conn).UnaryCall(ctx, &testpb.SimpleRequest{})
		return err
	}}
	first.start(t, s, "front")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.Gateway+"/front/TestService/UnaryCall", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Micro-Namespace", "acme")
	req.Header.Set("Traceparent", clients)
	req.Header.Set("Tracestate", "vendor=1")
	rsp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = rsp.Body.Close()
	if rsp.StatusCode != http.StatusOK || len(first.got) != 1 || len(last.got) != 1 {
		t.Fatalf("status %s, %d and %d calls", rsp.Status, len(first.got), len(last.got))
	}
	return first.got[0], last.got[0]
}

func TestTraceContextPasses(t *testing.T) {
	t.Parallel()
	// Without a collector it comes as it was sent.
	front, back := traced(t, start(t))
	if front != clients || back != clients {
		t.Errorf("the services were told of %q and %q, want %q", front, back, clients)
	}
}

func TestTraces(t *testing.T) {
	for _, protocol := range []string{"", "http/protobuf", "grpc"} {
		t.Run("by "+protocol, func(t *testing.T) {
			c := &collector{}
			web := httptest.NewServer(c)
			defer web.Close()
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", web.URL)
			if protocol == "grpc" {
				t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+c.serve(t))
			}
			t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
			t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")
			s := start(t)
			front, back := traced(t, s)
			if err := s.stop(); err != nil {
				t.Error(err)
			}
			gateway := c.span(t, tracev1.Span_SPAN_KIND_SERVER, "POST /"+path)
			if got := fmt.Sprintf("00-%x-%x-01", gateway.GetTraceId(), gateway.GetParentSpanId()); got != clients {
				t.Errorf("the gateway's span is a child of %s, want %s", got, clients)
			}
			if got := gateway.GetTraceState(); got != "vendor=1" {
				t.Errorf("the state is %q", got)
			}
			// Each service is called by a span of the server's, and its own calls come
			// back as children of that.
			door := c.span(t, tracev1.Span_SPAN_KIND_SERVER, path)
			var calls []*tracev1.Span
			for _, span := range c.spans {
				if span.GetKind() == tracev1.Span_SPAN_KIND_CLIENT {
					calls = append(calls, span)
				}
			}
			if len(calls) != 2 {
				t.Fatalf("%d calls of instances", len(calls))
			}
			byParent := map[string]*tracev1.Span{}
			for _, span := range calls {
				byParent[hex.EncodeToString(span.GetParentSpanId())] = span
				if got := hex.EncodeToString(span.GetTraceId()); got != traceID {
					t.Errorf("a call is of the trace %s", got)
				}
			}
			one, other := byParent[hex.EncodeToString(gateway.GetSpanId())], byParent[hex.EncodeToString(door.GetSpanId())]
			if one == nil || other == nil {
				t.Fatalf("the calls are children of others: %v", calls)
			}
			if want := fmt.Sprintf("00-%s-%x-01", traceID, one.GetSpanId()); front != want {
				t.Errorf("the first service was told of %s, want %s", front, want)
			}
			if want := fmt.Sprintf("00-%s-%x-01", traceID, other.GetSpanId()); back != want {
				t.Errorf("the second service was told of %s, want %s", back, want)
			}
			if got, want := hex.EncodeToString(door.GetParentSpanId()), hex.EncodeToString(one.GetSpanId()); got != want {
				t.Errorf("the door's span is a child of %s, want %s", got, want)
			}
			if c.of["service.name"] != "micro" || c.of["deployment.environment"] != "test" {
				t.Errorf("the server calls itself %v", c.of)
			}
			attributes := map[string]string{}
			for _, a := range one.GetAttributes() {
				attributes[a.GetKey()] = a.GetValue().GetStringValue()
			}
			if attributes["micro.service"] != "front" || attributes["micro.namespace"] != "acme" || attributes["micro.instance"] == "" || attributes["rpc.method"] != "UnaryCall" {
				t.Errorf("a call says of itself %v", attributes)
			}
			if strings.Contains(fmt.Sprint(c.spans), "Bearer") {
				t.Error("a token is among what is sent")
			}
		})
	}
}

// serve takes spans by gRPC.
func (c *collector) serve(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	collectorv1.RegisterTraceServiceServer(g, c)
	done := make(chan error, 1)
	go func() { done <- g.Serve(l) }()
	t.Cleanup(func() {
		g.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}
