package stats

import (
	"context"
	"sync"
	"time"
)

// Usage is what an instance uses, with all that it has started.
type Usage struct {
	Namespace, Service, Instance string

	CPU    time.Duration // that it has used since it was started
	Memory int64         // resident bytes
}

// usage is what an instance has used.
type usage struct {
	mu      sync.Mutex
	history []used // oldest first; the last is of the last tick in which it ran
}

// used is what an instance had used at a tick.
type used struct {
	tick   int64
	at     time.Time
	cpu    time.Duration
	memory int64
}

// measure asks what instances use, which is what they have used at the next tick.
func (s *Stats) measure(ctx context.Context) {
	if s.config.Usage == nil {
		return
	}
	list, err := s.config.Usage(ctx)
	if err != nil {
		return // the next one may be better
	}
	now := time.Now()
	for _, u := range list {
		n := name{u.Namespace, u.Service}
		sv := (*s.services.Load())[n]
		if sv == nil {
			sv = s.addService(n)
		}
		i := (*sv.instances.Load())[u.Instance]
		if i == nil {
			i = add(s, u.Namespace, &sv.instances, u.Instance, &instance{})
		}
		if i != nil {
			i.usage.add(used{tick: s.now + 1, at: now, cpu: u.CPU, memory: u.Memory})
		}
	}
}

func (u *usage) add(d used) {
	u.mu.Lock()
	defer u.mu.Unlock()
	old := 0
	for old < len(u.history) && u.history[old].tick <= d.tick-kept-1 {
		old++
	}
	u.history = append(u.history[old:], d)
}

// idle reports whether it has not run since a tick.
func (u *usage) idle(since int64) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.history) == 0 || u.history[len(u.history)-1].tick < since
}

// since returns the cores that were used on average since a tick, and the memory at
// the end; false when it does not run.
func (u *usage) since(tick, now int64) (cores float64, memory int64, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.history) == 0 {
		return 0, 0, false
	}
	last := u.history[len(u.history)-1]
	if last.tick < now {
		return 0, 0, false
	}
	first := last
	for i := len(u.history) - 1; i >= 0 && u.history[i].tick >= tick; i-- {
		if u.history[i].cpu > first.cpu {
			break // it was started again
		}
		first = u.history[i]
	}
	return coresBetween(first, last), last.memory, true
}

// coresBetween returns the cores that were used on average between two ticks.
func coresBetween(first, last used) float64 {
	if passed := last.at.Sub(first.at); passed > 0 {
		return float64(last.cpu-first.cpu) / float64(passed)
	}
	return 0
}
