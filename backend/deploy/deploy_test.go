package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/micro/v3/backend/deploy"
	"github.com/micro/micro/v3/backend/runtime"
	"github.com/micro/micro/v3/backend/store"
)

var errSim = errors.New("told to fail")

func TestFirstStart(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		w.sim.behave("a", behaviour{ready: time.Second})
		r := w.apply("a", 3)
		if r.Number != 1 || r.By != "alice" {
			w.Errorf("got the release %+v", r)
		}
		w.pass(500 * time.Millisecond)
		w.want("starting", deploy.Starting, nil, releases(3, 1))
		w.pass(time.Second)
		w.want("started", deploy.Running, releases(3, 1), releases(3, 1))
		if s := w.status(); s.Serving != 1 || s.Reason != "" {
			w.Errorf("got the status %+v", s)
		}
		w.delete()
		w.pass(time.Second)
		w.wantGone()
		if w.dir.drains() != 3 {
			w.Errorf("%d instances were drained, want 3", w.dir.drains())
		}
	})
}

// TestCrashes has an instance that crashes all the time, recovers, and crashes again.
func TestCrashes(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		w.sim.behave("a", behaviour{sick: true, exits: 10 * time.Millisecond})
		w.apply("a", 1)
		w.pass(30 * time.Minute)
		s := w.status()
		if s.Phase != deploy.Crashed || s.Reason != "exited with code 3" {
			w.Errorf("got %s, %q", s.Phase, s.Reason)
		}
		in := s.Instances[0]
		if !slices.Equal(in.LastLines, []string{"last words"}) || in.NextStart.Before(time.Now()) || in.Address != "" {
			w.Errorf("got the status %+v", in)
		}
		for i, seconds := range []int{1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300} {
			low, pause := time.Duration(seconds)*time.Second, w.sim.startTimes()[i+1].Sub(w.sim.startTimes()[i])
			if high := low + low/5 + 20*time.Millisecond; pause < low || pause > high {
				w.Errorf("the pause after crash %d is %s, want %s to %s", i+1, pause, low, high)
			}
		}
		if in.Restarts != len(w.sim.startTimes())-1 {
			w.Errorf("%d restarts are told, and %d were made", in.Restarts, len(w.sim.startTimes())-1)
		}

		// From now on it is healthy for a while each time.
		w.sim.behave("a", behaviour{exits: time.Minute})
		w.pass(time.Until(in.NextStart) + 2*time.Minute)
		last := w.sim.startTimes()[len(w.sim.startTimes())-1]
		w.pass(time.Until(last.Add(61 * time.Second))) // never into the pause between two runs
		w.want("recovered", deploy.Running, releases(1, 1), releases(1, 1))
		starts := w.sim.startTimes()[len(w.sim.startTimes())-2:]
		if pause := starts[1].Sub(starts[0]) - time.Minute; pause > 200*time.Millisecond {
			w.Errorf("the pause after the crash of one that had recovered is %s", pause)
		}
	})
}

// TestNeverHealthy has an instance that runs and says that it is not well, or nothing
// at all. It is ended before it is started again.
func TestNeverHealthy(t *testing.T) {
	t.Parallel()
	for name, b := range map[string]behaviour{
		"its health is NOT_SERVING": {sick: true},
		"no answer within 1s":       {hangs: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(w *world) {
				w.sim.behave("a", b)
				w.apply("a", 1)
				w.pass(29 * time.Second)
				w.want("before", deploy.Starting, nil, releases(1, 1))
				w.pass(1500 * time.Millisecond)
				w.want("afterwards", deploy.Crashed, nil, nil)
				if got := w.status().Reason; !strings.HasPrefix(got, "did not become healthy within 30s: ") || !strings.HasSuffix(got, name) {
					w.Errorf("the reason is %q", got)
				}
				w.sim.behave("a", behaviour{})
				w.pass(5 * time.Second)
				w.want("well at last", deploy.Running, releases(1, 1), releases(1, 1))
			})
		})
	}
}

