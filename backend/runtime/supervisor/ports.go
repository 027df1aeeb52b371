package supervisor

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// Host is where instances listen: nobody but this machine reaches them past the
// proxy.
const Host = "127.0.0.1"

// Ports are taken from below those that systems give to outgoing connections, so
// that none of these is in the way between choosing a port and listening on it.
const (
	minPort = 20000
	maxPort = 32767
)

// ports gives each instance a port of its own. Safe for concurrent use.
type ports struct {
	mu   sync.Mutex
	used map[int]bool
}

// take returns a port that no instance has and nobody listens on. The caller
// gives it back.
func (p *ports) take(ctx context.Context) (int, error) {
	const all = maxPort - minPort + 1
	for i, start := 0, rand.IntN(all); i < all; i++ { //nolint:gosec // it need not be secret
		port := minPort + (start+i)%all
		if !p.reserve(port) {
			continue
		}
		if free(ctx, port) {
			return port, nil
		}
		p.give(port)
		if err := ctx.Err(); err != nil {
			return 0, err
		}
	}
	return 0, errors.New("no port is free")
}

func (p *ports) reserve(port int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.used[port] {
		return false
	}
	p.used[port] = true
	return true
}

// give takes a port back.
func (p *ports) give(port int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.used, port)
}

// free reports whether a port can be listened on.
func free(ctx context.Context, port int) bool {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", net.JoinHostPort(Host, strconv.Itoa(port)))
	return err == nil && l.Close() == nil
}

// portOf returns the port of an address that take has chosen.
func portOf(address string) (int, bool) {
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		return 0, false
	}
	port, err := strconv.Atoi(text)
	return port, err == nil
}
