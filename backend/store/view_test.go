package store_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	engine "github.com/micro/micro/v3/backend/embedded"
	"github.com/micro/micro/v3/backend/store"
	"github.com/micro/micro/v3/backend/store/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open opens an empty store in memory.
func open(t *testing.T, o embedded.Options) store.Store {
	t.Helper()
	db, err := engine.Open(t.Context(), "data", engine.Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	s, err := embedded.Open(t.Context(), db, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(s.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// commit makes a transaction and returns its revision.
func commit(t *testing.T, s store.Store, ops ...store.Op) int64 {
	t.Helper()
	rev, err := s.Txn(t.Context(), store.Txn{Do: ops})
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

func put(key, value string) store.Op { return store.Put(key, []byte(value)) }

var errDecode = errors.New("cannot be read")

// text decodes every value but "bad".
func text(r store.Record) (string, error) {
	if string(r.Value) == "bad" {
		return "", errDecode
	}
	return string(r.Value), nil
}

func view(t *testing.T, s store.Store, prefix string) *store.View[string] {
	t.Helper()
	v, err := store.NewView(t.Context(), s, prefix, text)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

// content returns all that a view shows.
func content(v *store.View[string]) map[string]string {
	got := map[string]string{}
	v.Each(func(k, s string) bool {
		got[k] = s
		return true
	})
	return got
}

func wait(t *testing.T, v interface {
	Wait(context.Context, int64) error
}, revision int64,
) {
	t.Helper()
	if err := v.Wait(t.Context(), revision); err != nil {
		t.Fatal(err)
	}
}

func TestViewShowsWhatIsBelowItsPrefix(t *testing.T) {
	t.Parallel()
	records := []store.Op{put("a", "1"), put("a/", "2"), put("a/b", "3"), put("a/b/c", "4"), put("a0", "5"), put("\xff", "6")}
	for _, test := range []struct {
		prefix string
		want   map[string]string
	}{
		{"a/", map[string]string{"": "2", "b": "3", "b/c": "4"}},
		{"a/b", map[string]string{"": "3", "/c": "4"}},
		{"\xff", map[string]string{"": "6"}},
		{"nothing", map[string]string{}},
		{"", map[string]string{"a": "1", "a/": "2", "a/b": "3", "a/b/c": "4", "a0": "5", "\xff": "6"}},
	} {
		t.Run(strconv.Quote(test.prefix), func(t *testing.T) {
			t.Parallel()
			s := open(t, embedded.Options{})
			commit(t, s, records...)
			before := view(t, s, test.prefix)
			if diff := cmp.Diff(test.want, content(before)); diff != "" {
				t.Errorf("what was there (-want +got):\n%s", diff)
			}

			// The same records, but seen as changes.
			s = open(t, embedded.Options{})
			after := view(t, s, test.prefix)
			rev := commit(t, s, records...)
			if len(test.want) > 0 {
				wait(t, after, rev)
			}
			if diff := cmp.Diff(test.want, content(after)); diff != "" {
				t.Errorf("what came (-want +got):\n%s", diff)
			}
			for k, want := range test.want {
				if got, ok := after.Get(k); got != want || !ok {
					t.Errorf("Get(%q) = %q, %t, want %q", k, got, ok, want)
				}
			}
			if got, ok := after.Get("\x00"); got != "" || ok {
				t.Errorf("Get of what is not there = %q, %t", got, ok)
			}
		})
	}
}

func TestViewEachStops(t *testing.T) {
	t.Parallel()
	s := open(t, embedded.Options{})
	commit(t, s, put("a", ""), put("b", ""), put("c", ""))
	n := 0
	view(t, s, "").Each(func(string, string) bool {
		n++
		return n < 2
	})
	if n != 2 {
		t.Errorf("called %d times, want 2", n)
	}
}

// TestViewShowsOwnWrites has many writers, each of which looks for what it wrote.
func TestViewShowsOwnWrites(t *testing.T) {
	t.Parallel()
	s := open(t, embedded.Options{})
	v := view(t, s, "p/")
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			key := strconv.Itoa(w)
			for i := range 50 {
				want := strconv.Itoa(i)
				rev, err := s.Txn(t.Context(), store.Txn{Do: []store.Op{put("p/"+key, want), put("elsewhere"+key, "")}})
				if err != nil {
					t.Error(err)
					return
				}
				if err := v.Wait(t.Context(), rev); err != nil {
					t.Error(err)
					return
				}
				if got, _ := v.Get(key); got != want {
					t.Errorf("writer %s: got %q, want %q", key, got, want)
				}
			}
			rev, err := s.Txn(t.Context(), store.Txn{Do: []store.Op{store.Delete("p/" + key)}})
			if err != nil {
				t.Error(err)
				return
			}
			if err := v.Wait(t.Context(), rev); err != nil {
				t.Error(err)
				return
			}
			if got, ok := v.Get(key); ok {
				t.Errorf("writer %s: got %q of what was deleted", key, got)
			}
		})
	}
	wg.Wait()
	if diff := cmp.Diff(map[string]string{}, content(v)); diff != "" {
		t.Errorf("in the end (-want +got):\n%s", diff)
	}
}

// TestViewShowsTransactionsWhole looks for two keys that do not agree.
func TestViewShowsTransactionsWhole(t *testing.T) {
	t.Parallel()
	s := open(t, embedded.Options{})
	commit(t, s, put("a", "0"), put("b", "0"))
	v := view(t, s, "")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 300 {
			n := strconv.Itoa(i)
			if _, err := s.Txn(t.Context(), store.Txn{Do: []store.Op{put("a", n), put("b", n)}}); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for {
		changed := v.Changed()
		if got := content(v); got["a"] != got["b"] {
			t.Fatalf("half of a transaction: %v", got)
		}
		select {
		case <-done:
			return
		case <-changed:
		}
	}
}

func TestViewWait(t *testing.T) {
	t.Parallel()
	s := open(t, embedded.Options{})
	before := commit(t, s, put("a", "1"))
	v := view(t, s, "")
	wait(t, v, before) // was made before the view was

	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- v.Wait(ctx, before+1) }()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("waiting in vain returned %v, want %v", err, context.Canceled)
	}
}

func TestViewOfRecordsThatExpire(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, embedded.Options{})
		v := view(t, s, "")
		rev := commit(t, s, put("stays", "1"), store.Op{Kind: store.KindPut, Key: "goes", Value: []byte("2"), TTL: time.Minute})
		wait(t, v, rev)
		if diff := cmp.Diff(map[string]string{"stays": "1", "goes": "2"}, content(v)); diff != "" {
			t.Errorf("before (-want +got):\n%s", diff)
		}
		<-time.After(time.Minute + time.Second)
		synctest.Wait()
		if diff := cmp.Diff(map[string]string{"stays": "1"}, content(v)); diff != "" {
			t.Errorf("afterwards (-want +got):\n%s", diff)
		}
	})
}