// TestUnhealthy has an instance that is healthy at first.
func TestUnhealthy(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		w.apply("a", 1)
		w.pass(time.Second)
		w.sim.behave("a", behaviour{sick: true})
		w.pass(10 * time.Second)
		w.want("it may be a moment only", deploy.Running, releases(1, 1), releases(1, 1))
		w.pass(5 * time.Second)
		w.want("not called any more", deploy.Unhealthy, nil, releases(1, 1))
		w.sim.behave("a", behaviour{})
		w.pass(5 * time.Second)
		w.want("well again", deploy.Running, releases(1, 1), releases(1, 1))

		w.sim.behave("a", behaviour{sick: true})
		w.pass(30 * time.Second)
		w.want("started again", deploy.Starting, nil, releases(1, 1))
		if got := len(w.sim.startTimes()); got != 2 {
			w.Errorf("%d starts, want 2", got)
		}
	})
}

func TestRollingUpdate(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 2, 5, 16} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(w *world) {
				w.sim.behave("a", behaviour{ready: time.Second})
				w.sim.behave("b", behaviour{ready: time.Second, stubborn: time.Second})
				w.apply("a", n)
				w.pass(5 * time.Second)
				w.want("the first release", deploy.Running, releases(n, 1), releases(n, 1))
				w.dir.setLeast(n)
				w.apply("b", n)
				for range 60 {
					w.pass(time.Second)
					if got, most := len(w.sim.running("shop")), n+max(1, n/4); got > most {
						w.Errorf("%d instances run, want %d at the most", got, most)
					}
				}
				w.want("the second release", deploy.Running, releases(n, 2), releases(n, 2))
				if w.dir.fewest() < n {
					w.Errorf("only %d of %d instances were callable", w.dir.fewest(), n)
				}
				if w.dir.drains() != n {
					w.Errorf("%d of %d instances were drained before they were stopped", w.dir.drains(), n)
				}
			})
		})
	}
}

// TestFailingRelease has a second release that never comes to serve, and a third one.
func TestFailingRelease(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string]behaviour{
		"crashes":         {exits: time.Millisecond, sick: true},
		"never healthy":   {sick: true},
		"does not start":  {startErr: errSim},
		"not of this box": {startErr: runtime.ErrImage},
		"takes for ever":  {slow: 1000 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(w *world) {
				w.apply("a", 3)
				w.pass(time.Second)
				w.dir.setLeast(3)
				w.sim.behave("bad", bad)
				w.order(deploy.Order{Spec: deploy.Spec{Image: "bad"}, Rollout: deploy.Rollout{KeepTrying: true}})
				w.pass(10 * time.Minute)
				if got := w.dir.called("shop"); !slices.Equal(got, releases(3, 1)) {
					w.Errorf("called are %v", got)
				}
				if s := w.status(); s.Phase == deploy.Running || s.Serving != 1 ||
					!strings.Contains(s.Reason, "release 1 serves until release 2 is healthy") {
					w.Errorf("got %s, %q, serving %d", s.Phase, s.Reason, s.Serving)
				}
				w.apply("c", 3)
				w.pass(time.Minute)
				w.want("the third release", deploy.Running, releases(3, 3), releases(3, 3))
				if w.dir.fewest() < 3 {
					w.Errorf("only %d of 3 instances were callable", w.dir.fewest())
				}
			})
		})
	}
}

func TestScale(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		w.sim.behave("a", behaviour{ready: 100 * time.Millisecond})
		before := 0
		for i, n := range []int{1, 5, 2, 12, 1} {
			w.dir.setLeast(min(n, before))
			there := w.sim.ids()
			if i == 0 {
				w.apply("a", n)
			} else {
				w.scale(n)
			}
			for range 40 {
				w.pass(100 * time.Millisecond)
				if got, most := len(w.sim.running("shop")), max(n, before)+max(1, n/4); got > most {
					w.Errorf("from %d to %d: %d instances run", before, n, got)
				}
			}
			w.want(fmt.Sprintf("from %d to %d", before, n), deploy.Running, releases(n, 1), releases(n, 1))
			same := slices.DeleteFunc(w.sim.ids(), func(id string) bool { return !slices.Contains(there, id) })
			if len(same) != min(n, before) || len(w.sim.startTimes()) > 17 {
				w.Errorf("from %d to %d: %d instances are those of before, and %d were started in all", before, n, len(same), len(w.sim.startTimes()))
			}
			if w.dir.fewest() < min(n, before) {
				w.Errorf("from %d to %d: only %d were callable", before, n, w.dir.fewest())
			}
			before = n
		}
	})
}

