package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/micro/micro/v3/backend/store"
)

const (
	// atOnce is how many entries are written in one transaction, and how many are
	// removed in one.
	atOnce = 256
	// missedFor is how long refused calls are counted before their number is recorded.
	missedFor = time.Hour
)

// chain is the log of one namespace. What several callers record at once is written
// in one transaction by one goroutine, which ends when there is nothing to write.
type chain struct {
	log *Log
	ns  string

	mu                 sync.Mutex
	queue              []*waiting
	writing            bool
	strangers, members bucket
	missed             int64
	timer              *time.Timer // that records missed; nil: none is

	// Of the goroutine that writes. Nothing is known of a chain before it is read, and
	// when a write has failed.
	known    bool
	damaged  bool // the head was made anew from the entries, which is still to be recorded
	head     head
	revision int64      // of the record of head
	exists   store.Cond // on the namespace
}

// head is the record that says where a chain ends and begins.
type head struct {
	Last  int64     `json:"last"`           // the sequence of the last entry; 0: none yet
	Hash  []byte    `json:"hash,omitempty"` // of the last entry
	First int64     `json:"first"`          // the sequence of the first entry that is kept
	Base  []byte    `json:"base,omitempty"` // the hash of the entry before the first
	Since time.Time `json:"since,omitzero"` // the time of the first entry
}

// waiting is an entry that is to be written, and who waits for it. One without a kind
// only has the chain pruned.
type waiting struct {
	entry Entry
	done  chan struct{} // closed when err is set
	err   error
}

