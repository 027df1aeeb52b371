package mail_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	netmail "net/mail"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/micro/micro/v3/backend/mail"
	"github.com/micro/micro/v3/backend/mail/mailtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const from = "Acme <no-reply@example.com>"

func sender(t *testing.T, c mail.Config) *mail.Sender {
	t.Helper()
	if c.From == "" {
		c.From = from
	}
	s, err := mail.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSend(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		options mailtest.Options
		scheme  string
		tls     bool
	}{
		{"STARTTLS", mailtest.Options{Username: "robot", Password: "hush"}, "", true},
		{"TLS", mailtest.Options{Username: "robot", Password: "hush", Implicit: true}, "smtps://", true},
		{"in clear on this machine", mailtest.Options{NoTLS: true}, "smtp://", false},
		{"in clear with a password", mailtest.Options{Username: "robot", Password: "hush", NoTLS: true}, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			srv := mailtest.Start(t, tt.options)
			s := sender(t, mail.Config{Address: tt.scheme + srv.Address, Username: tt.options.Username, Password: tt.options.Password, TLS: srv.TLS})
			// A line that is a dot ends a mail that was not sent with care.
			text := "Grüße\n.\n..\nFrom me"
			if err := s.Send(t.Context(), "bob+1@example.org", "A subject", text); err != nil {
				t.Fatal(err)
			}
			m := srv.Next(t)
			if m.From != "no-reply@example.com" || m.To != "bob+1@example.org" || m.TLS != tt.tls || m.Username != tt.options.Username {
				t.Errorf("it came as %+v", m)
			}
			head, body, _ := strings.Cut(m.Text, "\n\n")
			if body != text {
				t.Errorf("the text is %q, want %q", body, text)
			}
			got, err := netmail.ReadMessage(strings.NewReader(head + "\n\n"))
			if err != nil {
				t.Fatal(err)
			}
			for name, want := range map[string]string{"From": `"Acme" <no-reply@example.com>`, "To": "<bob+1@example.org>", "Subject": "A subject", "Auto-Submitted": "auto-generated"} {
				if value := got.Header.Get(name); value != want {
					t.Errorf("%s: %q, want %q", name, value, want)
				}
			}
			if _, err := got.Header.Date(); err != nil || !strings.HasSuffix(got.Header.Get("Message-ID"), "@example.com>") {
				t.Errorf("the headers are %v, %v", got.Header, err)
			}
		})
	}
}

// What does not go well is an error, and never a mail in clear or to somebody else.
func TestSendFails(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		options mailtest.Options
		config  mail.Config
		to      string
		want    string
	}{
		{"a wrong password", mailtest.Options{Username: "robot", Password: "hush"}, mail.Config{Username: "robot", Password: "secret"}, "", "535"},
		{"no password where one is wanted", mailtest.Options{Username: "robot", Password: "hush"}, mail.Config{}, "", "530"},
		{"a certificate of nobody", mailtest.Options{}, mail.Config{TLS: &tls.Config{MinVersion: tls.VersionTLS12}}, "", "certificate"},
		{"a mailbox that is not there", mailtest.Options{Refuse: map[string]string{"RCPT": "550 no such user"}}, mail.Config{}, "", "550"},
		{"a mail server that is busy", mailtest.Options{Refuse: map[string]string{"DATA": "451 try later"}}, mail.Config{}, "", "451"},
		{"STARTTLS that is refused", mailtest.Options{Refuse: map[string]string{"STARTTLS": "454 not now"}}, mail.Config{}, "", "454"},
		{"another header in the address", mailtest.Options{}, mail.Config{}, "bob@example.org>\r\nBcc: <eve@example.org", "nobody"},
		{"two addresses", mailtest.Options{}, mail.Config{}, "bob@example.org> <eve@example.org", "nobody"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			srv := mailtest.Start(t, tt.options)
			c := tt.config
			c.Address = srv.Address
			if c.TLS == nil {
				c.TLS = srv.TLS
			}
			to := tt.to
			if to == "" {
				to = "bob@example.org"
			}
			err := sender(t, c).Send(t.Context(), to, "A subject", "x")
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error tells the password: %v", err)
			}
			if !srv.None() {
				t.Errorf("there is a mail: %+v", srv.Next(t))
			}
		})
	}
}

// Nothing goes in clear over a network, the password neither.
func TestNothingInClear(t *testing.T) {
	t.Parallel()
	srv := mailtest.Start(t, mailtest.Options{NoTLS: true, Username: "robot", Password: "hush"})
	s := sender(t, mail.Config{Address: srv.Address, Username: "robot", Password: "hush"})
	if err := s.Send(t.Context(), "bob@example.org", "A subject", "x"); err != nil {
		t.Fatal(err)
	}
	srv.Next(t)
	s.Elsewhere(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 25})
	err := s.Send(t.Context(), "bob@example.org", "A subject", "x")
	if err == nil || !strings.Contains(err.Error(), "no encryption") || !srv.None() {
		t.Errorf("got %v", err)
	}
}

// A mail server that says nothing is given up with the caller.
func TestSendEndsWithItsCaller(t *testing.T) {
	t.Parallel()
	srv := mailtest.Start(t, mailtest.Options{Silent: true})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- sender(t, mail.Config{Address: srv.Address}).Send(ctx, "bob@example.org", "A subject", "x")
	}()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	// Nobody is there.
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := sender(t, mail.Config{Address: address}).Send(t.Context(), "bob@example.org", "A subject", "x"); err == nil {
		t.Error("a mail was sent by nobody")
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]mail.Config{
		"no address":           {From: from},
		"no port":              {Address: "mail.example.com", From: from},
		"another scheme":       {Address: "https://mail.example.com:25", From: from},
		"nobody it comes from": {Address: "mail.example.com:25"},
		"two it comes from":    {Address: "mail.example.com:25", From: "a@example.com, b@example.com"},
		"a line end in it":     {Address: "mail.example.com:25", From: "a@example.com\r\nBcc: b@example.com"},
		"a name and no secret": {Address: "mail.example.com:25", From: from, Username: "robot"},
		"a secret for nobody":  {Address: "mail.example.com:25", From: from, Password: "hush"},
		"an address not ASCII": {Address: "mail.example.com:25", From: "grüße@example.com"},
	} {
		if _, err := mail.New(c); err == nil {
			t.Errorf("%s: taken", name)
		} else if strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: the error tells the password: %v", name, err)
		}
	}
}
