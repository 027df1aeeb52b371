package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	engine "github.com/micro/micro/v3/backend/embedded"
	"github.com/micro/micro/v3/backend/store"
	"github.com/micro/micro/v3/backend/store/embedded"
	"github.com/micro/micro/v3/internal/crashtest"
)

var errDisk = errors.New("the disk burns")

// TestEveryFault makes the n-th operation on a file fail, for every n there is (every
// fifth, when there is little time), and then cuts the power: whatever failed, nothing
// that was acknowledged is missing.
func TestEveryFault(t *testing.T) {
	t.Parallel()
	step := int64(3)
	switch {
	case crashtest.Soak():
		step = 1
	case crashtest.Race:
		step = 7
	}
	faults, halted := 0, 0
	for n := int64(1); ; n += step {
		fs := vfs.NewCrashableMem()
		var ios atomic.Int64
		var what atomic.Pointer[errorfs.Op]
		faulty := errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
			// To ask for room is allowed to fail, and to lock as well; neither is told.
			if op.Kind != errorfs.OpGetDiskUsage && ios.Add(1) == n {
				what.Store(&op)
				return errDisk
			}
			return nil
		}))
		acked, err := writeUntilFault(t, faulty)
		op := what.Load()
		if op == nil {
			if err != nil {
				t.Fatalf("without a fault: %v", err)
			}
			break
		}
		faults++
		if err != nil {
			halted++
			if !errors.Is(err, errDisk) && !strings.Contains(err.Error(), errDisk.Error()) {
				t.Errorf("operation %d (%v %s): the error does not tell the cause: %v", n, op.Kind, op.Path, err)
			}
		}
		left := fs.CrashClone(vfs.CrashCloneCfg{})
		if err := checkAcked(t, left, acked); err != nil {
			t.Errorf("operation %d (%v %s) failed, with %v; afterwards: %v", n, op.Kind, op.Path, err, err)
		}
	}
	t.Logf("%d faults, of which %d stopped the store", faults, halted)
	if halted < 20 {
		t.Errorf("%d faults of %d were noticed, want more", halted, faults)
	}
}

// writeUntilFault fills a store until something fails, and returns the last
// transaction that was acknowledged, with why it ended.
func writeUntilFault(t *testing.T, fs vfs.FS) (acked int, err error) {
	t.Helper()
	fatal := make(chan error, 1)
	db, err := engine.Open(t.Context(), "data", engine.Options{FS: fs, MemTable: 16 << 10, Fatal: func(err error) { fatal <- err }})
	if err != nil {
		return 0, err
	}
	s, err := embedded.Open(t.Context(), db, embedded.Options{MaxChanges: 20})
	if err != nil {
		return 0, errors.Join(err, db.Close())
	}
	for i := 1; i <= 30; i++ {
		value := append(fmt.Appendf(nil, "%d ", i), make([]byte, 2000)...)
		_, err := s.Txn(t.Context(), store.Txn{Do: []store.Op{store.Put("n", value), store.Put(strconv.Itoa(i%7), value)}})
		if err != nil {
			if db.Err() == nil {
				return acked, errors.Join(err, s.Close(), db.Close())
			}
			// Nothing works any more, and everything says why.
			if told := <-fatal; !errors.Is(err, told) || !errors.Is(db.Err(), told) {
				t.Errorf("the failure is %v, the transaction's %v and the database's %v", told, err, db.Err())
			}
			if _, err := s.Get(t.Context(), "n"); !errors.Is(err, errDisk) {
				t.Errorf("Get: %v, want %v", err, errDisk)
			}
			if err := errors.Join(s.Close(), db.Close()); !errors.Is(err, errDisk) {
				t.Errorf("Close: %v, want %v", err, errDisk)
			}
			return acked, err
		}
		acked = i
	}
	return acked, errors.Join(s.Close(), db.Close())
}

func checkAcked(t *testing.T, fs vfs.FS, acked int) error {
	t.Helper()
	db, err := engine.Open(t.Context(), "data", engine.Options{FS: fs})
	if err != nil {
		return err
	}
	s, err := embedded.Open(t.Context(), db, embedded.Options{})
	if err != nil {
		return errors.Join(err, db.Close())
	}
	defer func() {
		if err := errors.Join(s.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	}()
	rec, err := s.Get(t.Context(), "n")
	if errors.Is(err, store.ErrNotFound) && acked == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	n, err := number(rec.Value)
	if err != nil {
		return err
	}
	if int(n) != acked && int(n) != acked+1 {
		return fmt.Errorf("at %d, want %d or one more", n, acked)
	}
	return nil
}

// stuckFS is a disk that hangs: an fsync of the log takes until it is let go.
type stuckFS struct {
	vfs.FS
	mu    sync.RWMutex
	stuck chan struct{} // nil: it does not hang
	hangs chan struct{} // told when an fsync begins to hang
}

type stuckFile struct {
	vfs.File
	fs *stuckFS
}

func (f *stuckFS) hang() (letGo func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	stuck := make(chan struct{})
	f.stuck = stuck
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.stuck = nil
		close(stuck)
	}
}

