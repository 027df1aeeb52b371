package stats_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"github.com/micro/micro/v3/backend/stats"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	ns     = "acme"
	schema = "sha256:1"
	call   = "/shop.Shop/Call"
	watch  = "/shop.Shop/Watch" // sends several answers
)

// methods is the schema of every service here.
func methods(_ context.Context, namespace, digest, path string) (known, streams bool) {
	if namespace == "" || digest != schema {
		return false, false
	}
	return path == call || path == watch, path == watch
}

// world is stats that run, in the time of a test.
type world struct {
	*stats.Stats

	mu    sync.Mutex
	usage []stats.Usage
}

func (w *world) use(list []stats.Usage) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.usage = list
}

func (w *world) used(context.Context) ([]stats.Usage, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.usage, nil
}

// inTime runs a test in a time of its own.
func inTime(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		w.Stats = stats.New(stats.Config{Method: methods, Usage: w.used})
		var wg sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		wg.Go(func() { w.Run(ctx) })
		defer wg.Wait()
		defer cancel()
		test(t, w)
	})
}

// pass lets time pass, and what happens in it happen.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func target(ns, service, path, instance, schema string) stats.Target {
	return stats.Target{Namespace: ns, Service: service, Path: path, Instance: instance, Schema: schema}
}

// call makes a call that lasts.
func (w *world) call(service, path, instance string, code uint32, took time.Duration) {
	c := w.Begin(context.Background(), target(ns, service, path, instance, schema), time.Now())
	pass(took)
	c.End(code, 1)
}

