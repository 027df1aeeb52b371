package server_test

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	containers "github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"google.golang.org/grpc"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/micro/micro/v3/backend/auth"
	"github.com/micro/micro/v3/backend/server"
	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
	configv1 "github.com/micro/micro/v3/proto/micro/config/v1"
	eventsv1 "github.com/micro/micro/v3/proto/micro/events/v1"
	namespacev1 "github.com/micro/micro/v3/proto/micro/namespace/v1"
	registryv1 "github.com/micro/micro/v3/proto/micro/registry/v1"
	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
	serverv1 "github.com/micro/micro/v3/proto/micro/server/v1"
	statsv1 "github.com/micro/micro/v3/proto/micro/stats/v1"
	storev1 "github.com/micro/micro/v3/proto/micro/store/v1"
)

// longStreams are the methods whose answers go on until the caller has enough, with a
// request that has an answer at once.
func longStreams() map[string]proto.Message {
	return map[string]proto.Message{
		authv1.Audit_Read_FullMethodName:         &authv1.ReadAuditRequest{Follow: true},
		configv1.Config_Watch_FullMethodName:     &configv1.WatchRequest{},
		eventsv1.Events_Read_FullMethodName:      &eventsv1.ReadRequest{Topic: "orders", Follow: true},
		eventsv1.Events_Consume_FullMethodName:   &eventsv1.ConsumeRequest{Topic: "orders", Start: &eventsv1.ConsumeStart{Group: "g"}},
		eventsv1.Events_Subscribe_FullMethodName: &eventsv1.SubscribeRequest{Topic: "orders"},
		registryv1.Registry_Watch_FullMethodName: &registryv1.WatchRequest{},
		runtimev1.Runtime_Watch_FullMethodName:   &runtimev1.WatchRequest{Name: "echo"},
		runtimev1.Runtime_Logs_FullMethodName:    &runtimev1.LogsRequest{Name: "echo", Follow: true},
		runtimev1.Runtime_Journal_FullMethodName: &runtimev1.JournalRequest{Name: "echo", Follow: true},
		statsv1.Stats_Watch_FullMethodName:       &statsv1.WatchRequest{},
		storev1.Store_Watch_FullMethodName:       &storev1.WatchRequest{},
	}
}

// finiteStreams are those that end by themselves, or are nobody's in particular.
func finiteStreams() []string {
	return []string{
		authv1.Audit_Verify_FullMethodName,
		namespacev1.Transfer_Export_FullMethodName,
		namespacev1.Transfer_Import_FullMethodName,
		serverv1.Server_Backup_FullMethodName,
		storev1.Blobs_Read_FullMethodName,
		storev1.Blobs_Write_FullMethodName, // see TestBlobUploadRevoked
		storev1.Store_Export_FullMethodName,
		storev1.Store_Import_FullMethodName,
		"/grpc.health.v1.Health/Watch",
		"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
		"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
	}
}

// Whoever adds a method that streams says here what becomes of it when its caller may
// not go on.
func TestEveryStreamIsKnown(t *testing.T) {
	t.Parallel()
	var got []string
	for _, m := range ownMethods(t, start(t)) {
		if m.IsStreamingServer() || m.IsStreamingClient() {
			got = append(got, pathOf(m))
		}
	}
	want := slices.Sorted(slices.Values(append(slices.Collect(maps.Keys(longStreams())), finiteStreams()...)))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("streams that are known (-) and that are served (+):\n%s", diff)
	}
}

