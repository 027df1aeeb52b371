package dynamic

import (
	"bytes"
	"flag"
	"os"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/micro/micro/v3/dynamic/wire"
)

var update = flag.Bool("update", false, "write wire/builtin.table")

// TestBuiltin makes the table that wire carries and compares it with the one that
// it does.
func TestBuiltin(t *testing.T) {
	t.Parallel()
	set := setOf(wellKnownFiles()...)
	set.File = append(set.File,
		protodesc.ToFileDescriptorProto(status.File_google_rpc_status_proto),
		protodesc.ToFileDescriptorProto(errdetails.File_google_rpc_error_details_proto),
	)
	files, err := NewFiles(set)
	if err != nil {
		t.Fatal(err)
	}
	want, err := Compile(files, CompileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("wire/builtin.table", want, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	table, err := wire.OpenBuiltin()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(table.Bytes(), want) {
		t.Error("wire/builtin.table is not fresh: go test ./dynamic -run TestBuiltin -update")
	}
}

// TestErrorDetails reads a rich error with the builtin table alone.
func TestErrorDetails(t *testing.T) {
	t.Parallel()
	details := []proto.Message{
		&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "customer.email", Description: "is not an address"}}},
		&errdetails.RetryInfo{RetryDelay: durationpb.New(1500e6)},
		&errdetails.ErrorInfo{Reason: "STOCK", Domain: "shop.example", Metadata: map[string]string{"sku": "7"}},
		durationpb.New(1e9),
	}
	s := &status.Status{Code: 3, Message: "no"}
	for _, d := range details {
		detail, err := anypb.New(d)
		if err != nil {
			t.Fatal(err)
		}
		s.Details = append(s.Details, detail)
	}
	data, err := proto.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	table, err := wire.OpenBuiltin()
	if err != nil {
		t.Fatal(err)
	}
	m, ok := table.Message("google.rpc.Status")
	if !ok {
		t.Fatal("google.rpc.Status is missing")
	}
	got, err := m.AppendJSON(nil, data, wire.EncodeOptions{})
	const want = `{"code":3,"message":"no","details":[` +
		`{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"customer.email","description":"is not an address"}]},` +
		`{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"1.500s"},` +
		`{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"STOCK","domain":"shop.example","metadata":{"sku":"7"}},` +
		`{"@type":"type.googleapis.com/google.protobuf.Duration","value":"1s"}]}`
	if err != nil || string(got) != want {
		t.Errorf("got %s, want %s (%v)", got, want, err)
	}
}
