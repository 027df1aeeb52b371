package server_test

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/micro/micro/v3/backend/server"
	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
	configv1 "github.com/micro/micro/v3/proto/micro/config/v1"
	eventsv1 "github.com/micro/micro/v3/proto/micro/events/v1"
	registryv1 "github.com/micro/micro/v3/proto/micro/registry/v1"
	storev1 "github.com/micro/micro/v3/proto/micro/store/v1"
)

// goodRequests are requests that only lack what is bad in them, by method: of a request
// that is empty but for one bad field, the rest may be what is refused.
func goodRequests() map[string]proto.Message {
	record := &storev1.Record{Key: []byte("k"), Value: []byte("v")}
	return map[string]proto.Message{
		storev1.Store_Read_FullMethodName:           &storev1.ReadRequest{},
		storev1.Store_Write_FullMethodName:          &storev1.WriteRequest{Record: record},
		storev1.Store_Delete_FullMethodName:         &storev1.DeleteRequest{Key: []byte("k")},
		storev1.Blobs_Read_FullMethodName:           &storev1.ReadBlobRequest{Name: "b"},
		storev1.Blobs_Delete_FullMethodName:         &storev1.DeleteBlobRequest{Name: "b"},
		configv1.Config_Set_FullMethodName:          &configv1.SetRequest{Path: "a", Json: "1"},
		configv1.Config_Rollback_FullMethodName:     &configv1.RollbackRequest{Path: "a"},
		eventsv1.Events_Publish_FullMethodName:      &eventsv1.PublishRequest{Topic: "t", Events: []*eventsv1.Event{{}}},
		eventsv1.Events_Broadcast_FullMethodName:    &eventsv1.BroadcastRequest{Topic: "t", Events: []*eventsv1.Event{{}}},
		eventsv1.Events_Read_FullMethodName:         &eventsv1.ReadRequest{Topic: "t"},
		eventsv1.Events_ListGroups_FullMethodName:   &eventsv1.ListGroupsRequest{Topic: "t"},
		registryv1.Registry_Register_FullMethodName: &registryv1.RegisterRequest{Instance: &registryv1.Instance{Service: "shop", Address: "127.0.0.1:1"}},
		registryv1.Registry_Renew_FullMethodName:    &registryv1.RenewRequest{Service: "shop", Id: "shop-1"},
		authv1.Auth_Login_FullMethodName:            &authv1.LoginRequest{Namespace: "acme", Username: "nobody", Password: password},
		authv1.Auth_Signup_FullMethodName:           &authv1.SignupRequest{Namespace: "initech", Username: "bob", Password: password},
		authv1.Accounts_Create_FullMethodName:       &authv1.CreateAccountRequest{Id: "bob", Type: authv1.AccountType_ACCOUNT_TYPE_SERVICE},
		authv1.Accounts_Update_FullMethodName:       &authv1.UpdateAccountRequest{Id: "bob"},
		authv1.Rules_Create_FullMethodName:          &authv1.CreateRuleRequest{Rule: &authv1.Rule{Id: "r", Scope: "s", Resource: "service:shop:*", Access: authv1.Access_ACCESS_GRANTED}},
		authv1.Tokens_Create_FullMethodName:         &authv1.CreateTokenRequest{Name: "t"},
	}
}

// bad is a field of a request with something in it, in wire form.
type bad struct {
	name   string
	wire   []byte
	strict bool // it is never good
}

