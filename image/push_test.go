package image

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/micro/micro/v3/image/registry"
)

// testRegistry is a registry that wants a token, and remembers what was asked.
type testRegistry struct {
	*registry.Registry
	*httptest.Server
	mu       sync.Mutex
	requests []string
}

func newTestRegistry(tb testing.TB, serve func(http.Handler) *httptest.Server, token string) *testRegistry {
	tb.Helper()
	r, err := registry.Open(tb.TempDir(), registry.Options{
		Challenge: func(*http.Request) string { return `Bearer realm="http://none.invalid"` },
		Authorize: func(_ context.Context, req *http.Request, repository string, _ registry.Action) error {
			switch repository {
			case "denied/app":
				return registry.ErrDenied
			case "full/app":
				return registry.ErrFull
			}
			if token != "" && req.Header.Get("Authorization") != "Bearer "+token {
				return registry.ErrUnauthenticated
			}
			return nil
		},
	})
	if err != nil {
		tb.Fatal(err)
	}
	tr := &testRegistry{Registry: r}
	tr.Server = serve(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		tr.mu.Lock()
		tr.requests = append(tr.requests, req.Method+" "+req.URL.Path)
		tr.mu.Unlock()
		r.ServeHTTP(w, req)
	}))
	tb.Cleanup(tr.Server.Close)
	return tr
}

func (r *testRegistry) host() string {
	return strings.TrimPrefix(strings.TrimPrefix(r.URL, "https://"), "http://")
}

// sent returns how many requests had a method since the last call.
func (r *testRegistry) sent(method string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, request := range r.requests {
		if strings.HasPrefix(request, method+" ") {
			n++
		}
	}
	r.requests = nil
	return n
}

func give(token string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return token, nil }
}

