package server_test

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	reflectv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/micro/micro/v3/backend/server"
	"github.com/micro/micro/v3/backend/store"
	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
	configv1 "github.com/micro/micro/v3/proto/micro/config/v1"
	registryv1 "github.com/micro/micro/v3/proto/micro/registry/v1"
	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
)

// working is a store that counts what is asked of it, but for what nobody waits for: what
// is recorded of refused calls, and whether the session of a stream goes on.
type working struct {
	store.Store
	asked atomic.Int64
}

func (w *working) Get(ctx context.Context, key string) (store.Record, error) {
	if !isAudit(key) && !strings.Contains(key, "/auth/session/") {
		w.asked.Add(1)
	}
	return w.Store.Get(ctx, key)
}

func (w *working) Range(ctx context.Context, r store.Range) iter.Seq2[store.Record, error] {
	if !isAudit(r.Start) {
		w.asked.Add(1)
	}
	return w.Store.Range(ctx, r)
}

func (w *working) Txn(ctx context.Context, t store.Txn) (int64, error) {
	for _, op := range t.Do {
		if isAudit(op.Key) {
			return w.Store.Txn(ctx, t)
		}
	}
	w.asked.Add(1)
	return w.Store.Txn(ctx, t)
}

func (w *working) Watch(ctx context.Context, prefix string, from int64) iter.Seq2[store.Change, error] {
	w.asked.Add(1)
	return w.Store.Watch(ctx, prefix, from)
}

// isAudit reports whether a key is one that only the audit log reads: where a chain ends,
// and that its namespace is there, which is read with it.
func isAudit(key string) bool { return strings.Contains(key, "/audit/") }

// hashed is how much memory a password takes that is hashed.
const hashed = 19 << 20

// work is what an answer cost: that is what it takes time for, on any machine.
type work struct {
	asked  int64 // of the store
	hashes int64 // of passwords
}

// answer is what a stranger learns.
type answer struct {
	text string // without the names that he has said himself
	work work
}

// ask makes a call nine times (after ten wrong passwords none is looked at), and returns
// its answer with the least that it cost: other things go on in a server.
func (w *working) ask(call func() string) answer {
	var all []work
	text := ""
	for range 9 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		asked := w.asked.Load()
		text = call()
		asked = w.asked.Load() - asked
		runtime.ReadMemStats(&after)
		all = append(all, work{asked, int64((after.TotalAlloc - before.TotalAlloc) / hashed)})
	}
	// The first ones may open something that stays open.
	all = all[2:]
	slices.SortFunc(all, func(a, b work) int { return int(a.asked + 1000*a.hashes - b.asked - 1000*b.hashes) })
	return answer{text, all[0]}
}

