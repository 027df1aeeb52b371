package server_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"

	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
	configv1 "github.com/micro/micro/v3/proto/micro/config/v1"
)

// Secrets are for administrators and services, and for whom a rule says so; whoever
// may not read, may not read them either.
func TestWhoMaySeeSecrets(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.runEcho(t)
	c := configv1.NewConfigClient(s.conn)
	if _, err := c.Set(as(t, s.admin, "acme"), &configv1.SetRequest{Path: "key", Json: `"canary"`, Secret: true}); err != nil {
		t.Fatal(err)
	}
	_, service := s.instance(t, "echo")
	bob, carol, dave := s.account(t, "bob"), s.account(t, "carol", "keys"), s.account(t, "dave", "getters")
	s.rule(t, &authv1.Rule{Id: "keys", Scope: "keys", Resource: "config:*:secret", Access: authv1.Access_ACCESS_GRANTED})
	s.rule(t, &authv1.Rule{Id: "getters", Scope: "getters", Resource: "config:*:Config.Get", Access: authv1.Access_ACCESS_GRANTED})
	for _, tt := range []struct{ name, token, hidden, revealed string }{
		{"admin", s.admin, "OK", "OK"},
		{"service", service, "OK", "OK"},
		{"member", bob, "OK", "DENIED"},
		{"with a rule", carol, "OK", "OK"},
		{"with a rule for the method", dave, "OK", "DENIED"},
		{"stranger", s.stranger(t), "NOT_LOGGED_IN", "NOT_LOGGED_IN"},
		{"anonymous", "", "NOT_LOGGED_IN", "NOT_LOGGED_IN"},
	} {
		for _, secrets := range []bool{false, true} {
			want := tt.hidden
			if secrets {
				want = tt.revealed
			}
			ctx := as(t, tt.token, "acme")
			rsp, err := c.Get(ctx, &configv1.GetRequest{Path: "key", Secrets: secrets})
			if got := reasonOf(err); got != want {
				t.Errorf("%s: Get with secrets %v: %s, want %s", tt.name, secrets, got, want)
			}
			if json := `"canary"`; err == nil && (rsp.GetJson() == json) != secrets {
				t.Errorf("%s: Get with secrets %v: %s", tt.name, secrets, rsp.GetJson())
			}
			_, err = c.List(ctx, &configv1.ListRequest{Secrets: secrets})
			if got := reasonOf(err); got != want {
				t.Errorf("%s: List with secrets %v: %s, want %s", tt.name, secrets, got, want)
			}
			_, err = c.History(ctx, &configv1.HistoryRequest{Secrets: secrets})
			if got := reasonOf(err); got != want {
				t.Errorf("%s: History with secrets %v: %s, want %s", tt.name, secrets, got, want)
			}
			stream, err := c.Watch(ctx, &configv1.WatchRequest{Path: "key", Secrets: secrets})
			if err == nil {
				_, err = stream.Recv()
			}
			if got := reasonOf(err); got != want {
				t.Errorf("%s: Watch with secrets %v: %s, want %s", tt.name, secrets, got, want)
			}
		}
	}
}

func TestConfigOverTheWire(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := configv1.NewConfigClient(s.conn)
	ctx := as(t, s.admin, "acme")
	for _, tt := range []struct {
		name string
		call func() error
		want codes.Code
	}{
		{"no JSON", func() error {
			_, err := c.Set(ctx, &configv1.SetRequest{Path: "a", Json: "{"})
			return err
		}, codes.InvalidArgument},
		{"a path that is none", func() error {
			_, err := c.Get(ctx, &configv1.GetRequest{Path: "a..b"})
			return err
		}, codes.InvalidArgument},
		{"nothing there", func() error {
			_, err := c.Get(ctx, &configv1.GetRequest{Path: "a"})
			return err
		}, codes.NotFound},
		{"nothing to delete", func() error {
			_, err := c.Delete(ctx, &configv1.DeleteRequest{Path: "a"})
			return err
		}, codes.NotFound},
		{"nothing named to delete", func() error {
			_, err := c.Delete(ctx, &configv1.DeleteRequest{})
			return err
		}, codes.InvalidArgument},
		{"a revision to come", func() error {
			_, err := c.Rollback(ctx, &configv1.RollbackRequest{Revision: 9})
			return err
		}, codes.NotFound},
		{"a condition that does not hold", func() error {
			_, err := c.Set(ctx, &configv1.SetRequest{Path: "a", Json: "1", IfRevision: new(int64(9))})
			return err
		}, codes.Aborted},
		{"a page of less than nothing", func() error {
			_, err := c.List(ctx, &configv1.ListRequest{PageSize: -1})
			return err
		}, codes.InvalidArgument},
		{"a page token that is none", func() error {
			_, err := c.History(ctx, &configv1.HistoryRequest{PageToken: "x"})
			return err
		}, codes.InvalidArgument},
		{"a watch from before the beginning", func() error {
			stream, err := c.Watch(ctx, &configv1.WatchRequest{FromRevision: new(int64(-1))})
			if err == nil {
				_, err = stream.Recv()
			}
			return err
		}, codes.InvalidArgument},
	} {
		if got := status.Code(tt.call()); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}

	for _, json := range []string{`{"b":1}`, `{"b":2,"c":3}`} {
		if _, err := c.Set(ctx, &configv1.SetRequest{Path: "a", Json: json}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Set(ctx, &configv1.SetRequest{Path: "a.b.x", Json: "1"}); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("Set below a value: %v, want %v", err, codes.FailedPrecondition)
	}
	list, err := c.List(ctx, &configv1.ListRequest{PageSize: 1})
	if err != nil {
		t.Fatal(err)
	}
	want := &configv1.ListResponse{
		Values:        []*configv1.Value{{Path: "a.b", Json: "2", Revision: 2}},
		NextPageToken: list.GetNextPageToken(),
		Revision:      2,
	}
	if diff := cmp.Diff(want, list, protocmp.Transform()); diff != "" || list.GetNextPageToken() == "" {
		t.Errorf("List (-want +got):\n%s", diff)
	}
	history, err := c.History(ctx, &configv1.HistoryRequest{Path: "a", PageSize: 1})
	if err != nil {
		t.Fatal(err)
	}
	wantHistory := &configv1.HistoryResponse{
		Revisions: []*configv1.Revision{{
			Revision: 2,
			Account:  "acme/alice",
			Action:   "set",
			Changes: []*configv1.Change{
				{Path: "a.b", Before: new("1"), After: new("2")},
				{Path: "a.c", After: new("3")},
			},
		}},
		NextPageToken: history.GetNextPageToken(),
	}
	if diff := cmp.Diff(wantHistory, history, protocmp.Transform(), protocmp.IgnoreFields(&configv1.Revision{}, "time")); diff != "" || history.GetNextPageToken() == "" {
		t.Errorf("History (-want +got):\n%s", diff)
	}
}

// A watch does not hold up a server that stops.
func TestConfigWatchEndsWithTheServer(t *testing.T) {
	t.Parallel()
	s := start(t)
	stream, err := configv1.NewConfigClient(s.conn).Watch(as(t, s.admin, "acme"), &configv1.WatchRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); reasonOf(err) != "SHUTTING_DOWN" {
		t.Errorf("the stream ended with %v, want SHUTTING_DOWN", err)
	}
}
