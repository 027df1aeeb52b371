package deploy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/micro/micro/v3/backend/deploy"
	"github.com/micro/micro/v3/backend/runtime"
)

// TestBounds checks that bounds reach the runtime, and that who looks is told when they
// are not held, also after a restart of the server.
func TestBounds(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		bounds := deploy.Resources{CPU: 500, Memory: 64 << 20, Processes: 20}
		w.order(deploy.Order{Spec: deploy.Spec{Image: "held", Resources: bounds}})
		w.pass(time.Second)
		if w.sim.bounds != runtime.Resources(bounds) {
			w.Errorf("the runtime was told %+v, want %+v", w.sim.bounds, bounds)
		}
		if in := w.status().Instances[0]; in.Unmet != (deploy.Resources{}) {
			w.Errorf("not held is %+v, want nothing", in.Unmet)
		}
		if text := w.journal(); strings.Contains(text, "unbounded") {
			w.Errorf("the journal says %s", text)
		}

		w.sim.behave("not", behaviour{unbound: true})
		w.order(deploy.Order{Spec: deploy.Spec{Image: "not", Resources: bounds}})
		w.pass(time.Second)
		w.want("it runs all the same", deploy.Running, releases(1, 2), releases(1, 2))
		for _, what := range []string{"after the start", "after a restart of the server"} {
			if in := w.status().Instances[0]; in.Unmet != bounds {
				w.Errorf("%s: not held is %+v, want %+v", what, in.Unmet, bounds)
			}
			if text := w.journal(); !strings.Contains(text, "unbounded 2 @ runs without bounds") {
				w.Errorf("%s: the journal says %s", what, text)
			}
			w.shut()
			w.open()
			w.pass(time.Second)
		}
	})
}
