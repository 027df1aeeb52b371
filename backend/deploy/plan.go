package deploy

import (
	"cmp"
	"slices"
)

// plan is what is to be done about the instances of a service.
type plan struct {
	start   []int64  // the releases of instances to start
	retire  []string // the ids of those to end
	healthy bool     // every instance of the current release is running
}

// member is an instance that is kept, and not to end.
type member struct {
	id      string
	release int64
	phase   Phase
}

// makePlan compares the instances that there are with those that there should be.
// serving is the release that is called until current can take over; its number is
// 0 when there is none, or it is current itself.
//
// A new release takes over one by one: an instance of the one that serves is
// retired for each new one that is healthy, so that never fewer than wanted are
// called, with a quarter more than wanted at the most at a time.
func makePlan(current, serving Release, there []member) plan {
	var p plan
	var news, olds []member
	healthy := 0
	for _, m := range there {
		switch m.release {
		case current.Number:
			news = append(news, m)
			if m.phase == Running {
				healthy++
			}
		case serving.Number:
			olds = append(olds, m)
		default:
			p.retire = append(p.retire, m.id) // of a release that never came to serve
		}
	}
	want := current.Spec.Instances
	p.healthy = healthy >= want
	news = p.keep(news, want)

	// After a restart of the server nothing of the release that served runs; it
	// has to until the new one can, with no more instances than it ever had.
	lack := min(max(0, want-healthy), serving.Spec.Instances)
	olds = p.keep(olds, lack)
	for range lack - len(olds) {
		p.start = append(p.start, serving.Number)
	}

	room := want - len(news)
	if lack > 0 {
		surge := max(1, want/4)
		room = min(room, want+surge-len(news)-lack)
	}
	for range max(0, room) {
		p.start = append(p.start, current.Number)
	}
	slices.Sort(p.retire)
	return p
}

// keep retires all but the n healthiest, which it returns.
func (p *plan) keep(ms []member, n int) []member {
	rank := map[Phase]int{Running: -4, Starting: -3, Pending: -2, Unhealthy: -1}
	slices.SortFunc(ms, func(a, b member) int {
		return cmp.Or(cmp.Compare(rank[a.phase], rank[b.phase]), cmp.Compare(a.id, b.id))
	})
	n = min(n, len(ms))
	for _, m := range ms[n:] {
		p.retire = append(p.retire, m.id)
	}
	return ms[:n]
}