func (f *stuckFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.Create(name, c)
	if err != nil || !strings.HasSuffix(name, ".log") {
		return file, err
	}
	return &stuckFile{file, f}, nil
}

func (f *stuckFile) Sync() error { return f.SyncData() }

func (f *stuckFile) SyncData() error {
	f.fs.mu.RLock()
	stuck := f.fs.stuck
	f.fs.mu.RUnlock()
	if stuck != nil {
		select {
		case f.fs.hangs <- struct{}{}:
		default:
		}
		<-stuck
	}
	return f.File.SyncData()
}

// TestStuckDisk has an fsync that does not end: who reads does not wait and sees
// nothing of what is not durable, and who writes can give up.
func TestStuckDisk(t *testing.T) {
	t.Parallel()
	fs := &stuckFS{FS: vfs.NewMem(), hangs: make(chan struct{}, 1)}
	s := open(t, "data", engine.Options{FS: fs}, embedded.Options{})
	ctx := t.Context()
	first, err := s.Txn(ctx, store.Txn{Do: []store.Op{store.Put("a", []byte("old")), store.Put("b", nil)}})
	if err != nil {
		t.Fatal(err)
	}
	watched := make(chan store.Change)
	go func() {
		for c, err := range s.Watch(ctx, "", first) {
			if err != nil {
				return
			}
			watched <- c
		}
	}()
	if c := <-watched; c.Kind != store.Synced {
		t.Fatalf("got %+v", c)
	}

	letGo := fs.hang()
	type result struct {
		revision int64
		err      error
	}
	results := make(chan result, 3)
	txn := func(ctx context.Context, t store.Txn) {
		rev, err := s.Txn(ctx, t)
		results <- result{rev, err}
	}
	go txn(ctx, store.Txn{Do: []store.Op{store.Put("a", []byte("new")), store.Delete("b"), store.Put("c", nil)}})
	<-fs.hangs

	if rec, err := s.Get(ctx, "a"); err != nil || string(rec.Value) != "old" {
		t.Errorf("Get shows %q, %v while the fsync runs, want the old value", rec.Value, err)
	}
	if _, err := s.Get(ctx, "c"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get shows what is not durable: %v", err)
	}
	n := 0
	for rec, err := range s.Range(ctx, store.Range{}) {
		n++
		if err != nil || rec.Revision != first {
			t.Errorf("Range shows %+v, %v", rec, err)
		}
	}
	if n != 2 {
		t.Errorf("Range shows %d records, want 2", n)
	}
	if rev, err := s.Txn(ctx, store.Txn{}); err != nil || rev != first {
		t.Errorf("the newest revision is %d, %v, want %d", rev, err, first)
	}

	// Who gives up is let go at once, whether its write is in this fsync or the next.
	short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	if _, err := s.Txn(short, store.Txn{Do: []store.Op{store.Put("d", nil)}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a write that cannot become durable: %v, want %v", err, context.DeadlineExceeded)
	}
	// A conflict with what is not durable is not told before that is.
	go txn(ctx, store.Txn{If: []store.Cond{{Key: "a", Revision: first}}})
	// Neither is that there is nothing to do.
	go txn(ctx, store.Txn{Do: []store.Op{store.Delete("b")}})
	select {
	case r := <-results:
		t.Errorf("%+v while the fsync runs", r)
	case c := <-watched:
		t.Errorf("a watch shows %+v while the fsync runs", c)
	case <-time.After(20 * time.Millisecond):
	}

	letGo()
	conflicts := 0
	for range 3 {
		r := <-results
		switch {
		case errors.Is(r.err, store.ErrConflict):
			conflicts++
		case r.err != nil:
			t.Error(r.err)
		case r.revision < first+1:
			t.Errorf("revision %d, want more than %d", r.revision, first)
		}
	}
	if conflicts != 1 {
		t.Errorf("%d conflicts, want 1", conflicts)
	}
	if rec, err := s.Get(ctx, "a"); err != nil || string(rec.Value) != "new" {
		t.Errorf("Get shows %q, %v afterwards, want the new value", rec.Value, err)
	}
	for range 4 { // a, b, c, and d whose writer had given up
		<-watched
	}
}

// TestBackpressure writes more than fits into what waits for an fsync.
func TestBackpressure(t *testing.T) {
	t.Parallel()
	fs := &stuckFS{FS: vfs.NewMem(), hangs: make(chan struct{}, 1)}
	s := open(t, "data", engine.Options{FS: fs}, embedded.Options{})
	letGo := fs.hang()
	ctx, cancel := context.WithCancel(t.Context())
	const writers = 12
	results := make(chan error, writers)
	for i := range writers {
		go func() {
			_, err := s.Txn(ctx, store.Txn{Do: []store.Op{store.Put(strconv.Itoa(i), make([]byte, store.MaxValue))}})
			results <- err
		}()
	}
	<-fs.hangs
	cancel()
	for range writers {
		if err := <-results; !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want %v", err, context.Canceled)
		}
	}
	letGo()
	n := 0
	if _, err := s.Txn(t.Context(), store.Txn{Do: []store.Op{store.Put("last", nil)}}); err != nil {
		t.Fatal(err)
	}
	for _, err := range s.Range(t.Context(), store.Range{KeysOnly: true}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n >= writers {
		t.Errorf("%d of %d writes were taken while the disk hung, want that some had to wait", n-1, writers)
	}
}

// TestClock has hours pass, and the machine's clock be set.
func TestClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewMem()
		now := time.Now()
		o := embedded.Options{Now: func() time.Time { return now }}
		db, err := engine.Open(t.Context(), "data", engine.Options{FS: fs})
		if err != nil {
			t.Fatal(err)
		}
		s, err := embedded.Open(t.Context(), db, o)
		if err != nil {
			t.Fatal(err)
		}
		ctx := t.Context()
		leases := []store.Op{
			{Kind: store.KindPut, Key: "1h", TTL: time.Hour},
			{Kind: store.KindPut, Key: "2h", TTL: 2 * time.Hour},
			{Kind: store.KindPut, Key: "3h", TTL: 3 * time.Hour},
		}
		if _, err := s.Txn(ctx, store.Txn{Do: leases}); err != nil {
			t.Fatal(err)
		}
		there := func(want string) {
			t.Helper()
			var got []string
			for rec, err := range s.Range(ctx, store.Range{}) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, rec.Key)
			}
			if strings.Join(got, " ") != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		there("1h 2h 3h")
		now = now.Add(1000 * time.Hour) // somebody sets the clock
		there("1h 2h 3h")
		now = now.Add(-2000 * time.Hour)
		<-time.After(time.Hour - 1)
		there("1h 2h 3h")
		<-time.After(1)
		there("2h 3h")

		// It is gone for good, not only out of sight.
		<-time.After(time.Second)
		synctest.Wait()
		deleted := false
		for c, err := range s.Watch(ctx, "", 1) {
			if err != nil {
				t.Fatal(err)
			}
			if c.Kind == store.Synced {
				break
			}
			deleted = deleted || c.Kind == store.KindDelete && c.Record.Key == "1h"
		}
		if !deleted {
			t.Error("what has expired was not deleted")
		}

		// After a restart the machine's clock counts once more: what has passed while
		// the store was closed has passed for its records.
		if err := errors.Join(s.Close(), db.Close()); err != nil {
			t.Fatal(err)
		}
		now = now.Add(2000*time.Hour - 1000*time.Hour + 2*time.Hour + time.Minute)
		if db, err = engine.Open(ctx, "data", engine.Options{FS: fs}); err != nil {
			t.Fatal(err)
		}
		if s, err = embedded.Open(ctx, db, o); err != nil {
			t.Fatal(err)
		}
		there("3h")
		<-time.After(time.Hour)
		there("")
		if err := errors.Join(s.Close(), db.Close()); err != nil {
			t.Fatal(err)
		}
	})
}

