package registry

import (
	"context"
	"errors"
	"time"

	"github.com/micro/micro/v3/backend/store"
)

// unused is a schema that no instance spoke when it was looked at.
type unused struct {
	revision int64
	since    time.Time
}

// CollectSchemas deletes the schemas of a namespace that no instance has spoken for as
// long as grace: from the call that has found that first to this one, both on this
// registry. It is for who calls it now and then.
//
// grace has to be much longer than the time from [Registry.PutSchema] to
// [Registry.Register].
func (r *Registry) CollectSchemas(ctx context.Context, ns string, grace time.Duration) error {
	// First the schemas: what is put from here on is not among them, or has another
	// revision.
	prefix := schemaKey(ns, "")
	is := map[string]unused{}
	now := time.Now()
	for rec, err := range r.store.Range(ctx, store.Range{Start: prefix, End: store.PrefixEnd(prefix), KeysOnly: true}) {
		if err != nil {
			return err
		}
		is[rec.Key] = unused{revision: rec.Revision, since: now}
	}
	for rec, err := range r.store.Range(ctx, store.Prefix(ns+instances)) {
		if err != nil {
			return err
		}
		in, err := decode(rec)
		if err != nil {
			return err
		}
		delete(is, schemaKey(ns, in.Schema))
	}
	var t store.Txn
	for key, u := range r.stillUnused(ns, is) {
		if now.Sub(u.since) < grace || len(t.Do) == store.MaxOps {
			continue
		}
		t.If = append(t.If, store.Cond{Key: key, Revision: u.revision})
		t.Do = append(t.Do, store.Delete(key))
	}
	if len(t.Do) == 0 {
		return nil
	}
	_, err := r.store.Txn(ctx, t)
	if errors.Is(err, store.ErrConflict) {
		return nil // one of them was put again; the others are found the next time
	}
	return err
}

// stillUnused notes which schemas of a namespace are not in use, and returns them with
// since when that is known.
func (r *Registry) stillUnused(ns string, is map[string]unused) map[string]unused {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, u := range is {
		if was, there := r.unused[ns][key]; there && was.revision == u.revision {
			is[key] = was
		}
	}
	if r.unused[ns] = is; len(is) == 0 {
		delete(r.unused, ns)
	}
	return is
}
