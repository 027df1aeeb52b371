package storetest

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/micro/v3/backend/store"
)

// Bench measures a driver. Writes are told as multiples of what the disk of this
// machine gives one writer of 4 KiB blocks in the same run ("x-floor"): a store that
// asks for one fsync a write comes to 1 however many writers there are.
func Bench(b *testing.B, open func(b *testing.B) store.Store) {
	b.Helper()
	for _, writers := range []int{1, 16, 128} {
		b.Run(fmt.Sprintf("put/writers=%d", writers), func(b *testing.B) {
			s := open(b)
			value := fill(100)
			before := syncs(b)
			perSecond := share(b, writers, func(w, i int) error {
				_, err := s.Txn(b.Context(), store.Txn{Do: []store.Op{store.Put(fmt.Sprintf("%d/%d", w, i), value)}})
				return err
			})
			floor := (before + syncs(b)) / 2
			b.ReportMetric(perSecond, "puts/s")
			b.ReportMetric(perSecond/floor, "x-floor")
		})
	}
	const records = 10_000
	for _, readers := range []int{1, 16} {
		b.Run(fmt.Sprintf("get/readers=%d", readers), func(b *testing.B) {
			s := open(b)
			populate(b, s, records)
			perSecond := share(b, readers, func(w, i int) error {
				_, err := s.Get(b.Context(), recordKey((w*7919+i*31)%records))
				return err
			})
			b.ReportMetric(perSecond, "gets/s")
		})
	}
	b.Run("get/while writing", func(b *testing.B) {
		s := open(b)
		populate(b, s, records)
		stop := make(chan struct{})
		var writer sync.WaitGroup
		writer.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				op := store.Put(recordKey(i%records), fill(100))
				if _, err := s.Txn(b.Context(), store.Txn{Do: []store.Op{op}}); err != nil {
					b.Error(err)
					return
				}
			}
		})
		perSecond := share(b, 1, func(_, i int) error {
			_, err := s.Get(b.Context(), recordKey(i*31%records))
			return err
		})
		b.ReportMetric(perSecond, "gets/s")
		close(stop)
		writer.Wait()
	})
	b.Run(fmt.Sprintf("range/records=%d", records), func(b *testing.B) {
		s := open(b)
		populate(b, s, records)
		b.ReportAllocs()
		for b.Loop() {
			n := 0
			for _, err := range s.Range(b.Context(), store.Prefix("record/")) {
				if err != nil {
					b.Fatal(err)
				}
				n++
			}
			if n != records {
				b.Fatalf("%d records, want %d", n, records)
			}
		}
	})
	b.Run("watch/watchers=1000", func(b *testing.B) { benchWatch(b, open(b), 1000) })
}

// benchWatch measures how long a change takes until all watchers have it.
func benchWatch(b *testing.B, s store.Store, watchers int) {
	b.Helper()
	var ready, got sync.WaitGroup
	ready.Add(watchers)
	for range watchers {
		go func() {
			for c, err := range s.Watch(b.Context(), "record/", 0) {
				switch {
				case err != nil:
					return
				case c.Kind == store.Synced:
					ready.Done()
				default:
					got.Done()
				}
			}
		}()
	}
	ready.Wait()
	for i := 0; b.Loop(); i++ {
		got.Add(watchers)
		if _, err := s.Txn(b.Context(), store.Txn{Do: []store.Op{store.Put(recordKey(i), fill(100))}}); err != nil {
			b.Fatal(err)
		}
		got.Wait()
	}
}

// share makes b.N calls with so many callers and returns how many there were a second.
func share(b *testing.B, callers int, call func(caller, i int) error) float64 {
	b.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	start := time.Now()
	for c := range callers {
		wg.Go(func() {
			for {
				i := next.Add(1)
				if i > int64(b.N) {
					return
				}
				if err := call(c, int(i)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(start)
	b.StopTimer()
	return float64(b.N) / took.Seconds()
}

func recordKey(i int) string { return fmt.Sprintf("record/%08d", i) }

func populate(b *testing.B, s store.Store, n int) {
	b.Helper()
	for i := 0; i < n; i += 500 {
		var ops []store.Op
		for j := range 500 {
			ops = append(ops, store.Put(recordKey(i+j), fill(100)))
		}
		if _, err := s.Txn(b.Context(), store.Txn{Do: ops}); err != nil {
			b.Fatal(err)
		}
	}
}

// syncs returns how often a second one writer can write a block of a file that is
// there already, and make it durable.
func syncs(b *testing.B) float64 {
	b.Helper()
	f, err := os.Create(filepath.Join(b.TempDir(), "floor"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	const blocks = 256
	block := fill(4096)
	for range blocks {
		if _, err := f.Write(block); err != nil {
			b.Fatal(err)
		}
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
	n := 0
	start := time.Now()
	for ; time.Since(start) < 300*time.Millisecond; n++ {
		if _, err := f.WriteAt(block, int64(n%blocks)*4096); err != nil {
			b.Fatal(err)
		}
		if err := syncData(f); err != nil {
			b.Fatal(err)
		}
	}
	return float64(n) / time.Since(start).Seconds()
}
