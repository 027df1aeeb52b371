package server_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	reflectv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/micro/micro/v3/backend/server"
	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
	registryv1 "github.com/micro/micro/v3/proto/micro/registry/v1"
	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
	storev1 "github.com/micro/micro/v3/proto/micro/store/v1"
)

// accessMatrix is who may call what of acme under the rules of a new namespace.
//
//	yes     the handler was asked
//	login   an account of the namespace might
//	denied  the account may not
//	token   the token is not good
//
// The callers: nobody; an administrator of another namespace; an account of acme
// without scopes; an instance of one of its services; its administrator; its
// administrator in a namespace that is not there; somebody with a forged token.
const accessMatrix = `
                                                               anonymous  stranger   member     service    admin      nowhere    forged
grpc.health.v1.Health/Check                                    yes        yes        yes        yes        yes        yes        yes
grpc.health.v1.Health/List                                     yes        yes        yes        yes        yes        yes        yes
grpc.health.v1.Health/Watch                                    yes        yes        yes        yes        yes        yes        yes
grpc.reflection.v1.ServerReflection/ServerReflectionInfo       yes        yes        yes        yes        yes        yes        token
grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo  yes        yes        yes        yes        yes        yes        token
micro.auth.v1.Accounts/Create                                  login      login      denied     denied     yes        login      token
micro.auth.v1.Accounts/Delete                                  login      login      denied     denied     yes        login      token
micro.auth.v1.Accounts/List                                    login      login      yes        yes        yes        login      token
micro.auth.v1.Accounts/Update                                  login      login      denied     denied     yes        login      token
micro.auth.v1.Audit/Read                                       login      login      denied     denied     yes        login      token
micro.auth.v1.Audit/Verify                                     login      login      denied     denied     yes        login      token
micro.auth.v1.Auth/ChangePassword                              login      yes        yes        yes        yes        yes        token
micro.auth.v1.Auth/Login                                       yes        yes        yes        yes        yes        yes        yes
micro.auth.v1.Auth/Logout                                      yes        yes        yes        yes        yes        yes        yes
micro.auth.v1.Auth/Refresh                                     yes        yes        yes        yes        yes        yes        yes
micro.auth.v1.Auth/Signup                                      yes        yes        yes        yes        yes        yes        yes
micro.auth.v1.Auth/WhoAmI                                      login      yes        yes        yes        yes        yes        token
micro.auth.v1.Keys/List                                        login      denied     denied     denied     denied     denied     token
micro.auth.v1.Keys/Rotate                                      login      denied     denied     denied     denied     denied     token
micro.auth.v1.Namespaces/Create                                login      denied     denied     denied     denied     denied     token
micro.auth.v1.Namespaces/Delete                                login      denied     denied     denied     denied     denied     token
micro.auth.v1.Namespaces/List                                  login      yes        yes        yes        yes        yes        token
micro.auth.v1.Rules/Create                                     login      login      denied     denied     yes        login      token
micro.auth.v1.Rules/Delete                                     login      login      denied     denied     yes        login      token
micro.auth.v1.Rules/Explain                                    login      login      denied     denied     yes        login      token
micro.auth.v1.Rules/List                                       login      login      yes        yes        yes        login      token
micro.auth.v1.Rules/Update                                     login      login      denied     denied     yes        login      token
micro.auth.v1.Tokens/Create                                    login      yes        yes        denied     yes        yes        token
micro.auth.v1.Tokens/Delete                                    login      yes        yes        denied     yes        yes        token
micro.auth.v1.Tokens/List                                      login      yes        yes        yes        yes        yes        token
micro.config.v1.Config/Delete                                  login      login      denied     denied     yes        login      token
micro.config.v1.Config/Get                                     login      login      yes        yes        yes        login      token
micro.config.v1.Config/History                                 login      login      yes        yes        yes        login      token
micro.config.v1.Config/List                                    login      login      yes        yes        yes        login      token
micro.config.v1.Config/Rollback                                login      login      denied     denied     yes        login      token
micro.config.v1.Config/Set                                     login      login      denied     denied     yes        login      token
micro.config.v1.Config/Watch                                   login      login      yes        yes        yes        login      token
micro.events.v1.Events/Broadcast                               login      login      denied     yes        yes        login      token
micro.events.v1.Events/Consume                                 login      login      denied     yes        yes        login      token
micro.events.v1.Events/DeleteGroup                             login      login      denied     yes        yes        login      token
micro.events.v1.Events/DeleteTopic                             login      login      denied     yes        yes        login      token
micro.events.v1.Events/ListGroups                              login      login      yes        yes        yes        login      token
micro.events.v1.Events/ListTopics                              login      login      yes        yes        yes        login      token
micro.events.v1.Events/Publish                                 login      login      denied     yes        yes        login      token
micro.events.v1.Events/Read                                    login      login      yes        yes        yes        login      token
micro.events.v1.Events/SetRetention                            login      login      denied     yes        yes        login      token
micro.events.v1.Events/Subscribe                               login      login      yes        yes        yes        login      token
micro.registry.v1.Registry/Deregister                          login      login      denied     yes        yes        login      token
micro.registry.v1.Registry/Get                                 yes        yes        yes        yes        yes        login      token
micro.registry.v1.Registry/GetSchema                           yes        yes        yes        yes        yes        login      token
micro.registry.v1.Registry/Health                              login      login      yes        yes        yes        login      token
micro.registry.v1.Registry/List                                login      login      yes        yes        yes        login      token
micro.registry.v1.Registry/Register                            login      login      denied     yes        yes        login      token
micro.registry.v1.Registry/Renew                               login      login      denied     yes        yes        login      token
micro.registry.v1.Registry/Watch                               login      login      yes        yes        yes        login      token
micro.runtime.v1.Runtime/Apply                                 login      login      denied     denied     yes        login      token
micro.runtime.v1.Runtime/Changes                               login      login      yes        yes        yes        login      token
micro.runtime.v1.Runtime/Delete                                login      login      denied     denied     yes        login      token
micro.runtime.v1.Runtime/Get                                   login      login      yes        yes        yes        login      token
micro.runtime.v1.Runtime/Journal                               login      login      yes        yes        yes        login      token
micro.runtime.v1.Runtime/List                                  login      login      yes        yes        yes        login      token
micro.runtime.v1.Runtime/Logs                                  login      login      yes        yes        yes        login      token
micro.runtime.v1.Runtime/Releases                              login      login      yes        yes        yes        login      token
micro.runtime.v1.Runtime/Restart                               login      login      denied     denied     yes        login      token
micro.runtime.v1.Runtime/Rollback                              login      login      denied     denied     yes        login      token
micro.runtime.v1.Runtime/Scale                                 login      login      denied     denied     yes        login      token
micro.runtime.v1.Runtime/Undo                                  login      login      denied     denied     yes        login      token
micro.runtime.v1.Runtime/Watch                                 login      login      yes        yes        yes        login      token
micro.store.v1.Store/Batch                                     login      login      denied     yes        yes        login      token
micro.store.v1.Store/Databases                                 login      login      yes        yes        yes        login      token
micro.store.v1.Store/Delete                                    login      login      denied     yes        yes        login      token
micro.store.v1.Store/Export                                    login      login      yes        yes        yes        login      token
micro.store.v1.Store/Import                                    login      login      denied     yes        yes        login      token
micro.store.v1.Store/List                                      login      login      yes        yes        yes        login      token
micro.store.v1.Store/Read                                      login      login      yes        yes        yes        login      token
micro.store.v1.Store/Tables                                    login      login      yes        yes        yes        login      token
micro.store.v1.Store/Watch                                     login      login      yes        yes        yes        login      token
micro.store.v1.Store/Write                                     login      login      denied     yes        yes        login      token
`

