package deploy_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/micro/micro/v3/backend/deploy"
	"github.com/micro/micro/v3/backend/store"
)

// settle lets what was changed take effect.
func (w *world) settle() { w.pass(5 * time.Second) }

// TestHistory changes a service in every way, and looks at what is kept of that.
func TestHistory(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		w.apply("a", 1)
		w.settle()
		w.apply("b", 2)
		w.settle()
		w.scale(3)
		w.settle()
		w.restart()
		w.settle()
		w.rollback(0)
		w.settle()
		if c := w.scale(3); c != nil {
			t.Errorf("as many as there are: got the change %v", c)
		}
		if c := w.rollback(4); c != nil {
			t.Errorf("to the current release: got the change %v", c)
		}
		got, undoable, err := w.d.Changes(w.Context(), ns, "shop")
		if err != nil {
			t.Fatal(err)
		}
		state := func(release int64, instances int) *deploy.State {
			return &deploy.State{Release: release, Instances: instances}
		}
		want := []deploy.Change{
			{Number: 5, By: "bob", Action: deploy.Rollback, Before: state(3, 3), After: state(4, 3)},
			{Number: 4, By: "bob", Action: deploy.Restart, Before: state(2, 3), After: state(3, 3)},
			{Number: 3, By: "bob", Action: deploy.Scale, Before: state(2, 2), After: state(2, 3)},
			{Number: 2, By: "alice", Action: deploy.Update, Before: state(1, 1), After: state(2, 2)},
			{Number: 1, By: "alice", Action: deploy.Run, After: state(1, 1)},
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreTypes(time.Time{})); diff != "" {
			t.Errorf("the changes (-want +got):\n%s", diff)
		}
		if undoable == nil || undoable.Number != 5 {
			t.Errorf("what can be undone is %v", undoable)
		}
		releases, err := w.d.Releases(w.Context(), ns, "shop")
		if err != nil {
			t.Fatal(err)
		}
		wantReleases := []deploy.Release{
			{Number: 4, Spec: deploy.Spec{Image: "a"}, By: "bob", Action: deploy.Rollback, Of: 1},
			{Number: 3, Spec: deploy.Spec{Image: "b"}, By: "bob", Action: deploy.Restart, Of: 2},
			{Number: 2, Spec: deploy.Spec{Image: "b"}, By: "alice", Action: deploy.Update},
			{Number: 1, Spec: deploy.Spec{Image: "a"}, By: "alice", Action: deploy.Run},
		}
		if diff := cmp.Diff(wantReleases, releases, cmpopts.IgnoreTypes(time.Time{})); diff != "" {
			t.Errorf("the releases (-want +got):\n%s", diff)
		}
		for _, r := range releases {
			if r.Served.IsZero() || r.Served.Before(r.At) {
				t.Errorf("release %d of %s served at %s", r.Number, r.At, r.Served)
			}
		}
	})
}

func TestUndo(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		check := func(what string, undone int64, image string, instances int) {
			t.Helper()
			if got := w.undo().Number; got != undone {
				t.Errorf("%s: change %d was taken back, want %d", what, got, undone)
			}
			w.settle()
			s := w.status()
			if s.Release.Spec.Image != image || s.Wanted != instances || s.Phase != deploy.Running {
				t.Errorf("%s: %d of %s, %s, want %d of %s", what, s.Wanted, s.Release.Spec.Image, s.Phase, instances, image)
			}
			if got := w.dir.called("shop"); !slices.Equal(got, releases(instances, s.Release.Number)) {
				t.Errorf("%s: called are %v", what, got)
			}
		}
		w.apply("a", 1) // change 1
		w.settle()
		w.apply("b", 1) // 2
		w.settle()
		check("an update", 2, "a", 1)             // 3
		check("the undo of an update", 3, "b", 1) // 4
		w.scale(4)                                // 5
		w.settle()
		before := w.sim.ids()
		check("a scale", 5, "b", 1) // 6
		if after := w.sim.ids(); !slices.Contains(before, after[0]) {
			t.Error("to undo a scale has started instances")
		}
		check("the undo of a scale", 6, "b", 4) // 7
		w.restart()                             // 8
		w.settle()
		before = w.sim.ids()
		check("a scale with a restart after it", 7, "b", 1) // 9
		if after := w.sim.ids(); !slices.Contains(before, after[0]) {
			t.Error("to undo a scale has taken back the restart")
		}
		w.rollback(1) // 10
		w.settle()
		check("a rollback", 10, "b", 1) // 11
		w.delete()                      // 12
		check("a kill that is under way", 12, "b", 1)
		w.delete() // 14
		w.settle()
		w.wantGone()
		check("a kill", 14, "b", 1)
		if _, _, err := w.d.Undo(w.Context(), ns, "shop", 3, ""); !errors.Is(err, store.ErrConflict) {
			t.Errorf("the undo of another change: %v", err)
		}
		if _, _, err := w.d.Undo(w.Context(), ns, "nothing", 0, ""); !errors.Is(err, deploy.ErrNotFound) {
			t.Errorf("the undo of nothing: %v", err)
		}
	})
}

// TestUndoOfTheFirst makes a service not be there, and be there again.
func TestUndoOfTheFirst(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		w.apply("a", 2)
		w.settle()
		w.undo()
		w.settle()
		w.wantGone()
		w.undo()
		w.settle()
		w.want("again", deploy.Running, releases(2, 2), releases(2, 2))
	})
}

