package stats

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Query says what to read.
type Query struct {
	Namespace string
	// Service is the one to read, with its endpoints and instances; empty: all, without
	// theirs.
	Service string
	// Window is the time up to now that figures are of, up to [Kept]; it is rounded up
	// to whole periods and what has passed since the last.
	Window time.Duration
	// Points is the tick behind which points are wanted, or one of [None] and
	// [OfWindow].
	Points int64
}

// Points of a query that are not behind a tick.
const (
	None     = -1
	OfWindow = -2
)

// Frame is what was counted, as of one moment.
type Frame struct {
	At     time.Time
	Window time.Duration // that the figures are of; shorter when nothing was counted before
	Tick   int64         // of the newest point
	// Services are ordered by name. What nobody has called is not among them.
	Services []Service
}

// Service is what is known of a service.
type Service struct {
	Report
	Endpoints []Report // ordered by path; the one without a name is first
	Instances []Report // ordered by id
}

// Report is what is known of a service, an endpoint or an instance.
type Report struct {
	Name string // of a service, path of an endpoint, id of an instance
	Figures
	Usage  *Used   // of an instance that runs, or of all of a service; nil: unknown
	Points []Point // oldest first
}

// Figures are what was counted in a window.
type Figures struct {
	Calls, Failed int64 // that have ended, and not with OK
	Codes         [codes]int64
	P50, P95, P99 time.Duration // 0 when no call has a latency
	InFlight      int64         // now
	TotalCalls    int64         // since the server knows it
	TotalFailed   int64
}

// Used is what is used of the machine.
type Used struct {
	Cores  float64 // on average
	Memory int64   // resident bytes
}

// Point is what was counted in one period.
type Point struct {
	At            time.Time // its end
	Length        time.Duration
	Calls, Failed int64
	P50, P95, P99 time.Duration
	Usage         *Used
}

// reader reads as of one tick.
type reader struct {
	Query
	ticks []time.Time
	now   int64
	begin int64 // the tick that the window begins with
	after int64 // the tick behind which points are told; -1: none are
}

// Read returns what was counted in a namespace.
func (s *Stats) Read(q Query) Frame {
	s.mu.Lock()
	r := &reader{Query: q, ticks: slices.Clone(s.ticks), now: s.now}
	s.mu.Unlock()
	oldest := r.now - int64(len(r.ticks)-1)
	r.begin = max(r.now-int64((q.Window+Period-1)/Period), oldest)
	switch q.Points {
	case None:
		r.after = -1
	case OfWindow:
		r.after = r.begin
	default:
		r.after = max(q.Points, oldest)
	}
	at := time.Now()
	f := Frame{At: at, Window: at.Sub(r.at(r.begin)), Tick: r.now}
	for n, sv := range *s.services.Load() {
		if n.namespace == q.Namespace && (q.Service == "" || n.service == q.Service) {
			f.Services = append(f.Services, r.service(n.service, sv))
		}
	}
	slices.SortFunc(f.Services, func(a, b Service) int { return cmp.Compare(a.Name, b.Name) })
	return f
}

// at returns when a tick was that is among those that are kept.
func (r *reader) at(tick int64) time.Time { return r.ticks[int64(len(r.ticks))-1-(r.now-tick)] }

func (r *reader) service(name string, sv *service) Service {
	endpoints := *sv.endpoints.Load()
	all := []*series{&sv.other}
	for _, path := range slices.Sorted(maps.Keys(endpoints)) {
		all = append(all, &endpoints[path].series)
	}
	instances := *sv.instances.Load()
	ids := slices.Sorted(maps.Keys(instances))
	var usages []*usage
	for _, id := range ids {
		usages = append(usages, &instances[id].usage)
	}
	out := Service{Report: r.report(name, all, usages)}
	if r.Service == "" {
		return out
	}
	if sv.other.calls() > 0 || sv.other.inFlight.Load() > 0 {
		out.Endpoints = append(out.Endpoints, r.report("", all[:1], nil))
	}
	for i, path := range slices.Sorted(maps.Keys(endpoints)) {
		out.Endpoints = append(out.Endpoints, r.report(path, all[i+1:i+2], nil))
	}
	for i, id := range ids {
		out.Instances = append(out.Instances, r.report(id, []*series{&instances[id].series}, usages[i:i+1]))
	}
	return out
}

// report adds up what some series have counted, and what some instances use.
func (r *reader) report(name string, all []*series, usages []*usage) Report {
	out := Report{Name: name}
	var window, total sum
	for _, s := range all {
		s.since(r.begin, &window)
		s.total(&total)
		out.InFlight += s.inFlight.Load()
	}
	out.Calls = int64(window.calls())
	out.Failed = out.Calls - int64(window[0])
	for i := range out.Codes {
		out.Codes[i] = int64(window[i])
	}
	out.P50, out.P95, out.P99 = window.quantile(0.5), window.quantile(0.95), window.quantile(0.99)
	out.TotalCalls = int64(total.calls())
	out.TotalFailed = out.TotalCalls - int64(total[0])
	for _, u := range usages {
		if cores, memory, ok := u.since(r.begin, r.now); ok {
			out.Usage = out.Usage.plus(cores, memory)
		}
	}
	if r.after >= 0 && r.now > r.after {
		out.Points = r.points(all, usages)
	}
	return out
}

func (r *reader) points(all []*series, usages []*usage) []Point {
	points := make([]Point, r.now-r.after)
	sums := make([]sum, len(points))
	for _, s := range all {
		s.points(r.after, sums)
	}
	for i := range points {
		tick := r.after + 1 + int64(i)
		p, t := &points[i], &sums[i]
		p.At, p.Length = r.at(tick), r.at(tick).Sub(r.at(tick-1))
		p.Calls = int64(t.calls())
		p.Failed = p.Calls - int64(t[0])
		p.P50, p.P95, p.P99 = t.quantile(0.5), t.quantile(0.95), t.quantile(0.99)
	}
	for _, u := range usages {
		u.points(r.after, points)
	}
	return points
}

// points adds what was counted in each tick behind one to sums.
func (s *series) points(after int64, sums []sum) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.history {
		if i := d.tick - after - 1; i >= 0 && i < int64(len(sums)) {
			d.add(&sums[i])
		}
	}
}

// points adds what was used in each tick behind one to points.
func (u *usage) points(after int64, points []Point) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for i, d := range u.history {
		at := d.tick - after - 1
		if at < 0 || at >= int64(len(points)) {
			continue
		}
		cores := 0.0
		if i > 0 && u.history[i-1].cpu <= d.cpu {
			cores = coresBetween(u.history[i-1], d)
		}
		points[at].Usage = points[at].Usage.plus(cores, d.memory)
	}
}

// plus returns the sum of what is used.
func (u *Used) plus(cores float64, memory int64) *Used {
	if u == nil {
		u = &Used{}
	}
	return &Used{Cores: u.Cores + cores, Memory: u.Memory + memory}
}
