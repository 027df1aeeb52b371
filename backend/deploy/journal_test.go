package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/micro/micro/v3/backend/deploy"
	"github.com/micro/micro/v3/backend/runtime"
	"github.com/micro/micro/v3/backend/store"
)

// entryLine writes an entry without what differs from run to run.
func entryLine(e deploy.Entry) string {
	text := regexp.MustCompile(`sim:\d+|since .*|\bin \d+(\.\d+)?m?s\b`).ReplaceAllString(e.Text, "~")
	if e.Instance != "" {
		return fmt.Sprintf("%s %d @ %s", e.Kind, e.Release, text)
	}
	return fmt.Sprintf("%s %d %s", e.Kind, e.Release, text)
}

// journal returns the journal, a line for each entry.
func (w *world) journal() string {
	w.Helper()
	var lines []string
	err := w.d.Journal(w.Context(), ns, "shop", 0, false, func(entries []deploy.Entry) error {
		for _, e := range entries {
			if want := int64(len(lines) + 1); e.Number != want {
				w.Errorf("entry %d is where %d should be", e.Number, want)
			}
			lines = append(lines, entryLine(e))
		}
		return nil
	})
	if err != nil {
		w.Error(err)
	}
	return strings.Join(lines, "\n") + "\n"
}

func TestJournal(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		w.apply("a", 1)
		w.pass(time.Second)
		w.sim.exit(w.sim.ids()[0], runtime.Exit{Signal: "SIGKILL", OutOfMemory: true})
		w.pass(time.Second)
		w.sim.behave("a", behaviour{sick: true})
		w.pass(15 * time.Second)
		w.sim.behave("a", behaviour{})
		w.pass(5 * time.Second)
		w.scale(2)
		w.pass(time.Second)
		w.scale(1)
		w.pass(time.Second)
		w.sim.behave("b", behaviour{startErr: errSim})
		w.order(deploy.Order{Spec: deploy.Spec{Image: "b"}, Rollout: deploy.Rollout{Failures: 1}})
		w.pass(time.Second)
		want := `changed 1 run by alice: release 1
started 1 @ started on ~
healthy 1 @ healthy and called, 0s after it was started
serving 1 serves with 1 instance
crashed 1 @ ran out of memory; it needs more memory than it may have; it is started again ~
started 1 @ started on ~
healthy 1 @ healthy and called, 0s after it was started
unready 1 @ not called any more: its readiness probe failed 3 times: its health is NOT_SERVING
healthy 1 @ called again: its readiness probe succeeded
changed 1 scale from 1 to 2 instances by bob
started 1 @ started on ~
healthy 1 @ healthy and called, 0s after it was started
changed 1 scale from 2 to 1 instance by bob
retired 1 @ is to end: there should be 1 instance
stopped 1 @ stopped
changed 2 update by alice: release 2
not-started 2 @ cannot be started: told to fail; it is started again ~
given-up 2 given up, release 1 is current again: cannot be started: told to fail (failed 1 times)
retired 2 @ is to end: release 1 is to run
stopped 2 @ stopped
`
		if diff := cmp.Diff(want, w.journal()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}

		// It is there after a restart, and goes on.
		w.shut()
		w.open()
		w.pass(time.Second)
		if diff := cmp.Diff(want+"found 1 @ runs on ~ ~\nhealthy 1 @ healthy and called, 0s after it was found\n", w.journal()); diff != "" {
			t.Errorf("after a restart (-want +got):\n%s", diff)
		}
	})
}

