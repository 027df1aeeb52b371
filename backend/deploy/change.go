package deploy

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/micro/micro/v3/backend/store"
)

// Order says what should run.
type Order struct {
	Spec Spec
	// Instances is how many; 0: as many as now, 1 of a new service.
	Instances int
	Rollout   Rollout
	// Set is the set of files that this comes from; empty: it stays as it is.
	Set string
	// UpdateOnly makes it an error that there is no such service.
	UpdateOnly bool
}

// Apply makes an order what should run, and returns the change that did so; nil when
// nothing differs. The release is a new one only when the spec differs. The error is
// [ErrNotFound] when there is no such service and there must be. Like the other methods
// that change what should run, it does not wait for the effect.
func (d *Deployer) Apply(ctx context.Context, ns, name string, o Order, by string) (*Change, error) {
	for _, err := range []error{o.Spec.check(), o.Rollout.check(), d.config.can(o.Spec)} {
		if err != nil {
			return nil, err
		}
	}
	if o.Instances != 0 {
		if err := checkInstances(o.Instances); err != nil {
			return nil, err
		}
	}
	return d.change(ctx, ns, name, by, func(e *edit) error {
		exists := e.was != nil
		if !exists && o.UpdateOnly {
			return ErrNotFound
		}
		e.Action = Run
		if exists {
			e.Action = Update
		}
		if !exists || !equal(e.rec.Spec, o.Spec) {
			e.make(o.Spec, 0)
		} else if o.Rollout == e.rec.Rollout {
			e.Action = Scale
		}
		switch {
		case o.Instances != 0:
			e.scale(o.Instances)
		case !exists:
			e.scale(1)
		}
		e.rec.Rollout = o.Rollout
		if o.Set != "" && o.Set != e.rec.Set {
			e.rec.Set, e.labelled = o.Set, true
		}
		return nil
	})
}

// can returns an error when the runtime cannot do what a spec asks for.
func (c *Config) can(s Spec) error {
	if c.Exec == nil && s.Probes.useCommands() {
		return invalid("a probe runs a command in the instance, which this server's runtime cannot do")
	}
	return nil
}

// Scale changes how many instances of a service should run. Those that run are left
// alone.
func (d *Deployer) Scale(ctx context.Context, ns, name string, instances int, by string) (*Change, error) {
	if err := checkInstances(instances); err != nil {
		return nil, err
	}
	return d.change(ctx, ns, name, by, func(e *edit) error {
		if e.was == nil {
			return ErrNotFound
		}
		e.Action = Scale
		e.scale(instances)
		return nil
	})
}

// Restart replaces the instances of a service by new ones of the same spec.
func (d *Deployer) Restart(ctx context.Context, ns, name, by string) (*Change, error) {
	return d.change(ctx, ns, name, by, func(e *edit) error {
		if e.was == nil {
			return ErrNotFound
		}
		e.Action = Restart
		e.make(e.rec.Spec, e.rec.Number)
		return nil
	})
}

// Rollback makes the spec of an older release current again; 0 is the one that serves
// while the current one does not, else the newest before the current one that differs
// from it and has served. The error is [ErrState] when there is no such release.
func (d *Deployer) Rollback(ctx context.Context, ns, name string, number int64, by string) (*Change, error) {
	return d.change(ctx, ns, name, by, func(e *edit) error {
		if e.was == nil {
			return ErrNotFound
		}
		e.Action = Rollback
		to, err := e.target(ctx, number)
		if err != nil {
			return err
		}
		e.back(to)
		return nil
	})
}

// target returns the release that a rollback means.
func (e *edit) target(ctx context.Context, number int64) (Release, error) {
	switch {
	case number < 0:
		return Release{}, invalid("%d is no release", number)
	case number > 0:
		return e.release(ctx, number)
	case e.rec.replaces():
		return e.release(ctx, e.rec.Serving)
	}
	all, err := loadAll[Release](ctx, e.store, releasePrefix(e.ns, e.name))
	if err != nil {
		return Release{}, err
	}
	for _, r := range all {
		if r.Number < e.rec.Number && !r.Served.IsZero() && !equal(r.Spec, e.rec.Spec) {
			return r, nil
		}
	}
	return Release{}, cannot("no release before %d is kept that differs from it and was ever healthy", e.rec.Number)
}