func TestPush(t *testing.T) {
	t.Parallel()
	i := buildImage(t, source(t, map[string]string{"go.mod": goMod, "main.go": goMain, "proto/helloworld.proto": helloProto}), BuildOptions{})
	for name, serve := range map[string]func(http.Handler) *httptest.Server{"http": httptest.NewServer, "https": httptest.NewTLSServer} {
		t.Run(name, func(t *testing.T) {
			r := newTestRegistry(t, serve, "secret")
			o := PushOptions{Registry: r.host(), Repository: "micro/app", Tag: "v1", PlainHTTP: name == "http", Token: give("secret")}
			if c := r.Certificate(); c != nil {
				pool := x509.NewCertPool()
				pool.AddCert(c)
				o.TLS = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
			}
			var last Event
			o.Progress = func(e Event) { last = e }
			ref, err := i.Push(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if ref != "micro/app@"+i.Digest() {
				t.Errorf("got %s", ref)
			}
			if last.Stage != Pushing || last.Done == 0 || last.Done != last.Total {
				t.Errorf("the last event is %+v", last)
			}
			for _, ref := range []string{ref, "micro/app:v1"} {
				got, err := r.Image(t.Context(), ref, "")
				if err != nil {
					t.Fatal(err)
				}
				files(t, got)
			}
			if schema, err := r.Attachment(t.Context(), ref, SchemaType, 1<<20); err != nil || string(schema) != string(i.Schema()) {
				t.Errorf("schema: %d bytes, %v", len(schema), err)
			}
			if n := r.sent(http.MethodPatch); n != 7 { // two layers, two configurations, schema, SBOM, record
				t.Errorf("%d blobs were sent, want 7", n)
			}
			if _, err := i.Push(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			if n := r.sent(http.MethodPatch); n != 0 {
				t.Errorf("%d blobs were sent again", n)
			}
		})
	}
}

// A push may take longer than a token is good: each request has one of its moment.
func TestPushTokens(t *testing.T) {
	t.Parallel()
	i := buildImage(t, source(t, map[string]string{"go.mod": goMod, "main.go": goMain}), BuildOptions{})
	var given, got atomic.Int64
	r := newTestRegistry(t, func(h http.Handler) *httptest.Server {
		return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			n, err := strconv.ParseInt(strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer "), 10, 64)
			if err != nil || n <= 0 {
				t.Errorf("%s %s has %q", req.Method, req.URL, req.Header.Get("Authorization"))
			}
			got.Add(1)
			h.ServeHTTP(w, req)
		}))
	}, "")
	o := PushOptions{Registry: r.host(), Repository: "micro/app", PlainHTTP: true, Token: func(context.Context) (string, error) {
		return strconv.FormatInt(given.Add(1), 10), nil
	}}
	if _, err := i.Push(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if given.Load() != got.Load() || got.Load() < 5 {
		t.Errorf("%d requests had %d tokens", got.Load(), given.Load())
	}
}

// TestPushChanged holds that of a changed program only what changed is sent.
func TestPushChanged(t *testing.T) {
	t.Parallel()
	s := source(t, map[string]string{"go.mod": goMod, "main.go": goMain})
	r := newTestRegistry(t, httptest.NewServer, "")
	o := PushOptions{Registry: r.host(), Repository: "micro/app", PlainHTTP: true, Token: give("")}
	if _, err := buildImage(t, s, BuildOptions{}).Push(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	r.sent("")
	write(t, s.Dir, map[string]string{"main.go": strings.Replace(goMain, "hello", "bye", 1)})
	if _, err := buildImage(t, s, BuildOptions{}).Push(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if n := r.sent(http.MethodPatch); n != 4 {
		t.Errorf("%d blobs were sent, want the program, the configuration, SBOM and record", n)
	}
}

func TestPushErrors(t *testing.T) {
	t.Parallel()
	i := buildImage(t, source(t, map[string]string{"go.mod": goMod, "main.go": goMain}), BuildOptions{})
	r := newTestRegistry(t, httptest.NewServer, "secret")
	closed := httptest.NewServer(nil)
	closed.Close()
	stalled, stop := make(chan struct{}, 16), make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		stalled <- struct{}{}
		<-stop
	}))
	defer silent.Close()
	defer close(stop)
	locked := errors.New("the keyring is locked")
	for _, test := range []struct {
		name string
		o    PushOptions
		want error
	}{
		{"no token", PushOptions{Registry: r.host(), Repository: "micro/app", Token: give("")}, ErrAuth},
		{"somebody else's repository", PushOptions{Registry: r.host(), Repository: "denied/app", Token: give("secret")}, ErrDenied},
		{"wrong token", PushOptions{Registry: r.host(), Repository: "micro/app", Token: give("guess")}, ErrAuth},
		{"token cannot be had", PushOptions{Registry: r.host(), Repository: "micro/app", Token: func(context.Context) (string, error) { return "", locked }}, locked},
		{"nobody there", PushOptions{Registry: strings.TrimPrefix(closed.URL, "http://"), Repository: "micro/app", Token: give("x")}, ErrUnreachable},
		{"not a name here", PushOptions{Registry: r.host(), Repository: "app", Token: give("secret")}, nil},
		{"no name", PushOptions{Registry: r.host(), Repository: "A b", Token: give("secret")}, nil},
		{"no tag", PushOptions{Registry: r.host(), Repository: "micro/app", Tag: "a b", Token: give("secret")}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.o.PlainHTTP = true
			_, err := i.Push(t.Context(), test.o)
			if err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
	t.Run("given up", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("the user pressed a key")
		go func() {
			<-stalled
			cancel(why)
		}()
		_, err := i.Push(ctx, PushOptions{Registry: strings.TrimPrefix(silent.URL, "http://"), Repository: "micro/app", PlainHTTP: true, Token: give("")})
		if !errors.Is(err, why) {
			t.Errorf("got %v, want %v", err, why)
		}
	})
}

// TestPushTokenStays holds that the token goes to the registry only.
func TestPushTokenStays(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var seen []string
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen = append(seen, r.Header.Get("Authorization"))
		mu.Unlock()
		http.Error(w, "no", http.StatusForbidden)
	}))
	defer other.Close()
	r := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/v2/" {
			return
		}
		http.Redirect(w, req, other.URL+req.URL.Path, http.StatusTemporaryRedirect)
	}))
	defer r.Close()
	i := buildImage(t, source(t, map[string]string{"go.mod": goMod, "main.go": goMain}), BuildOptions{})
	_, err := i.Push(t.Context(), PushOptions{Registry: strings.TrimPrefix(r.URL, "http://"), Repository: "micro/app", PlainHTTP: true, Token: give("secret")})
	if err == nil {
		t.Error("no error")
	}
	other.Close() // waits for what is under way
	if len(seen) == 0 {
		t.Error("the other host was not asked")
	}
	for _, header := range seen {
		if header != "" {
			t.Errorf("another host got %q", header)
		}
	}
}
