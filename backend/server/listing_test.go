package server_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/micro/micro/v3/backend/server"
	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
	configv1 "github.com/micro/micro/v3/proto/micro/config/v1"
	eventsv1 "github.com/micro/micro/v3/proto/micro/events/v1"
	registryv1 "github.com/micro/micro/v3/proto/micro/registry/v1"
	storev1 "github.com/micro/micro/v3/proto/micro/store/v1"
	"github.com/micro/micro/v3/service/store"
)

// pagedMethod is a method that returns a page of a list.
type pagedMethod struct {
	name string
	ask  protoreflect.MessageDescriptor
	tell protoreflect.MessageDescriptor
}

// pagedMethods returns all of the server's but those that stream.
func pagedMethods(t *testing.T) (all []pagedMethod) {
	t.Helper()
	for _, name := range server.Methods() {
		d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(strings.ReplaceAll(name[1:], "/", ".")))
		if err != nil {
			t.Fatal(err)
		}
		m := d.(protoreflect.MethodDescriptor)
		if m.Input().Fields().ByName("page_token") != nil && !m.IsStreamingServer() {
			all = append(all, pagedMethod{name, m.Input(), m.Output()})
		}
	}
	return all
}

// page asks for a page of one item, and returns the token of the next.
func (m pagedMethod) page(ctx context.Context, s *testServer, token string) (next string, err error) {
	in, err := protoregistry.GlobalTypes.FindMessageByName(m.ask.FullName())
	if err != nil {
		return "", err
	}
	out, err := protoregistry.GlobalTypes.FindMessageByName(m.tell.FullName())
	if err != nil {
		return "", err
	}
	req, rsp := in.New(), out.New()
	if good := goodRequests()[m.name]; good != nil {
		proto.Merge(req.Interface(), good)
	}
	req.Set(m.ask.Fields().ByName("page_size"), protoreflect.ValueOfInt32(1))
	req.Set(m.ask.Fields().ByName("page_token"), protoreflect.ValueOfString(token))
	if err := s.conn.Invoke(ctx, m.name, req.Interface(), rsp.Interface()); err != nil {
		return "", err
	}
	return rsp.Get(m.tell.Fields().ByName("next_page_token")).String(), nil
}

// TestPageTokens has every list of the server give a page token, and hands it to all
// others, and to the same list of another namespace: only the list that gave it takes it.
func TestPageTokens(t *testing.T) {
	t.Parallel()
	s := start(t)
	fillLists(t, s)
	methods := pagedMethods(t)
	tokens := map[string]string{}
	for _, m := range methods {
		token, err := m.page(as(t, s.admin, "acme"), s, "")
		if err != nil && status.Code(err) != codes.PermissionDenied {
			t.Errorf("%s: %v", m.name, err)
		}
		if token != "" {
			tokens[m.name] = token
		}
	}
	if len(tokens) < 11 {
		t.Errorf("%d lists gave a token: %v", len(tokens), tokens)
	}
	stranger := s.stranger(t)
	// The same records, with and without their values.
	same := map[string]string{
		storev1.Store_Read_FullMethodName: storev1.Store_List_FullMethodName,
		storev1.Store_List_FullMethodName: storev1.Store_Read_FullMethodName,
	}
	for from, token := range tokens {
		for _, m := range methods {
			if m.name == same[from] {
				continue
			}
			_, err := m.page(as(t, s.admin, "acme"), s, token)
			switch code := status.Code(err); {
			case m.name == from && code != codes.OK:
				t.Errorf("%s refuses a token of its own: %v", m.name, err)
			case m.name != from && code != codes.InvalidArgument && code != codes.PermissionDenied:
				t.Errorf("%s, with a token of %s: %v, want %v", m.name, from, err, codes.InvalidArgument)
			}
			if m.name != from {
				continue
			}
			if _, err := m.page(as(t, stranger, ""), s, token); status.Code(err) != codes.InvalidArgument {
				t.Errorf("%s, with a token of another namespace: %v, want %v", m.name, err, codes.InvalidArgument)
			}
		}
	}
}

// fillLists makes two of all that can be listed in a namespace, without a service that
// runs.
func fillLists(t *testing.T, s *testServer) {
	t.Helper()
	ctx := as(t, s.admin, "acme")
	address := startEcho(t)
	for i := range 2 {
		name := fmt.Sprintf("n%d", i)
		record := &storev1.Record{Key: []byte(name), Value: []byte("v")}
		_, account := authv1.NewAccountsClient(s.conn).Create(ctx, &authv1.CreateAccountRequest{Id: name, Password: password})
		_, token := authv1.NewTokensClient(s.conn).Create(ctx, &authv1.CreateTokenRequest{Name: name})
		_, value := configv1.NewConfigClient(s.conn).Set(ctx, &configv1.SetRequest{Path: name, Json: "1"})
		_, topic := eventsv1.NewEventsClient(s.conn).Publish(ctx, &eventsv1.PublishRequest{Topic: name, Events: []*eventsv1.Event{{}}})
		_, topicT := eventsv1.NewEventsClient(s.conn).Publish(ctx, &eventsv1.PublishRequest{Topic: "t", Events: []*eventsv1.Event{{}}})
		_, rec := storev1.NewStoreClient(s.conn).Write(ctx, &storev1.WriteRequest{Record: record})
		_, table := storev1.NewStoreClient(s.conn).Write(ctx, &storev1.WriteRequest{Table: name, Record: record})
		_, database := storev1.NewStoreClient(s.conn).Write(ctx, &storev1.WriteRequest{Database: name, Record: record})
		_, blob := store.NewBlobs(s.conn).Write(ctx, name, strings.NewReader("v"))
		_, service := registryv1.NewRegistryClient(s.conn).Register(ctx, &registryv1.RegisterRequest{
			Instance: &registryv1.Instance{Service: name, Address: address}, Lease: longLease(),
		})
		for what, err := range map[string]error{
			"account": account, "token": token, "value": value, "topic": topic, "topic t": topicT, "record": rec, "table": table,
			"database": database, "blob": blob, "service": service, "group": beginGroup(ctx, s, name),
		} {
			if err != nil {
				t.Fatalf("%s %s: %v", what, name, err)
			}
		}
	}
}

// beginGroup has a group of the topic t take an event.
func beginGroup(ctx context.Context, s *testServer, name string) error {
	stream, err := eventsv1.NewEventsClient(s.conn).Consume(ctx)
	if err != nil {
		return err
	}
	start := &eventsv1.ConsumeStart{Group: name, Offset: 1}
	if err := stream.Send(&eventsv1.ConsumeRequest{Topic: "t", Start: start}); err != nil {
		return err
	}
	_, err = stream.Recv()
	return err
}
