package deploy_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/micro/micro/v3/backend/deploy"
	"github.com/micro/micro/v3/backend/runtime"
)

// TestAutomaticRollback has a second release that does not come up, in every way.
func TestAutomaticRollback(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		bad    behaviour
		before time.Duration // still tried
		after  time.Duration // given up
		reason string
	}{
		{"crashes", behaviour{exits: time.Millisecond, sick: true}, time.Second, 5 * time.Second, "exited with code 3 (failed 3 times)"},
		{"never healthy", behaviour{sick: true}, time.Minute, 2 * time.Minute, "did not become healthy within 30s: its health is NOT_SERVING (failed 3 times)"},
		{"does not start", behaviour{startErr: errSim}, time.Second, 5 * time.Second, "cannot be started: told to fail (failed 3 times)"},
		{"starts and says that it does not", behaviour{startErr: errSim, lies: true}, time.Second, 5 * time.Second, "cannot be started: told to fail (failed 3 times)"},
		{"never can start", behaviour{startErr: runtime.ErrImage}, 0, time.Millisecond, "cannot be started: the image cannot run here"},
		{"takes for ever", behaviour{slow: 1000 * time.Hour}, 4 * time.Minute, 6 * time.Minute, "0 of 3 instances came up, and no other within 5m0s"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(w *world) {
				w.apply("a", 3)
				w.pass(time.Second)
				before := w.sim.ids()
				w.dir.setLeast(3)
				w.sim.behave("bad", test.bad)
				w.order(deploy.Order{Spec: deploy.Spec{Image: "bad"}})
				if test.before > 0 {
					w.pass(test.before)
					if s := w.status(); s.Release.Number != 2 {
						t.Errorf("given up too soon: %s", s.Reason)
					}
				}
				w.pass(test.after - test.before)
				w.pass(time.Second)
				w.want("given up", deploy.Running, releases(3, 1), releases(3, 1))
				s := w.status()
				if s.Last.Action != deploy.AutoRollback || s.Last.Reason != test.reason || s.Last.By != "" || s.Release.Number != 1 {
					t.Errorf("release %d after %+v", s.Release.Number, s.Last)
				}
				if want := "release 2 was rolled back: " + test.reason; s.Reason != want {
					t.Errorf("the reason is %q, want %q", s.Reason, want)
				}
				if got := w.sim.ids(); !slices.Equal(got, before) || w.dir.fewest() < 3 {
					t.Errorf("%v run, and %v did; %d of 3 were callable", got, before, w.dir.fewest())
				}
				if got := w.journal(); !strings.Contains(got, "given-up 2 given up, release 1 is current again: "+test.reason) {
					t.Errorf("the journal:\n%s", got)
				}
				// The next one is tried again.
				w.sim.behave("bad", behaviour{})
				if r := w.apply("bad", 3); r.Number != 3 {
					t.Errorf("got release %d, want 3", r.Number)
				}
				w.pass(time.Minute)
				w.want("and it was mended", deploy.Running, releases(3, 3), releases(3, 3))
				if s := w.status(); s.Reason != "" {
					t.Errorf("the reason is %q", s.Reason)
				}
			})
		})
	}
}

// TestRolloutSettings has more patience, or less.
func TestRolloutSettings(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		rollout deploy.Rollout
		bad     behaviour
		before  time.Duration
		after   time.Duration // 0: never
	}{
		{"one failure", deploy.Rollout{Failures: 1}, behaviour{exits: time.Second, sick: true}, 900 * time.Millisecond, 1100 * time.Millisecond},
		{"ten failures", deploy.Rollout{Failures: 10, Deadline: time.Hour}, behaviour{startErr: errSim}, 8 * time.Minute, 11 * time.Minute},
		{"ten failures, and in time", deploy.Rollout{Failures: 10, Deadline: time.Minute}, behaviour{startErr: errSim}, 59 * time.Second, 61 * time.Second},
		{"for ever", deploy.Rollout{KeepTrying: true}, behaviour{startErr: runtime.ErrImage}, time.Hour, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(w *world) {
				w.apply("a", 1)
				w.pass(time.Second)
				w.sim.behave("bad", test.bad)
				w.order(deploy.Order{Spec: deploy.Spec{Image: "bad"}, Rollout: test.rollout})
				w.pass(test.before)
				if got := w.status().Release.Number; got != 2 {
					t.Errorf("given up after %s at the latest", test.before)
				}
				if test.after == 0 {
					return
				}
				w.pass(test.after - test.before)
				if got := w.status().Release.Number; got != 1 {
					t.Errorf("not given up after %s", test.after)
				}
			})
		})
	}
}

// TestProgress has a release whose instances take long to come up, one by one.
func TestProgress(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		w.apply("a", 8)
		w.pass(time.Second)
		w.sim.behave("slow", behaviour{ready: 25 * time.Second})
		w.order(deploy.Order{Spec: deploy.Spec{Image: "slow"}, Rollout: deploy.Rollout{Deadline: time.Minute}})
		w.pass(4 * time.Minute)
		w.want("all of them in the end", deploy.Running, releases(8, 2), releases(8, 2))

		// One of them came up, and the others do not.
		w.sim.behave("half", behaviour{})
		w.order(deploy.Order{Spec: deploy.Spec{Image: "half"}, Rollout: deploy.Rollout{Deadline: time.Minute}})
		w.sim.behave("half", behaviour{sick: true})
		w.pass(3 * time.Minute)
		w.want("none of them in the end", deploy.Running, releases(8, 2), releases(8, 2))
	})
}

// TestFirstReleaseIsNotGivenUp has nothing to go back to.
func TestFirstReleaseIsNotGivenUp(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		w.sim.behave("a", behaviour{exits: time.Millisecond, sick: true})
		w.apply("a", 1)
		w.pass(time.Hour)
		if s := w.status(); s.Release.Number != 1 || s.Phase != deploy.Crashed {
			t.Errorf("release %d is %s", s.Release.Number, s.Phase)
		}
		w.sim.behave("a", behaviour{})
		w.pass(6 * time.Minute)
		w.want("it came up", deploy.Running, releases(1, 1), releases(1, 1))
	})
}

// TestStartThatHangs is tried again, and says why.
func TestStartThatHangs(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		w.sim.behave("a", behaviour{slow: 1000 * time.Hour})
		w.apply("a", 1)
		w.pass(9 * time.Minute)
		w.want("at first", deploy.Starting, nil, nil)
		w.pass(2 * time.Minute)
		if got := w.journal(); !strings.Contains(got, "not-started 1 @ cannot be started: the runtime has not done it within 10m0s; it is started again ~") {
			t.Errorf("the journal:\n%s", got)
		}
		w.sim.behave("a", behaviour{})
		w.pass(11 * time.Minute)
		w.want("in the end", deploy.Running, releases(1, 1), releases(1, 1))
	})
}
