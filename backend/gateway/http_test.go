package gateway_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/micro/micro/v3/backend/auth"
)

// A service gets the headers that are about the call, and none by which a stranger
// could say who calls.
func TestHeadersToTheService(t *testing.T) {
	t.Parallel()
	svc := &service{}
	r := startWith(t, svc)
	session, err := r.auth.Login(t.Context(), auth.DefaultNamespace, auth.InitialAccount, "micro", auth.Client{Local: true})
	if err != nil {
		t.Fatal(err)
	}
	got := r.do(
		t, "GET", "/test-service/empty-call", "",
		"Authorization", "Bearer "+session.Access,
		"X-Request-Id", "one", "X-Request-Id", "two",
		"Accept-Language", "de", "User-Agent", "test", "Cookie", "session=secret",
		"Micro-Account", "root", "micro-scopes", "admin", "Micro-Service", "other", "Micro-Schema", "sha256:00",
		"X-Forwarded-For", "10.0.0.1", "Grpc-Timeout", "1n", "Grpc-Encoding", "snappy", "Te", "trailers",
		"Content-Type", "application/grpc", "X-Data-Bin", "!", "X-Latin", "caf\xe9",
		"If-None-Match", "*", "Range", "bytes=0-", "Origin", "http://evil.example", "Proxy-Authorization", "Basic x",
		"Keep-Alive", "1", "Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	)
	if got.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", got.StatusCode, got.body)
	}
	seen := map[string][]string(svc.seen())
	delete(seen, "user-agent")      // grpc-go's
	delete(seen, "accept-encoding") // of the hop
	delete(seen, "grpc-accept-encoding")
	want := map[string][]string{
		":authority":         seen[":authority"],
		"content-type":       {"application/grpc+proto"},
		"micro-namespace":    {"micro"},
		"micro-account":      {"admin"},
		"micro-account-type": {"user"},
		"micro-scopes":       {"admin"},
		"x-request-id":       {"one", "two"},
		"x-forwarded-host":   {strings.TrimPrefix(r.url, "http://")},
		"traceparent":        {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
}

// What a service says in metadata is passed on when it begins with x-.
func TestHeadersFromTheService(t *testing.T) {
	t.Parallel()
	r := startWith(t, &service{})
	for path, want := range map[string][]string{
		"/test-service/unary-call":                                                {"one", "two"},
		"/test-service/unary-call?response_status.code=3":                         {"one", "two"},
		"/test-service/streaming-output-call?response_parameters.0.size=1":        {"stream"},
		"/test-service/empty-call":                                                nil,
		"/test-service/unary-call?payload.body=x&response_status.message=nothing": {"one", "two"},
	} {
		got := r.do(t, "GET", path, "")
		if diff := cmp.Diff(want, got.Header.Values("X-Answer")); diff != "" {
			t.Errorf("%s: X-Answer (-want +got):\n%s", path, diff)
		}
		for _, name := range []string{"Secret", "Set-Cookie", "X-Raw-Bin"} {
			if v := got.Header.Values(name); v != nil {
				t.Errorf("%s: %s %q", path, name, v)
			}
		}
		if v := got.Header.Values("X-Content-Type-Options"); len(v) != 1 || v[0] != "nosniff" {
			t.Errorf("%s: X-Content-Type-Options %q", path, v)
		}
	}
}

func TestMethods(t *testing.T) {
	t.Parallel()
	r := startWith(t, &service{})
	const allowed = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
	for _, tt := range []struct {
		method, path string
		status       int
		allow, body  string
	}{
		{"GET", "/", 200, "", `{"version":"v1.2.3"}` + "\n"},
		{"HEAD", "/", 200, "", ""},
		{"POST", "/", 405, "GET, HEAD, OPTIONS", "x"},
		{"OPTIONS", "/", 204, allowed, ""},
		{"OPTIONS", "/test-service/unary-call", 204, allowed, ""},
		{"OPTIONS", "/nobody", 204, allowed, ""},
		{"HEAD", "/test-service/unary-call?fill_username=true", 200, "", ""},
		{"HEAD", "/test-service/streaming-output-call?response_parameters.0.size=1", 200, "", ""},
		{"HEAD", "/nobody", 404, "", ""},
		{"TRACE", "/test-service/unary-call", 405, allowed, "x"},
		{"CONNECT", "/test-service/unary-call", 405, allowed, "x"},
		{"PROPFIND", "/test-service/unary-call", 405, allowed, "x"},
		{"get", "/test-service/unary-call", 405, allowed, "x"},
		{"GET", "/favicon.ico", 204, "", ""},
	} {
		got := r.do(t, tt.method, tt.path, "")
		if got.StatusCode != tt.status || got.Header.Get("Allow") != tt.allow || tt.body != "x" && got.body != tt.body {
			t.Errorf("%s %s: %d Allow %q %s, want %d %q %s", tt.method, tt.path, got.StatusCode, got.Header.Get("Allow"), got.body, tt.status, tt.allow, tt.body)
		}
		if v := got.Header.Get("Access-Control-Allow-Origin"); v != "*" {
			t.Errorf("%s %s: Access-Control-Allow-Origin %q", tt.method, tt.path, v)
		}
		if v := got.Header.Get("Access-Control-Allow-Credentials"); v != "" {
			t.Errorf("%s %s: Access-Control-Allow-Credentials %q", tt.method, tt.path, v)
		}
	}
}

// One connection serves one request after the other, failures among them.
func TestKeepAlive(t *testing.T) {
	t.Parallel()
	r := startWith(t, &service{})
	dials := 0
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
		if !i.Reused {
			dials++
		}
	}})
	for _, path := range []string{
		"/test-service/unary-call", "/nobody", "/test-service/unary-call?response_status.code=13",
		"/test-service/streaming-output-call", "/test-service/streaming-input-call", "/test-service/unary-call",
	} {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url+path, strings.NewReader(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		rsp, err := r.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, rsp.Body); err != nil {
			t.Error(err)
		}
		_ = rsp.Body.Close()
	}
	if dials != 1 {
		t.Errorf("%d connections, want 1", dials)
	}
}