// TestTrim fills the index of changes beyond its bounds.
func TestTrim(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]embedded.Options{
		"by number": {MaxChanges: 100},
		"by bytes":  {MaxChangeBytes: 100 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fs := vfs.NewMem()
			s := open(t, "data", engine.Options{FS: fs, MemTable: 32 << 10}, o)
			ctx := t.Context()
			const n = 1000
			for i := range n {
				op := store.Put(strconv.Itoa(i%10), append(fmt.Appendf(nil, "%d ", i), make([]byte, 1000)...))
				if _, err := s.Txn(ctx, store.Txn{Do: []store.Op{op}}); err != nil {
					t.Fatal(err)
				}
			}
			check := func() (oldest int64) {
				t.Helper()
				if err := firstError(s.Watch(ctx, "", 1)); !errors.Is(err, store.ErrCompacted) {
					t.Errorf("a watch from what is gone: %v, want %v", err, store.ErrCompacted)
				}
				// The trimmer runs beside: the oldest may go while it is looked for.
				for from := int64(1); from < n; from++ {
					if firstError(s.Watch(ctx, "", from)) == nil {
						oldest = from
						break
					}
				}
				if kept := n - oldest; kept < 50 || kept > 300 {
					t.Errorf("%d changes are kept, want about 100", kept)
				}
				last := oldest
				for c, err := range s.Watch(ctx, "", oldest) {
					if err != nil {
						t.Fatal(err)
					}
					if c.Kind == store.Synced {
						break
					}
					if c.Revision != last+1 {
						t.Fatalf("revision %d after %d", c.Revision, last)
					}
					last = c.Revision
				}
				if last != n {
					t.Errorf("the changes end at %d, want %d", last, n)
				}
				return oldest
			}
			oldest := check()
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, "data", engine.Options{FS: fs}, o)
			if again := check(); again < oldest {
				t.Errorf("changes from %d are there after a restart, and before they were from %d", again, oldest)
			}
		})
	}
}

