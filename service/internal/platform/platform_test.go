package platform

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
)

// fakeAuth hands out tokens that are good for a while, and says who calls.
type fakeAuth struct {
	authv1.UnimplementedAuthServer
	ttl       time.Duration
	refreshes atomic.Int64
	down      atomic.Bool
	good      atomic.Value // the token that is accepted; nil: any
}

func (f *fakeAuth) Refresh(_ context.Context, req *authv1.RefreshRequest) (*authv1.RefreshResponse, error) {
	if f.down.Load() {
		return nil, status.Error(codes.Unavailable, "down")
	}
	if req.GetRefreshToken() != "proof" {
		return nil, status.Error(codes.Unauthenticated, "wrong")
	}
	token := string(rune('a' + f.refreshes.Add(1) - 1))
	return &authv1.RefreshResponse{Session: &authv1.Session{
		AccessToken: token, AccessExpires: timestamppb.New(time.Now().Add(f.ttl)),
	}}, nil
}

func (f *fakeAuth) WhoAmI(ctx context.Context, _ *authv1.WhoAmIRequest) (*authv1.WhoAmIResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	token := ""
	if v := md.Get("authorization"); len(v) == 1 {
		token = v[0]
	}
	if good := f.good.Load(); good != nil && token != good {
		st, err := status.New(codes.Unauthenticated, "expired").WithDetails(&errdetails.ErrorInfo{Domain: "micro", Reason: "TOKEN_EXPIRED"})
		if err != nil {
			return nil, err
		}
		return nil, st.Err()
	}
	ns := ""
	if v := md.Get("micro-namespace"); len(v) == 1 {
		ns = v[0]
	}
	return &authv1.WhoAmIResponse{Account: &authv1.Account{Id: token, Namespace: ns}}, nil
}

// connect returns a client of a server with the given environment besides the address.
func connect(t *testing.T, f *fakeAuth, env map[string]string) authv1.AuthClient {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	authv1.RegisterAuthServer(s, f)
	go func() { _ = s.Serve(l) }() // it ends by Stop
	t.Cleanup(s.Stop)
	conn, err := Dial(func(name string) string {
		if name == "MICRO_PROXY" {
			return l.Addr().String()
		}
		return env[name]
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return authv1.NewAuthClient(conn)
}

func proofFile(t *testing.T, proof string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "identity")
	if err := os.WriteFile(name, []byte(proof), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func who(t *testing.T, c authv1.AuthClient) string {
	t.Helper()
	rsp, err := c.WhoAmI(t.Context(), &authv1.WhoAmIRequest{})
	if err != nil {
		return status.Code(err).String()
	}
	return rsp.GetAccount().GetId() + " " + rsp.GetAccount().GetNamespace()
}

func TestWhoCalls(t *testing.T) {
	t.Parallel()
	proof := proofFile(t, "proof\n")
	for _, tt := range []struct {
		name string
		env  map[string]string
		want string
	}{
		{"nobody", nil, " "},
		{"the service", map[string]string{"MICRO_IDENTITY_FILE": proof, "MICRO_NAMESPACE": "acme"}, "Bearer a acme"},
		{"a token", map[string]string{"MICRO_IDENTITY_FILE": proof, "MICRO_TOKEN": "mine"}, "Bearer mine "},
		{"no file", map[string]string{"MICRO_IDENTITY_FILE": proof + ".not"}, "Unauthenticated"},
		{"another identity", map[string]string{"MICRO_IDENTITY_FILE": proofFile(t, "other")}, "Unauthenticated"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := who(t, connect(t, &fakeAuth{ttl: time.Hour}, tt.env)); got != tt.want {
				t.Errorf("the caller is %q, want %q", got, tt.want)
			}
		})
	}
}

// Calls at once share a token; it is renewed when it is about to expire, and when it is
// not accepted; while it is good it is used even when it cannot be renewed.
func TestTokens(t *testing.T) {
	t.Parallel()
	f := &fakeAuth{ttl: time.Hour}
	c := connect(t, f, map[string]string{"MICRO_IDENTITY_FILE": proofFile(t, "proof")})
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() { who(t, c) })
	}
	wg.Wait()
	if got := f.refreshes.Load(); got != 1 {
		t.Errorf("16 calls got %d tokens, want 1", got)
	}
	f.good.Store("Bearer b")
	if got := who(t, c); got != "Bearer b " {
		t.Errorf("after the first was refused: %q, want the second", got)
	}

	short := &fakeAuth{ttl: time.Nanosecond}
	c = connect(t, short, map[string]string{"MICRO_IDENTITY_FILE": proofFile(t, "proof")})
	who(t, c)
	if got := who(t, c); got != "Bearer b " {
		t.Errorf("after the first has expired: %q, want the second", got)
	}
	short.down.Store(true)
	if got := who(t, c); got != "Unavailable" {
		t.Errorf("when no token can be had: %q, want Unavailable", got)
	}
}

// endedStream is a stream that has ended with an error.
type endedStream struct {
	grpc.ClientStream
	err error
}

func (s endedStream) RecvMsg(any) error { return s.err }

// A stream that ended for its token was lost where another token can be had.
func TestStreamsOutliveTokens(t *testing.T) {
	t.Parallel()
	refused := func(domain, reason string) error {
		st, err := status.New(codes.Unauthenticated, "revoked").WithDetails(&errdetails.ErrorInfo{Domain: domain, Reason: reason})
		if err != nil {
			t.Fatal(err)
		}
		return st.Err()
	}
	for _, c := range []struct {
		name  string
		err   error
		other bool // there is another token
		want  codes.Code
	}{
		{"revoked", refused("micro", "SESSION_REVOKED"), true, codes.Unavailable},
		{"expired", refused("micro", "TOKEN_EXPIRED"), true, codes.Unavailable},
		{"for good", refused("micro", "SESSION_REVOKED"), false, codes.Unauthenticated},
		{"by a service", refused("shop", "SESSION_REVOKED"), true, codes.Unauthenticated},
		{"something else", status.Error(codes.PermissionDenied, "no"), true, codes.PermissionDenied},
		{"none", nil, true, codes.OK},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := &renewing{ClientStream: endedStream{err: c.err}, ctx: t.Context(), renew: func(context.Context) bool { return c.other }}
			if got := status.Code(s.RecvMsg(nil)); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}
