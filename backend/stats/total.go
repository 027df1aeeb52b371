package stats

import (
	"iter"
	"time"
)

// Total is all that was counted of an endpoint, or of an instance, since it is known.
type Total struct {
	Namespace, Service string
	Endpoint           string // path; empty: those that no schema has
	Instance           string // id; empty: it is of an endpoint

	Codes     [codes]uint64
	InFlight  int64
	Timed     uint64        // calls that have a latency
	Took      time.Duration // all of their latencies
	Latencies []Latency     // ordered by bound

	Runs   bool // of an instance: what follows is known
	CPU    time.Duration
	Memory int64
}

// Latency is how many calls took no longer than a bound.
type Latency struct {
	Bound time.Duration
	Calls uint64
}

// Totals yields what was counted in all namespaces, in no order.
func (s *Stats) Totals() iter.Seq[Total] {
	return func(yield func(Total) bool) {
		s.mu.Lock()
		now := s.now
		s.mu.Unlock()
		for n, sv := range *s.services.Load() {
			t := sv.other.sumUp(n)
			if (sv.other.calls() > 0 || t.InFlight > 0) && !yield(t) {
				return
			}
			for path, e := range *sv.endpoints.Load() {
				t := e.sumUp(n)
				if t.Endpoint = path; !yield(t) {
					return
				}
			}
			for id, i := range *sv.instances.Load() {
				t := i.sumUp(n)
				t.Instance = id
				t.CPU, t.Memory, t.Runs = i.usage.last(now)
				if !yield(t) {
					return
				}
			}
		}
	}
}

// sumUp returns all that was counted. Latencies are told in octaves.
func (s *series) sumUp(n name) Total {
	out := Total{Namespace: n.namespace, Service: n.service, InFlight: s.inFlight.Load(), Took: time.Duration(s.took.Load())}
	var all sum
	s.total(&all)
	copy(out.Codes[:], all[:codes])
	for b, n := range all[codes:] {
		out.Timed += n
		if b%4 == 0 && b < buckets-1 {
			out.Latencies = append(out.Latencies, Latency{Bound: bound(b), Calls: out.Timed})
		}
	}
	return out
}

// last returns what was used up to now; false when it does not run.
func (u *usage) last(now int64) (cpu time.Duration, memory int64, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.history) == 0 {
		return 0, 0, false
	}
	d := u.history[len(u.history)-1]
	return d.cpu, d.memory, d.tick >= now
}