// TestUndoOfWhatNeverServed goes back to what serves without starting it again.
func TestUndoOfWhatNeverServed(t *testing.T) {
	t.Parallel()
	for name, back := range map[string]func(*world){
		"undo":           func(w *world) { w.undo() },
		"rollback":       func(w *world) { w.rollback(0) },
		"rollback to it": func(w *world) { w.rollback(1) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(w *world) {
				w.apply("a", 2)
				w.settle()
				before := w.sim.ids()
				w.sim.behave("b", behaviour{sick: true})
				w.apply("b", 2)
				w.settle()
				back(w)
				w.settle()
				w.want(name, deploy.Running, releases(2, 1), releases(2, 1))
				if got := w.sim.ids(); !slices.Equal(got, before) {
					t.Errorf("%v run, and %v did", got, before)
				}
				if r := w.apply("c", 1); r.Number != 3 {
					t.Errorf("the next release is %d, want 3", r.Number)
				}
			})
		})
	}
}

// expires fails unless all that is kept of services expires after a time, to the minute;
// 0: never.
func (w *world) expires(want time.Duration) {
	w.Helper()
	for r, err := range w.store.Range(w.Context(), store.Prefix(ns+"/deploy/")) {
		if err != nil {
			w.Fatal(err)
		}
		if got := time.Until(r.Expires); want == 0 && !r.Expires.IsZero() || want != 0 && (got > want || got < want-time.Minute) {
			w.Errorf("%s expires %s, want in %s", r.Key, r.Expires, want)
		}
	}
}

// TestKilledIsForgotten has what is kept of a service expire, unless it comes back.
func TestKilledIsForgotten(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		w.apply("a", 1)
		w.settle()
		w.expires(0)
		w.delete()
		w.settle()
		if all, err := w.d.Releases(w.Context(), ns, "shop"); err != nil || len(all) != 1 {
			t.Errorf("the releases: %v %v", all, err)
		}
		if all, _, err := w.d.Changes(w.Context(), ns, "shop"); err != nil || len(all) != 2 {
			t.Errorf("the changes: %v %v", all, err)
		}
		if err := w.d.Journal(w.Context(), ns, "shop", 0, false, nil); !errors.Is(err, deploy.ErrNotFound) {
			t.Errorf("the journal: %v", err)
		}
		if all, err := w.d.Services(w.Context(), ns); err != nil || len(all) != 0 {
			t.Errorf("the services: %v %v", all, err)
		}
		w.expires(deploy.KeptKilled)
		w.undo()
		w.settle()
		w.expires(0)
		w.want("after the undo", deploy.Running, releases(1, 2), releases(1, 2))
	})
}

// That a service was killed may be told when it is gone already. What is told then is
// written at once, for as long as the rest is kept, so that a service applied again goes
// on with the next number.
func TestToldWhenGone(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		w.apply("a", 1)
		w.settle()
		w.delete()
		w.settle()
		w.d.NoteLate(ns, "shop", &deploy.Change{Action: deploy.Kill})
		w.settle()
		w.expires(deploy.KeptKilled)
		w.apply("a", 1)
		w.pass(time.Minute)
		before := w.journal()
		w.shut()
		w.open()
		w.pass(time.Second)
		if after := w.journal(); !strings.HasPrefix(after, before) {
			t.Errorf("what was told is not all there after a restart (-before +after):\n%s", cmp.Diff(before, after))
		}
	})
}

func TestRollbackErrors(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		w.apply("a", 1)
		w.settle()
		for _, test := range []struct {
			name   string
			number int64
			want   error
			says   string
		}{
			{"shop", 0, deploy.ErrState, "no release before 1 is kept that differs"},
			{"shop", 2, deploy.ErrState, "there is no release 2 any more, or yet"},
			{"shop", -1, deploy.ErrInvalid, "-1 is no release"},
			{"nothing", 0, deploy.ErrNotFound, ""},
		} {
			_, err := w.d.Rollback(w.Context(), ns, test.name, test.number, "")
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("to %d of %s: %v, want %v with %q", test.number, test.name, err, test.want, test.says)
			}
		}
		for _, n := range []int{0, -1, deploy.MaxInstances + 1} {
			if _, err := w.d.Scale(w.Context(), ns, "shop", n, ""); !errors.Is(err, deploy.ErrInvalid) {
				t.Errorf("Scale to %d: %v", n, err)
			}
		}
		for what, err := range map[string]error{
			"Scale":    second(w.d.Scale(w.Context(), ns, "nothing", 1, "")),
			"Restart":  second(w.d.Restart(w.Context(), ns, "nothing", "")),
			"Delete":   second(w.d.Delete(w.Context(), ns, "nothing", "")),
			"Releases": second(w.d.Releases(w.Context(), ns, "nothing")),
		} {
			if !errors.Is(err, deploy.ErrNotFound) {
				t.Errorf("%s of nothing: %v", what, err)
			}
		}
	})
}

func second[T any](_ T, err error) error { return err }

// TestScaleInAnUpdate changes how many there should be while a release does not come up.
func TestScaleInAnUpdate(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		w.apply("a", 2)
		w.settle()
		w.sim.behave("b", behaviour{sick: true})
		w.apply("b", 2)
		w.pass(time.Second)
		w.scale(4)
		w.pass(time.Second)
		w.want("the old release is scaled", deploy.Starting, releases(4, 1), []int64{1, 1, 1, 1, 2})
		w.scale(1)
		w.pass(time.Second)
		w.want("and back", deploy.Starting, releases(1, 1), []int64{1, 2})
		w.sim.behave("b", behaviour{})
		w.pass(time.Second)
		w.want("the new one", deploy.Running, releases(1, 2), releases(1, 2))
		w.scale(3)
		w.pass(time.Second)
		w.want("is scaled", deploy.Running, releases(3, 2), releases(3, 2))
	})
}
