package proxy

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/micro/micro/v3/backend/registry"
)

const (
	// An instance that cannot be reached is left alone for so long, while there
	// are others.
	ejection = time.Second
	// A connection that nobody has used for so long is closed.
	idle = 5 * time.Minute
	// maxMessage bounds one message through the door.
	maxMessage = 64 << 20
)

// pool holds one connection to each instance that is called.
type pool struct {
	mu    sync.Mutex
	conns map[string]*conn // by address
	swept time.Time
}

type conn struct {
	*grpc.ClientConn
	address  string
	inFlight atomic.Int64
	ejected  atomic.Int64 // until when, in Unix nanoseconds

	mu      sync.Mutex
	used    time.Time
	drained chan struct{} // closed when inFlight falls to 0; nil when nobody waits
}

func newPool() *pool { return &pool{conns: map[string]*conn{}} }

func (p *pool) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, c := range p.conns {
		errs = append(errs, c.Close())
	}
	p.conns = nil
	return errors.Join(errs...)
}

// pick chooses one of the instances, and counts a call to it that is under way
// until done is called: the one with fewer of two drawn at random. Instances in
// tried were tried for this call.
func (p *pool) pick(instances []registry.Instance, tried []string) (*conn, *registry.Instance, error) {
	candidates := instances
	if len(instances) > 1 {
		now := time.Now().UnixNano()
		candidates = slices.DeleteFunc(slices.Clone(instances), func(in registry.Instance) bool {
			return slices.Contains(tried, in.Address) || p.ejected(in.Address, now)
		})
		if len(candidates) == 0 { // better one that failed before than none
			candidates = slices.DeleteFunc(slices.Clone(instances), func(in registry.Instance) bool {
				return slices.Contains(tried, in.Address)
			})
		}
	}
	if len(candidates) == 0 || len(instances) == 1 && slices.Contains(tried, instances[0].Address) {
		return nil, nil, ErrNoInstance
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns == nil {
		return nil, nil, ErrClosed
	}
	in := &candidates[rand.IntN(len(candidates))]
	best, err := p.conn(in.Address)
	if err != nil {
		return nil, nil, err
	}
	if len(candidates) > 1 {
		second := &candidates[rand.IntN(len(candidates))]
		other, err := p.conn(second.Address)
		if err != nil {
			return nil, nil, err
		}
		if other.inFlight.Load() < best.inFlight.Load() {
			best, in = other, second
		}
	}
	best.inFlight.Add(1)
	p.sweep()
	return best, in, nil
}

func (p *pool) ejected(address string, now int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.conns[address]
	return c != nil && c.ejected.Load() > now
}

// conn returns the connection to an address. p.mu is held.
func (p *pool) conn(address string) (*conn, error) {
	c := p.conns[address]
	if c == nil {
		cc, err := grpc.NewClient("passthrough:///"+address,
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second},
				MinConnectTimeout: 2 * time.Second,
			}),
			grpc.WithDefaultCallOptions(
				grpc.ForceCodecV2(Codec()),
				grpc.MaxCallRecvMsgSize(maxMessage),
				grpc.MaxCallSendMsgSize(maxMessage),
			),
			grpc.WithInitialWindowSize(1<<20),
			grpc.WithInitialConnWindowSize(4<<20),
			grpc.WithDisableServiceConfig(),
			grpc.WithNoProxy(), // for the world outside
		)
		if err != nil {
			return nil, err
		}
		c = &conn{ClientConn: cc, address: address}
		p.conns[address] = c
	}
	c.mu.Lock()
	c.used = time.Now()
	c.mu.Unlock()
	return c, nil
}

// sweep closes the connections that nobody uses any more. p.mu is held.
func (p *pool) sweep() {
	now := time.Now()
	if now.Sub(p.swept) < idle/5 {
		return
	}
	p.swept = now
	for address, c := range p.conns {
		c.mu.Lock()
		unused := now.Sub(c.used) > idle
		c.mu.Unlock()
		if unused && c.inFlight.Load() == 0 {
			_ = c.Close() // nothing is under way on it
			delete(p.conns, address)
		}
	}
}

// drain returns when no call to address is under way, and closes the connection.
func (p *pool) drain(ctx context.Context, address string) error {
	p.mu.Lock()
	c := p.conns[address]
	p.mu.Unlock()
	if c == nil {
		return nil
	}
	for {
		select {
		case <-c.unused():
		case <-ctx.Done():
			return ctx.Err()
		}
		p.mu.Lock()
		if p.conns[address] != c { // somebody else has closed it
			p.mu.Unlock()
			return nil
		}
		if c.inFlight.Load() == 0 { // and stays so, since pick needs p.mu
			delete(p.conns, address)
			p.mu.Unlock()
			return c.Close()
		}
		p.mu.Unlock()
	}
}

// unused returns a channel that is closed when no call is under way.
func (c *conn) unused() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.drained == nil {
		c.drained = make(chan struct{})
	}
	drained := c.drained
	if c.inFlight.Load() == 0 {
		close(drained)
		c.drained = nil
	}
	return drained
}

// done ends a call that pick has counted.
func (c *conn) done() {
	if c.inFlight.Add(-1) > 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.drained != nil {
		close(c.drained)
		c.drained = nil
	}
}

// eject leaves the instance alone for a while.
func (c *conn) eject() { c.ejected.Store(time.Now().Add(ejection).UnixNano()) }
