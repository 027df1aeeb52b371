package deploy_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/micro/micro/v3/backend/deploy"
)

// In this world the startup probe asks over gRPC, the readiness probe over HTTP, and the
// liveness probe over TCP.
func threeProbes() deploy.Probes {
	return deploy.Probes{
		Startup:   &deploy.Probe{Check: deploy.Check{Kind: deploy.CheckGRPC}, Period: time.Second, Failures: 10},
		Readiness: &deploy.Probe{Check: deploy.Check{Kind: deploy.CheckHTTP, Path: "/"}, Period: time.Second, Failures: 2, Successes: 3},
		Liveness:  &deploy.Probe{Check: deploy.Check{Kind: deploy.CheckTCP}, Period: 2 * time.Second, Failures: 4},
	}
}

func (w *world) probed(p deploy.Probes) {
	w.Helper()
	w.order(deploy.Order{Spec: deploy.Spec{Image: "a", Probes: p}})
}

// TestReadiness takes an instance out and puts it back, and never starts it again.
func TestReadiness(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		w.probed(threeProbes())
		w.pass(time.Second)
		w.want("ready", deploy.Running, releases(1, 1), releases(1, 1))
		w.sim.behave("a", behaviour{unready: true})
		w.pass(time.Second)
		w.want("one bad answer", deploy.Running, releases(1, 1), releases(1, 1))
		w.pass(time.Second)
		w.want("two", deploy.Unhealthy, nil, releases(1, 1))
		w.pass(time.Hour)
		w.want("for long", deploy.Unhealthy, nil, releases(1, 1))
		if got := w.status().Reason; got != "its readiness probe failed 2 times: its health is NOT_SERVING" {
			t.Errorf("the reason is %q", got)
		}
		w.sim.behave("a", behaviour{})
		w.pass(2 * time.Second)
		w.want("two good answers", deploy.Unhealthy, nil, releases(1, 1))
		w.pass(time.Second)
		w.want("three", deploy.Running, releases(1, 1), releases(1, 1))
		if n := len(w.sim.startTimes()); n != 1 {
			t.Errorf("%d starts, want 1", n)
		}
	})
}

// TestLiveness starts an instance again, and does not take it out before.
func TestLiveness(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		w.probed(threeProbes())
		w.pass(time.Second)
		w.sim.behave("a", behaviour{dead: true})
		w.pass(6 * time.Second)
		w.want("three bad answers", deploy.Running, releases(1, 1), releases(1, 1))
		w.pass(2 * time.Second)
		if got := w.journal(); !strings.Contains(got, "crashed 1 @ its liveness probe failed 4 times: its health is NOT_SERVING; it is started again ~") {
			t.Errorf("the journal:\n%s", got)
		}
		w.pass(time.Hour)
		if n := len(w.sim.startTimes()); n < 15 || n > 100 {
			t.Errorf("%d starts within an hour", n)
		}
		w.sim.behave("a", behaviour{})
		w.pass(10 * time.Minute)
		w.want("well again", deploy.Running, releases(1, 1), releases(1, 1))
	})
}

// TestStartup gates the other probes.
func TestStartup(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		w.sim.behave("a", behaviour{ready: 9 * time.Second, dead: true, unready: true})
		w.probed(threeProbes())
		w.pass(8 * time.Second)
		w.want("coming up", deploy.Starting, nil, releases(1, 1))
		w.sim.behave("a", behaviour{ready: 9 * time.Second})
		w.pass(2 * time.Second)
		w.want("up", deploy.Running, releases(1, 1), releases(1, 1))
		w.sim.behave("a", behaviour{ready: 11 * time.Second})
		w.restart()
		w.pass(9 * time.Second)
		if n := len(w.sim.startTimes()); n != 2 {
			t.Errorf("%d starts, want 2", n)
		}
		w.pass(3 * time.Second)
		if got := w.journal(); !strings.Contains(got, "crashed 2 @ did not become healthy within 10s: not ready; it is started again ~") {
			t.Errorf("the journal:\n%s", got)
		}
	})
}

// TestSomeProbes has less than all three.
func TestSomeProbes(t *testing.T) {
	t.Parallel()
	all := threeProbes()
	for _, test := range []struct {
		name   string
		probes deploy.Probes
		b      behaviour // after it came up
		phase  deploy.Phase
		starts bool // it is started again
	}{
		{"startup alone", deploy.Probes{Startup: all.Startup}, behaviour{sick: true}, deploy.Running, false},
		{"readiness alone", deploy.Probes{Readiness: all.Readiness}, behaviour{unready: true}, deploy.Unhealthy, false},
		{"readiness alone, and dead", deploy.Probes{Readiness: all.Readiness}, behaviour{dead: true}, deploy.Running, false},
		{"liveness alone", deploy.Probes{Liveness: all.Liveness}, behaviour{dead: true}, deploy.Crashed, true},
		{"liveness alone, and not ready", deploy.Probes{Liveness: all.Liveness}, behaviour{unready: true}, deploy.Running, false},
		{"none", deploy.Probes{}, behaviour{sick: true}, deploy.Crashed, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(w *world) {
				w.probed(test.probes)
				w.pass(time.Second)
				w.want("up", deploy.Running, releases(1, 1), releases(1, 1))
				w.sim.behave("a", test.b)
				w.pass(time.Hour)
				again := len(w.sim.startTimes()) > 1
				if s := w.status(); again != test.starts || !again && s.Phase != test.phase {
					t.Errorf("%s after %d starts (%s), want %s, started again %t", s.Phase, len(w.sim.startTimes()), s.Reason, test.phase, test.starts)
				}
			})
		})
	}
}

