package storetest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/micro/micro/v3/backend/store"
)

func concurrencyTests() map[string]func(*testing.T, store.Store) {
	return map[string]func(*testing.T, store.Store){
		"counters":        testCounters,
		"one winner":      testOneWinner,
		"monotonic reads": testMonotonicReads,
		"bank":            testBank,
	}
}

// testCounters has many writers count on the same keys, each by reading and writing
// on condition that nothing happened in between.
func testCounters(t *testing.T, s store.Store) {
	const writers, each, counters = 8, 25, 3
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if err := count(t, s, fmt.Sprintf("counter%d", (w+i)%counters)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	total := uint64(0)
	for _, rec := range list(t, s, store.Range{}) {
		total += binary.BigEndian.Uint64(rec.Value)
	}
	if total != writers*each {
		t.Errorf("the counters come to %d, want %d", total, writers*each)
	}
}

// count adds one to a counter.
func count(t *testing.T, s store.Store, key string) error {
	t.Helper()
	for {
		rec, err := s.Get(t.Context(), key)
		n := uint64(0)
		switch {
		case err == nil:
			n = binary.BigEndian.Uint64(rec.Value)
		case !errors.Is(err, store.ErrNotFound):
			return err
		}
		_, err = s.Txn(t.Context(), store.Txn{
			If: []store.Cond{{Key: key, Revision: rec.Revision}},
			Do: []store.Op{store.Put(key, binary.BigEndian.AppendUint64(nil, n+1))},
		})
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// testOneWinner has several want the same absent key at once.
func testOneWinner(t *testing.T, s store.Store) {
	for round := range 20 {
		key := strconv.Itoa(round)
		var won atomic.Int32
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				_, err := s.Txn(t.Context(), store.Txn{If: []store.Cond{{Key: key}}, Do: []store.Op{store.Put(key, nil)}})
				switch {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, store.ErrConflict):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := won.Load(); n != 1 {
			t.Fatalf("%d made the same key, want 1", n)
		}
	}
}

// testMonotonicReads has readers look at a key that one writer counts up. What has
// been acknowledged must be seen, and what has been seen must not be taken back.
func testMonotonicReads(t *testing.T, s store.Store) {
	var acked atomic.Int64
	acked.Store(put(t, s, "a", "")[0])
	const writes, readerCount = 200, 4
	written := make(chan struct{}, readerCount*writes) // each is read after once
	var readers sync.WaitGroup
	for reader := range readerCount {
		readers.Go(func() {
			last := int64(0)
			for range written {
				least := max(acked.Load(), last)
				var seen int64
				var err error
				switch reader % 3 {
				case 0:
					var rec store.Record
					rec, err = s.Get(t.Context(), "a")
					seen = rec.Revision
				case 1:
					for rec, e := range s.Range(t.Context(), store.Range{}) {
						seen, err = rec.Revision, e
					}
				default:
					seen, err = s.Txn(t.Context(), store.Txn{})
				}
				if err != nil {
					t.Error(err)
					return
				}
				if seen < least {
					t.Errorf("reader %d saw revision %d when %d was known", reader, seen, least)
					return
				}
				last = seen
			}
		})
	}
	for range writes {
		for range readerCount {
			written <- struct{}{} // so that some read before and some after
		}
		acked.Store(put(t, s, "a", "")[0])
	}
	close(written)
	readers.Wait()
}

// testBank moves amounts between accounts while others add them all up.
func testBank(t *testing.T, s store.Store) {
	const accounts, start = 6, 100
	key := func(i int) string { return fmt.Sprintf("account%d", i%accounts) }
	for i := range accounts {
		do(t, s, store.Put(key(i), []byte{start}))
	}
	done := make(chan struct{})
	var movers, auditors sync.WaitGroup
	for m := range 4 {
		movers.Go(func() {
			for i := range 25 {
				from, to := key(m+i), key(m+2*i+1)
				if from == to {
					continue
				}
				if err := move(t, s, from, to, byte(i%7)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	auditors.Go(func() {
		for {
			sum := 0
			for rec, err := range s.Range(t.Context(), store.Prefix("account")) {
				if err != nil {
					t.Error(err)
					return
				}
				sum += int(rec.Value[0])
			}
			if sum != accounts*start {
				t.Errorf("the accounts come to %d, want %d", sum, accounts*start)
				return
			}
			select {
			case <-done:
				return
			default:
			}
		}
	})
	movers.Wait()
	close(done)
	auditors.Wait()
}

// move moves an amount from one account to another, if it is there.
func move(t *testing.T, s store.Store, from, to string, amount byte) error {
	t.Helper()
	for {
		a, err := s.Get(t.Context(), from)
		if err != nil {
			return err
		}
		b, err := s.Get(t.Context(), to)
		if err != nil {
			return err
		}
		if a.Value[0] < amount || b.Value[0] > 255-amount {
			return nil
		}
		_, err = s.Txn(t.Context(), store.Txn{
			If: []store.Cond{{Key: from, Revision: a.Revision}, {Key: to, Revision: b.Revision}},
			Do: []store.Op{
				store.Put(from, []byte{a.Value[0] - amount}),
				store.Put(to, []byte{b.Value[0] + amount}),
			},
		})
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}
