package deploy

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/micro/micro/v3/backend/store"
)

const (
	// An entry of a journal is written so long after it was made, with all that came
	// meanwhile.
	writeAfter = time.Second
	// Between two writes passes so much time, whatever happens: services that crash
	// all the time do not keep the disk busy.
	writeEvery = 10 * time.Second
	// atHand is how many entries of a service are in memory when they are written.
	atHand = 32
	// maxUnwritten bounds those that are not, while nothing can be written.
	maxUnwritten = KeptEntries
)

// Entry is something that was done with a service, or seen of it.
type Entry struct {
	Number   int64     `json:"number"` // grows from entry to entry
	At       time.Time `json:"at"`
	Kind     Kind      `json:"kind"`
	Instance string    `json:"instance,omitempty"` // that it is about; empty: the service
	Release  int64     `json:"release,omitempty"`
	Text     string    `json:"text"` // what happened and why, for people
}

// Kind says in one word what an [Entry] is about.
type Kind string

// The kinds.
const (
	KindChanged    Kind = "changed"     // what should run was
	KindFound      Kind = "found"       // an instance ran already when the server started
	KindStarted    Kind = "started"     // the program of an instance was
	KindUnbounded  Kind = "unbounded"   // it runs without bounds that it should have
	KindNotStarted Kind = "not-started" // it could not be
	KindHealthy    Kind = "healthy"     // the instance is called from now on
	KindUnready    Kind = "unready"     // it is not called any more, because a probe failed
	KindCrashed    Kind = "crashed"     // it ended, or was not well for too long
	KindRetired    Kind = "retired"     // it is to end for good
	KindStopped    Kind = "stopped"     // it has
	KindServing    Kind = "serving"     // a release has taken over
	KindGivenUp    Kind = "given-up"    // a release that could not take over was
)

// maxText bounds the text of an entry in bytes.
const maxText = 1 << 10

// journal is what was done with a service and why. Entries are numbered and shown at
// once, and written by and by. It is safe for concurrent use.
type journal struct {
	writer *writer
	prefix string

	mu      sync.Mutex
	opened  bool    // it is known how far those before go; until then numbers are 0
	last    int64   // the number of the newest
	entries []Entry // the newest, those that are not written among them
	written int     // how many of them are
}

func newJournal(w *writer, ns, name string) *journal {
	return &journal{writer: w, prefix: journalPrefix(ns, name)}
}

// add adds an entry. It does not wait for the store.
func (j *journal) add(e Entry) {
	e.At = time.Now().UTC()
	if len(e.Text) > maxText {
		e.Text = strings.ToValidUTF8(e.Text[:maxText], "") + "…"
	}
	j.mu.Lock()
	if j.opened {
		j.last++
		e.Number = j.last
	}
	j.entries = append(j.entries, e)
	if extra := len(j.entries) - j.written - maxUnwritten; extra > 0 {
		j.entries, j.written = slices.Clone(j.entries[j.written+extra:]), 0
	}
	j.mu.Unlock()
	j.writer.add(j)
}

