package storetest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/micro/micro/v3/backend/store"
)

// watching is a watch that runs beside a test.
type watching struct {
	cancel  context.CancelFunc
	changes chan store.Change
	err     chan error // what ended it
}

// watch begins a watch, which yields a change when the test takes one and ends with
// the test.
func watch(t *testing.T, s store.Store, prefix string, from int64) *watching {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w := &watching{cancel: cancel, changes: make(chan store.Change), err: make(chan error, 1)}
	go func() {
		for c, err := range s.Watch(ctx, prefix, from) {
			if err != nil {
				w.err <- err
				return
			}
			select {
			case w.changes <- c:
			case <-ctx.Done():
			}
		}
		w.err <- nil
	}()
	t.Cleanup(func() { w.stop(t) })
	return w
}

// next returns the next change.
func (w *watching) next(t *testing.T) store.Change {
	t.Helper()
	select {
	case c := <-w.changes:
		return c
	case err := <-w.err:
		w.err <- err
		t.Fatalf("the watch ended: %v", err)
	case <-time.After(patience):
		t.Fatal("no change")
	}
	return store.Change{}
}

// synced checks that the next change is of that kind, and returns its revision.
func (w *watching) synced(t *testing.T) int64 {
	t.Helper()
	c := w.next(t)
	if c.Kind != store.Synced {
		t.Fatalf("got %+v, want that the watch has caught up", c)
	}
	equal(t, "record of Synced", c.Record, store.Record{})
	return c.Revision
}

// ended returns what ended the watch.
func (w *watching) ended(t *testing.T) error {
	t.Helper()
	select {
	case err := <-w.err:
		w.err <- err
		return err
	case c := <-w.changes:
		t.Fatalf("got %+v, want the end of the watch", c)
	case <-time.After(patience):
		t.Fatal("the watch goes on")
	}
	return nil
}

func (w *watching) stop(t *testing.T) {
	t.Helper()
	w.cancel()
	select {
	case err := <-w.err:
		w.err <- err
	case <-time.After(patience):
		t.Error("a watch does not end with its context")
	}
}

// was is a change that puts a record as it is now.
func was(rec store.Record) store.Change {
	return store.Change{Kind: store.KindPut, Revision: rec.Revision, Record: rec}
}

func gone(key string, revision int64) store.Change {
	return store.Change{Kind: store.KindDelete, Revision: revision, Record: store.Record{Key: key, Revision: revision}}
}

