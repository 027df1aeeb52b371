package wire_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/micro/micro/v3/dynamic/wire"
)

func builtinMessage(tb testing.TB, m proto.Message) wire.Message {
	tb.Helper()
	t, err := wire.OpenBuiltin()
	if err != nil {
		tb.Fatal(err)
	}
	out, ok := t.Message(string(m.ProtoReflect().Descriptor().FullName()))
	if !ok {
		tb.Fatalf("no %T", m)
	}
	return out
}

func marshal(tb testing.TB, m proto.Message) []byte {
	tb.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// withUnknown gives a message fields that its type does not have.
func withUnknown(m proto.Message, fields ...[]byte) {
	var all []byte
	for _, f := range fields {
		all = append(all, f...)
	}
	m.ProtoReflect().SetUnknown(protoreflect.RawFields(all))
}

func varintField(n protowire.Number) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, n, protowire.VarintType), 7)
}

func groupField(n protowire.Number) []byte {
	b := append(protowire.AppendTag(nil, n, protowire.StartGroupType), varintField(1)...)
	return protowire.AppendTag(b, n, protowire.EndGroupType)
}

func textField(n protowire.Number) []byte {
	return protowire.AppendString(protowire.AppendTag(nil, n, protowire.BytesType), "text")
}

func TestUnknownFields(t *testing.T) {
	t.Parallel()
	known := &errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "a"}}}
	top := proto.CloneOf(known)
	withUnknown(top, varintField(500), textField(501), groupField(502), varintField(500))
	nested := proto.CloneOf(known)
	nested.FieldViolations = append(nested.FieldViolations, &errdetails.BadRequest_FieldViolation{Field: "b"})
	withUnknown(nested.GetFieldViolations()[1], textField(60))
	inAny := &status.Status{Details: []*anypb.Any{{TypeUrl: "type.googleapis.com/google.rpc.BadRequest", Value: marshal(t, top)}}}
	inMap := &structpb.Struct{Fields: map[string]*structpb.Value{"k": structpb.NewNumberValue(1)}}
	withUnknown(inMap.GetFields()["k"], varintField(9))
	mapped := &errdetails.ErrorInfo{Reason: "R", Metadata: map[string]string{"k": "v"}}
	tests := []struct {
		name string
		m    proto.Message
		data []byte // of m when nil
		want []wire.UnknownField
	}{
		{name: "none", m: known},
		{name: "none in a map", m: mapped},
		{name: "empty", m: &errdetails.BadRequest{}, data: []byte{}},
		{name: "of each wire type", m: top, want: []wire.UnknownField{
			{Message: "google.rpc.BadRequest", Number: 500, Count: 2},
			{Message: "google.rpc.BadRequest", Number: 501, Count: 1},
			{Message: "google.rpc.BadRequest", Number: 502, Count: 1},
		}},
		{name: "in an element", m: nested, want: []wire.UnknownField{
			{Path: "field_violations[1]", Message: "google.rpc.BadRequest.FieldViolation", Number: 60, Count: 1},
		}},
		{name: "in an Any", m: inAny, want: []wire.UnknownField{
			{Path: "details[0]", Message: "google.rpc.BadRequest", Number: 500, Count: 2},
			{Path: "details[0]", Message: "google.rpc.BadRequest", Number: 501, Count: 1},
			{Path: "details[0]", Message: "google.rpc.BadRequest", Number: 502, Count: 1},
		}},
		{name: "in the value of a map", m: inMap, want: []wire.UnknownField{
			{Path: "fields[0].value", Message: "google.protobuf.Value", Number: 9, Count: 1},
		}},
		{name: "known with another type", m: &errdetails.ErrorInfo{}, data: varintField(1), want: []wire.UnknownField{
			{Message: "google.rpc.ErrorInfo", Number: 1, Count: 1},
		}},
		{name: "cut off", m: &errdetails.ErrorInfo{}, data: append(varintField(70), 0x0a, 0x05, 'x'), want: []wire.UnknownField{
			{Message: "google.rpc.ErrorInfo", Number: 70, Count: 1},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			data := tt.data
			if data == nil {
				data = marshal(t, tt.m)
			}
			got := builtinMessage(t, tt.m).UnknownFields(data)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("UnknownFields (-want +got):\n%s", diff)
			}
		})
	}
}

// TestUnknownFieldsBounded reads a message with more unknown fields than are told.
func TestUnknownFieldsBounded(t *testing.T) {
	t.Parallel()
	var data []byte
	for n := range protowire.Number(1000) {
		data = append(data, varintField(n+100)...)
	}
	if got := builtinMessage(t, &errdetails.ErrorInfo{}).UnknownFields(data); len(got) != 100 {
		t.Errorf("%d fields, want 100", len(got))
	}
}

func FuzzUnknownFields(f *testing.F) {
	m := builtinMessage(f, &status.Status{})
	known := &status.Status{Code: 3, Details: []*anypb.Any{{TypeUrl: "x/google.rpc.ErrorInfo", Value: varintField(9)}}}
	f.Add(marshal(f, known))
	f.Add(append(groupField(7), groupField(3)...))
	f.Fuzz(func(t *testing.T, data []byte) {
		got := m.UnknownFields(data)
		var s status.Status
		if proto.Unmarshal(data, &s) != nil {
			return
		}
		// The top level alone: what is in details is bytes to proto.
		want := len(s.ProtoReflect().GetUnknown()) > 0
		have := false
		for _, u := range got {
			have = have || u.Message == "google.rpc.Status"
		}
		if have != want {
			t.Errorf("unknown fields: %t, want %t", have, want)
		}
	})
}
