package server_test

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
	registryv1 "github.com/micro/micro/v3/proto/micro/registry/v1"
)

// From a registration on an instance is called, and from its end on it is not.
func TestRegistration(t *testing.T) {
	t.Parallel()
	s := start(t)
	registry := registryv1.NewRegistryClient(s.conn)
	watch, err := registry.Watch(as(t, s.admin, ""), &registryv1.WatchRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if rsp, err := watch.Recv(); err != nil || !rsp.GetSynced() {
		t.Fatalf("%v, %v", rsp, err)
	}
	rsp, err := registry.Register(as(t, s.admin, ""), &registryv1.RegisterRequest{
		Instance: &registryv1.Instance{Service: "echo", Address: startEcho(t), Version: "v1"},
		Lease:    longLease(),
	})
	if err != nil {
		t.Fatal(err)
	}
	in := rsp.GetInstance()
	if !strings.HasPrefix(in.GetId(), "echo-") || in.GetSchemaDigest() == "" || in.GetLeaseExpires() == nil {
		t.Errorf("the instance %v", in)
	}
	if rsp, err := watch.Recv(); err != nil || rsp.GetService().GetInstances()[0].GetId() != in.GetId() {
		t.Errorf("the watch: %v, %v", rsp, err)
	}
	get, err := registry.Get(as(t, "", "acme"), &registryv1.GetRequest{Name: "echo"})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(get.GetService().GetEndpoints(), func(e *registryv1.Endpoint) bool {
		return e.GetName() == "TestService.UnaryCall" && e.GetPath() == "/grpc.testing.TestService/UnaryCall"
	}) {
		t.Errorf("the endpoints %v", get.GetService().GetEndpoints())
	}
	if address := get.GetService().GetInstances()[0].GetAddress(); address != "" {
		t.Errorf("anybody is told that it listens on %s", address)
	}
	get, err = registry.Get(as(t, s.admin, ""), &registryv1.GetRequest{Name: "echo"})
	if err != nil || get.GetService().GetInstances()[0].GetAddress() == "" {
		t.Errorf("the administrator is not told where it listens: %v", err)
	}
	// Who holds the schema is told when it is not the service's any more.
	schema, err := registry.GetSchema(as(t, "", "acme"), &registryv1.GetSchemaRequest{Service: "echo", Digest: in.GetSchemaDigest()})
	if err != nil || schema.GetDigest() != in.GetSchemaDigest() {
		t.Errorf("%v, %v", schema.GetDigest(), err)
	}
	_, err = registry.GetSchema(as(t, "", "acme"), &registryv1.GetSchemaRequest{Service: "echo", Digest: "sha256:" + strings.Repeat("0", 64)})
	if got := reasonOf(err); got != "NOT_FOUND" {
		t.Errorf("another schema: %v", err)
	}
	call := func() error {
		_, err := testpb.NewTestServiceClient(s.conn).UnaryCall(as(t, "", "acme"), &testpb.SimpleRequest{})
		return err
	}
	if err := call(); err != nil {
		t.Error(err)
	}
	if _, err := registry.Renew(as(t, s.admin, ""), &registryv1.RenewRequest{Service: "echo", Id: in.GetId()}); err != nil {
		t.Error(err)
	}
	if _, err := registry.Deregister(as(t, s.admin, ""), &registryv1.DeregisterRequest{Service: "echo", Id: in.GetId()}); err != nil {
		t.Error(err)
	}
	if err := call(); status.Code(err) != codes.NotFound {
		t.Errorf("a call afterwards: %v, want %v", err, codes.NotFound)
	}
	if rsp, err := watch.Recv(); err != nil || rsp.GetService().GetName() != "echo" || len(rsp.GetService().GetInstances()) != 0 {
		t.Errorf("the watch: %v, %v", rsp, err)
	}
}

func TestRegistrationRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	address := startEcho(t)
	for _, tt := range []struct {
		name string
		req  *registryv1.RegisterRequest
	}{
		{"nothing", &registryv1.RegisterRequest{}},
		{"no address", &registryv1.RegisterRequest{Instance: &registryv1.Instance{Service: "echo"}}},
		{"no service", &registryv1.RegisterRequest{Instance: &registryv1.Instance{Address: address}}},
		{"a command", &registryv1.RegisterRequest{Instance: &registryv1.Instance{Service: "run", Address: address}}},
		{"a command to come", &registryv1.RegisterRequest{Instance: &registryv1.Instance{Service: "backup", Address: address}}},
		{"a name that leads elsewhere", &registryv1.RegisterRequest{Instance: &registryv1.Instance{Service: "../globex", Address: address}}},
		{"an id that leads elsewhere", &registryv1.RegisterRequest{Instance: &registryv1.Instance{Service: "echo", Id: "a/b", Address: address}}},
		{"an id with a space", &registryv1.RegisterRequest{Instance: &registryv1.Instance{Service: "echo", Id: "a b", Address: address}}},
		{"an id with a line", &registryv1.RegisterRequest{Instance: &registryv1.Instance{Service: "echo", Id: "a\n", Address: address}}},
		{"an id of letters that look alike", &registryv1.RegisterRequest{Instance: &registryv1.Instance{Service: "echo", Id: "ä", Address: address}}},
		{"a long id", &registryv1.RegisterRequest{Instance: &registryv1.Instance{Service: "echo", Id: strings.Repeat("a", 129), Address: address}}},
		{"the proxy", &registryv1.RegisterRequest{Instance: &registryv1.Instance{Service: "echo", Address: s.Proxy}}},
		{"the gateway", &registryv1.RegisterRequest{Instance: &registryv1.Instance{Service: "echo", Address: s.Gateway}}},
		{"the proxy in another spelling", &registryv1.RegisterRequest{Instance: &registryv1.Instance{Service: "echo", Address: strings.Replace(s.Proxy, "127.0.0.1", "[::ffff:127.0.0.1]", 1)}}},
		{"nobody there", &registryv1.RegisterRequest{Instance: &registryv1.Instance{Service: "echo", Address: "127.0.0.1:1"}}},
		{"a schema that is none", &registryv1.RegisterRequest{Instance: &registryv1.Instance{Service: "echo", Address: address}, Schema: []byte("x")}},
		{"a short lease", &registryv1.RegisterRequest{Instance: &registryv1.Instance{Service: "echo", Address: address}, Lease: durationpb.New(1)}},
		{"a lease for ever", &registryv1.RegisterRequest{Instance: &registryv1.Instance{Service: "echo", Address: address}, Lease: durationpb.New(1 << 62)}},
		{"a negative lease", &registryv1.RegisterRequest{Instance: &registryv1.Instance{Service: "echo", Address: address}, Lease: durationpb.New(-1)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := registryv1.NewRegistryClient(s.conn).Register(as(t, s.admin, ""), tt.req)
			if got := reasonOf(err); got != "INVALID" {
				t.Errorf("%v, want INVALID", err)
			}
		})
	}
}