// wait returns when the entry is durable, or why it is not.
func (w *waiting) wait(ctx context.Context) error {
	select {
	case <-w.done:
		return w.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// add has an entry written.
func (c *chain) add(e Entry) *waiting {
	e.Time = c.log.now().UTC().Round(0)
	e.clean()
	w := &waiting{entry: e, done: make(chan struct{})}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.writing {
		if !c.log.begin() {
			w.err = store.ErrClosed
			close(w.done)
			return w
		}
		c.writing = true
		go func() {
			defer c.log.wg.Done()
			c.write()
		}()
	}
	c.queue = append(c.queue, w)
	return w
}

// note has the entry of a refused call written, or counts it.
func (c *chain) note(e Entry, stranger bool) {
	c.mu.Lock()
	b := &c.members
	if stranger {
		b = &c.strangers
	}
	record := b.take(c.log.now())
	if !record {
		c.miss(1)
	}
	c.mu.Unlock()
	if record {
		c.add(e)
	}
}

// miss counts calls that are not recorded. c.mu is held.
func (c *chain) miss(n int64) {
	c.missed += n
	if c.timer == nil {
		c.timer = time.AfterFunc(missedFor, c.flush)
	}
}

// flush has the number of those that were not recorded written.
func (c *chain) flush() {
	c.mu.Lock()
	n := c.missed
	c.missed = 0
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
	c.mu.Unlock()
	if n > 0 {
		c.add(Entry{Kind: Missed, Count: n})
	}
}

// idle reports whether nothing is lost with the chain in memory.
func (c *chain) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.log.now()
	return len(c.queue) == 0 && c.missed == 0 && c.timer == nil && !c.strangers.full.After(now) && !c.members.full.After(now)
}

// write writes until there is nothing more to write.
func (c *chain) write() {
	// Who waits may give up; others wait for the same write.
	ctx := context.Background()
	for {
		c.mu.Lock()
		n := min(len(c.queue), atOnce)
		batch := c.queue[:n:n]
		c.queue = c.queue[n:]
		if n == 0 {
			c.queue, c.writing = nil, false
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
		err := c.commit(ctx, batch)
		if errors.Is(err, ErrNotFound) {
			c.log.forget(c)
		}
		for _, w := range batch {
			w.err = err
			close(w.done)
		}
		if err != nil && !errors.Is(err, ErrNotFound) {
			c.mu.Lock()
			for _, w := range batch {
				switch w.entry.Kind {
				case Refused: // nobody waits for it
					c.miss(1)
				case Missed:
					c.miss(w.entry.Count)
				default:
				}
			}
			c.mu.Unlock()
		}
	}
}

// commit adds entries to the chain in one transaction.
func (c *chain) commit(ctx context.Context, batch []*waiting) error {
	for {
		if err := c.load(ctx); err != nil {
			return err
		}
		next, t, err := c.plan(ctx, batch)
		if err != nil {
			return err
		}
		if len(t.Do) == 0 {
			return nil
		}
		revision, err := c.log.store.Txn(ctx, t)
		if err == nil {
			c.head, c.revision, c.damaged = next, revision, false
			return nil
		}
		c.known = false
		if !errors.Is(err, store.ErrConflict) { // or another server has written, or the namespace goes
			return err
		}
	}
}

// plan returns the chain with entries added and old ones removed, and the transaction
// that makes it so.
func (c *chain) plan(ctx context.Context, batch []*waiting) (head, store.Txn, error) {
	h := c.head
	t := store.Txn{If: []store.Cond{c.exists, {Key: headKey(c.ns), Revision: c.revision}}}
	put := func(e *Entry) error {
		stored, err := h.add(c.ns, e)
		t.Do = append(t.Do, store.Put(entryKey(c.ns, h.Last), stored))
		return err
	}
	if c.damaged {
		if err := put(&Entry{Time: c.log.now().UTC().Round(0), Kind: Damaged}); err != nil {
			return head{}, store.Txn{}, err
		}
	}
	for _, w := range batch {
		if w.entry.Kind == "" {
			continue
		}
		if err := put(&w.entry); err != nil {
			return head{}, store.Txn{}, err
		}
	}
	removed, err := c.prune(ctx, &h)
	if err != nil {
		return head{}, store.Txn{}, err
	}
	if t.Do = append(t.Do, removed...); len(t.Do) == 0 {
		return h, t, nil
	}
	plain, err := json.Marshal(h)
	if err != nil {
		return head{}, store.Txn{}, err
	}
	t.Do = append(t.Do, store.Put(headKey(c.ns), c.log.box.Seal(headKey(c.ns), plain)))
	return h, t, nil
}

// add puts an entry behind the others, and returns it as it is stored.
func (h *head) add(ns string, e *Entry) ([]byte, error) {
	h.Last++
	e.Sequence, e.Before, e.Log = h.Last, h.Hash, ns
	stored, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	if h.Since.IsZero() {
		h.First, h.Base, h.Since = e.Sequence, e.Before, e.Time
	}
	h.Hash = hashOf(stored)
	return stored, nil
}

// prune returns the operations that remove the oldest of the entries that are stored,
// as far as they are too many or too old.
func (c *chain) prune(ctx context.Context, h *head) ([]store.Op, error) {
	o := c.log.options
	first := h.First // that stays, by number
	if o.Entries > 0 {
		first = max(first, h.Last-o.Entries+1)
	}
	var since time.Time
	if o.Age > 0 {
		since = c.log.now().Add(-o.Age)
	}
	if first == h.First && !h.Since.Before(since) {
		return nil, nil
	}
	r := store.Prefix(entryPrefix(c.ns))
	r.Limit = atOnce + 1
	var ops []store.Op
	for rec, err := range c.log.store.Range(ctx, r) {
		if err != nil {
			return nil, err
		}
		sequence, made := sequenceOf(c.ns, rec.Key), h.Since
		if e, err := decode(rec); err == nil {
			made = e.Time
		}
		if sequence >= first && !made.Before(since) || len(ops) == atOnce {
			h.Since = made
			return ops, nil
		}
		ops = append(ops, store.Delete(rec.Key))
		h.First, h.Base = sequence+1, hashOf(rec.Value)
	}
	h.Since = time.Time{} // nothing of before is left
	if h.Last > c.head.Last {
		h.Since = c.log.now()
	}
	return ops, nil
}

// load reads what is known of the chain, unless it is known. [ErrNotFound] when there
// is no such namespace.
func (c *chain) load(ctx context.Context) error {
	if c.known {
		return nil
	}
	exists, err := c.log.options.Exists(ctx, c.ns)
	if err != nil {
		return err
	}
	rec, err := c.log.store.Get(ctx, headKey(c.ns))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	var h head
	lost := true
	if err == nil {
		h, err = c.log.openHead(c.ns, rec.Value)
		lost = err != nil
	}
	if lost {
		if h, err = c.recover(ctx); err != nil {
			return err
		}
	}
	c.head, c.revision, c.exists, c.known = h, rec.Revision, exists, true
	c.damaged = lost && (h.Last > 0 || rec.Revision > 0) // else it is a new one
	return nil
}

// recover returns a head for the entries that are there.
func (c *chain) recover(ctx context.Context) (head, error) {
	var h head
	for _, reverse := range []bool{false, true} {
		r := store.Prefix(entryPrefix(c.ns))
		r.Limit, r.Reverse = 1, reverse
		for rec, err := range c.log.store.Range(ctx, r) {
			if err != nil {
				return head{}, err
			}
			if reverse {
				h.Last, h.Hash = sequenceOf(c.ns, rec.Key), hashOf(rec.Value)
				continue
			}
			e, _ := decode(rec) // what cannot be read has no time
			h.First, h.Base, h.Since = sequenceOf(c.ns, rec.Key), e.Before, e.Time
		}
	}
	return h, nil
}

// openHead returns what was sealed for a namespace.
func (l *Log) openHead(ns string, sealed []byte) (head, error) {
	plain, err := l.box.Open(headKey(ns), sealed)
	if err != nil {
		return head{}, err
	}
	var h head
	err = json.Unmarshal(plain, &h)
	return h, err
}

func decode(r store.Record) (Entry, error) {
	var e Entry
	if err := json.Unmarshal(r.Value, &e); err != nil {
		return Entry{}, fmt.Errorf("%s: %w", r.Key, err)
	}
	return e, nil
}

// sequenceOf returns the sequence in the key of an entry; 0 when it is not one of ours.
func sequenceOf(ns, key string) int64 {
	n, _ := strconv.ParseInt(strings.TrimPrefix(key, entryPrefix(ns)), 10, 64)
	return n
}
