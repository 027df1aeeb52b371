package server_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/micro/micro/v3/backend/auth"
	"github.com/micro/micro/v3/backend/auth/authtest"
	"github.com/micro/micro/v3/backend/store"
	"github.com/micro/micro/v3/internal/seal"
	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
	configv1 "github.com/micro/micro/v3/proto/micro/config/v1"
)

// forge returns a forge with the key that the server signs with.
func (s *testServer) forge(t *testing.T) *authtest.Forge {
	t.Helper()
	master, err := os.ReadFile(filepath.Join(s.config.DataDir, "master.key"))
	if err != nil {
		t.Fatal(err)
	}
	box, err := seal.NewBox(master, "micro auth at rest")
	if err != nil {
		t.Fatal(err)
	}
	for r, err := range s.config.Store.Range(t.Context(), store.Prefix("$system/auth/key/")) {
		if err != nil {
			t.Fatal(err)
		}
		var rec struct{ Seed []byte }
		if err := json.Unmarshal(r.Value, &rec); err != nil {
			t.Fatal(err)
		}
		seed, err := box.Open(r.Key, rec.Seed)
		if err != nil {
			t.Fatal(err)
		}
		return authtest.NewForge(t, ed25519.NewKeyFromSeed(seed), s.admin)
	}
	t.Fatal("the server has no key")
	return nil
}

// doors are the ways to the server that take a token. Each returns whether somebody came
// in with it, as himself or as nobody.
func doors(s *testServer) map[string]func(t *testing.T, token string) bool {
	with := func(t *testing.T, token string) context.Context {
		t.Helper()
		return metadata.NewOutgoingContext(as(t, "", ""), metadata.Pairs("authorization", "Bearer "+token, "micro-namespace", "acme", "micro-service", "echo"))
	}
	in := func(t *testing.T, err error) bool {
		t.Helper()
		if err == nil {
			return true
		}
		// What cannot even be sent has not come in either.
		switch code := status.Code(err); code {
		case codes.Unauthenticated, codes.Internal, codes.Unavailable, codes.ResourceExhausted:
			return false
		default:
			t.Errorf("a call ended with %v", err)
			return true
		}
	}
	get := func(t *testing.T, address, path, token string) bool {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header["Authorization"] = []string{"Bearer " + token}
		req.Header.Set("Micro-Namespace", "acme")
		transport := &http.Transport{}
		defer transport.CloseIdleConnections()
		rsp, err := transport.RoundTrip(req)
		if err != nil {
			return false // no header can have it
		}
		defer rsp.Body.Close()
		_, _ = io.Copy(io.Discard, rsp.Body)
		switch rsp.StatusCode {
		case http.StatusUnauthorized, http.StatusRequestHeaderFieldsTooLarge, http.StatusBadRequest:
			return false
		case http.StatusOK:
			return true
		default:
			t.Errorf("GET %s: status %d", path, rsp.StatusCode)
			return true
		}
	}
	return map[string]func(t *testing.T, token string) bool{
		"the server's own API": func(t *testing.T, token string) bool {
			t.Helper()
			_, err := configv1.NewConfigClient(s.conn).Get(with(t, token), &configv1.GetRequest{})
			return in(t, err)
		},
		"a stream of it": func(t *testing.T, token string) bool {
			t.Helper()
			stream, err := configv1.NewConfigClient(s.conn).Watch(with(t, token), &configv1.WatchRequest{})
			if err == nil {
				_, err = stream.Recv()
			}
			return in(t, err)
		},
		"a service that anybody may call": func(t *testing.T, token string) bool {
			t.Helper()
			_, err := testpb.NewTestServiceClient(s.conn).UnaryCall(with(t, token), &testpb.SimpleRequest{})
			return in(t, err)
		},
		"the gateway": func(t *testing.T, token string) bool {
			t.Helper()
			return get(t, s.Gateway, "/echo/TestService/UnaryCall", token)
		},
		"the image registry": func(t *testing.T, token string) bool {
			t.Helper()
			return get(t, s.Proxy, "/v2/", token)
		},
		"the login of the image registry": func(t *testing.T, token string) bool {
			t.Helper()
			code, _ := s.imageRequest(t, http.MethodGet, "/v2/token", basic("token", token))
			return code == http.StatusOK
		},
	}
}

