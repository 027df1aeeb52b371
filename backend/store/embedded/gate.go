package embedded

import "sync/atomic"

// gate counts the calls that run, and lets none in once it is closed.
type gate struct {
	n      atomic.Int64 // calls, and gateClosed
	closed chan struct{}
	idle   chan struct{} // told when the last call has left a closed gate
}

const gateClosed = 1 << 62

func newGate() gate {
	return gate{closed: make(chan struct{}), idle: make(chan struct{}, 1)}
}

// enter reports whether a call may run. If so, it must leave.
func (g *gate) enter() bool {
	if g.n.Add(1) < gateClosed {
		return true
	}
	g.leave()
	return false
}

func (g *gate) leave() {
	if g.n.Add(-1) == gateClosed {
		select {
		case g.idle <- struct{}{}:
		default:
		}
	}
}

// close closes the gate, once.
func (g *gate) close() {
	g.n.Add(gateClosed)
	close(g.closed)
}

// isClosed reports whether it is.
func (g *gate) isClosed() bool { return g.n.Load() >= gateClosed }

// wait returns when no call runs any more. Callers that come late enter and leave
// again at once.
func (g *gate) wait() {
	for g.n.Load() != gateClosed {
		<-g.idle
	}
}