// open finds out how far the entries before go, and numbers those that wait.
func (j *journal) open(ctx context.Context) error {
	j.mu.Lock()
	opened := j.opened
	j.mu.Unlock()
	if opened {
		return nil
	}
	newest := store.Prefix(j.prefix)
	newest.Reverse, newest.Limit, newest.KeysOnly = true, 1, true
	var last int64
	for r, err := range j.writer.store.Range(ctx, newest) {
		if err != nil {
			return err
		}
		if last, err = strconv.ParseInt(strings.TrimPrefix(r.Key, j.prefix), 10, 64); err != nil {
			return fmt.Errorf("%s: not the key of an entry", r.Key)
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.opened {
		return nil // somebody else was faster
	}
	j.opened, j.last = true, last
	for i := range j.entries {
		j.last++
		j.entries[i].Number = j.last
	}
	return nil
}

// unwritten returns at most limit operations that write what is not written yet, and
// drop what is too old, and a function that says that they were made.
func (j *journal) unwritten(limit int) (ops []store.Op, done func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.opened || j.written == len(j.entries) {
		return nil, nil
	}
	var last int64
	for _, e := range j.entries[j.written:] {
		if len(ops)+2 > limit {
			break
		}
		ops = append(ops, store.Put(numbered(j.prefix, e.Number), encode(e)))
		if old := e.Number - KeptEntries; old > 0 {
			ops = append(ops, store.Delete(numbered(j.prefix, old)))
		}
		last = e.Number
	}
	return ops, func() { j.wrote(last) }
}

// wrote says that the entries up to a number are written. Of those a few stay at hand.
func (j *journal) wrote(last int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for j.written < len(j.entries) && j.entries[j.written].Number <= last {
		j.written++
	}
	if extra := j.written - atHand; extra > 0 {
		j.entries, j.written = slices.Clone(j.entries[extra:]), atHand
	}
}

// write writes what is not written yet.
func (j *journal) write(ctx context.Context) error {
	if err := j.open(ctx); err != nil {
		return err
	}
	j.writer.writing.Lock()
	defer j.writer.writing.Unlock()
	for {
		ops, done := j.unwritten(store.MaxOps)
		if ops == nil {
			return nil
		}
		if _, err := j.writer.store.Txn(ctx, store.Txn{Do: ops}); err != nil {
			return err
		}
		done()
	}
}

// after returns the entries with numbers greater than the given one, and at most the
// newest limit of them; 0: all.
func (j *journal) after(ctx context.Context, number int64, limit int) ([]Entry, error) {
	if err := j.open(ctx); err != nil {
		return nil, err
	}
	j.mu.Lock()
	here := slices.Clone(j.entries)
	last := j.last
	j.mu.Unlock()
	if limit > 0 {
		number = max(number, last-int64(limit))
	}
	first := last + 1
	if len(here) > 0 {
		first = here[0].Number
	}
	var all []Entry
	if number+1 < first {
		r := store.Range{Start: numbered(j.prefix, number+1), End: numbered(j.prefix, first)}
		for rec, err := range j.writer.store.Range(ctx, r) {
			if err != nil {
				return nil, err
			}
			var e Entry
			if err := decode(rec, &e); err != nil {
				return nil, err
			}
			all = append(all, e)
		}
	}
	for _, e := range here {
		if e.Number > number {
			all = append(all, e)
		}
	}
	return all, nil
}

// Journal calls f with the entries of a service's journal in order, at most the newest
// tail of them when that is not 0. With follow it waits for more until ctx ends, or the
// service is gone, which is [ErrNotFound]. It returns the error of f when there is one.
func (d *Deployer) Journal(ctx context.Context, ns, name string, tail int, follow bool, f func([]Entry) error) error {
	var seen int64
	for {
		if _, err := d.Service(ctx, ns, name); err != nil {
			return err
		}
		var changed <-chan struct{}
		var j *journal
		d.with(ns, name, func(r *reconciler) { changed, j = r.changes(), r.journal })
		entries, err := j.after(ctx, seen, tail)
		if err != nil {
			return err
		}
		if len(entries) > 0 {
			if err := f(entries); err != nil {
				return err
			}
			seen = entries[len(entries)-1].Number
		}
		if !follow {
			return nil
		}
		tail = 0
		if err := d.wait(ctx, changed); err != nil {
			return err
		}
	}
}

// writer writes the journals of all services, many at a time.
type writer struct {
	store  store.Store
	failed func(error)
	wake   chan struct{} // holds one token: there is something to write

	// writing is held while something is, so that nothing is written twice.
	writing sync.Mutex

	mu    sync.Mutex
	dirty map[*journal]bool
}

func newWriter(s store.Store, failed func(error)) *writer {
	return &writer{store: s, failed: failed, wake: make(chan struct{}, 1), dirty: map[*journal]bool{}}
}

// add says that a journal has entries that are not written.
func (w *writer) add(j *journal) {
	w.mu.Lock()
	w.dirty[j] = true
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// run writes until ctx ends.
func (w *writer) run(ctx context.Context) {
	for {
		select {
		case <-w.wake:
		case <-ctx.Done():
			return
		}
		if !sleep(ctx, writeAfter) {
			return
		}
		if err := w.write(ctx); err != nil && ctx.Err() == nil {
			w.failed(err)
		}
		if !sleep(ctx, writeEvery-writeAfter) {
			return
		}
	}
}

// sleep waits, and reports whether ctx has not ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// write writes what waits to be written, in as few transactions as can be.
func (w *writer) write(ctx context.Context) error {
	w.writing.Lock()
	defer w.writing.Unlock()
	w.mu.Lock()
	dirty := w.dirty
	w.dirty = map[*journal]bool{}
	w.mu.Unlock()
	var batch []store.Op
	var done []func()
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		if _, err := w.store.Txn(ctx, store.Txn{Do: batch}); err != nil {
			return err
		}
		for _, f := range done {
			f()
		}
		batch, done = nil, nil
		return nil
	}
	for j := range dirty {
		if err := j.open(ctx); err != nil {
			w.again(dirty)
			return err
		}
		ops, did := j.unwritten(store.MaxOps / 2)
		if len(batch)+len(ops) > store.MaxOps {
			if err := flush(); err != nil {
				w.again(dirty)
				return err
			}
		}
		if len(ops) > 0 {
			batch, done = append(batch, ops...), append(done, did)
		}
	}
	if err := flush(); err != nil {
		w.again(dirty)
		return err
	}
	for j := range dirty {
		if j.waits() {
			w.add(j) // more than goes into one transaction
		}
	}
	return nil
}

// again keeps journals that could not be written.
func (w *writer) again(journals map[*journal]bool) {
	for j := range journals {
		w.add(j)
	}
}

// isEmpty reports whether nothing was added yet.
func (j *journal) isEmpty() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.entries) == 0
}

// waits reports whether there are entries that are not written.
func (j *journal) waits() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.written < len(j.entries)
}
