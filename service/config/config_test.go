package config_test

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	engine "github.com/micro/micro/v3/backend/embedded"
	"github.com/micro/micro/v3/backend/runtime"
	"github.com/micro/micro/v3/backend/server"
	"github.com/micro/micro/v3/backend/store/embedded"
	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
	"github.com/micro/micro/v3/service/config"
	"github.com/micro/micro/v3/service/internal/platform"
)

// testServer is a server that can be stopped and started again where it was.
type testServer struct {
	config server.Config
	stop   func()
}

func newServer(t *testing.T) *testServer {
	t.Helper()
	db, err := engine.Open(t.Context(), "data", engine.Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	st, err := embedded.Open(t.Context(), db, embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(st.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	})
	s := &testServer{config: server.Config{
		DataDir: t.TempDir(),
		Gateway: "127.0.0.1:0",
		Proxy:   "127.0.0.1:0",
		Store:   st,
		OpenRuntime: func(context.Context, runtime.OpenImage) (runtime.Runtime, error) {
			return idleRuntime{}, nil
		},
		Logger: slog.New(slog.DiscardHandler),
	}}
	s.start(t)
	t.Cleanup(func() { s.stop() })
	return s
}

func (s *testServer) start(t *testing.T) {
	t.Helper()
	ready := make(chan server.Addresses, 1)
	s.config.Ready = func(a server.Addresses) { ready <- a }
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx, s.config) }()
	stopped := false
	s.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
	select {
	case a := <-ready:
		s.config.Proxy = a.Proxy
	case err := <-ended:
		stopped = true
		t.Fatalf("Run: %v", err)
	}
}

// client returns a client that calls as the administrator.
func (s *testServer) client(t *testing.T) *config.Client {
	t.Helper()
	env := map[string]string{"MICRO_PROXY": s.config.Proxy}
	conn, err := platform.Dial(func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	rsp, err := authv1.NewAuthClient(conn).Login(t.Context(), &authv1.LoginRequest{Namespace: "micro", Username: "admin", Password: "micro"})
	if err != nil {
		t.Fatal(err)
	}
	env["MICRO_TOKEN"] = rsp.GetSession().GetAccessToken()
	if conn, err = platform.Dial(func(name string) string { return env[name] }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return config.New(conn)
}

func TestClient(t *testing.T) {
	t.Parallel()
	c := newServer(t).client(t)
	ctx := t.Context()
	type database struct {
		Host string `json:"host"`
		Port int    `json:"port"`
	}
	want := database{"db.internal", 5432}
	revision, err := c.Set(ctx, "database", want)
	if err != nil || revision != 1 {
		t.Fatalf("Set = %d, %v, want 1", revision, err)
	}
	v, err := c.Get(ctx, "database")
	if err != nil {
		t.Fatal(err)
	}
	var got database
	if err := v.Scan(&got); err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("Get = %v, want %v", got, want)
	}
	if _, err := c.Set(ctx, "database", map[string]int{"port": 1}, config.Merge(), config.IfRevision(v.Revision())); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Set(ctx, "database", 1, config.IfRevision(v.Revision())); !errors.Is(err, config.ErrConflict) {
		t.Errorf("Set if it was not changed: %v, want %v", err, config.ErrConflict)
	}
	if err := c.Delete(ctx, "database", config.IfRevision(v.Revision())); !errors.Is(err, config.ErrConflict) {
		t.Errorf("Delete if it was not changed: %v, want %v", err, config.ErrConflict)
	}
	if v, err := c.Get(ctx, "nothing"); err != nil || v.Exists() || v.Int(7) != 7 || v.Scan(&got) == nil {
		t.Errorf("Get of nothing: %v, %v", v, err)
	}
	if err := c.Delete(ctx, "nothing"); err != nil {
		t.Errorf("Delete of nothing: %v", err)
	}
	if _, err := c.Set(ctx, "key", "hush", config.Secret(true)); err != nil {
		t.Fatal(err)
	}
	for secret, want := range map[bool]string{false: "[secret]", true: "hush"} {
		if v, err := c.Get(ctx, "key", config.Secret(secret)); err != nil || v.String("") != want {
			t.Errorf("Get with Secret(%v) = %q, %v, want %q", secret, v.String(""), err, want)
		}
	}
	if _, err := c.Get(ctx, "a..b"); status.Code(err) != codes.InvalidArgument {
		t.Errorf("Get of no path: %v, want %v", err, codes.InvalidArgument)
	}
}

// A watch goes on where it was when the server comes back.
func TestWatch(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c := s.client(t)
	type shown struct {
		port int
		bad  bool
	}
	got := make(chan shown)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		var last error
		for port, err := range config.Watch[int](ctx, c, "port") {
			last = err
			if ctx.Err() == nil {
				got <- shown{port, err != nil}
			}
		}
		done <- last
	}()
	expect := func(want shown) {
		t.Helper()
		select {
		case is := <-got:
			if is != want {
				t.Errorf("Watch: %v, want %v", is, want)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("Watch: nothing, want %v", want)
		}
	}
	set := func(v any) {
		t.Helper()
		if _, err := s.client(t).Set(t.Context(), "port", v); err != nil {
			t.Fatal(err)
		}
	}
	expect(shown{})
	set(1)
	expect(shown{port: 1})
	set("no number")
	expect(shown{bad: true})
	s.stop()
	s.start(t)
	set(2) // maybe before the watch is there again
	set(3)
	expect(shown{port: 2})
	expect(shown{port: 3})
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Watch ended with %v, want %v", err, context.Canceled)
	}
}

