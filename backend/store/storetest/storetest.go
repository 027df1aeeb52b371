// Package storetest says what a store is: a driver is one when it passes [Test],
// and durable when it passes [TestDurable] as well. A behaviour that is not tested
// here is not promised.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/micro/micro/v3/backend/store"
)

// patience is how long something may take before it counts as never.
const patience = 30 * time.Second

// Test tests a driver. Each call of open returns a store that is empty and that the
// test may close; open closes it when the test has ended, if need be once more.
func Test(t *testing.T, open func(t *testing.T) store.Store) {
	t.Helper()
	for _, group := range []struct {
		name  string
		tests map[string]func(*testing.T, store.Store)
	}{
		{"Get", getTests()},
		{"Range", rangeTests()},
		{"Txn", txnTests()},
		{"Limits", limitTests()},
		{"Expiry", expiryTests()},
		{"Watch", watchTests()},
		{"Context", contextTests()},
		{"Close", closeTests()},
		{"Concurrency", concurrencyTests()},
		{"Model", modelTests()},
	} {
		t.Run(group.name, func(t *testing.T) {
			t.Parallel()
			for name, test := range group.tests {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					test(t, open(t))
				})
			}
		})
	}
}

// TestDurable tests that a driver keeps what it was given. Each call of place makes
// a new place and returns a function that opens the store there; what it returned
// before has been closed by then.
func TestDurable(t *testing.T, place func(t *testing.T) func(t *testing.T) store.Store) {
	t.Helper()
	for name, test := range durableTests() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, place(t))
		})
	}
}

// within returns a context that ends with patience.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// do makes a transaction without conditions that must succeed.
func do(t *testing.T, s store.Store, ops ...store.Op) int64 {
	t.Helper()
	rev, err := s.Txn(within(t), store.Txn{Do: ops})
	if err != nil {
		t.Fatalf("Txn: %v", err)
	}
	return rev
}

// put sets keys to values, given in turn, one transaction each, and returns the
// revisions.
func put(t *testing.T, s store.Store, keyValues ...string) []int64 {
	t.Helper()
	var revs []int64
	for i := 0; i < len(keyValues); i += 2 {
		revs = append(revs, do(t, s, store.Put(keyValues[i], []byte(keyValues[i+1]))))
	}
	return revs
}

// get returns a record that must be there.
func get(t *testing.T, s store.Store, key string) store.Record {
	t.Helper()
	rec, err := s.Get(within(t), key)
	if err != nil {
		t.Fatalf("Get(%q): %v", key, err)
	}
	return rec
}

// absent checks that there is no record.
func absent(t *testing.T, s store.Store, key string) {
	t.Helper()
	if rec, err := s.Get(within(t), key); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get(%q) = %v, %v, want %v", key, rec, err, store.ErrNotFound)
	}
}

// list returns the records of a range.
func list(t *testing.T, s store.Store, r store.Range) []store.Record {
	t.Helper()
	var out []store.Record
	for rec, err := range s.Range(within(t), r) {
		if err != nil {
			t.Fatalf("Range(%+v): %v", r, err)
		}
		out = append(out, rec)
	}
	return out
}

// keys returns the keys of a range.
func keys(t *testing.T, s store.Store, r store.Range) []string {
	t.Helper()
	var out []string
	for _, rec := range list(t, s, r) {
		out = append(out, rec.Key)
	}
	return out
}

// diff compares; an empty slice is as good as none, and times are compared as such.
func diff[T any](want, got T) string {
	return cmp.Diff(want, got, cmpopts.EquateEmpty(), cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) }))
}

func equal[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if reflect.DeepEqual(want, got) {
		return // a diff looks at large values byte by byte
	}
	if d := diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func getTests() map[string]func(*testing.T, store.Store) {
	return map[string]func(*testing.T, store.Store){
		"absent": func(t *testing.T, s store.Store) {
			absent(t, s, "a")
		},
		"round trip": func(t *testing.T, s store.Store) {
			rev := put(t, s, "a", "1")[0]
			equal(t, "record", get(t, s, "a"), store.Record{Key: "a", Value: []byte("1"), Revision: rev})
		},
		"overwrite": func(t *testing.T, s store.Store) {
			revs := put(t, s, "a", "1", "a", "22")
			if revs[1] <= revs[0] {
				t.Errorf("revision %d after %d", revs[1], revs[0])
			}
			equal(t, "record", get(t, s, "a"), store.Record{Key: "a", Value: []byte("22"), Revision: revs[1]})
		},
		"delete": func(t *testing.T, s store.Store) {
			put(t, s, "a", "1", "b", "2")
			do(t, s, store.Delete("a"))
			absent(t, s, "a")
			equal(t, "keys", keys(t, s, store.Range{}), []string{"b"})
			put(t, s, "a", "3")
			equal(t, "value", get(t, s, "a").Value, []byte("3"))
		},
		"empty value": func(t *testing.T, s store.Store) {
			do(t, s, store.Put("nil", nil), store.Put("empty", []byte{}))
			for _, key := range []string{"nil", "empty"} {
				if v := get(t, s, key).Value; len(v) != 0 {
					t.Errorf("value of %q = %q, want none", key, v)
				}
			}
		},
		"hostile keys": func(t *testing.T, s store.Store) {
			all := hostileKeys()
			for i, key := range all {
				do(t, s, store.Put(key, []byte{byte(i)}))
			}
			for i, key := range all {
				if v := get(t, s, key).Value; !bytes.Equal(v, []byte{byte(i)}) {
					t.Errorf("value of %q = %v, want [%d]", key, v, i)
				}
			}
			for _, key := range all {
				equal(t, "exactly "+key, keys(t, s, store.Range{Start: key, End: key + "\x00"}), []string{key})
				do(t, s, store.Delete(key))
				absent(t, s, key)
			}
			equal(t, "what is left", keys(t, s, store.Range{}), nil)
		},
		"hostile values": func(t *testing.T, s store.Store) {
			for _, v := range []string{"\x00", "\xff\xfe", "\x00\x00\xff", "'; DROP TABLE records;--", "{}"} {
				put(t, s, "a", v)
				equal(t, "value", get(t, s, "a").Value, []byte(v))
			}
		},
		"values are copies": func(t *testing.T, s store.Store) {
			v := []byte("abc")
			do(t, s, store.Put("a", v))
			copy(v, "xyz")
			got := get(t, s, "a").Value
			equal(t, "after the caller changed what it had passed", got, []byte("abc"))
			copy(got, "xyz")
			for _, rec := range list(t, s, store.Range{}) {
				equal(t, "after the caller changed what it had got", rec.Value, []byte("abc"))
				copy(rec.Value, "xyz")
			}
			equal(t, "after the caller changed what it had listed", get(t, s, "a").Value, []byte("abc"))
		},
	}
}

// hostileKeys returns keys that are ordinary to a store and to nothing else.
func hostileKeys() []string {
	return []string{
		"\x00", "\x00\x00", "\x00\xff", "a", "a\x00", "a\x00b", "a/../b", "../../etc/passwd", "a b", "a%", "a_", `a\`, "a'",
		"a\n", "é", "e\u0301", "\U0001f600", "\x80", "\xc3\x28", "\xff", "\xff\x00", "\xff\xff", "\xff\xff\xff",
		string(bytes.Repeat([]byte{0xff}, 100)), string(bytes.Repeat([]byte("k"), store.MaxKey)),
	}
}