// What is not there and what is not for him look alike to a stranger, in text and in how
// much work they are. It is no parallel test, so that nobody else hashes passwords.
func TestStrangersLearnNothing(t *testing.T) {
	var w *working
	s := start(t, func(c *server.Config) {
		w = &working{Store: c.Store}
		c.Store = w
	})
	s.runEcho(t)
	stranger := s.stranger(t)
	s.account(t, "bob")
	if _, err := s.auth.Signup(t.Context(), "empty", "alice", password); err != nil {
		t.Fatal(err)
	}
	s.rule(t, &authv1.Rule{Id: "closed", Resource: "service:secret:*", Access: authv1.Access_ACCESS_DENIED, Priority: 10})
	s.rule(t, &authv1.Rule{Id: "closed-too", Resource: "service:echo:TestService.EmptyCall", Access: authv1.Access_ACCESS_DENIED, Priority: 10})
	s.rule(t, &authv1.Rule{Id: "nothing", Resource: "service:absent:TestService.EmptyCall", Access: authv1.Access_ACCESS_DENIED, Priority: 10})

	told := func(err error, names ...string) string {
		text := fmt.Sprint(status.Code(err), reasonOf(err), status.Convert(err).Message())
		for _, n := range names {
			text = strings.ReplaceAll(text, n, "NAME")
		}
		return text
	}
	in := func(token, ns, service string) context.Context {
		ctx := as(t, token, ns)
		if service != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, "micro-service", service)
		}
		return ctx
	}
	echo := testpb.NewTestServiceClient(s.conn)
	for _, tt := range []struct {
		name  string
		ask   func(name string) string
		there string
		none  string
	}{
		{"an API of a namespace", func(ns string) string {
			_, err := configv1.NewConfigClient(s.conn).Get(in(stranger, ns, ""), &configv1.GetRequest{})
			return told(err, ns)
		}, "acme", "nowhere"},
		{"an API of a namespace, by nobody", func(ns string) string {
			_, err := authv1.NewAccountsClient(s.conn).Delete(in("", ns, ""), &authv1.DeleteAccountRequest{Id: "alice"})
			return told(err, ns)
		}, "acme", "nowhere"},
		{"a stream of a namespace", func(ns string) string {
			stream, err := runtimev1.NewRuntimeClient(s.conn).Logs(in(stranger, ns, ""), &runtimev1.LogsRequest{Name: "echo"})
			if err == nil {
				_, err = stream.Recv()
			}
			return told(err, ns)
		}, "acme", "nowhere"},
		{"an account in a namespace", func(id string) string {
			_, err := authv1.NewAccountsClient(s.conn).Delete(in(stranger, "acme", ""), &authv1.DeleteAccountRequest{Id: id})
			return told(err, id)
		}, "alice", "nobody"},
		{"the namespace of an account", func(ns string) string {
			_, err := authv1.NewAuthClient(s.conn).Login(in("", "", ""), &authv1.LoginRequest{Namespace: ns, Username: "bob", Password: "wrong password"})
			return told(err, ns)
		}, "acme", "nowhere"},
		{"an account that could log in", func(id string) string {
			_, err := authv1.NewAuthClient(s.conn).Login(in("", "", ""), &authv1.LoginRequest{Namespace: "acme", Username: id, Password: "wrong password"})
			return told(err, id)
		}, "alice", "nobody"},
		{"a service that is closed", func(name string) string {
			_, err := registryv1.NewRegistryClient(s.conn).Get(in(stranger, "acme", ""), &registryv1.GetRequest{Name: name})
			return told(err, name)
		}, "secret", "secret"},
		{"a method that is closed", func(name string) string {
			_, err := echo.EmptyCall(in(stranger, "acme", name), &testpb.Empty{})
			return told(err, name)
		}, "echo", "absent"},
		{"a namespace with no such service", func(ns string) string {
			_, err := echo.UnaryCall(in(stranger, ns, "other"), &testpb.SimpleRequest{})
			return told(err, ns)
		}, "acme", "nowhere"},
		{"a namespace with no such gRPC service", func(ns string) string {
			err := s.conn.Invoke(in(stranger, ns, ""), "/some.Service/Method", &testpb.Empty{}, &testpb.Empty{})
			return told(err, ns)
		}, "acme", "nowhere"},
		{"a namespace that others own", func(ns string) string {
			_, err := authv1.NewNamespacesClient(s.conn).Delete(in(stranger, "", ""), &authv1.DeleteNamespaceRequest{Name: ns})
			return told(err, ns)
		}, "acme", "nowhere"},
		{"the namespace of an API token", func(ns string) string {
			_, err := configv1.NewConfigClient(s.conn).Get(in("micro_token_"+ns+".aaaaaaaaaaaaaaaaaaaaaaaaaa.b", "", ""), &configv1.GetRequest{})
			return told(err, ns)
		}, "acme", "nowhere"},
		{"the namespace of an instance", func(ns string) string {
			_, err := authv1.NewAuthClient(s.conn).Refresh(in("", "", ""), &authv1.RefreshRequest{RefreshToken: "micro_instance_" + ns + ".echo-1.x"})
			return told(err, ns)
		}, "acme", "nowhere"},
		{"a namespace with no services, by reflection", func(ns string) string {
			stream, err := reflectv1.NewServerReflectionClient(s.conn).ServerReflectionInfo(in(stranger, ns, ""))
			if err != nil {
				return told(err, ns)
			}
			_ = stream.Send(listServices()) // Recv tells
			rsp, err := stream.Recv()
			return fmt.Sprint(len(rsp.GetListServicesResponse().GetService()), told(err, ns))
		}, "empty", "nowhere"},
		{"a path of the gateway", func(ns string) string {
			header := http.Header{"Authorization": {"Bearer " + stranger}, "Micro-Namespace": {ns}}
			code, body := httpRequest(t, http.MethodGet, "http://"+s.Gateway+"/other/Method", header)
			return fmt.Sprint(code, strings.ReplaceAll(string(body), ns, "NAME"))
		}, "acme", "nowhere"},
		{"images of a namespace", func(repository string) string {
			code, body := s.imageRequest(t, http.MethodGet, "/v2/"+repository+"/manifests/latest", "Bearer "+stranger)
			return fmt.Sprint(code, strings.ReplaceAll(string(body), repository, "NAME"))
		}, "acme/echo", "nowhere/echo"},
	} {
		there, none := w.ask(func() string { return tt.ask(tt.there) }), w.ask(func() string { return tt.ask(tt.none) })
		if there.text != none.text {
			t.Errorf("%s: of what is there a stranger is told\n%s\nand of what is not\n%s", tt.name, there.text, none.text)
		}
		if there.work != none.work {
			t.Errorf("%s: what is there costs %+v, and what is not %+v", tt.name, there.work, none.work)
		}
	}

	// The control: who may look is told, and that is seen in text and work.
	right := w.ask(func() string {
		_, err := authv1.NewAuthClient(s.conn).Login(in("", "", ""), &authv1.LoginRequest{Namespace: "acme", Username: "alice", Password: password})
		return told(err)
	})
	short := w.ask(func() string {
		_, err := authv1.NewAuthClient(s.conn).Login(in("", "", ""), &authv1.LoginRequest{Namespace: "acme", Username: "alice", Password: strings.Repeat("x", 2000)})
		return told(err)
	})
	if right.text == short.text || right.work.hashes != 1 || short.work.hashes != 0 || right.work.asked == short.work.asked {
		t.Errorf("a login costs %+v, and what is not looked at %+v: this test sees nothing", right, short)
	}
}
