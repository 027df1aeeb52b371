package embedded

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	engine "github.com/micro/micro/v3/backend/embedded"
	"github.com/micro/micro/v3/backend/store"
)

// group is what is known of the transactions that become durable together.
type group struct {
	records  map[string]meta // the newest state of what they changed; zero: deleted
	changes  []store.Change  // in order; without values when they have too many bytes
	bytes    int             // of changes
	newest   int64           // the last revision among them; 0: none
	total    int64           // see change, as of newest
	earliest int64           // the first deadline that they set; 0: none
}

// visible is called when readers begin to see a group.
func (s *Store) visible(g *group) {
	if g.newest > 0 {
		s.durable.Store(g.newest)
	}
}

// after is called when the writers of a group have been told.
func (s *Store) after(g *group) {
	s.tail.add(g.changes, g.newest, g.bytes)
	s.hub.wake(g.changes)
	s.reaper.note(g.earliest)
	s.trimmer.note(g.newest, g.total)
}

var errReadOnly = errors.New("the store is open for reading only")

// Txn implements [store.Store]. One that fails, or changes nothing, because of what
// is not durable yet returns when that is.
func (s *Store) Txn(ctx context.Context, t store.Txn) (int64, error) {
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	defer s.leave()
	if err := t.Check(); err != nil {
		return 0, err
	}
	if s.options.ReadOnly && len(t.Do) > 0 {
		return 0, errReadOnly
	}
	if err := s.room(t.Do); err != nil {
		return 0, err
	}
	sums := make([]uint32, len(t.Do))
	for i, op := range t.Do {
		sums[i] = valueSum(op.Value)
	}
	var revision int64
	err := s.commits.Do(ctx, func(b *pebble.Batch, here, before *group) (engine.Outcome, error) {
		w := s.write(b, here, before)
		var err error
		revision, err = w.txn(t, sums)
		return w.outcome, err
	})
	if err != nil {
		return 0, err
	}
	if revision == 0 {
		return s.durable.Load(), nil
	}
	return revision, nil
}

// smallNote is how much a transaction may put that is taken for one that only removes:
// what removes something may have to note that.
const smallNote = 4 << 10

// room returns [store.ErrFull] when there is none for the operations.
func (s *Store) room(ops []store.Op) error {
	if len(ops) == 0 {
		return nil
	}
	size, removes := 0, false
	for _, op := range ops {
		if op.Kind != store.KindPut {
			removes = true
			continue
		}
		size += 2*len(op.Key) + len(op.Value) + dataHeader + changeHeader
		if !op.Bulk {
			size += len(op.Value) // of which the index of changes has a copy
		}
	}
	if removes && size <= smallNote {
		size = 0
	}
	if err := s.db.Room(size); err != nil {
		s.trimmer.short()
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	}
	return nil
}

// write is one write in the making. Writes are made one at a time.
type write struct {
	store        *Store
	batch        *pebble.Batch
	here, before *group
	now          int64
	outcome      engine.Outcome

	revision int64 // its own, once it has changed something
	index    int   // of its next change
}

func (s *Store) write(b *pebble.Batch, here, before *group) *write {
	return &write{store: s, batch: b, here: here, before: before, now: s.clock.now(), outcome: engine.Nothing}
}

// txn evaluates a transaction and makes it, when it holds and changes something.
func (w *write) txn(t store.Txn, sums []uint32) (int64, error) {
	known := make(map[string]meta, len(t.If))
	for _, c := range t.If {
		m, err := w.find(c.Key)
		if err != nil {
			return 0, err
		}
		known[c.Key] = m
		if m.expired(w.now) {
			m = meta{}
		}
		if m.revision != c.Revision {
			return 0, store.ErrConflict
		}
	}
	// All that can fail comes before the first change.
	old := make([]meta, len(t.Do))
	for i, op := range t.Do {
		var ok bool
		if old[i], ok = known[op.Key]; ok {
			continue
		}
		if op.Kind == store.KindPut && op.TTL == 0 {
			// It is the same whatever was there, and to look costs more than to write.
			old[i], _ = w.noted(op.Key)
			continue
		}
		var err error
		if old[i], err = w.find(op.Key); err != nil {
			return 0, err
		}
	}
	for i, op := range t.Do {
		switch {
		case op.Kind == store.KindPut:
			w.put(op, sums[i], old[i])
		case old[i].revision != 0 && !old[i].expired(w.now):
			w.delete(op.Key, old[i])
		}
	}
	return w.revision, nil
}

