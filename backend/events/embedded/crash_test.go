package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	engine "github.com/micro/micro/v3/backend/embedded"
	"github.com/micro/micro/v3/backend/events"
	"github.com/micro/micro/v3/backend/events/embedded"
	"github.com/micro/micro/v3/internal/crashtest"
)

// TestPowerCuts cuts the power at a random operation on a file, while several publish
// and consume, with a random part of what was not synced kept. Each series goes on
// with what the cut before left.
func TestPowerCuts(t *testing.T) {
	t.Parallel()
	series, cuts := 12, 8
	if crashtest.Soak() {
		series, cuts = 2000, 20
	}
	first := crashtest.Seed(t)
	for i := range uint64(series) {
		if err := powerCuts(t, first+i, cuts, func(fs vfs.FS) vfs.FS { return fs }); err != nil {
			t.Fatalf("MICRO_SEED=%d: %v", first+i, err)
		}
	}
}

// TestPowerCutsNoticed has a log that is never synced: if nothing is missing then,
// TestPowerCuts shows nothing.
func TestPowerCutsNoticed(t *testing.T) {
	t.Parallel()
	failed := 0
	const series = 10
	for i := range uint64(series) {
		if powerCuts(t, crashtest.Seed(t)+i, 5, crashtest.Unsynced) != nil {
			failed++
		}
	}
	if failed < series/2 {
		t.Errorf("without syncing, %d of %d series lost something, want nearly all", failed, series)
	}
}

const publishers = 4

var (
	jobs    = events.Topic{Namespace: "acme", Name: "jobs"}
	workers = events.Group{Topic: jobs, Name: "workers"}
)

// world is what was promised before a cut. Each publisher numbers its events.
type world struct {
	mu      sync.Mutex
	acked   [publishers]int  // the last that was acknowledged
	begun   [publishers]int  // the last that was begun
	handled map[string]bool  // payloads of which a consumer was told
	settled map[int64]string // payloads by their offsets whose ack was acknowledged
}

// clone returns what holds at one moment.
func (w *world) clone() *world {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := &world{acked: w.acked, begun: w.begun, handled: map[string]bool{}, settled: map[int64]string{}}
	maps.Copy(c.handled, w.handled)
	maps.Copy(c.settled, w.settled)
	return c
}

func powerCuts(t *testing.T, seed uint64, cuts int, wrap func(vfs.FS) vfs.FS) error {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 0))
	fs, w := vfs.NewCrashableMem(), (&world{}).clone()
	for cut := range cuts {
		var err error
		if fs, w, err = run(t, fs, rng, w, wrap, cut == cuts-1); err != nil {
			return fmt.Errorf("after %d cuts: %w", cut, err)
		}
	}
	return nil
}

// run opens what a cut left, checks it, and works on it until the next cut; the last
// time it handles all that is left instead.
func run(t *testing.T, fs *vfs.MemFS, rng *rand.Rand, w *world, wrap func(vfs.FS) vfs.FS, last bool) (left *vfs.MemFS, after *world, err error) {
	t.Helper()
	var once sync.Once
	cutRNG := rand.New(rand.NewPCG(rng.Uint64(), 0))
	cut := func() {
		once.Do(func() {
			after = w.clone()
			left = crashtest.Cut(fs, cutRNG)
			w.mu.Lock()
			after.begun = w.begun // what was begun meanwhile may be there
			w.mu.Unlock()
		})
	}
	at := int64(rng.IntN(600))
	faulty := crashtest.OnWrite(wrap(fs), at, cut)
	db, err := engine.Open(t.Context(), "data", engine.Options{FS: faulty, MemTable: 32 << 10})
	if err != nil {
		return nil, nil, err
	}
	l, err := embedded.Open(t.Context(), db, embedded.Options{})
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	if err = check(t.Context(), l, w); err == nil && last {
		err = drain(t.Context(), l, w)
	} else if err == nil {
		err = work(t.Context(), l, w, rng.IntN(40))
	}
	cut()
	return left, after, errors.Join(err, l.Close(), db.Close())
}

