package audit_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/micro/v3/backend/audit"
	"github.com/micro/micro/v3/backend/store"
)

func entryKey(ns string, sequence int64) string {
	return fmt.Sprintf("%s/audit/entry/%019d", ns, sequence)
}

func get(tb testing.TB, s store.Store, key string) store.Record {
	tb.Helper()
	r, err := s.Get(tb.Context(), key)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// entries returns all that is stored of the log of acme.
func entries(tb testing.TB, s store.Store) []store.Record {
	tb.Helper()
	var list []store.Record
	for r, err := range s.Range(tb.Context(), store.Prefix("acme/audit/")) {
		if err != nil {
			tb.Fatal(err)
		}
		list = append(list, r)
	}
	return list
}

// TestTampering has somebody who can write to the store change a log of ten entries.
func TestTampering(t *testing.T) {
	t.Parallel()
	replace := func(n int64, old, fresh string) func(*testing.T, store.Store) {
		return func(t *testing.T, s store.Store) {
			t.Helper()
			r := get(t, s, entryKey("acme", n))
			value := bytes.Replace(r.Value, []byte(old), []byte(fresh), 1)
			if bytes.Equal(value, r.Value) {
				t.Fatalf("%s has no %q", r.Value, old)
			}
			write(t, s, store.Put(r.Key, value))
		}
	}
	remove := func(from, to int64) func(*testing.T, store.Store) {
		return func(t *testing.T, s store.Store) {
			t.Helper()
			for n := from; n <= to; n++ {
				write(t, s, store.Delete(entryKey("acme", n)))
			}
		}
	}
	swap := func(a, b string) func(*testing.T, store.Store) {
		return func(t *testing.T, s store.Store) {
			t.Helper()
			x, y := get(t, s, a), get(t, s, b)
			write(t, s, store.Put(a, y.Value), store.Put(b, x.Value))
		}
	}
	for _, test := range []struct {
		name string
		do   func(*testing.T, store.Store)
		want string // the problems
	}{
		{"nothing", func(*testing.T, store.Store) {}, ""},
		{"an entry removed", remove(5, 5), "entry 5 is missing"},
		{"some removed", remove(5, 7), "entries 5 to 7 are missing"},
		{"the first removed", remove(1, 1), "entry 1 is missing"},
		{"the last removed", remove(10, 10), "entry 10 is missing"},
		{"the last ones removed", remove(8, 10), "entries 8 to 10 are missing"},
		{"all removed", remove(1, 10), "entries 1 to 10 are missing"},
		{"another object", replace(5, `"what":"5"`, `"what":"6"`), "entry 5 was altered: it is not what entry 6 was written after"},
		{"another account", replace(5, "alice", "malice"), "entry 5 was altered: it is not what entry 6 was written after"},
		{"another time", replace(5, `"time":"2`, `"time":"1`), "entry 5 was altered: it is not what entry 6 was written after"},
		{"a space", replace(5, `{`, `{ `), "entry 5 was altered: it is not what entry 6 was written after"},
		{"the first altered", replace(1, "alice", "malice"), "entry 1 was altered: it is not what entry 2 was written after"},
		{"the last altered", replace(10, "alice", "malice"), "entry 10 was altered"},
		{"not JSON", replace(5, "{", "["), "entry 5 cannot be read; entry 5 was altered: it is not what entry 6 was written after"},
		{"two exchanged", swap(entryKey("acme", 5), entryKey("acme", 6)), "" +
			"entry 5 was moved: it is entry 6 of the log of acme; entry 4 was altered: it is not what entry 5 was written after; " +
			"entry 6 was moved: it is entry 5 of the log of acme; entry 5 was altered: it is not what entry 6 was written after; " +
			"entry 6 was altered: it is not what entry 7 was written after"},
		{"an entry of another namespace", func(t *testing.T, s store.Store) {
			t.Helper()
			write(t, s, store.Put(entryKey("acme", 1), get(t, s, entryKey("globex", 1)).Value))
		}, "entry 1 was moved: it is entry 1 of the log of globex; entry 1 was altered: it is not what entry 2 was written after"},
		{"an entry more", func(t *testing.T, s store.Store) {
			t.Helper()
			write(t, s, store.Put(entryKey("acme", 11), get(t, s, entryKey("acme", 10)).Value))
		}, "entry 11 was moved: it is entry 10 of the log of acme; entry 10 was altered: it is not what entry 11 was written after; entry 11 is not written by the server"},
		{"the head removed", func(t *testing.T, s store.Store) {
			t.Helper()
			write(t, s, store.Delete("acme/audit/head"))
		}, "what the server knew of the end of the log is missing"},
		{"the end and the head removed", func(t *testing.T, s store.Store) {
			t.Helper()
			remove(8, 10)(t, s)
			write(t, s, store.Delete("acme/audit/head"))
		}, "what the server knew of the end of the log is missing"},
		{"the head altered", func(t *testing.T, s store.Store) {
			t.Helper()
			r := get(t, s, "acme/audit/head")
			r.Value[20] ^= 1
			write(t, s, store.Put(r.Key, r.Value))
		}, "what the server knew of the end of the log was altered: it was encrypted with another master key or for another place, or was altered"},
		{"the head of another namespace", func(t *testing.T, s store.Store) {
			t.Helper()
			write(t, s, store.Put("acme/audit/head", get(t, s, "globex/audit/head").Value))
		}, "what the server knew of the end of the log was altered: it was encrypted with another master key or for another place, or was altered"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := openStore(t)
			l := open(t, s, audit.Options{})
			record(t, l, numbers(10)...)
			if _, err := l.Append(t.Context(), "globex", audit.Entry{Kind: audit.Made}); err != nil {
				t.Fatal(err)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			test.do(t, s)
			l = open(t, s, audit.Options{})
			if got := strings.Join(verify(t, l, "acme").Problems, "; "); got != test.want {
				t.Errorf("problems:\n%q, want\n%q", got, test.want)
			}
			// It goes on, and does not make good what was bad.
			record(t, l, "later")
			healed := test.want == "" || test.name == "an entry more" // which is overwritten
			if r := verify(t, l, "acme"); (len(r.Problems) == 0) != healed {
				t.Errorf("when the log went on: %q", r.Problems)
			}
			if r := verify(t, l, "globex"); len(r.Problems) > 0 {
				t.Errorf("the log of another namespace: %q", r.Problems)
			}
		})
	}
}

// TestRandomTampering flips bits, removes and exchanges whatever there is of a log that
// was pruned; each time that is found.
func TestRandomTampering(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	if s, err := strconv.ParseUint(os.Getenv("MICRO_SEED"), 10, 64); err == nil {
		seed = s
	}
	t.Logf("MICRO_SEED=%d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	s := openStore(t)
	l := open(t, s, audit.Options{Entries: 20})
	record(t, l, numbers(50)...)
	if r := verify(t, l, "acme"); len(r.Problems) > 0 {
		t.Fatalf("before: %q", r.Problems)
	}
	was := entries(t, s)
	restore := func() {
		var ops []store.Op
		for _, r := range entries(t, s) {
			ops = append(ops, store.Delete(r.Key))
		}
		if len(ops) > 0 {
			write(t, s, ops...)
		}
		ops = nil
		for _, r := range was {
			ops = append(ops, store.Put(r.Key, r.Value))
		}
		write(t, s, ops...)
	}
	for range 200 {
		var done []string
		for range 1 + rnd.IntN(3) {
			r := was[rnd.IntN(len(was))]
			switch rnd.IntN(4) {
			case 0:
				done = append(done, "remove "+r.Key)
				write(t, s, store.Delete(r.Key))
			case 1:
				value := bytes.Clone(r.Value)
				at := rnd.IntN(len(value))
				value[at] ^= 1 << rnd.IntN(8)
				done = append(done, fmt.Sprintf("flip a bit of byte %d of %s", at, r.Key))
				write(t, s, store.Put(r.Key, value))
			case 2:
				value := r.Value[:rnd.IntN(len(r.Value))]
				done = append(done, fmt.Sprintf("cut %s after %d bytes", r.Key, len(value)))
				write(t, s, store.Put(r.Key, value))
			case 3:
				other := was[rnd.IntN(len(was))]
				if other.Key != r.Key {
					done = append(done, "put "+other.Key+" to "+r.Key)
					write(t, s, store.Put(r.Key, other.Value))
				}
			}
		}
		if r := verify(t, l, "acme"); len(done) > 0 && len(r.Problems) == 0 {
			t.Errorf("nothing was found of: %q", done)
		}
		restore()
		if r := verify(t, l, "acme"); len(r.Problems) > 0 {
			t.Fatalf("when all is put back: %q", r.Problems)
		}
	}
}

// An older log that is put back whole is one only for who has noted nothing.
func TestNoted(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	l := open(t, s, audit.Options{})
	record(t, l, numbers(5)...)
	older := entries(t, s)
	record(t, l, numbers(5)...)
	r := verify(t, l, "acme")
	noted := audit.Noted{Sequence: r.Last, Hash: r.Hash}
	if r := verify(t, l, "acme", noted); len(r.Problems) > 0 {
		t.Errorf("with what was noted now: %q", r.Problems)
	}
	record(t, l, "later")
	if r := verify(t, l, "acme", noted); len(r.Problems) > 0 {
		t.Errorf("with what was noted before: %q", r.Problems)
	}
	if r := verify(t, l, "acme", audit.Noted{Sequence: 3, Hash: noted.Hash}); len(r.Problems) != 1 {
		t.Errorf("with another hash: %q", r.Problems)
	}
	for _, r := range entries(t, s) {
		write(t, s, store.Delete(r.Key))
	}
	for _, r := range older {
		write(t, s, store.Put(r.Key, r.Value))
	}
	l = open(t, s, audit.Options{})
	if r := verify(t, l, "acme"); len(r.Problems) > 0 {
		t.Errorf("an older log: %q", r.Problems)
	}
	if r := verify(t, l, "acme", noted); len(r.Problems) != 1 || !strings.Contains(r.Problems[0], "missing") {
		t.Errorf("an older log, with what was noted: %q", r.Problems)
	}
	record(t, l, numbers(6)...)
	if r := verify(t, l, "acme", noted); len(r.Problems) != 1 || !strings.Contains(r.Problems[0], "not the one") {
		t.Errorf("an older log that went on, with %s noted: %q", hex.EncodeToString(noted.Hash), r.Problems)
	}
}

// What is kept is bounded by number, and what is left can still be verified.
func TestRetentionByNumber(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	l := open(t, s, audit.Options{Entries: 10})
	for n := range int64(300) {
		record(t, l, "x")
		r := verify(t, l, "acme")
		if len(r.Problems) > 0 || r.Last != n+1 || r.First != max(1, n+1-9) {
			t.Fatalf("after %d entries: %+v", n+1, r)
		}
	}
	// Many at once are no more in the end; a server that keeps fewer removes the rest.
	record(t, open(t, s, audit.Options{Entries: 3}), "x")
	if r := verify(t, l, "acme"); len(r.Problems) > 0 || r.First != 299 {
		t.Errorf("with a smaller bound: %+v", r)
	}
	if r := verify(t, l, "acme", audit.Noted{Sequence: 5, Hash: []byte("x")}); len(r.Problems) != 1 {
		t.Errorf("what was noted of an entry that is gone: %q", r.Problems)
	}
	write(t, s, store.Delete(entryKey("acme", 299)))
	if r := verify(t, l, "acme"); len(r.Problems) != 1 {
		t.Errorf("when the first that is kept is removed: %+v", r)
	}
}

// What is kept is bounded by age, also where nothing new is recorded.
func TestRetentionByAge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t)
		l := open(t, s, audit.Options{Age: 10 * time.Minute})
		for range 1000 {
			time.Sleep(time.Second)
			record(t, l, "x")
		}
		if r := verify(t, l, "acme"); len(r.Problems) > 0 || r.First != 400 {
			t.Errorf("after 1000 seconds: %+v", r)
		}
		time.Sleep(5 * time.Minute)
		for range 3 { // each removes some
			if err := l.Prune(t.Context(), "acme"); err != nil {
				t.Fatal(err)
			}
		}
		if r := verify(t, l, "acme"); len(r.Problems) > 0 || r.First != 700 {
			t.Errorf("five minutes later: %+v", r)
		}
		time.Sleep(time.Hour)
		for range 3 {
			if err := l.Prune(t.Context(), "acme"); err != nil {
				t.Fatal(err)
			}
		}
		if r := verify(t, l, "acme"); len(r.Problems) > 0 || r.First != 0 {
			t.Errorf("an hour later: %+v", r)
		}
		if n := record(t, l, "y"); n != 1001 {
			t.Errorf("the next sequence is %d, want 1001", n)
		}
		if r := verify(t, l, "acme"); len(r.Problems) > 0 || r.First != 1001 {
			t.Errorf("with a new entry: %+v", r)
		}
		write(t, s, store.Delete(entryKey("acme", 1001)))
		if r := verify(t, l, "acme"); len(r.Problems) != 1 {
			t.Errorf("when that is removed: %+v", r)
		}
		// A server that has recorded nothing has nothing to remove.
		if err := open(t, s, audit.Options{Age: time.Minute}).Prune(t.Context(), "globex"); err != nil {
			t.Error(err)
		}
	})
}

// Evidence that entries were removed does not go with those that are pruned behind it.
func TestPruningKeepsEvidence(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	l := open(t, s, audit.Options{Entries: 10})
	record(t, l, numbers(10)...)
	write(t, s, store.Delete(entryKey("acme", 8)))
	record(t, l, numbers(5)...)
	if r := verify(t, l, "acme"); len(r.Problems) != 1 || r.Problems[0] != "entry 8 is missing" {
		t.Errorf("problems: %q", r.Problems)
	}
	record(t, l, numbers(5)...)
	if r := verify(t, l, "acme"); len(r.Problems) > 0 {
		t.Errorf("when it would be gone anyway: %q", r.Problems)
	}
}