// Undo takes back the newest change, but for restarts, and returns it beside the change
// that does so. With ifChange it is [store.ErrConflict] when the newest is another one.
func (d *Deployer) Undo(ctx context.Context, ns, name string, ifChange int64, by string) (did, undone *Change, err error) {
	did, err = d.change(ctx, ns, name, by, func(e *edit) error {
		undone = e.rec.Undoable
		switch {
		case e.rec.Last.Number == 0:
			return ErrNotFound
		case undone == nil:
			return cannot("there is nothing to take back")
		case ifChange != 0 && ifChange != undone.Number:
			return fmt.Errorf("the change to take back is %d and not %d: %w", undone.Number, ifChange, store.ErrConflict)
		}
		e.Action, e.Undoes = Undo, undone.Number
		return e.takeBack(ctx, undone)
	})
	return did, undone, err
}

// Delete makes a service stop for good. It does not wait for that. What is kept of the
// service is forgotten after [KeptKilled].
func (d *Deployer) Delete(ctx context.Context, ns, name, by string) (*Change, error) {
	return d.change(ctx, ns, name, by, func(e *edit) error {
		if e.was == nil {
			return ErrNotFound
		}
		e.Action, e.rec.Deleted = Kill, true
		return nil
	})
}

// change changes what should run as f says, and sees to it that somebody does so.
func (d *Deployer) change(ctx context.Context, ns, name, by string, f func(*edit) error) (*Change, error) {
	c, err := changeRecord(ctx, d.config.Store, ns, name, by, f)
	if err != nil || c == nil {
		return nil, err
	}
	d.with(ns, name, func(r *reconciler) {
		r.note(c)
		r.poke()
	})
	return c, nil
}

// edit is a change that is being made.
type edit struct {
	Change

	ns, name string
	store    store.Store
	rec      *desired // as it will be
	was      *State   // what should have run until now; nil: nothing
	made     bool     // there is a new release
	labelled bool     // the record is to be written even if nothing else differs
}

// changeRecord writes a change of the record of a service, with the release and the
// entry of the history that belong to it, all at once: f makes it, again when somebody
// else was faster. It returns nil when f changes nothing.
func changeRecord(ctx context.Context, s store.Store, ns, name, by string, f func(*edit) error) (*Change, error) {
	for {
		rec, revision, err := loadDesired(ctx, s, ns, name)
		if err != nil {
			return nil, err
		}
		gone := rec.Gone
		e := &edit{ns: ns, name: name, store: s, rec: &rec, was: rec.state()}
		e.Number, e.At, e.By = rec.Last.Number+1, time.Now().UTC(), by
		if err := f(e); err != nil {
			return nil, err
		}
		e.Before, e.After = e.was, rec.state()
		same := reflect.DeepEqual(e.Before, e.After)
		ops := []store.Op{store.Put(serviceKey(ns, name), encode(rec))}
		switch {
		case same && !e.labelled:
			return nil, nil //nolint:nilnil // nothing differs
		case same:
		default:
			rec.Last = e.Change
			if e.Action != Restart {
				rec.Undoable = &e.Change
			}
			if ops, err = e.ops(ctx, gone); err != nil {
				return nil, err
			}
		}
		_, err = s.Txn(ctx, store.Txn{If: []store.Cond{{Key: serviceKey(ns, name), Revision: revision}}, Do: ops})
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		if err != nil || same {
			return nil, err
		}
		return &e.Change, nil
	}
}

// ops returns what is to be written. When the service was gone, what was kept of it is
// kept for good again.
func (e *edit) ops(ctx context.Context, gone bool) ([]store.Op, error) {
	changes, releases := changePrefix(e.ns, e.name), releasePrefix(e.ns, e.name)
	ops := []store.Op{
		store.Put(serviceKey(e.ns, e.name), encode(e.rec)),
		store.Put(numbered(changes, e.Number), encode(e.Change)),
		store.Put(indexKey(e.ns, e.name), nil),
	}
	if e.Number > KeptChanges {
		ops = append(ops, store.Delete(numbered(changes, e.Number-KeptChanges)))
	}
	if e.made {
		ops = append(ops, store.Put(numbered(releases, e.rec.Number), encode(e.rec.Release)))
		dropped, err := e.dropped(ctx)
		if err != nil {
			return nil, err
		}
		for _, key := range dropped {
			ops = append(ops, store.Delete(key))
		}
	}
	if !gone {
		return ops, nil
	}
	kept, err := keep(ctx, e.store, e.ns, e.name, 0)
	if err != nil {
		return nil, err
	}
	// Who was faster may have written a change and a release of these numbers since the
	// record was read; then this one conflicts, and is made again.
	written := map[string]bool{}
	for _, op := range ops {
		written[op.Key] = true
	}
	return append(ops, slices.DeleteFunc(kept, func(op store.Op) bool { return written[op.Key] })...), nil
}

