package config

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/micro/micro/v3/backend/store"
)

// Condition is on what was changed since somebody read.
type Condition struct {
	// Revision is the one after which nothing at the path or below may have been
	// changed; 0: there may be nothing there.
	Revision int64
}

// SetOptions say how a value is set.
type SetOptions struct {
	By     string // the account that asks for it
	Secret bool   // the value is, or all of its leaves are
	Merge  bool   // leave what is below the path and not in the value as it is
	If     *Condition
}

// Set puts JSON at a path, in place of what was there and below, and returns the
// revision of the configuration, which is the one before when nothing differs. It
// can be read when Set has returned. A leaf that was secret stays so, and keeps its
// value when it is to be [Hidden]. Errors: [ErrInvalid], [ErrNotObject],
// [ErrConflict].
func (c *Config) Set(ctx context.Context, ns, path string, value []byte, o SetOptions) (int64, error) {
	p, err := parsePath(path)
	if err != nil {
		return 0, err
	}
	in, err := flatten(p, value, o.Secret)
	if err != nil {
		return 0, err
	}
	return c.change(ctx, ns, "set", o.By, func(ctx context.Context, d document) (leaves, error) {
		if err := c.holds(ctx, ns, d, p.String(), o.If); err != nil {
			return nil, err
		}
		fresh, next := maps.Clone(in), leaves{}
		for at, l := range d.Leaves {
			switch {
			case o.Merge && !covers(fresh, at):
				next[at] = l
			case !o.Merge && !within(at, p.String()):
				next[at] = l
			}
		}
		for at, i := range fresh {
			if err := c.put(ns, d.Leaves, next, at, i); err != nil {
				return nil, err
			}
		}
		return next, nil
	})
}

// covers reports whether a leaf that is there is below of what is merged in. An
// empty object covers nothing, and is taken out: there is more of it already.
func covers(in map[string]input, at string) bool {
	for above := range ancestors(at) {
		i, ok := in[above]
		if ok && string(i.value) != emptyObject {
			return true
		}
		delete(in, above)
	}
	return false
}

const emptyObject = "{}"

// put sets a leaf in next, which is to follow on before.
func (c *Config) put(ns string, before, next leaves, at string, in input) error {
	if above := next.above(at); above != "" && string(next[above].Value) == emptyObject {
		delete(next, above) // an object that is not empty any more
	} else if above != "" {
		return fmt.Errorf("%q has a value: %w", above, ErrNotObject)
	}
	old, had := before[at]
	secret := in.secret || old.secret() || before[before.above(at)].secret()
	switch hidden := string(in.value) == `"`+Hidden+`"`; {
	case hidden && old.secret():
		next[at] = old
		return nil
	case hidden:
		return invalid("%q stands for a secret, and there is none at %q", Hidden, at)
	case !secret && had && bytes.Equal(old.Value, in.value):
		next[at] = old
		return nil
	case !secret:
		next[at] = leaf{Value: in.value}
		return nil
	case old.secret():
		plain, err := c.open(ns, at, old)
		if err != nil {
			return err
		}
		if bytes.Equal(plain, in.value) {
			next[at] = old
			return nil
		}
	}
	next[at] = leaf{Sealed: c.box.Seal(place(ns, at), in.value)}
	return nil
}

// Delete removes what is at a path, which is not empty, and below, and returns the
// revision of that. [ErrNotFound] when there is nothing.
func (c *Config) Delete(ctx context.Context, ns, path, by string, cond *Condition) (int64, error) {
	p, err := parsePath(path)
	if err != nil {
		return 0, err
	}
	if len(p) == 0 {
		return 0, invalid("a path is missing; to delete all, set the empty path to {}")
	}
	return c.change(ctx, ns, "delete", by, func(ctx context.Context, d document) (leaves, error) {
		if err := c.holds(ctx, ns, d, p.String(), cond); err != nil {
			return nil, err
		}
		next := maps.Clone(d.Leaves)
		maps.DeleteFunc(next, func(at string, _ leaf) bool { return within(at, p.String()) })
		if len(next) == len(d.Leaves) {
			return nil, ErrNotFound
		}
		return next, nil
	})
}

// Rollback makes what is at a path and below what it was at a revision, and returns
// the revision of that. Errors: [ErrNotFound] when the revision is not known any more,
// [ErrConflict].
func (c *Config) Rollback(ctx context.Context, ns, path string, revision int64, by string, cond *Condition) (int64, error) {
	p, err := parsePath(path)
	if err != nil {
		return 0, err
	}
	action := fmt.Sprintf("rollback to %d", revision)
	return c.change(ctx, ns, action, by, func(ctx context.Context, d document) (leaves, error) {
		if err := c.holds(ctx, ns, d, p.String(), cond); err != nil {
			return nil, err
		}
		then, err := c.at(ctx, ns, d, revision)
		if err != nil {
			return nil, err
		}
		next := leaves{}
		for at, l := range d.Leaves {
			if !within(at, p.String()) {
				next[at] = l
			}
		}
		for at, l := range then {
			if !within(at, p.String()) {
				continue
			}
			if above := next.above(at); above != "" {
				return nil, fmt.Errorf("%q has a value: %w", above, ErrNotObject)
			}
			next[at] = l
		}
		return next, nil
	})
}

