package embedded_test

import (
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	engine "github.com/micro/micro/v3/backend/embedded"
	"github.com/micro/micro/v3/backend/store"
	"github.com/micro/micro/v3/backend/store/embedded"
	"github.com/micro/micro/v3/backend/store/storetest"
)

// opened is a store that takes its database along when it is closed.
type opened struct {
	*embedded.Store
	db     *engine.DB
	closed bool
}

func (o *opened) Close() error {
	if o.closed {
		return nil
	}
	o.closed = true
	if err := o.Store.Close(); err != nil {
		return err
	}
	return o.db.Close()
}

func open(tb testing.TB, dir string, eo engine.Options, so embedded.Options) *opened {
	tb.Helper()
	db, err := engine.Open(tb.Context(), dir, eo)
	if err != nil {
		tb.Fatal(err)
	}
	s, err := embedded.Open(tb.Context(), db, so)
	if err != nil {
		tb.Fatal(err)
	}
	o := &opened{Store: s, db: db}
	tb.Cleanup(func() {
		if err := o.Close(); err != nil {
			tb.Error(err)
		}
	})
	return o
}

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Test(t, func(t *testing.T) store.Store {
		t.Helper()
		return open(t, "data", engine.Options{FS: vfs.NewMem()}, embedded.Options{})
	})
}

func TestDurable(t *testing.T) {
	t.Parallel()
	storetest.TestDurable(t, func(t *testing.T) func(*testing.T) store.Store {
		t.Helper()
		dir := t.TempDir()
		return func(t *testing.T) store.Store {
			t.Helper()
			return open(t, dir, engine.Options{}, embedded.Options{})
		}
	})
}

func TestCheckpoint(t *testing.T) {
	t.Parallel()
	storetest.TestCheckpoint(t, func(t *testing.T, dir string) store.Store {
		t.Helper()
		return open(t, dir, engine.Options{MemTable: 64 << 10}, embedded.Options{})
	})
}

// What is open for reading only shows what is there, and nothing in it changes.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	if _, err := engine.Open(t.Context(), "data", engine.Options{FS: fs, ReadOnly: true}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what is not there: %v, want %v", err, os.ErrNotExist)
	}
	s := open(t, "data", engine.Options{FS: fs}, embedded.Options{})
	ops := []store.Op{store.Put("a", []byte("1")), {Kind: store.KindPut, Key: "b", TTL: time.Millisecond}}
	if _, err := s.Txn(t.Context(), store.Txn{Do: ops}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	before := files(t, fs)
	s = open(t, "data", engine.Options{FS: fs, ReadOnly: true}, embedded.Options{ReadOnly: true})
	if rec, err := s.Get(t.Context(), "a"); err != nil || string(rec.Value) != "1" {
		t.Errorf("got %q, %v", rec.Value, err)
	}
	if _, err := s.Txn(t.Context(), store.Txn{If: []store.Cond{{Key: "none"}}}); err != nil {
		t.Errorf("a check: %v", err)
	}
	if _, err := s.Txn(t.Context(), store.Txn{Do: []store.Op{store.Put("c", nil)}}); err == nil {
		t.Error("a put was made")
	}
	if _, err := engine.Open(t.Context(), "data", engine.Options{FS: fs}); !errors.Is(err, engine.ErrInUse) {
		t.Errorf("open meanwhile: %v, want %v", err, engine.ErrInUse)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, files(t, fs)); diff != "" {
		t.Errorf("files before (-) and after (+):\n%s", diff)
	}
}

// files returns what is in the files of a database.
func files(t *testing.T, fs vfs.FS) map[string]string {
	t.Helper()
	names, err := fs.List("data")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, name := range names {
		f, err := fs.Open("data/" + name)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(f)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		all[name] = string(b)
	}
	return all
}
