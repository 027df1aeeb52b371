package proxy_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/micro/micro/v3/backend/auth"
	"github.com/micro/micro/v3/backend/proxy"
)

func TestSplitPath(t *testing.T) {
	t.Parallel()
	for path, want := range map[string][2]string{
		"/a.B/C":                {"a.B", "C"},
		"/B/C":                  {"B", "C"},
		"/grpc.health.v1.X/Get": {"grpc.health.v1.X", "Get"},
	} {
		service, m, err := proxy.SplitPath(path)
		if err != nil || service != want[0] || m != want[1] {
			t.Errorf("SplitPath(%q) = %q, %q, %v; want %q", path, service, m, err, want)
		}
	}
	for _, path := range []string{"", "/", "//", "/a", "/a/", "//a", "a/b", "/a/b/c", "/a//b", "/a/b/", "//a/b"} {
		if service, m, err := proxy.SplitPath(path); !errors.Is(err, proxy.ErrPath) {
			t.Errorf("SplitPath(%q) = %q, %q, %v; want %v", path, service, m, err, proxy.ErrPath)
		}
	}
}

func TestEndpoint(t *testing.T) {
	t.Parallel()
	for service, want := range map[string]string{"a.b.C": "C.M", "C": "C.M", "a.": ".M"} {
		if got := proxy.Endpoint(service, "M"); got != want {
			t.Errorf("Endpoint(%q, M) = %q, want %q", service, got, want)
		}
	}
}