// firstError returns the first error of a watch, nil when it catches up.
func firstError(changes func(func(store.Change, error) bool)) error {
	for c, err := range changes {
		if err != nil {
			return err
		}
		if c.Kind == store.Synced {
			break
		}
	}
	return nil
}

// TestBulk writes more in bulk than the index of changes holds; the control writes it
// as everything else.
func TestBulk(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		bulk bool
		want error
	}{"bulk": {bulk: true}, "control": {want: store.ErrCompacted}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fs, o := vfs.NewMem(), embedded.Options{MaxChangeBytes: 100 << 10}
			s := open(t, "data", engine.Options{FS: fs}, o)
			ctx := t.Context()
			first, err := s.Txn(ctx, store.Txn{Do: []store.Op{store.Put("a", nil)}})
			if err != nil {
				t.Fatal(err)
			}
			last := int64(0)
			for i := range 20 {
				op := store.Op{Kind: store.KindPut, Key: strconv.Itoa(i), Value: make([]byte, 100<<10), Bulk: tt.bulk}
				if last, err = s.Txn(ctx, store.Txn{Do: []store.Op{op}}); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, "data", engine.Options{FS: fs}, o)
			if newest, err := s.Txn(ctx, store.Txn{}); err != nil || newest != last {
				t.Errorf("the newest revision is %d, %v, want %d", newest, err, last)
			}
			// Trimming goes on beside.
			for err = firstError(s.Watch(ctx, "", first)); err == nil && tt.want != nil; {
				err = firstError(s.Watch(ctx, "", first))
			}
			if !errors.Is(err, tt.want) {
				t.Errorf("a watch from before: %v, want %v", err, tt.want)
			}
		})
	}
}

// TestWatchFallsBehind has a watch stand still while more happens than is kept.
func TestWatchFallsBehind(t *testing.T) {
	t.Parallel()
	s := open(t, "data", engine.Options{FS: vfs.NewMem()}, embedded.Options{MaxChanges: 100})
	ctx := t.Context()
	put := func(n int) {
		t.Helper()
		for i := range n {
			if _, err := s.Txn(ctx, store.Txn{Do: []store.Op{store.Put("a", strconv.AppendInt(nil, int64(i), 10))}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	put(1)
	last := int64(0)
	var end error
	for c, err := range s.Watch(ctx, "", 0) {
		if end = err; err != nil {
			break
		}
		if c.Kind == store.Synced {
			put(2000)
			// Trimming goes on beside; it is done when it has come so far.
			for !errors.Is(firstError(s.Watch(ctx, "", 1000)), store.ErrCompacted) {
				put(100)
			}
			continue
		}
		if last != 0 && c.Revision != last+1 {
			t.Fatalf("revision %d after %d", c.Revision, last)
		}
		last = c.Revision
	}
	if !errors.Is(end, store.ErrCompacted) {
		t.Errorf("the watch ended with %v, want %v", end, store.ErrCompacted)
	}
}
