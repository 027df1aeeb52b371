package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	engine "github.com/micro/micro/v3/backend/embedded"
	"github.com/micro/micro/v3/backend/store"
	"github.com/micro/micro/v3/backend/store/embedded"
	"github.com/micro/micro/v3/internal/crashtest"
)

// TestPowerCuts cuts the power in the middle of everything: at a random operation on
// a file, while several write, with a random part of what was not synced kept. Each
// series goes on with what the cut before left.
func TestPowerCuts(t *testing.T) {
	t.Parallel()
	series, cuts := 30, 10
	switch {
	case crashtest.Soak():
		series, cuts = 3000, 20
	case crashtest.Race:
		series = 5
	}
	first := crashtest.Seed(t)
	for i := range uint64(series) {
		rng := rand.New(rand.NewPCG(first+i, 0))
		if err := powerCuts(t, rng, cuts, func(fs vfs.FS) vfs.FS { return fs }); err != nil {
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
		rng := rand.New(rand.NewPCG(crashtest.Seed(t)+i, 0))
		if powerCuts(t, rng, 5, crashtest.Unsynced) != nil {
			failed++
		}
	}
	if failed < series/2 {
		t.Errorf("without syncing, %d of %d series lost something, want nearly all", failed, series)
	}
}

// powerCuts runs a series of cuts and returns the first promise that was broken.
func powerCuts(t *testing.T, rng *rand.Rand, cuts int, wrap func(vfs.FS) vfs.FS) error {
	t.Helper()
	so := embedded.Options{}
	if rng.IntN(2) == 0 {
		so.MaxChanges = 100
	}
	fs := vfs.NewCrashableMem()
	var before expectation
	for cut := range cuts {
		r, err := run(t, fs, rng, so, before, wrap)
		if err != nil {
			return fmt.Errorf("after %d cuts: %w", cut, err)
		}
		fs, before = r.left, r.expect
	}
	return nil
}

const writers = 5

// expectation is what must hold after a cut.
type expectation struct {
	least [writers]int64 // each writer's last transaction that was acknowledged, or seen
	most  [writers]int64 // each writer's last that was begun
	// revision is the newest that anybody was told.
	revision int64
}

// workload is what runs when the power is cut.
type workload struct {
	acked, begun, seen [writers]atomic.Int64
	revision           atomic.Int64

	once   sync.Once
	left   *vfs.MemFS
	expect expectation
}

// cut cuts the power, once.
func (w *workload) cut(fs *vfs.MemFS, rng *rand.Rand) {
	w.once.Do(func() {
		for i := range writers {
			w.expect.least[i] = max(w.acked[i].Load(), w.seen[i].Load())
		}
		w.expect.revision = w.revision.Load()
		w.left = crashtest.Cut(fs, rng)
		for i := range writers {
			w.expect.most[i] = w.begun[i].Load()
		}
	})
}

func (w *workload) told(revision int64) {
	for {
		old := w.revision.Load()
		if revision <= old || w.revision.CompareAndSwap(old, revision) {
			return
		}
	}
}

// run opens what a cut left, checks it, and works on it until the next cut.
func run(t *testing.T, fs *vfs.MemFS, rng *rand.Rand, so embedded.Options, before expectation, wrap func(vfs.FS) vfs.FS) (*workload, error) {
	t.Helper()
	w := &workload{}
	// Until the store has been checked the promises of before hold.
	w.revision.Store(before.revision)
	for i := range writers {
		w.acked[i].Store(before.least[i])
		w.begun[i].Store(before.most[i])
	}
	at := int64(rng.IntN(800))
	cutRNG := rand.New(rand.NewPCG(rng.Uint64(), 0))
	faulty := crashtest.OnWrite(wrap(fs), at, func() { w.cut(fs, cutRNG) })
	db, err := engine.Open(t.Context(), "data", engine.Options{FS: faulty, MemTable: 32 << 10})
	if err != nil {
		return nil, err
	}
	s, err := embedded.Open(t.Context(), db, so)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	err = check(t.Context(), s, w, before)
	if err == nil {
		err = work(t.Context(), s, w, rng)
	}
	w.cut(fs, cutRNG)
	return w, errors.Join(err, s.Close(), db.Close())
}

// Each writer owns two keys, which it changes together: one has the number of its
// last transaction, the other is there when that is odd.
func numberKey(w int) string { return fmt.Sprintf("%d/number", w) }
func oddKey(w int) string    { return fmt.Sprintf("%d/odd", w) }

// check compares what is in a store with what must be, and sets the workload to go
// on from there.
func check(ctx context.Context, s *embedded.Store, w *workload, before expectation) error {
	revision, err := s.Txn(ctx, store.Txn{})
	if err != nil {
		return err
	}
	if revision < before.revision {
		return fmt.Errorf("the newest revision is %d, and %d was known", revision, before.revision)
	}
	records := map[string]store.Record{}
	for rec, err := range s.Range(ctx, store.Range{}) {
		if err != nil {
			return err
		}
		records[rec.Key] = rec
	}
	for i := range writers {
		n, err := number(records[numberKey(i)].Value)
		if err != nil {
			return err
		}
		if n < before.least[i] || n > before.most[i] {
			return fmt.Errorf("writer %d is at %d, want from %d to %d", i, n, before.least[i], before.most[i])
		}
		if _, odd := records[oddKey(i)]; odd != (n%2 == 1) {
			return fmt.Errorf("writer %d is at %d, and only half of that is there", i, n)
		}
		w.begun[i].Store(n)
		w.acked[i].Store(n)
	}
	return checkChanges(ctx, s, records, revision)
}

// checkChanges compares the newest changes with the records.
func checkChanges(ctx context.Context, s *embedded.Store, records map[string]store.Record, revision int64) error {
	from := max(revision-50, 1)
	if revision == 0 {
		return nil
	}
	last := from
	changed := map[string]store.Change{}
	for c, err := range s.Watch(ctx, "", from) {
		if err != nil {
			return fmt.Errorf("changes after %d of %d: %w", from, revision, err)
		}
		if c.Kind == store.Synced {
			break
		}
		if c.Revision != last && c.Revision != last+1 {
			return fmt.Errorf("revision %d after %d", c.Revision, last)
		}
		last = c.Revision
		changed[c.Record.Key] = c
	}
	if last != revision {
		return fmt.Errorf("the changes end at revision %d, want %d", last, revision)
	}
	for key, c := range changed {
		rec, there := records[key]
		if there != (c.Kind == store.KindPut) || there && rec.Revision != c.Revision {
			return fmt.Errorf("the last change of %s is %v at revision %d, and the record's is %d", key, c.Kind, c.Revision, rec.Revision)
		}
	}
	return nil
}

// number parses a value that starts with a number.
func number(v []byte) (int64, error) {
	if len(v) == 0 {
		return 0, nil
	}
	text, _, _ := strings.Cut(string(v), " ")
	return strconv.ParseInt(text, 10, 64)
}

// work writes and reads for a while.
func work(ctx context.Context, s *embedded.Store, w *workload, rng *rand.Rand) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make(chan error, writers+2)
	pulse := make(chan struct{}, 1) // the reader reads when somebody has written
	var writing, reading sync.WaitGroup
	transactions := rng.IntN(60)
	for i := range writers {
		sizes := rand.New(rand.NewPCG(rng.Uint64(), 0))
		writing.Go(func() {
			for range transactions {
				select {
				case pulse <- struct{}{}:
				default:
				}
				n := w.begun[i].Add(1)
				value := append(strconv.AppendInt(nil, n, 10), ' ')
				value = append(value, make([]byte, sizes.IntN(1500))...)
				ops := []store.Op{store.Put(numberKey(i), value), store.Put(oddKey(i), nil)}
				if n%2 == 0 {
					ops[1] = store.Delete(oddKey(i))
				}
				rev, err := s.Txn(ctx, store.Txn{Do: ops})
				if err != nil {
					errs <- err
					return
				}
				w.told(rev)
				w.acked[i].Store(n)
			}
		})
	}
	reading.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-pulse:
			case <-ctx.Done():
				return
			}
			rec, err := s.Get(ctx, numberKey(i%writers))
			if err != nil {
				if !errors.Is(err, store.ErrNotFound) && ctx.Err() == nil {
					errs <- err
				}
				continue
			}
			n, err := number(rec.Value)
			if err != nil {
				errs <- err
				return
			}
			w.told(rec.Revision)
			w.seen[i%writers].Store(max(w.seen[i%writers].Load(), n))
		}
	})
	reading.Go(func() {
		for c, err := range s.Watch(ctx, "", 0) {
			if err != nil {
				if ctx.Err() == nil && !errors.Is(err, store.ErrCompacted) {
					errs <- err
				}
				return
			}
			w.told(c.Revision)
		}
	})
	writing.Wait()
	cancel()
	reading.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}
