package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/micro/micro/v3/backend/store"
)

type opener func(*testing.T) store.Store

func durableTests() map[string]func(*testing.T, opener) {
	return map[string]func(*testing.T, opener){
		"keeps records": func(t *testing.T, open opener) {
			s := open(t)
			put(t, s, "a", "1", "b", "2", "c", "3")
			do(t, s, store.Delete("b"))
			want := list(t, s, store.Range{})
			s = reopen(t, s, open)
			equal(t, "records", list(t, s, store.Range{}), want)
			absent(t, s, "b")
		},
		"revisions continue": func(t *testing.T, open opener) {
			s := open(t)
			for range 3 {
				last := put(t, s, "a", "1")[0]
				last = max(last, do(t, s, store.Delete("a")))
				s = reopen(t, s, open)
				if rev, err := s.Txn(within(t), store.Txn{}); err != nil || rev != last {
					t.Errorf("the newest revision is %d, %v, want %d", rev, err, last)
				}
				if rev := put(t, s, "b", "1")[0]; rev <= last {
					t.Errorf("revision %d after %d", rev, last)
				}
			}
		},
		"watch resumes": func(t *testing.T, open opener) {
			s := open(t)
			revs := put(t, s, "a", "1", "b", "2")
			rev := do(t, s, store.Delete("a"))
			b := get(t, s, "b")
			s = reopen(t, s, open)
			w := watch(t, s, "", revs[0])
			equal(t, "first", w.next(t), was(b))
			equal(t, "second", w.next(t), gone("a", rev))
			equal(t, "revision", w.synced(t), rev)
			put(t, s, "c", "3")
			equal(t, "later", w.next(t), was(get(t, s, "c")))
		},
		"lives continue": func(t *testing.T, open opener) {
			s := open(t)
			do(t, s, lease("short", short), lease("long", long), store.Put("for ever", nil))
			done := time.Now()
			want := get(t, s, "long")
			s = reopen(t, s, open)
			equal(t, "a record with a long life", get(t, s, "long"), want)
			w := watch(t, s, "short", 1)
			for w.next(t).Kind != store.KindDelete {
			}
			if since := time.Since(done); since < short-100*time.Millisecond {
				t.Errorf("deleted after %v, want %v", since, short)
			}
			equal(t, "keys", keys(t, s, store.Range{}), []string{"for ever", "long"})
		},
		"expired while closed": func(t *testing.T, open opener) {
			s := open(t)
			do(t, s, lease("a", short))
			done := time.Now()
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			<-time.After(short - time.Since(done))
			s = open(t)
			absent(t, s, "a")
			_, err := s.Txn(within(t), store.Txn{If: []store.Cond{{Key: "a"}}})
			if err != nil {
				t.Error(err)
			}
		},
		"large records": func(t *testing.T, open opener) {
			s := open(t)
			for i := range 20 {
				do(t, s, store.Put(strconv.Itoa(i), fill(store.MaxValue)))
			}
			want := list(t, s, store.Range{})
			s = reopen(t, s, open)
			// A diff of megabytes would take minutes.
			if got := list(t, s, store.Range{}); !slices.EqualFunc(got, want, func(a, b store.Record) bool {
				return a.Key == b.Key && a.Revision == b.Revision && bytes.Equal(a.Value, b.Value)
			}) {
				t.Errorf("%d large records are not the %d that were written", len(got), len(want))
			}
		},
		"closed in the middle": testCloseInTheMiddle,
		"model":                testReopenModel,
	}
}

// reopen closes a store and opens it again.
func reopen(t *testing.T, s store.Store, open opener) store.Store {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return open(t)
}

// testCloseInTheMiddle closes a store that is written to.
func testCloseInTheMiddle(t *testing.T, open opener) {
	s := open(t)
	const writers = 4
	acked := make(chan []string)
	started := make(chan struct{}, writers)
	for w := range writers {
		go func() {
			var mine []string
			for i := 0; ; i++ {
				key := fmt.Sprintf("%d/%d", w, i)
				_, err := s.Txn(t.Context(), store.Txn{Do: []store.Op{store.Put(key, nil)}})
				if i == 20 {
					started <- struct{}{}
				}
				if err != nil {
					if !errors.Is(err, store.ErrClosed) {
						t.Error(err)
					}
					acked <- mine
					return
				}
				mine = append(mine, key)
			}
		}()
	}
	for range writers {
		<-started
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t)
	for range writers {
		for _, key := range <-acked {
			get(t, s, key)
		}
	}
}

func testReopenModel(t *testing.T, open opener) {
	m := newModel(t)
	s := open(t)
	for range 5 {
		for range 60 {
			m.step(t, s)
		}
		m.note("reopen")
		s = reopen(t, s, open)
		m.check(t, s)
	}
}
