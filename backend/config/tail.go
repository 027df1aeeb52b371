package config

import (
	"context"
	"slices"
)

// tailSize is how many revisions a tail holds.
const tailSize = 16

// tail is the newest revisions of a namespace, read once for all who watch it: a change
// wakes them all.
type tail struct {
	lock    chan struct{} // held by who uses what follows
	entries []entry       // without a gap
}

// recent is [Config.since] for revisions that others ask for too. Its caller must not
// change what it returns.
func (c *Config) recent(ctx context.Context, ns string, from, to int64) ([]entry, error) {
	if to-from > tailSize {
		return c.since(ctx, ns, from, to)
	}
	found, ok := c.tails.Load(ns)
	if !ok {
		found, _ = c.tails.LoadOrStore(ns, &tail{lock: make(chan struct{}, 1)})
	}
	t, _ := found.(*tail)
	select {
	case t.lock <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-t.lock }()
	if known := t.between(from, to); known != nil {
		return known, nil
	}
	entries, err := c.since(ctx, ns, from, to)
	if err != nil {
		return nil, err
	}
	if n := len(t.entries); n == 0 || entries[len(entries)-1].Revision > t.entries[n-1].Revision {
		t.entries = entries
	}
	return entries, nil
}

// between returns the revisions after from up to to, nil when they are not all there.
func (t *tail) between(from, to int64) []entry {
	if len(t.entries) == 0 {
		return nil
	}
	first := t.entries[0].Revision
	if from+1 < first || to >= first+int64(len(t.entries)) {
		return nil
	}
	return slices.Clip(t.entries[from+1-first : to+1-first])
}