// check compares the log with what was promised.
func check(ctx context.Context, l *embedded.Log, w *world) error {
	var at [publishers]int
	log := map[int64]string{}
	for from := int64(1); ; {
		list, err := l.Read(ctx, jobs, events.Range{From: from})
		if err != nil && !errors.Is(err, events.ErrNotFound) {
			return err
		}
		if len(list) == 0 {
			break
		}
		for _, e := range list {
			if e.Offset != from {
				return fmt.Errorf("offset %d after %d", e.Offset, from-1)
			}
			from++
			p, n, err := parse(e)
			if err != nil {
				return err
			}
			if n != at[p]+1 {
				return fmt.Errorf("publisher %d has event %d after %d", p, n, at[p])
			}
			at[p] = n
			log[e.Offset] = string(e.Payload)
		}
	}
	w.mu.Lock() // the database tidies up already, and the power may be cut in that
	defer w.mu.Unlock()
	for p := range publishers {
		if at[p] < w.acked[p] || at[p] > w.begun[p] {
			return fmt.Errorf("publisher %d is at %d, want from %d to %d", p, at[p], w.acked[p], w.begun[p])
		}
		w.acked[p], w.begun[p] = at[p], at[p]
	}
	for offset, payload := range w.settled {
		if log[offset] != payload {
			return fmt.Errorf("offset %d was %q, and is %q", offset, payload, log[offset])
		}
	}
	return nil
}

func parse(e events.Event) (publisher, n int, err error) {
	_, err = fmt.Sscanf(string(e.Payload), "%d %d", &publisher, &n)
	return publisher, n, err
}

// work publishes and consumes for a while.
func work(ctx context.Context, l *embedded.Log, w *world, rounds int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make(chan error, publishers+2)
	var publishing, consuming sync.WaitGroup
	for p := range publishers {
		publishing.Go(func() {
			for i := range rounds {
				var list []events.Event
				w.mu.Lock()
				for range 1 + i%3 {
					w.begun[p]++
					payload := fmt.Appendf(nil, "%d %d %0*d", p, w.begun[p], i*20, 0)
					list = append(list, events.Event{Key: strconv.Itoa(p), Payload: payload})
				}
				last := w.begun[p]
				w.mu.Unlock()
				if _, err := l.Append(ctx, jobs, list); err != nil {
					errs <- err
					return
				}
				w.mu.Lock()
				w.acked[p] = last
				w.mu.Unlock()
			}
		})
	}
	for range 2 {
		consuming.Go(func() {
			for {
				if err := handle(ctx, l, w); err != nil {
					if ctx.Err() == nil {
						errs <- err
					}
					return
				}
			}
		})
	}
	publishing.Wait()
	cancel()
	consuming.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}

// handle consumes once.
func handle(ctx context.Context, l *embedded.Log, w *world) error {
	list, err := l.Fetch(ctx, workers, events.Fetch{Limit: 5})
	if err != nil {
		return err
	}
	var offsets []int64
	w.mu.Lock()
	for _, d := range list {
		offsets = append(offsets, d.Offset)
		if w.settled[d.Offset] != "" {
			err = fmt.Errorf("offset %d is delivered again, whose ack was acknowledged", d.Offset)
		}
		w.handled[string(d.Payload)] = true
	}
	w.mu.Unlock()
	if err != nil {
		return err
	}
	if err := l.Ack(ctx, workers, offsets); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range list {
		w.settled[d.Offset] = string(d.Payload)
	}
	return nil
}

// drain handles what is left after a restart, and checks that nothing was left out.
func drain(ctx context.Context, l *embedded.Log, w *world) error {
	for {
		groups, err := l.Groups(ctx, jobs, events.List{})
		if errors.Is(err, events.ErrNotFound) || err == nil && len(groups) == 0 {
			return nil // the cuts came early
		}
		if err != nil {
			return err
		}
		if groups[0].Lag == 0 {
			break
		}
		if err := handle(ctx, l, w); err != nil {
			return err
		}
	}
	for from := int64(1); ; {
		list, err := l.Read(ctx, jobs, events.Range{From: from})
		if err != nil || len(list) == 0 {
			return err
		}
		for _, e := range list {
			from = e.Offset + 1
			if !w.handled[string(e.Payload)] {
				return fmt.Errorf("nobody handled offset %d", e.Offset)
			}
		}
	}
}