func watchTests() map[string]func(*testing.T, store.Store) {
	return map[string]func(*testing.T, store.Store){
		"from now": func(t *testing.T, s store.Store) {
			put(t, s, "p/a", "1", "q", "1", "p/b", "1", "p/a", "2")
			rev := do(t, s, store.Delete("q"))
			w := watch(t, s, "p/", 0)
			equal(t, "first", w.next(t), was(get(t, s, "p/a")))
			equal(t, "second", w.next(t), was(get(t, s, "p/b")))
			equal(t, "revision", w.synced(t), rev)
			put(t, s, "p/c", "3")
			equal(t, "a put", w.next(t), was(get(t, s, "p/c")))
			rev = do(t, s, store.Delete("p/a"))
			equal(t, "a deletion", w.next(t), gone("p/a", rev))
		},
		"empty store": func(t *testing.T, s store.Store) {
			w := watch(t, s, "", 0)
			w.synced(t)
			put(t, s, "a", "1")
			equal(t, "a put", w.next(t), was(get(t, s, "a")))
		},
		"expiry of a record": func(t *testing.T, s store.Store) {
			w := watch(t, s, "", 0)
			w.synced(t)
			do(t, s, lease("a", long))
			equal(t, "a put", w.next(t), was(get(t, s, "a")))
		},
		"resumed": testResume,
		"not from the future": func(t *testing.T, s store.Store) {
			rev := put(t, s, "a", "1")[0]
			if err := watch(t, s, "", rev+1000).ended(t); !errors.Is(err, store.ErrCompacted) {
				t.Errorf("%v, want %v", err, store.ErrCompacted)
			}
		},
		"only its prefix": func(t *testing.T, s store.Store) {
			w := watch(t, s, "a/", 0)
			w.synced(t)
			put(t, s, "a", "", "a.", "", "a0", "", "b", "", "a/1", "")
			if c := w.next(t); c.Record.Key != "a/1" {
				t.Errorf("got %+v, want the put of a/1", c)
			}
		},
		"hostile prefixes": func(t *testing.T, s store.Store) {
			var ws []*watching
			for _, key := range hostileKeys() {
				w := watch(t, s, key, 0)
				w.synced(t)
				ws = append(ws, w)
			}
			for i, key := range hostileKeys() {
				do(t, s, store.Put(key, nil))
				for j, prefix := range hostileKeys() {
					if strings.HasPrefix(key, prefix) {
						if c := ws[j].next(t); c.Record.Key != key {
							t.Fatalf("watch of %q: got %q, want key %d, %q", prefix, c.Record.Key, i, key)
						}
					}
				}
			}
		},
		"a transaction": func(t *testing.T, s store.Store) {
			put(t, s, "a", "1", "b", "1")
			w := watch(t, s, "", 0)
			w.next(t)
			w.next(t)
			w.synced(t)
			rev := do(t, s, store.Put("c", nil), store.Delete("a"), store.Delete("x"), store.Put("b", []byte("2")))
			got := map[string]store.Change{}
			for i := range 3 {
				c := w.next(t)
				if more := i < 2; c.More != more {
					t.Errorf("change %d of 3: More = %t", i+1, c.More)
				}
				c.More = false
				got[c.Record.Key] = c
			}
			equal(t, "changes", got, map[string]store.Change{
				"a": gone("a", rev),
				"b": was(get(t, s, "b")),
				"c": was(get(t, s, "c")),
			})
			put(t, s, "d", "")
			if c := w.next(t); c.Record.Key != "d" {
				t.Errorf("got %+v, want the put of d", c)
			}
		},
		"what changed nothing": func(t *testing.T, s store.Store) {
			w := watch(t, s, "", 0)
			w.synced(t)
			do(t, s, store.Delete("a"))
			_, err := s.Txn(within(t), store.Txn{If: []store.Cond{{Key: "a", Revision: 1}}, Do: []store.Op{store.Put("a", nil)}})
			if !errors.Is(err, store.ErrConflict) {
				t.Fatal(err)
			}
			put(t, s, "b", "")
			if c := w.next(t); c.Record.Key != "b" {
				t.Errorf("got %+v, want the put of b", c)
			}
		},
		"bulk": func(t *testing.T, s store.Store) {
			w := watch(t, s, "", 0)
			w.synced(t)
			op := store.Put("a", []byte("large"))
			op.Bulk = true
			rev := do(t, s, op, lease("b", long))
			rec := get(t, s, "a")
			equal(t, "the record", rec, store.Record{Key: "a", Value: []byte("large"), Revision: rev})
			rec.Value = nil
			changes := map[string]store.Change{}
			for range 2 {
				c := w.next(t)
				c.More = false
				changes[c.Record.Key] = c
			}
			equal(t, "changes", changes, map[string]store.Change{"a": was(rec), "b": was(get(t, s, "b"))})
			equal(t, "a watch that begins later", watch(t, s, "a", 0).next(t), was(get(t, s, "a")))
			put(t, s, "a", "small")
			equal(t, "another put of the same key", w.next(t), was(get(t, s, "a")))
		},
		"stopped early": func(t *testing.T, s store.Store) {
			put(t, s, "a", "", "b", "")
			for c, err := range s.Watch(within(t), "", 0) {
				if err != nil {
					t.Fatal(err)
				}
				if c.Record.Key == "a" {
					break
				}
			}
			for c, err := range s.Watch(within(t), "", 0) {
				if err != nil {
					t.Fatal(err)
				}
				if c.Kind == store.Synced {
					break
				}
			}
			put(t, s, "c", "")
		},
		"values are not the writer's": func(t *testing.T, s store.Store) {
			w := watch(t, s, "", 0)
			w.synced(t)
			value := []byte("abc")
			do(t, s, store.Put("a", value))
			copy(value, "xyz")
			equal(t, "value", string(w.next(t).Record.Value), "abc")
			copy(get(t, s, "a").Value, "xyz")
			equal(t, "value", string(get(t, s, "a").Value), "abc")
		},
		"large and small": func(t *testing.T, s store.Store) {
			one, two := watch(t, s, "", 0), watch(t, s, "b", 0)
			one.synced(t)
			two.synced(t)
			large := strings.Repeat("x", store.MaxValue)
			for _, key := range []string{"a", "b"} {
				put(t, s, key+"1", "small", key+"2", large, key+"3", "small")
			}
			do(t, s, store.Put("b4", []byte(large)), store.Put("b5", []byte("small")), store.Put("b6", []byte(large)))
			for _, key := range []string{"a1", "a2", "a3", "b1", "b2", "b3", "b4", "b5", "b6"} {
				c := one.next(t)
				c.More = false
				equal(t, "of all", c, was(get(t, s, key)))
				if key[0] == 'b' {
					c = two.next(t)
					c.More = false
					equal(t, "of some", c, was(get(t, s, key)))
				}
			}
		},
		"slow consumer": testSlowWatch,
		"writers":       testWatchWriters,
		"begun between writes": func(t *testing.T, s store.Store) {
			// Whatever a watch lists and whatever it sees later must fit together.
			const n = 200
			var writers sync.WaitGroup
			defer writers.Wait()
			writers.Go(func() {
				for i := range n {
					if _, err := s.Txn(t.Context(), store.Txn{Do: []store.Op{store.Put("a", fmt.Append(nil, i))}}); err != nil {
						t.Error(err)
						return
					}
				}
			})
			for range 20 {
				w := watch(t, s, "", 0)
				last, seen := int64(0), int64(0)
				for caughtUp := false; !caughtUp || seen < 3; {
					c := w.next(t)
					switch {
					case c.Kind == store.Synced:
						if c.Revision < last {
							t.Fatalf("Synced at revision %d after %d", c.Revision, last)
						}
						caughtUp = true
						last = c.Revision
						if rec, err := s.Get(within(t), "a"); err == nil && string(rec.Value) == strconv.Itoa(n-1) {
							seen = 3 // there is nothing to come
						}
					case c.Revision <= last:
						t.Fatalf("revision %d after %d", c.Revision, last)
					case caughtUp && c.Revision != last+1:
						t.Fatalf("revision %d after %d, a gap", c.Revision, last)
					default:
						last = c.Revision
						seen++
						if string(c.Record.Value) == strconv.Itoa(n-1) {
							seen = 3
						}
					}
				}
				w.stop(t)
			}
		},
	}
}