// ownMethods returns the methods of every gRPC service that a server has
// registered, as its reflection tells.
func ownMethods(t *testing.T, s *testServer) []protoreflect.MethodDescriptor {
	t.Helper()
	stream, err := reflectv1.NewServerReflectionClient(s.conn).ServerReflectionInfo(as(t, "", ""))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&reflectv1.ServerReflectionRequest{MessageRequest: &reflectv1.ServerReflectionRequest_ListServices{}}); err != nil {
		t.Fatal(err)
	}
	rsp, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	var methods []protoreflect.MethodDescriptor
	for _, svc := range rsp.GetListServicesResponse().GetService() {
		d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(svc.GetName()))
		if err != nil {
			t.Fatal(err)
		}
		list := d.(protoreflect.ServiceDescriptor).Methods()
		for i := range list.Len() {
			methods = append(methods, list.Get(i))
		}
	}
	slices.SortFunc(methods, func(a, b protoreflect.MethodDescriptor) int { return strings.Compare(pathOf(a), pathOf(b)) })
	return methods
}

func pathOf(m protoreflect.MethodDescriptor) string {
	return "/" + string(m.Parent().FullName()) + "/" + string(m.Name())
}

func TestEveryMethodHasAnAccess(t *testing.T) {
	t.Parallel()
	var got []string
	for _, m := range ownMethods(t, start(t)) {
		got = append(got, pathOf(m))
	}
	if diff := cmp.Diff(server.Methods(), got); diff != "" {
		t.Errorf("methods that access is known to (-) and that are served (+):\n%s", diff)
	}
}

