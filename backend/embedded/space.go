package embedded

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	// Pebble merges up to 50 MiB of tables at once.
	minReserve = 64 << 20
	maxReserve = 256 << 20
	// A written byte is in the log first and then in a table; tables are merged,
	// and both are there until the merged one is whole.
	amplification = 3
	// spaceAge is how long an answer of the machine is believed.
	spaceAge = time.Second
)

// space knows how much room is left on the disk. Pebble that has none does not
// fail but wait, so what adds data is refused before that: with less than reserve
// left. What removes data needs little and makes room, if only later; it is
// refused with less than a quarter of that.
//
// The machine is asked at most once a second and whenever much was written.
type space struct {
	fs      vfs.FS
	dir     string
	reserve int64 // 0: a share of the disk

	asking sync.Mutex

	until  atomic.Int64 // the time, since origin, up to which left is believed
	origin time.Time
	left   atomic.Int64 // bytes above the reserve
	kept   atomic.Int64 // the reserve
}

func newSpace(fs vfs.FS, dir string, reserve int64) *space {
	s := &space{fs: fs, dir: dir, reserve: reserve, origin: time.Now()}
	s.ask()
	return s
}

// room returns ErrFull when there is none for so many bytes; 0 stands for a write
// that only removes.
func (s *space) room(bytes int) error {
	if int64(time.Since(s.origin)) >= s.until.Load() {
		s.ask()
	}
	left, kept := s.left.Load(), s.kept.Load()
	floor := int64(bytes) * amplification
	if bytes == 0 {
		floor = -kept + kept/4
	}
	if left >= floor {
		return nil
	}
	return fmt.Errorf("%w: %s has %d MiB left and %d MiB are kept free",
		ErrFull, s.dir, max(left+kept, 0)>>20, kept>>20)
}

// wrote takes what was written from what is left.
func (s *space) wrote(bytes int) {
	if s.left.Add(int64(-bytes*amplification)) < s.kept.Load()/2 {
		s.until.Store(0)
	}
}

// short reports whether there is too little room for anything that adds data.
func (s *space) short() bool { return s.left.Load() < 0 }

// exhausted is told that the machine found no room.
func (s *space) exhausted() {
	s.left.Store(math.MinInt64 / 2)
	s.until.Store(int64(time.Since(s.origin) + spaceAge))
}

// ask asks the machine, unless somebody is doing so.
func (s *space) ask() {
	if !s.asking.TryLock() {
		return
	}
	defer s.asking.Unlock()
	u, err := s.fs.GetDiskUsage(s.dir)
	if err != nil {
		// A file system that cannot tell, such as one in memory.
		s.left.Store(math.MaxInt64 / 2)
		s.until.Store(int64(time.Since(s.origin) + spaceAge))
		return
	}
	kept := s.reserve
	if kept == 0 {
		kept = min(max(int64(u.TotalBytes/50), minReserve), maxReserve, int64(u.TotalBytes/4))
	}
	s.kept.Store(kept)
	s.left.Store(int64(min(u.AvailBytes, math.MaxInt64)) - kept)
	s.until.Store(int64(time.Since(s.origin) + spaceAge))
}
