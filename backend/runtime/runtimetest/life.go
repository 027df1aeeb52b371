package runtimetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/micro/micro/v3/backend/runtime"
)

// testLife is about the runtime as a whole: many callers, its end, and its next
// life.
func testLife(t *testing.T, open Open) {
	t.Helper()
	t.Run("many callers", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		ctx := within(t)
		var callers sync.WaitGroup
		for caller := range 6 {
			random := rand.New(rand.NewPCG(1, uint64(caller))) //nolint:gosec // a test's
			callers.Go(func() {
				for range 15 {
					if err := f.anything(ctx, random); err != nil {
						t.Errorf("caller %d: %v", caller, err)
					}
				}
			})
		}
		callers.Wait()
		for id := range f.known(t) {
			f.stop(t, id)
			if err := f.Remove(within(t), id); err != nil {
				t.Error(err)
			}
		}
		f.wantNothing(t)
	})

	t.Run("closed", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		f.start(t, f.spec("a", "wait", "out=bye", "exit=0"))
		f.awaitLine(t, "a", "waiting")
		q := query()
		q.Follow = true
		var watchErr, logsErr error
		exited, said := false, false
		ctx := within(t)
		watching, following := make(chan struct{}), make(chan struct{})
		var readers sync.WaitGroup
		readers.Go(func() {
			for event, err := range f.Watch(ctx) {
				if event.Synced {
					close(watching)
				}
				exited = exited || event.Instance.State == runtime.Exited
				watchErr = err
			}
		})
		readers.Go(func() {
			for line, err := range f.Logs(ctx, q) {
				if line.Text == "waiting" {
					close(following)
				}
				said = said || line.Text == "bye"
				logsErr = err
			}
		})
		<-watching
		<-following
		if err := f.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		readers.Wait()
		wantError(t, "running watch", watchErr, runtime.ErrClosed)
		wantError(t, "running logs", logsErr, runtime.ErrClosed)
		// Whether an instance ends with the runtime is the driver's affair.
		if exited != said {
			t.Errorf("the instance has ended: %t; its last line has come: %t", exited, said)
		}

		_, err := f.Start(ctx, f.spec("b"))
		wantError(t, "start", err, runtime.ErrClosed)
		wantError(t, "stop", f.Stop(ctx, "a", 0), runtime.ErrClosed)
		wantError(t, "remove", f.Remove(ctx, "a"), runtime.ErrClosed)
		for _, err := range f.Watch(ctx) {
			wantError(t, "watch", err, runtime.ErrClosed)
		}
		for _, err := range f.Logs(ctx, q) {
			wantError(t, "logs", err, runtime.ErrClosed)
		}
		if err := f.Close(); err != nil {
			t.Errorf("second close: %v", err)
		}
	})

	t.Run("closed during starts", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		var starts sync.WaitGroup
		for i := range 4 {
			starts.Go(func() {
				_, err := f.Start(within(t), f.spec(fmt.Sprint("a", i), "wait"))
				if err != nil && !errors.Is(err, runtime.ErrClosed) {
					t.Errorf("start: %v", err)
				}
			})
		}
		if err := f.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		starts.Wait()
	})

	t.Run("opened again", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		exited := f.run(t, f.spec("ended", "out=one", "exit=3"))
		spec := f.spec("running", "out=two", "wait", "exit=0")
		spec.Release = 4
		f.start(t, spec)
		f.awaitLine(t, "running", "waiting")
		f.run(t, f.spec("removed"))
		if err := f.Remove(within(t), "removed"); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}

		f.Runtime = open(t, f.dir, f.images.Open)
		known := f.known(t)
		if diff := cmp.Diff(exited, known["ended"]); diff != "" {
			t.Errorf("the ended instance (-want +got):\n%s", diff)
		}
		in := known["running"]
		if in.Release != 4 || in.State != runtime.Running && (in.State != runtime.Exited || !in.Exit.Stopped) {
			t.Errorf("the instance that ran is now %+v, want it running or stopped", in)
		}
		if len(known) != 2 {
			t.Errorf("there are %d instances, want 2", len(known))
		}
		if diff := cmp.Diff([]string{"one"}, f.output(t, "ended")); diff != "" {
			t.Errorf("lines of the ended instance (-want +got):\n%s", diff)
		}
		f.run(t, f.spec("ended", "out=again"))
		if diff := cmp.Diff([]string{"one", "again"}, f.output(t, "ended")); diff != "" {
			t.Errorf("lines of both lives (-want +got):\n%s", diff)
		}
		f.stop(t, "running")
		if err := f.Remove(within(t), "running"); err != nil {
			t.Errorf("remove: %v", err)
		}
	})
}

// anything makes a random call, and returns an error that it must not return.
func (f *fixture) anything(ctx context.Context, random *rand.Rand) error {
	id := string(rune('a' + random.IntN(4)))
	switch random.IntN(5) {
	case 0, 1:
		_, err := f.Start(ctx, f.spec(id, "out=x", "spawn=hang", "wait", "exit=0"))
		if err != nil && !errors.Is(err, runtime.ErrRunning) {
			return fmt.Errorf("start: %w", err)
		}
	case 2:
		return f.Stop(ctx, id, time.Duration(random.IntN(100))*time.Millisecond)
	case 3:
		if err := f.Remove(ctx, id); err != nil && !errors.Is(err, runtime.ErrRunning) {
			return err
		}
	case 4:
		q := query()
		q.Tail = random.IntN(20)
		for _, err := range f.Logs(ctx, q) {
			if err != nil {
				return fmt.Errorf("logs: %w", err)
			}
		}
	}
	return nil
}
