package envs

import (
	"net"
	"strconv"
	"strings"
)

// ParseAddress reads the address of an environment: HOST, HOST:PORT, tls://HOST:PORT,
// tcp://HOST:PORT or unix:PATH. Without a port it is 443; port 443 means TLS unless the
// address begins with tcp://. It returns host:port, or unix:PATH for a socket of this
// machine, over which nothing is encrypted.
func ParseAddress(s string) (hostPort string, useTLS bool, err error) {
	if path, ok := SocketPath(s); ok {
		if path == "" || len(path) > maxSocketPath || strings.ContainsFunc(path, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return "", false, invalid("the address %q names no socket; it has the form unix:PATH with a path of at most %d bytes", s, maxSocketPath)
		}
		return unixScheme + path, false, nil
	}
	bad := func(why string) (string, bool, error) {
		return "", false, invalid("the address %q %s; it has the form HOST:PORT, for example proxy.example.com:443", s, why)
	}
	scheme, rest, found := strings.Cut(s, "://")
	if !found {
		scheme, rest = "", s
	}
	switch {
	case found && scheme != "tls" && scheme != "tcp":
		return bad("begins with " + strconv.Quote(scheme+"://") + ", and only tls:// and tcp:// are known")
	case rest == "":
		return bad("is empty")
	case strings.ContainsAny(rest, "/?#@ \t\n"):
		return bad("contains more than a host and a port")
	}
	host, port, problem := splitHostPort(rest)
	if problem != "" {
		return bad(problem)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return bad("has the port " + strconv.Quote(port) + ", which is no number from 1 to 65535")
	}
	if !isHost(host) {
		return bad("has the host " + strconv.Quote(host) + ", which is neither a name nor an IP address")
	}
	port = strconv.FormatUint(n, 10) // without leading zeros
	return net.JoinHostPort(host, port), scheme == "tls" || scheme == "" && port == "443", nil
}

const (
	unixScheme = "unix:"
	// maxSocketPath is how long the path of a socket can be on every system.
	maxSocketPath = 103
)

// SocketPath returns the path in the address of a socket, false when it is another
// address.
func SocketPath(address string) (string, bool) {
	path, ok := strings.CutPrefix(address, unixScheme)
	if rest, slashes := strings.CutPrefix(path, "//"); ok && slashes {
		path = rest // unix:///run/x.sock, as URLs have it
	}
	return path, ok
}

// splitHostPort splits an address, whose port may be missing. An IPv6 address may
// be without brackets when there is no port.
func splitHostPort(s string) (host, port, problem string) {
	const implied = "443"
	inner, bracketed := strings.CutPrefix(s, "[")
	switch {
	case bracketed:
		host, rest, ok := strings.Cut(inner, "]")
		if !ok || !strings.Contains(host, ":") {
			return "", "", "has brackets around what is no IPv6 address"
		}
		if rest == "" {
			return host, implied, ""
		}
		if port, ok = strings.CutPrefix(rest, ":"); !ok {
			return "", "", "contains more than a host and a port"
		}
		return host, port, emptyPort(port)
	case strings.Count(s, ":") > 1:
		if net.ParseIP(s) == nil {
			return "", "", "has too many colons"
		}
		return s, implied, ""
	}
	host, port, found := strings.Cut(s, ":")
	if !found {
		return host, implied, ""
	}
	return host, port, emptyPort(port)
}

func emptyPort(port string) string {
	if port == "" {
		return "has no port after the colon"
	}
	return ""
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
	if _, ok := SocketPath(hostPort); ok {
		return true
	}
	host, _, _ := net.SplitHostPort(hostPort)
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
