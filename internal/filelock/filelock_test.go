package filelock_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/micro/micro/v3/internal/filelock"
)

func TestLock(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "lock")
	for range 2 {
		f, err := filelock.Lock(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := filelock.Lock(name); !errors.Is(err, filelock.ErrLocked) {
			t.Errorf("a second time: %v, want %v", err, filelock.ErrLocked)
		}
		if err := filelock.Unlock(f); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := filelock.Lock(filepath.Join(name, "none")); err == nil {
		t.Error("a file in no directory was locked")
	}
}
