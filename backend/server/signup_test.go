package server_test

import (
	"bytes"
	"context"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/micro/micro/v3/backend/auth"
	"github.com/micro/micro/v3/backend/mail/mailtest"
	"github.com/micro/micro/v3/backend/server"
	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
)

// codeIn returns the code that is in a text.
func codeIn(t *testing.T, text string) string {
	t.Helper()
	code := regexp.MustCompile(`\b\d{6}\b`).FindString(text)
	if code == "" {
		t.Fatalf("no code in %q", text)
	}
	return code
}

// signs signs somebody up and returns the reason that the server gives.
func (s *testServer) signs(t *testing.T, req *authv1.SignupRequest) string {
	t.Helper()
	req.Password = password
	rsp, err := authv1.NewAuthClient(s.conn).Signup(as(t, "", ""), req)
	if err == nil && rsp.GetSession().GetAccessToken() == "" {
		t.Error("a session without a token")
	}
	return reasonOf(err)
}

func TestSignupModes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		signup                      server.Signup
		mode                        authv1.SignupMode
		plain, invited, mailed, ask string
	}{
		{server.SignupOff, authv1.SignupMode_SIGNUP_MODE_OFF, "SIGNUP_OFF", "SIGNUP_OFF", "SIGNUP_OFF", "SIGNUP_OFF"},
		{server.SignupOn, authv1.SignupMode_SIGNUP_MODE_ON, "OK", "OK", "OK", "NO_CODES"},
		{server.SignupInvite, authv1.SignupMode_SIGNUP_MODE_INVITE, "INVITATION_NEEDED", "BAD_INVITATION", "INVITATION_NEEDED", "NO_CODES"},
		{server.SignupMail, authv1.SignupMode_SIGNUP_MODE_MAIL, "CODE_NEEDED", "CODE_NEEDED", "BAD_CODE", "OK"},
	} {
		t.Run(string(tt.signup), func(t *testing.T) {
			t.Parallel()
			s := start(t, func(c *server.Config) { c.Signup = tt.signup })
			client := authv1.NewAuthClient(s.conn)
			rsp, err := client.GetSignup(as(t, "", ""), &authv1.GetSignupRequest{})
			if err != nil || rsp.GetMode() != tt.mode {
				t.Errorf("GetSignup: %v, %v", rsp, err)
			}
			if got := s.signs(t, &authv1.SignupRequest{Username: "plain"}); got != tt.plain {
				t.Errorf("with nothing: %s, want %s", got, tt.plain)
			}
			if got := s.signs(t, &authv1.SignupRequest{Username: "invited", Invitation: "micro_invitation_x.y"}); got != tt.invited {
				t.Errorf("with an invitation: %s, want %s", got, tt.invited)
			}
			if got := s.signs(t, &authv1.SignupRequest{Username: "mailed", Email: "bob@example.org", Code: "123456"}); got != tt.mailed {
				t.Errorf("with a code: %s, want %s", got, tt.mailed)
			}
			_, err = client.SendCode(as(t, "", ""), &authv1.SendCodeRequest{Email: "bob@example.org"})
			if got := reasonOf(err); got != tt.ask {
				t.Errorf("SendCode: %s, want %s", got, tt.ask)
			}
			want := "NO_INVITATIONS"
			if tt.signup == server.SignupInvite {
				want = "OK"
			}
			_, err = authv1.NewInvitationsClient(s.conn).Create(as(t, s.operator(t), ""), &authv1.CreateInvitationRequest{})
			if got := reasonOf(err); got != want {
				t.Errorf("an invitation: %s, want %s", got, want)
			}
		})
	}
}

func TestSignupByInvitation(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *server.Config) { c.Signup = server.SignupInvite })
	api, operator := authv1.NewInvitationsClient(s.conn), s.operator(t)
	made, err := api.Create(as(t, operator, ""), &authv1.CreateInvitationRequest{Uses: 2, Expires: timestamppb.New(time.Now().Add(time.Hour))})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.signs(t, &authv1.SignupRequest{Username: "first", Invitation: made.GetCode()}); got != "OK" {
		t.Errorf("with it: %s", got)
	}
	list, err := api.List(as(t, operator, ""), &authv1.ListInvitationsRequest{})
	if err != nil || len(list.GetInvitations()) != 1 {
		t.Fatalf("List: %v, %v", list, err)
	}
	i := list.GetInvitations()[0]
	if i.GetId() != made.GetInvitation().GetId() || i.GetUsed() != 1 || i.GetUses() != 2 || i.GetAccount() != "micro/admin" || strings.Contains(list.String(), made.GetCode()) {
		t.Errorf("List: %v", list)
	}
	if _, err := api.Delete(as(t, operator, ""), &authv1.DeleteInvitationRequest{Id: i.GetId()}); err != nil {
		t.Fatal(err)
	}
	if got := s.signs(t, &authv1.SignupRequest{Username: "second", Invitation: made.GetCode()}); got != "BAD_INVITATION" {
		t.Errorf("when it was deleted: %s", got)
	}
	for name, req := range map[string]*authv1.CreateInvitationRequest{
		"for too many": {Uses: 10_001}, "for less than nobody": {Uses: -1}, "that has expired": {Expires: timestamppb.New(time.Now().Add(-time.Hour))},
		"of no time": {Expires: &timestamppb.Timestamp{Seconds: 1 << 60}},
	} {
		if _, err := api.Create(as(t, operator, ""), req); reasonOf(err) != "INVALID" {
			t.Errorf("an invitation %s: %v, want INVALID", name, err)
		}
	}
	// What a stranger is refused is a note in the log, and no more.
	for _, l := range s.lines(t, operator, "micro", 4) {
		if strings.Contains(l, "micro_invitation") {
			t.Errorf("the log tells the code: %s", l)
		}
	}
}

