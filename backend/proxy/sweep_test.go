package proxy

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/micro/micro/v3/backend/registry"
)

// Connections that nobody uses are closed after a while, and those in use are not,
// however long a call lasts.
func TestSweep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPool()
		pick := func(address string) *conn {
			t.Helper()
			c, _, err := p.pick([]registry.Instance{{Address: address}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		pick("idle:1").done()
		long := pick("long:1")
		pick("busy:1").done()
		for range 6 {
			time.Sleep(idle / 5)
			pick("busy:1").done()
		}
		time.Sleep(time.Second)
		pick("busy:1").done()
		time.Sleep(idle / 5)
		pick("busy:1").done()
		if diff := cmp.Diff([]string{"busy:1", "long:1"}, slices.Sorted(maps.Keys(p.conns))); diff != "" {
			t.Errorf("connections (-want +got):\n%s", diff)
		}
		long.done()
		if err := p.close(); err != nil {
			t.Error(err)
		}
	})
}

// An instance that could not be reached is left alone for a moment, while there are
// others.
func TestEjection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPool()
		instances := []registry.Instance{{Address: "a:1"}, {Address: "b:1"}}
		picks := func(from []registry.Instance) map[string]bool {
			got := map[string]bool{}
			for range 100 {
				c, _, err := p.pick(from, nil)
				if err != nil {
					t.Fatal(err)
				}
				got[c.address] = true
				c.done()
			}
			return got
		}
		both := map[string]bool{"a:1": true, "b:1": true}
		if diff := cmp.Diff(both, picks(instances)); diff != "" {
			t.Errorf("at first: %s", diff)
		}
		p.conns["a:1"].eject()
		if diff := cmp.Diff(map[string]bool{"b:1": true}, picks(instances)); diff != "" {
			t.Errorf("after one could not be reached: %s", diff)
		}
		if diff := cmp.Diff(map[string]bool{"a:1": true}, picks(instances[:1])); diff != "" {
			t.Errorf("when it is the only one: %s", diff)
		}
		p.conns["b:1"].eject()
		if diff := cmp.Diff(both, picks(instances)); diff != "" {
			t.Errorf("after none could be reached: %s", diff)
		}
		p.conns["b:1"].ejected.Store(0)
		time.Sleep(ejection)
		if diff := cmp.Diff(both, picks(instances)); diff != "" {
			t.Errorf("a moment later: %s", diff)
		}
		if err := p.close(); err != nil {
			t.Error(err)
		}
	})
}

// Draining and calling at once neither loses a wake-up nor closes a connection under
// a call.
func TestDrainUnderLoad(t *testing.T) {
	t.Parallel()
	p := newPool()
	instances := []registry.Instance{{Address: "127.0.0.1:1"}}
	var callers, drainers sync.WaitGroup
	for range 4 {
		callers.Go(func() {
			for range 300 {
				c, _, err := p.pick(instances, nil)
				if err != nil {
					t.Error(err)
					return
				}
				p.mu.Lock()
				if p.conns[c.address] != c {
					t.Error("the connection of a call under way was closed")
				}
				p.mu.Unlock()
				c.done()
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	for range 2 {
		drainers.Go(func() {
			for ctx.Err() == nil {
				if err := p.drain(ctx, "127.0.0.1:1"); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			}
		})
	}
	callers.Wait()
	if err := p.drain(t.Context(), "127.0.0.1:1"); err != nil {
		t.Error(err)
	}
	cancel()
	drainers.Wait()
	if err := p.close(); err != nil {
		t.Error(err)
	}
}
