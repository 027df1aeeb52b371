package mail

import (
	"context"
	"net"
)

// Elsewhere has the sender believe that the mail server is at an address.
func (s *Sender) Elsewhere(address net.Addr) {
	dial := s.dial
	s.dial = func(ctx context.Context, network, at string) (net.Conn, error) {
		c, err := dial(ctx, network, at)
		return elsewhere{c, address}, err
	}
}

type elsewhere struct {
	net.Conn
	address net.Addr
}

func (e elsewhere) RemoteAddr() net.Addr { return e.address }
