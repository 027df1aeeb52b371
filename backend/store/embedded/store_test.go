package embedded_test

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

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
