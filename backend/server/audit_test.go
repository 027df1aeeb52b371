package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/micro/micro/v3/backend/auth"
	"github.com/micro/micro/v3/backend/events"
	"github.com/micro/micro/v3/backend/server"
	"github.com/micro/micro/v3/backend/store"
	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
	configv1 "github.com/micro/micro/v3/proto/micro/config/v1"
	eventsv1 "github.com/micro/micro/v3/proto/micro/events/v1"
	imagev1 "github.com/micro/micro/v3/proto/micro/image/v1"
	namespacev1 "github.com/micro/micro/v3/proto/micro/namespace/v1"
	registryv1 "github.com/micro/micro/v3/proto/micro/registry/v1"
	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
	serverv1 "github.com/micro/micro/v3/proto/micro/server/v1"
	storev1 "github.com/micro/micro/v3/proto/micro/store/v1"
)

// auditLog returns the log of a namespace, as TOKEN's account sees it.
func (s *testServer) auditLog(t *testing.T, token, namespace string, req *authv1.ReadAuditRequest) []*authv1.AuditEntry {
	t.Helper()
	stream, err := authv1.NewAuditClient(s.conn).Read(as(t, token, namespace), req)
	if err != nil {
		t.Fatal(err)
	}
	var list []*authv1.AuditEntry
	for {
		rsp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, rsp.GetEntries()...)
	}
}

// operator returns an access token of the administrator of the whole server.
func (s *testServer) operator(t *testing.T) string {
	t.Helper()
	session, err := s.auth.Login(t.Context(), "micro", "admin", "micro", auth.Client{Local: true})
	if err != nil {
		t.Fatal(err)
	}
	return session.Access
}

