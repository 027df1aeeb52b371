package server

import (
	"context"
	"errors"
	"hash/maphash"
	"net/http"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/tap"

	"github.com/micro/micro/v3/backend/auth"
)

// How many calls of the server's own methods, and how many streams and calls of
// services, are under way at once unless told otherwise.
const (
	maxCalls      = 1024
	maxOpenCalls  = 4096
	overloadRetry = 250 * time.Millisecond
	// knownTokens is of how many tokens the door knows whose they are; with more it
	// begins anew.
	knownTokens = 10_000
)

// errOverloaded refuses a call before anything of it was looked at.
var errOverloaded = errors.New("the server has as many calls under way as it takes; try again soon")

// door lets calls in, as many as the server can bear: with more, each would take
// longer, and memory has an end. What it refuses costs next to nothing, so that the
// calls inside go on as fast as without.
//
// It stands before authentication. Whose call it is it knows by the token, once that has
// been good for a call before; what it does not know are calls of nobody, all together.
type door struct {
	calls, open *pool
	own         map[string]bool // the server's own methods: whether they are unary
	status      func(error) error

	seed  maphash.Seed
	mu    sync.RWMutex
	known map[uint64]string // namespaces, by hashes of tokens
}

func newDoor(calls, open int, status func(error) error) *door {
	return &door{calls: newPool(calls), open: newPool(open), status: status, seed: maphash.MakeSeed(), known: map[uint64]string{}}
}

// serves tells the door which methods are the server's own.
func (d *door) serves(services map[string]grpc.ServiceInfo) {
	d.own = map[string]bool{}
	for name, info := range services {
		for _, m := range info.Methods {
			d.own["/"+name+"/"+m.Name] = !m.IsClientStream && !m.IsServerStream
		}
	}
}

// learn remembers whose a token is, which was found to be good.
func (d *door) learn(token string, caller auth.Identity) {
	if token == "" {
		return
	}
	h := maphash.String(d.seed, token)
	d.mu.RLock()
	ns := d.known[h]
	d.mu.RUnlock()
	if ns == caller.Namespace {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.known) >= knownTokens {
		clear(d.known)
	}
	d.known[h] = caller.Namespace
}

// whose returns the namespace whose account makes a call; empty when that is not known.
func (d *door) whose(authorization string) string {
	_, token, _ := strings.Cut(authorization, " ")
	if token == "" {
		return ""
	}
	h := maphash.String(d.seed, token)
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.known[h]
}

// tap lets a gRPC call in, before its message has come; it leaves when its context ends.
// It runs while the connection is locked, and does not block.
func (d *door) tap(ctx context.Context, info *tap.Info) (context.Context, error) {
	if strings.HasPrefix(info.FullMethodName, "/grpc.health.v1.Health/") {
		return ctx, nil // whoever asks for it under load has to have an answer
	}
	p := d.open
	if d.own[info.FullMethodName] {
		p = d.calls
	}
	leave, ok := p.enter(d.whose(first(info.Header, "authorization")))
	if !ok {
		return ctx, d.status(errOverloaded)
	}
	context.AfterFunc(ctx, leave)
	return ctx, nil
}

// admit lets an HTTP request in, which leaves by what is returned.
func (d *door) admit(r *http.Request) (leave func(), err error) {
	leave, ok := d.open.enter(d.whose(r.Header.Get("Authorization")))
	if !ok {
		return nil, errOverloaded
	}
	return leave, nil
}

// pool counts what is under way.
type pool struct {
	limit int

	mu   sync.Mutex
	used int
	by   map[string]int // of those that have any
}

func newPool(limit int) *pool { return &pool{limit: limit, by: map[string]int{}} }

// enter reports whether there is a place for one more. The last quarter is for those who
// have less than an equal share of all places: one who takes all that he gets leaves
// room for others.
func (p *pool) enter(who string) (leave func(), ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	mine := p.by[who]
	sharers := len(p.by)
	if mine == 0 {
		sharers++
	}
	if p.used >= p.limit || p.used >= p.limit*3/4 && mine >= p.limit/max(sharers, 2) {
		return nil, false
	}
	p.used++
	p.by[who]++
	return func() { p.leave(who) }, true
}

func (p *pool) leave(who string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used--
	if p.by[who]--; p.by[who] == 0 {
		delete(p.by, who)
	}
}
