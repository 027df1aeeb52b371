package tables_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/micro/micro/v3/backend/store"
	"github.com/micro/micro/v3/backend/tables"
)

// export returns what an export has, without revisions.
func export(t *testing.T, ts *tables.Tables, ns, database, table string) []tables.Entry {
	t.Helper()
	_, entries, err := ts.Export(t.Context(), ns, database, table)
	if err != nil {
		t.Fatal(err)
	}
	var all []tables.Entry
	for e, err := range entries {
		if err != nil {
			t.Fatal(err)
		}
		e.Record.Revision = 0
		all = append(all, e)
	}
	return all
}

// staged returns how many parts of imports lie beside the tables of a namespace.
func staged(t *testing.T, s store.Store, ns string) (n int) {
	t.Helper()
	for _, err := range s.Range(t.Context(), store.Prefix(ns+"/store/import/")) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

func entry(database, table, key, value string) tables.Entry {
	return tables.Entry{Database: database, Table: table, Record: tables.Record{Key: key, Value: []byte(value), Metadata: []byte("m")}}
}

// What one namespace exports another has after the import, in its own database.
func TestTransfer(t *testing.T) {
	t.Parallel()
	ts, s := open(t)
	var want []tables.Entry
	for i := range 2500 {
		want = append(want, entry("", "many", fmt.Sprintf("%05d\x00", i), strconv.Itoa(i)))
	}
	want = append(want, entry("archive", "t", "k", "v"))
	for range 3 { // the later of a key counts
		i := ts.NewImport("acme")
		for _, e := range append([]tables.Entry{entry("", "many", "00000\x00", "old")}, want...) {
			if err := i.Add(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
		if staged(t, s, "acme") == 0 {
			t.Error("nothing lies beside the tables")
		}
		written, expired, err := i.Commit(t.Context())
		if err != nil || written != int64(len(want)+1) || expired != 0 {
			t.Fatalf("Commit: %d, %d, %v", written, expired, err)
		}
	}
	if diff := cmp.Diff(want, export(t, ts, "acme", "", "")); diff != "" {
		t.Errorf("acme (-want +got):\n%s", diff)
	}
	i := ts.NewImport("globex")
	for _, e := range export(t, ts, "acme", "", "") {
		if err := i.Add(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := i.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, export(t, ts, "globex", "", "")); diff != "" {
		t.Errorf("globex (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want[2500:], export(t, ts, "acme", "archive", "")); diff != "" {
		t.Errorf("a database (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want[:2500], export(t, ts, "acme", "", "many")); diff != "" {
		t.Errorf("a table (-want +got):\n%s", diff)
	}
	if n := staged(t, s, "acme") + staged(t, s, "globex"); n != 0 {
		t.Errorf("%d parts are left", n)
	}
}

// Nothing is written before the commit, and what was laid down is removed.
func TestDiscard(t *testing.T) {
	t.Parallel()
	ts, s := open(t)
	i := ts.NewImport("acme")
	for n := range 1500 {
		if err := i.Add(t.Context(), entry("", "", strconv.Itoa(n), "")); err != nil {
			t.Fatal(err)
		}
	}
	if got := export(t, ts, "acme", "", ""); len(got) != 0 || staged(t, s, "acme") == 0 {
		t.Errorf("before the commit there are %d records and %d parts", len(got), staged(t, s, "acme"))
	}
	if err := i.Discard(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := export(t, ts, "acme", "", ""); len(got) != 0 || staged(t, s, "acme") != 0 {
		t.Errorf("afterwards there are %d records and %d parts", len(got), staged(t, s, "acme"))
	}
}

// Records keep the time when they expire; those that have are left out.
func TestImportExpired(t *testing.T) {
	t.Parallel()
	ts, _ := open(t)
	past, future := entry("", "", "past", ""), entry("", "", "future", "")
	past.Record.Expires = time.Now().Add(-time.Second)
	future.Record.Expires = time.Now().Add(time.Hour)
	i := ts.NewImport("acme")
	for _, e := range []tables.Entry{past, future} {
		if err := i.Add(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	written, expired, err := i.Commit(t.Context())
	if written != 1 || expired != 1 || err != nil {
		t.Errorf("Commit: %d, %d, %v, want 1, 1", written, expired, err)
	}
	got, err := ts.Get(t.Context(), tables.Table{Namespace: "acme"}, "future")
	if off := got.Expires.Sub(future.Record.Expires).Abs(); err != nil || off > time.Second {
		t.Errorf("it expires at %v, %v, want %v", got.Expires, err, future.Record.Expires)
	}
}

// failing is a store whose n-th transaction from now on fails.
type failing struct {
	store.Store

	after int
}

var errDisk = errors.New("the disk is on fire")

func (f *failing) Txn(ctx context.Context, t store.Txn) (int64, error) {
	if f.after--; f.after == 0 {
		return 0, errDisk
	}
	return f.Store.Txn(ctx, t)
}

func (f *failing) Range(ctx context.Context, r store.Range) iter.Seq2[store.Record, error] {
	return f.Store.Range(ctx, r)
}

// Whichever write fails: until the first part is written nothing is, from then on the
// error says that something is, and another import makes it whole.
func TestImportFails(t *testing.T) {
	t.Parallel()
	const records, parts = 2500, 3
	for n := 1; n <= 2*parts; n++ {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			t.Parallel()
			ts, s := open(t)
			run := func(ts *tables.Tables) error {
				i := ts.NewImport("acme")
				defer func() {
					if err := i.Discard(t.Context()); err != nil {
						t.Error(err)
					}
				}()
				for k := range records {
					if err := i.Add(t.Context(), entry("", "", fmt.Sprintf("%05d", k), "")); err != nil {
						return err
					}
				}
				_, _, err := i.Commit(t.Context())
				return err
			}
			err := run(tables.New(&failing{Store: s, after: n}))
			if !errors.Is(err, errDisk) {
				t.Fatalf("%v, want %v", err, errDisk)
			}
			got := len(export(t, ts, "acme", "", ""))
			if want := max(0, n-parts-1) * 999; got != want {
				t.Errorf("%d records are there (%v), want %d", got, err, want)
			}
			if err := run(ts); err != nil {
				t.Fatal(err)
			}
			if got := len(export(t, ts, "acme", "", "")); got != records || staged(t, s, "acme") != 0 {
				t.Errorf("after another import there are %d records and %d parts", got, staged(t, s, "acme"))
			}
		})
	}
}

// An export is of one moment, whatever is written while it is read.
func TestExportWhileWriting(t *testing.T) {
	t.Parallel()
	ts, _ := open(t)
	at := tables.Table{Namespace: "acme"}
	for i := range 100 {
		write(t, ts, at, fmt.Sprintf("%03d", i), "old")
	}
	last := write(t, ts, at, "last", "old")
	revision, entries, err := ts.Export(t.Context(), "acme", "", "")
	if err != nil || revision < last {
		t.Fatalf("Export: revision %d, %v, want at least %d", revision, err, last)
	}
	n := 0
	for e, err := range entries {
		if err != nil {
			t.Fatal(err)
		}
		if string(e.Record.Value) != "old" {
			t.Fatalf("%q was written afterwards", e.Record.Key)
		}
		if n == 0 {
			for i := range 100 {
				write(t, ts, at, fmt.Sprintf("%03d", i), "new")
				write(t, ts, at, fmt.Sprintf("%03d.5", i), "new")
			}
		}
		n++
	}
	if n != 101 {
		t.Errorf("%d records, want 101", n)
	}
}
