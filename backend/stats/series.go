package stats

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// Of each call one counter of its code is raised and, when its time is known, one of
// its latency. Latencies are counted in buckets that are a quarter of an octave wide,
// from 2^minExp to 2^maxExp ns (16 µs, 69 s), with one below and one above.
const (
	codes   = 17 // of gRPC
	minExp  = 14
	maxExp  = 36
	buckets = 4*(maxExp-minExp) + 2

	counters = codes + buckets
)

// series counts the calls of an endpoint, or to an instance.
type series struct {
	inFlight atomic.Int64
	counts   [counters]atomic.Uint64
	took     atomic.Uint64 // nanoseconds of all latencies that were counted

	mu      sync.Mutex
	last    [counters]uint64 // what counts was at the last tick
	history []delta          // oldest first, without the ticks in which nothing was counted
	touched int64            // the last tick in which something was counted
}

// delta is what was counted between two ticks.
type delta struct {
	tick  int64
	cells []cell
}

// cell is a counter that was raised.
type cell struct {
	counter uint16
	n       uint32
}

func bucketOf(d time.Duration) int {
	n := uint64(max(d, 0))
	exp := bits.Len64(n) - 1
	switch {
	case exp < minExp:
		return 0
	case exp >= maxExp:
		return buckets - 1
	}
	return 1 + 4*(exp-minExp) + int(n>>(exp-2)&3)
}

// bound returns where a bucket ends, and the next one begins.
func bound(bucket int) time.Duration {
	exp, quarter := minExp+bucket/4, bucket%4
	return time.Duration(1)<<exp + time.Duration(quarter)<<(exp-2)
}

func (s *series) begin() { s.inFlight.Add(1) }

func (s *series) end(code uint32, took time.Duration, timed bool) {
	if code >= codes {
		code = unknown
	}
	s.counts[code].Add(1)
	if timed {
		s.counts[codes+bucketOf(took)].Add(1)
		s.took.Add(uint64(max(took, 0)))
	}
	s.inFlight.Add(-1)
}

// calls returns how many have ended.
func (s *series) calls() (n uint64) {
	for i := range codes {
		n += s.counts[i].Load()
	}
	return n
}

// tick puts what was counted since the last tick into the history, and drops what is
// too old.
func (s *series) tick(now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := 0
	for old < len(s.history) && s.history[old].tick <= now-kept {
		old++
	}
	s.history = s.history[old:]
	before := uint64(0)
	for _, n := range s.last[:codes] {
		before += n
	}
	if s.calls() == before {
		return
	}
	d := delta{tick: now}
	for i := range s.counts {
		n := s.counts[i].Load()
		if n != s.last[i] {
			d.cells = append(d.cells, cell{uint16(i), uint32(n - s.last[i])})
			s.last[i] = n
		}
	}
	s.history = append(s.history, d)
	s.touched = now
}

// idle reports whether nothing was counted since a tick, and nothing is under way.
func (s *series) idle(since int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.touched < since && s.inFlight.Load() == 0
}

// sum is what was counted in some time.
type sum [counters]uint64

// since adds what was counted after a tick to t.
func (s *series) since(tick int64, t *sum) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.history {
		if d.tick > tick {
			d.add(t)
		}
	}
	for i := range s.counts {
		t[i] += s.counts[i].Load() - s.last[i]
	}
}

func (d delta) add(t *sum) {
	for _, c := range d.cells {
		t[c.counter] += uint64(c.n)
	}
}

// total adds all that was ever counted to t.
func (s *series) total(t *sum) {
	for i := range s.counts {
		t[i] += s.counts[i].Load()
	}
}

func (t *sum) calls() (n uint64) {
	for _, c := range t[:codes] {
		n += c
	}
	return n
}

// timed returns how many calls have a latency.
func (t *sum) timed() (n uint64) {
	for _, c := range t[codes:] {
		n += c
	}
	return n
}

// quantile returns the latency that a share of the calls do not exceed, 0 when none
// has one. It is right to an eighth.
func (t *sum) quantile(q float64) time.Duration {
	all := t.timed()
	if all == 0 {
		return 0
	}
	left := q * float64(all)
	for b, n := range t[codes:] {
		if n == 0 {
			continue
		}
		if left > float64(n) {
			left -= float64(n)
			continue
		}
		low := time.Duration(0)
		if b > 0 {
			low = bound(b - 1)
		}
		if b == buckets-1 {
			return low
		}
		return low + time.Duration(left/float64(n)*float64(bound(b)-low))
	}
	return bound(buckets - 2)
}
