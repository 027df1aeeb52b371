package embedded_test

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	engine "github.com/micro/micro/v3/backend/embedded"
	"github.com/micro/micro/v3/backend/events/embedded"
	"github.com/micro/micro/v3/backend/events/eventstest"
)

// opened is a log that takes its database along when it is closed.
type opened struct {
	*embedded.Log
	db     *engine.DB
	closed bool
}

func (o *opened) Close() error {
	if err := o.Log.Close(); err != nil || o.closed {
		return err
	}
	o.closed = true
	return o.db.Close()
}

func open(tb testing.TB, dir string, eo engine.Options, so embedded.Options) *opened {
	tb.Helper()
	db, err := engine.Open(tb.Context(), dir, eo)
	if err != nil {
		tb.Fatal(err)
	}
	l, err := embedded.Open(tb.Context(), db, so)
	if err != nil {
		tb.Fatal(err)
	}
	o := &opened{Log: l, db: db}
	tb.Cleanup(func() {
		if err := o.Close(); err != nil {
			tb.Error(err)
		}
	})
	return o
}

func TestLog(t *testing.T) {
	t.Parallel()
	eventstest.Test(t, func(t *testing.T) eventstest.Log {
		t.Helper()
		return open(t, "data", engine.Options{FS: vfs.NewMem()}, embedded.Options{})
	})
}

func TestDurable(t *testing.T) {
	t.Parallel()
	eventstest.TestDurable(t, func(t *testing.T) func(*testing.T) eventstest.Log {
		t.Helper()
		dir := t.TempDir()
		return func(t *testing.T) eventstest.Log {
			t.Helper()
			return open(t, dir, engine.Options{}, embedded.Options{})
		}
	})
}
