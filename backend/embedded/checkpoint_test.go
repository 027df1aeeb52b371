package embedded

import (
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// TestCheckpointFails makes the n-th operation on a file of the copy fail, for every n
// there is, also for want of room: the copy fails, and the database goes on.
func TestCheckpointFails(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]error{"error": errors.New("the disk burns"), "no room": syscall.ENOSPC} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var ios, at atomic.Int64
			mem := vfs.NewMem()
			db := openTest(t, errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
				if strings.HasPrefix(op.Path, "copy") && op.Kind.ReadOrWrite() == errorfs.OpIsWrite && ios.Add(1) == at.Load() {
					return fault
				}
				return nil
			})))
			failed := 0
			for n := int64(1); ; n++ {
				want := strconv.FormatInt(n, 10)
				if err := set(db, "ak", want); err != nil {
					t.Fatal(err)
				}
				ios.Store(0)
				at.Store(n)
				err := db.Checkpoint(t.Context(), "copy"+want)
				if err != nil {
					failed++
					continue
				}
				if ios.Load() >= n {
					continue // what failed was not needed
				}
				copied, err := Open(t.Context(), "copy"+want, Options{FS: mem})
				if err != nil {
					t.Fatal(err)
				}
				if got := get(t, copied, "ak"); got != want {
					t.Errorf("the copy has %q, want %q", got, want)
				}
				closeTest(t, copied)
				break
			}
			if failed < 10 {
				t.Errorf("%d faults were told, want more", failed)
			}
			closeTest(t, db)
		})
	}
}
