package embedded

import (
	"errors"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// sizedFS has a disk of a given size.
type sizedFS struct {
	vfs.FS
	total, free atomic.Uint64
	asked       atomic.Int64
	broken      atomic.Bool
}

func (f *sizedFS) GetDiskUsage(string) (vfs.DiskUsage, error) {
	f.asked.Add(1)
	if f.broken.Load() {
		return vfs.DiskUsage{}, syscall.EIO
	}
	return vfs.DiskUsage{AvailBytes: f.free.Load(), TotalBytes: f.total.Load()}, nil
}

func TestReserve(t *testing.T) {
	t.Parallel()
	const mib, gib = 1 << 20, 1 << 30
	for _, c := range []struct {
		name           string
		reserve, total int64
		want           int64 // the reserve
	}{
		{"tiny", 0, 8 * mib, 2 * mib},
		{"small", 0, 64 * mib, 16 * mib},
		{"1 GiB", 0, gib, 64 * mib},
		{"10 GiB", 0, 10 * gib, 10 * gib / 50},
		{"large", 0, 1 << 50, 256 * mib},
		{"set", 5 * mib, gib, 5 * mib},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			fs := &sizedFS{}
			fs.total.Store(uint64(c.total))
			for _, at := range []struct {
				free         int64
				add, removes bool
			}{
				{c.total, true, true},
				{c.want + 1000*amplification, true, true},
				{c.want + 1000*amplification - 1, false, true},
				{c.want, false, true},
				{c.want / 4, false, true},
				{c.want/4 - 1, false, false},
				{0, false, false},
			} {
				fs.free.Store(uint64(at.free))
				s := newSpace(fs, "data", c.reserve)
				if err := s.room(1000); (err == nil) != at.add || err != nil && !errors.Is(err, ErrFull) {
					t.Errorf("with %d bytes left 1000 more: %v, want that it is let through: %v", at.free, err, at.add)
				}
				if err := s.room(0); (err == nil) != at.removes || err != nil && !errors.Is(err, ErrFull) {
					t.Errorf("with %d bytes left, removing: %v, want that it is let through: %v", at.free, err, at.removes)
				}
			}
		})
	}
}

// TestSpaceAsks counts how often the machine is asked.
func TestSpaceAsks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const gib = 1 << 30
		fs := &sizedFS{}
		fs.total.Store(100 * gib)
		fs.free.Store(50 * gib)
		s := newSpace(fs, "data", 0)
		ask := func(what string, want int64) {
			t.Helper()
			fs.asked.Store(0)
			var wg sync.WaitGroup
			for range 10 {
				wg.Go(func() {
					for range 100 {
						if err := s.room(100); err != nil {
							t.Error(err)
						}
					}
				})
			}
			wg.Wait()
			if got := fs.asked.Load(); got != want {
				t.Errorf("%s: asked %d times, want %d", what, got, want)
			}
		}
		ask("at once", 0)
		<-time.After(spaceAge)
		ask("after a second", 1)
		s.wrote(gib)
		ask("after a large write", 0)

		// Close to the reserve every write counts.
		fs.free.Store(300 << 20)
		<-time.After(spaceAge)
		ask("with little left", 1)
		s.wrote(1)
		ask("with little left, after a write", 1)

		// Somebody else may take it all, and give it back.
		fs.free.Store(0)
		<-time.After(spaceAge)
		if err := s.room(1); !errors.Is(err, ErrFull) {
			t.Errorf("%v, want %v", err, ErrFull)
		}
		fs.free.Store(50 * gib)
		<-time.After(spaceAge)
		if err := s.room(1); err != nil {
			t.Error(err)
		}

		// A write that found no room is believed more than what was asked before.
		s.exhausted()
		if err := s.room(0); !errors.Is(err, ErrFull) {
			t.Errorf("%v, want %v", err, ErrFull)
		}
		<-time.After(spaceAge)
		if err := s.room(1); err != nil {
			t.Error(err)
		}

		// A machine that cannot tell does not keep anybody from writing.
		fs.broken.Store(true)
		fs.free.Store(0)
		<-time.After(spaceAge)
		if err := s.room(1 << 30); err != nil {
			t.Error(err)
		}
	})
}