// line tells an entry in short.
func line(e *authv1.AuditEntry) string {
	by := e.GetAccount()
	if e.GetToken() != "" {
		by += " by " + e.GetToken()
	}
	if e.GetAccountType() == authv1.AccountType_ACCOUNT_TYPE_SERVICE {
		by = "service " + by
	}
	verb := "did"
	if e.GetDecision() == authv1.AuditDecision_AUDIT_DECISION_DENIED {
		verb = "may not"
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s %s %s in %s: %s", by, verb, e.GetMethod(), e.GetObject(), e.GetNamespace(), e.GetOutcome()))
}

// Whoever adds a method says whether its calls are recorded, and what is said holds.
func TestEveryMethodSaysWhatIsRecorded(t *testing.T) {
	t.Parallel()
	for name, what := range server.Recorded() {
		if what == "" {
			t.Errorf("of %s nobody has said whether it is recorded", name)
		}
	}
}

// effect is a call that changes or reveals something, and what the log has of it.
type effect struct {
	req  proto.Message
	want string
}

// effects has one for each method that is recorded, which are made after prepare.
func effects(s *testServer) map[string]effect {
	rule := &authv1.Rule{Id: "fresh", Resource: "*:*:*", Access: authv1.Access_ACCESS_GRANTED}
	instance := &registryv1.Instance{Id: "fresh", Service: "foreign", Address: s.foreign}
	return map[string]effect{
		authv1.Auth_Signup_FullMethodName:             {&authv1.SignupRequest{Namespace: "initech", Username: "peter", Password: password}, "did Auth.Signup initech in : OK"},
		authv1.Auth_Login_FullMethodName:              {&authv1.LoginRequest{Namespace: "acme", Username: "alice", Password: password}, "acme/alice did Auth.Login  in acme: OK"},
		authv1.Auth_Logout_FullMethodName:             {&authv1.LogoutRequest{RefreshToken: s.refresh}, "acme/alice did Auth.Logout  in acme: OK"},
		authv1.Auth_ChangePassword_FullMethodName:     {&authv1.ChangePasswordRequest{OldPassword: password, NewPassword: password + "2"}, "acme/alice did Auth.ChangePassword  in acme: OK"},
		authv1.Accounts_Create_FullMethodName:         {&authv1.CreateAccountRequest{Id: "carol", Password: password}, "acme/alice did Accounts.Create carol in acme: OK"},
		authv1.Accounts_Update_FullMethodName:         {&authv1.UpdateAccountRequest{Id: "bob", Disabled: new(true)}, "acme/alice did Accounts.Update bob in acme: OK"},
		authv1.Accounts_Delete_FullMethodName:         {&authv1.DeleteAccountRequest{Id: "bob"}, "acme/alice did Accounts.Delete bob in acme: OK"},
		authv1.Rules_Create_FullMethodName:            {&authv1.CreateRuleRequest{Rule: rule}, "acme/alice did Rules.Create fresh in acme: OK"},
		authv1.Rules_Update_FullMethodName:            {&authv1.UpdateRuleRequest{Id: "call", Scope: new("*")}, "acme/alice did Rules.Update call in acme: OK"},
		authv1.Rules_Delete_FullMethodName:            {&authv1.DeleteRuleRequest{Id: "call"}, "acme/alice did Rules.Delete call in acme: OK"},
		authv1.Tokens_Create_FullMethodName:           {&authv1.CreateTokenRequest{Name: "fresh"}, "acme/alice did Tokens.Create fresh in acme: OK"},
		authv1.Tokens_Delete_FullMethodName:           {&authv1.DeleteTokenRequest{Name: "old"}, "acme/alice did Tokens.Delete old in acme: OK"},
		authv1.Namespaces_Create_FullMethodName:       {&authv1.CreateNamespaceRequest{Name: "hooli", Username: "gavin", Password: password}, "micro/admin did Namespaces.Create hooli in : OK"},
		authv1.Namespaces_Delete_FullMethodName:       {&authv1.DeleteNamespaceRequest{Name: "globex"}, "micro/admin did Namespaces.Delete globex in : OK"},
		authv1.Invitations_Create_FullMethodName:      {&authv1.CreateInvitationRequest{}, "micro/admin did Invitations.Create  in : OK"},
		authv1.Invitations_Delete_FullMethodName:      {&authv1.DeleteInvitationRequest{Id: s.invitation}, "micro/admin did Invitations.Delete " + s.invitation + " in : OK"},
		authv1.Keys_Rotate_FullMethodName:             {&authv1.RotateKeysRequest{}, "micro/admin did Keys.Rotate  in : OK"},
		configv1.Config_Set_FullMethodName:            {&configv1.SetRequest{Path: "fresh", Json: "1"}, "acme/alice did Config.Set fresh in acme: OK"},
		configv1.Config_Delete_FullMethodName:         {&configv1.DeleteRequest{Path: "old"}, "acme/alice did Config.Delete old in acme: OK"},
		configv1.Config_Rollback_FullMethodName:       {&configv1.RollbackRequest{Revision: 1}, "acme/alice did Config.Rollback  in acme: OK"},
		configv1.Config_Get_FullMethodName:            {&configv1.GetRequest{Path: "old", Secrets: true}, "acme/alice did Config.Get old in acme: OK"},
		configv1.Config_List_FullMethodName:           {&configv1.ListRequest{Secrets: true}, "acme/alice did Config.List  in acme: OK"},
		configv1.Config_History_FullMethodName:        {&configv1.HistoryRequest{Secrets: true}, "acme/alice did Config.History  in acme: OK"},
		configv1.Config_Watch_FullMethodName:          {&configv1.WatchRequest{Path: "old", Secrets: true}, "acme/alice did Config.Watch old in acme: OK"},
		namespacev1.Transfer_Export_FullMethodName:    {&namespacev1.ExportRequest{}, "acme/alice did Transfer.Export  in acme: OK"},
		namespacev1.Transfer_Import_FullMethodName:    {&namespacev1.ImportRequest{Data: s.archive, Complete: true}, "acme/alice did Transfer.Import  in acme: OK"},
		registryv1.Registry_Register_FullMethodName:   {&registryv1.RegisterRequest{Instance: instance}, "acme/alice did Registry.Register foreign in acme: OK"},
		registryv1.Registry_Deregister_FullMethodName: {&registryv1.DeregisterRequest{Service: "foreign", Id: "old"}, "acme/alice did Registry.Deregister foreign/old in acme: OK"},
		eventsv1.Events_SetRetention_FullMethodName:   {&eventsv1.SetRetentionRequest{Topic: "orders", Retention: &eventsv1.Retention{Events: 5}}, "acme/alice did Events.SetRetention orders in acme: OK"},
		eventsv1.Events_DeleteTopic_FullMethodName:    {&eventsv1.DeleteTopicRequest{Topic: "orders"}, "acme/alice did Events.DeleteTopic orders in acme: OK"},
		eventsv1.Events_DeleteGroup_FullMethodName:    {&eventsv1.DeleteGroupRequest{Topic: "orders", Group: "g"}, "acme/alice did Events.DeleteGroup orders/g in acme: OK"},
		imagev1.Images_Delete_FullMethodName:          {&imagev1.DeleteRequest{Name: "shelf", Reference: "latest"}, "acme/alice did Images.Delete shelf in acme: OK"},
		imagev1.Images_Prune_FullMethodName:           {&imagev1.PruneRequest{}, "acme/alice did Images.Prune  in acme: OK"},
		runtimev1.Runtime_Apply_FullMethodName:        {&runtimev1.ApplyRequest{Name: "fresh", Spec: &runtimev1.Spec{Image: "acme/echo@" + s.echo}}, "acme/alice did Runtime.Apply fresh in acme: OK"},
		runtimev1.Runtime_Delete_FullMethodName:       {&runtimev1.DeleteRequest{Name: "echo"}, "acme/alice did Runtime.Delete echo in acme: OK"},
		runtimev1.Runtime_Scale_FullMethodName:        {&runtimev1.ScaleRequest{Name: "echo", Instances: 2}, "acme/alice did Runtime.Scale echo in acme: OK"},
		runtimev1.Runtime_Restart_FullMethodName:      {&runtimev1.RestartRequest{Name: "echo"}, "acme/alice did Runtime.Restart echo in acme: OK"},
		runtimev1.Runtime_Rollback_FullMethodName:     {&runtimev1.RollbackRequest{Name: "echo", Release: 1}, "acme/alice did Runtime.Rollback echo in acme: OK"},
		runtimev1.Runtime_Undo_FullMethodName:         {&runtimev1.UndoRequest{Name: "echo"}, "acme/alice did Runtime.Undo echo in acme: OK"},
		serverv1.Server_Backup_FullMethodName:         {&serverv1.BackupRequest{}, "micro/admin did Server.Backup  in : OK"},
	}
}

// prepare makes what a call of effects is about, and returns the token of its caller.
func (s *testServer) prepare(t *testing.T, method string) string {
	t.Helper()
	ctx, caller := as(t, s.admin, "acme"), s.admin
	var err error
	switch api, m, _ := strings.Cut(method[1:], "/"); {
	case method == authv1.Auth_Logout_FullMethodName:
		var session auth.Session
		session, err = s.auth.Login(ctx, "acme", "alice", password, auth.Client{})
		s.refresh, caller = session.Refresh, ""
	case method == authv1.Auth_Login_FullMethodName, method == authv1.Auth_Signup_FullMethodName:
		caller = ""
	case api == "micro.auth.v1.Accounts" && m != "Create":
		_, err = s.auth.CreateAccount(ctx, auth.Account{Namespace: "acme", ID: "bob"}, password)
	case api == "micro.auth.v1.Tokens":
		_, err = authv1.NewTokensClient(s.conn).Create(ctx, &authv1.CreateTokenRequest{Name: "old"})
	case api == "micro.auth.v1.Invitations":
		var made auth.Invitation
		made, _, err = s.auth.CreateInvitation(ctx, "micro/admin", time.Time{}, 1)
		s.invitation, caller = made.ID, s.operator(t)
	case api == "micro.auth.v1.Namespaces", api == "micro.auth.v1.Keys":
		if m == "Delete" {
			s.stranger(t)
		}
		caller = s.operator(t)
	case api == "micro.config.v1.Config":
		for i := range 2 {
			_, e := configv1.NewConfigClient(s.conn).Set(ctx, &configv1.SetRequest{Path: "old", Json: strconv.Itoa(i), Secret: true})
			err = errors.Join(err, e)
		}
	case api == "micro.registry.v1.Registry":
		s.foreign = startEcho(t)
		_, err = registryv1.NewRegistryClient(s.conn).Register(ctx, &registryv1.RegisterRequest{
			Instance: &registryv1.Instance{Id: "old", Service: "foreign", Address: startEcho(t)},
			Lease:    longLease(),
		})
	case api == "micro.events.v1.Events":
		s.publish(t, "orders", "a")
		group := events.Group{Topic: events.Topic{Namespace: "acme", Name: "orders"}, Name: "g"}
		_, err = s.config.Events.Fetch(ctx, group, events.Fetch{Limit: 1, AckWait: time.Minute})
	case api == "micro.image.v1.Images":
		s.pushImage(t, "shelf")
		if m == "Prune" {
			_, err = imagev1.NewImagesClient(s.conn).Delete(ctx, &imagev1.DeleteRequest{Name: "shelf", Reference: "latest"})
			err = errors.Join(err, s.ageImages())
		}
	case api == "micro.runtime.v1.Runtime":
		s.deployEcho(t)
		if m == "Rollback" {
			s.restartEcho(t)
		}
	case api == "micro.server.v1.Server":
		caller = s.operator(t)
	case method == namespacev1.Transfer_Import_FullMethodName:
		settings := configv1.NewConfigClient(s.conn)
		_, first := settings.Set(ctx, &configv1.SetRequest{Path: "a", Json: "1"})
		s.archive, _, err = exportNamespace(t, s, s.admin, "acme")
		_, second := settings.Set(ctx, &configv1.SetRequest{Path: "a", Json: "2"})
		err = errors.Join(err, first, second)
	}
	if err != nil {
		t.Fatal(err)
	}
	return caller
}

// restartEcho makes a second release of echo, and returns when nothing is left of the
// first.
func (s *testServer) restartEcho(t *testing.T) {
	t.Helper()
	client := runtimev1.NewRuntimeClient(s.conn)
	if _, err := client.Restart(as(t, s.admin, "acme"), &runtimev1.RestartRequest{Name: "echo"}); err != nil {
		t.Fatal(err)
	}
	stream, err := client.Watch(as(t, s.admin, "acme"), &runtimev1.WatchRequest{Name: "echo"})
	if err != nil {
		t.Fatal(err)
	}
	for {
		rsp, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if in := rsp.GetService().GetStatus().GetInstances(); len(in) == 1 && in[0].GetRelease() == 2 {
			return
		}
	}
}

// deaf is a store that takes no entries of the audit log.
type deaf struct {
	store.Store
	deaf atomic.Bool
}

func (d *deaf) Txn(ctx context.Context, t store.Txn) (int64, error) {
	for _, op := range t.Do {
		if d.deaf.Load() && strings.Contains(op.Key, "/audit/") {
			return 0, store.ErrFull
		}
	}
	return d.Store.Txn(ctx, t)
}

func (d *deaf) Checkpoint(ctx context.Context, dir string) error {
	return d.Store.(store.Checkpointer).Checkpoint(ctx, dir)
}

// tells reports whether a method that is recorded has no effect but what it tells.
func tells(method string) bool {
	return slices.Contains([]string{
		authv1.Auth_Logout_FullMethodName, // of a session, which state leaves out
		namespacev1.Transfer_Export_FullMethodName,
		serverv1.Server_Backup_FullMethodName,
	}, method)
}

// ageImages makes all that the registry has a day old.
func (s *testServer) ageImages() error {
	long := time.Now().Add(-24 * time.Hour)
	return filepath.WalkDir(filepath.Join(s.config.DataDir, "images"), func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Chtimes(path, long, long))
	})
}

