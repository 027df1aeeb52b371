package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/micro/micro/v3/backend/store"
)

// These tests run on the real clock. They use lives that are long for a machine and
// short for a person, and never take being late for being wrong.
const (
	short = 300 * time.Millisecond
	long  = time.Hour
)

func lease(key string, ttl time.Duration) store.Op {
	return store.Op{Kind: store.KindPut, Key: key, Value: []byte("leased"), TTL: ttl}
}

func expiryTests() map[string]func(*testing.T, store.Store) {
	return map[string]func(*testing.T, store.Store){
		"record tells": func(t *testing.T, s store.Store) {
			before := time.Now()
			do(t, s, lease("a", long))
			after := time.Now()
			got := get(t, s, "a").Expires
			// The store's clock may differ from this one, but not by much.
			if lo, hi := before.Add(long-time.Minute), after.Add(long+time.Minute); got.Before(lo) || got.After(hi) {
				t.Errorf("expires at %v, want between %v and %v", got, lo, hi)
			}
			for _, rec := range list(t, s, store.Range{KeysOnly: true}) {
				equal(t, "expiry in a list", rec.Expires, got)
			}
			put(t, s, "b", "")
			if e := get(t, s, "b").Expires; !e.IsZero() {
				t.Errorf("a record without a time to live expires at %v", e)
			}
		},
		"not found afterwards": func(t *testing.T, s store.Store) {
			began := time.Now()
			do(t, s, lease("a", short), store.Put("b", nil))
			done := time.Now()
			if _, err := s.Get(within(t), "a"); err != nil && time.Since(began) < short {
				t.Errorf("before the end of its life: %v", err)
			}
			<-time.After(short - time.Since(done))
			absent(t, s, "a")
			equal(t, "keys", keys(t, s, store.Range{}), []string{"b"})
			if _, err := s.Txn(within(t), store.Txn{If: []store.Cond{{Key: "a"}}}); err != nil {
				t.Errorf("a condition that it is absent: %v", err)
			}
			get(t, s, "b")
		},
		"condition on what has expired": func(t *testing.T, s store.Store) {
			rev := do(t, s, lease("a", short))
			done := time.Now()
			<-time.After(short - time.Since(done))
			_, err := s.Txn(within(t), store.Txn{If: []store.Cond{{Key: "a", Revision: rev}}, Do: []store.Op{lease("a", long)}})
			if !errors.Is(err, store.ErrConflict) {
				t.Errorf("a condition that it is as it was: %v, want %v", err, store.ErrConflict)
			}
			if _, err := s.Txn(within(t), store.Txn{If: []store.Cond{{Key: "a"}}, Do: []store.Op{lease("a", long)}}); err != nil {
				t.Errorf("a new life: %v", err)
			}
			get(t, s, "a")
		},
		"deleted, and watchers see it": func(t *testing.T, s store.Store) {
			rev := do(t, s, lease("a", short))
			w := watch(t, s, "a", 0)
			c := w.next(t)
			if c.Kind == store.KindPut {
				w.synced(t)
				c = w.next(t)
			} else {
				c = w.next(t) // it had expired before the watch began
			}
			if c.Kind != store.KindDelete || c.Record.Key != "a" || c.Revision <= rev {
				t.Errorf("got %+v, want the deletion of a after revision %d", c, rev)
			}
			absent(t, s, "a")
		},
		"renewed": func(t *testing.T, s store.Store) {
			do(t, s, lease("a", short))
			rev := do(t, s, lease("a", long))
			// Something that lives as long as the first life of a.
			rev2 := do(t, s, lease("b", short))
			w := watch(t, s, "", rev2)
			w.synced(t)
			if c := w.next(t); c.Record.Key != "b" || c.Kind != store.KindDelete {
				t.Errorf("got %+v, want the deletion of b", c)
			}
			equal(t, "revision", get(t, s, "a").Revision, rev)
		},
		"made permanent": func(t *testing.T, s store.Store) {
			do(t, s, lease("a", short))
			do(t, s, store.Put("a", []byte("kept")))
			rev := do(t, s, lease("b", short))
			w := watch(t, s, "", rev)
			w.synced(t)
			if c := w.next(t); c.Record.Key != "b" || c.Kind != store.KindDelete {
				t.Errorf("got %+v, want the deletion of b", c)
			}
			equal(t, "value", get(t, s, "a").Value, []byte("kept"))
		},
		"shortened": func(t *testing.T, s store.Store) {
			do(t, s, lease("a", long))
			rev := do(t, s, lease("a", short))
			w := watch(t, s, "", rev)
			w.synced(t)
			if c := w.next(t); c.Record.Key != "a" || c.Kind != store.KindDelete {
				t.Errorf("got %+v, want the deletion of a", c)
			}
		},
		"deleted before": func(t *testing.T, s store.Store) {
			do(t, s, lease("a", short))
			do(t, s, store.Delete("a"))
			rev := do(t, s, store.Put("a", []byte("new")), lease("b", short))
			w := watch(t, s, "", rev)
			w.synced(t)
			if c := w.next(t); c.Record.Key != "b" || c.Kind != store.KindDelete {
				t.Errorf("got %+v, want the deletion of b", c)
			}
			equal(t, "value", get(t, s, "a").Value, []byte("new"))
		},
		"many at once": func(t *testing.T, s store.Store) {
			const n = 300
			for i := range n {
				do(t, s, lease(fmt.Sprintf("k%03d", i), short))
			}
			w := watch(t, s, "", 1)
			gone := map[string]bool{}
			for len(gone) < n {
				if c := w.next(t); c.Kind == store.KindDelete {
					if gone[c.Record.Key] {
						t.Fatalf("%s was deleted twice", c.Record.Key)
					}
					gone[c.Record.Key] = true
				}
			}
			equal(t, "keys", keys(t, s, store.Range{}), nil)
		},
		"longest life": func(t *testing.T, s store.Store) {
			do(t, s, lease("a", 1<<63-1), lease("b", 1))
			get(t, s, "a")
			<-time.After(time.Millisecond)
			absent(t, s, "b")
		},
	}
}