// TestDelete deletes a service in every situation.
func TestDelete(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		b     behaviour
		after time.Duration
	}{
		{"at once", behaviour{}, 0},
		{"running", behaviour{}, time.Second},
		{"starting", behaviour{sick: true}, time.Second},
		{"its probe hangs", behaviour{hangs: true}, 100 * time.Millisecond},
		{"in a start that hangs", behaviour{slow: 1000 * time.Hour}, time.Second},
		{"in a pause", behaviour{sick: true, exits: time.Millisecond}, time.Hour},
		{"cannot be started", behaviour{startErr: errSim}, time.Hour},
		{"started and not said so", behaviour{startErr: errSim, lies: true}, time.Hour},
		{"slow to stop", behaviour{stubborn: 5 * time.Second}, time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(w *world) {
				w.sim.behave("a", test.b)
				w.apply("a", 3)
				if test.after > 0 {
					w.pass(test.after)
				}
				w.delete()
				if _, err := w.d.Delete(w.Context(), ns, "shop", ""); !errors.Is(err, deploy.ErrNotFound) {
					w.Errorf("the second Delete: %v", err)
				}
				w.pass(10 * time.Second)
				w.wantGone()
				w.sim.behave("a", behaviour{})
				if r := w.apply("a", 1); r.Number != 2 {
					w.Errorf("got release %d, want 2: numbers only grow", r.Number)
				}
				w.pass(time.Second)
				w.want("applied again", deploy.Running, releases(1, 2), releases(1, 2))
			})
		})
	}
}

// TestApplyWhileDeleting applies a service again before its last instance is gone.
func TestApplyWhileDeleting(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		w.sim.behave("a", behaviour{stubborn: 5 * time.Second})
		w.apply("a", 2)
		w.pass(time.Second)
		w.delete()
		w.pass(time.Second)
		if s := w.status(); s.Phase != deploy.Stopping {
			w.Errorf("the phase is %s", s.Phase)
		}
		_, err := w.d.Apply(w.Context(), ns, "shop", deploy.Order{Spec: deploy.Spec{Image: "b"}, UpdateOnly: true}, "")
		if !errors.Is(err, deploy.ErrNotFound) {
			w.Errorf("an update of what is deleted: %v", err)
		}
		if r := w.apply("b", 1); r.Number != 2 {
			w.Errorf("got release %d, want 2", r.Number)
		}
		w.pass(10 * time.Second)
		w.want("applied again", deploy.Running, releases(1, 2), releases(1, 2))
		w.delete()
		w.pass(time.Second)
		w.wantGone()
	})
}

