package server_test

import (
	"encoding/json"
	"io"
	"net/http"
	"testing"

	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
)

// imageRequest makes a request to the image registry, with an authorization header
// unless it is empty, and returns the status and the body.
func (s *testServer) imageRequest(t *testing.T, method, path, authorization string) (int, []byte) {
	t.Helper()
	header := http.Header{}
	if authorization != "" {
		header.Set("Authorization", authorization)
	}
	return httpRequest(t, method, "http://"+s.Proxy+path, header)
}

// httpRequest makes a request on a connection of its own.
func httpRequest(t *testing.T, method, url string, header http.Header) (int, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	rsp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer rsp.Body.Close()
	body, err := io.ReadAll(rsp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return rsp.StatusCode, body
}

// basic returns the header of a user with a password.
func basic(user, password string) string {
	r := &http.Request{Header: http.Header{}}
	r.SetBasicAuth(user, password)
	return r.Header.Get("Authorization")
}

// podman login exchanges a password for a token that is good for what the account may
// do, and for nothing else.
func TestImageTokens(t *testing.T) {
	t.Parallel()
	s := start(t)
	const scope = "?service=micro&scope=repository:acme/echo:pull,push"
	for _, tt := range []struct {
		name, path, authorization string
		want                      int
	}{
		{"a namespace and an account", "/v2/token", basic("acme/alice", password), 200},
		{"an account of the repository's namespace", "/v2/token" + scope, basic("alice", password), 200},
		{"an account of the default namespace", "/v2/token", basic("admin", "micro"), 200},
		{"an access token", "/v2/token", basic("token", s.admin), 200},
		{"an access token beside an account", "/v2/token", basic("alice", s.admin), 200},
		{"nothing", "/v2/token", "", 401},
		{"a wrong password", "/v2/token", basic("acme/alice", "wrong"), 401},
		{"an account that is not there", "/v2/token", basic("acme/nobody", password), 401},
		{"a namespace that is not there", "/v2/token", basic("nowhere/alice", password), 401},
		{"an account of another namespace", "/v2/token", basic("alice", password), 401},
		{"a namespace that leads elsewhere", "/v2/token", basic("../acme/alice", password), 401},
		{"a scope that leads elsewhere", "/v2/token?scope=repository:../acme/echo:pull", basic("alice", password), 401},
		{"a token that is none", "/v2/token", basic("token", "x"), 401},
		{"no password", "/v2/token", basic("token", ""), 401},
		{"bearer", "/v2/token", "Bearer " + s.admin, 401},
		{"garbage", "/v2/token", "Basic !", 401},
	} {
		status, body := s.imageRequest(t, http.MethodGet, tt.path, tt.authorization)
		if status != tt.want {
			t.Errorf("%s: %d %s, want %d", tt.name, status, body, tt.want)
			continue
		}
		if status != http.StatusOK {
			continue
		}
		var rsp struct{ Token string }
		if err := json.Unmarshal(body, &rsp); err != nil || rsp.Token == "" {
			t.Errorf("%s: %s, %v", tt.name, body, err)
		}
		if _, err := authv1.NewAuthClient(s.conn).WhoAmI(as(t, rsp.Token, ""), &authv1.WhoAmIRequest{}); err != nil {
			t.Errorf("%s: the token: %v", tt.name, err)
		}
	}
}

// Who may change services may push, and who may look at them may pull.
func TestImageAccess(t *testing.T) {
	t.Parallel()
	s := start(t)
	stranger, member := s.stranger(t), s.account(t, "bob")
	_, service := s.instance(t, "echo")
	const (
		pull  = "/v2/acme/echo/manifests/latest"
		push  = "/v2/acme/echo/blobs/uploads/"
		probe = "/v2/"
	)
	for _, tt := range []struct {
		name, token       string
		probe, pull, push int
	}{
		{"nobody", "", 401, 401, 401},
		{"a bad token", "x", 401, 401, 401},
		{"a stranger", stranger, 200, 403, 403},
		{"a member", member, 200, 404, 403},
		{"an instance", service, 200, 404, 403},
		{"an administrator", s.admin, 200, 404, 202},
	} {
		authorization := ""
		if tt.token != "" {
			authorization = "Bearer " + tt.token
		}
		for _, r := range []struct {
			method, path string
			want         int
		}{
			{http.MethodGet, probe, tt.probe},
			{http.MethodGet, pull, tt.pull},
			{http.MethodPost, push, tt.push},
		} {
			if status, body := s.imageRequest(t, r.method, r.path, authorization); status != r.want {
				t.Errorf("%s: %s %s: %d %s, want %d", tt.name, r.method, r.path, status, body, r.want)
			}
		}
	}
	for _, authorization := range []string{"Bearer", "Bearer ", s.admin, basic("acme/alice", password)} {
		if status, body := s.imageRequest(t, http.MethodGet, probe, authorization); status != http.StatusUnauthorized {
			t.Errorf("%.8s…: %d %s, want 401", authorization, status, body)
		}
	}
	// What lies elsewhere is not reached by way of what one may.
	for _, path := range []string{
		"/v2/acme/../globex/echo/manifests/latest", "/v2/acme%2f..%2fglobex/echo/manifests/latest", "/v2/nowhere/echo/manifests/latest",
		"/v2/globex/echo/manifests/latest", "/v2/_catalog", "/v2/acme/manifests/latest",
	} {
		if status, body := s.imageRequest(t, http.MethodGet, path, "Bearer "+s.admin); status == http.StatusOK {
			t.Errorf("%s: %s", path, body)
		}
	}
	if status, body := s.imageRequest(t, http.MethodPost, push+"?mount=sha256:"+zeros+"&from=globex/echo", "Bearer "+s.admin); status != http.StatusAccepted && status != http.StatusForbidden {
		t.Errorf("a blob of another namespace: %d %s", status, body)
	}
}

const zeros = "0000000000000000000000000000000000000000000000000000000000000000"

// A release runs images of its own namespace that are there, and no others.
func TestApplyNeedsAnImageOfTheNamespace(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, image := range []string{
		"", "acme/echo", "acme/echo:latest", "acme/echo@sha256:" + zeros, "globex/echo@sha256:" + zeros,
		"acme/../globex/echo@sha256:" + zeros, "/etc/passwd", "acme/", "docker.io/library/busybox",
	} {
		_, err := runtimev1.NewRuntimeClient(s.conn).Apply(as(t, s.admin, ""), &runtimev1.ApplyRequest{
			Name: "echo", Spec: &runtimev1.Spec{Image: image},
		})
		if got := reasonOf(err); got != "NO_IMAGE" {
			t.Errorf("%q: %v, want NO_IMAGE", image, err)
		}
	}
}