// lagging is a store whose watches yield nothing while it is held.
type lagging struct {
	store.Store
	mu   sync.RWMutex
	seen chan struct{} // gets one for each watch that begins
}

func (l *lagging) Watch(ctx context.Context, prefix string, from int64) iter.Seq2[store.Change, error] {
	return func(yield func(store.Change, error) bool) {
		l.seen <- struct{}{}
		for c, err := range l.Store.Watch(ctx, prefix, from) {
			l.mu.RLock()
			more := yield(c, err)
			l.mu.RUnlock()
			if !more {
				return
			}
		}
	}
}

// TestViewFallsBehind has a view stand still while more happens than the store
// keeps. What it and its observer see in the end is what is there.
func TestViewFallsBehind(t *testing.T) {
	t.Parallel()
	s := open(t, embedded.Options{MaxChanges: 100})
	slow := &lagging{Store: s, seen: make(chan struct{}, 10)}
	commit(t, s, put("same", "1"), put("changes", "1"), put("goes", "1"))
	var seen []string
	observed := map[string]string{}
	v, err := store.NewObservedView(t.Context(), slow, "", text, func(deltas []store.Delta[string]) {
		for _, d := range deltas {
			seen = append(seen, describe(d))
			replay(observed, d)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	<-slow.seen
	seen = nil

	slow.mu.Lock()
	commit(t, s, put("changes", "2"))
	commit(t, s, store.Delete("goes"))
	commit(t, s, put("comes", "1"))
	mark := commit(t, s, put("mark", "0"))
	for i := 0; !compacted(t, s, mark); i++ {
		commit(t, s, put("mark", strconv.Itoa(i)))
	}
	last := commit(t, s, put("mark", "last"))
	slow.mu.Unlock()
	wait(t, v, last)

	want := map[string]string{"same": "1", "changes": "2", "comes": "1", "mark": "last"}
	if diff := cmp.Diff(want, content(v)); diff != "" {
		t.Errorf("the view (-want +got):\n%s", diff)
	}
	v.Close()
	if len(slow.seen) == 0 {
		t.Fatal("the view never fell behind: the test proves nothing")
	}
	if diff := cmp.Diff(want, observed); diff != "" {
		t.Errorf("what was observed (-want +got):\n%s", diff)
	}
	for _, d := range seen {
		if strings.HasPrefix(d, "same") {
			t.Errorf("observed a change of what has not changed: %s", d)
		}
	}
}

// compacted reports whether the changes since a revision are gone.
func compacted(t *testing.T, s store.Store, revision int64) bool {
	t.Helper()
	for c, err := range s.Watch(t.Context(), "", revision) {
		if err != nil {
			return errors.Is(err, store.ErrCompacted)
		}
		if c.Kind == store.Synced {
			break
		}
	}
	return false
}

func describe(d store.Delta[string]) string {
	value := func(s *string) string {
		if s == nil {
			return "-"
		}
		return *s
	}
	return fmt.Sprintf("%s: %s to %s", d.Key, value(d.Was), value(d.Is))
}

// replay makes a change to a copy of a view.
func replay(records map[string]string, d store.Delta[string]) {
	if d.Is == nil {
		delete(records, d.Key)
	} else {
		records[d.Key] = *d.Is
	}
}

func TestObservedView(t *testing.T) {
	t.Parallel()
	s := open(t, embedded.Options{})
	commit(t, s, put("p/a", "1"))
	var got [][]string
	v, err := store.NewObservedView(t.Context(), s, "p/", text, func(deltas []store.Delta[string]) {
		var call []string
		for _, d := range deltas {
			call = append(call, describe(d))
		}
		got = append(got, call)
	})
	if err != nil {
		t.Fatal(err)
	}
	commit(t, s, put("p/b", "1"), put("p/a", "2"), put("q", "1"))
	commit(t, s, put("q", "2"))
	commit(t, s, put("p/a", "2"))
	wait(t, v, commit(t, s, store.Delete("p/a"), store.Delete("p/none")))
	v.Close()
	want := [][]string{
		{"a: - to 1"},
		{"b: - to 1", "a: 1 to 2"},
		{"a: 2 to 2"},
		{"a: 2 to -"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("observed (-want +got):\n%s", diff)
	}
}

// TestObservedViewAgainstModel makes random transactions, and holds the view, what
// its observer was told and a map against each other.
func TestObservedViewAgainstModel(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	s := open(t, embedded.Options{})
	want, observed := map[string]string{}, map[string]string{}
	v, err := store.NewObservedView(t.Context(), s, "k", text, func(deltas []store.Delta[string]) {
		for _, d := range deltas {
			was, had := observed[d.Key]
			if had != (d.Was != nil) || had && was != *d.Was {
				t.Errorf("seed %d: %s, but it was %q", seed, describe(d), was)
			}
			replay(observed, d)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	for range 300 {
		var ops []store.Op
		for _, k := range rnd.Perm(8)[:1+rnd.IntN(4)] {
			key := strconv.Itoa(k)
			if rnd.IntN(3) == 0 {
				delete(want, key)
				ops = append(ops, store.Delete("k"+key))
			} else {
				want[key] = strconv.Itoa(rnd.IntN(1000))
				ops = append(ops, put("k"+key, want[key]))
			}
		}
		// Something below the prefix has to change, or there is nothing to wait for.
		want["n"] = strconv.Itoa(rnd.Int())
		wait(t, v, commit(t, s, append(ops, put("kn", want["n"]))...))
		if diff := cmp.Diff(want, content(v)); diff != "" {
			t.Fatalf("seed %d: the view (-want +got):\n%s", seed, diff)
		}
	}
	v.Close()
	if diff := cmp.Diff(want, observed); diff != "" {
		t.Errorf("seed %d: what was observed (-want +got):\n%s", seed, diff)
	}
}

func TestViewTellsOfChanges(t *testing.T) {
	t.Parallel()
	s := open(t, embedded.Options{})
	v := view(t, s, "p/")
	generation, changed := v.Generation(), v.Changed()
	commit(t, s, put("elsewhere", ""))
	wait(t, v, commit(t, s, put("p/a", "")))
	<-changed
	if got := v.Generation(); got == generation {
		t.Errorf("the generation is %d as before", got)
	}
	select {
	case <-v.Changed():
		t.Error("a change that nobody made")
	default:
	}
}

func TestViewOfWhatCannotBeDecoded(t *testing.T) {
	t.Parallel()
	t.Run("at first", func(t *testing.T) {
		t.Parallel()
		s := open(t, embedded.Options{})
		commit(t, s, put("p/a", "good"), put("p/b", "bad"))
		_, err := store.NewView(t.Context(), s, "p/", text)
		if !errors.Is(err, errDecode) || !strings.Contains(err.Error(), "p/b") {
			t.Errorf("got %v, want %v with the key", err, errDecode)
		}
	})
	t.Run("later", func(t *testing.T) {
		t.Parallel()
		s := open(t, embedded.Options{})
		commit(t, s, put("p/a", "good"))
		v := view(t, s, "p/")
		if err := v.Err(); err != nil {
			t.Fatalf("it ended: %v", err)
		}
		changed := v.Changed()
		rev := commit(t, s, put("p/b", "bad"))
		if err := v.Wait(t.Context(), rev); !errors.Is(err, errDecode) {
			t.Errorf("Wait returned %v, want %v", err, errDecode)
		}
		<-changed
		<-v.Done()
		if err := v.Err(); !errors.Is(err, errDecode) || !strings.Contains(err.Error(), "p/b") {
			t.Errorf("it ended with %v, want %v with the key", err, errDecode)
		}
		if diff := cmp.Diff(map[string]string{"a": "good"}, content(v)); diff != "" {
			t.Errorf("what was read last (-want +got):\n%s", diff)
		}
	})
}

func TestViewClose(t *testing.T) {
	t.Parallel()
	s := open(t, embedded.Options{})
	commit(t, s, put("a", "1"))
	v := view(t, s, "")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(v.Close)
	}
	wg.Wait()
	if err := v.Err(); !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v, want %v", err, context.Canceled)
	}
	rev := commit(t, s, put("a", "2"))
	if err := v.Wait(t.Context(), rev); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait returned %v, want %v", err, context.Canceled)
	}
	if diff := cmp.Diff(map[string]string{"a": "1"}, content(v)); diff != "" {
		t.Errorf("what was read last (-want +got):\n%s", diff)
	}
}

func TestViewEndsWithItsStore(t *testing.T) {
	t.Parallel()
	s := open(t, embedded.Options{})
	v := view(t, s, "")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	<-v.Done()
	if err := v.Err(); !errors.Is(err, store.ErrClosed) {
		t.Errorf("it ended with %v, want %v", err, store.ErrClosed)
	}
	if _, err := store.NewView(t.Context(), s, "", text); !errors.Is(err, store.ErrClosed) {
		t.Errorf("a new one: %v, want %v", err, store.ErrClosed)
	}
}

// TestViewOutlivesItsCaller has the context end with which a view was made.
func TestViewOutlivesItsCaller(t *testing.T) {
	t.Parallel()
	s := open(t, embedded.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	v, err := store.NewView(ctx, s, "", text)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	cancel()
	wait(t, v, commit(t, s, put("a", "1")))
	if diff := cmp.Diff(map[string]string{"a": "1"}, content(v)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// silent is a store whose watches yield nothing at all.
type silent struct {
	store.Store
	watched chan struct{}
}

func (s *silent) Watch(ctx context.Context, _ string, _ int64) iter.Seq2[store.Change, error] {
	return func(yield func(store.Change, error) bool) {
		s.watched <- struct{}{}
		<-ctx.Done()
		yield(store.Change{}, ctx.Err())
	}
}

func TestNewViewGivesUpWithItsCaller(t *testing.T) {
	t.Parallel()
	s := &silent{Store: open(t, embedded.Options{}), watched: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-s.watched
		cancel()
	}()
	if _, err := store.NewView(ctx, s, "", text); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}
