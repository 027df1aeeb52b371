package deploy

import (
	"cmp"
	"fmt"
	"slices"
)

// plan is what is to be done about the instances of a service.
type plan struct {
	start   []int64           // the releases of instances to start
	retire  map[string]string // why instances are to end, by their ids
	called  int               // instances of the current release that are running
	healthy bool              // which are all that there should be
}

// wanted is what should run.
type wanted struct {
	current   int64 // a release
	instances int
	// serving is the release that is called until current can take over, 0 when there
	// is none, or it is current itself. It has olds instances.
	serving int64
	olds    int
}

// member is an instance that is kept, and not to end.
type member struct {
	id      string
	release int64
	phase   Phase
}

// makePlan compares the instances that there are with those that there should be.
//
// A new release takes over one by one: an instance of the one that serves is
// retired for each new one that is healthy, so that never fewer than wanted are
// called, with a quarter more than wanted at the most at a time.
func makePlan(w wanted, there []member) plan {
	p := plan{retire: map[string]string{}}
	var news, olds []member
	for _, m := range there {
		switch m.release {
		case w.current:
			news = append(news, m)
			if m.phase == Running {
				p.called++
			}
		case w.serving:
			olds = append(olds, m)
		default: // of a release that never came to serve, or does not any more
			p.retire[m.id] = fmt.Sprintf("release %d is to run", w.current)
		}
	}
	p.healthy = p.called >= w.instances
	news = p.keep(news, w.instances, "there should be %s", instances(w.instances))

	// After a restart of the server nothing of the release that served runs; it
	// has to until the new one can, with no more instances than it should have.
	lack := min(max(0, w.instances-p.called), w.olds)
	olds = p.keep(olds, lack, "release %d takes over", w.current)
	for range lack - len(olds) {
		p.start = append(p.start, w.serving)
	}

	room := w.instances - len(news)
	if lack > 0 {
		surge := max(1, w.instances/4)
		room = min(room, w.instances+surge-len(news)-lack)
	}
	for range max(0, room) {
		p.start = append(p.start, w.current)
	}
	return p
}

// keep retires all but the n healthiest, which it returns, for a reason.
func (p *plan) keep(ms []member, n int, why string, args ...any) []member {
	rank := map[Phase]int{Running: -4, Starting: -3, Pending: -2, Unhealthy: -1}
	slices.SortFunc(ms, func(a, b member) int {
		return cmp.Or(cmp.Compare(rank[a.phase], rank[b.phase]), cmp.Compare(a.id, b.id))
	})
	n = min(n, len(ms))
	for _, m := range ms[n:] {
		p.retire[m.id] = fmt.Sprintf(why, args...)
	}
	return ms[:n]
}
