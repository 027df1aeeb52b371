package deploy_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/micro/micro/v3/backend/deploy"
	"github.com/micro/micro/v3/backend/runtime"
)

// seeds calls f with seeds: a few, many in a soak, or the one of MICRO_SEED.
func seeds(t *testing.T, few, many uint64, f func(t *testing.T, seed uint64)) {
	t.Helper()
	first, runs := uint64(1), few
	if s := os.Getenv("MICRO_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("MICRO_SEED: %v", err)
		}
		first, runs = n, 1
	} else if os.Getenv("MICRO_SOAK") != "" {
		runs = many
	}
	for seed := first; seed < first+runs; seed++ {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			f(t, seed)
		})
	}
}

// TestAgainstModel makes random operations while runtime, directory, configuration and
// server fail in every way. When these are over, what runs is what the model says.
func TestAgainstModel(t *testing.T) {
	t.Parallel()
	seeds(t, 12, 500, func(t *testing.T, seed uint64) { //nolint:thelper // it is the test
		inWorld(t, func(w *world) {
			r := &random{world: w, rnd: rand.New(rand.NewPCG(seed, 0))}
			r.run(60)
			r.check()
		})
	})
}

// TestModelCanFail shows that the check finds what is not as it should be.
func TestModelCanFail(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		r := &random{world: w, rnd: rand.New(rand.NewPCG(1, 0))}
		r.apply()
		if got := r.differs(); got == "" {
			t.Error("nothing runs yet, and the model is content")
		}
		w.pass(time.Minute)
		r.calm()
		w.pass(20 * time.Minute)
		if got := r.differs(); got != "" {
			t.Error(got)
		}
		r.now.instances++
		if got := r.differs(); got == "" {
			t.Error("there is an instance too few, and the model is content")
		}
		r.now.instances--
		r.now.image += "x"
		if got := r.differs(); got == "" {
			t.Error("another image runs, and the model is content")
		}
	})
}

// wish is what should run, as the model sees it.
type wish struct {
	there     bool
	image     string
	env       string // the path of the configuration that its environment refers to
	instances int
}

// random makes random operations, and keeps a model of what they ask for. The server
// itself may go back to what served before when a release does not come up; then the
// model takes over what that was.
type random struct {
	*world
	rnd *rand.Rand

	now     wish
	changes []step         // those that can be undone, the newest last
	wishes  map[int64]wish // by release: its image and env
	last    int64          // the number of the newest change that the model knows
}

// step is a change as the model keeps it.
type step struct{ before, after wish }

var errModel = errors.New("told to fail")

func (r *random) images() []string { return []string{"a", "b", "c"} }

func (r *random) maybe() error {
	if r.rnd.IntN(3) == 0 {
		return errModel
	}
	return nil
}

func (r *random) run(steps int) {
	moods := []behaviour{
		{},
		{},
		{},
		{ready: time.Second},
		{exits: time.Second},
		{sick: true},
		{unready: true},
		{hangs: true},
		{startErr: errModel},
		{startErr: errModel, lies: true},
		{startErr: runtime.ErrImage},
		{slow: time.Second},
		{slow: time.Hour},
		{stubborn: 2 * time.Second},
		{exits: 30 * time.Second},
	}
	for range steps {
		switch r.rnd.IntN(13) {
		case 0, 1:
			r.apply()
		case 2:
			r.kill()
		case 3:
			r.scaleTo(1 + r.rnd.IntN(4))
		case 4:
			r.again()
		case 5:
			r.goBack()
		case 6:
			r.takeBack()
		case 7:
			r.sim.behave(r.images()[r.rnd.IntN(3)], moods[r.rnd.IntN(len(moods))])
		case 8:
			r.dir.fail(r.maybe(), r.maybe(), r.maybe(), r.maybe())
			r.sim.failStop(r.maybe())
			r.sim.failWatch(r.maybe())
			r.settings.fail(r.maybe())
		case 9:
			if ids := r.sim.ids(); len(ids) > 0 {
				r.sim.exit(ids[r.rnd.IntN(len(ids))], runtime.Exit{Signal: "SIGKILL"})
			}
		case 10:
			r.sim.failWatch(nil)
			r.shut()
			if r.rnd.IntN(2) == 0 { // the machine, and not the server alone
				for _, id := range r.sim.ids() {
					r.sim.exit(id, runtime.Exit{Signal: "SIGKILL"})
				}
			}
			r.open()
		case 11:
			r.settings.set("x", strconv.Itoa(r.rnd.IntN(100)))
		case 12:
			r.sim.setClock(time.Duration(r.rnd.Int64N(int64(4*time.Hour))) - 2*time.Hour)
		}
		r.pass(time.Duration(r.rnd.Int64N(int64(10 * time.Second))))
		r.catchUp()
	}
}

