// Package mailtest is a mail server for tests: it speaks as much SMTP as is needed to be
// given a mail, and keeps it.
package mailtest

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"math/big"
	"net"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"
)

// Server is a mail server.
type Server struct {
	Address string
	// TLS trusts the certificate of the server.
	TLS *tls.Config

	options  Options
	listener net.Listener
	mails    chan Mail
	wg       sync.WaitGroup
	mu       sync.Mutex
	conns    map[net.Conn]struct{}
}

// Mail is what was sent.
type Mail struct {
	From, To string
	Username string // who was logged in; empty: nobody
	TLS      bool   // it came encrypted
	Text     string // headers and body
}

// Options say how a server behaves.
type Options struct {
	Username, Password string            // that it wants; empty: it asks nobody
	NoTLS              bool              // it does not offer STARTTLS
	Implicit           bool              // it speaks TLS from the beginning
	Refuse             map[string]string // what it answers to a command, by the first word of that
	Silent             bool              // it says nothing at all
}

// Start runs a server until the test ends.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	own, pool, err := certificate()
	if err != nil {
		t.Fatal(err)
	}
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{
		Address:  l.Addr().String(),
		TLS:      &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		options:  o,
		listener: l,
		mails:    make(chan Mail, 100),
		conns:    map[net.Conn]struct{}{},
	}
	config := &tls.Config{Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS12}
	s.wg.Go(func() { s.serve(config) })
	t.Cleanup(func() {
		_ = l.Close()
		s.mu.Lock()
		for c := range s.conns {
			_ = c.Close()
		}
		s.mu.Unlock()
		s.wg.Wait()
	})
	return s
}

// Next returns the next mail that was sent.
func (s *Server) Next(t testing.TB) Mail {
	t.Helper()
	select {
	case m := <-s.mails:
		return m
	case <-time.After(30 * time.Second):
		t.Fatal("no mail came")
		return Mail{}
	}
}

// None reports whether no mail is there that nobody has taken.
func (s *Server) None() bool { return len(s.mails) == 0 }

func (s *Server) serve(config *tls.Config) {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns[c] = struct{}{}
		s.mu.Unlock()
		s.wg.Go(func() {
			defer c.Close()
			conn := c
			if s.options.Implicit {
				conn = tls.Server(c, config)
			}
			s.converse(conn, config)
		})
	}
}

// session is one conversation.
type session struct {
	*textproto.Conn

	mail Mail
}

func (s *Server) converse(c net.Conn, config *tls.Config) {
	if s.options.Silent {
		_, _ = bufio.NewReader(c).ReadByte() // until the client hangs up
		return
	}
	x := &session{Conn: textproto.NewConn(c)}
	x.mail.TLS = s.options.Implicit
	x.say("220 mail.test ESMTP")
	for {
		line, err := x.ReadLine()
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(line, " ")
		verb = strings.ToUpper(verb)
		if answer, refused := s.options.Refuse[verb]; refused {
			x.say(answer)
			continue
		}
		switch verb {
		case "EHLO":
			x.say("250-mail.test")
			if !s.options.NoTLS && !x.mail.TLS {
				x.say("250-STARTTLS")
			}
			x.say("250 AUTH PLAIN")
		case "STARTTLS":
			x.say("220 go ahead")
			x.mail.TLS = true
			x.Conn = textproto.NewConn(tls.Server(c, config))
		case "AUTH":
			x.say(s.login(x, rest))
		case "MAIL", "RCPT":
			x.say(s.envelope(x, verb, rest))
		case "DATA":
			x.say("354 go on")
			lines, err := x.ReadDotLines()
			if err != nil {
				return
			}
			m := x.mail
			m.Text = strings.Join(lines, "\n")
			s.mails <- m
			x.say("250 taken")
		case "QUIT":
			x.say("221 bye")
			return
		default:
			x.say("502 what is " + verb)
		}
	}
}

func (x *session) say(line string) { _ = x.PrintfLine("%s", line) } // the client is gone

func (s *Server) login(x *session, rest string) string {
	_, text, _ := strings.Cut(rest, " ")
	b, err := base64.StdEncoding.DecodeString(text)
	parts := strings.Split(string(b), "\x00")
	if err != nil || len(parts) != 3 || parts[1] != s.options.Username || parts[2] != s.options.Password {
		return "535 wrong username or password"
	}
	x.mail.Username = parts[1]
	return "235 logged in"
}

func (s *Server) envelope(x *session, verb, rest string) string {
	if s.options.Username != "" && x.mail.Username == "" {
		return "530 log in first"
	}
	_, address, _ := strings.Cut(rest, ":")
	address, _, _ = strings.Cut(strings.TrimPrefix(address, "<"), ">")
	if verb == "MAIL" {
		x.mail.From = address
	} else {
		x.mail.To = address
	}
	return "250 fine"
}

// certificate returns one for 127.0.0.1 and what trusts it.
func certificate() (tls.Certificate, *x509.CertPool, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "mail.test"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool, nil
}
