package storetest

import (
	"errors"
	"testing"

	"github.com/micro/micro/v3/backend/store"
)

func txnTests() map[string]func(*testing.T, store.Store) {
	return map[string]func(*testing.T, store.Store){
		"conditions": testConditions,
		"all or nothing": func(t *testing.T, s store.Store) {
			rev := put(t, s, "a", "1")[0]
			_, err := s.Txn(within(t), store.Txn{
				If: []store.Cond{{Key: "a", Revision: rev}, {Key: "b", Revision: rev}},
				Do: []store.Op{store.Put("a", []byte("2")), store.Put("c", nil), store.Delete("a")},
			})
			if err == nil {
				t.Error("a transaction with a condition that does not hold was made")
			}
			equal(t, "records", list(t, s, store.Range{}), []store.Record{{Key: "a", Value: []byte("1"), Revision: rev}})
		},
		"one revision": func(t *testing.T, s store.Store) {
			put(t, s, "a", "1", "b", "1")
			rev := do(t, s, store.Put("c", []byte("2")), store.Delete("a"), store.Put("b", []byte("2")))
			equal(t, "records", list(t, s, store.Range{}), []store.Record{
				{Key: "b", Value: []byte("2"), Revision: rev},
				{Key: "c", Value: []byte("2"), Revision: rev},
			})
		},
		"revisions grow": func(t *testing.T, s store.Store) {
			last := int64(0)
			for range 20 {
				rev := do(t, s, store.Put("a", nil))
				if rev <= last {
					t.Fatalf("revision %d after %d", rev, last)
				}
				last = rev
			}
			if rev := do(t, s, store.Delete("a")); rev <= last {
				t.Errorf("a deletion got revision %d after %d", rev, last)
			}
		},
		"nothing to do": func(t *testing.T, s store.Store) {
			rev := put(t, s, "a", "1", "b", "2")[1]
			for name, txn := range map[string]store.Txn{
				"no operation":     {},
				"condition only":   {If: []store.Cond{{Key: "b", Revision: rev}, {Key: "c"}}},
				"absent key":       {Do: []store.Op{store.Delete("c")}},
				"absent key, cond": {If: []store.Cond{{Key: "c"}}, Do: []store.Op{store.Delete("c"), store.Delete("d")}},
			} {
				got, err := s.Txn(within(t), txn)
				if err != nil || got != rev {
					t.Errorf("%s: %d, %v, want the newest revision %d", name, got, err, rev)
				}
			}
			if next := put(t, s, "a", "2")[0]; next <= rev {
				t.Errorf("revision %d after %d", next, rev)
			}
		},
		"newest revision of an empty store": func(t *testing.T, s store.Store) {
			rev, err := s.Txn(within(t), store.Txn{})
			if err != nil {
				t.Fatal(err)
			}
			if first := put(t, s, "a", "")[0]; first <= rev {
				t.Errorf("the first revision %d is not after %d", first, rev)
			}
		},
		"same value again": func(t *testing.T, s store.Store) {
			revs := put(t, s, "a", "1", "a", "1")
			if revs[1] <= revs[0] {
				t.Errorf("revision %d after %d", revs[1], revs[0])
			}
			equal(t, "revision", get(t, s, "a").Revision, revs[1])
		},
	}
}

func testConditions(t *testing.T, s store.Store) {
	revs := put(t, s, "a", "1", "b", "1")
	do(t, s, store.Delete("b"))
	a := store.Cond{Key: "a", Revision: revs[0]}
	for _, c := range []struct {
		name  string
		conds []store.Cond
		holds bool
	}{
		{"present at its revision", []store.Cond{a}, true},
		{"present, expected absent", []store.Cond{{Key: "a"}}, false},
		{"present at another revision", []store.Cond{{Key: "a", Revision: revs[0] + 1}}, false},
		{"absent", []store.Cond{{Key: "x"}}, true},
		{"absent, expected present", []store.Cond{{Key: "x", Revision: revs[0]}}, false},
		{"deleted", []store.Cond{{Key: "b"}}, true},
		{"deleted, expected as it was", []store.Cond{{Key: "b", Revision: revs[1]}}, false},
		{"both hold", []store.Cond{a, {Key: "x"}}, true},
		{"the second does not", []store.Cond{a, {Key: "a"}}, false},
		{"the same twice", []store.Cond{a, a}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, ops := range [][]store.Op{nil, {store.Put("done", []byte(c.name))}} {
				_, err := s.Txn(within(t), store.Txn{If: c.conds, Do: ops})
				if c.holds && err != nil {
					t.Errorf("Txn: %v", err)
				}
				if !c.holds && !errors.Is(err, store.ErrConflict) {
					t.Errorf("Txn: %v, want %v", err, store.ErrConflict)
				}
			}
			if rec, err := s.Get(within(t), "done"); c.holds != (err == nil && string(rec.Value) == c.name) {
				t.Errorf("the record of the operation is %q, %v", rec.Value, err)
			}
		})
	}
}