// dropped returns the keys of the releases that are not kept any more.
func (e *edit) dropped(ctx context.Context) ([]string, error) {
	inUse := []int64{e.rec.Number, e.rec.Serving}
	if u := e.rec.Undoable; u != nil && u.Before != nil {
		inUse = append(inUse, u.Before.Release)
	}
	prefix := releasePrefix(e.ns, e.name)
	keys := store.Prefix(prefix)
	keys.KeysOnly = true
	var dropped []string
	for r, err := range e.store.Range(ctx, keys) {
		if err != nil {
			return nil, err
		}
		number, err := strconv.ParseInt(strings.TrimPrefix(r.Key, prefix), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s: not the key of a release", r.Key)
		}
		if number <= e.rec.Newest-KeptReleases && !slices.Contains(inUse, number) {
			dropped = append(dropped, r.Key)
		}
	}
	return dropped, nil
}

// keep returns what makes all that is kept of a service beside its record expire after
// so long; 0: never.
func keep(ctx context.Context, s store.Store, ns, name string, ttl time.Duration) ([]store.Op, error) {
	var ops []store.Op
	for _, prefix := range historyPrefixes(ns, name) {
		for r, err := range s.Range(ctx, store.Prefix(prefix)) {
			if err != nil {
				return nil, err
			}
			op := store.Put(r.Key, r.Value)
			op.TTL = ttl
			ops = append(ops, op)
		}
	}
	return ops, nil
}

// release returns a release that is kept.
func (e *edit) release(ctx context.Context, number int64) (Release, error) {
	rel, err := loadRelease(ctx, e.store, e.ns, e.name, e.rec, number)
	if errors.Is(err, store.ErrNotFound) {
		return Release{}, cannot("there is no release %d any more, or yet", number)
	}
	return rel, err
}

// takeBack makes again what a change has made different, and leaves alone what was
// changed since.
func (e *edit) takeBack(ctx context.Context, c *Change) error {
	if c.Before == nil {
		e.rec.Deleted = true
		return nil
	}
	after := State{}
	if c.After != nil {
		after = *c.After
	}
	if c.Before.Release != after.Release {
		rel, err := e.release(ctx, c.Before.Release)
		if err != nil {
			return err
		}
		e.back(rel)
	}
	if c.Before.Instances != after.Instances {
		e.scale(c.Before.Instances)
	}
	if c.Before.Rollout != after.Rollout {
		e.rec.Rollout = c.Before.Rollout
	}
	return nil
}

// back makes an older release current again. One whose instances serve needs no new one.
func (e *edit) back(to Release) {
	switch {
	case e.was != nil && to.Number == e.rec.Number:
	case e.was != nil && to.Number == e.rec.Serving:
		e.rec.Release = to
	default:
		e.make(to.Spec, to.Number)
	}
}

// make makes a new release and makes it current.
func (e *edit) make(spec Spec, of int64) {
	r := e.rec
	switch {
	case e.was == nil: // what was deleted never serves again
		r.Deleted, r.Gone, r.Serving, r.Olds = false, false, 0, 0
	case r.Serving == r.Number:
		r.Olds = r.Instances
	}
	r.Newest++
	r.Release = Release{Number: r.Newest, Spec: spec, By: e.By, At: e.At, Action: e.Action, Of: of}
	e.made = true
}

// scale sets how many instances there should be, with a new release or of those that
// there are.
func (e *edit) scale(instances int) {
	if !e.made {
		e.rec.Olds = instances
	}
	e.rec.Instances = instances
}
