package server

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/micro/micro/v3/backend/deploy"
)

func TestForwardable(t *testing.T) {
	t.Parallel()
	local := Addresses{Gateway: "127.0.0.1:8080", Proxy: "127.0.0.1:8081"}
	secure := Addresses{Gateway: "127.0.0.1:8080", Proxy: "127.0.0.1:8081", Instances: "127.0.0.1:8083"}
	public := Addresses{Gateway: "[::]:8080", Proxy: "[::]:8081"}
	bound := Addresses{Gateway: "192.0.2.1:8080", Proxy: "192.0.2.1:8081"}
	mixed := Addresses{Gateway: "127.0.0.1:8080", Proxy: "0.0.0.0:8081"}
	for _, tt := range []struct {
		name    string
		server  Addresses
		address string
		want    string // empty: refused
	}{
		{"loopback", local, "127.0.0.1:9000", "127.0.0.1:9000"},
		{"another loopback", local, "127.9.9.9:9000", "127.9.9.9:9000"},
		{"loopback of IPv6", local, "[::1]:9000", "[::1]:9000"},
		{"a mapped address becomes what it means", local, "[::ffff:127.0.0.1]:9000", "127.0.0.1:9000"},
		{"a port with zeros becomes what it means", local, "127.0.0.1:09000", "127.0.0.1:9000"},
		{"the highest port", local, "127.0.0.1:65535", "127.0.0.1:65535"},

		{"the proxy", local, "127.0.0.1:8081", ""},
		{"the gateway", local, "127.0.0.1:8080", ""},
		{"the proxy, with zeros", local, "127.0.0.1:08081", ""},
		{"the proxy, mapped", local, "[::ffff:127.0.0.1]:8081", ""},
		{"the proxy, mapped and spelled out", local, "[0:0:0:0:0:ffff:7f00:1]:8081", ""},
		{"the way of the instances", secure, "127.0.0.1:8083", ""},
		{"an instance of the runtime", local, "127.0.0.1:7000", ""},
		{"an instance of the runtime, with zeros", local, "127.0.0.1:07000", ""},
		{"an instance of the runtime, mapped", local, "[::ffff:127.0.0.1]:7000", ""},
		{"the network, from a local server", local, "10.0.0.5:9000", ""},
		{"the network, from a server with one local port", mixed, "127.0.0.1:9000", ""},

		{"the network", public, "10.0.0.5:9000", "10.0.0.5:9000"},
		{"the network of IPv6", public, "[2001:db8::1]:9000", "[2001:db8::1]:9000"},
		{"another machine's port of the same number", public, "203.0.113.7:8081", "203.0.113.7:8081"},
		{"a server on one address, itself", bound, "192.0.2.1:8081", ""},
		{"a server on one address, another port of it", bound, "192.0.2.1:9000", "192.0.2.1:9000"},
		{"this machine, from a public server", public, "127.0.0.1:9000", ""},
		{"this machine, mapped, from a public server", public, "[::ffff:127.0.0.1]:9000", ""},
		{"metadata of a cloud", public, "169.254.169.254:80", ""},
		{"metadata of a cloud, mapped", public, "[::ffff:169.254.169.254]:80", ""},
		{"link local", public, "[fe80::1]:9000", ""},
		{"link local with a zone", public, "[fe80::1%eth0]:9000", ""},
		{"multicast", public, "224.0.0.1:9000", ""},
		{"multicast of IPv6", public, "[ff02::1]:9000", ""},
		{"broadcast", public, "255.255.255.255:9000", ""},

		{"unspecified", local, "0.0.0.0:9000", ""},
		{"unspecified of IPv6", local, "[::]:9000", ""},
		{"unspecified, mapped", local, "[::ffff:0.0.0.0]:9000", ""},
		{"nothing", local, "", ""},
		{"no port", local, "127.0.0.1", ""},
		{"an empty port", local, "127.0.0.1:", ""},
		{"port 0", local, "127.0.0.1:0", ""},
		{"a port of zeros", local, "127.0.0.1:000", ""},
		{"a port too many", local, "127.0.0.1:65536", ""},
		{"a negative port", local, "127.0.0.1:-1", ""},
		{"a port with a sign", local, "127.0.0.1:+9000", ""},
		{"a port by name", local, "127.0.0.1:http", ""},
		{"a name", local, "localhost:9000", ""},
		{"decimal", local, "2130706433:9000", ""},
		{"octal", local, "0177.0.0.1:9000", ""},
		{"short", local, "127.1:9000", ""},
		{"a target of gRPC", local, "dns:///127.0.0.1:9000", ""},
		{"a socket", local, "unix:/tmp/x", ""},
		{"space", local, " 127.0.0.1:9000", ""},
		{"NUL", local, "127.0.0.1\x00:9000", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := &Server{addresses: tt.server, directory: &directory{up: map[string]deploy.Instance{
				"x": {Address: "127.0.0.1:7000"},
			}}}
			got, err := s.forwardable(tt.address)
			if got != tt.want || (err == nil) != (tt.want != "") || err != nil && !errors.Is(err, errInvalid) {
				t.Errorf("forwardable(%q) = %q, %v; want %q", tt.address, got, err, tt.want)
			}
		})
	}
}

// A server on every address of its machine is itself on each of them.
func TestForwardableToNoAddressOfThisMachine(t *testing.T) {
	t.Parallel()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, listen := range []string{"0.0.0.0:8081", "[::]:8081"} {
		s := &Server{addresses: Addresses{Gateway: "0.0.0.0:8080", Proxy: listen}, directory: &directory{}}
		for _, a := range addrs {
			ip, ok := netip.AddrFromSlice(a.(*net.IPNet).IP)
			if !ok {
				t.Fatal(a)
			}
			for _, port := range []uint16{8080, 8081} {
				address := netip.AddrPortFrom(ip, port).String()
				if got, err := s.forwardable(address); err == nil {
					t.Errorf("a server on %s forwards to itself, %s", listen, got)
				}
			}
		}
	}
}
