package platform_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
	storev1 "github.com/micro/micro/v3/proto/micro/store/v1"
	"github.com/micro/micro/v3/service/internal/platform"
)

// recorder is a server that gives out tokens and notes what comes with calls.
type recorder struct {
	authv1.UnimplementedAuthServer
	storev1.UnimplementedStoreServer

	lifetime time.Duration

	mu       sync.Mutex
	refresh  []string // tokens that were exchanged
	identity []string // namespace and authorization of calls
}

func (r *recorder) Refresh(_ context.Context, req *authv1.RefreshRequest) (*authv1.RefreshResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refresh = append(r.refresh, req.GetRefreshToken())
	return &authv1.RefreshResponse{Session: &authv1.Session{AccessToken: "access", AccessExpires: timestamppb.New(time.Now().Add(r.lifetime))}}, nil
}

func (r *recorder) note(ctx context.Context) {
	md, _ := metadata.FromIncomingContext(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, key := range []string{"micro-namespace", "authorization"} {
		r.identity = append(r.identity, md.Get(key)...)
	}
}

func (r *recorder) List(ctx context.Context, _ *storev1.ListRequest) (*storev1.ListResponse, error) {
	r.note(ctx)
	return &storev1.ListResponse{}, nil
}

func (r *recorder) Watch(_ *storev1.WatchRequest, out grpc.ServerStreamingServer[storev1.WatchResponse]) error {
	r.note(out.Context())
	return nil
}

// serve runs r, and returns a client that is connected as the variables say; PROXY
// and FILE stand for r's address and a file that holds "secret".
func serve(t *testing.T, r *recorder, vars map[string]string) storev1.StoreClient {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	authv1.RegisterAuthServer(s, r)
	storev1.RegisterStoreServer(s, r)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	file := filepath.Join(t.TempDir(), "identity")
	if err := os.WriteFile(file, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	conn, err := platform.Dial(func(name string) string {
		switch v := vars[name]; {
		case name == "MICRO_PROXY":
			return l.Addr().String()
		case v == "FILE":
			return file
		default:
			return v
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return storev1.NewStoreClient(conn)
}

func TestNoServer(t *testing.T) {
	t.Parallel()
	if _, err := platform.Dial(func(string) string { return "" }); !errors.Is(err, platform.ErrNone) {
		t.Errorf("Dial: %v, want %v", err, platform.ErrNone)
	}
}

// Many calls at once need one token.
func TestIdentity(t *testing.T) {
	t.Parallel()
	r := &recorder{lifetime: time.Hour}
	c := serve(t, r, map[string]string{"MICRO_NAMESPACE": "acme", "MICRO_IDENTITY_FILE": "FILE"})
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if _, err := c.List(t.Context(), &storev1.ListRequest{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(r.refresh) != 1 || r.refresh[0] != "secret" {
		t.Errorf("exchanged were %q, want one", r.refresh)
	}
	for i, want := range []string{"acme", "Bearer access"} {
		if got := r.identity[i]; got != want {
			t.Errorf("calls come with %q, want %q", got, want)
		}
	}
}

// A token that ends soon is not used.
func TestRenewal(t *testing.T) {
	t.Parallel()
	r := &recorder{lifetime: -time.Second}
	c := serve(t, r, map[string]string{"MICRO_IDENTITY_FILE": "FILE"})
	for range 3 {
		stream, err := c.Watch(t.Context(), &storev1.WatchRequest{})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = stream.Recv() // it ends at once
	}
	if len(r.refresh) != 3 {
		t.Errorf("exchanged were %q, want one for each call", r.refresh)
	}
}

func TestGivenToken(t *testing.T) {
	t.Parallel()
	r := &recorder{}
	c := serve(t, r, map[string]string{"MICRO_TOKEN": "mine"})
	if _, err := c.List(t.Context(), &storev1.ListRequest{}); err != nil {
		t.Fatal(err)
	}
	if len(r.refresh) != 0 || len(r.identity) != 1 || r.identity[0] != "Bearer mine" {
		t.Errorf("exchanged %q, identity %q", r.refresh, r.identity)
	}
}

// A context that has a token keeps it.
func TestOtherToken(t *testing.T) {
	t.Parallel()
	r := &recorder{}
	c := serve(t, r, map[string]string{"MICRO_TOKEN": "mine", "MICRO_NAMESPACE": "acme"})
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer theirs", "micro-namespace", "globex")
	if _, err := c.List(ctx, &storev1.ListRequest{}); err != nil {
		t.Fatal(err)
	}
	if len(r.identity) != 2 || r.identity[0] != "globex" || r.identity[1] != "Bearer theirs" {
		t.Errorf("identity %q", r.identity)
	}
}

func TestMissingIdentity(t *testing.T) {
	t.Parallel()
	c := serve(t, &recorder{}, map[string]string{"MICRO_IDENTITY_FILE": filepath.Join(t.TempDir(), "none")})
	if _, err := c.List(t.Context(), &storev1.ListRequest{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v, want %v", err, os.ErrNotExist)
	}
}