// Codes come by mail, are the same for whoever asks, and let their readers in.
func TestSignupByMail(t *testing.T) {
	t.Parallel()
	srv := mailtest.Start(t, mailtest.Options{Username: "robot", Password: "hush", NoTLS: true})
	s := start(t, func(c *server.Config) {
		c.Signup = server.SignupMail
		c.SMTP = server.SMTP{Address: srv.Address, From: "Acme <no-reply@example.com>", Username: "robot", Password: "hush"}
	})
	client := authv1.NewAuthClient(s.conn)
	send := func(email string) string {
		t.Helper()
		rsp, err := client.SendCode(as(t, "", ""), &authv1.SendCodeRequest{Email: email})
		if err != nil {
			t.Fatal(err)
		}
		if rsp.GetGoodFor().AsDuration() != auth.CodeTTL {
			t.Errorf("it is good for %v", rsp.GetGoodFor())
		}
		return rsp.String()
	}
	first := send("bob@example.org")
	m := srv.Next(t)
	code := codeIn(t, m.Text)
	if m.To != "bob@example.org" || m.From != "no-reply@example.com" || m.Username != "robot" || !strings.Contains(m.Text, "Subject: "+code) {
		t.Errorf("the mail: %+v", m)
	}
	if got := s.signs(t, &authv1.SignupRequest{Username: "bob", Email: "eve@example.org", Code: code}); got != "BAD_CODE" {
		t.Errorf("with the code of somebody else: %s", got)
	}
	if got := s.signs(t, &authv1.SignupRequest{Username: "bob", Email: "bob@example.org", Code: code}); got != "OK" {
		t.Errorf("with the code: %s", got)
	}
	// Who has an account is told the same as who has none.
	if again := send("bob@example.org"); again != first {
		t.Errorf("the answer to who has an account: %s, and was %s", again, first)
	}
	srv.Next(t)
	if _, err := client.SendCode(as(t, "", ""), &authv1.SendCodeRequest{Email: "bob@example.org>\r\nBcc: eve@example.org"}); reasonOf(err) != "INVALID" || !srv.None() {
		t.Errorf("an address with another header: %v", err)
	}
}

// logged is a log that can be read while it is written.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Without a mail server the log has the code, and with one that does not work the log
// says why and the caller that it does not.
func TestSignupWithoutMail(t *testing.T) {
	t.Parallel()
	var log logged
	s := start(t, func(c *server.Config) {
		c.Signup = server.SignupMail
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	if _, err := authv1.NewAuthClient(s.conn).SendCode(as(t, "", ""), &authv1.SendCodeRequest{Email: "bob@example.org"}); err != nil {
		t.Fatal(err)
	}
	_, line, _ := strings.Cut(log.String(), "to=bob@example.org")
	if got := s.signs(t, &authv1.SignupRequest{Username: "bob", Email: "bob@example.org", Code: codeIn(t, line)}); got != "OK" {
		t.Errorf("with the code of the log: %s\n%s", got, log.String())
	}

	srv := mailtest.Start(t, mailtest.Options{Refuse: map[string]string{"RCPT": "550 bob@example.org is nobody"}})
	var failures logged
	s = start(t, func(c *server.Config) {
		c.Signup = server.SignupMail
		c.SMTP = server.SMTP{Address: srv.Address, From: "no-reply@example.com"}
		c.Logger = slog.New(slog.NewTextHandler(&failures, nil))
	})
	_, err := authv1.NewAuthClient(s.conn).SendCode(as(t, "", ""), &authv1.SendCodeRequest{Email: "bob@example.org"})
	if reasonOf(err) != "MAIL_FAILED" || strings.Contains(err.Error(), "550") {
		t.Errorf("when the mail server refuses: %v", err)
	}
	// The certificate of the mail server is nobody's here; either way the log says why.
	if got := failures.String(); !strings.Contains(got, "a mail could not be sent") {
		t.Errorf("the log: %s", got)
	}

	c := s.config
	c.Proxy, c.Gateway, c.DataDir, c.SMTP.From = "127.0.0.1:0", "127.0.0.1:0", t.TempDir(), "nobody"
	if err := server.Run(context.Background(), c); err == nil || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("with settings that can never do: %v", err)
	}
}
