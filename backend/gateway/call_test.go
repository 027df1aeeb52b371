package gateway_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/micro/micro/v3/backend/auth"
)

func TestCall(t *testing.T) {
	t.Parallel()
	r := startWith(t, &service{})
	r.register(t, "mute", "127.0.0.1:1", "")
	const (
		form  = "application/x-www-form-urlencoded"
		hello = `{"payload":{"body":"aGVsbG8="}}`
	)
	for _, tt := range []struct {
		name, method, path, kind, body string
		status                         int
		want                           string // the body, or a part of an error
	}{
		{"query", "GET", "/test-service/unary-call?fill_username=true", "", "", 200, `{"username":"alice"}`},
		{"query by JSON name", "GET", "/test-service/unary-call?fillUsername=true", "", "", 200, `{"username":"alice"}`},
		{"query below", "GET", "/test-service/unary-call?payload.body=hello", "", "", 200, hello},
		{"query in brackets", "GET", "/test-service/unary-call?payload[body]=hello", "", "", 200, hello},
		{"JSON", "POST", "/test-service/unary-call", "application/json", hello, 200, hello},
		{"JSON with a charset", "POST", "/test-service/unary-call", "application/json; charset=utf-8", hello, 200, hello},
		{"JSON by any name", "POST", "/test-service/unary-call", "text/plain", hello, 200, hello},
		{"JSON that curl calls a form", "POST", "/test-service/unary-call", form, hello, 200, hello},
		{"form", "POST", "/test-service/unary-call", form, "payload.body=hello&fill_username=true", 200, `{"payload":{"body":"aGVsbG8="},"username":"alice"}`},
		{"body and query", "POST", "/test-service/unary-call?fill_username=true", "application/json", hello, 200, `{"payload":{"body":"aGVsbG8="},"username":"alice"}`},
		{"the body counts more than the query", "POST", "/test-service/unary-call?fill_username=true", "", `{"fill_username":false}`, 200, `{}`},
		{"by either name", "POST", "/test-service/unary-call?fill_username=true", "", `{"fillUsername":false}`, 200, `{}`},
		{"a form and the query", "POST", "/test-service/unary-call?fill_username=true", form, `fillUsername=false`, 200, `{}`},
		{"null in the body is not set", "POST", "/test-service/unary-call?fill_username=true", "", `{"fill_username":null}`, 200, `{}`},
		{"PUT", "PUT", "/test-service/unary-call", "", hello, 200, hello},
		{"PATCH", "PATCH", "/test-service/unary-call", "", hello, 200, hello},
		{"DELETE", "DELETE", "/test-service/unary-call", "", hello, 200, hello},
		{"the body of GET is not read", "GET", "/test-service/unary-call", "application/json", "{", 200, `{}`},
		{"no body", "POST", "/test-service/unary-call", "application/json", "", 200, `{}`},
		{"space for a body", "POST", "/test-service/unary-call", "application/json", " \n", 200, `{}`},
		{"case does not count", "GET", "/test-service/unarycall", "", "", 200, `{}`},
		{"the method's own name", "GET", "/test-service/UnaryCall", "", "", 200, `{}`},
		{"the gRPC service and the method", "GET", "/test-service/TestService/UnaryCall", "", "", 200, `{}`},
		{"slashes at the end", "GET", "/test-service/unary-call//", "", "", 200, `{}`},

		{"no such service", "GET", "/nobody/call", "", "", 404, "nobody"},
		{"deployed and not running", "GET", "/sleeping/call", "", "", 503, "no running instance"},
		{"no reflection", "GET", "/mute/call", "", "", 501, "reflection"},
		{"no such method", "GET", "/test-service/nothing", "", "", 404, "nothing"},
		{"no method of that name", "GET", "/test-service", "", "", 404, "Call"},
		{"an empty part", "GET", "/test-service//unary-call", "", "", 404, "names no service"},
		{"up", "GET", "/test-service/%2e%2e/unary-call", "", "", 404, "names no service"},
		{"NUL", "GET", "/test-service%00/unary-call", "", "", 404, ""},
		{"no UTF-8", "GET", "/%ff%fe/call", "", "", 404, ""},
		{"not implemented", "GET", "/test-service/unimplemented-call", "", "", 501, "UnimplementedCall"},

		{"unknown parameter", "GET", "/test-service/unary-call?nothing=1", "", "", 400, "nothing"},
		{"bad value", "GET", "/test-service/unary-call?response_size=many", "", "", 400, "response_size"},
		{"a value out of range", "GET", "/test-service/unary-call?response_size=2147483648", "", "", 400, "response_size"},
		{"a query with a semicolon", "GET", "/test-service/unary-call?a;b", "", "", 400, "query"},
		{"a bad escape in the query", "GET", "/test-service/unary-call?a=%zz", "", "", 400, "query"},
		{"a bad escape in a form", "POST", "/test-service/unary-call", form, "a=%zz", 400, "form"},
		{"JSON cut off", "POST", "/test-service/unary-call", "application/json", `{"payload":`, 400, "body"},
		{"JSON and more", "POST", "/test-service/unary-call", "application/json", hello + "x", 400, "body"},
		{"two values", "POST", "/test-service/unary-call", "application/json", "{}{}", 400, "body"},
		{"an array", "POST", "/test-service/unary-call", "application/json", "[]", 400, "body"},
		{"a wrong type", "POST", "/test-service/unary-call", "application/json", `{"payload":1}`, 400, "payload"},
		{"an unknown field", "POST", "/test-service/unary-call", "application/json", `{"nothing":1}`, 400, "nothing"},
		{"deep JSON", "POST", "/test-service/unary-call", "application/json", strings.Repeat(`{"payload":`, 100_000), 400, ""},
		{"a multipart form", "POST", "/test-service/unary-call", "multipart/form-data; boundary=x", "--x--", 415, "multipart"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := r.do(t, tt.method, tt.path, tt.body, "Content-Type", tt.kind)
			if got.StatusCode != tt.status {
				t.Fatalf("%s %s: %d %s, want %d", tt.method, tt.path, got.StatusCode, got.body, tt.status)
			}
			if k := got.Header.Get("Content-Type"); k != "application/json" {
				t.Errorf("Content-Type %q", k)
			}
			if tt.status == http.StatusOK && got.body != tt.want+"\n" || !strings.Contains(got.body, tt.want) {
				t.Errorf("%s %s: %s, want %s", tt.method, tt.path, got.body, tt.want)
			}
			if tt.status != http.StatusOK && !strings.HasPrefix(got.body, fmt.Sprintf(`{"id":"micro.gateway","code":%d,"detail":"`, tt.status)) {
				t.Errorf("the error %s", got.body)
			}
		})
	}
}

