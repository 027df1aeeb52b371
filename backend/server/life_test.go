package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/micro/micro/v3/backend/server"
	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
	registryv1 "github.com/micro/micro/v3/proto/micro/registry/v1"
)

// While a server runs other programs find it by a file, and when it has stopped
// nothing is left of it: goleak sees to that, TestMain.
func TestStartAndStop(t *testing.T) {
	t.Parallel()
	s := start(t)
	file := filepath.Join(s.config.DataDir, "server.json")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var told server.Addresses
	if err := json.Unmarshal(text, &told); err != nil || told != s.Addresses {
		t.Errorf("%s: %+v, %v; want %+v", text, told, err, s.Addresses)
	}
	for _, name := range []string{"server.json", "master.key"} {
		info, err := os.Stat(filepath.Join(s.config.DataDir, name))
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("%s has mode %o, want 600", name, mode)
		}
	}
	// Who watches something does not hold it up.
	watch, err := registryv1.NewRegistryClient(s.conn).Watch(as(t, s.admin, ""), &registryv1.WatchRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := s.stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("it took %s to stop", took)
	}
	for err = nil; err == nil; {
		_, err = watch.Recv()
	}
	if got := reasonOf(err); got != "SHUTTING_DOWN" {
		t.Errorf("the watch: %v, want SHUTTING_DOWN", err)
	}
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("server.json: %v, want %v", err, fs.ErrNotExist)
	}
	left, err := filepath.Glob(filepath.Join(s.config.DataDir, ".*"))
	if err != nil || left != nil {
		t.Errorf("files left: %q, %v", left, err)
	}
	for _, address := range []string{s.Proxy, s.Gateway} {
		var d net.Dialer
		if c, err := d.DialContext(t.Context(), "tcp", address); err == nil {
			_ = c.Close()
			t.Errorf("%s still answers", address)
		}
	}
}

func TestPortIsTaken(t *testing.T) {
	t.Parallel()
	s := start(t)
	for what, set := range map[string]func(*server.Config){
		"proxy":   func(c *server.Config) { c.Proxy = s.Proxy },
		"gateway": func(c *server.Config) { c.Gateway = s.Gateway },
	} {
		c := s.config
		c.Proxy, c.Gateway, c.DataDir = "127.0.0.1:0", "127.0.0.1:0", t.TempDir()
		set(&c)
		err := server.Run(t.Context(), c)
		taken, ok := errors.AsType[*server.ListenError](err)
		if !ok || taken.What != what {
			t.Errorf("%s: %v", what, err)
		}
		if left, _ := filepath.Glob(filepath.Join(c.DataDir, "*")); left != nil {
			t.Errorf("%s: a server that did not start has made %q", what, left)
		}
	}
}

func TestDamagedMasterKey(t *testing.T) {
	t.Parallel()
	s := start(t)
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	c := s.config
	if err := os.WriteFile(filepath.Join(c.DataDir, "master.key"), []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := server.Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), "master.key") {
		t.Errorf("with a damaged key: %v", err)
	}
}

// Over TLS both ports serve what they serve in clear, and nothing in clear.
func TestTLS(t *testing.T) {
	t.Parallel()
	certificate, pool := certificate(t)
	s := start(t, func(c *server.Config) {
		c.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	})
	secure := dial(t, s.Proxy, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: pool})))
	rsp, err := authv1.NewAuthClient(secure).WhoAmI(as(t, s.admin, ""), &authv1.WhoAmIRequest{})
	if err != nil || rsp.GetAccount().GetId() != "alice" {
		t.Errorf("gRPC: %v, %v", rsp, err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	for address, want := range map[string]string{
		s.Proxy + "/":        `{"version":`,
		s.Gateway + "/":      `{"version":`,
		s.Gateway + "/foo":   `"code":404`,
		s.Proxy + "/v2/":     "UNAUTHORIZED",
		s.Proxy + "/nowhere": "404",
	} {
		body, _ := get(t, client, "https://"+address)
		if !strings.Contains(body, want) {
			t.Errorf("https://%s: %s, want %s", address, body, want)
		}
	}
	_, header := get(t, client, "https://"+s.Proxy+"/v2/")
	if got, want := header.Get("WWW-Authenticate"), `Bearer realm="https://`+s.Proxy+`/v2/token",service="micro"`; got != want {
		t.Errorf("WWW-Authenticate %s, want %s", got, want)
	}
	if _, err := authv1.NewAuthClient(s.conn).WhoAmI(as(t, "", ""), &authv1.WhoAmIRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("gRPC in clear: %v, want %v", err, codes.Unavailable)
	}

	// The instances of this machine have a way of their own.
	if host, _, err := net.SplitHostPort(s.Instances); err != nil || host != "127.0.0.1" {
		t.Fatalf("the address of the instances %q, %v; want one of the loopback interface", s.Instances, err)
	}
	rsp, err = authv1.NewAuthClient(dial(t, s.Instances)).WhoAmI(as(t, s.admin, ""), &authv1.WhoAmIRequest{})
	if err != nil || rsp.GetAccount().GetId() != "alice" {
		t.Errorf("gRPC of an instance: %v, %v", rsp, err)
	}
}

// Connections that say nothing are in nobody's way, and do not hold up the end.
func TestIdleConnections(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.runEcho(t)
	for i := range 300 {
		var d net.Dialer
		c, err := d.DialContext(t.Context(), "tcp", s.Proxy)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if i%3 == 0 {
			_, _ = io.WriteString(c, "PRI * HT")
		}
	}
	rsp, err := testpb.NewTestServiceClient(s.conn).UnaryCall(as(t, "", "acme"), &testpb.SimpleRequest{Payload: &testpb.Payload{Body: []byte("x")}})
	if err != nil || string(rsp.GetPayload().GetBody()) != "x" {
		t.Errorf("%v, %v", rsp, err)
	}
	began := time.Now()
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("it took %s to stop", took)
	}
}

// An upload that is refused before it has been read is told so.
func TestAnswerBeforeTheEndOfAnUpload(t *testing.T) {
	t.Parallel()
	s := start(t)
	for range 10 {
		var d net.Dialer
		c, err := d.DialContext(t.Context(), "tcp", s.Proxy)
		if err != nil {
			t.Fatal(err)
		}
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			_, _ = io.WriteString(c, "POST /v2/acme/echo/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nContent-Length: 8388608\r\n\r\n"+strings.Repeat("x", 8<<20))
		}()
		answer, err := io.ReadAll(c)
		if !strings.HasPrefix(string(answer), "HTTP/1.1 401 ") {
			t.Errorf("%.100q, %v", answer, err)
		}
		_ = c.Close()
		<-sent
	}
}

func get(t *testing.T, client *http.Client, url string) (string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	rsp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer rsp.Body.Close()
	body, err := io.ReadAll(rsp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body), rsp.Header
}

// certificate makes a certificate for 127.0.0.1 and the pool that trusts it.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}