// TestRestart has the server come back to a runtime where instances run still, have
// ended, or are nobody's.
func TestRestart(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		w.apply("a", 3)
		w.pass(time.Second)
		before := w.sim.ids()
		w.shut()
		if got := w.sim.ids(); !slices.Equal(got, before) {
			w.Errorf("Close stopped instances: %v run, and %v did", got, before)
		}
		w.open()
		w.pass(time.Second)
		w.want("all run", deploy.Running, releases(3, 1), releases(3, 1))
		if got := w.sim.ids(); !slices.Equal(got, before) {
			w.Errorf("others run: %v, want %v", got, before)
		}

		w.shut()
		w.sim.exit(before[1], runtime.Exit{Signal: "SIGKILL"})
		for _, stranger := range []runtime.Spec{
			{ID: "nobodys", Namespace: ns, Service: "gone", Release: 7},
			{ID: "ancient", Namespace: ns, Service: "shop", Release: 0},
			{ID: "toomany", Namespace: ns, Service: "shop", Release: 1},
		} {
			stranger.Image = "a"
			if _, err := w.sim.Start(w.Context(), stranger); err != nil {
				w.Fatal(err)
			}
			w.dir.identities[stranger.ID]++
		}
		starts := len(w.sim.startTimes())
		w.open()
		w.pass(time.Second)
		w.want("one had ended, others were too many", deploy.Running, releases(3, 1), releases(3, 1))
		if got := len(w.sim.startTimes()) - starts; got != 0 {
			w.Errorf("%d instances were started, though enough ran", got)
		}
		if got := w.sim.running("gone"); got != nil {
			w.Error("an instance of a service that is not there runs on")
		}
		if _, good := w.dir.identities["nobodys"]; good {
			w.Error("its identity is good")
		}

		w.shut()
		for _, id := range w.sim.ids() {
			w.sim.exit(id, runtime.Exit{Signal: "SIGKILL"})
		}
		w.open()
		w.pass(time.Second)
		w.want("all had ended", deploy.Running, releases(3, 1), releases(3, 1))
	})
}

// TestRestartInAnUpdate has the server come back while one release takes over from
// another, and everything has ended.
func TestRestartInAnUpdate(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		w.apply("a", 4)
		w.pass(time.Second)
		w.sim.behave("b", behaviour{sick: true})
		w.apply("b", 2)
		w.pass(time.Second)
		w.shut()
		for _, id := range w.sim.ids() {
			w.sim.exit(id, runtime.Exit{Signal: "SIGKILL"})
		}
		w.open()
		w.pass(time.Second)
		w.want("the old one serves", deploy.Starting, releases(2, 1), []int64{1, 1, 2})
		w.sim.behave("b", behaviour{})
		w.pass(time.Second)
		w.want("the new one", deploy.Running, releases(2, 2), releases(2, 2))
	})
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		set    func(w *world)
		clear  func(w *world)
		reason string
	}{
		{"Up", func(w *world) { w.dir.fail(errSim, nil, nil, nil) }, nil, "did not become healthy within 30s: told to fail"},
		{"Identify", func(w *world) { w.dir.fail(nil, nil, errSim, nil) }, nil, "cannot be started: told to fail"},
		{
			"Start", func(w *world) { w.sim.behave("a", behaviour{startErr: errSim}) },
			func(w *world) { w.sim.behave("a", behaviour{}) }, "cannot be started: told to fail",
		},
		{
			"Start that lies", func(w *world) { w.sim.behave("a", behaviour{startErr: errSim, lies: true}) },
			func(w *world) { w.sim.behave("a", behaviour{}) }, "cannot be started: told to fail",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(w *world) {
				test.set(w)
				w.apply("a", 1)
				w.pass(30500 * time.Millisecond)
				if s := w.status(); s.Phase != deploy.Crashed || s.Reason != test.reason {
					w.Errorf("got %s, %q, want %q", s.Phase, s.Reason, test.reason)
				}
				if test.clear != nil {
					test.clear(w)
				}
				w.dir.fail(nil, nil, nil, nil)
				w.pass(time.Minute)
				w.want("later", deploy.Running, releases(1, 1), releases(1, 1))
			})
		})
	}
}

// TestImageThatCannotRun is not tried again and again.
func TestImageThatCannotRun(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		w.sim.behave("a", behaviour{startErr: fmt.Errorf("made for windows: %w", runtime.ErrImage)})
		w.apply("a", 1)
		w.pass(4 * time.Minute)
		if got := len(w.sim.startTimes()); got != 1 {
			w.Errorf("%d starts, want 1", got)
		}
		if s := w.status(); s.Phase != deploy.Crashed || !strings.Contains(s.Reason, "made for windows") {
			w.Errorf("got %s, %q", s.Phase, s.Reason)
		}
	})
}

