package config

import (
	"context"
	"errors"
	"iter"
	"maps"
)

// Watch yields the value at a path as it is, and then as it is after each revision
// that changed it, in order and without a gap, until the loop ends. A value that is
// not there has no JSON.
//
// With from it yields first each change since that revision instead; when these are
// not kept any more, or the configuration never came to it, it begins with the value
// as it is. A consumer that falls behind by more than is kept sees the value as
// it is then. Both are a reset, and the value says so.
//
// An error is yielded last: ctx's when it ended, [store.ErrClosed] after Close.
func (c *Config) Watch(ctx context.Context, ns, path string, from *int64, show Show) iter.Seq2[Value, error] {
	return func(yield func(Value, error) bool) {
		p, err := parsePath(path)
		if err != nil {
			yield(Value{}, err)
			return
		}
		w := watch{c: c, ns: ns, path: p, show: show, from: from, yield: yield}
		if err := w.run(ctx); err != nil {
			yield(Value{}, err)
		}
	}
}

// watch is a watch of one path.
type watch struct {
	c     *Config
	ns    string
	path  path
	show  Show
	from  *int64 // the revision to go on after; nil: from what is there
	yield func(Value, error) bool

	at  int64  // the revision that has been shown
	all leaves // as of it; nil: nothing has been shown
}

// errDone: the consumer wants no more.
var errDone = errors.New("done")

func (w *watch) run(ctx context.Context) error {
	for {
		_, view, err := w.c.current(ctx, w.ns)
		if err != nil {
			return err
		}
		changed := view.Changed() // before it is read, so that no change is missed
		d, _ := view.Get("")
		if err := w.catchUp(ctx, d); errors.Is(err, errDone) {
			return nil
		} else if err != nil {
			return err
		}
		select {
		case <-changed:
		case <-view.Done():
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// catchUp shows what has been changed up to d.
func (w *watch) catchUp(ctx context.Context, d document) error {
	if w.all == nil && w.from != nil {
		then, err := w.c.at(ctx, w.ns, d, *w.from)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		w.at, w.all = *w.from, then
	}
	if w.all == nil {
		return w.reset(d)
	}
	if w.at >= d.Revision {
		return nil
	}
	since, err := w.c.recent(ctx, w.ns, w.at, d.Revision)
	if errors.Is(err, ErrNotFound) {
		return w.reset(d)
	}
	if err != nil {
		return err
	}
	for _, e := range since {
		e.redo(w.all)
		w.at = e.Revision
		if e.touches(w.path.String()) {
			if err := w.send(false); err != nil {
				return err
			}
		}
	}
	return nil
}

// reset shows the value as it is.
func (w *watch) reset(d document) error {
	missing := w.all != nil || w.from != nil
	w.at, w.all = d.Revision, leaves{}
	maps.Copy(w.all, d.Leaves)
	return w.send(missing)
}

// send shows the value at the path; missing says that there is more between it and what
// was shown before.
func (w *watch) send(missing bool) error {
	v, err := w.c.value(w.ns, w.all, w.path, w.show)
	if err != nil {
		return err
	}
	v.Revision, v.Reset = w.at, missing
	if !w.yield(v, nil) {
		return errDone
	}
	return nil
}