// Every status of a service becomes the one of HTTP that google.rpc.Code names for
// it, with the gRPC code beside.
func TestStatuses(t *testing.T) {
	t.Parallel()
	r := startWith(t, &service{})
	for code, want := range map[codes.Code]int{
		codes.Canceled:           499,
		codes.Unknown:            500,
		codes.InvalidArgument:    400,
		codes.DeadlineExceeded:   504,
		codes.NotFound:           404,
		codes.AlreadyExists:      409,
		codes.PermissionDenied:   403,
		codes.ResourceExhausted:  429,
		codes.FailedPrecondition: 400,
		codes.Aborted:            409,
		codes.OutOfRange:         400,
		codes.Unimplemented:      501,
		codes.Internal:           500,
		codes.Unavailable:        503,
		codes.DataLoss:           500,
		codes.Unauthenticated:    401,
		codes.Code(77):           500,
	} {
		t.Run(code.String(), func(t *testing.T) {
			t.Parallel()
			got := r.do(t, "GET", fmt.Sprintf("/test-service/unary-call?response_status.code=%d&response_status.message=why%%0a%%22", code), "")
			body := fmt.Sprintf(`{"id":"micro.gateway","code":%d,"detail":"why\n\"","status":%q,"grpc":%q}`+"\n", want, http.StatusText(want), code)
			if got.StatusCode != want || got.body != body {
				t.Errorf("%d %s, want %d %s", got.StatusCode, got.body, want, body)
			}
			if challenge := got.Header.Get("WWW-Authenticate"); (challenge != "") != (want == 401) {
				t.Errorf("WWW-Authenticate %q", challenge)
			}
		})
	}
}

// A body of 4 MiB is taken and not a byte more, however it is sent.
func TestBodyLimit(t *testing.T) {
	t.Parallel()
	r := startWith(t, &service{})
	const frame = `{"payload":{"body":""}}`
	fill := func(n int) string {
		body := base64.StdEncoding.EncodeToString(make([]byte, n/4*3))
		return strings.Replace(frame, `""`, `"`+body+`"`, 1)
	}
	const limit = 4 << 20
	at := fill(limit - len(frame))
	at += strings.Repeat(" ", limit-len(at))
	for _, tt := range []struct {
		path   string
		body   string
		status int
	}{
		{"/test-service/unary-call", at, 200},
		{"/test-service/unary-call", at + " ", 413},
		{"/test-service/streaming-output-call", `{}` + strings.Repeat(" ", limit), 413},
		{"/test-service/streaming-input-call", at + at, 200},
		{"/test-service/streaming-input-call", `{"payload":{"body":"AAAA"}}` + fill(limit), 413},
		{"/test-service/streaming-input-call", `{"payload":{"body":"` + strings.Repeat("A", 3*limit), 413},
		{"/test-service/streaming-input-call", strings.Repeat(" ", 3*limit), 413},
	} {
		got := r.do(t, "POST", tt.path, tt.body)
		if got.StatusCode != tt.status {
			t.Errorf("%s with %d bytes, %.30q…: %d %.200s, want %d", tt.path, len(tt.body), tt.body, got.StatusCode, got.body, tt.status)
		}
	}
}