func testResume(t *testing.T, s store.Store) {
	revs := put(t, s, "a", "1", "b", "1", "x/a", "1")
	changes := []store.Change{was(get(t, s, "a")), was(get(t, s, "b")), was(get(t, s, "x/a"))}
	revs = append(revs, do(t, s, store.Delete("a")))
	changes = append(changes, gone("a", revs[3]))
	revs = append(revs, put(t, s, "a", "2")...)
	changes = append(changes, was(get(t, s, "a")))

	for i, from := range revs {
		w := watch(t, s, "", from)
		for _, want := range changes[i+1:] {
			equal(t, fmt.Sprintf("after revision %d", from), w.next(t), want)
		}
		equal(t, "revision", w.synced(t), revs[len(revs)-1])
		w.stop(t)
	}
	w := watch(t, s, "x/", revs[1])
	equal(t, "with a prefix", w.next(t), changes[2])
	w.synced(t)
	put(t, s, "a", "3", "x/b", "1")
	equal(t, "later", w.next(t), was(get(t, s, "x/b")))
}

// testSlowWatch has a watch that does not take what it is offered: nobody must
// wait for it, and in the end it gets everything, or is told that it cannot.
func testSlowWatch(t *testing.T, s store.Store) {
	slow := watch(t, s, "", 0)
	slow.synced(t)
	fast := watch(t, s, "", 0)
	fast.synced(t)
	const n = 2000
	var writers sync.WaitGroup
	defer writers.Wait()
	for w := range 4 {
		writers.Go(func() {
			for i := range n / 4 {
				op := store.Put(fmt.Sprintf("%d/%d", w, i), fill(1000))
				if _, err := s.Txn(t.Context(), store.Txn{Do: []store.Op{op}}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	last := int64(0)
	for range n {
		c := fast.next(t)
		if c.Revision <= last {
			t.Fatalf("revision %d after %d", c.Revision, last)
		}
		last = c.Revision
	}
	writers.Wait()
	for i := range n {
		select {
		case <-slow.changes:
		case err := <-slow.err:
			slow.err <- err
			if !errors.Is(err, store.ErrCompacted) {
				t.Errorf("after %d of %d changes the slow watch ended: %v", i, n, err)
			}
			return
		case <-time.After(patience):
			t.Fatalf("after %d of %d changes the slow watch got nothing any more", i, n)
		}
	}
}

// testWatchWriters has several writers and watches, of which some begin late, and
// compares what was seen with what was written.
func testWatchWriters(t *testing.T, s store.Store) {
	const writers, each = 8, 50
	type write struct {
		key   string
		value string
	}
	var mu sync.Mutex
	acked := map[int64]write{}
	early := watch(t, s, "", 0)
	early.synced(t)
	var wg sync.WaitGroup
	defer wg.Wait()
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				wr := write{key: fmt.Sprintf("k%d", (w+i)%5), value: fmt.Sprintf("%d/%d", w, i)}
				rev, err := s.Txn(t.Context(), store.Txn{Do: []store.Op{store.Put(wr.key, []byte(wr.value))}})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				acked[rev] = wr
				mu.Unlock()
			}
		})
	}
	late := watch(t, s, "k1", 0)
	seen := map[int64]write{}
	last := int64(0)
	for range writers * each {
		c := early.next(t)
		if c.Revision <= last {
			t.Fatalf("revision %d after %d", c.Revision, last)
		}
		last = c.Revision
		seen[c.Revision] = write{c.Record.Key, string(c.Record.Value)}
	}
	wg.Wait()
	if d := diff(fmt.Sprint(acked), fmt.Sprint(seen)); d != "" {
		t.Errorf("what was acknowledged and what was seen (-want +got):\n%s", d)
	}
	want := get(t, s, "k1")
	for {
		c := late.next(t)
		if c.Kind == store.KindPut && c.Record.Key != "k1" {
			t.Fatalf("a watch of k1 got %+v", c)
		}
		if c.Kind == store.KindPut && c.Revision == want.Revision {
			equal(t, "newest record", c.Record, want)
			return
		}
	}
}