// state returns what the store, the registry and the topic of acme hold, but for the
// audit log.
func (s *testServer) state(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for r, err := range s.config.Store.Range(t.Context(), store.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		// A session that nobody was told of is nobody's, and an instance starts when it can,
		// whatever is called.
		left := []string{"/auth/session/", "/auth/instance/", "/audit/"}
		if !slices.ContainsFunc(left, func(part string) bool { return strings.Contains(r.Key, part) }) {
			all[r.Key] = string(r.Value)
		}
	}
	indexes, err := filepath.Glob(filepath.Join(s.config.DataDir, "images", "*", "*", "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range indexes {
		index, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = string(index)
	}
	topics, err := s.config.Events.Topics(t.Context(), "acme", events.List{})
	if err != nil {
		t.Fatal(err)
	}
	for _, topic := range topics {
		groups, err := s.config.Events.Groups(t.Context(), events.Topic{Namespace: "acme", Name: topic.Name}, events.List{})
		if err != nil {
			t.Fatal(err)
		}
		all["topic "+topic.Name] = fmt.Sprint(topic.Retention, len(groups))
	}
	return all
}

// A call that cannot be recorded is refused, has no effect and tells nothing. When it can
// it is recorded with who did what, and how it ended.
func TestEffectsAreRecorded(t *testing.T) {
	t.Parallel()
	for method, what := range server.Recorded() {
		if what == "no" || what == "reuse" {
			continue
		}
		t.Run(method[1:], func(t *testing.T) {
			t.Parallel()
			var d *deaf
			s := start(t, func(c *server.Config) {
				d = &deaf{Store: c.Store}
				c.Store = d
				if method == authv1.Invitations_Create_FullMethodName {
					c.Signup = server.SignupInvite
				}
			})
			token := s.prepare(t, method)
			e, ok := effects(s)[method]
			if !ok {
				t.Fatal("no call is known that has an effect")
			}
			call := func() error {
				t.Helper()
				for _, m := range ownMethods(t, s) {
					if pathOf(m) == method {
						if slices.Contains(finiteStreams(), method) {
							return lastAnswer(t, s, m, token, "acme", e.req)
						}
						return firstAnswer(t, s, m, token, "acme", e.req)
					}
				}
				t.Fatal("there is no such method")
				return nil
			}

			before := s.state(t)
			d.deaf.Store(true)
			if err := call(); reasonOf(err) != "DISK_FULL" {
				t.Errorf("when it cannot be recorded: %v, want DISK_FULL", err)
			}
			if diff := cmp.Diff(before, s.state(t)); diff != "" {
				t.Errorf("it had an effect (-before +after):\n%s", diff)
			}
			d.deaf.Store(false)
			if err := call(); err != nil {
				t.Fatalf("when it can be recorded: %v", err)
			}
			if what == "yes" && !tells(method) && cmp.Equal(before, s.state(t)) {
				t.Error("it has no effect at all: this test shows nothing")
			}

			log, reader := "acme", s.admin
			switch {
			case strings.Contains(e.want, "in :"):
				log, reader = "micro", s.operator(t)
			case method == authv1.Auth_ChangePassword_FullMethodName:
				reader = s.login(t, "alice", password+"2")
			}
			_, name, _ := strings.Cut(method[1:], "/")
			list := s.auditLog(t, reader, log, &authv1.ReadAuditRequest{Method: name, Tail: 1})
			if len(list) != 1 {
				t.Fatalf("the log has %d entries of it", len(list))
			}
			if got := line(list[0]); got != e.want {
				t.Errorf("the log has %q, want %q", got, e.want)
			}
			if e := list[0]; e.GetRequestId() == "" || !strings.HasPrefix(e.GetAddress(), "127.0.0.1:") || e.GetTime() == nil {
				t.Errorf("the entry lacks something: %v", e)
			}
		})
	}
}

// Refused calls are recorded with their reasons, in the log of the namespace that they
// knocked at, and where there is none in that of the platform.
func TestRefusedCallsAreRecorded(t *testing.T) {
	t.Parallel()
	s := start(t)
	bob, stranger := s.account(t, "bob"), s.stranger(t)
	_, service := s.instance(t, "echo")
	accounts := authv1.NewAccountsClient(s.conn)
	call := func(token, namespace string) {
		t.Helper()
		if _, err := accounts.Delete(as(t, token, namespace), &authv1.DeleteAccountRequest{Id: "alice"}); err == nil {
			t.Fatal("allowed")
		}
	}
	call(bob, "acme")
	call(stranger, "acme")
	call("", "acme")
	call(service, "acme")
	call("nonsense", "acme")
	call(bob, "nowhere")
	login := func(namespace, username, password string) {
		t.Helper()
		_, err := authv1.NewAuthClient(s.conn).Login(as(t, "", ""), &authv1.LoginRequest{Namespace: namespace, Username: username, Password: password})
		if reasonOf(err) != "WRONG_CREDENTIALS" {
			t.Fatal(err)
		}
	}
	login("acme", "alice", "wrong password")
	login("acme", "my secret password", "alice")
	login("nowhere", "alice", "wrong password")
	if _, err := authv1.NewTokensClient(s.conn).Create(as(t, service, "acme"), &authv1.CreateTokenRequest{Name: "x"}); err == nil {
		t.Fatal("allowed")
	}
	want := []string{
		"acme/bob may not Accounts.Delete alice in acme: DENIED",
		"globex/alice may not Accounts.Delete alice in acme: NOT_LOGGED_IN",
		"may not Accounts.Delete alice in acme: NOT_LOGGED_IN",
		"service acme/echo may not Accounts.Delete alice in acme: DENIED",
		"may not Accounts.Delete alice in acme: WRONG_CREDENTIALS",
		"acme/alice did Auth.Login  in acme: WRONG_CREDENTIALS",
		"did Auth.Login  in acme: WRONG_CREDENTIALS",
		"service acme/echo did Tokens.Create x in acme: DENIED",
	}
	if diff := cmp.Diff(want, s.lines(t, s.admin, "acme", len(want))); diff != "" {
		t.Errorf("the log of acme (-want +got):\n%s", diff)
	}
	want = []string{
		"acme/bob may not Accounts.Delete alice in nowhere: NOT_LOGGED_IN",
		"did Auth.Login  in nowhere: WRONG_CREDENTIALS",
	}
	if diff := cmp.Diff(want, s.lines(t, s.operator(t), "micro", len(want))); diff != "" {
		t.Errorf("the log of the platform (-want +got):\n%s", diff)
	}
}

// lines follows a log until it has so many entries.
func (s *testServer) lines(t *testing.T, token, namespace string, n int) []string {
	t.Helper()
	stream, err := authv1.NewAuditClient(s.conn).Read(as(t, token, namespace), &authv1.ReadAuditRequest{Follow: true, Limit: int32(n)})
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for {
		rsp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatalf("after %q: %v", list, err)
		}
		for _, e := range rsp.GetEntries() {
			list = append(list, line(e))
		}
	}
}

