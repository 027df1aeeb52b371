package embedded_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	engine "github.com/micro/micro/v3/backend/embedded"
	"github.com/micro/micro/v3/backend/events"
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

func open(tb testing.TB, dir string, eo engine.Options) *opened {
	tb.Helper()
	db, err := engine.Open(tb.Context(), dir, eo)
	if err != nil {
		tb.Fatal(err)
	}
	l, err := embedded.Open(tb.Context(), db, embedded.Options{})
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
		return open(t, "data", engine.Options{FS: vfs.NewMem()})
	})
}

func TestDurable(t *testing.T) {
	t.Parallel()
	eventstest.TestDurable(t, func(t *testing.T) func(*testing.T) eventstest.Log {
		t.Helper()
		dir := t.TempDir()
		return func(t *testing.T) eventstest.Log {
			t.Helper()
			return open(t, dir, engine.Options{})
		}
	})
}

// What cannot be handled is put aside also when the namespace has as many topics as it may
// have: else its group would never come to what is behind.
func TestDeadLettersWithManyTopics(t *testing.T) {
	t.Parallel()
	l := open(t, "data", engine.Options{FS: vfs.NewMem()})
	ctx := t.Context()
	topic := func(i int) events.Topic { return events.Topic{Namespace: "acme", Name: fmt.Sprintf("t%d", i)} }
	names := make(chan events.Topic)
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for name := range names {
				if _, err := l.Append(ctx, name, []events.Event{{Payload: []byte("bad")}, {Payload: []byte("good")}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range events.MaxTopics {
		names <- topic(i)
	}
	close(names)
	wg.Wait()
	if _, err := l.Append(ctx, topic(events.MaxTopics), []events.Event{{}}); !errors.Is(err, events.ErrTooMany) {
		t.Errorf("one more topic: %v, want %v", err, events.ErrTooMany)
	}
	workers := events.Group{Topic: topic(0), Name: "workers"}
	f := events.Fetch{MaxDeliveries: 1, Limit: 1}
	list, err := l.Fetch(ctx, workers, f)
	if err != nil || len(list) != 1 {
		t.Fatalf("%d events, %v", len(list), err)
	}
	if err := l.Nack(ctx, workers, []events.Nack{{Delivery: list[0]}}); err != nil {
		t.Fatal(err)
	}
	list, err = l.Fetch(ctx, workers, f)
	if err != nil || len(list) != 1 || string(list[0].Payload) != "good" {
		t.Fatalf("after one that could not be handled: %v, %v", list, err)
	}
}
