// Package crashtest is what the tests share that cut the power of the files of a
// database, damage them or make their operations fail.
package crashtest

import (
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// Soak reports whether tests may take long: MICRO_SOAK is set.
func Soak() bool { return os.Getenv("MICRO_SOAK") != "" }

// Seed returns where random series begin, which is MICRO_SEED, or 1 where that is not
// set. Whoever fails prints the seed that does it again.
func Seed(t testing.TB) uint64 {
	t.Helper()
	s := os.Getenv("MICRO_SEED")
	if s == "" {
		return 1
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatalf("MICRO_SEED: %v", err)
	}
	return n
}

// OnWrite returns fs, but that it calls f in its nth operation that writes, counted from
// 1, before that is done. f runs where the write does, with what others do beside it.
func OnWrite(fs vfs.FS, nth int64, f func()) vfs.FS {
	var writes atomic.Int64
	return errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && writes.Add(1) == nth {
			f()
		}
		return nil
	}))
}

// Cut returns what fs has when the power is cut now: all that was synced, and of the rest
// nothing, everything or a random part.
func Cut(fs *vfs.MemFS, rng *rand.Rand) *vfs.MemFS {
	percent := []int{0, 100, rng.IntN(101)}[rng.IntN(3)]
	return fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})
}

// Unsynced returns fs, but that it never syncs the log of a database, nor what would tell
// that the log lost something. A test of power cuts that finds nothing missing on it
// shows nothing.
func Unsynced(fs vfs.FS) vfs.FS { return unsyncedFS{fs} }

type unsyncedFS struct{ vfs.FS }

func (u unsyncedFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := u.FS.Create(name, c)
	return unsynced(f, name, err)
}

func (u unsyncedFS) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := u.FS.ReuseForWrite(old, name, c)
	return unsynced(f, name, err)
}

func (u unsyncedFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	f, err := u.FS.OpenReadWrite(name, c, o...)
	return unsynced(f, name, err)
}

func unsynced(f vfs.File, name string, err error) (vfs.File, error) {
	if err == nil && (strings.HasSuffix(name, ".log") || strings.HasSuffix(name, "WITNESS")) {
		return unsyncedFile{f}, nil
	}
	return f, err
}

type unsyncedFile struct{ vfs.File }

func (unsyncedFile) Sync() error     { return nil }
func (unsyncedFile) SyncData() error { return nil }