// made keeps a change that was asked for.
func (r *random) made(c *deploy.Change, err error, next wish, undoable bool) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
	if c == nil {
		if next != r.now {
			r.Errorf("nothing was changed from %+v to %+v", r.now, next)
		}
		return
	}
	if undoable {
		r.changes = append(r.changes, step{r.now, next})
	}
	r.now, r.last = next, c.Number
	if r.wishes == nil {
		r.wishes = map[int64]wish{}
	}
	if c.After != nil {
		r.wishes[c.After.Release] = wish{image: next.image, env: next.env}
	}
}

// catchUp takes over what the server has done by itself.
func (r *random) catchUp() {
	s, err := r.d.Service(r.Context(), ns, "shop")
	if err != nil || s.Last.Number == r.last || s.Last.Action != deploy.AutoRollback {
		return
	}
	if s.Last.Number != r.last+1 {
		r.Errorf("change %d follows on %d", s.Last.Number, r.last)
	}
	next := r.now
	old := r.wishes[s.Last.After.Release]
	next.image, next.env = old.image, old.env
	r.made(&s.Last, nil, next, true)
}

func (r *random) apply() {
	r.catchUp()
	next := wish{there: true, image: r.images()[r.rnd.IntN(3)], instances: r.rnd.IntN(5)}
	if r.rnd.IntN(4) == 0 {
		next.env = []string{"x", "y"}[r.rnd.IntN(2)]
	}
	o := deploy.Order{Spec: deploy.Spec{Image: next.image}, Instances: next.instances}
	if next.env != "" {
		o.Spec.Env = map[string]deploy.Value{"A": {Config: next.env}}
	}
	if next.instances == 0 {
		next.instances = 1
		if r.now.there {
			next.instances = r.now.instances
		}
	}
	c, err := r.d.Apply(r.Context(), ns, "shop", o, "alice")
	r.made(c, err, next, true)
}

func (r *random) kill() {
	r.catchUp()
	c, err := r.d.Delete(r.Context(), ns, "shop", "alice")
	if !r.now.there {
		if !errors.Is(err, deploy.ErrNotFound) {
			r.Errorf("Delete of nothing: %v", err)
		}
		return
	}
	r.made(c, err, wish{}, true)
}

func (r *random) scaleTo(n int) {
	r.catchUp()
	c, err := r.d.Scale(r.Context(), ns, "shop", n, "alice")
	if !r.now.there {
		if !errors.Is(err, deploy.ErrNotFound) {
			r.Errorf("Scale of nothing: %v", err)
		}
		return
	}
	next := r.now
	next.instances = n
	r.made(c, err, next, true)
}

func (r *random) again() {
	r.catchUp()
	if !r.now.there {
		return
	}
	c, err := r.d.Restart(r.Context(), ns, "shop", "alice")
	r.made(c, err, r.now, false)
}

func (r *random) goBack() {
	r.catchUp()
	all, err := r.d.Releases(r.Context(), ns, "shop")
	if !r.now.there || err != nil {
		return
	}
	to := all[r.rnd.IntN(len(all))]
	c, err := r.d.Rollback(r.Context(), ns, "shop", to.Number, "alice")
	next := r.now
	next.image, next.env = to.Spec.Image, to.Spec.Env["A"].Config
	r.made(c, err, next, true)
}

func (r *random) takeBack() {
	r.catchUp()
	c, _, err := r.d.Undo(r.Context(), ns, "shop", 0, "alice")
	if len(r.changes) == 0 {
		if err == nil {
			r.Error("Undo of nothing")
		}
		return
	}
	r.made(c, err, r.changes[len(r.changes)-1].undo(r.now), true)
}

