package deploy_test

import (
	"context"
	"sync"
	"time"

	"github.com/micro/micro/v3/backend/deploy"
	"github.com/micro/micro/v3/backend/runtime"
	"github.com/micro/micro/v3/backend/store"
)

// death counts what a server does to the world, and lets it die at one of these steps:
// from then on nothing that it does has an effect.
type death struct {
	at    int  // the step; negative: it does not die
	after bool // the step still has its effect

	mu    sync.Mutex
	steps int
	dead  bool
	died  chan struct{} // closed then
}

// step is called before something is done; it returns whether that is to be done, and
// whether the server lives on to hear of it.
func (d *death) step() (do, lives bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return false, false
	}
	n := d.steps
	d.steps++
	if n != d.at {
		return true, true
	}
	d.dead = true
	close(d.died)
	return d.after, false
}

func (d *death) happened() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dead
}

func (d *death) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.steps
}

// mortal does f as a step of a server that may die at it.
func mortal(d *death, f func() error) error {
	do, lives := d.step()
	var err error
	if do {
		err = f()
	}
	if !lives {
		return errDead
	}
	return err
}

// mortalStore, mortalRuntime and mortalDirectory are what a server that may die has of
// the world.
type mortalStore struct {
	store.Store
	death *death
}

func (s mortalStore) Txn(ctx context.Context, t store.Txn) (revision int64, err error) {
	if len(t.Do) == 0 {
		return s.Store.Txn(ctx, t)
	}
	err = mortal(s.death, func() error {
		revision, err = s.Store.Txn(ctx, t)
		return err
	})
	return revision, err
}

type mortalRuntime struct {
	*sim
	death *death
}

func (r mortalRuntime) Start(ctx context.Context, spec runtime.Spec) (in runtime.Instance, err error) {
	err = mortal(r.death, func() error {
		in, err = r.sim.Start(ctx, spec)
		return err
	})
	return in, err
}

func (r mortalRuntime) Stop(ctx context.Context, id string, grace time.Duration) error {
	return mortal(r.death, func() error { return r.sim.Stop(ctx, id, grace) })
}

func (r mortalRuntime) Remove(ctx context.Context, id string) error {
	return mortal(r.death, func() error { return r.sim.Remove(ctx, id) })
}

type mortalDirectory struct {
	*dir
	death *death
}

func (d mortalDirectory) Up(ctx context.Context, in deploy.Instance) error {
	return mortal(d.death, func() error { return d.dir.Up(ctx, in) })
}

func (d mortalDirectory) Down(ctx context.Context, in deploy.Instance) error {
	return mortal(d.death, func() error { return d.dir.Down(ctx, in) })
}

func (d mortalDirectory) Drain(ctx context.Context, in deploy.Instance) {
	if !d.death.happened() {
		d.dir.Drain(ctx, in)
	}
}

func (d mortalDirectory) Identify(ctx context.Context, in deploy.Instance) (b []byte, err error) {
	err = mortal(d.death, func() error {
		b, err = d.dir.Identify(ctx, in)
		return err
	})
	return b, err
}

func (d mortalDirectory) Forget(ctx context.Context, in deploy.Instance) error {
	return mortal(d.death, func() error { return d.dir.Forget(ctx, in) })
}

// openMortal starts a server that may die.
func (w *world) openMortal(d *death) {
	w.Helper()
	c := w.config()
	c.Store, c.Runtime, c.Directory = mortalStore{w.store, d}, mortalRuntime{w.sim, d}, mortalDirectory{w.dir, d}
	var err error
	if w.d, err = deploy.Open(w.Context(), c); err != nil {
		w.Fatal(err)
	}
}

// reopen buries a server that has died, and starts one that does not.
func (w *world) reopen(d *death) {
	w.Helper()
	<-d.died
	_ = w.d.Close() // what it would write is not written any more
	w.d = nil
	d.mu.Lock()
	d.at, d.dead, d.died = -1, false, make(chan struct{})
	d.mu.Unlock()
	clear(w.dir.up)
	w.openMortal(d)
}
