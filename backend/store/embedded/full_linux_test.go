package embedded_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	engine "github.com/micro/micro/v3/backend/embedded"
	"github.com/micro/micro/v3/backend/store"
	"github.com/micro/micro/v3/backend/store/embedded"
	"github.com/micro/micro/v3/internal/crashtest"
)

// tmpfs mounts a file system of a size, such as 64m, for a test, where that is permitted.
func tmpfs(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// eat fills a disk up to so many bytes. A store that is tidying up there takes some room
// meanwhile, and may leave less than was free.
func eat(t *testing.T, dir string, left int64) (giveBack func()) {
	t.Helper()
	name := filepath.Join(dir, "eaten")
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	if size := int64(st.Bavail)*st.Bsize - left; size > 0 {
		if err := os.WriteFile(name, make([]byte, size), 0o600); err != nil && (left > 0 || !errors.Is(err, syscall.ENOSPC)) {
			t.Fatal(err)
		}
	}
	return func() {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}

// settle returns when nobody has written to a disk, or made room on it, for a second.
func settle(t *testing.T, dir string) {
	t.Helper()
	const pause = 20 * time.Millisecond
	var before syscall.Statfs_t
	deadline := time.After(20 * time.Second)
	for same := time.Duration(0); same < time.Second; same += pause {
		var st syscall.Statfs_t
		if err := syscall.Statfs(dir, &st); err != nil {
			t.Fatal(err)
		}
		if st.Bavail != before.Bavail {
			before, same = st, 0
		}
		select {
		case <-deadline:
			t.Fatal("the store does not come to rest")
		case <-time.After(pause):
		}
	}
}

// within returns what f returns, which must not take longer than a second.
func within(t *testing.T, what string, f func() error) error {
	t.Helper()
	done := make(chan error, 1)
	began := time.Now()
	go func() { done <- f() }()
	select {
	case err := <-done:
		if took := time.Since(began); took > time.Second {
			t.Errorf("%s took %v", what, took)
		}
		return err
	case <-time.After(20 * time.Second):
		t.Fatalf("%s does not end", what)
		return nil
	}
}

// remove deletes a record on a full disk. A store that is tidying up there takes some room
// meanwhile, and may have too little even for that.
func remove(t *testing.T, s *opened, key string) {
	t.Helper()
	for deadline := time.After(20 * time.Second); ; {
		_, err := s.Txn(t.Context(), store.Txn{Do: []store.Op{store.Delete(key)}})
		if err == nil {
			return
		}
		if !errors.Is(err, store.ErrFull) {
			t.Fatal(err)
		}
		select {
		case <-deadline:
			t.Fatalf("nothing can be deleted on a full disk: %v", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// TestFullDisk fills a disk with a store, and has somebody else fill it.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	disk := tmpfs(t, "64m")
	s := open(t, filepath.Join(disk, "data"), engine.Options{}, embedded.Options{MaxChangeBytes: 4 << 20})
	ctx := t.Context()
	value := make([]byte, 50<<10)
	random := rand.NewChaCha8([32]byte{}) // so that nothing is gained by compression
	_, _ = random.Read(value)
	put := func(i int) error {
		v := append(strconv.AppendInt(nil, int64(i), 10), value...)
		_, err := s.Txn(ctx, store.Txn{Do: []store.Op{store.Put(fmt.Sprintf("k%05d", i), v)}})
		return err
	}

	// The store fills it, and does not go down with it.
	acked := 0
	for ; ; acked++ {
		err := within(t, "a put", func() error { return put(acked) })
		if errors.Is(err, store.ErrFull) {
			t.Log(err)
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if acked > 2000 {
			t.Fatal("more was taken than there is room for")
		}
	}
	if acked < 100 {
		t.Errorf("%d puts of 50 KiB were taken, want more of 64 MiB", acked)
	}
	readable := func() {
		t.Helper()
		for i := range acked {
			rec, err := s.Get(ctx, fmt.Sprintf("k%05d", i))
			if err != nil || !bytes.HasPrefix(rec.Value, strconv.AppendInt(nil, int64(i), 10)) {
				t.Fatalf("record %d: %.10q, %v", i, rec.Value, err)
			}
		}
	}
	readable()

	// Deleting makes room, and what has room is taken again.
	recovered := func() {
		t.Helper()
		for deadline := time.After(20 * time.Second); ; {
			err := within(t, "a put", func() error { return put(acked) })
			if err == nil {
				break
			}
			if !errors.Is(err, store.ErrFull) {
				t.Fatal(err)
			}
			select {
			case <-deadline:
				t.Fatal("there is room, and the store does not notice")
			case <-time.After(20 * time.Millisecond):
			}
		}
		acked++
		readable()
	}
	kept := acked
	for i := kept - 1; i >= kept/3; i-- {
		remove(t, s, fmt.Sprintf("k%05d", i))
		acked = i
	}
	recovered()

	// Somebody else fills it, to the last byte. The store may still be tidying up, and
	// have room for a moment; what it says must come soon.
	giveBack := eat(t, disk, 0)
	refused := func() {
		t.Helper()
		for deadline := time.After(20 * time.Second); ; {
			err := within(t, "a put", func() error { return put(acked) })
			if errors.Is(err, store.ErrFull) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			acked++
			select {
			case <-deadline:
				t.Fatal("there is no room, and the store does not notice")
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	refused()
	if err := within(t, "a deletion", func() error {
		_, err := s.Txn(ctx, store.Txn{Do: []store.Op{store.Delete("absent")}})
		return err
	}); err != nil && !errors.Is(err, store.ErrFull) {
		t.Errorf("a deletion with no room at all: %v, want %v", err, store.ErrFull)
	}
	readable()
	giveBack()
	recovered()

	// With a little left, what is to make room is let through. What the store still had to
	// tidy up would take that little.
	settle(t, disk)
	giveBack = eat(t, disk, 10<<20)
	refused()
	if err := within(t, "a deletion", func() error {
		_, err := s.Txn(ctx, store.Txn{Do: []store.Op{store.Delete(fmt.Sprintf("k%05d", acked-1))}})
		return err
	}); err != nil {
		t.Errorf("a deletion with a little room: %v", err)
	}
	acked--
	giveBack()
	recovered()
}

// TestRoomComesBack fills a disk with a store as a server opens it, removes all of that,
// and wants the room back. Values are large, so that the removals alone have to make the
// store tidy up; and so is the disk: of a smaller one all may be taken before tables are
// merged, which then waits for the next start.
func TestRoomComesBack(t *testing.T) {
	t.Parallel()
	if crashtest.Race {
		t.Skip("it is about what Pebble does, which takes too long")
	}
	disk := tmpfs(t, "512m")
	s := open(t, filepath.Join(disk, "data"), engine.Options{}, embedded.Options{})
	ctx := t.Context()
	value := make([]byte, 900<<10)
	random := rand.NewChaCha8([32]byte{})
	_, _ = random.Read(value)
	n := 0 // values that are there
	fill := func() {
		t.Helper()
		for {
			_, err := s.Txn(ctx, store.Txn{Do: []store.Op{store.Put(fmt.Sprintf("k%05d", n), value)}})
			if errors.Is(err, store.ErrFull) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if n++; n > 600 {
				t.Fatal("more was taken than there is room for")
			}
		}
	}
	// Until there is nothing left to tidy up that would help, for all one can see.
	for before, same := -1, 0; same < 50; same++ {
		if fill(); n != before {
			before, same = n, 0
		}
		<-time.After(20 * time.Millisecond)
	}
	t.Logf("%d values of 900 KiB", n)
	want := n / 4 // not all: what is merged takes room itself
	for ; n > 0; n-- {
		remove(t, s, fmt.Sprintf("k%05d", n-1))
	}
	for deadline := time.After(time.Minute); n < want; fill() {
		select {
		case <-deadline:
			t.Fatalf("%d values were taken, want %d", n, want)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
