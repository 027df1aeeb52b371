package gateway_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

func TestStreams(t *testing.T) {
	t.Parallel()
	r := startWith(t, &service{})
	const (
		output = "/test-service/streaming-output-call"
		input  = "/test-service/streaming-input-call"
		duplex = "/test-service/full-duplex-call"
		value  = `{"payload":{"body":"AAAA"}}`
		lines  = "application/x-ndjson"
		events = "text/event-stream"
		single = "application/json"
	)
	for _, tt := range []struct {
		name, path, body, accept string
		status                   int
		kind, want               string
	}{
		{"answers", output, `{"response_parameters":[{"size":3},{"size":0}]}`, "", 200, lines, value + "\n" + `{"payload":{}}` + "\n"},
		{"answers as events", output, `{"response_parameters":[{"size":3},{"size":3}]}`, events, 200, events, "data: " + value + "\n\ndata: " + value + "\n\n"},
		{"no answers", output, `{}`, "", 200, lines, ""},
		{"no events", output, `{}`, events, 200, events, ""},
		{"a failure first", output, `{"response_status":{"code":5,"message":"none"}}`, events, 404, single, `{"id":"micro.gateway","code":404,"detail":"none","status":"Not Found","grpc":"NotFound"}` + "\n"},
		{
			"a failure later", output, `{"response_parameters":[{"size":3}],"response_status":{"code":5,"message":"none"}}`, "", 200, lines,
			value + "\n" + `{"error":{"id":"micro.gateway","code":404,"detail":"none","status":"Not Found","grpc":"NotFound"}}` + "\n",
		},
		{
			"a failure later as an event", output, `{"response_parameters":[{"size":3}],"response_status":{"code":5,"message":"none"}}`, events, 200, events,
			"data: " + value + "\n\n" + `event: error` + "\n" + `data: {"error":{"id":"micro.gateway","code":404,"detail":"none","status":"Not Found","grpc":"NotFound"}}` + "\n\n",
		},
		{"a bad request", output, `{"nothing":1}`, "", 400, single, ""},

		{"requests", input, value + value + "\n" + value, "", 200, single, `{"aggregatedPayloadSize":9}` + "\n"},
		{"no requests", input, "", "", 200, single, `{}` + "\n"},
		{"a bad request among them", input, value + `{"nothing":1}`, "", 400, single, ""},
		{"requests cut off", input, value + `{"payload":`, "", 400, single, ""},
		{"a request that is no object", input, value + `7`, "", 400, single, ""},
		{"a request that the service refuses", input, `{"payload":{}}` + value, "", 400, single, `{"id":"micro.gateway","code":400,"detail":"an empty payload","status":"Bad Request","grpc":"InvalidArgument"}` + "\n"},

		{"both", duplex, value + value, "", 200, lines, value + "\n" + value + "\n"},
		{"both as events", duplex, value, events, 200, events, "data: " + value + "\n\n"},
		{"both, and nothing to say", duplex, "", "", 200, lines, ""},
		{"both, a failure first", duplex, `{"response_status":{"code":9,"message":"no"}}`, "", 400, single, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := r.do(t, "POST", tt.path, tt.body, "Accept", tt.accept)
			if got.StatusCode != tt.status || got.Header.Get("Content-Type") != tt.kind {
				t.Fatalf("%d %s %q, want %d %s", got.StatusCode, got.Header.Get("Content-Type"), got.body, tt.status, tt.kind)
			}
			if got.body != tt.want && (tt.want != "" || tt.status == 200) {
				t.Errorf("%q, want %q", got.body, tt.want)
			}
		})
	}
}

// Answers come while requests are still to be sent, and what is wrong with a later
// request is told once, at the end.
func TestConversation(t *testing.T) {
	t.Parallel()
	r := startWith(t, &service{})
	body, requests := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/test-service/full-duplex-call", body)
	if err != nil {
		t.Fatal(err)
	}
	sent := make(chan error, 1)
	go func() {
		_, err := io.WriteString(requests, `{"payload":{"body":"AAAA"}}`)
		sent <- err
	}()
	rsp, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer rsp.Body.Close()
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(rsp.Body)
	for range 3 {
		line, err := lines.ReadString('\n')
		if want := `{"payload":{"body":"AAAA"}}` + "\n"; line != want || err != nil {
			t.Fatalf("%q, %v; want %q", line, err, want)
		}
		if _, err := io.WriteString(requests, `{"payload":{"body":"AAAA"}}`); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := lines.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(requests, `]`); err != nil {
		t.Fatal(err)
	}
	_ = requests.Close()
	rest, err := io.ReadAll(lines)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(rest), "micro.gateway"); n != 1 || !strings.HasPrefix(string(rest), `{"error":{"id":"micro.gateway","code":400,`) {
		t.Errorf("the error is told %d times: %s", n, rest)
	}
}

// A service that has its answer before the client has sent everything is not
// waited for by a client that reads.
func TestAnswerBeforeTheEndOfTheRequests(t *testing.T) {
	t.Parallel()
	r := startWith(t, &service{})
	body, requests := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/test-service/streaming-input-call", body)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.WriteString(requests, `{"payload":{}}`) }() // which the service refuses
	rsp, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer rsp.Body.Close()
	if rsp.StatusCode != http.StatusBadRequest {
		t.Errorf("status %d, want 400", rsp.StatusCode)
	}
	_ = requests.Close()
	if _, err := io.Copy(io.Discard, rsp.Body); err != nil {
		t.Error(err)
	}
}

// waiting is a service whose calls last until their callers have gone.
type waiting struct {
	testpb.UnimplementedTestServiceServer
	began, ended chan struct{}
}

func (w *waiting) wait(ctx context.Context) error {
	w.began <- struct{}{}
	<-ctx.Done()
	w.ended <- struct{}{}
	return ctx.Err()
}

func (w *waiting) UnaryCall(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	return nil, w.wait(ctx)
}

func (w *waiting) StreamingOutputCall(_ *testpb.StreamingOutputCallRequest, out testpb.TestService_StreamingOutputCallServer) error {
	return w.wait(out.Context())
}

func (w *waiting) StreamingInputCall(in testpb.TestService_StreamingInputCallServer) error {
	return w.wait(in.Context())
}

func (w *waiting) FullDuplexCall(both testpb.TestService_FullDuplexCallServer) error {
	return w.wait(both.Context())
}

// When a client goes away, by whatever means, the service is told.
func TestClientGone(t *testing.T) {
	t.Parallel()
	w := &waiting{began: make(chan struct{}), ended: make(chan struct{})}
	r := startWith(t, w)
	for _, tt := range []struct{ name, request string }{
		{"unary", "GET /test-service/unary-call HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"answers", "GET /test-service/streaming-output-call HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"requests", "POST /test-service/streaming-input-call HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{}"},
		{"both", "POST /test-service/full-duplex-call HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"},
		{"all requests sent", "POST /test-service/full-duplex-call HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"},
		{"HTTP/1.0", "GET /test-service/unary-call HTTP/1.0\r\n\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var d net.Dialer
			conn, err := d.DialContext(t.Context(), "tcp", strings.TrimPrefix(r.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(conn, tt.request); err != nil {
				t.Fatal(err)
			}
			<-w.began
			_ = conn.Close()
			<-w.ended
		})
	}
}