func TestAccessMatrix(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.runEcho(t)
	refresh, service := s.instance(t, "echo")
	callers := []struct{ name, token, namespace string }{
		{"anonymous", "", "acme"},
		{"stranger", s.stranger(t), "acme"},
		{"member", s.account(t, "bob"), "acme"},
		{"service", service, "acme"},
		{"admin", s.admin, "acme"},
		{"nowhere", s.admin, "nowhere"},
		{"forged", s.admin[:len(s.admin)-8] + "AAAAAAAA", "acme"},
	}
	// Requests that reach their handler and change nothing.
	requests := map[string]proto.Message{
		authv1.Auth_Signup_FullMethodName:                                &authv1.SignupRequest{Namespace: "acme", Username: "x", Password: password},
		authv1.Auth_Login_FullMethodName:                                 &authv1.LoginRequest{Namespace: "acme", Username: "alice", Password: password},
		authv1.Auth_Refresh_FullMethodName:                               &authv1.RefreshRequest{RefreshToken: refresh},
		authv1.Auth_ChangePassword_FullMethodName:                        &authv1.ChangePasswordRequest{OldPassword: "wrong", NewPassword: password},
		authv1.Accounts_Delete_FullMethodName:                            &authv1.DeleteAccountRequest{Id: "nobody"},
		authv1.Accounts_Update_FullMethodName:                            &authv1.UpdateAccountRequest{Id: "nobody", Disabled: new(bool)},
		authv1.Rules_Delete_FullMethodName:                               &authv1.DeleteRuleRequest{Id: "nothing"},
		authv1.Namespaces_Delete_FullMethodName:                          &authv1.DeleteNamespaceRequest{Name: "nothing"},
		authv1.Tokens_Delete_FullMethodName:                              &authv1.DeleteTokenRequest{Name: "none"},
		registryv1.Registry_Register_FullMethodName:                      &registryv1.RegisterRequest{Instance: &registryv1.Instance{Service: "echo", Address: "nowhere"}},
		registryv1.Registry_Renew_FullMethodName:                         &registryv1.RenewRequest{Service: "echo", Id: "none"},
		registryv1.Registry_Deregister_FullMethodName:                    &registryv1.DeregisterRequest{Service: "echo", Id: "none"},
		registryv1.Registry_Get_FullMethodName:                           &registryv1.GetRequest{Name: "echo"},
		registryv1.Registry_GetSchema_FullMethodName:                     &registryv1.GetSchemaRequest{Service: "echo"},
		runtimev1.Runtime_Apply_FullMethodName:                           &runtimev1.ApplyRequest{Name: "echo", Spec: &runtimev1.Spec{Image: "acme/echo"}},
		runtimev1.Runtime_Get_FullMethodName:                             &runtimev1.GetRequest{Name: "none"},
		runtimev1.Runtime_Delete_FullMethodName:                          &runtimev1.DeleteRequest{Name: "none"},
		runtimev1.Runtime_Watch_FullMethodName:                           &runtimev1.WatchRequest{Name: "none"},
		runtimev1.Runtime_Logs_FullMethodName:                            &runtimev1.LogsRequest{Name: "none"},
		runtimev1.Runtime_Scale_FullMethodName:                           &runtimev1.ScaleRequest{Name: "none", Instances: 1},
		runtimev1.Runtime_Restart_FullMethodName:                         &runtimev1.RestartRequest{Name: "none"},
		runtimev1.Runtime_Rollback_FullMethodName:                        &runtimev1.RollbackRequest{Name: "none"},
		runtimev1.Runtime_Undo_FullMethodName:                            &runtimev1.UndoRequest{Name: "none"},
		runtimev1.Runtime_Releases_FullMethodName:                        &runtimev1.ReleasesRequest{Name: "none"},
		runtimev1.Runtime_Changes_FullMethodName:                         &runtimev1.ChangesRequest{Name: "none"},
		runtimev1.Runtime_Journal_FullMethodName:                         &runtimev1.JournalRequest{Name: "none"},
		storev1.Store_Read_FullMethodName:                                &storev1.ReadRequest{Key: []byte("none")},
		storev1.Store_Delete_FullMethodName:                              &storev1.DeleteRequest{Key: []byte("none")},
		reflectv1.ServerReflection_ServerReflectionInfo_FullMethodName:   listServices(),
		"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": listServices(),
	}
	var got strings.Builder
	row := func(name string, cells []string) {
		line := []any{name}
		for _, c := range cells {
			line = append(line, c)
		}
		format := "%-62s" + strings.Repeat(" %-10s", len(cells))
		got.WriteString(strings.TrimRight(fmt.Sprintf(format, line...), " ") + "\n")
	}
	var names []string
	for _, c := range callers {
		names = append(names, c.name)
	}
	got.WriteString("\n")
	row("", names)
	for _, m := range ownMethods(t, s) {
		var cells []string
		for _, c := range callers {
			req := requests[pathOf(m)]
			if req == nil {
				req = dynamicpb.NewMessage(m.Input())
			}
			err := firstAnswer(t, s, m, c.token, c.namespace, req)
			cell := "yes"
			switch reason := reasonOf(err); {
			case reason == "NOT_LOGGED_IN":
				cell = "login"
			case reason == "DENIED":
				cell = "denied"
			case reason == "WRONG_CREDENTIALS" && c.name == "forged":
				cell = "token"
			case reason == "INTERNAL":
				t.Errorf("%s of %s: %v", m.FullName(), c.name, err)
			}
			cells = append(cells, cell)
		}
		row(pathOf(m)[1:], cells)
	}
	if diff := cmp.Diff(accessMatrix, got.String()); diff != "" {
		t.Errorf("access (-want +got):\n%s", diff)
	}
}