// undo returns what now becomes when the step is taken back: what it made different.
func (s step) undo(now wish) wish {
	if !s.before.there || !s.after.there {
		return s.before
	}
	if s.before.image != s.after.image || s.before.env != s.after.env {
		now.image, now.env = s.before.image, s.before.env
	}
	if s.before.instances != s.after.instances {
		now.instances = s.before.instances
	}
	return now
}

// calm ends all failures.
func (r *random) calm() {
	for _, image := range r.images() {
		r.sim.behave(image, behaviour{})
	}
	r.dir.fail(nil, nil, nil, nil)
	r.sim.failStop(nil)
	r.sim.failWatch(nil)
	r.settings.fail(nil)
	r.settings.set("x", "1")
	r.settings.set("y", "2")
}

// differs says what is not as the model has it; empty: nothing.
func (r *random) differs() string {
	s, err := r.d.Service(r.Context(), ns, "shop")
	if !r.now.there {
		if !errors.Is(err, deploy.ErrNotFound) {
			return fmt.Sprintf("it is there, and should not: %v", err)
		}
		if n := len(r.sim.running("shop")); n > 0 {
			return fmt.Sprintf("%d instances run, and none should", n)
		}
		return ""
	}
	got := wish{there: true, image: s.Release.Spec.Image, env: s.Release.Spec.Env["A"].Config, instances: s.Wanted}
	all := releases(r.now.instances, s.Release.Number)
	switch {
	case err != nil:
		return err.Error()
	case got != r.now:
		return fmt.Sprintf("there is %+v, want %+v", got, r.now)
	case s.Phase != deploy.Running || s.Serving != s.Release.Number:
		return fmt.Sprintf("it is %s (%s), release %d serves", s.Phase, s.Reason, s.Serving)
	case !slices.Equal(r.dir.called("shop"), all):
		return fmt.Sprintf("called are %v, want %v", r.dir.called("shop"), all)
	case !slices.Equal(r.sim.running("shop"), all):
		return fmt.Sprintf("there run %v, want %v", r.sim.running("shop"), all)
	}
	for _, env := range r.sim.envs() {
		if want := r.settings.values[got.env]; env["A"] != want && got.env == "y" {
			return fmt.Sprintf("an instance has %q of the configuration, want %q", env["A"], want)
		}
	}
	return ""
}

// check lets all failures end, and then looks whether it is as the model has it.
func (r *random) check() {
	r.Helper()
	r.calm()
	r.pass(20 * time.Minute)
	r.catchUp()
	if got := r.differs(); got != "" {
		r.Errorf("%s; its journal:\n%s", got, cmp.Or(r.journalIfAny(), "none"))
	}
	r.checkHistory()
	if r.now.there {
		r.delete()
		r.pass(time.Minute)
	}
	r.wantGone()
}

func (r *random) journalIfAny() string {
	if _, err := r.d.Service(r.Context(), ns, "shop"); err != nil {
		return ""
	}
	return r.journal()
}

// checkHistory holds what is kept of changes and releases to what must be true of them.
func (r *random) checkHistory() {
	r.Helper()
	changes, _, err := r.d.Changes(r.Context(), ns, "shop")
	if errors.Is(err, deploy.ErrNotFound) {
		return
	}
	if err != nil {
		r.Fatal(err)
	}
	for i, c := range changes[1:] {
		newer := changes[i]
		if newer.Number != c.Number+1 {
			r.Errorf("change %d follows on %d", newer.Number, c.Number)
		}
		if before, after := fmt.Sprint(deref(newer.Before)), fmt.Sprint(deref(c.After)); before != after {
			r.Errorf("change %d left %s, and %d found %s", c.Number, after, newer.Number, before)
		}
	}
	all, err := r.d.Releases(r.Context(), ns, "shop")
	if err != nil {
		r.Fatal(err)
	}
	kept := map[int64]bool{}
	for i, rel := range all {
		kept[rel.Number] = true
		if i > 0 && rel.Number >= all[i-1].Number {
			r.Errorf("release %d comes after %d", rel.Number, all[i-1].Number)
		}
	}
	if s := changes[0].After; s != nil && !kept[s.Release] {
		r.Errorf("the current release %d is not kept", s.Release)
	}
	if len(all) > deploy.KeptReleases+3 {
		r.Errorf("%d releases are kept", len(all))
	}
}

func deref(s *deploy.State) deploy.State {
	if s == nil {
		return deploy.State{}
	}
	return *s
}