// TestFaultsAtTheEnd has a directory and a runtime that fail while a service is deleted.
func TestFaultsAtTheEnd(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		w.apply("a", 2)
		w.pass(time.Second)
		w.dir.fail(nil, errSim, nil, errSim)
		w.sim.failStop(errSim)
		w.delete()
		w.pass(time.Minute)
		w.want("Stop fails", deploy.Stopping, nil, releases(2, 1))
		w.sim.failStop(nil)
		w.pass(time.Minute)
		w.want("Forget fails", deploy.Stopping, nil, nil)
		w.dir.fail(nil, nil, nil, nil)
		w.pass(2 * time.Second)
		w.wantGone()
	})
}

// TestLongName has the longest names that there are.
func TestLongName(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		name := strings.Repeat("x", 63)
		if _, err := w.d.Apply(w.Context(), ns, name, deploy.Order{Spec: deploy.Spec{Image: "a"}, Instances: 3}, ""); err != nil {
			w.Fatal(err)
		}
		w.pass(time.Second)
		if got := w.dir.called(name); !slices.Equal(got, releases(3, 1)) {
			s, err := w.d.Service(w.Context(), ns, name)
			w.Errorf("called are %v: %q %v", got, s.Reason, err)
		}
	})
}

// TestKeeps bounds what is kept of instances and releases that are gone.
func TestKeeps(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		const n = 2 * deploy.KeptChanges
		w.apply("a", 1)
		for range n - 1 {
			w.restart()
			w.pass(100 * time.Millisecond)
		}
		w.pass(time.Second)
		w.want("the last", deploy.Running, releases(1, n), releases(1, n))
		w.sim.mu.Lock()
		if got := len(w.sim.instances); got > 6 {
			w.Errorf("%d instances are kept, want 6 at the most", got)
		}
		w.sim.mu.Unlock()
		all, err := w.d.Releases(w.Context(), ns, "shop")
		if err != nil || len(all) != deploy.KeptReleases || all[0].Number != n {
			w.Errorf("%d releases are kept, want %d: %v", len(all), deploy.KeptReleases, err)
		}
		changes, _, err := w.d.Changes(w.Context(), ns, "shop")
		if err != nil || len(changes) != deploy.KeptChanges || changes[0].Number != n {
			w.Errorf("%d changes are kept, want %d: %v", len(changes), deploy.KeptChanges, err)
		}
		w.pass(20 * time.Second) // until the journal is written
		entries := 0
		for _, err := range w.store.Range(w.Context(), store.Prefix(ns+"/deploy/journal/")) {
			if err != nil {
				w.Fatal(err)
			}
			entries++
		}
		if entries != deploy.KeptEntries {
			w.Errorf("%d entries of the journal are kept, want %d", entries, deploy.KeptEntries)
		}

		// A release that serves is kept, whatever comes after it.
		w.sim.behave("bad", behaviour{sick: true})
		for i := range 2 * deploy.KeptReleases {
			spec := deploy.Spec{Image: "bad", Args: []string{strconv.Itoa(i)}}
			w.order(deploy.Order{Spec: spec, Rollout: deploy.Rollout{KeepTrying: true}})
		}
		w.pass(time.Second)
		if s := w.status(); s.Serving != n {
			w.Errorf("release %d serves, want %d", s.Serving, n)
		}
		w.rollback(n)
		w.pass(time.Second)
		w.want("rolled back", deploy.Running, releases(1, n), releases(1, n))
		images, err := w.d.Images(w.Context(), ns)
		if want := []string{"a", "bad"}; err != nil || !slices.Equal(images, want) {
			w.Errorf("the images are %v, %v, want %v", images, err, want)
		}
	})
}

