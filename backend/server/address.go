package server

import (
	"net"
	"net/netip"
	"strconv"
)

// parseAddress reads host:port of which the host is an IP address, and returns it in
// the one form that it can be compared in: [::ffff:10.0.0.1]:080 is 10.0.0.1:80.
func parseAddress(address string) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" || port == "" {
		return netip.AddrPort{}, invalid("%q is no address of the form host:port", address)
	}
	ip, err := netip.ParseAddr(host)
	if err != nil || ip.Zone() != "" {
		return netip.AddrPort{}, invalid("%q is no IP address; names are not resolved here", host)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return netip.AddrPort{}, invalid("%q is no port", port)
	}
	return netip.AddrPortFrom(ip.Unmap(), uint16(n)), nil
}

// forwardable returns the address that calls to an instance are forwarded to, or
// why they are not: strangers register addresses. A server that only this machine
// can reach forwards within this machine only; no server forwards to itself, where
// a call would go round for ever, or to what its runtime started under another
// name.
func (s *Server) forwardable(address string) (string, error) {
	a, err := parseAddress(address)
	if err != nil {
		return "", err
	}
	ip := a.Addr()
	if ip.IsUnspecified() || ip.IsMulticast() || ip.IsLinkLocalUnicast() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return "", invalid("calls are not forwarded to %s", ip)
	}
	if ip.IsLoopback() != s.loopbackOnly() {
		return "", invalid("calls are not forwarded to %s: this server and its instances are to be on the same side of the loopback interface", ip)
	}
	if s.isOwn(a) || s.directory.has(a) {
		return "", invalid("%s is taken", a)
	}
	return a.String(), nil
}

// isOwn reports whether the server itself listens on an address.
func (s *Server) isOwn(a netip.AddrPort) bool {
	for _, own := range []string{s.addresses.Proxy, s.addresses.Gateway, s.addresses.Instances, s.addresses.Metrics} {
		o, err := parseAddress(own)
		if err != nil || o.Port() != a.Port() {
			continue
		}
		if o.Addr() == a.Addr() || o.Addr().IsUnspecified() && isOfThisMachine(a.Addr()) {
			return true
		}
	}
	return false
}

// isOfThisMachine reports whether this machine has an IP address; when it cannot be
// told it might.
func isOfThisMachine(ip netip.Addr) bool {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return true
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			if own, ok := netip.AddrFromSlice(n.IP); ok && own.Unmap() == ip {
				return true
			}
		}
	}
	return false
}