// A service registers instances of its own name and no other, whatever rules there
// are; who administers the namespace registers any.
func TestServiceRegistersItself(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.rule(t, &authv1.Rule{Id: "all", Scope: "service", Resource: "*:*:*", Access: authv1.Access_ACCESS_GRANTED, Priority: 10})
	_, shop := s.instance(t, "shop")
	address := startEcho(t)
	registry := registryv1.NewRegistryClient(s.conn)
	for _, tt := range []struct {
		name, token, service, want string
	}{
		{"its own", shop, "shop", "OK"},
		{"another one", shop, "billing", "DENIED"},
		{"one with its name in it", shop, "shop2", "DENIED"},
		{"an administrator", s.admin, "billing", "OK"},
	} {
		rsp, err := registry.Register(as(t, tt.token, ""), &registryv1.RegisterRequest{
			Instance: &registryv1.Instance{Service: tt.service, Address: address},
		})
		if got := reasonOf(err); got != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
			continue
		}
		if tt.want != "OK" {
			continue
		}
		// Nor does it end or prolong what others have registered.
		name := &registryv1.RenewRequest{Service: tt.service, Id: rsp.GetInstance().GetId()}
		_, err = registry.Renew(as(t, shop, ""), name)
		if got, want := reasonOf(err), map[bool]string{true: "OK", false: "NOT_FOUND"}[tt.token == shop]; got != want {
			t.Errorf("%s, renewed by the service: %v, want %s", tt.name, err, want)
		}
	}
}
