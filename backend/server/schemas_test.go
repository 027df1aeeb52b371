package server_test

import (
	"context"
	"strconv"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/micro/micro/v3/backend/proxy"
	"github.com/micro/micro/v3/dynamic"
	"github.com/micro/micro/v3/dynamic/wire"
	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
	registryv1 "github.com/micro/micro/v3/proto/micro/registry/v1"
)

// A caller that reads compiled tables gets a schema as one, of the version that it
// reads, and another caller the files.
func TestGetSchemaCompiled(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.runEcho(t)
	registry := registryv1.NewRegistryClient(s.conn)
	files, err := registry.GetSchema(as(t, "", "acme"), &registryv1.GetSchemaRequest{Service: "echo"})
	if err != nil || files.GetTable() != nil || dynamic.Digest(files.GetFiles()) != files.GetDigest() {
		t.Fatalf("%v, %v", files, err)
	}
	schema, err := dynamic.ParseSchema(files.GetFiles())
	if err != nil {
		t.Fatal(err)
	}
	want, err := schema.Compile()
	if err != nil {
		t.Fatal(err)
	}
	compiled, err := registry.GetSchema(as(t, "", "acme"), &registryv1.GetSchemaRequest{Service: "echo", TableVersion: wire.Version})
	if err != nil || compiled.GetFiles() != nil || compiled.GetDigest() != files.GetDigest() || string(compiled.GetTable()) != string(want) {
		t.Errorf("compiled: %d bytes of files and %d of the table, want %d; %v", len(compiled.GetFiles()), len(compiled.GetTable()), len(want), err)
	}
	other, err := registry.GetSchema(as(t, "", "acme"), &registryv1.GetSchemaRequest{Service: "echo", TableVersion: wire.Version + 1})
	if err != nil || other.GetTable() != nil || string(other.GetFiles()) != string(files.GetFiles()) {
		t.Errorf("another version: %d bytes of files and %d of the table; %v", len(other.GetFiles()), len(other.GetTable()), err)
	}
}

// A caller with an old schema is sent the new one beside the refusal, if it reads
// tables and may see it.
func TestSchemaBesideRefusal(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.runEcho(t)
	version := strconv.Itoa(wire.Version)
	call := func(ctx context.Context, md ...string) (message []byte, refused bool, err error) {
		ctx = metadata.AppendToOutgoingContext(ctx, append(md, proxy.KeySchema, "sha256:old")...)
		stream, err := s.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, testpb.TestService_UnaryCall_FullMethodName, grpc.ForceCodecV2(dynamic.BytesCodec{}))
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.SendMsg(&[]byte{}); err != nil {
			t.Fatal(err)
		}
		err = stream.RecvMsg(&message)
		if err == nil {
			header, _ := stream.Header() // it was there before the message
			refused = len(header.Get(proxy.KeyRefused)) > 0
			var more []byte
			err = stream.RecvMsg(&more)
		}
		if len(stream.Trailer().Get(proxy.KeyRefused)) == 0 {
			t.Errorf("%v: not marked as refused", err)
		}
		return message, refused, err
	}
	message, refused, err := call(as(t, "", "acme"), proxy.KeyService, "echo", proxy.KeyTable, version)
	var rsp registryv1.GetSchemaResponse
	if err := proto.Unmarshal(message, &rsp); err != nil {
		t.Fatal(err)
	}
	if table, openErr := wire.Open(rsp.GetTable()); reasonOf(err) != "SCHEMA_CHANGED" || !refused || openErr != nil || rsp.GetDigest() == "" {
		t.Errorf("%v with %v (%v), refused before it: %t", err, table, openErr, refused)
	}
	for name, md := range map[string][]string{
		"no tables":       {proxy.KeyService, "echo"},
		"another version": {proxy.KeyService, "echo", proxy.KeyTable, "999999"},
		"no version":      {proxy.KeyService, "echo", proxy.KeyTable, "-1"},
		"no service":      {proxy.KeyTable, version},
	} {
		if message, _, err := call(as(t, "", "acme"), md...); reasonOf(err) != "SCHEMA_CHANGED" || message != nil {
			t.Errorf("%s: %v with %d bytes", name, err, len(message))
		}
	}
	// Who may call a method, and not see what the service is made of.
	s.rule(t, &authv1.Rule{
		Id: "hidden", Access: authv1.Access_ACCESS_DENIED, Priority: 100, Resource: "service:echo:Registry.GetSchema",
	})
	_, err = registryv1.NewRegistryClient(s.conn).GetSchema(as(t, "", "acme"), &registryv1.GetSchemaRequest{Service: "echo"})
	if c := status.Code(err); c != codes.Unauthenticated && c != codes.PermissionDenied {
		t.Fatalf("the rule: %v", err)
	}
	if message, _, err := call(as(t, "", "acme"), proxy.KeyService, "echo", proxy.KeyTable, version); reasonOf(err) != "SCHEMA_CHANGED" || message != nil {
		t.Errorf("%v with %d bytes", err, len(message))
	}
}