// badFields returns what may be wrong in the fields of a message, and of those in it.
func badFields(m protoreflect.MessageDescriptor, depth int) (all []bad) {
	fields := m.Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		text := func(what, value string, strict bool) bad {
			b := protowire.AppendTag(nil, f.Number(), protowire.BytesType)
			return bad{string(f.Name()) + ": " + what, protowire.AppendString(b, value), strict}
		}
		number := func(what string, value int64, strict bool) bad {
			b := protowire.AppendTag(nil, f.Number(), protowire.VarintType)
			return bad{string(f.Name()) + ": " + what, protowire.AppendVarint(b, uint64(value)), strict}
		}
		switch f.Kind() {
		case protoreflect.StringKind:
			if f.IsMap() {
				continue
			}
			token := f.Name() == "page_token"
			all = append(all, text("not UTF-8", "a\xff", true), text("NUL", "a\x00b", token), text("empty", "", false),
				text("leads elsewhere", "../../globex", token), text("huge", strings.Repeat("x", 2<<20), token))
		case protoreflect.BytesKind:
			all = append(all, text("not UTF-8", "a\xff\x00", false), text("empty", "", false), text("huge", strings.Repeat("x", 2<<20), false))
		case protoreflect.Int32Kind, protoreflect.Int64Kind, protoreflect.Uint32Kind:
			all = append(all, number("negative", -1, f.Name() == "page_size"), number("least", math.MinInt64, false), number("greatest", math.MaxInt64, false))
		case protoreflect.EnumKind:
			all = append(all, number("unknown", 99, false), number("negative", -1, false))
		case protoreflect.MessageKind:
			all = append(all, text("no message", "\xff\xff", true))
			if f.IsMap() || depth == 0 {
				continue
			}
			for _, b := range badFields(f.Message(), depth-1) {
				all = append(all, text(b.name, string(b.wire), b.strict))
			}
		default: // of a truth value or a fraction none is bad
		}
	}
	return all
}

// refusal makes a call with a request in wire form, and returns how it ended. One that goes
// on was accepted; what must be refused has a minute for it, on a machine that is busy.
func refusal(ctx context.Context, conn *grpc.ClientConn, m protoreflect.MethodDescriptor, name string, b bad, base []byte) error {
	req := &emptypb.Empty{}
	req.ProtoReflect().SetUnknown(append(slices.Clip(base), b.wire...))
	patience := 200 * time.Millisecond
	if b.strict {
		patience = time.Minute
	}
	if !m.IsStreamingServer() && !m.IsStreamingClient() {
		return conn.Invoke(ctx, name, req, &emptypb.Empty{})
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: m.IsStreamingClient()}, name)
	if err != nil {
		return err
	}
	_ = stream.SendMsg(req) // the answer says more
	_ = stream.CloseSend()
	err = stream.RecvMsg(&emptypb.Empty{})
	if ctx.Err() != nil || err != nil && status.Code(err) == codes.Unknown && err.Error() == "EOF" {
		return nil
	}
	return err
}

// TestBadInput sends every method of the server what cannot be good: nothing, too much,
// no UTF-8, NUL, paths that lead elsewhere, negative numbers, page tokens that nobody
// gave out. Each is answered with a status that says whose fault it is, and the server
// has none.
func TestBadInput(t *testing.T) {
	t.Parallel()
	s := start(t)
	good := goodRequests()
	codesSeen := map[codes.Code]int{}
	for _, name := range server.Methods() {
		d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(strings.ReplaceAll(name[1:], "/", ".")))
		if err != nil {
			t.Fatal(err)
		}
		m, ok := d.(protoreflect.MethodDescriptor)
		if !ok {
			t.Fatalf("%s is no method", name)
		}
		base, err := proto.Marshal(good[name])
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range badFields(m.Input(), 2) {
			ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+s.admin, "micro-namespace", "acme"), time.Minute)
			err := refusal(ctx, s.conn, m, name, b, base)
			cancel()
			code := status.Code(err)
			codesSeen[code]++
			switch code {
			case codes.OK:
				if b.strict {
					t.Errorf("%s, %s: it is accepted", name, b.name)
				}
			case codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.Aborted, codes.FailedPrecondition, codes.OutOfRange,
				codes.PermissionDenied, codes.Unauthenticated, codes.ResourceExhausted:
			default:
				t.Errorf("%s, %s: %.300v", name, b.name, err)
			}
		}
	}
	t.Log(codesSeen)
	if codesSeen[codes.InvalidArgument] < 100 {
		t.Errorf("%d requests were invalid", codesSeen[codes.InvalidArgument])
	}
}
