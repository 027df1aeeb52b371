package config

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/micro/micro/v3/backend/store"
)

// entry is a revision as the history has it.
type entry struct {
	Revision int64     `json:"revision"`
	Time     time.Time `json:"time"`
	By       string    `json:"by"`
	Action   string    `json:"action"`
	Changes  []change  `json:"changes"`
}

// change is what a revision did to a leaf.
type change struct {
	Path   string `json:"path"`
	Before *leaf  `json:"before,omitempty"`
	After  *leaf  `json:"after,omitempty"`
}

// touches reports whether a revision changed something at a path or below.
func (e entry) touches(prefix string) bool {
	return slices.ContainsFunc(e.Changes, func(c change) bool { return within(c.Path, prefix) })
}

// undo takes a revision back, redo makes it again.
func (e entry) undo(all leaves) {
	for _, c := range e.Changes {
		set(all, c.Path, c.Before)
	}
}

func (e entry) redo(all leaves) {
	for _, c := range e.Changes {
		set(all, c.Path, c.After)
	}
}

func set(all leaves, at string, l *leaf) {
	if l == nil {
		delete(all, at)
		return
	}
	all[at] = *l
}

func decodeEntry(r store.Record) (entry, error) {
	var e entry
	if err := json.Unmarshal(r.Value, &e); err != nil {
		return entry{}, fmt.Errorf("%s: %w", r.Key, err)
	}
	return e, nil
}

// since returns the revisions after from up to to, [ErrNotFound] when not all of them
// are kept.
func (c *Config) since(ctx context.Context, ns string, from, to int64) ([]entry, error) {
	if to-from > Kept {
		return nil, fmt.Errorf("revision %d: %w", from, ErrNotFound)
	}
	var all []entry
	for r, err := range c.store.Range(ctx, store.Range{Start: historyKey(ns, from+1), End: historyKey(ns, to+1)}) {
		if err != nil {
			return nil, err
		}
		e, err := decodeEntry(r)
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	if int64(len(all)) != to-from {
		return nil, fmt.Errorf("revision %d: %w", from, ErrNotFound)
	}
	return all, nil
}

// at returns what the leaves of d were at a revision.
func (c *Config) at(ctx context.Context, ns string, d document, revision int64) (leaves, error) {
	if revision < 0 || revision > d.Revision {
		return nil, fmt.Errorf("revision %d, and the newest is %d: %w", revision, d.Revision, ErrNotFound)
	}
	since, err := c.since(ctx, ns, revision, d.Revision)
	if err != nil {
		return nil, err
	}
	all := maps.Clone(d.Leaves)
	if all == nil {
		all = leaves{}
	}
	for _, e := range slices.Backward(since) {
		e.undo(all)
	}
	return all, nil
}

// Revision is a change of the configuration.
type Revision struct {
	Revision int64
	Time     time.Time
	By       string
	Action   string
	Changes  []Change
}

// Change is what a revision did to a leaf. Before and After are JSON, nil when there
// was none.
type Change struct {
	Path          string
	Before, After []byte
	Secret        bool
}

// History returns at most limit revisions that changed something at a path or below,
// the newest first, and what to give for page to go on behind them; empty when that
// was all. What is a secret now is hidden as one in what was before it was.
func (c *Config) History(ctx context.Context, ns, path, page string, limit int, show Show) (list []Revision, next string, err error) {
	p, err := parsePath(path)
	if err != nil {
		return nil, "", err
	}
	d, _, err := c.current(ctx, ns)
	if err != nil {
		return nil, "", err
	}
	revisions := store.Prefix(historyPrefix(ns))
	revisions.Reverse = true
	if page != "" {
		before, err := parseRevision(page)
		if err != nil {
			return nil, "", err
		}
		revisions.End = historyKey(ns, before)
	}
	for r, err := range c.store.Range(ctx, revisions) {
		if err != nil {
			return nil, "", err
		}
		e, err := decodeEntry(r)
		if err != nil {
			return nil, "", err
		}
		if !e.touches(p.String()) {
			continue
		}
		if len(list) == limit {
			return list, strconv.FormatInt(list[limit-1].Revision, 10), nil
		}
		public, err := c.public(ns, d, e, p.String(), show)
		if err != nil {
			return nil, "", err
		}
		list = append(list, public)
	}
	return list, "", nil
}

// public returns a revision as it is shown, with its changes below a path.
func (c *Config) public(ns string, now document, e entry, prefix string, show Show) (Revision, error) {
	out := Revision{Revision: e.Revision, Time: e.Time, By: e.By, Action: e.Action}
	for _, ch := range e.Changes {
		if !within(ch.Path, prefix) {
			continue
		}
		secret := now.Leaves[ch.Path].secret() ||
			ch.Before != nil && ch.Before.secret() || ch.After != nil && ch.After.secret()
		pub := Change{Path: ch.Path, Secret: secret}
		for _, side := range []struct {
			leaf *leaf
			json *[]byte
		}{{ch.Before, &pub.Before}, {ch.After, &pub.After}} {
			if side.leaf == nil {
				continue
			}
			if secret && show == Hide {
				*side.json = []byte(`"` + Hidden + `"`)
				continue
			}
			b, err := c.shown(ns, ch.Path, *side.leaf, show)
			if err != nil {
				return Revision{}, err
			}
			*side.json = b
		}
		out.Changes = append(out.Changes, pub)
	}
	return out, nil
}
