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

	"go.uber.org/goleak"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"pgregory.net/rapid"

	"github.com/micro/micro/v3/backend/auth/authtest"
	"github.com/micro/micro/v3/backend/store"
	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
	configv1 "github.com/micro/micro/v3/proto/micro/config/v1"
	eventsv1 "github.com/micro/micro/v3/proto/micro/events/v1"
	registryv1 "github.com/micro/micro/v3/proto/micro/registry/v1"
	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
	storev1 "github.com/micro/micro/v3/proto/micro/store/v1"
)

func TestMain(m *testing.M) {
	if os.Getenv("MICRO_SOAK") == "" {
		if err := flag.Set("rapid.checks", "30"); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}

// tenant makes calls in its namespace, and sometimes in that of the other one.
type tenant struct {
	*testServer

	t         *testing.T
	namespace string
	token     string
	other     string // the namespace of the other tenant
}

// tenantOp is something that a tenant does. It returns what the tenant learns from it,
// without times, revisions and what is random: that differs from run to run. What it does
// depends on nothing but the tenant and what pick picks.
type tenantOp struct {
	name string
	run  func(ctx context.Context, n *tenant, pick picker) string
}

// picker picks one of some words, which are few, so that tenants would meet if they could.
type picker func(words ...string) string

// told says how a call went.
func told(err error) string { return reasonOf(err) }

// tenantOps are what tenants do. Whoever adds an API adds its calls.
func tenantOps() []tenantOp {
	return slices.Concat(authOps(), configOps(), dataOps(), knocks())
}

func authOps() []tenantOp {
	id := func(pick picker) string { return pick("bob", "carol", "alice") }
	scopes := func(pick picker) []string { return strings.Fields(pick("", "staff", "staff admin", "other")) }
	return []tenantOp{
		{"create an account", func(ctx context.Context, n *tenant, pick picker) string {
			_, err := authv1.NewAccountsClient(n.conn).Create(ctx, &authv1.CreateAccountRequest{
				Id: id(pick), Type: authv1.AccountType_ACCOUNT_TYPE_SERVICE, Scopes: scopes(pick),
			})
			return told(err)
		}},
		{"update an account", func(ctx context.Context, n *tenant, pick picker) string {
			_, err := authv1.NewAccountsClient(n.conn).Update(ctx, &authv1.UpdateAccountRequest{Id: pick("bob", "carol"), Metadata: map[string]string{"team": pick("a", "b", "")}})
			return told(err)
		}},
		{"delete an account", func(ctx context.Context, n *tenant, pick picker) string {
			_, err := authv1.NewAccountsClient(n.conn).Delete(ctx, &authv1.DeleteAccountRequest{Id: id(pick)})
			return told(err)
		}},
		{"list accounts", func(ctx context.Context, n *tenant, _ picker) string {
			rsp, err := authv1.NewAccountsClient(n.conn).List(ctx, &authv1.ListAccountsRequest{})
			out := []string{told(err)}
			for _, a := range rsp.GetAccounts() {
				out = append(out, fmt.Sprint(a.GetId(), a.GetNamespace(), a.GetScopes(), a.GetMetadata(), a.GetDisabled()))
			}
			return strings.Join(out, " ")
		}},
		{"create a rule", func(ctx context.Context, n *tenant, pick picker) string {
			_, err := authv1.NewRulesClient(n.conn).Create(ctx, &authv1.CreateRuleRequest{Rule: &authv1.Rule{
				Id: pick("one", "two", "call"), Scope: pick("", "*", "staff"), Resource: pick("service:*:*", "service:shop:*", "store:t:*"), Access: authv1.Access_ACCESS_GRANTED,
			}})
			return told(err)
		}},
		{"update a rule", func(ctx context.Context, n *tenant, pick picker) string {
			_, err := authv1.NewRulesClient(n.conn).Update(ctx, &authv1.UpdateRuleRequest{Id: pick("one", "two", "call"), Scope: new(pick("", "staff"))})
			return told(err)
		}},
		{"delete a rule", func(ctx context.Context, n *tenant, pick picker) string {
			_, err := authv1.NewRulesClient(n.conn).Delete(ctx, &authv1.DeleteRuleRequest{Id: pick("one", "two", "call", "store")})
			return told(err)
		}},
		{"list rules", func(ctx context.Context, n *tenant, _ picker) string {
			rsp, err := authv1.NewRulesClient(n.conn).List(ctx, &authv1.ListRulesRequest{})
			return told(err) + fmt.Sprint(rsp.GetRules())
		}},
		{"explain a call", func(ctx context.Context, n *tenant, pick picker) string {
			rsp, err := authv1.NewRulesClient(n.conn).Explain(ctx, &authv1.ExplainRequest{
				Name: pick("shop", "other"), Endpoint: "Shop.Buy", Caller: &authv1.ExplainRequest_Account{Account: id(pick)},
			})
			return told(err) + rsp.GetReason()
		}},
		{"create a token", func(ctx context.Context, n *tenant, pick picker) string {
			_, err := authv1.NewTokensClient(n.conn).Create(ctx, &authv1.CreateTokenRequest{Name: pick("ci", "main"), Account: pick("bob", "carol")})
			return told(err)
		}},
		{"list tokens", func(ctx context.Context, n *tenant, _ picker) string {
			rsp, err := authv1.NewTokensClient(n.conn).List(ctx, &authv1.ListTokensRequest{All: true})
			out := []string{told(err)}
			for _, tok := range rsp.GetTokens() {
				out = append(out, fmt.Sprint(tok.GetAccount(), tok.GetName(), tok.GetScopes()))
			}
			return strings.Join(out, " ")
		}},
		{"delete a token", func(ctx context.Context, n *tenant, pick picker) string {
			_, err := authv1.NewTokensClient(n.conn).Delete(ctx, &authv1.DeleteTokenRequest{Name: pick("ci", "main"), Account: pick("bob", "carol")})
			return told(err)
		}},
		{"who am I", func(ctx context.Context, n *tenant, _ picker) string {
			rsp, err := authv1.NewAuthClient(n.conn).WhoAmI(ctx, &authv1.WhoAmIRequest{})
			return told(err) + rsp.GetAccount().GetNamespace()
		}},
		{"list namespaces", func(ctx context.Context, n *tenant, _ picker) string {
			rsp, err := authv1.NewNamespacesClient(n.conn).List(ctx, &authv1.ListNamespacesRequest{})
			out := []string{told(err)}
			for _, ns := range rsp.GetNamespaces() {
				out = append(out, ns.GetName())
			}
			return strings.Join(out, " ")
		}},
		{"read who did what", func(ctx context.Context, n *tenant, _ picker) string {
			var out []string
			for _, e := range n.auditLog(n.t, n.token, n.namespace, &authv1.ReadAuditRequest{}) {
				// Who knocks is seen: that is what the log is for.
				if e.GetDecision() == authv1.AuditDecision_AUDIT_DECISION_ALLOWED {
					out = append(out, line(e))
				}
			}
			return strings.Join(out, "\n")
		}},
		{"verify who did what", func(ctx context.Context, n *tenant, _ picker) string {
			stream, err := authv1.NewAuditClient(n.conn).Verify(ctx, &authv1.VerifyAuditRequest{})
			if err != nil {
				return told(err)
			}
			rsp, err := stream.Recv()
			return told(err) + fmt.Sprint(rsp.GetProblems())
		}},
	}
}

func configOps() []tenantOp {
	path := func(pick picker) string { return pick("a", "a.b", "b") }
	return []tenantOp{
		{"set", func(ctx context.Context, n *tenant, pick picker) string {
			_, err := configv1.NewConfigClient(n.conn).Set(ctx, &configv1.SetRequest{Path: path(pick), Json: pick("1", `"x"`, "{}"), Secret: pick("y", "n") == "y"})
			return told(err)
		}},
		{"get", func(ctx context.Context, n *tenant, pick picker) string {
			rsp, err := configv1.NewConfigClient(n.conn).Get(ctx, &configv1.GetRequest{Path: pick("", "a", "b"), Secrets: pick("y", "n") == "y"})
			return told(err) + rsp.GetJson()
		}},
		{"delete", func(ctx context.Context, n *tenant, pick picker) string {
			rsp, err := configv1.NewConfigClient(n.conn).Delete(ctx, &configv1.DeleteRequest{Path: path(pick)})
			return fmt.Sprint(told(err), " ", rsp.GetRevision()) // a namespace has its own
		}},
		{"history", func(ctx context.Context, n *tenant, _ picker) string {
			rsp, err := configv1.NewConfigClient(n.conn).History(ctx, &configv1.HistoryRequest{})
			out := []string{told(err)}
			for _, r := range rsp.GetRevisions() {
				out = append(out, fmt.Sprint(r.GetRevision(), r.GetAccount(), r.GetAction(), len(r.GetChanges())))
			}
			return strings.Join(out, " ")
		}},
		{"rollback", func(ctx context.Context, n *tenant, pick picker) string {
			_, err := configv1.NewConfigClient(n.conn).Rollback(ctx, &configv1.RollbackRequest{Revision: int64(len(pick("", "x", "xx")))})
			return told(err)
		}},
	}
}

func dataOps() []tenantOp {
	key := func(pick picker) []byte { return []byte(pick("k", "a/b", "\x00")) }
	table := func(pick picker) string { return pick("", "t") }
	return []tenantOp{
		{"write a record", func(ctx context.Context, n *tenant, pick picker) string {
			_, err := storev1.NewStoreClient(n.conn).Write(ctx, &storev1.WriteRequest{Table: table(pick), Record: &storev1.Record{Key: key(pick), Value: []byte(n.namespace)}})
			return told(err)
		}},
		{"read records", func(ctx context.Context, n *tenant, pick picker) string {
			rsp, err := storev1.NewStoreClient(n.conn).Read(ctx, &storev1.ReadRequest{Table: table(pick)})
			out := []string{told(err)}
			for _, r := range rsp.GetRecords() {
				out = append(out, fmt.Sprintf("%q=%q", r.GetKey(), r.GetValue()))
			}
			return strings.Join(out, " ")
		}},
		{"delete a record", func(ctx context.Context, n *tenant, pick picker) string {
			rsp, err := storev1.NewStoreClient(n.conn).Delete(ctx, &storev1.DeleteRequest{Table: table(pick), Key: key(pick)})
			return fmt.Sprint(told(err), " ", rsp.GetDeleted())
		}},
		{"list tables", func(ctx context.Context, n *tenant, _ picker) string {
			rsp, err := storev1.NewStoreClient(n.conn).Tables(ctx, &storev1.TablesRequest{})
			return told(err) + fmt.Sprint(rsp.GetTables())
		}},
		{"publish", func(ctx context.Context, n *tenant, pick picker) string {
			rsp, err := eventsv1.NewEventsClient(n.conn).Publish(ctx, &eventsv1.PublishRequest{Topic: pick("orders", "other"), Events: []*eventsv1.Event{{Payload: []byte(n.namespace)}}})
			return fmt.Sprint(told(err), " ", rsp.GetOffset())
		}},
		{"read events", func(ctx context.Context, n *tenant, pick picker) string {
			stream, err := eventsv1.NewEventsClient(n.conn).Read(ctx, &eventsv1.ReadRequest{Topic: pick("orders", "other")})
			if err != nil {
				return told(err)
			}
			for out := []string{}; ; {
				rsp, err := stream.Recv()
				if errors.Is(err, io.EOF) {
					return strings.Join(out, " ")
				}
				if err != nil {
					return strings.Join(append(out, told(err)), " ")
				}
				for _, e := range rsp.GetEvents() {
					out = append(out, fmt.Sprintf("%d=%s", e.GetOffset(), e.GetPayload()))
				}
			}
		}},
		{"list topics", func(ctx context.Context, n *tenant, _ picker) string {
			rsp, err := eventsv1.NewEventsClient(n.conn).ListTopics(ctx, &eventsv1.ListTopicsRequest{})
			out := []string{told(err)}
			for _, topic := range rsp.GetTopics() {
				out = append(out, fmt.Sprint(topic.GetName(), topic.GetNextOffset()))
			}
			return strings.Join(out, " ")
		}},
		{"list services", func(ctx context.Context, n *tenant, _ picker) string {
			rsp, err := registryv1.NewRegistryClient(n.conn).List(ctx, &registryv1.ListRequest{})
			services, runErr := runtimev1.NewRuntimeClient(n.conn).List(ctx, &runtimev1.ListRequest{})
			return told(err) + told(runErr) + fmt.Sprint(len(rsp.GetServices()), len(services.GetServices()))
		}},
	}
}

// knocks are calls in the namespace of the other one, which is there in one of the runs
// and not in the other.
func knocks() []tenantOp {
	at := func(n *tenant) context.Context { return as(n.t, n.token, n.other) }
	return []tenantOp{
		{"set its configuration", func(_ context.Context, n *tenant, _ picker) string {
			_, err := configv1.NewConfigClient(n.conn).Set(at(n), &configv1.SetRequest{Path: "a", Json: `"knock"`})
			return told(err)
		}},
		{"make oneself an account there", func(_ context.Context, n *tenant, _ picker) string {
			_, err := authv1.NewAccountsClient(n.conn).Create(at(n), &authv1.CreateAccountRequest{Id: "mallory", Password: password, Scopes: []string{"admin"}})
			return told(err)
		}},
		{"open it to everybody", func(_ context.Context, n *tenant, _ picker) string {
			_, err := authv1.NewRulesClient(n.conn).Create(at(n), &authv1.CreateRuleRequest{Rule: &authv1.Rule{Id: "open", Resource: "*:*:*", Access: authv1.Access_ACCESS_GRANTED}})
			return told(err)
		}},
		{"write its records", func(_ context.Context, n *tenant, _ picker) string {
			_, err := storev1.NewStoreClient(n.conn).Write(at(n), &storev1.WriteRequest{Record: &storev1.Record{Key: []byte("k"), Value: []byte("knock")}})
			return told(err)
		}},
		{"read its log", func(_ context.Context, n *tenant, _ picker) string {
			stream, err := authv1.NewAuditClient(n.conn).Read(at(n), &authv1.ReadAuditRequest{})
			if err == nil {
				_, err = stream.Recv()
			}
			return told(err)
		}},
		{"call its services", func(_ context.Context, n *tenant, _ picker) string {
			// Who closes a service to strangers tells them to log in, whether it is there or
			// not: that is seen, as everything is that a namespace lets everybody see.
			_, err := testpb.NewTestServiceClient(n.conn).EmptyCall(at(n), &testpb.Empty{})
			return strings.Replace(told(err), "NOT_LOGGED_IN", "NO_SERVICE", 1)
		}},
		{"delete it", func(ctx context.Context, n *tenant, _ picker) string {
			_, err := authv1.NewNamespacesClient(n.conn).Delete(ctx, &authv1.DeleteNamespaceRequest{Name: n.other})
			return told(err)
		}},
	}
}

// addTenant makes a namespace with an administrator, by copying acme, so that no password
// has to be hashed, and returns an access token of his.
func (s *testServer) addTenant(t *testing.T, ns string) string {
	t.Helper()
	ops := []store.Op{store.Put("$system/auth/namespace/"+ns, nil)}
	for _, part := range []string{"namespace", "account/", "rule/"} {
		for r, err := range s.config.Store.Range(t.Context(), store.Prefix("acme/auth/"+part)) {
			if err != nil {
				t.Fatal(err)
			}
			ops = append(ops, store.Put(ns+strings.TrimPrefix(r.Key, "acme"), r.Value))
		}
	}
	if _, err := s.config.Store.Txn(t.Context(), store.Txn{Do: ops}); err != nil {
		t.Fatal(err)
	}
	return s.forge(t).Token(nil, authtest.Fields{"ns": ns})
}

// tenantStep is one thing that one of two tenants does.
type tenantStep struct {
	Mine bool // what is done by the tenant whose view counts
	Op   int
	Pick uint64
}

// do makes a step, and returns what the tenant learns.
func (n *tenant) do(step tenantStep) string {
	op, picked := tenantOps()[step.Op], step.Pick
	pick := func(words ...string) string {
		word := words[picked%uint64(len(words))]
		picked /= uint64(len(words))
		return word
	}
	ctx, cancel := context.WithCancel(as(n.t, n.token, n.namespace))
	defer cancel()
	return op.name + ": " + op.run(ctx, n, pick)
}

// Whatever one tenant does, another sees what he would see if there was no such tenant:
// the same random steps of his are made on a server where the other makes steps between
// them, and on one where nobody does.
func TestTenantsDoNotInterfere(t *testing.T) {
	t.Parallel()
	both, alone := start(t), start(t)
	checks := 0
	steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) tenantStep {
		return tenantStep{
			Mine: rapid.Bool().Draw(t, "mine"),
			Op:   rapid.IntRange(0, len(tenantOps())-1).Draw(t, "op"),
			Pick: rapid.Uint64().Draw(t, "pick"),
		}
	}), 30, 120)
	// run makes steps by new tenants, and returns the first that his view differs in.
	run := func(plan []tenantStep, same bool) string {
		checks++
		mine, other := fmt.Sprintf("mine%d", checks), fmt.Sprintf("other%d", checks)
		first := &tenant{both, t, mine, both.addTenant(t, mine), other}
		second := &tenant{alone, t, mine, alone.addTenant(t, mine), other}
		third := &tenant{both, t, other, both.addTenant(t, other), mine}
		if same {
			third.namespace, third.token = first.namespace, first.token
		}
		for i, step := range plan {
			if !step.Mine {
				third.do(step)
				continue
			}
			if got, want := first.do(step), second.do(step); got != want {
				return fmt.Sprintf("step %d: with another tenant\n%s\nand alone\n%s", i, got, want)
			}
		}
		return ""
	}
	rapid.Check(t, func(t *rapid.T) {
		if diff := run(steps.Draw(t, "steps"), false); diff != "" {
			t.Fatal(diff)
		}
	})

	// The control: those who share a namespace do interfere.
	for i := range 100 {
		if run(steps.Example(i), true) != "" {
			return
		}
	}
	t.Error("two who share a namespace see nothing of each other: this test shows nothing")
}
