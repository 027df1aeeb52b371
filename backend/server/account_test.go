package server_test

import (
	"testing"

	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
)

// Who may change accounts by a rule, and is no administrator, cannot make himself one:
// not by scopes, nor by the password of one who is.
func TestUpdateAccountGivesNothingAway(t *testing.T) {
	t.Parallel()
	s := start(t)
	helpdesk := s.account(t, "helpdesk", "helpdesk")
	s.account(t, "bob")
	s.account(t, "carol", "staff")
	s.rule(t, &authv1.Rule{Id: "helpdesk", Scope: "helpdesk", Resource: "auth:*:Accounts.Update", Access: authv1.Access_ACCESS_GRANTED})
	accounts := authv1.NewAccountsClient(s.conn)
	for _, tt := range []struct {
		name, token string
		req         *authv1.UpdateAccountRequest
		want        string
	}{
		{"what the rule is for", helpdesk, &authv1.UpdateAccountRequest{Id: "bob", Password: new("a new password")}, "OK"},
		{"a scope that he has", helpdesk, &authv1.UpdateAccountRequest{Id: "bob", Scopes: &authv1.ScopeList{Scopes: []string{"helpdesk"}}}, "OK"},
		{"the administrator's password", helpdesk, &authv1.UpdateAccountRequest{Id: "alice", Password: new("a new password")}, "DENIED"},
		{"the password of one with another scope", helpdesk, &authv1.UpdateAccountRequest{Id: "carol", Password: new("a new password")}, "DENIED"},
		{"the administrator disabled", helpdesk, &authv1.UpdateAccountRequest{Id: "alice", Disabled: new(true)}, "DENIED"},
		{"a scope that he has not", helpdesk, &authv1.UpdateAccountRequest{Id: "bob", Scopes: &authv1.ScopeList{Scopes: []string{"admin"}}}, "DENIED"},
		{"himself an administrator", helpdesk, &authv1.UpdateAccountRequest{Id: "helpdesk", Scopes: &authv1.ScopeList{Scopes: []string{"helpdesk", "admin"}}}, "DENIED"},
		{"his own password", s.admin, &authv1.UpdateAccountRequest{Id: "alice", Password: new("a new password")}, "OWN_PASSWORD"},
		{"nothing", s.admin, &authv1.UpdateAccountRequest{Id: "bob"}, "INVALID"},
		{"nobody", s.admin, &authv1.UpdateAccountRequest{Id: "nobody", Disabled: new(true)}, "NOT_FOUND"},
		{"no scopes at all", s.admin, &authv1.UpdateAccountRequest{Id: "carol", Scopes: &authv1.ScopeList{}}, "OK"},
	} {
		_, err := accounts.Update(as(t, tt.token, "acme"), tt.req)
		if got := reasonOf(err); got != tt.want {
			t.Errorf("%s: %v (%v), want %v", tt.name, got, err, tt.want)
		}
	}
}

// Tokens of accounts of services are made by who may change accounts, with no scope that
// he could not give.
func TestTokensOfServiceAccounts(t *testing.T) {
	t.Parallel()
	s := start(t)
	helpdesk, bob := s.account(t, "helpdesk", "helpdesk"), s.account(t, "bob")
	s.rule(t, &authv1.Rule{Id: "helpdesk", Scope: "helpdesk", Resource: "auth:*:Accounts.Update", Access: authv1.Access_ACCESS_GRANTED})
	_, err := authv1.NewAccountsClient(s.conn).Create(as(t, s.admin, "acme"), &authv1.CreateAccountRequest{
		Id: "exporter", Type: authv1.AccountType_ACCOUNT_TYPE_SERVICE, Scopes: []string{"helpdesk", "metrics"},
	})
	if err != nil {
		t.Fatal(err)
	}
	tokens := authv1.NewTokensClient(s.conn)
	for _, tt := range []struct {
		name, token string
		req         *authv1.CreateTokenRequest
		want        string
	}{
		{"an administrator", s.admin, &authv1.CreateTokenRequest{Name: "a", Account: "exporter", Scopes: []string{"metrics"}}, "OK"},
		{"who may, with a scope that he has", helpdesk, &authv1.CreateTokenRequest{Name: "b", Account: "exporter", Scopes: []string{"helpdesk"}}, "OK"},
		{"who may, with a scope that he has not", helpdesk, &authv1.CreateTokenRequest{Name: "c", Account: "exporter", Scopes: []string{"metrics"}}, "DENIED"},
		{"who may not", bob, &authv1.CreateTokenRequest{Name: "d", Account: "exporter"}, "DENIED"},
		{"a token of a person", s.admin, &authv1.CreateTokenRequest{Name: "e", Account: "bob"}, "DENIED"},
		{"his own, by name", bob, &authv1.CreateTokenRequest{Name: "f", Account: "bob"}, "OK"},
		{"of another namespace", s.stranger(t), &authv1.CreateTokenRequest{Name: "g", Account: "exporter"}, "NOT_FOUND"},
	} {
		rsp, err := tokens.Create(as(t, tt.token, "acme"), tt.req)
		if got := reasonOf(err); got != tt.want {
			t.Errorf("%s: %v (%v), want %v", tt.name, got, err, tt.want)
		}
		if err == nil && rsp.GetToken().GetAccount() != tt.req.GetAccount() {
			t.Errorf("%s: a token of %s", tt.name, rsp.GetToken().GetAccount())
		}
	}
}

// Another namespace's administrator is nobody here, with a token of his own too.
func TestTokensStayAtHome(t *testing.T) {
	t.Parallel()
	s := start(t)
	stranger := s.stranger(t)
	tokens := authv1.NewTokensClient(s.conn)
	if _, err := tokens.Create(as(t, s.admin, "acme"), &authv1.CreateTokenRequest{Name: "ci", Scopes: []string{"admin"}}); err != nil {
		t.Fatal(err)
	}
	rsp, err := tokens.Create(as(t, stranger, "acme"), &authv1.CreateTokenRequest{Name: "mine", Scopes: []string{"admin"}})
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{"a session": stranger, "a token": rsp.GetSecret()} {
		_, err := authv1.NewAccountsClient(s.conn).List(as(t, token, "acme"), &authv1.ListAccountsRequest{})
		if got := reasonOf(err); got != "NOT_LOGGED_IN" {
			t.Errorf("%s of a stranger lists accounts: %v", name, got)
		}
		list, err := tokens.List(as(t, token, "acme"), &authv1.ListTokensRequest{All: true})
		if err != nil || len(list.GetTokens()) != 1 || list.GetTokens()[0].GetName() != "mine" {
			t.Errorf("%s of a stranger sees %v, %v", name, list, err)
		}
		_, err = tokens.Delete(as(t, token, "acme"), &authv1.DeleteTokenRequest{Name: "ci", Account: "alice"})
		if got := reasonOf(err); got != "NOT_FOUND" {
			t.Errorf("%s of a stranger deletes a token: %v", name, got)
		}
	}
}
