package cli

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
)

// auditServer answers with what a test says.
type auditServer struct {
	authv1.UnimplementedAuditServer
	entries []*authv1.AuditEntry
	reports []*authv1.VerifyAuditResponse
}

func (s *auditServer) Read(_ *authv1.ReadAuditRequest, out grpc.ServerStreamingServer[authv1.ReadAuditResponse]) error {
	return out.Send(&authv1.ReadAuditResponse{Entries: s.entries})
}

func (s *auditServer) Verify(_ *authv1.VerifyAuditRequest, out grpc.ServerStreamingServer[authv1.VerifyAuditResponse]) error {
	for _, r := range s.reports {
		if err := out.Send(r); err != nil {
			return err
		}
	}
	return nil
}

// TestAuditTable shows what a log may hold, of which strangers have written some.
func TestAuditTable(t *testing.T) {
	t.Parallel()
	at := timestamppb.New(time.Date(2026, 11, 29, 12, 0, 0, 0, time.Local)) //nolint:gosmopolitan // as it is shown
	allowed, denied := authv1.AuditDecision_AUDIT_DECISION_ALLOWED, authv1.AuditDecision_AUDIT_DECISION_DENIED
	service := authv1.AccountType_ACCOUNT_TYPE_SERVICE
	srv := &auditServer{entries: []*authv1.AuditEntry{
		{Time: at, Account: "acme/alice", Address: "192.0.2.1:99", Method: "Rules.Create", Object: "a\nb\x1b[2J", Decision: allowed, Outcome: "OK"},
		{Time: at, Account: "acme/alice", Token: "ci", Address: "[::1]:99", Method: "Rules.Create", Object: "a", Decision: allowed},
		{Time: at, Account: "acme/echo", AccountType: service, Method: "Config.Get", Object: "key", Decision: allowed, Outcome: "NOT_FOUND"},
		{Time: at, Method: "Accounts.Delete", Object: "alice", Address: "nowhere", Decision: denied, Outcome: "NOT_LOGGED_IN"},
		{Time: at, Decision: denied, Missed: 17},
		{Time: at, Damaged: true},
	}}
	for _, follow := range []bool{false, true} {
		app, stdout, stderr := testApp(t)
		connect(t, app, func(s *grpc.Server) { authv1.RegisterAuditServer(s, srv) })
		args := []string{"auth", "audit"}
		if follow {
			args = append(args, "-f")
		}
		if exit := Main(t.Context(), app, args); exit != ExitOK {
			t.Fatalf("exit code %d: %s", exit, stderr)
		}
		got := strings.Split(strings.TrimSpace(stdout.String()), "\n")
		for i, want := range []string{
			"TIME ACCOUNT ADDRESS METHOD OBJECT OUTCOME",
			`2026-11-29 12:00:00 acme/alice 192.0.2.1 Rules.Create a b\x1b[2J OK`,
			"2026-11-29 12:00:00 acme/alice (token ci) ::1 Rules.Create a not known",
			"2026-11-29 12:00:00 acme/echo (service) Config.Get key NOT_FOUND",
			"2026-11-29 12:00:00 - nowhere Accounts.Delete alice refused: NOT_LOGGED_IN",
			"2026-11-29 12:00:00 17 refused calls more",
			"2026-11-29 12:00:00 the end of the log was lost or altered; see --verify",
		} {
			if i >= len(got) || strings.Join(strings.Fields(got[i]), " ") != want {
				t.Errorf("follow %v: line %d of %q, want %q", follow, i, got, want)
			}
		}
	}
}

// TestAuditVerify tells what is wrong, and fails then.
func TestAuditVerify(t *testing.T) {
	t.Parallel()
	srv := &auditServer{reports: []*authv1.VerifyAuditResponse{
		{Namespace: "acme", First: 3, Last: 17, Hash: make([]byte, 32)},
		{Namespace: "empty"},
	}}
	app, stdout, stderr := testApp(t)
	connect(t, app, func(s *grpc.Server) { authv1.RegisterAuditServer(s, srv) })
	if exit := Main(t.Context(), app, []string{"auth", "audit", "--verify", "--all"}); exit != ExitOK {
		t.Fatalf("exit code %d: %s", exit, stderr)
	}
	for _, want := range []string{"acme 3-17 17:" + strings.Repeat("0", 64) + " as written", "empty none as written"} {
		if !strings.Contains(strings.Join(strings.Fields(stdout.String()), " "), want) {
			t.Errorf("%s has not %q", stdout, want)
		}
	}

	srv.reports = append(srv.reports, &authv1.VerifyAuditResponse{
		Namespace: "globex", First: 1, Last: 2, Hash: make([]byte, 32), Problems: []string{"entry 1 was altered"}, More: true,
	})
	app, stdout, stderr = testApp(t)
	connect(t, app, func(s *grpc.Server) { authv1.RegisterAuditServer(s, srv) })
	if exit := Main(t.Context(), app, []string{"auth", "audit", "--verify", "--all"}); exit != ExitError {
		t.Errorf("exit code %d, want %d", exit, ExitError)
	}
	if want := "globex: entry 1 was altered\nglobex: and more\nmicro: the audit log is not as it was written\n"; stderr.String() != want {
		t.Errorf("%q, want %q", stderr, want)
	}
	if !strings.Contains(stdout.String(), "changed") {
		t.Errorf("the table says %s", stdout)
	}
}