// An answer that does not fit the schema is the fault of the service.
func TestAnswerThatDoesNotFit(t *testing.T) {
	t.Parallel()
	garbage := "\x0a\xff\xff\xff\xff\x0f"
	for _, tt := range []struct {
		name    string
		answers []string
		path    string
		status  int
		want    string
	}{
		{"one", []string{garbage}, "/test-service/unary-call", 502, "does not fit its schema"},
		{"none", nil, "/test-service/unary-call", 500, "without an answer"},
		{"two", []string{"", ""}, "/test-service/unary-call", 500, "several answers"},
		{"the first of a stream", []string{garbage}, "/test-service/streaming-output-call", 502, "does not fit its schema"},
		{"a later one of a stream", []string{"", garbage}, "/test-service/streaming-output-call", 200, `{}
{"error":{"id":"micro.gateway","code":502,"detail":"the answer of the service does not fit its schema`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := startRaw(t, tt.answers...).do(t, "GET", tt.path, "")
			if got.StatusCode != tt.status || !strings.Contains(got.body, tt.want) {
				t.Errorf("%d %s, want %d %s", got.StatusCode, got.body, tt.status, tt.want)
			}
		})
	}
}

// Who may call what is as the rules of the namespace say, by the method's own name
// whatever the path is like.
func TestRules(t *testing.T) {
	t.Parallel()
	r := startWith(t, &service{})
	ns := auth.DefaultNamespace
	for _, rule := range []auth.Rule{
		{ID: "no-empty", Resource: "service:" + name + ":TestService.EmptyCall", Deny: true, Priority: 1},
		{ID: "staff", Scope: "staff", Resource: "service:" + name + ":TestService.EmptyCall", Priority: 2},
	} {
		if err := r.auth.CreateRule(t.Context(), ns, rule); err != nil {
			t.Fatal(err)
		}
	}
	token := func(id string, scopes ...string) string {
		if _, err := r.auth.CreateAccount(t.Context(), auth.Account{Namespace: ns, ID: id, Scopes: scopes}, "correct horse"); err != nil {
			t.Fatal(err)
		}
		s, err := r.auth.Login(t.Context(), ns, id, "correct horse", auth.Client{})
		if err != nil {
			t.Fatal(err)
		}
		return "Bearer " + s.Access
	}
	member, staff := token("bob"), token("carol", "staff")
	foreign, err := r.auth.Signup(t.Context(), "acme", "alice", "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, path, authorization, namespace string
		want                                 int
	}{
		{"anybody, another method", "/test-service/unary-call", "", "", 200},
		{"anybody", "/test-service/empty-call", "", "", 401},
		{"anybody, in another spelling", "/test-service/emptycall", "", "", 401},
		{"anybody, in a third", "/test-service/EMPTY_CALL", "", "", 401},
		{"anybody, by the gRPC service", "/test-service/grpc.testing.TestService/EmptyCall", "", "", 401},
		{"anybody, by one word", "/test-service/TestService.EmptyCall", "", "", 401},
		{"a member", "/test-service/empty-call", member, "", 403},
		{"a member, in another spelling", "/test-service/emptycall", member, "", 403},
		{"who may", "/test-service/empty-call", staff, "", 200},
		{"an administrator of another namespace", "/test-service/empty-call", "Bearer " + foreign.Access, ns, 401},
		{"the namespace of the token", "/test-service/unary-call", "Bearer " + foreign.Access, "", 404},
		{"another namespace", "/test-service/unary-call", staff, "acme", 404},
		{"no such namespace", "/test-service/unary-call", staff, "nowhere", 404},
		{"a namespace that cannot be", "/test-service/unary-call", staff, "../micro", 404},
		{"no token", "/test-service/unary-call", "Bearer", "", 401},
		{"a bad token", "/test-service/unary-call", "Bearer x", "", 401},
		{"basic", "/test-service/unary-call", "Basic eDp5", "", 401},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var header []string
			if tt.authorization != "" {
				header = append(header, "Authorization", tt.authorization)
			}
			if tt.namespace != "" {
				header = append(header, "Micro-Namespace", tt.namespace)
			}
			if got := r.do(t, "GET", tt.path, "", header...); got.StatusCode != tt.want {
				t.Errorf("%d %s, want %d", got.StatusCode, got.body, tt.want)
			}
		})
	}
}
