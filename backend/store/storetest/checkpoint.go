package storetest

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/micro/micro/v3/backend/store"
)

// TestCheckpoint tests a driver that is a [store.Checkpointer]. open opens a store in a
// directory, or what is in there; the test closes it before it opens the directory again.
func TestCheckpoint(t *testing.T, open func(t *testing.T, dir string) store.Store) {
	t.Helper()
	const writers, copies = 4, 5
	root := t.TempDir()
	s := open(t, filepath.Join(root, "store"))
	checkpointer, ok := s.(store.Checkpointer)
	if !ok {
		t.Fatalf("%T is no %T", s, checkpointer)
	}
	// Each writer counts in two keys, which it changes together.
	var acked, begun [writers]atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for ctx.Err() == nil {
				n := begun[w].Add(1)
				value := fmt.Appendf(nil, "%d %0*d", n, n%2000, 0)
				ops := []store.Op{store.Put(fmt.Sprintf("%d/a", w), value), store.Put(fmt.Sprintf("%d/b", w), value)}
				if _, err := s.Txn(context.WithoutCancel(ctx), store.Txn{Do: ops}); err != nil {
					t.Error(err)
					return
				}
				acked[w].Store(n)
			}
		})
	}
	least, most := make([][writers]int64, copies), make([][writers]int64, copies)
	for i := range copies {
		for range 20 {
			do(t, s, store.Put("between", []byte(strconv.Itoa(i))))
		}
		for w := range writers {
			least[i][w] = acked[w].Load()
		}
		if err := checkpointer.Checkpoint(within(t), filepath.Join(root, strconv.Itoa(i))); err != nil {
			t.Fatal(err)
		}
		for w := range writers {
			most[i][w] = begun[w].Load()
		}
	}
	if err := checkpointer.Checkpoint(within(t), filepath.Join(root, "0")); err == nil {
		t.Error("a copy was made over another")
	}
	cancel()
	wg.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for i := range copies {
		c := open(t, filepath.Join(root, strconv.Itoa(i)))
		for w := range writers {
			a, b := get(t, c, fmt.Sprintf("%d/a", w)), get(t, c, fmt.Sprintf("%d/b", w))
			var n int64
			if _, err := fmt.Sscan(string(a.Value), &n); err != nil || string(a.Value) != string(b.Value) || a.Revision != b.Revision {
				t.Errorf("copy %d: writer %d has %.10q and %.10q, %v", i, w, a.Value, b.Value, err)
			}
			if n < least[i][w] || n > most[i][w] {
				t.Errorf("copy %d: writer %d is at %d, want from %d to %d", i, w, n, least[i][w], most[i][w])
			}
		}
		equal(t, "what was written between copies", string(get(t, c, "between").Value), strconv.Itoa(i))
		put(t, c, "new", "1") // it is a store as any other
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}
