package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/micro/micro/v3/backend/store"
)

// seedVariable makes the model test repeat a run.
const seedVariable = "MICRO_SEED"

func modelTests() map[string]func(*testing.T, store.Store) {
	tests := map[string]func(*testing.T, store.Store){}
	for i := range 4 {
		tests[fmt.Sprintf("run %d", i)] = func(t *testing.T, s store.Store) {
			m := newModel(t)
			m.check(t, s)
			for range 300 {
				m.step(t, s)
			}
			m.check(t, s)
		}
	}
	return tests
}

// model is a store that is nothing but obvious, and what was done to both.
type model struct {
	rng     *rand.Rand
	records map[string]store.Record
	changes []store.Change // all there were, each transaction's in the order of keys
	log     []string
}

func newModel(t *testing.T) *model {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv(seedVariable); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("%s: %v", seedVariable, err)
		}
	}
	m := &model{rng: rand.New(rand.NewPCG(seed, 0)), records: map[string]store.Record{}}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("repeat with %s=%d; the last of %d steps:", seedVariable, seed, len(m.log))
			for _, line := range m.log[max(0, len(m.log)-20):] {
				t.Log("  " + line)
			}
		}
	})
	return m
}

// key returns one of few keys, of which some are prefixes of others.
func (m *model) key() string {
	const letters = "a\x00\xffb"
	k := make([]byte, 1+m.rng.IntN(3))
	for i := range k {
		k[i] = letters[m.rng.IntN(len(letters))]
	}
	return string(k)
}

// step does one thing to both and compares.
func (m *model) step(t *testing.T, s store.Store) {
	t.Helper()
	switch n := m.rng.IntN(10); {
	case n < 6:
		m.txn(t, s)
	case n < 8:
		key := m.key()
		m.note("get %q", key)
		want, there := m.records[key]
		got, err := s.Get(within(t), key)
		if !there {
			if !errors.Is(err, store.ErrNotFound) {
				t.Fatalf("Get(%q) = %v, %v, want %v", key, got, err, store.ErrNotFound)
			}
			return
		}
		if d := diff(want, got); err != nil || d != "" {
			t.Fatalf("Get(%q): %v (-want +got):\n%s", key, err, d)
		}
	default:
		r := store.Range{Limit: m.rng.IntN(6), Reverse: m.rng.IntN(2) == 0, KeysOnly: m.rng.IntN(2) == 0}
		if m.rng.IntN(3) > 0 {
			r.Start = m.key()
		}
		if m.rng.IntN(3) > 0 {
			r.End = m.key()
		}
		m.note("range %+q", fmt.Sprint(r))
		if d := diff(m.list(r), list(t, s, r)); d != "" {
			t.Fatalf("Range(%+v) (-want +got):\n%s", r, d)
		}
	}
}

// txn makes a random transaction, most of whose conditions hold.
func (m *model) txn(t *testing.T, s store.Store) {
	t.Helper()
	var txn store.Txn
	holds := true
	for range m.rng.IntN(3) {
		c := store.Cond{Key: m.key()}
		c.Revision = m.records[c.Key].Revision
		if m.rng.IntN(8) == 0 {
			c.Revision += int64(1 + m.rng.IntN(2))
			holds = false
		}
		txn.If = append(txn.If, c)
	}
	used := map[string]bool{}
	for range m.rng.IntN(4) {
		key := m.key()
		if used[key] {
			continue
		}
		used[key] = true
		op := store.Delete(key)
		if m.rng.IntN(3) > 0 {
			op = store.Put(key, fmt.Append(nil, m.rng.Uint32()))
		}
		txn.Do = append(txn.Do, op)
	}
	m.note("txn %+q", fmt.Sprint(txn))
	rev, err := s.Txn(within(t), txn)
	if !holds {
		if !errors.Is(err, store.ErrConflict) {
			t.Fatalf("Txn: %v, want %v", err, store.ErrConflict)
		}
		return
	}
	if err != nil {
		t.Fatalf("Txn: %v", err)
	}
	m.apply(t, txn.Do, rev)
}

func (m *model) apply(t *testing.T, ops []store.Op, rev int64) {
	t.Helper()
	newest := int64(0)
	if n := len(m.changes); n > 0 {
		newest = m.changes[n-1].Revision
	}
	first := len(m.changes)
	for _, op := range ops {
		_, there := m.records[op.Key]
		switch {
		case op.Kind == store.KindPut:
			rec := store.Record{Key: op.Key, Value: op.Value, Revision: rev}
			m.records[op.Key] = rec
			m.changes = append(m.changes, was(rec))
		case there:
			delete(m.records, op.Key)
			m.changes = append(m.changes, gone(op.Key, rev))
		}
	}
	sortChanges(m.changes[first:])
	switch changed := len(m.changes) > first; {
	case changed && rev <= newest:
		t.Fatalf("a transaction got revision %d after %d", rev, newest)
	case !changed && newest > 0 && rev != newest:
		t.Fatalf("a transaction that changes nothing returned revision %d, want the newest, %d", rev, newest)
	}
}

// list is Range.
func (m *model) list(r store.Range) []store.Record {
	var out []store.Record
	for key, rec := range m.records {
		if key >= r.Start && (r.End == "" || key < r.End) {
			if r.KeysOnly {
				rec.Value = nil
			}
			out = append(out, rec)
		}
	}
	slices.SortFunc(out, func(a, b store.Record) int {
		if r.Reverse {
			a, b = b, a
		}
		return compare(a.Key, b.Key)
	})
	if r.Limit > 0 && len(out) > r.Limit {
		out = out[:r.Limit]
	}
	return out
}

// check compares everything: what is there, and how it came to be.
func (m *model) check(t *testing.T, s store.Store) {
	t.Helper()
	if d := diff(m.list(store.Range{}), list(t, s, store.Range{})); d != "" {
		t.Fatalf("all records (-want +got):\n%s", d)
	}
	if len(m.changes) == 0 {
		return
	}
	from := m.changes[m.rng.IntN(len(m.changes))].Revision
	var want, got []store.Change
	for _, c := range m.changes {
		if c.Revision > from {
			want = append(want, c)
		}
	}
	for c, err := range s.Watch(within(t), "", from) {
		if err != nil {
			t.Fatalf("Watch from %d: %v", from, err)
		}
		if c.Kind == store.Synced {
			break
		}
		got = append(got, c)
	}
	for i := 0; i < len(got); {
		j := i
		for j < len(got) && got[j].Revision == got[i].Revision {
			j++
		}
		for k := i; k < j; k++ {
			if more := k < j-1; got[k].More != more {
				t.Fatalf("change %d of %d of revision %d: More = %t", k-i+1, j-i, got[k].Revision, got[k].More)
			}
			got[k].More = false
		}
		sortChanges(got[i:j])
		i = j
	}
	if d := diff(want, got); d != "" {
		t.Fatalf("changes after revision %d (-want +got):\n%s", from, d)
	}
}

// sortChanges orders the changes of one transaction, which have no order.
func sortChanges(c []store.Change) {
	slices.SortFunc(c, func(a, b store.Change) int { return compare(a.Record.Key, b.Record.Key) })
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	default:
		return 0
	}
}

func (m *model) note(format string, args ...any) { m.log = append(m.log, fmt.Sprintf(format, args...)) }
