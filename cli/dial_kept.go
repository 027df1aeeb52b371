package cli

import (
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/envs"
)

// keptTime is how long a connection is kept that nobody uses: one that is older may be
// dead without either side knowing.
const keptTime = time.Minute

// keptConns are connections that several apps use one after the other or at once, one for
// each place and way to reach it. The token is no part of that, because each call has its
// own. It is safe for concurrent use.
type keptConns struct {
	mu  sync.Mutex
	all map[connKey]*grpc.ClientConn
}

// connKey is what a connection depends on.
type connKey struct {
	env           envs.Env
	via, user, as string
	waitReady     bool
}

// newConnKey returns the key of connections to an environment that are made in a way.
func newConnKey(e envs.Env, t front.Transport) connKey {
	k := connKey{env: e, via: t.Via, as: t.Authority, waitReady: t.WaitReady}
	if t.ViaUser != nil {
		k.user = t.ViaUser.String()
	}
	return k
}

// get returns the connection of a key, or what dial makes when there is none or it was
// lost: a call on that would fail with what was wrong before.
func (c *keptConns) get(k connKey, dial func() (*grpc.ClientConn, error)) (*grpc.ClientConn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	conn := c.all[k]
	if conn != nil && conn.GetState() != connectivity.TransientFailure {
		return conn, nil
	}
	if conn != nil {
		_ = conn.Close() // nothing goes over it any more
		delete(c.all, k)
	}
	conn, err := dial()
	if err != nil {
		return nil, err
	}
	if c.all == nil {
		c.all = map[connKey]*grpc.ClientConn{}
	}
	c.all[k] = conn
	return conn, nil
}

// close closes all connections.
func (c *keptConns) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.all {
		_ = conn.Close() // nothing is under way on it
	}
	c.all = nil
}
