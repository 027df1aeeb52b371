// Package stats counts the calls that go through the door, and holds what was counted
// for the last minutes:
//
//	Begin, End ──▶ counters of the endpoint and of the instance    lock-free
//	Run        ──▶ what they have risen by, every [Period]         for [Kept]
//	Service, Services ◀── rates, errors by code and latencies of a window
//
// A call is counted twice, by its endpoint and by its instance, and not by both
// together: that would be as many counters as one times the other. Names of endpoints
// come from schemas; what a stranger calls by a name that there is not is counted
// without one.
//
// It knows namespaces and services by their names only. What it holds is gone with the
// process.
package stats

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// Period is the time between two points of a history.
	Period = 5 * time.Second
	// Kept is how long a history is.
	Kept = kept * Period
	// MaxSeries is how many endpoints and instances of a namespace have counters of
	// their own.
	MaxSeries = 10_000

	kept = 120 // points
	// forgetAfter is after how many ticks what nobody calls is forgotten: an hour.
	forgetAfter = 720
	// forgetEvery is after how many ticks that is looked for.
	forgetEvery = 12
	// unknown is the code of gRPC for what has none.
	unknown = 2
)

// Config is what [New] needs.
type Config struct {
	// Method reports whether a schema has a method, by its path, and whether it sends
	// several answers; nil: nobody knows.
	Method func(ctx context.Context, namespace, schema, path string) (known, streams bool)
	// Usage tells what instances use; nil: nobody knows.
	Usage func(ctx context.Context) ([]Usage, error)
}

// Stats is safe for concurrent use.
type Stats struct {
	config Config

	services atomic.Pointer[map[name]*service] // replaced, never changed

	mu    sync.Mutex
	count map[string]int // series of each namespace
	ticks []time.Time    // when the last ones were; the last is number now
	now   int64
}

type name struct{ namespace, service string }

// service is what is counted of a service.
type service struct {
	other     series // of endpoints without a name
	endpoints atomic.Pointer[map[string]*endpoint]
	instances atomic.Pointer[map[string]*instance]
}

type endpoint struct {
	series
	streams bool
}

type instance struct {
	series
	usage usage
}

// New returns stats that count from now on; run [Stats.Run].
func New(c Config) *Stats {
	s := &Stats{config: c, count: map[string]int{}, ticks: []time.Time{time.Now()}}
	s.services.Store(&map[name]*service{})
	return s
}

// Call is a call under way.
type Call struct {
	endpoint *series
	instance *series // nil: it has come to none
	began    time.Time
	kind     kind
}

type kind uint8

const (
	unsure  kind = iota // whether it has one answer
	single              // answer
	several             // answers
)

// Target is what is called.
type Target struct {
	Namespace, Service string // which has to be there
	Path               string // of the method
	// Instance is who answers, and Schema what it speaks; both are empty when it has
	// come to none.
	Instance, Schema string
}

// Begin counts a call that has begun at some time as under way. [Call.End] must be
// called once.
func (s *Stats) Begin(ctx context.Context, t Target, began time.Time) Call {
	sv := (*s.services.Load())[name{t.Namespace, t.Service}]
	if sv == nil {
		sv = s.addService(name{t.Namespace, t.Service})
	}
	c := Call{endpoint: &sv.other, began: began}
	e := (*sv.endpoints.Load())[t.Path]
	if e == nil && t.Schema != "" && s.config.Method != nil {
		if known, streams := s.config.Method(ctx, t.Namespace, t.Schema, t.Path); known {
			e = add(s, t.Namespace, &sv.endpoints, t.Path, &endpoint{streams: streams})
		}
	}
	if e != nil {
		c.endpoint, c.kind = &e.series, single
		if e.streams {
			c.kind = several
		}
	}
	if t.Instance != "" {
		i := (*sv.instances.Load())[t.Instance]
		if i == nil {
			i = add(s, t.Namespace, &sv.instances, t.Instance, &instance{})
		}
		if i != nil {
			c.instance = &i.series
			c.instance.begin()
		}
	}
	c.endpoint.begin()
	return c
}

// End counts a call with its code of gRPC. A call that had several answers has no
// latency: how long it lasts says nothing.
func (c *Call) End(code uint32, answers int) {
	took := time.Since(c.began)
	timed := c.kind == single || c.kind == unsure && answers <= 1
	c.endpoint.end(code, took, timed)
	if c.instance != nil {
		c.instance.end(code, took, timed)
	}
}

func (s *Stats) addService(n name) *service {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := *s.services.Load()
	if sv := before[n]; sv != nil {
		return sv
	}
	sv := &service{}
	sv.endpoints.Store(&map[string]*endpoint{})
	sv.instances.Store(&map[string]*instance{})
	after := maps.Clone(before)
	after[n] = sv
	s.services.Store(&after)
	return sv
}

// add adds one to the endpoints or instances of a service and returns it, or the one
// that there is; nil when the namespace has too many.
func add[T any](s *Stats, namespace string, all *atomic.Pointer[map[string]*T], key string, fresh *T) *T {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := *all.Load()
	if there := before[key]; there != nil {
		return there
	}
	if s.count[namespace] >= MaxSeries {
		return nil
	}
	s.count[namespace]++
	after := maps.Clone(before)
	after[key] = fresh
	all.Store(&after)
	return fresh
}

// Run keeps the history until ctx ends.
func (s *Stats) Run(ctx context.Context) {
	tick := time.NewTicker(Period)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		s.measure(ctx)
		s.tick()
	}
}

func (s *Stats) tick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now++
	if s.ticks = append(s.ticks, time.Now()); len(s.ticks) > kept+1 {
		s.ticks = s.ticks[1:]
	}
	for _, sv := range *s.services.Load() {
		sv.other.tick(s.now)
		for _, e := range *sv.endpoints.Load() {
			e.tick(s.now)
		}
		for _, i := range *sv.instances.Load() {
			i.tick(s.now)
		}
	}
	if s.now%forgetEvery == 0 {
		s.forgetIdle()
	}
}

// forgetIdle forgets what nobody has called for long. s.mu is held. A call that begins
// at this moment may go uncounted.
func (s *Stats) forgetIdle() {
	since := s.now - forgetAfter
	after := maps.Clone(*s.services.Load())
	for n, sv := range after {
		s.count[n.namespace] -= forget(&sv.endpoints, func(e *endpoint) bool { return e.idle(since) })
		s.count[n.namespace] -= forget(&sv.instances, func(i *instance) bool { return i.idle(since) && i.usage.idle(since) })
		if len(*sv.endpoints.Load()) == 0 && len(*sv.instances.Load()) == 0 && sv.other.idle(since) {
			delete(after, n)
		}
		if s.count[n.namespace] == 0 {
			delete(s.count, n.namespace)
		}
	}
	s.services.Store(&after)
}

// forget removes those that are idle, and returns how many these were.
func forget[T any](all *atomic.Pointer[map[string]*T], idle func(*T) bool) int {
	before := *all.Load()
	after := maps.Clone(before)
	maps.DeleteFunc(after, func(_ string, t *T) bool { return idle(t) })
	if len(after) < len(before) {
		all.Store(&after)
	}
	return len(before) - len(after)
}

// Forget forgets all that was counted of a namespace: one of the same name that is made
// later has nothing to do with it.
func (s *Stats) Forget(namespace string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	after := maps.Clone(*s.services.Load())
	maps.DeleteFunc(after, func(n name, _ *service) bool { return n.namespace == namespace })
	s.services.Store(&after)
	delete(s.count, namespace)
}
