package server_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	reflectv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/micro/micro/v3/backend/proxy"
	"github.com/micro/micro/v3/dynamic"
	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
	registryv1 "github.com/micro/micro/v3/proto/micro/registry/v1"
)

// ask asks for something by reflection.
func ask(ctx context.Context, conn *grpc.ClientConn, req *reflectv1.ServerReflectionRequest) (*reflectv1.ServerReflectionResponse, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := reflectv1.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
	if err != nil {
		return nil, err
	}
	_ = s.Send(req) // its error comes with the answer
	return s.Recv()
}

const testService = "grpc.testing.TestService"

// services lists what a caller sees.
func services(ctx context.Context, t *testing.T, conn *grpc.ClientConn) []string {
	t.Helper()
	rsp, err := ask(ctx, conn, listServices())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range rsp.GetListServicesResponse().GetService() {
		// The file of TestService has others, which are in its schema too.
		if n := s.GetName(); n == testService || !strings.HasPrefix(n, "grpc.testing.") {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names
}

// Everybody sees the server's own APIs and of the services in the namespace those
// that it may call, or just what a service has that it names.
func TestReflectionShowsWhatTheCallerMayCall(t *testing.T) {
	t.Parallel()
	s := start(t)
	own := services(as(t, "", "nowhere"), t, s.conn)
	if !slices.Contains(own, "micro.auth.v1.Auth") || slices.Contains(own, testService) {
		t.Fatalf("in an empty namespace: %q", own)
	}
	with := slices.Sorted(slices.Values(append(slices.Clone(own), testService)))
	s.runEcho(t)
	stranger, bob := s.stranger(t), s.account(t, "bob")
	ofEcho := func(ctx context.Context) context.Context {
		return metadata.AppendToOutgoingContext(ctx, proxy.KeyService, "echo")
	}
	only := []string{testService}

	check := func(name string, ctx context.Context, want []string) {
		t.Helper()
		if diff := cmp.Diff(want, services(ctx, t, s.conn)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	check("nobody", as(t, "", "acme"), with)
	check("nobody, by name", ofEcho(as(t, "", "acme")), only)
	check("a stranger at home", as(t, stranger, ""), own)
	check("another name", metadata.AppendToOutgoingContext(as(t, s.admin, ""), proxy.KeyService, "nobody"), nil)

	s.rule(t, &authv1.Rule{Id: "closed", Resource: "service:echo:*", Access: authv1.Access_ACCESS_DENIED, Priority: 1})
	s.rule(t, &authv1.Rule{Id: "members", Scope: "*", Resource: "service:echo:*", Access: authv1.Access_ACCESS_GRANTED, Priority: 2})
	check("nobody, a closed service", as(t, "", "acme"), own)
	check("nobody, a closed service by name", ofEcho(as(t, "", "acme")), nil)
	check("a stranger, a closed service", as(t, stranger, "acme"), own)
	check("a stranger, a closed service by name", ofEcho(as(t, stranger, "acme")), nil)
	check("a member", as(t, bob, ""), with)
	check("a member, by name", ofEcho(as(t, bob, "")), only)

	// What is not listed is not told otherwise either.
	for _, req := range []*reflectv1.ServerReflectionRequest{
		{MessageRequest: &reflectv1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: "micro.auth.v1.Auth"}},
		{MessageRequest: &reflectv1.ServerReflectionRequest_FileByFilename{FileByFilename: "google/protobuf/any.proto"}},
	} {
		rsp, err := ask(ofEcho(as(t, "", "acme")), s.conn, req)
		if err != nil || rsp.GetErrorResponse() == nil {
			t.Errorf("%v of a closed service: %v, %v", req, rsp, err)
		}
	}
}

// What a client builds from reflection is the schema that the service has, by either
// version.
func TestReflectionOfAService(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.runEcho(t)
	ctx := metadata.AppendToOutgoingContext(as(t, "", "acme"), proxy.KeyService, "echo")
	raw, err := dynamic.Reflect(ctx, s.conn)
	if err != nil {
		t.Fatal(err)
	}
	want, err := registryv1.NewRegistryClient(s.conn).GetSchema(as(t, "", "acme"), &registryv1.GetSchemaRequest{Service: "echo"})
	if err != nil {
		t.Fatal(err)
	}
	if got := dynamic.Digest(raw); got != want.GetDigest() {
		t.Errorf("the digest %s, want %s", got, want.GetDigest())
	}

	old, err := reflectv1alpha.NewServerReflectionClient(s.conn).ServerReflectionInfo(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := old.Send(&reflectv1alpha.ServerReflectionRequest{ //nolint:staticcheck // clients still use it
		MessageRequest: &reflectv1alpha.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: "grpc.testing.TestService"}, //nolint:staticcheck // as above
	}); err != nil {
		t.Fatal(err)
	}
	rsp, err := old.Recv()
	if err != nil || len(rsp.GetFileDescriptorResponse().GetFileDescriptorProto()) == 0 { //nolint:staticcheck // as above
		t.Errorf("v1alpha: %v, %v", rsp, err)
	}
}

// A service that calls one of its own APIs like one of the server's does not stand in
// for it.
func TestReflectionOfAnImpostor(t *testing.T) {
	t.Parallel()
	s := start(t)
	impostor := &descriptorpb.FileDescriptorProto{
		Name:        new("impostor.proto"),
		Package:     new("micro.auth.v1"),
		Syntax:      new("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{{Name: new("Impostor")}},
		Service: []*descriptorpb.ServiceDescriptorProto{{
			Name: new("Auth"),
			Method: []*descriptorpb.MethodDescriptorProto{{
				Name: new("Login"), InputType: new(".micro.auth.v1.Impostor"), OutputType: new(".micro.auth.v1.Impostor"),
			}},
		}},
	}
	raw, err := proto.Marshal(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{impostor}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := registryv1.NewRegistryClient(s.conn).Register(as(t, s.admin, ""), &registryv1.RegisterRequest{
		Instance: &registryv1.Instance{Service: "impostor", Address: startEcho(t)},
		Schema:   raw,
		Lease:    longLease(),
	}); err != nil {
		t.Fatal(err)
	}
	rsp, err := ask(as(t, s.admin, ""), s.conn, &reflectv1.ServerReflectionRequest{
		MessageRequest: &reflectv1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: "micro.auth.v1.Auth"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, b := range rsp.GetFileDescriptorResponse().GetFileDescriptorProto() {
		var fd descriptorpb.FileDescriptorProto
		if err := proto.Unmarshal(b, &fd); err != nil {
			t.Fatal(err)
		}
		names = append(names, fd.GetName())
	}
	want := authv1.File_micro_auth_v1_auth_proto.Path()
	if len(names) == 0 || names[0] != want {
		t.Errorf("micro.auth.v1.Auth is in %q, want %q", names, want)
	}
}

// Reflection is not for who sends garbage.
func TestReflectionOfNothing(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, req := range []*reflectv1.ServerReflectionRequest{
		{MessageRequest: &reflectv1.ServerReflectionRequest_FileByFilename{FileByFilename: "../../etc/passwd"}},
		{MessageRequest: &reflectv1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: strings.Repeat("x.", 50_000)}},
		{MessageRequest: &reflectv1.ServerReflectionRequest_FileContainingExtension{FileContainingExtension: &reflectv1.ExtensionRequest{ContainingType: "x", ExtensionNumber: -1}}},
		{MessageRequest: &reflectv1.ServerReflectionRequest_AllExtensionNumbersOfType{AllExtensionNumbersOfType: ""}},
	} {
		rsp, err := ask(as(t, "", ""), s.conn, req)
		if err != nil || rsp.GetErrorResponse() == nil {
			t.Errorf("%.100v: %v, %v", req, rsp, err)
		}
	}
	if _, err := ask(as(t, "", ""), s.conn, &reflectv1.ServerReflectionRequest{}); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no request at all: %v", err)
	}
}