// open begins a stream and returns when it has had its first answer.
func (s *testServer) open(t *testing.T, method, token string, req proto.Message) grpc.ClientStream {
	t.Helper()
	stream, err := s.conn.NewStream(as(t, token, "acme"), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.SendMsg(req); err != nil {
		t.Fatal(err)
	}
	if method != eventsv1.Events_Consume_FullMethodName { // which takes more requests
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.RecvMsg(&emptypb.Empty{}); err != nil {
		t.Fatalf("%s: %v", method, err)
	}
	return stream
}

// endOf returns what a stream ends with.
func endOf(stream grpc.ClientStream) error {
	for {
		if err := stream.RecvMsg(&emptypb.Empty{}); err != nil {
			return err
		}
	}
}

// deployEcho has the service echo deployed, of which nothing ever comes up.
func (s *testServer) deployEcho(t *testing.T) {
	t.Helper()
	s.echo = s.pushImage(t, "echo")
	_, err := runtimev1.NewRuntimeClient(s.conn).Apply(as(t, s.admin, "acme"), &runtimev1.ApplyRequest{
		Name: "echo", Spec: &runtimev1.Spec{Image: "acme/echo@" + s.echo},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// pushImage pushes an empty image of acme as latest, and returns its digest.
func (s *testServer) pushImage(t *testing.T, name string) string {
	t.Helper()
	ref, err := containers.ParseReference(s.Proxy+"/acme/"+name+":latest", containers.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	if err := remote.Write(ref, empty.Image, remote.WithContext(t.Context()), remote.WithTransport(bearerTransport{transport, s.admin})); err != nil {
		t.Fatal(err)
	}
	digest, err := empty.Image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest.String()
}

// bearerTransport sends a token with each request.
type bearerTransport struct {
	http.RoundTripper
	token string
}

func (b bearerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.RoundTripper.RoundTrip(r)
}

// A stream that goes on ends when what it was allowed by is taken away.
func TestStreamsEndWithTheirRights(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		do   func(ctx context.Context, s *testServer, bob auth.Session) error
		want string
	}{
		{"logout", func(ctx context.Context, s *testServer, bob auth.Session) error {
			_, err := authv1.NewAuthClient(s.conn).Logout(ctx, &authv1.LogoutRequest{RefreshToken: bob.Refresh})
			return err
		}, "SESSION_REVOKED"},
		{"disabled", func(ctx context.Context, s *testServer, _ auth.Session) error {
			_, err := authv1.NewAccountsClient(s.conn).Update(ctx, &authv1.UpdateAccountRequest{Id: "bob", Disabled: new(true)})
			return err
		}, "SESSION_REVOKED"},
		{"deleted", func(ctx context.Context, s *testServer, _ auth.Session) error {
			_, err := authv1.NewAccountsClient(s.conn).Delete(ctx, &authv1.DeleteAccountRequest{Id: "bob"})
			return err
		}, "SESSION_REVOKED"},
		{"the rule is gone", func(ctx context.Context, s *testServer, _ auth.Session) error {
			_, err := authv1.NewRulesClient(s.conn).Delete(ctx, &authv1.DeleteRuleRequest{Id: "watchers"})
			return err
		}, "DENIED"},
		{"the namespace is gone", func(ctx context.Context, s *testServer, _ auth.Session) error {
			return s.auth.CloseNamespace(ctx, "acme")
		}, "SESSION_REVOKED"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			s.deployEcho(t)
			s.publish(t, "orders", "a")
			s.rule(t, &authv1.Rule{Id: "watchers", Scope: "watchers", Resource: "*:*:*", Access: authv1.Access_ACCESS_GRANTED})
			if _, err := authv1.NewRulesClient(s.conn).Delete(as(t, s.admin, "acme"), &authv1.DeleteRuleRequest{Id: "read"}); err != nil {
				t.Fatal(err)
			}
			bob := s.session(t, "bob", "watchers")
			bobs := map[string]grpc.ClientStream{}
			others := make(chan error, len(longStreams()))
			for method, req := range longStreams() {
				bobs[method] = s.open(t, method, bob.Access, req)
				if method != eventsv1.Events_Consume_FullMethodName { // which shares the only event
					other := s.open(t, method, s.admin, req)
					go func() { others <- fmt.Errorf("%s: %w", method, endOf(other)) }()
				}
			}
			if err := tt.do(as(t, s.admin, "acme"), s, bob); err != nil {
				t.Fatal(err)
			}
			for method, stream := range bobs {
				if err := endOf(stream); reasonOf(err) != tt.want {
					t.Errorf("%s ended with %v, want %v", method, err, tt.want)
				}
			}
			select {
			case err := <-others:
				if tt.name != "the namespace is gone" {
					t.Errorf("a stream of somebody else has ended, too: %v", err)
				}
			default:
			}
		})
	}
}

// So does a call of a service that goes on, through both ports, and one that anybody may
// make when he may not any more.
func TestCallsOfServicesEndWithTheirRights(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		public bool
		do     func(ctx context.Context, s *testServer, bob auth.Session) error
		want   string
		status int
	}{
		{"logout", false, func(ctx context.Context, s *testServer, bob auth.Session) error {
			_, err := authv1.NewAuthClient(s.conn).Logout(ctx, &authv1.LogoutRequest{RefreshToken: bob.Refresh})
			return err
		}, "SESSION_REVOKED", http.StatusUnauthorized},
		{"the rule is another one", false, func(ctx context.Context, s *testServer, _ auth.Session) error {
			_, err := authv1.NewRulesClient(s.conn).Update(ctx, &authv1.UpdateRuleRequest{Id: "call", Scope: new("staff")})
			return err
		}, "DENIED", http.StatusForbidden},
		{"closed to strangers", true, func(ctx context.Context, s *testServer, _ auth.Session) error {
			_, err := authv1.NewRulesClient(s.conn).Update(ctx, &authv1.UpdateRuleRequest{Id: "call", Scope: new("*")})
			return err
		}, "NOT_LOGGED_IN", http.StatusUnauthorized},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			s.runEcho(t)
			bob := s.session(t, "bob")
			token := bob.Access
			if tt.public {
				token = ""
			}
			stream, err := testpb.NewTestServiceClient(s.conn).StreamingOutputCall(as(t, token, "acme"), &testpb.StreamingOutputCallRequest{})
			if err == nil {
				_, err = stream.Recv()
			}
			if err != nil {
				t.Fatal(err)
			}
			lines := s.gatewayStream(t, "/echo/TestService/StreamingOutputCall", token)
			if first := lines(); first != "{}" {
				t.Fatalf("the gateway answers %q", first)
			}
			if err := tt.do(as(t, s.admin, "acme"), s, bob); err != nil {
				t.Fatal(err)
			}
			if _, err := stream.Recv(); reasonOf(err) != tt.want {
				t.Errorf("it ended with %v, want %v", err, tt.want)
			}
			if last := lines(); !strings.Contains(last, fmt.Sprintf(`"code":%d`, tt.status)) {
				t.Errorf("at the gateway it ended with %s, want the status %d", last, tt.status)
			}
		})
	}
}

// gatewayStream begins a call at the gateway, and returns what reads its lines.
func (s *testServer) gatewayStream(t *testing.T, path, token string) func() string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.Gateway+path, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Micro-Namespace", "acme")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	transport := &http.Transport{}
	rsp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = rsp.Body.Close()
		transport.CloseIdleConnections()
	})
	in := bufio.NewReader(rsp.Body)
	return func() string {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Errorf("the body ended with %v", err)
		}
		return strings.TrimSpace(line)
	}
}

