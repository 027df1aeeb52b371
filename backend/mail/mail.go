// Package mail sends mail by SMTP (RFC 5321), and nothing in clear but to this machine.
package mail

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/smtp"
	"strings"
	"time"
)

// timeout bounds one conversation with the mail server.
const timeout = 30 * time.Second

// Config is what [New] needs.
type Config struct {
	// Address is that of the mail server, as host:port. With smtps:// before it, and on
	// port 465, the server speaks TLS from the beginning (RFC 8314). Otherwise it must
	// offer STARTTLS, unless it is on this machine.
	Address string
	// From is the address that mail comes from, which may have a name before it:
	// "Acme <no-reply@example.com>".
	From string
	// Username and Password log in to the mail server; empty: it asks nobody.
	Username, Password string
	// TLS is for the connection; nil: the certificates of the operating system. Its
	// name of the server is set from Address.
	TLS *tls.Config
	// Now tells the time; time.Now when nil.
	Now func() time.Time
}

// Sender sends mail. It is safe for concurrent use.
type Sender struct {
	config   Config
	address  string // host:port
	host     string
	implicit bool // TLS from the beginning
	tls      *tls.Config
	from     *mail.Address
	dial     func(ctx context.Context, network, address string) (net.Conn, error)
}

// New returns a sender, and an error when the settings can never do.
func New(c Config) (*Sender, error) {
	address, implicit := strings.CutPrefix(c.Address, "smtps://")
	host, port, err := net.SplitHostPort(strings.TrimPrefix(address, "smtp://"))
	if err != nil || host == "" || port == "" {
		return nil, fmt.Errorf("the address of the mail server is %q, not of the form host:port", c.Address)
	}
	from, err := mail.ParseAddress(c.From)
	if err != nil || !isASCII(from.Address) {
		return nil, fmt.Errorf("the address that mail comes from is %q, which is none", c.From)
	}
	if (c.Username == "") != (c.Password == "") {
		return nil, errors.New("the mail server needs both a username and a password, or neither")
	}
	t := &tls.Config{}
	if c.TLS != nil {
		t = c.TLS.Clone()
	}
	t.ServerName, t.MinVersion = host, tls.VersionTLS12
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Sender{
		config:   c,
		address:  net.JoinHostPort(host, port),
		host:     host,
		implicit: implicit || port == "465",
		tls:      t,
		from:     from,
		dial:     (&net.Dialer{}).DialContext,
	}, nil
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c > '~' })
}

// Send sends a text to one mailbox, and returns when the mail server has taken it.
// Subject is one line of ASCII.
func (s *Sender) Send(ctx context.Context, to, subject, text string) error {
	if !isASCII(to) || !isASCII(subject) || strings.ContainsAny(to, "<> ") {
		return errors.New("a mail to nobody, or with a subject that cannot be sent")
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := s.converse(ctx, to, s.message(to, subject, text)); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err() // the connection was closed for it
		}
		return fmt.Errorf("send mail by %s: %w", s.address, err)
	}
	return nil
}

func (s *Sender) converse(ctx context.Context, to string, message []byte) error {
	conn, err := s.dial(ctx, "tcp", s.address)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })() // whoever waits on it is told
	if s.implicit {
		conn = tls.Client(conn, s.tls)
	}
	c, err := smtp.NewClient(conn, s.host)
	if err != nil {
		return err
	}
	if err := s.secure(c, conn); err != nil {
		return err
	}
	if s.config.Username != "" {
		if err := c.Auth(smtp.PlainAuth("", s.config.Username, s.config.Password, s.host)); err != nil {
			return err
		}
	}
	if err := c.Mail(s.from.Address); err != nil {
		return err
	}
	if err := c.Rcpt(to); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(message); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	_ = c.Quit() // it has the mail
	return nil
}

// secure encrypts the conversation.
func (s *Sender) secure(c *smtp.Client, conn net.Conn) error {
	if s.implicit {
		return nil
	}
	if offered, _ := c.Extension("STARTTLS"); offered {
		return c.StartTLS(s.tls)
	}
	if remote, ok := conn.RemoteAddr().(*net.TCPAddr); !ok || !remote.IP.IsLoopback() {
		return errors.New("the mail server offers no encryption")
	}
	return nil
}

// message returns a mail with its headers.
func (s *Sender) message(to, subject, text string) []byte {
	_, domain, _ := strings.Cut(s.from.Address, "@")
	var b bytes.Buffer
	for _, h := range [][2]string{
		{"From", s.from.String()},
		{"To", "<" + to + ">"},
		{"Subject", subject},
		{"Date", s.config.Now().Format(time.RFC1123Z)},
		{"Message-ID", "<" + strings.ToLower(rand.Text()) + "@" + domain + ">"},
		{"MIME-Version", "1.0"},
		{"Content-Type", "text/plain; charset=utf-8"},
		{"Content-Transfer-Encoding", "8bit"},
		{"Auto-Submitted", "auto-generated"},
	} {
		fmt.Fprintf(&b, "%s: %s\r\n", h[0], h[1])
	}
	b.WriteString("\r\n")
	b.WriteString(strings.ReplaceAll(text, "\n", "\r\n"))
	return b.Bytes()
}