// Strangers who knock for long do not fill a log, and hide nothing.
func TestStrangersDoNotFillALog(t *testing.T) {
	t.Parallel()
	s := start(t)
	accounts := authv1.NewAccountsClient(s.conn)
	ctx := as(t, "", "acme")
	for range 1000 {
		if _, err := accounts.Delete(ctx, &authv1.DeleteAccountRequest{Id: "alice"}); reasonOf(err) != "NOT_LOGGED_IN" {
			t.Fatal(err)
		}
	}
	s.rule(t, &authv1.Rule{Id: "closed", Resource: "service:*:*", Access: authv1.Access_ACCESS_DENIED})
	if err := s.stop(); err != nil { // which records how many there were
		t.Fatal(err)
	}
	n := 0
	for r, err := range s.config.Store.Range(t.Context(), store.Prefix("acme/audit/entry/")) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		if strings.Contains(string(r.Value), `"kind":"missed"`) && !strings.Contains(string(r.Value), `"n":900`) {
			t.Errorf("of 1000 calls %s", r.Value)
		}
	}
	if n != 100+2+1 {
		t.Errorf("the log has %d entries, want 103", n)
	}
}

// What nobody has to account for leaves no trace and costs no write.
func TestDataIsNotRecorded(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.runEcho(t)
	before := len(s.auditLog(t, s.admin, "acme", &authv1.ReadAuditRequest{}))
	ctx := as(t, s.admin, "acme")
	writeRecord(t, s, "", "v")
	s.publish(t, "orders", "a")
	if _, err := storev1.NewStoreClient(s.conn).Read(ctx, &storev1.ReadRequest{}); err != nil {
		t.Fatal(err)
	}
	if _, err := configv1.NewConfigClient(s.conn).Get(ctx, &configv1.GetRequest{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.auth.Login(ctx, "acme", "alice", password, auth.Client{}); err != nil {
		t.Fatal(err)
	}
	if got := len(s.auditLog(t, s.admin, "acme", &authv1.ReadAuditRequest{})); got != before {
		t.Errorf("there are %d entries, and were %d", got, before)
	}
}

// A service that asks for its secrets with each request is recorded once in a while, a
// person each time.
func TestSecretsOfServices(t *testing.T) {
	t.Parallel()
	s := start(t)
	_, service := s.instance(t, "echo")
	config := configv1.NewConfigClient(s.conn)
	for _, path := range []string{"a", "b"} {
		if _, err := config.Set(as(t, s.admin, "acme"), &configv1.SetRequest{Path: path, Json: "1", Secret: true}); err != nil {
			t.Fatal(err)
		}
	}
	for _, token := range []string{service, service, s.admin, s.admin} {
		for _, path := range []string{"a", "b"} {
			if _, err := config.Get(as(t, token, "acme"), &configv1.GetRequest{Path: path, Secrets: true}); err != nil {
				t.Fatal(err)
			}
		}
	}
	var got []string
	for _, e := range s.auditLog(t, s.admin, "acme", &authv1.ReadAuditRequest{Method: "Config.Get"}) {
		got = append(got, line(e))
	}
	want := []string{
		"service acme/echo did Config.Get a in acme: OK", "service acme/echo did Config.Get b in acme: OK",
		"acme/alice did Config.Get a in acme: OK", "acme/alice did Config.Get b in acme: OK",
		"acme/alice did Config.Get a in acme: OK", "acme/alice did Config.Get b in acme: OK",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A refresh token that two have used is recorded, with whose it was.
func TestReuseIsRecorded(t *testing.T) {
	t.Parallel()
	s := start(t)
	session, err := s.auth.Login(t.Context(), "acme", "alice", password, auth.Client{})
	if err != nil {
		t.Fatal(err)
	}
	client := authv1.NewAuthClient(s.conn)
	token := session.Refresh
	for range 2 {
		rsp, err := client.Refresh(as(t, "", ""), &authv1.RefreshRequest{RefreshToken: token})
		if err != nil {
			t.Fatal(err)
		}
		token = rsp.GetSession().GetRefreshToken()
	}
	for range 2 { // the second time there is nothing left to revoke
		if _, err := client.Refresh(as(t, "", ""), &authv1.RefreshRequest{RefreshToken: session.Refresh}); reasonOf(err) != "SESSION_REVOKED" {
			t.Errorf("the first token again: %v", err)
		}
	}
	if diff := cmp.Diff([]string{"acme/alice did Auth.Refresh  in acme: SESSION_REVOKED"}, s.lines(t, s.admin, "acme", 1)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Images that are pushed and deleted are recorded, and who logs in to the registry.
func TestImagesAreRecorded(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.deployEcho(t) // pushes
	bob := s.account(t, "bob")
	s.imageRequest(t, http.MethodPut, "/v2/acme/echo/manifests/latest", "Bearer "+bob)
	s.imageRequest(t, http.MethodPut, "/v2/acme/echo/manifests/bad", "Bearer "+s.admin)
	s.imageRequest(t, http.MethodGet, "/v2/acme/echo/manifests/latest", "Bearer "+s.admin)
	s.imageRequest(t, http.MethodDelete, "/v2/acme/echo/manifests/latest", "Bearer "+s.admin)
	s.imageRequest(t, http.MethodGet, "/v2/token", basic("acme/alice", password))
	s.imageRequest(t, http.MethodGet, "/v2/token", basic("acme/alice", "wrong password"))
	want := []string{
		"acme/alice did Images.Push acme/echo in acme: OK",
		"acme/alice did Runtime.Apply echo in acme: OK",
		"acme/bob may not Images.Push acme/echo in acme: DENIED",
		"acme/alice did Images.Push acme/echo in acme: 400",
		"acme/alice did Images.Delete acme/echo in acme: OK",
		"acme/alice did Auth.Login  in acme: OK",
		"acme/alice did Auth.Login  in acme: WRONG_CREDENTIALS",
	}
	if diff := cmp.Diff(want, s.lines(t, s.admin, "acme", len(want))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A push that cannot be recorded is refused.
func TestPushThatCannotBeRecorded(t *testing.T) {
	t.Parallel()
	var d *deaf
	s := start(t, func(c *server.Config) {
		d = &deaf{Store: c.Store}
		c.Store = d
	})
	s.deployEcho(t)
	d.deaf.Store(true)
	if code, body := s.imageRequest(t, http.MethodDelete, "/v2/acme/echo/manifests/latest", "Bearer "+s.admin); code < 500 {
		t.Errorf("a deletion: %d %s", code, body)
	}
	if code, _ := s.imageRequest(t, http.MethodGet, "/v2/token", basic("acme/alice", password)); code == http.StatusOK {
		t.Error("a login is answered")
	}
	d.deaf.Store(false)
	if code, body := s.imageRequest(t, http.MethodGet, "/v2/acme/echo/manifests/latest", "Bearer "+s.admin); code != http.StatusOK {
		t.Errorf("the image afterwards: %d %s", code, body)
	}
}

// The log is read by whom could have done what is in it, a page at a time too, and
// verified by them and by who runs the server.
func TestReadAndVerifyAudit(t *testing.T) {
	t.Parallel()
	s := start(t)
	operator := s.operator(t)
	s.stranger(t)
	for i := range 5 {
		s.rule(t, &authv1.Rule{Id: fmt.Sprint("r", i), Resource: "x:y:z", Access: authv1.Access_ACCESS_GRANTED})
	}
	var pages []string
	for after := int64(0); ; {
		page := s.auditLog(t, s.admin, "acme", &authv1.ReadAuditRequest{After: after, Limit: 2})
		if len(page) == 0 {
			break
		}
		for _, e := range page {
			pages = append(pages, e.GetObject())
			after = e.GetSequence()
		}
	}
	if want := []string{"r0", "r1", "r2", "r3", "r4"}; !slices.Equal(pages, want) {
		t.Errorf("page by page: %q, want %q", pages, want)
	}
	for _, req := range []*authv1.ReadAuditRequest{{After: -1}, {Limit: -1}, {Tail: -1}} {
		stream, err := authv1.NewAuditClient(s.conn).Read(as(t, s.admin, "acme"), req)
		if err == nil {
			_, err = stream.Recv()
		}
		if reasonOf(err) != "INVALID" {
			t.Errorf("%v: %v, want INVALID", req, err)
		}
	}
	verify := func(token, namespace string, req *authv1.VerifyAuditRequest) (string, error) {
		t.Helper()
		stream, err := authv1.NewAuditClient(s.conn).Verify(as(t, token, namespace), req)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for {
			rsp, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				return strings.Join(out, " "), nil
			}
			if err != nil {
				return "", err
			}
			out = append(out, fmt.Sprintf("%s:%d-%d%v", rsp.GetNamespace(), rsp.GetFirst(), rsp.GetLast(), rsp.GetProblems()))
		}
	}
	if got, err := verify(s.admin, "acme", &authv1.VerifyAuditRequest{}); err != nil || got != "acme:1-10[]" {
		t.Errorf("Verify: %q, %v", got, err)
	}
	if got, err := verify(operator, "micro", &authv1.VerifyAuditRequest{All: true}); err != nil || got != "acme:1-10[] globex:0-0[] micro:0-0[]" {
		t.Errorf("Verify of all: %q, %v", got, err)
	}
	if _, err := verify(s.admin, "acme", &authv1.VerifyAuditRequest{All: true}); reasonOf(err) != "DENIED" {
		t.Errorf("Verify of all by an administrator of acme: %v", err)
	}
	noted := []*authv1.NotedAuditEntry{{Sequence: 3, Hash: []byte("x")}}
	if got, err := verify(s.admin, "acme", &authv1.VerifyAuditRequest{Noted: noted}); err != nil || !strings.Contains(got, "entry 3 is not the one that was noted") {
		t.Errorf("Verify with what was noted: %q, %v", got, err)
	}
	if _, err := s.config.Store.Txn(t.Context(), store.Txn{Do: []store.Op{store.Delete("acme/audit/entry/0000000000000000004")}}); err != nil {
		t.Fatal(err)
	}
	if got, err := verify(operator, "micro", &authv1.VerifyAuditRequest{All: true}); err != nil || got != "acme:1-10[entry 4 is missing] globex:0-0[] micro:0-0[]" {
		t.Errorf("Verify of all when an entry was removed: %q, %v", got, err)
	}
}

// A call is told under which id it was recorded.
func TestRequestID(t *testing.T) {
	t.Parallel()
	s := start(t)
	var header metadata.MD
	_, err := authv1.NewRulesClient(s.conn).Delete(as(t, s.admin, "acme"), &authv1.DeleteRuleRequest{Id: "call"}, grpc.Header(&header))
	if err != nil {
		t.Fatal(err)
	}
	list := s.auditLog(t, s.admin, "acme", &authv1.ReadAuditRequest{Tail: 1})
	if id := header.Get("micro-request-id"); len(id) != 1 || len(list) != 1 || id[0] != list[0].GetRequestId() {
		t.Errorf("the caller was told %q, and the log has %v", id, list)
	}
}
