package tables_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	engine "github.com/micro/micro/v3/backend/embedded"
	"github.com/micro/micro/v3/backend/store"
	"github.com/micro/micro/v3/backend/store/embedded"
	"github.com/micro/micro/v3/backend/tables"
)

// open returns tables in an empty store in memory, and the store.
func open(t *testing.T) (*tables.Tables, store.Store) {
	t.Helper()
	db, err := engine.Open(t.Context(), "data", engine.Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	s, err := embedded.Open(t.Context(), db, embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(s.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	})
	return tables.New(s), s
}

func write(t *testing.T, ts *tables.Tables, at tables.Table, key, value string) int64 {
	t.Helper()
	revision, err := ts.Batch(t.Context(), at, []tables.Op{{Kind: tables.Put, Record: tables.Record{Key: key, Value: []byte(value)}}})
	if err != nil {
		t.Fatalf("write %q: %v", key, err)
	}
	return revision
}

// keys returns the keys that pages of a selection have, and how many pages there were.
func keys(t *testing.T, ts *tables.Tables, at tables.Table, s tables.Selection, limit int) (all []string, pages int) {
	t.Helper()
	for token := ""; ; {
		page, next, err := ts.Page(t.Context(), at, s, limit, token)
		if err != nil {
			t.Fatalf("Page %+v: %v", s, err)
		}
		if len(page) > limit {
			t.Fatalf("a page of %d, and %d were asked for", len(page), limit)
		}
		for _, r := range page {
			all = append(all, r.Key)
		}
		pages++
		if token = next; token == "" {
			return all, pages
		}
	}
}

func TestRecord(t *testing.T) {
	t.Parallel()
	ts, _ := open(t)
	at := tables.Table{Namespace: "acme"}
	for name, rec := range map[string]tables.Record{
		"text":          {Key: "greeting", Value: []byte("hello")},
		"empty value":   {Key: "empty", Value: []byte{}},
		"metadata":      {Key: "meta", Value: []byte("v"), Metadata: []byte("m")},
		"largest":       {Key: strings.Repeat("k", tables.MaxKey), Value: make([]byte, tables.MaxValue), Metadata: make([]byte, tables.MaxMetadata)},
		"hostile key":   {Key: "../\x00\xff/" + strings.Repeat("\x00", 9), Value: []byte("x")},
		"a key of 0xff": {Key: "\xff\xff", Value: []byte("x")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			revision, err := ts.Batch(t.Context(), at, []tables.Op{{Kind: tables.Put, Record: rec}})
			if err != nil {
				t.Fatal(err)
			}
			rec.Revision = revision
			got, err := ts.Get(t.Context(), at, rec.Key)
			if diff := cmp.Diff(rec, got); err != nil || diff != "" {
				t.Errorf("Get: %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestInvalid(t *testing.T) {
	t.Parallel()
	ts, _ := open(t)
	at := tables.Table{Namespace: "acme"}
	negative := int64(-1)
	put := func(r tables.Record) []tables.Op { return []tables.Op{{Kind: tables.Put, Record: r}} }
	long := strings.Repeat("x", 64<<10)
	for name, call := range map[string]func(ctx context.Context) error{
		"empty key": func(ctx context.Context) error { _, err := ts.Batch(ctx, at, put(tables.Record{})); return err },
		"long key": func(ctx context.Context) error {
			_, err := ts.Batch(ctx, at, put(tables.Record{Key: long}))
			return err
		},
		"read an empty key": func(ctx context.Context) error { _, err := ts.Get(ctx, at, ""); return err },
		"large value": func(ctx context.Context) error {
			_, err := ts.Batch(ctx, at, put(tables.Record{Key: "k", Value: make([]byte, tables.MaxValue+1)}))
			return err
		},
		"large metadata": func(ctx context.Context) error {
			_, err := ts.Batch(ctx, at, put(tables.Record{Key: "k", Metadata: make([]byte, tables.MaxMetadata+1)}))
			return err
		},
		"too many operations": func(ctx context.Context) error {
			_, err := ts.Batch(ctx, at, make([]tables.Op, tables.MaxOps+1))
			return err
		},
		"a key twice": func(ctx context.Context) error {
			_, err := ts.Batch(ctx, at, append(put(tables.Record{Key: "k"}), put(tables.Record{Key: "k"})...))
			return err
		},
		"no operation": func(ctx context.Context) error {
			_, err := ts.Batch(ctx, at, []tables.Op{{Record: tables.Record{Key: "k"}}})
			return err
		},
		"a check of nothing": func(ctx context.Context) error {
			_, err := ts.Batch(ctx, at, []tables.Op{{Kind: tables.Check, Record: tables.Record{Key: "k"}}})
			return err
		},
		"negative revision": func(ctx context.Context) error {
			_, err := ts.Batch(ctx, at, []tables.Op{{Kind: tables.Delete, Record: tables.Record{Key: "k"}, If: &negative}})
			return err
		},
		"negative expiry": func(ctx context.Context) error {
			_, err := ts.Batch(ctx, at, []tables.Op{{Kind: tables.Put, Record: tables.Record{Key: "k"}, Expiry: -time.Second}})
			return err
		},
		"an expiry without end": func(ctx context.Context) error {
			_, err := ts.Batch(ctx, at, []tables.Op{{Kind: tables.Put, Record: tables.Record{Key: "k"}, Expiry: 1<<63 - 1}})
			return err
		},
		"a table of two dots": func(ctx context.Context) error {
			_, err := ts.Get(ctx, tables.Table{Namespace: "acme", Name: ".."}, "k")
			return err
		},
		"a table with a zero byte": func(ctx context.Context) error {
			_, err := ts.Get(ctx, tables.Table{Namespace: "acme", Name: "a\x00b"}, "k")
			return err
		},
		"a database with a path": func(ctx context.Context) error {
			_, err := ts.Get(ctx, tables.Table{Namespace: "acme", Database: "../globex"}, "k")
			return err
		},
		"a long name": func(ctx context.Context) error {
			_, _, err := ts.Tables(ctx, "acme", strings.Repeat("a", tables.MaxName+1), 1, "")
			return err
		},
		"long bounds": func(ctx context.Context) error {
			_, _, err := ts.Page(ctx, at, tables.Selection{Prefix: long}, 1, "")
			return err
		},
		"unknown page token": func(ctx context.Context) error {
			_, _, err := ts.Page(ctx, at, tables.Selection{}, 1, "AAAAAAAAAAAAAAAA")
			return err
		},
		"no page token": func(ctx context.Context) error {
			_, _, err := ts.Databases(ctx, "acme", 1, "../%%")
			return err
		},
		"watch from before all": func(ctx context.Context) error {
			for _, err := range ts.Watch(ctx, at, "", -1) {
				return err
			}
			return nil
		},
		"import": func(ctx context.Context) error {
			return ts.NewImport("acme").Add(ctx, tables.Entry{Database: "..", Record: tables.Record{Key: "k"}})
		},
		"export": func(ctx context.Context) error { _, _, err := ts.Export(ctx, "acme", "..", ""); return err },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := call(t.Context()); !errors.Is(err, tables.ErrInvalid) {
				t.Errorf("%v, want %v", err, tables.ErrInvalid)
			}
		})
	}
}

// Pages of random selections are what a sorted map has, with records of neighbours
// around that must not be seen.
func TestPagesAgainstModel(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	if s, err := strconv.ParseUint(os.Getenv("MICRO_SEED"), 10, 64); err == nil {
		seed = s
	}
	t.Logf("MICRO_SEED=%d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	ts, _ := open(t)
	at := tables.Table{Namespace: "acme", Name: "b"}
	for _, other := range []tables.Table{
		{Namespace: "acme", Name: "a"},
		{Namespace: "acme", Name: "b.c"},
		{Namespace: "acme", Database: "zoo", Name: "b"},
		{Namespace: "acme-2", Name: "b"},
		{Namespace: "acm", Name: "b"},
	} {
		write(t, ts, other, "ab", "not mine")
		write(t, ts, other, "\xff", "not mine")
	}
	text := func(most int) string {
		b := make([]byte, rnd.IntN(most+1))
		for i := range b {
			b[i] = "\x00ab\xff"[rnd.IntN(4)]
		}
		return string(b)
	}
	model := map[string]string{}
	for range 150 {
		key := text(4) + "a"
		model[key] = text(10)
		write(t, ts, at, key, model[key])
	}
	for range 300 {
		s := tables.Selection{Prefix: text(2), Suffix: text(1), Start: text(2), End: text(3), Reverse: rnd.IntN(2) == 0, KeysOnly: rnd.IntN(2) == 0}
		var want []string
		for _, k := range slices.Sorted(maps.Keys(model)) {
			if strings.HasPrefix(k, s.Prefix) && strings.HasSuffix(k, s.Suffix) && k >= s.Start && (s.End == "" || k < s.End) {
				want = append(want, k)
			}
		}
		if s.Reverse {
			slices.Reverse(want)
		}
		got, _ := keys(t, ts, at, s, 1+rnd.IntN(20))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%+v (-want +got):\n%s", s, diff)
		}
	}
}

// A page is bounded in what it returns and in what the server looks at for it.
func TestPagesAreBounded(t *testing.T) {
	t.Parallel()
	ts, _ := open(t)
	at := tables.Table{Namespace: "acme"}
	value := strings.Repeat("x", 900000)
	var want []string
	for i := range 8 {
		key := fmt.Sprintf("large/%d", i)
		write(t, ts, at, key, value)
		want = append(want, key)
	}
	if got, pages := keys(t, ts, at, tables.Selection{}, 100); pages != 3 || !slices.Equal(got, want) {
		t.Errorf("%d pages of large values with %v, want 3 with %v", pages, got, want)
	}
	for i := range 21 {
		ops := make([]tables.Op, 0, 500)
		for j := range 500 {
			ops = append(ops, tables.Op{Kind: tables.Put, Record: tables.Record{Key: fmt.Sprintf("small/%05d", i*500+j)}})
		}
		if _, err := ts.Batch(t.Context(), at, ops); err != nil {
			t.Fatal(err)
		}
	}
	page, next, err := ts.Page(t.Context(), at, tables.Selection{Prefix: "small/", Suffix: "10499", KeysOnly: true}, 1, "")
	if err != nil || len(page) != 0 || next == "" {
		t.Fatalf("the first page: %v, %q, %v, want an empty one that is not the last", page, next, err)
	}
	page, next, err = ts.Page(t.Context(), at, tables.Selection{Prefix: "small/", Suffix: "10499", KeysOnly: true}, 1, next)
	if err != nil || len(page) != 1 || next != "" {
		t.Errorf("the second page: %v, %q, %v, want the record", page, next, err)
	}
	n, err := ts.DeleteAll(t.Context(), at, "small/")
	if n != 10500 || err != nil {
		t.Errorf("DeleteAll: %d, %v, want 10500", n, err)
	}
	if got, _ := keys(t, ts, at, tables.Selection{KeysOnly: true}, 100); !slices.Equal(got, want) {
		t.Errorf("left are %v, want %v", got, want)
	}
}

// A token is good for the selection that it is of.
func TestTokenOfAnotherSelection(t *testing.T) {
	t.Parallel()
	ts, _ := open(t)
	at := tables.Table{Namespace: "acme"}
	write(t, ts, at, "a", "")
	write(t, ts, at, "b", "")
	_, token, err := ts.Page(t.Context(), at, tables.Selection{}, 1, "")
	if err != nil || token == "" {
		t.Fatal(token, err)
	}
	for name, call := range map[string]func() error{
		"prefix": func() error {
			_, _, err := ts.Page(t.Context(), at, tables.Selection{Prefix: "a"}, 1, token)
			return err
		},
		"order": func() error {
			_, _, err := ts.Page(t.Context(), at, tables.Selection{Reverse: true}, 1, token)
			return err
		},
		"namespace": func() error {
			_, _, err := ts.Page(t.Context(), tables.Table{Namespace: "globex"}, tables.Selection{}, 1, token)
			return err
		},
		"names": func() error { _, _, err := ts.Databases(t.Context(), "acme", 1, token); return err },
	} {
		if err := call(); !errors.Is(err, tables.ErrInvalid) {
			t.Errorf("another %s: %v, want %v", name, err, tables.ErrInvalid)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	ts, _ := open(t)
	for _, at := range []tables.Table{
		{Namespace: "m", Database: "a", Name: "x"},
		{Namespace: "m"},
		{Namespace: "m", Name: "a"},
		{Namespace: "m", Name: "a-b"},
		{Namespace: "m", Name: "a.b"},
		{Namespace: "m", Database: "m", Name: "zoo"},
		{Namespace: "m", Database: "z"},
		{Namespace: "m2", Name: "theirs"},
	} {
		write(t, ts, at, "k\x00k", "")
		write(t, ts, at, "\xff", "")
	}
	for limit := 1; limit < 8; limit++ {
		var databases, names []string
		for token, first := "", true; first || token != ""; first = false {
			page, next, err := ts.Databases(t.Context(), "m", limit, token)
			if err != nil || len(page) > limit {
				t.Fatal(page, err)
			}
			databases, token = append(databases, page...), next
		}
		for token, first := "", true; first || token != ""; first = false {
			page, next, err := ts.Tables(t.Context(), "m", "", limit, token)
			if err != nil || len(page) > limit {
				t.Fatal(page, err)
			}
			names, token = append(names, page...), next
		}
		if diff := cmp.Diff([]string{"m", "a", "z"}, databases); diff != "" {
			t.Errorf("databases by %d (-want +got):\n%s", limit, diff)
		}
		if diff := cmp.Diff([]string{"a", "a-b", "a.b", "default", "zoo"}, names); diff != "" {
			t.Errorf("tables by %d (-want +got):\n%s", limit, diff)
		}
	}
}

func TestConditions(t *testing.T) {
	t.Parallel()
	ts, _ := open(t)
	at := tables.Table{Namespace: "acme"}
	none := int64(0)
	create := func(key string) error {
		_, err := ts.Batch(t.Context(), at, []tables.Op{{Kind: tables.Put, Record: tables.Record{Key: key}, If: &none}})
		return err
	}
	if err := create("a"); err != nil {
		t.Fatal(err)
	}
	if err := create("a"); !errors.Is(err, store.ErrConflict) {
		t.Errorf("create what is there: %v, want %v", err, store.ErrConflict)
	}
	rec, err := ts.Get(t.Context(), at, "a")
	if err != nil {
		t.Fatal(err)
	}
	later := rec.Revision + 1
	if _, err := ts.Delete(t.Context(), at, "a", &later); !errors.Is(err, store.ErrConflict) {
		t.Errorf("delete another revision: %v, want %v", err, store.ErrConflict)
	}
	// One condition that does not hold undoes everything.
	_, err = ts.Batch(t.Context(), at, []tables.Op{
		{Kind: tables.Put, Record: tables.Record{Key: "b"}},
		{Kind: tables.Delete, Record: tables.Record{Key: "a"}},
		{Kind: tables.Check, Record: tables.Record{Key: "c"}, If: &later},
	})
	if !errors.Is(err, store.ErrConflict) {
		t.Errorf("a batch: %v, want %v", err, store.ErrConflict)
	}
	if got, _ := keys(t, ts, at, tables.Selection{}, 10); !slices.Equal(got, []string{"a"}) {
		t.Errorf("after it there are %v", got)
	}
	if found, err := ts.Delete(t.Context(), at, "a", &rec.Revision); !found || err != nil {
		t.Errorf("Delete: %v, %v", found, err)
	}
	if found, err := ts.Delete(t.Context(), at, "a", nil); found || err != nil {
		t.Errorf("Delete again: %v, %v", found, err)
	}
	if err := create("a"); err != nil {
		t.Errorf("create again: %v", err)
	}
}

// What expires is gone for readers and for watchers, who see nothing of others.
func TestExpiryAndWatch(t *testing.T) {
	t.Parallel()
	ts, _ := open(t)
	at := tables.Table{Namespace: "acme", Name: "sessions"}
	write(t, ts, at, "other", "")
	write(t, ts, tables.Table{Namespace: "acme", Name: "sessions.2"}, "s/1", "")
	_, err := ts.Batch(t.Context(), at, []tables.Op{{Kind: tables.Put, Record: tables.Record{Key: "s/1", Value: []byte("x")}, Expiry: 50 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var got []string
	for c, err := range ts.Watch(ctx, at, "s/", 0) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(c.Kind, c.Record.Key, string(c.Record.Value)))
		if c.Kind == store.KindDelete {
			break
		}
	}
	want := []string{fmt.Sprint(store.KindPut, "s/1", "x"), fmt.Sprint(store.Synced, "", ""), fmt.Sprint(store.KindDelete, "s/1", "")}
	slices.Sort(got[:len(got)-1]) // it may expire before all was shown
	slices.Sort(want[:len(want)-1])
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the watch (-want +got):\n%s", diff)
	}
	if _, err := ts.Get(t.Context(), at, "s/1"); !errors.Is(err, tables.ErrNotFound) {
		t.Errorf("Get: %v, want %v", err, tables.ErrNotFound)
	}
}