// A stream outlives the access token that it began with: the session goes on.
func TestStreamsOutliveTheirToken(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *server.Config) { c.TokenTTL = time.Second })
	session, err := authv1.NewAuthClient(s.conn).Login(as(t, "", ""), &authv1.LoginRequest{Namespace: "acme", Username: "alice", Password: password})
	if err != nil {
		t.Fatal(err)
	}
	token := session.GetSession().GetAccessToken()
	stream, err := configv1.NewConfigClient(s.conn).Watch(as(t, token, "acme"), &configv1.WatchRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	for reasonOf(err) != "TOKEN_EXPIRED" {
		if _, err = authv1.NewAuthClient(s.conn).WhoAmI(as(t, token, ""), &authv1.WhoAmIRequest{}); err != nil && reasonOf(err) != "TOKEN_EXPIRED" {
			t.Fatal(err)
		}
	}
	if _, err := configv1.NewConfigClient(s.conn).Set(as(t, s.login(t, "alice", password), "acme"), &configv1.SetRequest{Path: "a", Json: "1"}); err != nil {
		t.Fatal(err)
	}
	if rsp, err := stream.Recv(); err != nil || rsp.GetJson() != `{"a":1}` {
		t.Errorf("after the token has expired: %v, %v", rsp, err)
	}
	if _, err := authv1.NewAuthClient(s.conn).Logout(as(t, "", ""), &authv1.LogoutRequest{RefreshToken: session.GetSession().GetRefreshToken()}); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); reasonOf(err) != "SESSION_REVOKED" {
		t.Errorf("after the logout: %v, want SESSION_REVOKED", err)
	}
}