func equal[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// counts returns how many calls each endpoint and instance has had in a window.
func counts(s stats.Service) map[string]int64 {
	out := map[string]int64{}
	for _, e := range s.Endpoints {
		out["endpoint "+e.Name] = e.Calls
	}
	for _, i := range s.Instances {
		out["instance "+i.Name] = i.Calls
	}
	return out
}

func TestFigures(t *testing.T) {
	t.Parallel()
	inTime(t, func(t *testing.T, w *world) {
		t.Helper()
		for i := range 100 {
			w.call("shop", call, []string{"a", "b"}[i%2], uint32(i%10/9*5), time.Duration(i+1)*time.Millisecond)
		}
		w.call("shop", "/made.Up/Name", "a", 12, 0)
		w.call("shop", watch, "a", 0, time.Hour) // says nothing of latencies
		going := w.Begin(t.Context(), target(ns, "shop", call, "b", schema), time.Now())
		lost := w.Begin(t.Context(), target(ns, "shop", call, "", ""), time.Now()) // no instance could be reached
		lost.End(14, 0)
		w.Begin(t.Context(), target("globex", "shop", call, "theirs", schema), time.Now())

		f := w.Read(stats.Query{Namespace: ns, Service: "shop", Window: 2 * time.Hour, Points: stats.None})
		if f.Window < stats.Kept || f.Window > stats.Kept+stats.Period {
			t.Errorf("the window is %v, want what is kept", f.Window)
		}
		s := f.Services[0]
		// What was an hour ago is not kept, but for the totals.
		equal(t, "in the window", counts(s), map[string]int64{
			"endpoint ": 0, "endpoint " + call: 1, "endpoint " + watch: 1, "instance a": 1, "instance b": 0,
		})
		equal(t, "the service", s.Figures, stats.Figures{
			Calls: 2, Failed: 1, Codes: s.Codes, InFlight: 1, TotalCalls: 103, TotalFailed: 12,
			P50: s.P50, P95: s.P95, P99: s.P99,
		})
		equal(t, "codes", s.Codes[14], 1)
		going.End(0, 1)
		f = w.Read(stats.Query{Namespace: ns, Service: "shop", Window: stats.Period, Points: stats.None})
		equal(t, "under way in the end", f.Services[0].InFlight, 0)
		equal(t, "of the other namespace", len(w.Read(stats.Query{Namespace: "globex", Window: stats.Period}).Services), 1)
		equal(t, "of a third", len(w.Read(stats.Query{Namespace: "initech", Window: stats.Period}).Services), 0)
	})
}

func TestLatencies(t *testing.T) {
	t.Parallel()
	inTime(t, func(t *testing.T, w *world) {
		t.Helper()
		for i := range 100 {
			w.call("shop", call, "a", 0, time.Duration(i+1)*time.Millisecond)
		}
		s := w.Read(stats.Query{Namespace: ns, Service: "shop", Window: time.Minute, Points: stats.None}).Services[0]
		for want, got := range map[time.Duration]time.Duration{
			50 * time.Millisecond: s.P50, 95 * time.Millisecond: s.P95, 99 * time.Millisecond: s.P99,
		} {
			if got < want*7/8 || got > want*9/8 {
				t.Errorf("got %v, want about %v", got, want)
			}
		}
		for _, tt := range []struct {
			took, low, high time.Duration
		}{
			{0, 0, 17 * time.Microsecond},
			{time.Microsecond, 0, 17 * time.Microsecond},
			{200 * time.Microsecond, 150 * time.Microsecond, 250 * time.Microsecond},
			{3 * time.Second, 2500 * time.Millisecond, 3500 * time.Millisecond},
			{68 * time.Second, 60 * time.Second, 69 * time.Second},
			{24 * time.Hour, 68 * time.Second, 69 * time.Second},
		} {
			service := fmt.Sprint("took-", tt.took)
			w.call(service, call, "a", 0, tt.took)
			s := w.Read(stats.Query{Namespace: ns, Service: service, Window: stats.Period, Points: stats.None}).Services[0]
			for _, got := range []time.Duration{s.P50, s.P95, s.P99} {
				if got < tt.low || got > tt.high {
					t.Errorf("of one call of %v a share took at most %v, want from %v to %v", tt.took, got, tt.low, tt.high)
				}
			}
		}
	})
}

// TestStreams counts what has several answers without a latency, also where no schema
// says what it is.
func TestStreams(t *testing.T) {
	t.Parallel()
	inTime(t, func(t *testing.T, w *world) {
		t.Helper()
		for _, tt := range []struct {
			path    string
			answers int
			timed   bool
		}{
			{call, 1, true},
			{call, 0, true},
			{watch, 1, false},
			{watch, 7, false},
			{"/no.Schema/Call", 1, true},
			{"/no.Schema/Call", 0, true},
			{"/no.Schema/Watch", 2, false},
		} {
			service := fmt.Sprint(tt.path, tt.answers)
			c := w.Begin(t.Context(), target(ns, service, tt.path, "a", schema), time.Now())
			pass(time.Second)
			c.End(0, tt.answers)
			s := w.Read(stats.Query{Namespace: ns, Service: service, Window: time.Minute, Points: stats.None}).Services[0]
			if timed := s.P50 > 0; timed != tt.timed || s.Calls != 1 || (s.Instances[0].P50 > 0) != tt.timed {
				t.Errorf("%s with %d answers: %+v, want one call, and a latency: %t", tt.path, tt.answers, s.Figures, tt.timed)
			}
		}
	})
}

func TestPoints(t *testing.T) {
	t.Parallel()
	inTime(t, func(t *testing.T, w *world) {
		t.Helper()
		calls := []int{3, 0, 5, 1}
		for _, n := range calls {
			for range n {
				w.call("shop", call, "a", 0, time.Millisecond)
				w.call("shop", watch, "b", 13, 0)
			}
			pass(stats.Period - time.Duration(n)*time.Millisecond)
		}
		read := func(service string, after int64) (stats.Frame, []int64) {
			f := w.Read(stats.Query{Namespace: ns, Service: service, Window: stats.Period, Points: after})
			var got []int64
			for _, p := range f.Services[0].Points {
				if p.Length != stats.Period || p.Failed*2 != p.Calls {
					t.Errorf("the point %+v", p)
				}
				got = append(got, p.Calls)
			}
			return f, got
		}
		f, got := read("", 0)
		equal(t, "points", got, []int64{6, 0, 10, 2})
		if len(f.Services[0].Endpoints)+len(f.Services[0].Instances) > 0 {
			t.Errorf("of all services more is told: %v", f.Services[0])
		}
		_, got = read("shop", 2)
		equal(t, "points behind the second", got, []int64{10, 2})
		_, got = read("shop", f.Tick)
		equal(t, "points that are new", got, nil)
		_, got = read("shop", 1_000_000)
		equal(t, "points of the future", got, nil)
		_, got = read("shop", stats.OfWindow)
		equal(t, "points of the window", got, []int64{2})
		_, got = read("shop", stats.None)
		equal(t, "no points", got, nil)
		f = w.Read(stats.Query{Namespace: ns, Service: "shop", Window: stats.Period, Points: 0})
		for _, r := range slices.Concat(f.Services[0].Endpoints, f.Services[0].Instances) {
			if len(r.Points) != len(calls) || r.Points[2].Calls != 5 {
				t.Errorf("of %s there are the points %v", r.Name, r.Points)
			}
		}

		// What is old is not kept.
		pass(2 * stats.Kept)
		f, got = read("shop", 0)
		if len(got) != int(stats.Kept/stats.Period) || slices.Max(got) != 0 {
			t.Errorf("in the end there are the points %v", got)
		}
		equal(t, "calls in all", f.Services[0].TotalCalls, 18)
	})
}

func TestWindows(t *testing.T) {
	t.Parallel()
	inTime(t, func(t *testing.T, w *world) {
		t.Helper()
		w.call("shop", call, "a", 0, 0)
		pass(4*stats.Period + stats.Period/2)
		w.call("shop", call, "a", 0, 0)
		for _, tt := range []struct {
			window, want time.Duration
			calls        int64
		}{
			{0, stats.Period / 2, 1},
			{1, 3 * stats.Period / 2, 1},
			{stats.Period, 3 * stats.Period / 2, 1},
			{4 * stats.Period, 9 * stats.Period / 2, 2},
			{stats.Kept, 9 * stats.Period / 2, 2}, // no more has passed
		} {
			f := w.Read(stats.Query{Namespace: ns, Window: tt.window, Points: stats.None})
			if f.Window != tt.want || f.Services[0].Calls != tt.calls {
				t.Errorf("asked for %v: %d calls in %v, want %d in %v", tt.window, f.Services[0].Calls, f.Window, tt.calls, tt.want)
			}
		}
	})
}

func TestUsage(t *testing.T) {
	t.Parallel()
	inTime(t, func(t *testing.T, w *world) {
		t.Helper()
		use := func(cpu time.Duration, instances ...string) {
			var list []stats.Usage
			for _, i := range instances {
				list = append(list, stats.Usage{Namespace: ns, Service: "shop", Instance: i, CPU: cpu, Memory: 1 << 20})
			}
			w.use(list)
			pass(stats.Period)
		}
		shop := func() stats.Service {
			return w.Read(stats.Query{Namespace: ns, Service: "shop", Window: stats.Period, Points: 0}).Services[0]
		}
		use(time.Second, "a", "b")
		equal(t, "with one look", shop().Usage, &stats.Used{Memory: 2 << 20})
		use(time.Second+stats.Period/2, "a", "b")
		s := shop()
		equal(t, "half a core each", s.Usage, &stats.Used{Cores: 1, Memory: 2 << 20})
		equal(t, "one of them", s.Instances[0].Usage, &stats.Used{Cores: 0.5, Memory: 1 << 20})
		use(time.Millisecond, "a", "b") // both were started again
		equal(t, "after a start", shop().Usage, &stats.Used{Memory: 2 << 20})
		use(time.Millisecond+stats.Period, "b")
		s = shop()
		equal(t, "one is gone", s.Usage, &stats.Used{Cores: 1, Memory: 1 << 20})
		equal(t, "the one that is gone", s.Instances[0].Usage, nil)
		var got []stats.Used
		for _, p := range s.Points {
			got = append(got, *p.Usage)
		}
		equal(t, "points", got, []stats.Used{
			{Memory: 2 << 20}, {Cores: 1, Memory: 2 << 20}, {Memory: 2 << 20}, {Cores: 1, Memory: 1 << 20},
		})
		equal(t, "calls", s.TotalCalls, 0)
	})
}

// TestForgets forgets what nobody has called for an hour, but nothing that goes on.
func TestForgets(t *testing.T) {
	t.Parallel()
	inTime(t, func(t *testing.T, w *world) {
		t.Helper()
		names := func() map[string]int64 {
			out := map[string]int64{}
			for _, s := range w.Read(stats.Query{Namespace: ns, Window: stats.Kept, Points: stats.None}).Services {
				one := w.Read(stats.Query{Namespace: ns, Service: s.Name, Window: stats.Kept, Points: stats.None}).Services[0]
				for k := range counts(one) {
					out[s.Name+" "+k] = 0
				}
			}
			return out
		}
		w.call("old", call, "a", 0, 0)
		w.call("shop", call, "a", 0, 0)
		going := w.Begin(t.Context(), target(ns, "going", watch, "g", schema), time.Now())
		for range 3 {
			pass(30 * time.Minute)
			w.call("shop", call, "b", 0, 0)
		}
		equal(t, "after a while", names(), map[string]int64{
			"shop endpoint " + call: 0, "shop instance b": 0, "going endpoint " + watch: 0, "going instance g": 0,
		})
		going.End(0, 1)
		pass(2 * time.Hour)
		equal(t, "in the end", names(), map[string]int64{})

		w.call("shop", call, "a", 0, 0)
		w.Forget("globex")
		equal(t, "services", len(names()), 2)
		w.Forget(ns)
		equal(t, "of a namespace that was deleted", names(), map[string]int64{})
	})
}

// TestBounded has strangers call what there is not, and services with more instances
// than are counted by themselves.
func TestBounded(t *testing.T) {
	t.Parallel()
	s := stats.New(stats.Config{Method: methods})
	const all, services = stats.MaxSeries + 100, 100
	for i := range all {
		c := s.Begin(t.Context(), target(ns, fmt.Sprint("shop", i%services), fmt.Sprintf("/made.Up/Name%d", i), fmt.Sprint("i", i), schema), time.Now())
		c.End(12, 0)
	}
	calls, instances := int64(0), 0
	for i := range services {
		got := s.Read(stats.Query{Namespace: ns, Service: fmt.Sprint("shop", i), Window: time.Minute, Points: stats.None}).Services[0]
		if len(got.Endpoints) != 1 || got.Endpoints[0].Name != "" {
			t.Fatalf("%d endpoints, want one without a name", len(got.Endpoints))
		}
		calls += got.Calls
		instances += len(got.Instances)
	}
	if calls != all || instances != stats.MaxSeries {
		t.Errorf("%d calls of %d instances, want %d of %d", calls, instances, all, stats.MaxSeries)
	}
	c := s.Begin(t.Context(), target("globex", "shop", call, "a", schema), time.Now())
	c.End(0, 1)
	if got := s.Read(stats.Query{Namespace: "globex", Service: "shop", Window: time.Minute}).Services[0]; len(got.Instances) != 1 {
		t.Error("another namespace has no room")
	}
}

// TestConcurrent counts every call, whatever is read and forgotten meanwhile.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	inTime(t, func(t *testing.T, w *world) {
		t.Helper()
		const callers, each = 8, 500
		var wg sync.WaitGroup
		for i := range callers {
			wg.Go(func() {
				for n := range each {
					c := w.Begin(t.Context(), target(ns, "shop", []string{call, watch, "/x.Y/Z"}[n%3], strconv.Itoa(i), schema), time.Now())
					if n%100 == 0 {
						<-time.After(stats.Period)
						w.Read(stats.Query{Namespace: ns, Service: "shop", Window: stats.Kept, Points: 0})
					}
					c.End(uint32(n%20), 1) // some are no codes
				}
			})
		}
		wg.Wait()
		s := w.Read(stats.Query{Namespace: ns, Service: "shop", Window: stats.Kept, Points: stats.None}).Services[0]
		if s.Calls != callers*each || s.TotalCalls != callers*each || s.InFlight != 0 {
			t.Errorf("%d calls in the window, %d in all, %d under way, want %d", s.Calls, s.TotalCalls, s.InFlight, callers*each)
		}
		instances := int64(0)
		for _, i := range s.Instances {
			instances += i.Calls
		}
		equal(t, "of all instances", instances, callers*each)
	})
}

// TestAllocations counts calls without allocating.
func TestAllocations(t *testing.T) {
	s := stats.New(stats.Config{Method: methods})
	ctx := t.Context()
	n := testing.AllocsPerRun(1000, func() {
		c := s.Begin(ctx, target(ns, "shop", call, "a", schema), time.Now())
		c.End(0, 1)
	})
	if n > 0 {
		t.Errorf("%v allocations a call", n)
	}
}

func BenchmarkCall(b *testing.B) {
	s := stats.New(stats.Config{Method: methods})
	ctx := b.Context()
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			c := s.Begin(ctx, target(ns, "shop", call, "a", schema), time.Now())
			c.End(0, 1)
		}
	})
}

// BenchmarkFrame reads what a dashboard of 1,000 busy services shows.
func BenchmarkFrame(b *testing.B) {
	s := stats.New(stats.Config{Method: methods})
	for i := range 1000 {
		for n := range 100 {
			c := s.Begin(b.Context(), target(ns, fmt.Sprint("shop", i), call, strconv.Itoa(n%5), schema), time.Now())
			c.End(uint32(n%3), 1)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		s.Read(stats.Query{Namespace: ns, Window: time.Minute, Points: 0})
	}
}