// TestJournalOfACrashLoop has many services crash all the time. What is written of that
// is little, and not often.
func TestJournalOfACrashLoop(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		w.sim.behave("a", behaviour{exits: time.Millisecond, sick: true})
		const services = 50
		for i := range services {
			if _, err := w.d.Apply(w.Context(), ns, fmt.Sprint("s", i), deploy.Order{Spec: deploy.Spec{Image: "a"}}, ""); err != nil {
				t.Fatal(err)
			}
		}
		revisions := func() (newest int64) {
			revision, err := w.store.Txn(w.Context(), store.Txn{})
			if err != nil {
				t.Fatal(err)
			}
			return revision
		}
		w.pass(time.Second)
		before := revisions()
		const minutes = 30
		w.pass(minutes * time.Minute)
		if got, most := revisions()-before, int64(minutes*60/10+1); got > most {
			t.Errorf("%d transactions within %d minutes, want %d at the most", got, minutes, most)
		}
		starts := len(w.sim.startTimes())
		w.shut()
		entries := int64(0)
		for _, err := range w.store.Range(w.Context(), store.Prefix(ns+"/deploy/journal/")) {
			if err != nil {
				t.Fatal(err)
			}
			entries++
		}
		if want := int64(2*starts + services); entries != want { // each start has its end
			t.Errorf("%d entries are kept, want %d", entries, want)
		}
	})
}

func TestJournalIsFollowed(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		if err := w.d.Journal(w.Context(), ns, "shop", 0, true, nil); !errors.Is(err, deploy.ErrNotFound) {
			t.Errorf("of nothing: %v", err)
		}
		w.apply("a", 1)
		w.settle()
		follow := func(slow time.Duration) (lines *[]string, ended chan error) {
			lines, ended = new([]string), make(chan error, 1)
			go func() {
				ended <- w.d.Journal(w.Context(), ns, "shop", 1, true, func(entries []deploy.Entry) error {
					for _, e := range entries {
						*lines = append(*lines, entryLine(e))
					}
					return pass(w.Context(), slow)
				})
			}()
			return lines, ended
		}
		quick, quickEnd := follow(0)
		slow, slowEnd := follow(30 * time.Second)
		w.settle()
		for range 100 {
			w.sim.exit(w.sim.ids()[0], runtime.Exit{Code: 1})
			w.pass(30 * time.Second)
		}
		w.delete()
		w.pass(2 * time.Minute)
		for _, ended := range []chan error{quickEnd, slowEnd} {
			if err := <-ended; !errors.Is(err, deploy.ErrNotFound) {
				t.Errorf("it ended with %v, want %v", err, deploy.ErrNotFound)
			}
		}
		if n := len(*quick); n < 302 || (*quick)[0] != "serving 1 serves with 1 instance" || !strings.HasPrefix((*quick)[n-1], "stopped ") {
			t.Errorf("%d entries, from %s to %s", n, (*quick)[0], (*quick)[n-1])
		}
		if diff := cmp.Diff((*quick)[:300], (*slow)[:300]); diff != "" {
			t.Errorf("one that is slow (-quick +slow):\n%s", diff)
		}

		w.apply("a", 1)
		w.settle()
		if err := w.d.Journal(w.Context(), ns, "shop", 0, true, func([]deploy.Entry) error { return errSim }); !errors.Is(err, errSim) {
			t.Errorf("of somebody who wants no more: %v", err)
		}
		ctx, cancel := context.WithCancel(w.Context())
		go func() { quickEnd <- w.d.Journal(ctx, ns, "shop", 0, true, func([]deploy.Entry) error { return nil }) }()
		synctest.Wait()
		cancel()
		if err := <-quickEnd; !errors.Is(err, context.Canceled) {
			t.Errorf("of somebody who goes: %v", err)
		}
	})
}

// TestJournalWithoutAStore goes on while nothing can be written, and is complete in the
// end.
func TestJournalWithoutAStore(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		w.shut()
		faulty := &faultyStore{Store: w.store}
		c := w.config()
		c.Store = faulty
		d, err := deploy.Open(w.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		w.d = d
		w.apply("a", 1)
		w.settle()
		faulty.fail(errSim)
		for range 20 {
			w.sim.exit(w.sim.ids()[0], runtime.Exit{Code: 1})
			w.pass(30 * time.Second)
		}
		before := w.journal()
		if got := strings.Count(before, "crashed"); got != 20 {
			t.Errorf("%d crashes are told, want 20", got)
		}
		faulty.fail(nil)
		w.pass(time.Minute)
		w.shut()
		w.open()
		if got := w.journal(); !strings.HasPrefix(got, before) {
			t.Errorf("got\n%s\nwant\n%s", got, before)
		}
	})
}