// What no other attempt could help ends a watch.
func TestWatchEndsWithoutTheRight(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	conn, err := platform.Dial(func(name string) string { return map[string]string{"MICRO_PROXY": s.config.Proxy}[name] })
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	n := 0
	for _, err := range config.Watch[any](t.Context(), config.New(conn), "a") {
		if n++; status.Code(err) != codes.Unauthenticated {
			t.Errorf("Watch: %v, want %v", err, codes.Unauthenticated)
		}
	}
	if n != 1 {
		t.Errorf("Watch yielded %d times, want once", n)
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	type values struct {
		String   string
		Bool     bool
		Int      int
		Float64  float64
		Duration time.Duration
		Slice    []string
		Map      map[string]string
	}
	def := values{"def", true, -1, -1, -1, []string{"def"}, map[string]string{"d": "ef"}}
	with := func(f func(*values)) values {
		v := def
		f(&v)
		return v
	}
	for _, tt := range []struct {
		json string
		want values
	}{
		{``, def},
		{`null`, def},
		{`{`, def},
		{`"x"`, with(func(v *values) { v.String = "x" })},
		{`"5"`, with(func(v *values) { v.String, v.Int, v.Float64 = "5", 5, 5 })},
		{`"false"`, with(func(v *values) { v.String, v.Bool = "false", false })},
		{`"1m30s"`, with(func(v *values) { v.String, v.Duration = "1m30s", 90*time.Second })},
		{`false`, with(func(v *values) { v.String, v.Bool = "false", false })},
		{`5`, with(func(v *values) { v.String, v.Int, v.Float64, v.Duration = "5", 5, 5, 5 })},
		{`1.5`, with(func(v *values) { v.String, v.Float64 = "1.5", 1.5 })},
		{`1e400`, with(func(v *values) { v.String = "1e400" })},
		{`["a","b"]`, with(func(v *values) { v.Slice = []string{"a", "b"} })},
		{`{"a":"b"}`, with(func(v *values) { v.Map = map[string]string{"a": "b"} })},
		{`[1]`, def},
	} {
		v := config.NewValue([]byte(tt.json))
		got := values{
			v.String("def"), v.Bool(true), v.Int(-1), v.Float64(-1), v.Duration(-1),
			v.StringSlice([]string{"def"}), v.StringMap(map[string]string{"d": "ef"}),
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.json, diff)
		}
	}
}

// idleRuntime runs nothing.
type idleRuntime struct{}

var _ runtime.Runtime = idleRuntime{}

func (idleRuntime) Start(context.Context, runtime.Spec) (runtime.Instance, error) {
	return runtime.Instance{}, runtime.ErrNotFound
}

func (idleRuntime) Stop(context.Context, string, time.Duration) error { return nil }

func (idleRuntime) Remove(context.Context, string) error { return nil }

func (idleRuntime) Watch(ctx context.Context) iter.Seq2[runtime.Event, error] {
	return func(yield func(runtime.Event, error) bool) {
		if !yield(runtime.Event{Synced: true}, nil) {
			return
		}
		<-ctx.Done()
		yield(runtime.Event{}, ctx.Err())
	}
}

func (idleRuntime) Logs(context.Context, runtime.LogQuery) iter.Seq2[runtime.Line, error] {
	return func(func(runtime.Line, error) bool) {}
}

func (idleRuntime) Close() error { return nil }
