package embedded

import (
	"slices"
	"strings"
	"sync/atomic"

	"github.com/micro/micro/v3/backend/store"
)

// Bounds of what the tail has.
const (
	tailChanges = 1024
	tailBytes   = 256 << 10
)

// tail is the end of the index of changes, in memory: watches that are not behind find
// there what is new, made once for all of them. Whoever needs more reads the index.
//
// The zero value is ready to use.
type tail struct {
	newest atomic.Pointer[recent]
}

// recent is all changes after one revision and up to another. It is not changed any more.
type recent struct {
	after, upTo int64
	changes     []store.Change // in order; More is not set: that depends on who looks
	bytes       int
}

// add adds the changes of a group, as of its newest revision, with so many bytes. Groups
// come in order, one call after the other. The changes are the tail's from now on.
func (t *tail) add(changes []store.Change, newest int64, bytes int) {
	if newest == 0 {
		return // nothing that has a revision
	}
	now := &recent{after: newest, upTo: newest} // of a group that is too large
	if bytes <= tailBytes {
		was := t.newest.Load()
		if was == nil {
			was = &recent{after: changes[0].Revision - 1}
		}
		// Who reads the old one sees nothing of what comes behind it.
		now = &recent{after: was.after, upTo: newest, changes: append(was.changes, changes...), bytes: was.bytes + bytes}
		now.shorten()
	}
	t.newest.Store(now)
}

// shorten drops the oldest when there is too much, and then half of what there may be,
// so that this is rare.
func (r *recent) shorten() {
	if len(r.changes) <= tailChanges && r.bytes <= tailBytes {
		return
	}
	i := 0
	for ; i < len(r.changes) && (len(r.changes)-i > tailChanges/2 || r.bytes > tailBytes/2); i++ {
		r.bytes -= held(r.changes[i])
		r.after = r.changes[i].Revision // and what is left of that transaction nobody is given
	}
	r.changes = slices.Clone(r.changes[i:])
}

// held is how many bytes a change has.
func held(c store.Change) int { return len(c.Record.Key) + len(c.Record.Value) }

// part returns the changes of keys that begin with prefix, from revision start up to
// end; not ok when the tail does not have all of these. Others are given the same.
func (t *tail) part(prefix string, start, end int64) (part []store.Change, ok bool) {
	r := t.newest.Load()
	if r == nil || start <= r.after || end > r.upTo {
		return nil, false
	}
	last := len(r.changes) // from there, near which they are
	for last > 0 && r.changes[last-1].Revision > end {
		last--
	}
	first, all := last, true
	for ; first > 0 && r.changes[first-1].Revision >= start; first-- {
		all = all && strings.HasPrefix(r.changes[first-1].Record.Key, prefix)
	}
	if part = r.changes[first:last:last]; all {
		return part, true
	}
	return slices.DeleteFunc(slices.Clone(part), func(c store.Change) bool { return !strings.HasPrefix(c.Record.Key, prefix) }), true
}