// Requests that no client of good will sends get an answer or are cut off, and the
// next one is served.
func TestGarbage(t *testing.T) {
	t.Parallel()
	r := startWith(t, &service{})
	address := strings.TrimPrefix(r.url, "http://")
	for name, request := range map[string]string{
		"noise":                 "\x00\x01\x02\xff\xfe\r\n\r\n",
		"TLS":                   "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		"no path":               "GET  HTTP/1.1\r\nHost: x\r\n\r\n",
		"an absolute path":      "GET http://evil.example/test-service/unary-call HTTP/1.1\r\nHost: x\r\n\r\n",
		"no host":               "GET / HTTP/1.1\r\n\r\n",
		"two lengths":           "POST /test-service/unary-call HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
		"length and chunks":     "POST /test-service/unary-call HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"bad chunks":            "POST /test-service/unary-call HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"a header with NUL":     "GET /test-service/unary-call HTTP/1.1\r\nHost: x\r\nX-A: \x00\r\n\r\n",
		"a header name":         "GET /test-service/unary-call HTTP/1.1\r\nHost: x\r\nX A: 1\r\n\r\n",
		"a long path":           "GET /" + strings.Repeat("a/", 30_000) + " HTTP/1.1\r\nHost: x\r\n\r\n",
		"a header of 2 MiB":     "GET / HTTP/1.1\r\nHost: x\r\nX-A: " + strings.Repeat("a", 2<<20) + "\r\n\r\n",
		"the preface of HTTP/2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			var d net.Dialer
			conn, err := d.DialContext(t.Context(), "tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, request) // it may be cut off before the end
			_ = conn.(*net.TCPConn).CloseWrite()
			_, _ = io.Copy(io.Discard, conn)
		})
	}
	if got := r.do(t, "GET", "/test-service/unary-call", ""); got.StatusCode != http.StatusOK {
		t.Errorf("afterwards: %d %s", got.StatusCode, got.body)
	}
}
