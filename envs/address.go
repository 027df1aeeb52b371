package envs

import (
	"net"
	"strconv"
	"strings"
)

// ParseAddress reads the address of an environment: HOST, HOST:PORT, tls://HOST:PORT
// or tcp://HOST:PORT. Without a port it is 443; port 443 means TLS unless the address
// begins with tcp://. It returns host:port.
func ParseAddress(s string) (hostPort string, useTLS bool, err error) {
	bad := func(why string) (string, bool, error) {
		return "", false, invalid("the address %q %s; it has the form HOST:PORT, for example proxy.example.com:443", s, why)
	}
	rest, scheme := s, ""
	if before, after, found := strings.Cut(s, "://"); found {
		scheme, rest = before, after
		if scheme != "tls" && scheme != "tcp" {
			return bad("begins with " + scheme + "://, and only tls:// and tcp:// are known")
		}
	}
	if rest == "" {
		return bad("is empty")
	}
	if strings.ContainsAny(rest, "/?#@ \t\n") {
		return bad("contains more than a host and a port")
	}
	host, port := rest, ""
	switch colons := strings.Count(rest, ":"); {
	case strings.HasPrefix(rest, "[") || colons == 1:
		if strings.HasSuffix(rest, "]") {
			host = strings.Trim(rest, "[]")
			break
		}
		if host, port, err = net.SplitHostPort(rest); err != nil || port == "" {
			return bad("has no port after the colon")
		}
	case colons > 1 && net.ParseIP(rest) == nil:
		return bad("has too many colons")
	}
	if port == "" {
		port = "443"
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return bad("has the port " + port + ", which is no number from 1 to 65535")
	}
	if !isHost(host) {
		return bad("has the host " + strconv.Quote(host) + ", which is neither a name nor an IP address")
	}
	return net.JoinHostPort(host, port), scheme == "tls" || scheme == "" && port == "443", nil
}

func isHost(h string) bool {
	if net.ParseIP(h) != nil {
		return true
	}
	if h == "" || len(h) > 253 {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(h, "."), ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}

// IsLoopback reports whether an environment is on this machine.
func (e Env) IsLoopback() bool {
	hostPort, _, err := ParseAddress(e.Address)
	if err != nil {
		return false
	}
	host, _, _ := net.SplitHostPort(hostPort)
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
