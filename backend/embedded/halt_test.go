package embedded

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// TestHalt makes one kind of operation fail, once: whatever it is, the database is
// told to have failed, once, with the name of the file, and takes nothing more.
func TestHalt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		kind []errorfs.OpKind
		file string // a part of its name
		text string
	}{
		{"fsync of the log", []errorfs.OpKind{errorfs.OpFileSyncData, errorfs.OpFileSync}, ".log", "fsync data/"},
		{"write of the log", []errorfs.OpKind{errorfs.OpFileWrite}, ".log", "write data/"},
		{"new log", []errorfs.OpKind{errorfs.OpCreate, errorfs.OpReuseForWrite}, ".log", "create data/"},
		{"fsync of a table", []errorfs.OpKind{errorfs.OpFileSyncData, errorfs.OpFileSync}, ".sst", "fsync data/"},
		{"write of a table", []errorfs.OpKind{errorfs.OpFileWrite}, ".sst", "write data/"},
		{"fsync of the manifest", []errorfs.OpKind{errorfs.OpFileSyncData, errorfs.OpFileSync}, "MANIFEST", "fsync data/MANIFEST"},
		{"write of the manifest", []errorfs.OpKind{errorfs.OpFileWrite}, "MANIFEST", "write data/MANIFEST"},
		{"fsync of the witness", []errorfs.OpKind{errorfs.OpFileSyncData}, "WITNESS", "fsync data/WITNESS"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var armed atomic.Bool
			faulty := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
				for _, k := range c.kind {
					if op.Kind == k && strings.Contains(op.Path, c.file) && armed.CompareAndSwap(true, false) {
						return fmt.Errorf("worn out: %w", syscall.EIO)
					}
				}
				return nil
			}))
			told := make(chan error, 10)
			db, err := Open(t.Context(), "data", Options{FS: faulty, MemTable: 16 << 10, Fatal: func(err error) { told <- err }})
			if err != nil {
				t.Fatal(err)
			}
			armed.Store(true)
			// The writer is on its own: its goroutine may be stuck in Pebble for ever.
			written := make(chan error, 1)
			go func() {
				for i := range 20_000 {
					if err := set(db, fmt.Sprintf("a%d", i), strings.Repeat("x", 1000)); err != nil {
						written <- err
						return
					}
				}
				written <- nil
			}()
			var failure error
			select {
			case failure = <-told:
			case <-time.After(30 * time.Second):
				t.Fatal("nobody was told")
			}
			if !errors.Is(failure, syscall.EIO) || !strings.HasPrefix(failure.Error(), c.text) {
				t.Errorf("told %q, want %q and %v", failure, c.text, syscall.EIO)
			}
			select {
			case <-db.Failed():
			default:
				t.Error("somebody was told before the database had stopped")
			}
			if err := set(db, "ak", ""); !errors.Is(err, failure) {
				t.Errorf("a write afterwards: %v, want %v", err, failure)
			}
			if err := db.Close(); !errors.Is(err, failure) {
				t.Errorf("Close: %v, want %v", err, failure)
			}
			if _, err := Open(t.Context(), "data", Options{FS: faulty}); !errors.Is(err, ErrInUse) {
				t.Errorf("opened again in this process: %v, want %v", err, ErrInUse)
			}
			select {
			case err := <-told:
				t.Errorf("told again: %v", err)
			default:
			}
		})
	}
}

// TestNoRoom has the disk be full for a while for one kind of file: the database
// waits, loses nothing and goes on by itself.
func TestNoRoom(t *testing.T) {
	t.Parallel()
	for _, file := range []string{".log", ".sst", "MANIFEST"} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			var full atomic.Bool
			hit := make(chan struct{}, 1)
			faulty := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
				switch op.Kind {
				case errorfs.OpFileWrite, errorfs.OpCreate:
					if strings.Contains(op.Path, file) && full.Load() {
						select {
						case hit <- struct{}{}:
						default:
						}
						return syscall.ENOSPC
					}
				default:
				}
				return nil
			}))
			db, err := Open(t.Context(), "data", Options{
				FS: faulty, MemTable: 16 << 10,
				Logger: slog.New(slog.DiscardHandler),
				Fatal:  func(err error) { t.Errorf("fatal: %v", err) },
			})
			if err != nil {
				t.Fatal(err)
			}
			full.Store(true)
			const n = 100
			written := make(chan error, 1)
			go func() {
				for i := range n {
					if err := set(db, fmt.Sprintf("a%d", i), strings.Repeat("x", 1000)); err != nil {
						written <- err
						return
					}
				}
				written <- nil
			}()
			for noticed := false; !noticed; {
				select {
				case <-hit:
					noticed = errors.Is(db.Room(0), ErrFull)
				case <-time.After(30 * time.Second):
					t.Fatalf("Room: %v, want %v", db.Room(0), ErrFull)
				}
			}
			full.Store(false)
			if err := <-written; err != nil {
				t.Fatal(err)
			}
			for i := range n {
				if get(t, db, fmt.Sprintf("a%d", i)) == "" {
					t.Errorf("write %d is missing", i)
				}
			}
			closeTest(t, db)
		})
	}
}

// TestOpenWithoutRoom has Open say so instead of waiting.
func TestOpenWithoutRoom(t *testing.T) {
	t.Parallel()
	faulty := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpCreate && strings.Contains(op.Path, "MANIFEST") {
			return syscall.ENOSPC
		}
		return nil
	}))
	if _, err := Open(t.Context(), "data", Options{FS: faulty}); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "MANIFEST") {
		t.Errorf("%v, want %v and the file", err, syscall.ENOSPC)
	}
}

// TestPanics has an error of Pebble's that is a panic be an error.
func TestPanics(t *testing.T) {
	t.Parallel()
	told := make(chan error, 1)
	db, err := Open(t.Context(), "data", Options{FS: vfs.NewMem(), Fatal: func(err error) { told <- err }})
	if err != nil {
		t.Fatal(err)
	}
	b := db.pebble.NewBatch()
	if err := b.Set([]byte("a"), nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := db.pebble.Apply(b, pebble.NoSync); err != nil {
		t.Fatal(err)
	}
	if err := db.apply(b); err == nil { // twice
		t.Fatal("no error")
	} else if failure := <-told; !errors.Is(err, failure) {
		t.Errorf("got %v, want %v", err, failure)
	}
}
