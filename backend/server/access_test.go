package server_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	reflectv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/micro/micro/v3/backend/auth/authtest"
	"github.com/micro/micro/v3/backend/server"
	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
	registryv1 "github.com/micro/micro/v3/proto/micro/registry/v1"
	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
	storev1 "github.com/micro/micro/v3/proto/micro/store/v1"
)

var update = flag.Bool("update", false, "write what is compared with the files in testdata")

// accessMatrix is who may call what where under the rules of a new namespace: a line for
// each method, a column for each caller, and in it a letter for each of the namespaces
// that are called.
const accessMatrix = "testdata/access.txt"

const accessLegend = `# Who may call what under the rules of a new namespace. In each column a letter for a call
# in the caller's own namespace (for nobody: acme), in another one, in that of who runs
# the server, and in one that is not there:
#
#	y  the handler is asked
#	l  an account of the namespace might, and the caller has none there
#	d  the caller's account may not
#	t  the token is not good
#
# The callers: nobody; somebody whose token has expired, was revoked, or is forged; an
# administrator of another namespace; of acme an account that a rule denies everything,
# one without scopes, an instance of a service and the administrator; and the operator of
# the server. Written by go test ./backend/server -run TestAccessMatrix -update.
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

// matrixRequests are requests that reach their handler, change nothing and do not take
// long, where an empty one does not do.
func matrixRequests(refresh string) map[string]proto.Message {
	tooLong := strings.Repeat("x", 2000) // which is not even hashed
	return map[string]proto.Message{
		authv1.Auth_Signup_FullMethodName:                                &authv1.SignupRequest{Namespace: "acme", Username: "x", Password: password},
		authv1.Auth_Login_FullMethodName:                                 &authv1.LoginRequest{Namespace: "acme", Username: "alice", Password: tooLong},
		authv1.Auth_Refresh_FullMethodName:                               &authv1.RefreshRequest{RefreshToken: refresh},
		authv1.Auth_ChangePassword_FullMethodName:                        &authv1.ChangePasswordRequest{OldPassword: tooLong, NewPassword: password},
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
}

func TestAccessMatrix(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.runEcho(t)
	s.rule(t, &authv1.Rule{Id: "guests", Scope: "guest", Resource: "*:*:*", Access: authv1.Access_ACCESS_DENIED, Priority: 100})
	refresh, service := s.instance(t, "echo")
	gone := s.session(t, "gone", "admin")
	if err := s.auth.Logout(t.Context(), gone.Refresh); err != nil {
		t.Fatal(err)
	}
	callers := []struct{ name, token, own, other string }{
		{"nobody", "", "acme", "globex"},
		{"expired", s.forge(t).Token(nil, authtest.Fields{"exp": time.Now().Add(-time.Hour).Unix()}), "acme", "globex"},
		{"revoked", gone.Access, "acme", "globex"},
		{"forged", s.admin[:len(s.admin)-8] + "AAAAAAAA", "acme", "globex"},
		{"stranger", s.stranger(t), "globex", "acme"},
		{"guest", s.account(t, "carol", "guest"), "acme", "globex"},
		{"user", s.account(t, "bob"), "acme", "globex"},
		{"service", service, "acme", "globex"},
		{"admin", s.admin, "acme", "globex"},
		{"operator", s.operator(t), "micro", "acme"},
	}
	requests := matrixRequests(refresh)
	var got strings.Builder
	row := func(name string, cells []string) {
		got.WriteString(strings.TrimRight(fmt.Sprintf("%-62s", name)+" "+strings.Join(cells, " "), " ") + "\n")
	}
	got.WriteString(accessLegend + "\n")
	var names []string
	for _, c := range callers {
		names = append(names, fmt.Sprintf("%-8s", c.name))
	}
	row("", names)
	for _, m := range ownMethods(t, s) {
		var cells []string
		for _, c := range callers {
			cell := ""
			for _, ns := range []string{c.own, c.other, "micro", "nowhere"} {
				req := requests[pathOf(m)]
				if req == nil {
					req = dynamicpb.NewMessage(m.Input())
				}
				err := firstAnswer(t, s, m, c.token, ns, req)
				switch reason := reasonOf(err); {
				case reason == "NOT_LOGGED_IN":
					cell += "l"
				case reason == "DENIED":
					cell += "d"
				case reason == "TOKEN_EXPIRED", reason == "SESSION_REVOKED", reason == "WRONG_CREDENTIALS" && c.name == "forged" && m.Name() != "Login":
					cell += "t"
				case reason == "INTERNAL":
					t.Errorf("%s of %s in %s: %v", m.FullName(), c.name, ns, err)
				default:
					cell += "y"
				}
			}
			cells = append(cells, fmt.Sprintf("%-8s", cell))
		}
		row(pathOf(m)[1:], cells)
	}
	if *update {
		if err := os.WriteFile(accessMatrix, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(accessMatrix)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
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
	ctx, cancel := context.WithCancel(as(t, token, namespace))
	defer cancel()
	stream, err := s.ask(ctx, m, req)
	if err != nil {
		return err
	}
	return stream.RecvMsg(dynamicpb.NewMessage(m.Output()))
}

// lastAnswer makes a call of any kind with one request and returns its error when it
// has ended.
func lastAnswer(t *testing.T, s *testServer, m protoreflect.MethodDescriptor, token, namespace string, req proto.Message) error {
	t.Helper()
	stream, err := s.ask(as(t, token, namespace), m, req)
	if err != nil {
		return err
	}
	if err := endOf(stream); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

func (s *testServer) ask(ctx context.Context, m protoreflect.MethodDescriptor, req proto.Message) (grpc.ClientStream, error) {
	stream, err := s.conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, pathOf(m))
	if err != nil {
		return nil, err
	}
	if err := stream.SendMsg(req); err == nil {
		_ = stream.CloseSend()
	}
	return stream, nil
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
		Lease:    longLease(),
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = registry.Renew(as(t, stranger, "acme"), &registryv1.RenewRequest{Service: "echo", Id: rsp.GetInstance().GetId()})
	if got := reasonOf(err); got != "NOT_FOUND" {
		t.Errorf("a stranger who renews the lease of an account of the same name: %v (%v), want NOT_FOUND", got, err)
	}
}
