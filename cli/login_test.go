package cli

import (
	"context"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
)

// authServer gives sessions, each for a minute.
type authServer struct {
	authv1.UnimplementedAuthServer
	now func() time.Time

	mu      sync.Mutex
	n       int      // sessions that were given
	calls   []string // what was asked, and with what
	revoked bool
}

func (s *authServer) session(call string) *authv1.Session {
	s.calls = append(s.calls, call)
	s.n++
	n := strconv.Itoa(s.n)
	return &authv1.Session{
		AccessToken: "access" + n, RefreshToken: "refresh" + n,
		AccessExpires: timestamppb.New(s.now().Add(time.Minute)),
		Account:       &authv1.Account{Id: "alice", Namespace: "shop"},
	}
}

func (s *authServer) Login(_ context.Context, req *authv1.LoginRequest) (*authv1.LoginResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if req.GetPassword() != "secret word" {
		return nil, status.Error(codes.Unauthenticated, "no")
	}
	return &authv1.LoginResponse{Session: s.session("login " + req.GetUsername() + " " + req.GetNamespace())}, nil
}

func (s *authServer) Refresh(_ context.Context, req *authv1.RefreshRequest) (*authv1.RefreshResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.revoked || req.GetRefreshToken() != "refresh"+strconv.Itoa(s.n) {
		return nil, status.Error(codes.Unauthenticated, "revoked\x1b[2J")
	}
	return &authv1.RefreshResponse{Session: s.session("refresh " + req.GetRefreshToken())}, nil
}

func (s *authServer) Logout(_ context.Context, req *authv1.LogoutRequest) (*authv1.LogoutResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, "logout "+req.GetRefreshToken())
	return &authv1.LogoutResponse{}, nil
}

// TestSession lives through a session: it begins, is renewed unseen, once however
// many ask, and ends.
func TestSession(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	srv := &authServer{now: func() time.Time { return now }}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	authv1.RegisterAuthServer(g, srv)
	done := make(chan error, 1)
	go func() { done <- g.Serve(l) }()
	t.Cleanup(func() {
		g.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})

	first, _, _ := testApp(t)
	// micro runs a command as a process of its own does, and returns what it prints.
	micro := func(stdin string, exit int, args ...string) (stdout, stderr string) {
		t.Helper()
		app, out, errs := testApp(t)
		app.Getenv, app.Now, app.In = first.Getenv, srv.now, strings.NewReader(stdin)
		if got := Main(t.Context(), app, args); got != exit {
			t.Errorf("micro %q: got exit code %d, want %d: %s", args, got, exit, errs)
		}
		return out.String(), errs.String()
	}
	micro("", ExitOK, "env", "add", "test", l.Addr().String())
	micro("", ExitOK, "env", "set", "test")
	micro("", ExitLogin, "user", "token")
	micro("wrong\n", ExitLogin, "login", "--username=alice", "--password-stdin")
	micro("secret word", ExitOK, "login", "--username=alice", "--password-stdin", "--namespace=shop")
	if out, _ := micro("", ExitOK, "user", "token"); out != "access1\n" {
		t.Errorf("the token: got %q", out)
	}

	now = now.Add(time.Hour)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if out, _ := micro("", ExitOK, "user", "token"); out != "access2\n" {
				t.Errorf("the token after an hour: got %q", out)
			}
		})
	}
	wg.Wait()

	now = now.Add(time.Hour)
	srv.mu.Lock()
	srv.revoked = true
	srv.mu.Unlock()
	_, errs := micro("", ExitLogin, "user", "token")
	if want := "micro: the session with environment \"test\" has ended: revoked\\x1b[2J\nhint: micro login\n"; errs != want {
		t.Errorf("a session that has ended: got %q, want %q", errs, want)
	}
	micro("", ExitOK, "logout")
	micro("", ExitLogin, "logout")
	micro("", ExitLogin, "user", "token")

	want := "login alice shop, refresh refresh1, logout refresh2"
	if got := strings.Join(srv.calls, ", "); got != want {
		t.Errorf("asked the server:\ngot  %s\nwant %s", got, want)
	}
}