// holds returns nil when a condition on a path does.
func (c *Config) holds(ctx context.Context, ns string, d document, at string, cond *Condition) error {
	switch {
	case cond == nil:
		return nil
	case cond.Revision < 0:
		return invalid("a condition on the negative revision %d", cond.Revision)
	case cond.Revision == 0:
		for p := range d.Leaves {
			if within(p, at) {
				return fmt.Errorf("there is a value: %w", ErrConflict)
			}
		}
		return nil
	case cond.Revision > d.Revision:
		return fmt.Errorf("revision %d is still to come: %w", cond.Revision, ErrConflict)
	}
	since, err := c.since(ctx, ns, cond.Revision, d.Revision)
	if errors.Is(err, ErrNotFound) {
		return fmt.Errorf("what was changed since revision %d is not known any more: %w", cond.Revision, ErrConflict)
	}
	if err != nil {
		return err
	}
	for _, e := range since {
		if e.touches(at) {
			return fmt.Errorf("revision %d: %w", e.Revision, ErrConflict)
		}
	}
	return nil
}

// turn waits until no other change of a namespace is made here, and returns what ends this
// one.
func (c *Config) turn(ctx context.Context, ns string) (done func(), err error) {
	found, ok := c.writers.Load(ns)
	if !ok {
		found, _ = c.writers.LoadOrStore(ns, make(chan struct{}, 1))
	}
	writer, _ := found.(chan struct{})
	select {
	case writer <- struct{}{}:
		return func() { <-writer }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// change replaces the leaves of a namespace by what next returns, again when another
// server on the same store was faster, and returns the revision of that.
func (c *Config) change(
	ctx context.Context, ns, action, by string, next func(context.Context, document) (leaves, error),
) (int64, error) {
	done, err := c.turn(ctx, ns)
	if err != nil {
		return 0, err
	}
	defer done()
	for {
		d, stored, err := c.load(ctx, ns)
		if err != nil {
			return 0, err
		}
		after, err := next(ctx, d)
		if err != nil {
			return 0, err
		}
		e := entry{Revision: d.Revision + 1, Time: c.now().UTC(), By: by, Action: action, Changes: differences(d.Leaves, after)}
		if len(e.Changes) == 0 {
			return d.Revision, c.shows(ctx, ns, stored)
		}
		for i, ch := range e.Changes {
			if ch.After != nil { // rolled back to, it is of an older revision
				l := after[ch.Path]
				l.Revision = e.Revision
				after[ch.Path] = l
				e.Changes[i].After = &l
			}
		}
		// What got smaller is let through: it may have been too large before.
		if size := after.size(); size > MaxTotal && size > d.Leaves.size() {
			return 0, invalid("the configuration would have %d bytes, and %d are allowed in all", size, MaxTotal)
		}
		t := store.Txn{
			If: []store.Cond{{Key: nowKey(ns), Revision: stored}},
			Do: []store.Op{
				store.Put(nowKey(ns), encode(document{Revision: e.Revision, Leaves: after})),
				store.Put(historyKey(ns, e.Revision), encode(e)),
			},
		}
		if e.Revision > Kept {
			t.Do = append(t.Do, store.Delete(historyKey(ns, e.Revision-Kept)))
		}
		revision, err := c.store.Txn(ctx, t)
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		if err != nil {
			return 0, err
		}
		return e.Revision, c.docs.Wait(ctx, ns, revision)
	}
}

// shows returns when memory has what was stored with a revision of the store.
func (c *Config) shows(ctx context.Context, ns string, stored int64) error {
	if stored == 0 {
		return nil
	}
	return c.docs.Wait(ctx, ns, stored)
}

// load reads the configuration from the store, and its revision there; 0 when there is
// none yet.
func (c *Config) load(ctx context.Context, ns string) (document, int64, error) {
	r, err := c.store.Get(ctx, nowKey(ns))
	if errors.Is(err, store.ErrNotFound) {
		return document{}, 0, nil
	}
	if err != nil {
		return document{}, 0, err
	}
	d, err := decodeDocument(r)
	if err != nil {
		return document{}, 0, fmt.Errorf("%s: %w", r.Key, err)
	}
	return d, r.Revision, nil
}

// differences returns what makes one set of leaves of another, ordered by path.
func differences(before, after leaves) []change {
	var all []change
	for at, b := range before {
		a, ok := after[at]
		switch {
		case !ok:
			all = append(all, change{Path: at, Before: &b})
		case !bytes.Equal(a.Value, b.Value) || !bytes.Equal(a.Sealed, b.Sealed):
			all = append(all, change{Path: at, Before: &b, After: &a})
		}
	}
	for at, a := range after {
		if !before.has(at) {
			all = append(all, change{Path: at, After: &a})
		}
	}
	slices.SortFunc(all, func(a, b change) int { return cmp.Compare(a.Path, b.Path) })
	return all
}
