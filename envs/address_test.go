package envs

import (
	"errors"
	"net"
	"strconv"
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, in string
		want     string
		tls      bool
	}{
		{"host and port", "proxy.example.com:8081", "proxy.example.com:8081", false},
		{"port 443 means TLS", "proxy.example.com:443", "proxy.example.com:443", true},
		{"however it is written", "proxy.example.com:0443", "proxy.example.com:443", true},
		{"no port is 443", "proxy.example.com", "proxy.example.com:443", true},
		{"TLS on another port", "tls://proxy.example.com:8443", "proxy.example.com:8443", true},
		{"TLS without a port", "tls://proxy.example.com", "proxy.example.com:443", true},
		{"443 in clear", "tcp://proxy.example.com:443", "proxy.example.com:443", false},
		{"clear without a port", "tcp://proxy.example.com", "proxy.example.com:443", false},
		{"one label", "localhost:8081", "localhost:8081", false},
		{"rooted name", "proxy.example.com.:443", "proxy.example.com.:443", true},
		{"underscore", "my_service:80", "my_service:80", false},
		{"upper case", "PROXY.example.COM:80", "PROXY.example.COM:80", false},
		{"IPv4", "127.0.0.1:8081", "127.0.0.1:8081", false},
		{"IPv6", "[::1]:8081", "[::1]:8081", false},
		{"IPv6 without a port", "::1", "[::1]:443", true},
		{"IPv6 in brackets without a port", "tcp://[2001:db8::1]", "[2001:db8::1]:443", false},
		{"highest port", "a:65535", "a:65535", false},
		{"socket", "unix:/run/x.sock", "unix:/run/x.sock", false},
		{"socket as a URL", "unix:///run/x.sock", "unix:/run/x.sock", false},
		{"socket of this directory", "unix:x.sock", "unix:x.sock", false},
		{"longest label", strings.Repeat("a", 63) + ":1", strings.Repeat("a", 63) + ":1", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, useTLS, err := ParseAddress(tt.in)
			if got != tt.want || useTLS != tt.tls || err != nil {
				t.Errorf("ParseAddress(%q) = %q, %t, %v; want %q, %t", tt.in, got, useTLS, err, tt.want, tt.tls)
			}
		})
	}
}

func TestParseAddressErrors(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, in, want string }{
		{"empty", "", "is empty"},
		{"socket without a path", "unix:", "names no socket"},
		{"socket with a line end", "unix:/a\nb", "names no socket"},
		{"socket that is too long", "unix:/" + strings.Repeat("a", 103), "names no socket"},
		{"scheme alone", "tls://", "is empty"},
		{"other scheme", "http://foo.com", `begins with "http://", and only tls:// and tcp:// are known`},
		{"scheme in upper case", "TLS://foo.com", `begins with "TLS://"`},
		{"escape sequence in the scheme", "\x1b[31m://foo.com", `begins with "\x1b[31m://"`},
		{"path", "foo.com:443/path", "contains more than a host and a port"},
		{"user", "me@foo.com:443", "contains more than a host and a port"},
		{"query", "foo.com?x", "contains more than a host and a port"},
		{"space", "foo com", "contains more than a host and a port"},
		{"line end", "foo.com\n", "contains more than a host and a port"},
		{"colon without a port", "foo.com:", "has no port after the colon"},
		{"bracket and colon without a port", "[::1]:", "has no port after the colon"},
		{"port that is a name", "foo:bar", `has the port "bar", which is no number from 1 to 65535`},
		{"escape sequence in the port", "foo:\x1b[31m", `has the port "\x1b[31m"`},
		{"port 0", "foo:0", `has the port "0"`},
		{"port with a sign", "foo:+80", `has the port "+80"`},
		{"negative port", "foo:-1", `has the port "-1"`},
		{"port too high", "foo:65536", `has the port "65536"`},
		{"port far too high", "foo:99999999999999999999", `has the port`},
		{"hexadecimal port", "foo:0x50", `has the port "0x50"`},
		{"two ports", "foo:1:2", "has too many colons"},
		{"half an IPv6 address", "[::1", "has brackets around what is no IPv6 address"},
		{"name in brackets", "[foo]:443", "has brackets around what is no IPv6 address"},
		{"IPv4 in brackets", "[127.0.0.1]", "has brackets around what is no IPv6 address"},
		{"two brackets", "[[::1]]", "contains more than a host and a port"},
		{"something after the bracket", "[::1]x", "contains more than a host and a port"},
		{"no IPv6 address in brackets", "[:::::]:1", `has the host ":::::"`},
		{"no host", ":443", `has the host ""`},
		{"empty label", "foo..com:443", `has the host "foo..com"`},
		{"dot alone", ".:443", `has the host "."`},
		{"hyphen at the end of a label", "foo-.com", `has the host "foo-.com"`},
		{"hyphen at the beginning", "-foo:80", `has the host "-foo"`},
		{"label too long", strings.Repeat("a", 64), "has the host"},
		{"name too long", strings.Repeat("a.", 127) + "com", "has the host"},
		{"not ASCII", "naïve.com", "has the host"},
		{"NUL", "foo\x00:80", `has the host "foo\x00"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, _, err := ParseAddress(tt.in)
			if err == nil {
				t.Fatalf("ParseAddress(%q) = %q; want an error", tt.in, got)
			}
			if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("ParseAddress(%q): %v; want an ErrInvalid with %q", tt.in, err, tt.want)
			}
		})
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"foo.com:443", "tls://[::1]:8081", "tcp://a", "::1", "[::1]", "a:0443", "[foo]:1", "a:+1", "://", "\x1b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, useTLS, err := ParseAddress(s)
		if err != nil {
			if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r == 0x7f }) {
				t.Errorf("ParseAddress(%q): the error %q has control characters", s, err)
			}
			return
		}
		host, port, err := net.SplitHostPort(got)
		if err != nil {
			t.Fatalf("ParseAddress(%q) = %q, which cannot be split: %v", s, got, err)
		}
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 || strconv.Itoa(n) != port || host == "" {
			t.Errorf("ParseAddress(%q) = %q", s, got)
		}
		scheme := "tcp://"
		if useTLS {
			scheme = "tls://"
		}
		if again, againTLS, err := ParseAddress(scheme + got); again != got || againTLS != useTLS || err != nil {
			t.Errorf("ParseAddress(%q) = %q, %t, which is read again as %q, %t, %v", s, got, useTLS, again, againTLS, err)
		}
	})
}

func TestIsLoopback(t *testing.T) {
	t.Parallel()
	tests := []struct {
		address string
		want    bool
	}{
		{"127.0.0.1:8081", true},
		{"127.8.9.10:1", true},
		{"[::1]:8081", true},
		{"tls://localhost:8443", true},
		{"LocalHost:8081", true},
		{"0.0.0.0:8081", false},
		{"10.0.0.1:8081", false},
		{"localhost.example.com:443", false},
		{"proxy.m3o.com:443", false},
		{"not an address", false},
	}
	for _, tt := range tests {
		if got := (Env{Address: tt.address}).IsLoopback(); got != tt.want {
			t.Errorf("IsLoopback of %q is %t, want %t", tt.address, got, tt.want)
		}
	}
}
