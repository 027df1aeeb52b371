package front

import (
	"bytes"
	"context"
	"maps"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/micro/micro/v3/cli/front/unary"
	"github.com/micro/micro/v3/dynamic/wire"
	"github.com/micro/micro/v3/envs"
	registryv1 "github.com/micro/micro/v3/proto/micro/registry/v1"
)

// world is a user with an environment, whose server knows the service features.
type world struct {
	variables map[string]string
	server    net.Listener
	calls     *atomic.Int32 // that the server got
	got       func() metadata.MD
	schema    *registryv1.GetSchemaResponse // what the server says that features speaks; nil: it does not know it
	refuses   bool                          // the server refuses calls made with another schema
}

func noon() time.Time { return time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC) }

// newWorld returns a world in which a call needs nothing but its arguments.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{server: listen(t), calls: new(atomic.Int32)}
	var got atomic.Pointer[metadata.MD]
	w.got = func() metadata.MD { return *got.Load() }
	w.serve(t, &got)
	w.variables = map[string]string{"MICRO_HOME": t.TempDir(), "MICRO_TOKEN": "token"}
	d := w.dirs(t)
	far := envs.Env{Name: "far", Address: w.server.Addr().String()}
	err := envs.Update(d, func(c *envs.Config) error {
		if err := c.Add(far); err != nil {
			return err
		}
		return c.Set("far")
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (Cache{Dir: d.Cache}).Put(far, "micro", "features", compiled(t, features(t))); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) getenv(name string) string { return w.variables[name] }

func (w *world) dirs(t *testing.T) envs.Dirs {
	t.Helper()
	d, err := envs.FindDirs(w.getenv)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// far returns the environment as the cache knows it.
func (w *world) far() envs.Env {
	return envs.Env{Name: "far", Address: w.server.Addr().String()}
}

// serve answers calls of features: what the field name says, else with its value.
func (w *world) serve(t *testing.T, got *atomic.Pointer[metadata.MD]) {
	t.Helper()
	message := messages(t)
	request, response := message("CallRequest"), message("CallResponse")
	name, msg := request.Fields().ByName("name"), response.Fields().ByName("msg")
	server := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
		w.calls.Add(1)
		md, _ := metadata.FromIncomingContext(s.Context())
		got.Store(&md)
		if method, _ := grpc.MethodFromServerStream(s); method == getSchema {
			return w.giveSchema(s)
		}
		if digest := md.Get(KeySchema); w.refuses && len(digest) > 0 && digest[0] != w.schema.GetDigest() {
			s.SetTrailer(metadata.Pairs(KeyRefused, "true"))
			if len(md.Get(KeyTable)) > 0 && w.schema.GetTable() != nil {
				if err := s.SendMsg(w.schema); err != nil {
					return err
				}
			}
			return status.Error(codes.FailedPrecondition, "it speaks something else")
		}
		in := dynamicpb.NewMessage(request)
		if err := s.RecvMsg(in); err != nil {
			return err
		}
		out := dynamicpb.NewMessage(response)
		switch text := in.Get(name).String(); text {
		case "refused":
			s.SetTrailer(metadata.Pairs(KeyRefused, "true"))
			return status.Error(codes.Unauthenticated, "a stale token")
		case "refused and answered":
			s.SetTrailer(metadata.Pairs(KeyRefused, "true"))
		case "denied":
			return status.Error(codes.PermissionDenied, "no\x1b[2J")
		case "missing":
			return status.Error(codes.NotFound, "no such thing")
		case "late":
			<-s.Context().Done()
			return s.Context().Err()
		case "garbage":
			out.SetUnknown([]byte{0x0a, 2, 0xff, 0xff}) // msg, and no UTF-8
		default:
			out.Set(msg, protoreflect.ValueOfString("Hello "+text))
		}
		return s.SendMsg(out)
	}))
	t.Cleanup(server.Stop)
	go func() { _ = server.Serve(w.server) }()
}

// giveSchema answers who asks what features speaks.
func (w *world) giveSchema(s grpc.ServerStream) error {
	req := &registryv1.GetSchemaRequest{}
	if err := s.RecvMsg(req); err != nil {
		return err
	}
	if req.GetService() != "features" || req.GetTableVersion() != wire.Version || w.schema == nil {
		return status.Error(codes.NotFound, "no such service")
	}
	return s.SendMsg(w.schema)
}