// TestSuccesses has an instance that must be well several times until it is called.
func TestSuccesses(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		p := threeProbes()
		p.Startup.Successes = 1000
		w.probed(p)
		w.pass(9 * time.Second)
		w.want("not often enough", deploy.Starting, nil, releases(1, 1))
		if got := w.status().Reason; !strings.HasPrefix(got, "it was well ") {
			t.Errorf("the reason is %q", got)
		}
		p.Startup.Successes = 3
		w.probed(p)
		w.pass(time.Second)
		w.want("often enough", deploy.Running, releases(1, 2), releases(1, 2))
	})
}

// TestReferences has instances whose environment refers to the configuration.
func TestReferences(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		order := deploy.Order{Instances: 1, Spec: deploy.Spec{Image: "a", Env: map[string]deploy.Value{
			"LEVEL": {Text: "debug"}, "PASSWORD": {Config: "db.password"}, "USER": {Config: "db.user"},
		}}}
		w.settings.set("db.user", "app")
		w.order(order)
		w.pass(time.Minute)
		s := w.status()
		want := "cannot be started: its environment variable PASSWORD refers to the configuration db.password, and nothing is there"
		if s.Phase != deploy.Crashed || s.Reason != want || len(w.sim.startTimes()) > 0 {
			t.Errorf("got %s, %q after %d starts, want %q", s.Phase, s.Reason, len(w.sim.startTimes()), want)
		}
		// It is started soon after what it lacks is there.
		w.settings.set("db.password", "canary")
		w.pass(2 * time.Second)
		w.want("there", deploy.Running, releases(1, 1), releases(1, 1))
		if e := w.sim.lastEnv(); e["PASSWORD"] != "canary" || e["USER"] != "app" || e["LEVEL"] != "debug" || e["MICRO_SERVICE_NAME"] != "shop" {
			t.Errorf("the environment is %v", e)
		}
		// What runs keeps what it began with; a restart has the new.
		w.settings.set("db.password", "canary-2")
		w.pass(time.Hour)
		if n := len(w.sim.startTimes()); n != 1 {
			t.Errorf("%d starts, want 1", n)
		}
		w.restart()
		w.pass(time.Minute)
		if e := w.sim.lastEnv(); e["PASSWORD"] != "canary-2" {
			t.Errorf("after a restart the environment is %v", e)
		}
		// A failure is none of the configuration.
		w.settings.mu.Lock()
		w.settings.err = errSim
		w.settings.mu.Unlock()
		w.scale(2)
		w.pass(time.Second)
		if got := w.status().Reason; !strings.HasSuffix(got, "refers to the configuration db.password: told to fail") {
			t.Errorf("the reason is %q", got)
		}
		w.settings.mu.Lock()
		w.settings.err = nil
		w.settings.mu.Unlock()
		w.settings.set("db.password", "a\x00b")
		w.pass(time.Minute)
		if got := w.status().Reason; !strings.HasSuffix(got, "refers to the configuration db.password, which holds a zero byte") {
			t.Errorf("the reason is %q", got)
		}
		w.settings.set("db.password", "canary-3")
		w.pass(10 * time.Minute)
		w.want("in the end", deploy.Running, releases(2, 2), releases(2, 2))
		if got := w.journal(); strings.Contains(got, "canary") {
			t.Errorf("the journal tells secrets:\n%s", got)
		}
		w.wantNoSecret("canary")
	})
}

// wantNoSecret looks for a text in all that is stored.
func (w *world) wantNoSecret(text string) {
	w.Helper()
	for key, value := range w.records() {
		if strings.Contains(value, text) {
			w.Errorf("%s has it in clear", key)
		}
	}
	all, err := w.d.Releases(w.Context(), ns, "shop")
	if err != nil {
		w.Fatal(err)
	}
	if slices.ContainsFunc(all, func(r deploy.Release) bool { return strings.Contains(r.Spec.Env["PASSWORD"].Text, text) }) {
		w.Error("a release has it")
	}
}

// TestReferenceOfARelease gives up a release that lacks what it refers to.
func TestReferenceOfARelease(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		w.apply("a", 1)
		w.pass(time.Second)
		w.order(deploy.Order{Spec: deploy.Spec{Image: "b", Env: map[string]deploy.Value{"A": {Config: "nothing"}}}})
		w.pass(time.Minute)
		w.want("given up", deploy.Running, releases(1, 1), releases(1, 1))
		if got := w.status().Reason; !strings.Contains(got, "refers to the configuration nothing, and nothing is there (failed 3 times)") {
			t.Errorf("the reason is %q", got)
		}
	})
}
