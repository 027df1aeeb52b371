package backend_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/micro/micro/v3/backend/auth"
	"github.com/micro/micro/v3/backend/blobs"
	"github.com/micro/micro/v3/backend/config"
	"github.com/micro/micro/v3/backend/embedded"
	eventsembedded "github.com/micro/micro/v3/backend/events/embedded"
	storeembedded "github.com/micro/micro/v3/backend/store/embedded"
	"github.com/micro/micro/v3/internal/crashtest"
)

// TestPowerCuts cuts the power in the middle of everything that a server keeps: at a
// random operation on a file, while tables, configuration, rules, identities, blobs,
// events and leases are written at once, with a random part of what was not synced kept.
// Each series goes on with what the cut before left. With those of the drivers' own
// tests there are more than a thousand cuts in a run.
func TestPowerCuts(t *testing.T) {
	t.Parallel()
	series, cuts := 65, 10
	switch {
	case crashtest.Soak():
		series, cuts = 2000, 20
	case crashtest.Race:
		series = 5
	}
	disk, first := newDisk(t), crashtest.Seed(t)
	for i := range uint64(series) {
		if err := powerCuts(t, disk, first+i, cuts, func(fs vfs.FS) vfs.FS { return fs }); err != nil {
			t.Fatalf("MICRO_SEED=%d: %v", first+i, err)
		}
	}
}

// TestPowerCutsNoticed has a log that is never synced: if nothing is missing then,
// TestPowerCuts shows nothing.
func TestPowerCutsNoticed(t *testing.T) {
	t.Parallel()
	disk, failed := newDisk(t), 0
	const series = 6
	for i := range uint64(series) {
		if powerCuts(t, disk, crashtest.Seed(t)+i, 5, crashtest.Unsynced) != nil {
			failed++
		}
	}
	if failed < series/2 {
		t.Errorf("without syncing, %d of %d series lost something, want nearly all", failed, series)
	}
}

// progress is how far workers have come.
type progress struct {
	acked, begun map[string]int64
}

func (p progress) clone() progress {
	return progress{acked: maps.Clone(p.acked), begun: maps.Clone(p.begun)}
}

// world is workers on a disk.
type world struct {
	workers map[string]worker

	mu sync.Mutex
	progress

	once  sync.Once
	left  *vfs.MemFS // by the cut
	after progress
}

// cut cuts the power, once.
func (w *world) cut(fs *vfs.MemFS, rng *rand.Rand) {
	w.once.Do(func() {
		w.mu.Lock()
		w.after = w.clone()
		w.mu.Unlock()
		w.left = crashtest.Cut(fs, rng)
		w.mu.Lock()
		w.after.begun = maps.Clone(w.begun) // what was begun meanwhile may be there
		w.mu.Unlock()
	})
}

func powerCuts(t *testing.T, disk *vfs.MemFS, seed uint64, cuts int, wrap func(vfs.FS) vfs.FS) error {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 0))
	fs := disk.CrashClone(vfs.CrashCloneCfg{})
	now, all := progress{acked: map[string]int64{}, begun: map[string]int64{}}, workers()
	for cut := range cuts {
		w := &world{workers: all, progress: now}
		if err := w.run(t, fs, rng, wrap, cut == cuts-1); err != nil {
			return fmt.Errorf("after %d cuts: %w", cut, err)
		}
		fs, now = w.left, w.after
	}
	return nil
}

// run opens what a cut left, checks it, and works on it until the next cut; before the
// last one it has everything checked as `micro server check` does.
func (w *world) run(t *testing.T, fs *vfs.MemFS, rng *rand.Rand, wrap func(vfs.FS) vfs.FS, last bool) error {
	t.Helper()
	at := int64(rng.IntN(1500))
	cutRNG := rand.New(rand.NewPCG(rng.Uint64(), 0))
	faulty := crashtest.OnWrite(wrap(fs), at, func() { w.cut(fs, cutRNG) })
	s, err := openStack(t.Context(), embedded.Options{FS: faulty, MemTable: 64 << 10})
	if err != nil {
		return err
	}
	if err = w.check(t.Context(), s); err == nil {
		err = w.work(t.Context(), s, rng.IntN(25))
	}
	w.cut(fs, cutRNG)
	if last && err == nil {
		err = checkAll(t.Context(), s)
	}
	return errors.Join(err, s.close())
}

// check compares what is there with what was promised, and goes on from there.
func (w *world) check(ctx context.Context, s *stack) error {
	for name, worker := range w.workers {
		acked, begun := w.acked[name], w.begun[name]
		n, err := worker.at(ctx, s, acked)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if n < acked || n > begun {
			return fmt.Errorf("%s: at %d, want from %d to %d", name, n, acked, begun)
		}
		if name != "identities" { // which counts what it was told
			w.mu.Lock() // the database tidies up already, and the power may be cut in that
			w.acked[name], w.begun[name] = n, n
			w.mu.Unlock()
		}
	}
	return nil
}

// work has all workers make changes.
func (w *world) work(ctx context.Context, s *stack, steps int) error {
	errs := make(chan error, len(w.workers))
	for name, worker := range w.workers {
		go func() {
			for range steps {
				w.mu.Lock()
				w.begun[name]++
				n := w.begun[name]
				w.mu.Unlock()
				if err := worker.step(ctx, s, n); err != nil {
					errs <- fmt.Errorf("%s: %w", name, err)
					return
				}
				w.mu.Lock()
				w.acked[name] = n
				w.mu.Unlock()
			}
			errs <- nil
		}()
	}
	var all []error
	for range w.workers {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}

// checkAll checks everything in a database, with everything that is checked offline.
func checkAll(ctx context.Context, s *stack) error {
	var told []error
	tell := func(what string, err error) { told = append(told, fmt.Errorf("%s: %w", what, err)) }
	_, storeErr := storeembedded.Check(ctx, s.db, tell)
	_, eventsErr := eventsembedded.Check(ctx, s.db, tell)
	_, authErr := auth.Check(ctx, s.store, masterKey(), tell)
	_, configErr := config.Check(ctx, s.store, masterKey(), acme, tell)
	_, _, blobsErr := blobs.Check(ctx, s.store, acme, tell)
	return errors.Join(append(told, storeErr, eventsErr, authErr, configErr, blobsErr)...)
}