// messages returns the descriptors of the messages of features.
func messages(t *testing.T) func(name protoreflect.Name) protoreflect.MessageDescriptor {
	t.Helper()
	f := compileFeatures(t)
	return func(name protoreflect.Name) protoreflect.MessageDescriptor { return f.Messages().ByName(name) }
}

// result is what can be noticed of a run.
type result struct {
	code     int
	done     bool
	out, err string
	calls    int32
}

func (w *world) run(ctx context.Context, args ...string) result {
	var out, errs bytes.Buffer
	before := w.calls.Load()
	c := &Command{
		Args: args, Out: &out, Err: &errs, Getenv: w.getenv, Now: noon, Version: "v3.1.4",
		IsCommand: IsCommand,
	}
	code, done := c.Run(ctx)
	return result{code: code, done: done, out: out.String(), err: errs.String(), calls: w.calls.Load() - before}
}

func TestRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	file := filepath.Join(t.TempDir(), "body.json")
	if err := os.WriteFile(file, []byte(`{"name": "File"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	hello := func(name string) string { return `{"msg": "Hello ` + name + `"}` + "\n" }
	long := strings.Repeat("x", lineWidth)
	for _, tt := range []struct {
		name string
		args []string
		want result
	}{
		{"version", []string{"version"}, result{done: true, out: "micro v3.1.4\n"}},
		{"version as a flag", []string{"--version"}, result{done: true, out: "micro v3.1.4\n"}},
		{"no words", []string{"features", "--name=Alice"}, result{done: true, out: hello("Alice"), calls: 1}},
		{"words", []string{"features", "call", "--name", "Alice"}, result{done: true, out: hello("Alice"), calls: 1}},
		{"words for both", []string{"features", "Features.Call", "--name=Alice"}, result{done: true, out: hello("Alice"), calls: 1}},
		{"globals", []string{"-e", "far", "--namespace=micro", "-y", "features", "--name=Alice"}, result{done: true, out: hello("Alice"), calls: 1}},
		{"body", []string{"features", `{"name": "Bob"}`}, result{done: true, out: hello("Bob"), calls: 1}},
		{"body of a file", []string{"features", "call", "@" + file}, result{done: true, out: hello("File"), calls: 1}},
		{"flag over a body", []string{"features", `{"name": "Bob"}`, "--name=Alice"}, result{done: true, out: hello("Alice"), calls: 1}},
		{"json", []string{"features", "--name=Alice", "-o", "json"}, result{done: true, out: `{"msg":"Hello Alice"}` + "\n", calls: 1}},
		{"a long answer", []string{"features", "--name=" + long}, result{done: true, out: "{\n  \"msg\": \"Hello " + long + "\"\n}\n", calls: 1}},
		{"an empty answer", []string{"features", "--name=refused and answered"}, result{done: true, out: "{}\n", calls: 1}},
		{"an error", []string{"features", "--name=missing"}, result{done: true, code: ExitNotFound, err: "micro: no such thing\n", calls: 1}},
		{
			"an error with orders for the terminal",
			[]string{"features", "--name=denied"},
			result{done: true, code: ExitDenied, err: "micro: no\\x1b[2J\n", calls: 1},
		},
		{
			"an error for a program",
			[]string{"features", "--name=missing", "--output=json"},
			result{done: true, code: ExitNotFound, err: `{"error":{"message":"no such thing","code":"NotFound","exit":5}}` + "\n", calls: 1},
		},
		{
			"an answer that does not fit",
			[]string{"features", "--name=garbage"},
			result{done: true, code: ExitError, err: "the answer does not fit the schema", calls: 1},
		},
		{
			"too late",
			[]string{"features", "--name=late", "--timeout=100ms"},
			result{done: true, code: ExitUnreachable, err: "no answer within 100ms", calls: 1},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := w.run(t.Context(), tt.args...)
			if tt.want.err != "" && strings.Contains(got.err, tt.want.err) {
				got.err = tt.want.err
			}
			if got != tt.want {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

// What a server is told beside the message.
func TestRunMetadata(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := w.run(t.Context(), "features", "--name=x", "-H", "X-One: 1", "-H", "raw-bin: \x01\xff")
	if !got.done || got.code != 0 {
		t.Fatalf("got %+v", got)
	}
	for key, want := range map[string]string{
		"micro-namespace": "micro", "micro-service": "features", "micro-schema": features(t).Digest(),
		"authorization": "Bearer token", "x-one": "1", "raw-bin": "\x01\xff",
	} {
		if v := w.got().Get(key); len(v) != 1 || v[0] != want {
			t.Errorf("%s = %q, want %q", key, v, want)
		}
	}
	w.run(t.Context(), "features", "--name=x", "-H", "authorization: Basic eA==")
	if v := w.got().Get("authorization"); len(v) != 1 || v[0] != "Basic eA==" {
		t.Errorf("authorization = %q: the token was sent beside what the user gave", v)
	}
}

// When Run reports false nobody can have noticed anything: microd begins anew.
func TestRunLeavesToDaemon(t *testing.T) {
	t.Parallel()
	ordinary := []string{"features", "--name=x"}
	for _, tt := range []struct {
		name    string
		args    []string
		prepare func(t *testing.T, w *world)
		calls   int32 // that the server has refused
	}{
		{name: "no arguments"},
		{name: "globals alone", args: []string{"-y"}},
		{name: "a command", args: []string{"status", "features"}},
		{name: "a command after globals", args: []string{"-e", "far", "env"}},
		{name: "version with more", args: []string{"version", "-o", "json"}},
		{name: "a flag that is not global", args: []string{"--nope", "features"}},
		{name: "a global without its value", args: []string{"--env"}},
		{name: "help of a service", args: []string{"features", "--help"}},
		{name: "help of an endpoint", args: []string{"features", "call", "-h"}},
		{name: "no such environment", args: []string{"-e", "nope", "features", "--name=x"}},
		{name: "another namespace", args: []string{"--namespace", "other", "features", "--name=x"}, calls: 1},
		{name: "no such service", args: []string{"nope", "--name=x"}, calls: 1},
		{name: "a service that is a path", args: []string{"../features", "--name=x"}},
		{name: "no such endpoint", args: []string{"features", "nope"}},
		{name: "several endpoints", args: []string{"both", "down"}, prepare: func(t *testing.T, w *world) {
			t.Helper()
			if _, err := (Cache{Dir: w.dirs(t).Cache}).Put(w.far(), "micro", "both", compiled(t, features(t))); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "a stream of requests", args: []string{"features", "up", "--name=x"}},
		{name: "a stream of answers", args: []string{"features", "down", "--name=x"}},
		{name: "no such field", args: []string{"features", "--nope=x"}},
		{name: "a value that does not fit", args: []string{"features", "--count=x"}},
		{name: "a flag without its value", args: []string{"features", "--name"}},
		{name: "no such option", args: []string{"features", "-z"}},
		{name: "an option that is wrong", args: []string{"features", "--timeout=soon"}},
		{name: "a word after flags", args: []string{"features", "--name=x", "call"}},
		{name: "a body that is no JSON", args: []string{"features", "{"}},
		{name: "a body that does not fit", args: []string{"features", `{"name": 1}`}},
		{name: "a body with what is not known", args: []string{"features", `{"nope": 1}`}},
		{name: "a body of a file that is not there", args: []string{"features", "@/does/not/exist"}},
		{name: "a body of standard input", args: []string{"features", "-"}},
		{name: "a field of standard input", args: []string{"features", "--data=@-"}},
		{name: "yaml", args: []string{"features", "--name=x", "-o", "yaml"}},
		{name: "metadata", args: []string{"features", "--name=x", "-v"}},
		{name: "a large request", args: []string{"features", "--name=" + strings.Repeat("x", unary.MaxRequest)}},
		{name: "refused", args: []string{"features", "--name=refused"}, calls: 1},
		{name: "another transport", args: ordinary, prepare: func(_ *testing.T, w *world) { w.variables["MICRO_TRANSPORT"] = "grpc" }},
		{name: "no home", args: ordinary, prepare: func(_ *testing.T, w *world) { clear(w.variables) }},
		{name: "damaged environments", args: ordinary, prepare: func(t *testing.T, w *world) {
			t.Helper()
			if err := os.WriteFile(filepath.Join(w.dirs(t).Config, "envs.json"), []byte("{"), 0o600); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "a session without a token", args: ordinary, prepare: func(t *testing.T, w *world) {
			t.Helper()
			delete(w.variables, "MICRO_TOKEN")
			w.change(t, func(e *envs.Env) { e.Account = "alice" })
		}},
		{name: "a token that cannot be sent", args: ordinary, prepare: func(_ *testing.T, w *world) { w.variables["MICRO_TOKEN"] = "token\r\nevil: 1" }},
		{name: "a certificate that is not there", args: ordinary, prepare: func(t *testing.T, w *world) {
			t.Helper()
			w.change(t, func(e *envs.Env) { e.Address, e.CA = "tls://"+e.Address, "/does/not/exist" })
			w.put(t, envs.Env{Name: "far", Address: "tls://" + w.server.Addr().String()})
		}},
		{name: "a server that does not speak TLS", args: ordinary, prepare: func(t *testing.T, w *world) {
			t.Helper()
			w.change(t, func(e *envs.Env) { e.Address = "tls://" + e.Address })
			w.put(t, envs.Env{Name: "far", Address: "tls://" + w.server.Addr().String()})
		}},
		{name: "no server", args: ordinary, prepare: func(_ *testing.T, w *world) { _ = w.server.Close() }},
		{name: "no schema", args: ordinary, calls: 1, prepare: func(t *testing.T, w *world) {
			t.Helper()
			w.forget(t)
		}},
		{name: "no schema, and nobody who is known to a server of micro", args: ordinary, prepare: func(t *testing.T, w *world) {
			t.Helper()
			w.forget(t)
			delete(w.variables, "MICRO_TOKEN")
		}},
		{name: "no schema, and what microd can do alone", args: append(ordinary, "-v"), prepare: func(t *testing.T, w *world) {
			t.Helper()
			w.forget(t)
		}},
		{name: "no schema, and the full name of a gRPC service", args: []string{"some.v1.Service", "call"}},
		{name: "an old schema", args: ordinary, calls: 1, prepare: func(_ *testing.T, w *world) {
			w.refuses, w.schema = true, &registryv1.GetSchemaResponse{Digest: "sha256:new"}
		}},
		{name: "a damaged schema", args: ordinary, calls: 1, prepare: func(t *testing.T, w *world) {
			t.Helper()
			_, table := cacheFiles(t, Cache{Dir: w.dirs(t).Cache})
			if err := os.Truncate(table, 100); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if tt.prepare != nil {
				tt.prepare(t, w)
			}
			if got, want := w.run(t.Context(), tt.args...), (result{calls: tt.calls}); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

// change changes the environment.
func (w *world) change(t *testing.T, f func(*envs.Env)) {
	t.Helper()
	err := envs.Update(w.dirs(t), func(c *envs.Config) error {
		e, err := c.Get("far")
		if err != nil {
			return err
		}
		f(&e)
		return c.Put(e)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// forget has the cache know nothing of the service.
func (w *world) forget(t *testing.T) {
	t.Helper()
	Cache{Dir: w.dirs(t).Cache}.Forget(w.far(), "micro", "features")
}

// put has the cache know the service in an environment.
func (w *world) put(t *testing.T, e envs.Env) {
	t.Helper()
	if _, err := (Cache{Dir: w.dirs(t).Cache}).Put(e, "micro", "features", compiled(t, features(t))); err != nil {
		t.Fatal(err)
	}
}

// A variable says where and as whom, unless a flag does.
func TestRunVariables(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	base := maps.Clone(w.variables)
	for _, tt := range []struct {
		name      string
		variables map[string]string
		args      []string
		done      bool
	}{
		{"another environment", map[string]string{"MICRO_ENV": "nope"}, nil, false},
		{"a flag for the environment", map[string]string{"MICRO_ENV": "nope"}, []string{"-e=far"}, true},
		{"another namespace", map[string]string{"MICRO_NAMESPACE": "other"}, nil, false},
		{"a flag for the namespace", map[string]string{"MICRO_NAMESPACE": "other"}, []string{"--namespace=micro"}, true},
		{"nobody", map[string]string{"MICRO_TOKEN": ""}, nil, true},
	} {
		w.variables = maps.Clone(base)
		maps.Copy(w.variables, tt.variables)
		if got := w.run(t.Context(), append(tt.args, "features", "--name=x")...); got.done != tt.done {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
	if v := w.got().Get("authorization"); v != nil {
		t.Errorf("nobody has the token %q", v)
	}
}

// A body that can be read only once is for microd, which may need it.
func TestRunPipe(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	fifo := filepath.Join(t.TempDir(), "fifo")
	if out, err := exec.CommandContext(t.Context(), "mkfifo", fifo).CombinedOutput(); err != nil {
		t.Skipf("no pipes with names here: %v %s", err, out)
	}
	for _, name := range []string{fifo, "/dev/null", "/dev/zero", t.TempDir()} {
		if got := w.run(t.Context(), "features", "@"+name); got != (result{}) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestRunInterrupted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := w.run(ctx, "features", "--name=x"); !got.done || got.code != ExitInterrupted || got.out+got.err != "" {
		t.Errorf("got %+v", got)
	}
}

// An answer that cannot be printed is a failure.
func TestRunOutputFull(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Close()
	_ = out.Close()
	c := &Command{Args: []string{"features", "--name=x"}, Out: out, Err: &bytes.Buffer{}, Getenv: w.getenv, Now: noon, IsCommand: IsCommand}
	if code, done := c.Run(t.Context()); !done || code != ExitError {
		t.Errorf("Run = %d, %t", code, done)
	}
}

// A call over TLS, with what the environment says of it.
func TestRunTLS(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := listen(t)
	web := httptest.NewTLSServer(nil) // for its certificate
	defer web.Close()
	server := grpc.NewServer(grpc.Creds(credentials.NewServerTLSFromCert(&web.TLS.Certificates[0])),
		grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error { return status.Error(codes.NotFound, "over TLS") }))
	t.Cleanup(server.Stop)
	go func() { _ = server.Serve(l) }()
	address := "tls://" + l.Addr().String()
	w.change(t, func(e *envs.Env) { e.Address, e.Insecure = address, true })
	w.put(t, envs.Env{Name: "far", Address: address})
	if got := w.run(t.Context(), "features", "--name=x"); got.code != ExitNotFound || got.err != "micro: over TLS\n" {
		t.Errorf("got %+v", got)
	}
	w.change(t, func(e *envs.Env) { e.Insecure = false })
	if got := w.run(t.Context(), "features", "--name=x"); got != (result{}) {
		t.Errorf("with a server that nobody trusts: %+v", got)
	}
}

// A server that is no gRPC server is explained at once: it has got the call.
func TestRunNoGRPC(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := listen(t)
	go accept(l, func(conn net.Conn) {
		_, _ = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"))
		_, _ = conn.Read(make([]byte, 1<<10))
	})
	w.change(t, func(e *envs.Env) { e.Address = l.Addr().String() })
	w.put(t, envs.Env{Name: "far", Address: l.Addr().String()})
	if got := w.run(t.Context(), "features", "--name=x"); got.code != ExitUnreachable || got.err != "micro: this is no gRPC server: it speaks HTTP/1\n" {
		t.Errorf("got %+v", got)
	}
}

// What has taken its time is explained at once: microd would take as long again.
func TestTimeoutIsExplained(t *testing.T) {
	t.Parallel()
	at := Place{Env: "far", Address: "far.example.com:443"}
	for _, tt := range []struct {
		name    string
		in      error
		timeout bool
		want    string
	}{
		{
			"a connection that does not come", &unary.ConnectError{Address: "x", Err: os.ErrDeadlineExceeded}, true,
			`cannot reach the server of environment "far" (far.example.com:443): i/o timeout`,
		},
		{"the end of --timeout", context.DeadlineExceeded, true, "context deadline exceeded"},
		{
			"a connection that is refused", &unary.ConnectError{Address: "x", Err: syscall.ECONNREFUSED}, false,
			`cannot reach the server of environment "far" (far.example.com:443): connection refused`,
		},
		{"a call that broke", &unary.CallError{Code: unary.CodeUnavailable, Reason: "it broke"}, false, "it broke"},
	} {
		if got := isTimeout(tt.in); got != tt.timeout {
			t.Errorf("%s: isTimeout = %t", tt.name, got)
		}
		if e := Explain(statusOf(tt.in), at); e.Message != tt.want || e.Exit != ExitUnreachable {
			t.Errorf("%s: %+v", tt.name, e)
		}
	}
}

// listen returns a listener that is closed with the test.
func listen(t *testing.T) net.Listener {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// accept serves one connection after the other until the listener is closed.
func accept(l net.Listener, serve func(net.Conn)) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		serve(conn)
		_ = conn.Close()
	}
}