// TestDiesAtEveryStep lets the server die before and after each thing that it does to
// the world, one after the other, in a story of a service. A new one goes on from there.
func TestDiesAtEveryStep(t *testing.T) {
	t.Parallel()
	story := []func(w *world, c context.Context) error{
		func(w *world, c context.Context) error {
			return second(w.d.Apply(c, ns, "shop", deploy.Order{Spec: deploy.Spec{Image: "a"}, Instances: 2}, ""))
		},
		func(w *world, c context.Context) error {
			return second(w.d.Apply(c, ns, "shop", deploy.Order{Spec: deploy.Spec{Image: "b"}}, ""))
		},
		func(w *world, c context.Context) error { return second(w.d.Scale(c, ns, "shop", 3, "")) },
		func(w *world, c context.Context) error {
			return second(w.d.Apply(c, ns, "shop", deploy.Order{Spec: deploy.Spec{Image: "bad"}}, ""))
		},
		func(w *world, c context.Context) error { return second(w.d.Restart(c, ns, "shop", "")) },
		func(w *world, c context.Context) error { return second(w.d.Rollback(c, ns, "shop", 1, "")) },
		func(w *world, c context.Context) error { return second(w.d.Delete(c, ns, "shop", "")) },
		func(w *world, c context.Context) error {
			_, _, err := w.d.Undo(c, ns, "shop", 0, "")
			return err
		},
	}
	steps := 0 // that a server takes which does not die
	inWorld(t, func(w *world) { steps = dying(w, story, -1, false) })
	if steps < 60 {
		t.Fatalf("the story has %d steps: what is counted is not what is done", steps)
	}
	every := 5
	if os.Getenv("MICRO_SOAK") != "" {
		every = 1
	}
	for n := 0; n < steps; n += every {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d %t", n, after), func(t *testing.T) {
				t.Parallel()
				inWorld(t, func(w *world) { dying(w, story, n, after) })
			})
		}
	}
}

// dying tells a story to a server that dies at its n-th step, before or after that has
// its effect, and to a new one from there on. It returns how many steps were taken.
func dying(w *world, story []func(*world, context.Context) error, n int, after bool) int {
	w.Helper()
	w.shut()
	w.sim.behave("bad", behaviour{exits: time.Millisecond, sick: true})
	d := &death{at: n, after: after, died: make(chan struct{})}
	w.openMortal(d)
	for i, tell := range story {
		err := tell(w, w.Context())
		if errors.Is(err, errDead) {
			w.reopen(d)
			// Whether it was done is not known: it is asked for again, which must not hurt.
			if err = tell(w, w.Context()); i == 6 && errors.Is(err, deploy.ErrNotFound) || i == 7 {
				err = nil
			}
		}
		if err != nil {
			w.Fatalf("step %d of the story: %v", i+1, err)
		}
		w.pass(20 * time.Second)
		if d.happened() {
			w.reopen(d)
			w.pass(20 * time.Second)
		}
		switch s, err := w.d.Service(w.Context(), ns, "shop"); {
		case i == 6:
			w.wantGone()
		case i == 7: // the undo may have been done twice
		case err != nil:
			w.Fatal(err)
		case s.Phase != deploy.Running || s.Wanted != len(w.dir.called("shop")):
			w.Errorf("after step %d of the story it is %s (%s), and %d of %d instances are called", i+1, s.Phase, s.Reason, len(w.dir.called("shop")), s.Wanted)
		}
	}
	w.pass(time.Minute)
	if s, err := w.d.Service(w.Context(), ns, "shop"); err == nil {
		if s.Phase != deploy.Running || s.Release.Spec.Image != "a" || s.Wanted != 3 {
			w.Errorf("in the end it is %s, %d of %s", s.Phase, s.Wanted, s.Release.Spec.Image)
		}
		if err := second(w.d.Delete(w.Context(), ns, "shop", "")); err != nil && !errors.Is(err, errDead) {
			w.Fatal(err)
		}
	}
	w.pass(20 * time.Second)
	if d.happened() {
		w.reopen(d)
		if err := second(w.d.Delete(w.Context(), ns, "shop", "")); err != nil && !errors.Is(err, deploy.ErrNotFound) {
			w.Fatal(err)
		}
		w.pass(20 * time.Second)
	}
	w.wantGone()
	return d.count()
}

var errDead = errors.New("the server is dead")