// expire deletes the records that still have the deadline that they are listed with, and
// forgets the deadlines of the others: those were written over, by who did not look. One
// that cannot be read is left, and reported in the end.
func (w *write) expire(list []due) error {
	var failed error
	for _, d := range list {
		m, err := w.find(d.key)
		if err != nil {
			failed = err
			continue
		}
		switch {
		case m.expires != d.deadline:
			w.outcome = engine.Written
			w.forget(d)
		case m.expired(w.now):
			w.delete(d.key, m)
		}
	}
	return failed
}

// noted returns what the groups know of a key's record, which they changed. It notes
// whether that is durable.
func (w *write) noted(key string) (m meta, ok bool) {
	if m, ok = w.here.records[key]; ok {
		w.outcome = max(w.outcome, engine.NothingHere)
	} else if w.before != nil {
		if m, ok = w.before.records[key]; ok {
			w.outcome = max(w.outcome, engine.NothingBefore)
		}
	}
	return m, ok
}

// find returns what is known of a key's record, zero when there is none.
func (w *write) find(key string) (meta, error) {
	if m, ok := w.noted(key); ok {
		return m, nil
	}
	k := dataKey(key)
	v, closer, err := w.store.db.Get(k)
	if errors.Is(err, engine.ErrNotFound) {
		return meta{}, nil
	}
	if err != nil {
		return meta{}, err
	}
	defer closer.Close()
	return parseMeta(k, v)
}

func (w *write) put(op store.Op, sum uint32, old meta) {
	w.begin()
	m := meta{revision: w.revision, expires: deadline(w.now, op.TTL)}
	k := dataKey(op.Key)
	d := w.batch.SetDeferred(len(k), dataHeader+len(op.Value))
	copy(d.Key, k)
	putData(d.Value, k, m, op.Value, sum)
	w.finish(d)
	if m.expires != 0 {
		d := w.batch.SetDeferred(expiryKeyLen+len(op.Key), 0)
		copy(d.Key, expiryKey(m.expires, op.Key))
		w.finish(d)
		if w.here.earliest == 0 || m.expires < w.here.earliest {
			w.here.earliest = m.expires
		}
	}
	c := change{kind: store.KindPut, expires: m.expires}
	if !op.Bulk {
		c.value, c.sum = op.Value, sum
	}
	w.changed(op.Key, c, m, old)
}

func (w *write) delete(key string, old meta) {
	w.begin()
	k := dataKey(key)
	d := w.batch.DeleteDeferred(len(k))
	copy(d.Key, k)
	w.finish(d)
	w.changed(key, change{kind: store.KindDelete}, meta{}, old)
}

// begin gives the write a revision.
func (w *write) begin() {
	if w.revision != 0 {
		return
	}
	w.outcome = engine.Written
	w.store.newest++
	w.revision = w.store.newest
	w.here.newest = w.revision
	if w.here.records == nil {
		w.here.records = map[string]meta{}
	}
}

// changed adds a change to the index, and forgets the deadline that the record had.
func (w *write) changed(key string, c change, m, old meta) {
	if old.expires != 0 && old.expires != m.expires {
		w.forget(due{deadline: old.expires, key: key})
	}
	c.key = []byte(key)
	w.store.total += int64(c.len())
	c.total = w.store.total
	w.here.total = c.total
	k := changeKey(position{w.revision, w.index})
	d := w.batch.SetDeferred(len(k), c.len())
	copy(d.Key, k)
	c.put(d.Value, k)
	w.finish(d)
	w.index++
	w.here.records[key] = m
	w.note(c)
}

// note keeps a change for those who watch. Values passed in are not the store's, so it has
// a copy, unless there are so many bytes that nobody would get to see it.
func (w *write) note(c change) {
	if w.here.bytes += len(c.key) + len(c.value); w.here.bytes > tailBytes {
		c.value = nil
	}
	w.here.changes = append(w.here.changes, c.export(w.revision))
}

// forget removes a deadline from the index.
func (w *write) forget(d due) {
	op := w.batch.DeleteDeferred(expiryKeyLen + len(d.key))
	copy(op.Key, expiryKey(d.deadline, d.key))
	w.finish(op)
}

// finish ends an operation of the batch, which has an index of its operations only
// when it was asked for one and cannot fail without.
func (w *write) finish(d *pebble.DeferredBatchOp) { _ = d.Finish() }
