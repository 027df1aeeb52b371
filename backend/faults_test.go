package backend_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/micro/micro/v3/backend/embedded"
	"github.com/micro/micro/v3/internal/crashtest"
)

var errDisk = errors.New("the disk burns")

// TestEveryFault makes the n-th operation on a file fail, for every n there is (every
// eleventh, when there is little time), while everything that a server keeps is written,
// and then cuts the power: whatever failed, nothing that was acknowledged is missing,
// what was not has the cause, and the next start is clean.
func TestEveryFault(t *testing.T) {
	t.Parallel()
	step := int64(3)
	switch {
	case crashtest.Soak():
		step = 1
	case crashtest.Race:
		step = 100
	}
	disk := newDisk(t)
	faults, halted := 0, 0
	for n := int64(1); ; n += step {
		r := faulted(t, disk, n, func(fs vfs.FS) vfs.FS { return fs })
		if r.op == nil {
			if r.err != nil {
				t.Fatalf("without a fault: %v", r.err)
			}
			break
		}
		faults++
		if r.err != nil {
			halted++
			if !strings.Contains(r.err.Error(), errDisk.Error()) {
				t.Errorf("operation %d (%v %s): the error does not tell the cause: %v", n, r.op.Kind, r.op.Path, r.err)
			}
		}
		if r.afterwards != nil {
			t.Errorf("operation %d (%v %s) failed; afterwards: %v", n, r.op.Kind, r.op.Path, r.afterwards)
		}
	}
	t.Logf("%d faults, of which %d stopped the server", faults, halted)
	if halted < 10 && !crashtest.Race {
		t.Errorf("%d faults of %d were noticed, want more", halted, faults)
	}
}

// TestEveryFaultNoticed has a log that is never synced: if nothing is missing then,
// TestEveryFault shows nothing.
func TestEveryFaultNoticed(t *testing.T) {
	t.Parallel()
	disk, failed := newDisk(t), 0
	for n := int64(100); n < 400; n += 50 {
		if r := faulted(t, disk, n, crashtest.Unsynced); r.afterwards != nil {
			failed++
		}
	}
	if failed == 0 {
		t.Error("without syncing nothing was lost")
	}
}

// outcome is what became of a server with a fault.
type outcome struct {
	op         *errorfs.Op // that failed; nil: none did
	err        error       // why the server ended
	afterwards error       // what was wrong after a restart
}

// faulted makes operation n fail while everything is written, cuts the power, and looks
// at what is left.
func faulted(t *testing.T, disk *vfs.MemFS, n int64, wrap func(vfs.FS) vfs.FS) outcome {
	t.Helper()
	fs := disk.CrashClone(vfs.CrashCloneCfg{})
	var ios atomic.Int64
	var what atomic.Pointer[errorfs.Op]
	faulty := errorfs.Wrap(wrap(fs), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind != errorfs.OpGetDiskUsage && ios.Add(1) == n {
			what.Store(&op)
			return errDisk
		}
		return nil
	}))
	w := &world{workers: workers(), progress: progress{acked: map[string]int64{}, begun: map[string]int64{}}}
	out := outcome{err: untilFault(t, w, faulty)}
	out.op = what.Load()
	again, err := openStack(t.Context(), embedded.Options{FS: fs.CrashClone(vfs.CrashCloneCfg{})})
	if err == nil {
		err = errors.Join(w.check(t.Context(), again), checkAll(t.Context(), again), again.close())
	}
	out.afterwards = err
	return out
}

// untilFault has everything written until something fails, and returns why it ended.
func untilFault(t *testing.T, w *world, fs vfs.FS) error {
	t.Helper()
	fatal := make(chan error, 1)
	s, err := openStack(t.Context(), embedded.Options{FS: fs, MemTable: 32 << 10, Fatal: func(err error) { fatal <- err }})
	if err != nil {
		return err
	}
	err = w.work(t.Context(), s, 8)
	if s.db.Err() == nil {
		return errors.Join(err, s.close())
	}
	if told := <-fatal; !errors.Is(s.db.Err(), told) {
		t.Errorf("the failure is %v, and the database's %v", told, s.db.Err())
	}
	return errors.Join(err, s.close())
}
