package runtimetest

import (
	"testing"
	"time"

	"github.com/micro/micro/v3/backend/runtime"
)

// testUsage is about a runtime that is a [runtime.Meter].
func testUsage(t *testing.T, open Open) {
	t.Helper()
	t.Run("of what runs", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		meter, ok := f.Runtime.(runtime.Meter)
		if !ok {
			t.Skip("it does not tell")
		}
		usage := func() map[string]runtime.Usage {
			t.Helper()
			list, err := meter.Usage(within(t))
			if err != nil {
				t.Fatal(err)
			}
			found := map[string]runtime.Usage{}
			for _, u := range list {
				if u.Namespace != "micro" || u.Service != "alpha" {
					t.Errorf("whose is %+v?", u)
				}
				found[u.ID] = u
			}
			return found
		}
		if got := usage(); len(got) > 0 {
			t.Errorf("of nothing: %v", got)
		}
		const mib = 1 << 20
		f.start(t, f.spec("busy", "burn", "alloc=64", "hang"))
		f.start(t, f.spec("idle", "hang"))
		f.start(t, f.spec("parent", "spawn=burn;alloc=64;hang", "hang"))
		for _, id := range []string{"busy", "idle", "parent"} {
			f.awaitLine(t, id, "hanging")
		}
		ctx := within(t)
		for {
			got := usage()
			busy, idle, parent := got["busy"], got["idle"], got["parent"]
			if busy.CPU >= 200*time.Millisecond && busy.Memory >= 64*mib && parent.CPU >= 200*time.Millisecond && parent.Memory >= 64*mib {
				if idle.CPU >= busy.CPU/2 || idle.Memory == 0 || idle.Memory >= 64*mib {
					t.Errorf("one that does nothing uses %+v", idle)
				}
				break
			}
			select {
			case <-time.After(10 * time.Millisecond):
			case <-ctx.Done():
				t.Fatalf("they use %v", got)
			}
		}
		if err := f.Stop(within(t), "busy", 0); err != nil {
			t.Fatal(err)
		}
		if got := usage(); len(got) != 2 {
			t.Errorf("after one was stopped: %v", got)
		}
	})
}
