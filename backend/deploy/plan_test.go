package deploy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMakePlan(t *testing.T) {
	t.Parallel()
	// release returns what makes a plan of a release with so many instances; the one
	// that serves is added.
	type release struct {
		number    int64
		instances int
	}
	none := release{}
	// there returns instances of a release, named after it and their phase.
	there := func(release int64, phases ...Phase) []member {
		var ms []member
		for i, p := range phases {
			ms = append(ms, member{id: fmt.Sprintf("%d-%s-%d", release, p, i), release: release, phase: p})
		}
		return ms
	}
	both := slices.Concat[[]member]
	ids := func(ids ...string) map[string]string {
		m := map[string]string{}
		for _, id := range ids {
			m[id] = ""
		}
		return m
	}
	for _, test := range []struct {
		name             string
		current, serving release
		there            []member
		want             plan
	}{
		{"nothing yet", release{1, 3}, none, nil, plan{start: []int64{1, 1, 1}}},
		{"one is missing", release{1, 3}, none, there(1, Running, Starting), plan{start: []int64{1}}},
		{"one starts", release{1, 2}, none, there(1, Running, Starting), plan{}},
		{"one has crashed", release{1, 2}, none, there(1, Running, Crashed), plan{}},
		{"all run", release{1, 2}, none, there(1, Running, Running), plan{healthy: true}},
		{"too many", release{1, 1}, none, there(1, Starting, Unhealthy, Crashed, Running), plan{
			retire: ids("1-crashed-2", "1-starting-0", "1-unhealthy-1"), healthy: true,
		}},

		{"a second release", release{2, 3}, release{1, 3}, there(1, Running, Running, Running), plan{start: []int64{2}}},
		{"of many", release{2, 8}, release{1, 8}, there(1, slices.Repeat([]Phase{Running}, 8)...), plan{start: []int64{2, 2}}},
		{"of one", release{2, 1}, release{1, 1}, there(1, Running), plan{start: []int64{2}}},
		{
			"its first starts",
			release{2, 2},
			release{1, 2},
			both(there(1, Running, Running), there(2, Starting)),
			plan{},
		},
		{
			"its first has crashed",
			release{2, 2},
			release{1, 2},
			both(there(1, Running, Running), there(2, Crashed)),
			plan{},
		},
		{
			"its first runs",
			release{2, 2},
			release{1, 2},
			both(there(1, Running, Unhealthy), there(2, Running)),
			plan{retire: ids("1-unhealthy-1"), start: []int64{2}},
		},
		{
			"all of it run",
			release{2, 2},
			release{1, 2},
			both(there(1, Running), there(2, Running, Running)),
			plan{retire: ids("1-running-0"), healthy: true},
		},
		{
			"its first has crashed again",
			release{2, 2},
			release{1, 2},
			both(there(1, Running), there(2, Crashed, Starting)),
			plan{start: []int64{1}},
		},
		{
			"the server is new",
			release{2, 2},
			release{1, 2},
			nil,
			plan{start: []int64{1, 1, 2}},
		},
		{
			"a third release",
			release{3, 1},
			release{1, 1},
			both(there(1, Running), there(2, Crashed)),
			plan{retire: ids("2-crashed-0"), start: []int64{3}},
		},
		{
			"none served before",
			release{3, 1},
			none, there(2, Running),
			plan{retire: ids("2-running-0"), start: []int64{3}},
		},
		{
			"more",
			release{2, 5},
			release{1, 2},
			there(1, Running, Running),
			plan{start: []int64{2, 2, 2, 2}},
		},
		{
			"fewer",
			release{2, 1},
			release{1, 3},
			there(1, Starting, Running, Running),
			plan{retire: ids("1-running-2", "1-starting-0"), start: []int64{2}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := makePlan(wanted{test.current.number, test.current.instances, test.serving.number, test.serving.instances}, test.there)
			for id, why := range got.retire {
				if why == "" {
					t.Errorf("%s is to end for no reason", id)
				}
				got.retire[id] = ""
			}
			got.called = 0 // what healthy says is enough
			if test.want.retire == nil {
				test.want.retire = map[string]string{}
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(plan{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestPlansLeadThere follows plans from random beginnings, while instances come up in
// random order. As many are called as the smaller of both releases wants, with no more
// than the surge beside them, and in the end the new release alone is there.
func TestPlansLeadThere(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2000) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		w := wanted{current: 2, instances: 1 + rnd.IntN(12), serving: 1, olds: 1 + rnd.IntN(12)}
		var there []member
		id := 0
		add := func(release int64, p Phase) {
			there = append(there, member{id: strconv.Itoa(id), release: release, phase: p})
			id++
		}
		for range w.olds {
			add(1, Running)
		}
		least := min(w.olds, w.instances)
		most := w.instances + max(1, w.instances/4)
		for step := 0; ; step++ {
			p := makePlan(w, there)
			there = slices.DeleteFunc(there, func(m member) bool { _, retired := p.retire[m.id]; return retired })
			for _, r := range p.start {
				add(r, Pending)
			}
			called := 0
			for _, m := range there {
				if m.phase == Running {
					called++
				}
			}
			if called < least || len(there) > most {
				t.Fatalf("seed %d, step %d: %d of %d instances are called, want %d to %d: %v", seed, step, called, len(there), least, most, there)
			}
			if p.healthy {
				break
			}
			if step > 1000 {
				t.Fatalf("seed %d: stuck with %v", seed, there)
			}
			if i := rnd.IntN(len(there)); there[i].phase != Running {
				there[i].phase = []Phase{Starting, Running, Running, Crashed}[rnd.IntN(4)]
			}
		}
		if got := makePlan(wanted{current: 2, instances: w.instances}, there); len(got.start)+len(got.retire) > 0 {
			t.Fatalf("seed %d: not the end: %v", seed, got)
		}
	}
}
