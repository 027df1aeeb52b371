package embedded_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	engine "github.com/micro/micro/v3/backend/embedded"
	"github.com/micro/micro/v3/backend/events"
	"github.com/micro/micro/v3/backend/events/embedded"
)

// TestAge has hours pass, and the machine's clock be set back before a restart.
func TestAge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fs, ctx, now := vfs.NewMem(), t.Context(), time.Now()
		begin := func() (*engine.DB, *embedded.Log) {
			db, err := engine.Open(ctx, "data", engine.Options{FS: fs})
			if err != nil {
				t.Fatal(err)
			}
			l, err := embedded.Open(ctx, db, embedded.Options{Now: func() time.Time { return now }})
			if err != nil {
				t.Fatal(err)
			}
			return db, l
		}
		publish := func(l *embedded.Log) {
			t.Helper()
			if _, err := l.Append(ctx, jobs, []events.Event{{}}); err != nil {
				t.Fatal(err)
			}
		}
		kept := func(l *embedded.Log, oldest, next int64) {
			t.Helper()
			synctest.Wait()
			list, err := l.Topics(ctx, "acme", events.List{})
			if err != nil || list[0].Oldest != oldest || list[0].Next != next {
				t.Errorf("%+v, %v, want offsets from %d to before %d", list, err, oldest, next)
			}
		}
		db, l := begin()
		if err := l.SetRetention(ctx, jobs, events.Retention{Age: 2 * time.Hour}); err != nil {
			t.Fatal(err)
		}
		publish(l)
		<-time.After(time.Hour)
		publish(l)
		<-time.After(time.Hour - time.Minute)
		kept(l, 1, 3)
		<-time.After(2 * time.Minute)
		kept(l, 2, 3)
		<-time.After(time.Hour)
		kept(l, 3, 3)
		if err := errors.Join(l.Close(), db.Close()); err != nil {
			t.Fatal(err)
		}

		// The offsets go on, and no event is older than the one before it.
		now = now.Add(-24 * time.Hour)
		db, l = begin()
		publish(l)
		kept(l, 3, 4)
		list, err := l.Read(ctx, jobs, events.Range{})
		if err != nil || len(list) != 1 || list[0].Offset != 3 {
			t.Fatalf("%v, %v", list, err)
		}
		if list[0].Time.Before(time.Now().Add(-4 * time.Hour)) {
			t.Errorf("its time is %v, before that of an earlier event", list[0].Time)
		}
		if err := errors.Join(l.Close(), db.Close()); err != nil {
			t.Fatal(err)
		}
	})
}