// A token that proves nothing opens no door, and does not make its bearer nobody in
// particular where that would do.
func TestBadTokensAtEveryDoor(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.runEcho(t)
	f := s.forge(t)
	bad := f.Bad()
	bad["a refresh token"], _ = s.instance(t, "echo")
	_, secret, err := s.auth.CreateAPIToken(t.Context(), auth.Identity{ID: "alice", Namespace: "acme", Type: auth.User}, auth.APIToken{Name: "ci"})
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"cut": secret[:len(secret)-1], "longer": secret + "A", "of another namespace": strings.Replace(secret, "acme", "micro", 1),
		"of a made-up namespace": strings.Replace(secret, "acme", "nowhere", 1), "in small letters": strings.ToLower(secret),
		"without its secret": secret[:strings.LastIndexByte(secret, '.')+1], "1 MB": secret + strings.Repeat("A", 1<<20),
	} {
		bad["an API token, "+name] = token
	}
	if len(bad) < 100 {
		t.Errorf("only %d bad tokens", len(bad))
	}
	for door, enter := range doors(s) {
		t.Run(door, func(t *testing.T) {
			for name, good := range map[string]string{"a forged one": f.Token(nil, authtest.Fields{"jti": "another"}), "an access token": s.admin, "an API token": secret} {
				if !enter(t, good) {
					t.Fatalf("%s, which is good, is refused: this test shows nothing", name)
				}
			}
			for name, token := range bad {
				if enter(t, token) {
					t.Errorf("%s is let in", name)
				}
			}
		})
	}
}

// What is taken away is refused at every door from the next call on.
func TestRevocationAtEveryDoor(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		do   func(ctx context.Context, s *testServer, bob auth.Session) error
		api  bool // an API token is refused, too
	}{
		{"logout", func(ctx context.Context, s *testServer, bob auth.Session) error {
			_, err := authv1.NewAuthClient(s.conn).Logout(ctx, &authv1.LogoutRequest{RefreshToken: bob.Refresh})
			return err
		}, false},
		{"password", func(ctx context.Context, s *testServer, _ auth.Session) error {
			_, err := authv1.NewAccountsClient(s.conn).Update(ctx, &authv1.UpdateAccountRequest{Id: "bob", Password: new("a new password")})
			return err
		}, false},
		{"disabled", func(ctx context.Context, s *testServer, _ auth.Session) error {
			_, err := authv1.NewAccountsClient(s.conn).Update(ctx, &authv1.UpdateAccountRequest{Id: "bob", Disabled: new(true)})
			return err
		}, true},
		{"deleted", func(ctx context.Context, s *testServer, _ auth.Session) error {
			_, err := authv1.NewAccountsClient(s.conn).Delete(ctx, &authv1.DeleteAccountRequest{Id: "bob"})
			return err
		}, true},
		{"the token is deleted", func(ctx context.Context, s *testServer, bob auth.Session) error {
			_, err := authv1.NewTokensClient(s.conn).Delete(ctx, &authv1.DeleteTokenRequest{Name: "ci", Account: "bob"})
			return errors.Join(err, s.auth.Logout(ctx, bob.Refresh))
		}, true},
		{"keys are retired", func(ctx context.Context, s *testServer, _ auth.Session) error {
			_, err := authv1.NewKeysClient(s.conn).Rotate(ctx, &authv1.RotateKeysRequest{RetireNow: true})
			return err
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			s.runEcho(t)
			bob := s.session(t, "bob")
			_, secret, err := s.auth.CreateAPIToken(t.Context(), auth.Identity{ID: "bob", Namespace: "acme", Type: auth.User}, auth.APIToken{Name: "ci"})
			if err != nil {
				t.Fatal(err)
			}
			all := doors(s)
			for door, enter := range all {
				if !enter(t, bob.Access) || !enter(t, secret) {
					t.Fatalf("%s: refused before", door)
				}
			}
			admin := as(t, s.admin, "acme")
			if tt.name == "keys are retired" {
				admin = as(t, s.operator(t), "micro")
			}
			if err := tt.do(admin, s, bob); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			for door, enter := range all {
				if enter(t, bob.Access) {
					t.Errorf("%s: the session is let in %v later", door, time.Since(began))
				}
				if enter(t, secret) == tt.api {
					t.Errorf("%s: the API token is let in: %v, want %v", door, tt.api, !tt.api)
				}
			}
		})
	}
}