func listServices() *reflectv1.ServerReflectionRequest {
	return &reflectv1.ServerReflectionRequest{MessageRequest: &reflectv1.ServerReflectionRequest_ListServices{}}
}

// firstAnswer makes a call of any kind with one request and returns its error, nil
// when an answer came first.
func firstAnswer(t *testing.T, s *testServer, m protoreflect.MethodDescriptor, token, namespace string, req proto.Message) error {
	t.Helper()
	stream, err := s.conn.NewStream(as(t, token, namespace), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, pathOf(m))
	if err != nil {
		return err
	}
	if err := stream.SendMsg(req); err == nil {
		_ = stream.CloseSend()
	}
	return stream.RecvMsg(dynamicpb.NewMessage(m.Output()))
}

// What is no bearer token is refused, and never taken for nobody.
func TestAuthorizationHeaders(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, tt := range []struct {
		name    string
		headers []string
		want    string
	}{
		{"none", nil, "NOT_LOGGED_IN"},
		{"good", []string{"Bearer " + s.admin}, "OK"},
		{"the scheme in any case", []string{"bEARER " + s.admin}, "OK"},
		{"no scheme", []string{s.admin}, "WRONG_CREDENTIALS"},
		{"no token", []string{"Bearer "}, "WRONG_CREDENTIALS"},
		{"two spaces", []string{"Bearer  " + s.admin}, "WRONG_CREDENTIALS"},
		{"basic", []string{"Basic YWxpY2U6Y29ycmVjdCBob3JzZQ=="}, "WRONG_CREDENTIALS"},
		{"two, the bad one first", []string{"Bearer x", "Bearer " + s.admin}, "WRONG_CREDENTIALS"},
		{"two in one", []string{"Bearer " + s.admin + ", Bearer " + s.admin}, "WRONG_CREDENTIALS"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx := metadata.NewOutgoingContext(as(t, "", ""), metadata.MD{"authorization": tt.headers})
			_, err := authv1.NewAuthClient(s.conn).WhoAmI(ctx, &authv1.WhoAmIRequest{})
			if got := reasonOf(err); got != tt.want {
				t.Errorf("WhoAmI: %v (%v), want %v", got, err, tt.want)
			}
		})
	}
}

// An account of another namespace has none of its scopes here, and is not who has
// the same name here, even where a rule lets everybody in.
func TestStrangerHasNothingButWhatEverybodyHas(t *testing.T) {
	t.Parallel()
	s := start(t)
	stranger := s.stranger(t) // alice of globex, its administrator
	s.rule(t, &authv1.Rule{Id: "open-auth", Resource: "auth:*:Accounts.Create", Access: authv1.Access_ACCESS_GRANTED})
	s.rule(t, &authv1.Rule{Id: "open-registry", Resource: "registry:*:*", Access: authv1.Access_ACCESS_GRANTED})

	_, err := authv1.NewAccountsClient(s.conn).Create(as(t, stranger, "acme"), &authv1.CreateAccountRequest{
		Id: "mallory", Password: password, Scopes: []string{"admin"},
	})
	if got := reasonOf(err); got != "DENIED" {
		t.Errorf("a stranger who makes an administrator: %v (%v), want DENIED", got, err)
	}

	registry := registryv1.NewRegistryClient(s.conn)
	rsp, err := registry.Register(as(t, s.admin, "acme"), &registryv1.RegisterRequest{
		Instance: &registryv1.Instance{Service: "echo", Address: startEcho(t)},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = registry.Renew(as(t, stranger, "acme"), &registryv1.RenewRequest{Service: "echo", Id: rsp.GetInstance().GetId()})
	if got := reasonOf(err); got != "NOT_FOUND" {
		t.Errorf("a stranger who renews the lease of an account of the same name: %v (%v), want NOT_FOUND", got, err)
	}
}