// Which service a call is for, who may make it, and what each is told otherwise.
func TestAdmit(t *testing.T) {
	t.Parallel()
	r := start(t)
	const digest = "sha256:abc"
	instance := startInstance(t, "one", echo)
	r.register(t, "acme", "greeter", "greeter-1", instance.address, digest)
	r.register(t, "acme", "host", "host-1", instance.address, digest)
	r.register(t, "acme", "secret", "secret-1", instance.address, digest)
	session, err := r.auth.Signup(t.Context(), "globex", "alice", password)
	if err != nil {
		t.Fatal(err)
	}
	stranger := session.Access
	r.register(t, "globex", "greeter", "greeter-1", instance.address, "sha256:other")
	for _, rule := range []auth.Rule{
		{ID: "secret", Resource: "service:secret:*", Deny: true, Priority: 1},
		{ID: "secret-staff", Scope: "staff", Resource: "service:secret:*", Priority: 2},
		{ID: "no-bye", Resource: "service:greeter:Greeter.Bye", Deny: true, Priority: 1},
	} {
		if err := r.auth.CreateRule(t.Context(), "acme", rule); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.auth.CreateAccount(t.Context(), auth.Account{Namespace: "acme", ID: "bob"}, password); err != nil {
		t.Fatal(err)
	}
	if session, err = r.auth.Login(t.Context(), "acme", "bob", password, auth.Client{}); err != nil {
		t.Fatal(err)
	}
	bob := session.Access
	if _, err := r.auth.CreateAccount(t.Context(), auth.Account{Namespace: "acme", ID: "carol", Scopes: []string{"staff"}}, password); err != nil {
		t.Fatal(err)
	}
	if session, err = r.auth.Login(t.Context(), "acme", "carol", password, auth.Client{}); err != nil {
		t.Fatal(err)
	}
	carol := session.Access

	for _, tt := range []struct {
		name string
		call proxy.Call
		want error
	}{
		{"by name", proxy.Call{Namespace: "acme", Service: "greeter"}, nil},
		{"in the token's namespace", proxy.Call{Token: r.admin, Service: "greeter"}, nil},
		{"with the schema", proxy.Call{Namespace: "acme", Service: "greeter", Schema: digest}, nil},
		{"with another schema", proxy.Call{Namespace: "acme", Service: "greeter", Schema: "sha256:other"}, proxy.ErrSchemaChanged},
		{"by the gRPC service that several have", proxy.Call{Namespace: "acme"}, proxy.ErrAmbiguous},
		{"by the gRPC service", proxy.Call{Namespace: "globex"}, nil},
		{"a gRPC service that nobody has", proxy.Call{Namespace: "acme", Path: "/a.B/C"}, proxy.ErrNoService},
		{"a gRPC service that nobody has yet", proxy.Call{Namespace: "globex", Path: "/a.B/C"}, proxy.ErrNoInstance},
		{"a gRPC service that nobody has, by name", proxy.Call{Namespace: "acme", Service: "greeter", Path: "/a.B/C"}, nil},
		{"no such service", proxy.Call{Namespace: "acme", Service: "nobody"}, proxy.ErrNoService},
		{"a service that should run", proxy.Call{Namespace: "acme", Service: "sleeping"}, proxy.ErrNoInstance},
		{"a service that should run elsewhere", proxy.Call{Namespace: "globex", Service: "sleeping"}, proxy.ErrNoService},
		{"a service of another namespace", proxy.Call{Namespace: "globex", Service: "host"}, proxy.ErrNoService},
		{"no such namespace", proxy.Call{Namespace: "nowhere", Service: "greeter"}, proxy.ErrNoService},
		{"no such namespace, by the gRPC service", proxy.Call{Namespace: "nowhere"}, proxy.ErrNoService},
		{"a namespace that cannot be", proxy.Call{Namespace: "acme/registry", Service: "greeter"}, proxy.ErrNoService},
		{"the default namespace of nobody", proxy.Call{Service: "greeter"}, proxy.ErrNoService},
		{"a path that is none", proxy.Call{Namespace: "acme", Service: "greeter", Path: "/a"}, proxy.ErrPath},
		{"a name that leads elsewhere", proxy.Call{Namespace: "acme", Service: "../globex/greeter"}, proxy.ErrNoService},
		{"a name that begins another", proxy.Call{Namespace: "acme", Service: "greet"}, proxy.ErrNoService},

		{"a bad token", proxy.Call{Token: "x", Namespace: "acme", Service: "greeter"}, auth.ErrCredentials},
		{"a stranger, what anybody may", proxy.Call{Token: stranger, Namespace: "acme", Service: "greeter"}, nil},
		{"nobody, what nobody may", proxy.Call{Namespace: "acme", Service: "greeter", Path: "/greet.v1.Greeter/Bye"}, auth.ErrAnonymous},
		{"nobody, by another package", proxy.Call{Namespace: "acme", Service: "greeter", Path: "/x.Greeter/Bye"}, auth.ErrAnonymous},
		{"nobody, by an endpoint", proxy.Call{Namespace: "acme", Service: "greeter", Path: "-", Endpoint: "Greeter.Bye"}, auth.ErrAnonymous},
		{"nobody, a service that is closed", proxy.Call{Namespace: "acme", Service: "secret"}, auth.ErrAnonymous},
		{"a stranger, a service that is closed", proxy.Call{Token: stranger, Namespace: "acme", Service: "secret"}, auth.ErrAnonymous},
		{"a member, a service that is closed", proxy.Call{Token: bob, Service: "secret"}, auth.ErrDenied},
		{"an administrator, a service that is closed", proxy.Call{Token: r.admin, Service: "secret"}, auth.ErrDenied},
		{"who may", proxy.Call{Token: carol, Service: "secret"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			switch tt.call.Path {
			case "":
				tt.call.Path = method
			case "-":
				tt.call.Path = ""
			}
			route, err := r.proxy.Admit(t.Context(), tt.call)
			if !errors.Is(err, tt.want) {
				t.Fatalf("%v, want %v", err, tt.want)
			}
			if err == nil && (route.Service == "" || route.Namespace == "" || route.Path != tt.call.Path) {
				t.Errorf("the route %+v", route)
			}
		})
	}
	if n := instance.calls.Load(); n != 0 {
		t.Errorf("an instance was called %d times by calls that were only admitted", n)
	}
}

// Services that a caller may not know of are not among those that it is to choose
// from, and nothing has to be chosen when only one is left.
func TestAmbiguousAmongWhatTheCallerMayCall(t *testing.T) {
	t.Parallel()
	r := start(t)
	for _, name := range []string{"greeter", "secret"} {
		r.register(t, "acme", name, name+"-1", "127.0.0.1:1", "")
	}
	if err := r.auth.CreateRule(t.Context(), "acme", auth.Rule{ID: "x", Resource: "service:secret:*", Deny: true, Priority: 1}); err != nil {
		t.Fatal(err)
	}
	route, err := r.proxy.Admit(t.Context(), proxy.Call{Namespace: "acme", Path: method})
	if err != nil || route.Service != "greeter" {
		t.Errorf("with one that may be called: %+v, %v", route, err)
	}
	r.register(t, "acme", "host", "host-1", "127.0.0.1:1", "")
	_, err = r.proxy.Admit(t.Context(), proxy.Call{Namespace: "acme", Path: method})
	if !errors.Is(err, proxy.ErrAmbiguous) || !strings.Contains(err.Error(), "greeter, host") || strings.Contains(err.Error(), "secret") {
		t.Errorf("with two that may be called: %v", err)
	}
}

// A call that is refused reaches no instance, and the caller can tell.
func TestRefusedBeforeAnythingIsSent(t *testing.T) {
	t.Parallel()
	r, instance := startWith(t, echo)
	_, err := r.call(in(t, proxy.KeySchema, "sha256:other"), "hello")
	if err == nil || !strings.Contains(err.Error(), proxy.ErrSchemaChanged.Error()) {
		t.Errorf("%v, want %v", err, proxy.ErrSchemaChanged)
	}
	if n := instance.calls.Load(); n != 0 {
		t.Errorf("the instance was called %d times", n)
	}
}

// A method that is known only after the schema was looked at is asked for again, and
// goes to instances that speak the schema alone.
func TestRouteTo(t *testing.T) {
	t.Parallel()
	r := start(t)
	older, newer := startInstance(t, "a", echo), startInstance(t, "b", echo)
	r.register(t, "acme", "greeter", older.id, older.address, "sha256:1")
	r.register(t, "acme", "greeter", newer.id, newer.address, "sha256:2")
	if err := r.auth.CreateRule(t.Context(), "acme", auth.Rule{ID: "x", Resource: "service:*:Greeter.Bye", Deny: true, Priority: 1}); err != nil {
		t.Fatal(err)
	}
	route, err := r.proxy.Admit(t.Context(), proxy.Call{Namespace: "acme", Service: "greeter", Endpoint: "Greeter.Whatever"})
	if err != nil {
		t.Fatal(err)
	}
	if got := route.Schema(); got != "sha256:2" {
		t.Errorf("the schema %q, want that of the newest", got)
	}
	if err := route.To(t.Context(), "/greet.v1.Greeter/Bye", "sha256:2"); !errors.Is(err, auth.ErrAnonymous) {
		t.Errorf("to what nobody may: %v, want %v", err, auth.ErrAnonymous)
	}
	if err := route.To(t.Context(), "Bye", "sha256:2"); !errors.Is(err, proxy.ErrPath) {
		t.Errorf("to what is no path: %v, want %v", err, proxy.ErrPath)
	}
	if err := route.To(t.Context(), method, "sha256:2"); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if _, _, _, err := route.Unary(t.Context(), []byte("x"), nil); err != nil {
			t.Fatal(err)
		}
	}
	if a, b := older.calls.Load(), newer.calls.Load(); a != 0 || b != 20 {
		t.Errorf("%d calls to the older schema and %d to the newer, want 0 and 20", a, b)
	}
	if err := route.To(t.Context(), method, "sha256:3"); !errors.Is(err, proxy.ErrSchemaChanged) {
		t.Errorf("to a schema that nobody speaks: %v, want %v", err, proxy.ErrSchemaChanged)
	}
}