// TestWatch has watchers see each end of what goes on, however slow they are.
func TestWatch(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		if err := w.d.Watch(w.Context(), ns, "shop", nil); !errors.Is(err, deploy.ErrNotFound) {
			w.Errorf("a watch of nothing: %v", err)
		}
		w.sim.behave("a", behaviour{ready: time.Second})
		w.apply("a", 2)
		var mu sync.Mutex
		last := map[time.Duration]deploy.Service{}
		ends := make(chan error)
		slowness := []time.Duration{0, 10 * time.Millisecond, 3 * time.Second}
		for _, slow := range slowness {
			go func() {
				ends <- w.d.Watch(w.Context(), ns, "shop", func(s deploy.Service) error {
					mu.Lock()
					last[slow] = s
					mu.Unlock()
					return pass(w.Context(), slow)
				})
			}()
		}
		check := func(what string, phase deploy.Phase) {
			w.Helper()
			mu.Lock()
			defer mu.Unlock()
			for slow, s := range last {
				if s.Phase != phase {
					w.Errorf("%s: a watcher that takes %s saw %s last, want %s", what, slow, s.Phase, phase)
				}
			}
		}
		w.pass(10 * time.Second)
		check("started", deploy.Running)
		w.sim.exit(w.sim.ids()[0], runtime.Exit{Code: 1})
		w.pass(10 * time.Second)
		check("started again", deploy.Running)
		w.sim.behave("b", behaviour{startErr: errSim})
		w.order(deploy.Order{Spec: deploy.Spec{Image: "b"}, Rollout: deploy.Rollout{KeepTrying: true}})
		w.pass(10 * time.Second)
		check("a release that fails", deploy.Crashed)
		w.apply("c", 2)
		w.pass(10 * time.Second)
		check("and another", deploy.Running)
		w.delete()
		for range slowness {
			if err := <-ends; !errors.Is(err, deploy.ErrNotFound) {
				w.Errorf("a watch ended with %v", err)
			}
		}

		w.apply("a", 1)
		go func() { ends <- w.d.Watch(w.Context(), ns, "shop", func(deploy.Service) error { return nil }) }()
		go func() { ends <- w.d.Watch(w.Context(), ns, "shop", func(deploy.Service) error { return errSim }) }()
		if err := <-ends; !errors.Is(err, errSim) {
			w.Errorf("a watcher that wants no more: %v", err)
		}
		synctest.Wait()
		w.shut()
		if err := <-ends; !errors.Is(err, store.ErrClosed) {
			w.Errorf("after Close: %v", err)
		}
	})
}

// TestOpenFails leaves nothing behind.
func TestOpenFails(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		w.apply("a", 1)
		w.pass(time.Second)
		w.shut()
		w.sim.mu.Lock()
		w.sim.watchErr = errSim
		w.sim.mu.Unlock()
		c := w.config()
		c.Runtime = deaf{w.sim}
		if _, err := deploy.Open(w.Context(), c); !errors.Is(err, errSim) {
			w.Errorf("with a runtime that cannot be watched: %v", err)
		}
		c.Runtime = w.sim
		if _, err := w.store.Txn(w.Context(), store.Txn{Do: []store.Op{store.Put("$system/deploy/x", nil)}}); err != nil {
			w.Fatal(err)
		}
		if _, err := deploy.Open(w.Context(), c); err == nil || !strings.Contains(err.Error(), "$system/deploy/x") {
			w.Errorf("with a key that cannot be read: %v", err)
		}
		ctx, cancel := context.WithCancel(w.Context())
		cancel()
		if _, err := deploy.Open(ctx, c); !errors.Is(err, context.Canceled) {
			w.Errorf("with a context that has ended: %v", err)
		}
		synctest.Wait()
	})
}

// TestWatchOfTheRuntimeEnds goes on when the runtime can be watched again.
func TestWatchOfTheRuntimeEnds(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		w.apply("a", 1)
		w.pass(time.Second)
		w.sim.mu.Lock()
		w.sim.watchErr = errSim
		w.sim.mu.Unlock()
		w.sim.exit(w.sim.ids()[0], runtime.Exit{Code: 1}) // nobody hears of it
		w.pass(100 * time.Millisecond)
		w.sim.mu.Lock()
		w.sim.watchErr = nil
		w.sim.mu.Unlock()
		w.pass(4 * time.Second)
		w.want("later", deploy.Running, releases(1, 1), releases(1, 1))
	})
}

func TestOrders(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		spec := func(change func(*deploy.Spec)) deploy.Order {
			o := deploy.Order{Spec: deploy.Spec{Image: "a"}}
			change(&o.Spec)
			return o
		}
		env := func(name string, v deploy.Value) deploy.Order {
			return spec(func(s *deploy.Spec) { s.Env = map[string]deploy.Value{name: v} })
		}
		probe := func(p deploy.Probe) deploy.Order {
			return spec(func(s *deploy.Spec) { s.Probes.Liveness = &p })
		}
		tcp := deploy.Check{Kind: deploy.CheckTCP}
		good := deploy.Spec{Image: "a"}
		for name, o := range map[string]deploy.Order{
			"no image":              {},
			"negative":              {Spec: good, Instances: -1},
			"too many":              {Spec: good, Instances: deploy.MaxInstances + 1},
			"negative grace":        spec(func(s *deploy.Spec) { s.StopGrace = -1 }),
			"too much grace":        spec(func(s *deploy.Spec) { s.StopGrace = deploy.MaxStopGrace + 1 }),
			"negative memory":       spec(func(s *deploy.Spec) { s.Resources.Memory = -1 }),
			"too little memory":     spec(func(s *deploy.Spec) { s.Resources.Memory = runtime.MinMemory - 1 }),
			"too little processor":  spec(func(s *deploy.Spec) { s.Resources.CPU = runtime.MinCPU - 1 }),
			"too large":             spec(func(s *deploy.Spec) { s.Args = []string{strings.Repeat("x", deploy.MaxSpec)} }),
			"zero in argument":      spec(func(s *deploy.Spec) { s.Args = []string{"x", "\x00"} }),
			"empty variable":        env("", deploy.Value{Text: "x"}),
			"variable with =":       env("A=B", deploy.Value{Text: "x"}),
			"zero in a name":        env("A\x00", deploy.Value{Text: "x"}),
			"zero in a value":       env("A", deploy.Value{Text: "x\x00"}),
			"two values":            env("A", deploy.Value{Text: "x", Config: "y"}),
			"ours":                  env("MICRO_NAMESPACE", deploy.Value{Text: "other"}),
			"no check":              probe(deploy.Probe{}),
			"unknown check":         probe(deploy.Probe{Check: deploy.Check{Kind: "x"}}),
			"negative timeout":      probe(deploy.Probe{Check: tcp, Timeout: -1}),
			"probe too often":       probe(deploy.Probe{Check: tcp, Period: 1}),
			"too many failures":     probe(deploy.Probe{Check: tcp, Failures: 1 << 40}),
			"negative successes":    probe(deploy.Probe{Check: tcp, Successes: -1}),
			"path without /":        probe(deploy.Probe{Check: deploy.Check{Kind: deploy.CheckHTTP, Path: "x"}}),
			"path with line ends":   probe(deploy.Probe{Check: deploy.Check{Kind: deploy.CheckHTTP, Path: "/x\r\nHost: y"}}),
			"no command":            probe(deploy.Probe{Check: deploy.Check{Kind: deploy.CheckCommand}}),
			"a command":             probe(deploy.Probe{Check: deploy.Check{Kind: deploy.CheckCommand, Command: []string{"a"}}}), // there is no Exec
			"zero in a command":     probe(deploy.Probe{Check: deploy.Check{Kind: deploy.CheckCommand, Command: []string{"a", "\x00"}}}),
			"negative deadline":     {Spec: good, Rollout: deploy.Rollout{Deadline: -1}},
			"deadline of years":     {Spec: good, Rollout: deploy.Rollout{Deadline: deploy.MaxDeadline + 1}},
			"too patient a rollout": {Spec: good, Rollout: deploy.Rollout{Failures: 1 << 40}},
		} {
			if _, err := w.d.Apply(w.Context(), ns, "shop", o, ""); !errors.Is(err, deploy.ErrInvalid) {
				w.Errorf("%s: got %v, want %v", name, err, deploy.ErrInvalid)
			}
		}
		o := deploy.Order{Spec: deploy.Spec{Image: "a", Env: map[string]deploy.Value{"A": {Text: "1"}}}, Instances: 1}
		for _, step := range []struct {
			name    string
			change  func()
			action  deploy.Action // empty: nothing differs
			release int64
		}{
			{"first", func() {}, deploy.Run, 1},
			{"the same", func() {}, "", 1},
			{"another source", func() { o.Spec.Source.Revision = "abc" }, "", 1},
			{"as many as there are", func() { o.Instances = 0 }, "", 1},
			{"environment", func() { o.Spec.Env = map[string]deploy.Value{"A": {Text: "2"}} }, deploy.Update, 2},
			{"a reference", func() { o.Spec.Env = map[string]deploy.Value{"A": {Config: "2"}} }, deploy.Update, 3},
			{"arguments", func() { o.Spec.Args = []string{"x"} }, deploy.Update, 4},
			{"probe", func() { o.Spec.Probes.Startup = &deploy.Probe{Check: tcp} }, deploy.Update, 5},
			{"the same probe", func() { o.Spec.Probes.Startup = &deploy.Probe{Check: tcp} }, "", 5},
			{"grace", func() { o.Spec.StopGrace = 1 }, deploy.Update, 6},
			{"version", func() { o.Spec.Version = "v2" }, deploy.Update, 7},
			{"bounds", func() { o.Spec.Resources.Memory = runtime.MinMemory }, deploy.Update, 8},
			{"instances", func() { o.Instances = 2 }, deploy.Scale, 8},
			{"no word of instances", func() { o.Instances = 0 }, "", 8},
			{"rollout", func() { o.Rollout.Failures = 5 }, deploy.Update, 8},
			{"set", func() { o.Set = "files" }, "", 8},
			{"no word of a set", func() { o.Set = "" }, "", 8},
			{"instances and image", func() { o.Instances, o.Spec.Image = 3, "b" }, deploy.Update, 9},
		} {
			step.change()
			c, err := w.d.Apply(w.Context(), ns, "shop", o, "")
			if err != nil {
				w.Errorf("%s: %v", step.name, err)
				continue
			}
			got := deploy.Action("")
			if c != nil {
				got = c.Action
			}
			if s := w.status(); got != step.action || s.Release.Number != step.release {
				w.Errorf("%s: got %q, release %d, want %q, %d", step.name, got, s.Release.Number, step.action, step.release)
			}
		}
		if s := w.status(); s.Wanted != 3 || s.Set != "files" {
			w.Errorf("got %d instances of the set %q", s.Wanted, s.Set)
		}
	})
}

// TestAtOnce applies and deletes from many sides.
func TestAtOnce(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		var wg sync.WaitGroup
		var mu sync.Mutex
		numbers := map[int64]bool{} // of changes
		for i := range 8 {
			wg.Go(func() {
				for n := range 5 {
					o := deploy.Order{Spec: deploy.Spec{Image: fmt.Sprint("i", i, n)}, Instances: 2}
					c, err := w.d.Apply(w.Context(), ns, "shop", o, "")
					if err != nil || c == nil {
						w.Errorf("Apply: %v, %v", c, err)
						return
					}
					mu.Lock()
					if numbers[c.Number] {
						w.Errorf("two changes have the number %d", c.Number)
					}
					numbers[c.Number] = true
					mu.Unlock()
					if n == 2 && i%2 == 0 {
						if _, err := w.d.Delete(w.Context(), ns, "shop", ""); err != nil && !errors.Is(err, deploy.ErrNotFound) {
							w.Error(err)
						}
					}
					_, _ = w.d.Services(w.Context(), ns)
				}
			})
		}
		wg.Wait()
		last := w.apply("last", 3).Number
		w.pass(time.Minute)
		w.want("in the end", deploy.Running, releases(3, last), releases(3, last))
	})
}
